//! `images --tree`: each image with its variants for platforms.

use dhow_api::image::ImageSummary;
use dhow_terminal::units::human_size_with;
use serde_json::Value;

/// Spaces between columns.
const GAP: usize = 3;
/// Digits of an id.
const ID: usize = 12;
const HEADERS: [&str; 5] = ["IMAGE", "ID", "DISK USAGE", "CONTENT SIZE", "EXTRA"];
const BOLD: &str = "\x1b[39m\x1b[1m";
const PLAIN: &str = "\x1b[39m";
const DIM: &str = "\x1b[39m\x1b[2m";
const NAME: &str = "\x1b[34m\x1b[1m";
const CHIP: &str = "\x1b[38;5;0m\x1b[48;5;14m";
const RESET: &str = "\x1b[0m";

/// What the tree is drawn on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Canvas {
    /// Its columns.
    pub(super) columns: usize,
    /// Whether it has colours.
    pub(super) coloured: bool,
}

/// One line.
struct Line {
    name: String,
    style: &'static str,
    /// Id, disk usage, content size; missing where more names of the same image follow.
    cells: Option<[String; 3]>,
    in_use: bool,
}

/// The least that the names' column is narrowed to before others are left out.
const NARROWEST: usize = 12;
/// What is drawn on at least.
const LEAST: usize = 20;

/// The whole output.
pub(super) fn draw(images: &[ImageSummary], canvas: Canvas) -> String {
    let groups: Vec<Vec<Line>> = images.iter().map(lines).collect();
    let names = groups.iter().flatten().map(|line| width(&line.name));
    let longest = names.chain([HEADERS[0].len()]).max().unwrap_or_default();
    let columns = canvas.columns.max(LEAST);
    // From all columns down to the names alone.
    let others = |shown: usize| (1..shown).map(|at| GAP + wide(at)).sum::<usize>();
    let shown = (2..=HEADERS.len())
        .rev()
        .find(|shown| columns >= others(*shown) + NARROWEST)
        .unwrap_or(1);
    let page = Page {
        canvas,
        first: longest.min(columns - others(shown)),
        shown,
    };
    let mut text = page.head();
    for group in groups {
        for line in &group {
            text += &page.line(line);
        }
        text.push('\n');
    }
    text
}

/// The width of a column that is not the names'.
fn wide(at: usize) -> usize {
    if at == 1 { ID } else { HEADERS[at].len() }
}

fn lines(image: &ImageSummary) -> Vec<Line> {
    let mut names = image.repo_tags.clone();
    names.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    if names.is_empty() {
        names.push("<untagged>".to_owned());
    }
    let manifests = image.manifests.as_deref().unwrap_or_default();
    let of_images: Vec<&Value> = manifests
        .iter()
        .filter(|one| one["Kind"] == "image")
        .collect();
    let users = |one: &&&Value| {
        let containers = one["ImageData"]["Containers"].as_array();
        containers.is_some_and(|containers| !containers.is_empty())
    };
    let content: f64 = of_images
        .iter()
        .map(|one| number(&one["Size"]["Content"]))
        .sum();
    let in_use = of_images.iter().any(|one| users(&one));
    let last = names.len() - 1;
    let mut lines: Vec<Line> = names
        .into_iter()
        .enumerate()
        .map(|(at, name)| Line {
            name,
            style: NAME,
            cells: (at == last).then(|| {
                [
                    short(&image.id),
                    size(approximate(image.size)),
                    size(content),
                ]
            }),
            in_use: at == last && in_use,
        })
        .collect();
    for (at, one) in of_images.iter().enumerate() {
        let branch = if at + 1 == of_images.len() {
            "└─"
        } else {
            "├─"
        };
        let available = one["Available"] == true;
        lines.push(Line {
            name: format!("{branch} {}", platform(&one["ImageData"]["Platform"])),
            style: if available { PLAIN } else { DIM },
            cells: Some([
                short(one["ID"].as_str().unwrap_or_default()),
                size(number(&one["Size"]["Total"])),
                size(number(&one["Size"]["Content"])),
            ]),
            in_use: users(&one),
        });
    }
    lines
}

fn size(bytes: f64) -> String {
    human_size_with(bytes, 3)
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_default()
}

#[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
fn approximate(bytes: i64) -> f64 {
    bytes as f64
}

fn short(id: &str) -> String {
    let digits = id.split_once(':').map_or(id, |(_, digits)| digits);
    digits.chars().take(ID).collect()
}

fn platform(platform: &Value) -> String {
    let part = |key: &str| platform[key].as_str().filter(|text| !text.is_empty());
    let parts = [part("os"), part("architecture"), part("variant")];
    let parts: Vec<&str> = parts.into_iter().flatten().collect();
    parts.join("/")
}

/// How many columns a text takes; only the branches are not ASCII, and all of them are one column wide.
fn width(text: &str) -> usize {
    text.chars().count()
}

fn cut(text: &str, most: usize) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    text.chars()
        .take(most.saturating_sub(1))
        .chain(['…'])
        .collect()
}

struct Page {
    canvas: Canvas,
    /// The width of the names' column.
    first: usize,
    /// How many columns are shown.
    shown: usize,
}

impl Page {
    fn styled(&self, style: &str, text: &str) -> String {
        if self.canvas.coloured && !style.is_empty() {
            format!("{style}{text}{RESET}")
        } else {
            text.to_owned()
        }
    }

    fn chip(&self) -> String {
        if self.canvas.coloured {
            self.styled(CHIP, " U ")
        } else {
            "U".to_owned()
        }
    }

    /// The legend and the headers.
    fn head(&self) -> String {
        let (info, length) = if self.canvas.coloured {
            let info = "\x1b[1m\x1b[106m\x1b[30mi\x1b[0m\x1b[0m \x1b[96mInfo → \x1b[0m\x1b[0m";
            (info, 21)
        } else {
            ("Info -> ", 18)
        };
        let space = " ".repeat(self.canvas.columns.saturating_sub(length));
        let mut text = format!("{space}{info} {} In Use \n\n", self.chip());
        for (at, title) in HEADERS.iter().take(self.shown).enumerate() {
            let (gap, space) = match at {
                0 => ("", self.first - width(title)),
                _ => ("   ", wide(at) - title.len()),
            };
            text += gap;
            text += &self.styled(BOLD, title);
            text += &" ".repeat(space);
        }
        text + "\n"
    }

    fn line(&self, line: &Line) -> String {
        let Some(cells) = &line.cells else {
            let name = cut(&line.name, self.canvas.columns);
            return self.styled(line.style, &name) + "\n";
        };
        let name = cut(&line.name, self.first);
        let mut text = self.styled(line.style, &name);
        text += &" ".repeat(self.first - width(&name));
        let style = if line.style == DIM { DIM } else { PLAIN };
        for (at, cell) in cells.iter().enumerate().take(self.shown - 1) {
            text += &" ".repeat(GAP + wide(at + 1).saturating_sub(cell.len()));
            text += &self.styled(style, cell);
        }
        if self.shown == HEADERS.len() {
            let chip = if line.in_use {
                self.chip()
            } else {
                String::new()
            };
            let seen = match (line.in_use, self.canvas.coloured) {
                (false, _) => 0,
                (true, true) => 3,
                (true, false) => 1,
            };
            text += &" ".repeat(GAP);
            text += &chip;
            text += &" ".repeat(HEADERS[4].len() - seen);
        }
        text + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn images() -> Vec<ImageSummary> {
        let variant = |platform: Value, available: bool, containers: Value| {
            json!({
                "ID": format!("sha256:{}", "b".repeat(64)),
                "Kind": "image",
                "Available": available,
                "Size": {"Content": 1_290_000, "Total": 3_270_000},
                "ImageData": {"Platform": platform, "Containers": containers},
            })
        };
        let amd64 = json!({"os": "linux", "architecture": "amd64"});
        let arm64 = json!({"os": "linux", "architecture": "arm64", "variant": "v8"});
        let image = json!({
            "Id": format!("sha256:{}", "a".repeat(64)),
            "RepoTags": ["box:1", "localhost:5000/tools/box:latest"],
            "Size": 3_280_000,
            "Manifests": [
                variant(amd64, true, json!(["c"])),
                variant(arm64, false, json!([])),
                {"Kind": "attestation", "ID": "sha256:c"},
            ],
        });
        vec![serde_json::from_value(image).expect("an image")]
    }

    fn drawn(columns: usize) -> Vec<String> {
        let canvas = Canvas {
            columns,
            coloured: false,
        };
        let text = draw(&images(), canvas);
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn rows_are_drawn_as_by_docker() {
        let wanted = [
            "                                                                                  Info ->  U In Use ",
            "",
            "IMAGE                             ID             DISK USAGE   CONTENT SIZE   EXTRA",
            "localhost:5000/tools/box:latest",
            "box:1                             aaaaaaaaaaaa       3.28MB         2.58MB   U    ",
            "├─ linux/amd64                    bbbbbbbbbbbb       3.27MB         1.29MB   U    ",
            "└─ linux/arm64/v8                 bbbbbbbbbbbb       3.27MB         1.29MB        ",
            "",
        ];
        assert_eq!(drawn(100), wanted);
    }

    #[test]
    fn names_are_cut_and_columns_left_out_as_by_docker() {
        let wanted = [
            "IMAGE               ID             DISK USAGE",
            "localhost:5000/tools/box:latest",
            "box:1               aaaaaaaaaaaa       3.28MB",
        ];
        assert_eq!(drawn(45)[2..5], wanted);
        assert!(drawn(63)[2].ends_with("EXTRA") && drawn(62)[2].ends_with("CONTENT SIZE"));
        assert_eq!(drawn(12)[3], "localhost:5…");
    }
}
