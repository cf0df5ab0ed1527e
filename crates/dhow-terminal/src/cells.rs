//! Tables in the layout of Go's `text/tabwriter`, as Docker sets it up: cells at least ten columns wide and
//! padded by three spaces, no trailing padding after the last cell of a line.

const MIN_WIDTH: usize = 10;
const PADDING: usize = 3;

/// Rows of cells under headers.
///
/// ```
/// let mut table = dhow_terminal::Table::new(["NAME", "DRIVER"]);
/// table.row(["bridge", "bridge"]);
/// assert_eq!(table.to_string(), "NAME      DRIVER\nbridge    bridge\n");
/// ```
#[derive(Debug, Clone, Default)]
pub struct Table(String);

impl Table {
    /// A table whose first row is `headers`.
    pub fn new<S: AsRef<str>>(headers: impl IntoIterator<Item = S>) -> Self {
        let mut table = Self::default();
        table.row(headers);
        table
    }

    /// Adds one row.
    pub fn row<S: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = S>) {
        for (column, cell) in cells.into_iter().enumerate() {
            if column > 0 {
                self.0.push('\t');
            }
            self.0.push_str(cell.as_ref());
        }
        self.0.push('\n');
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&align(&self.0, MIN_WIDTH, PADDING))
    }
}

/// Replaces the tabs of `text` by spaces so that cells of consecutive lines stand in columns.
///
/// As in Go's `tabwriter`, a tab *ends* a cell: what follows the last tab of a line is no column, and a column is
/// a block of consecutive lines that all have a cell there. `min_width` includes the `padding`.
#[must_use]
pub fn align(text: &str, min_width: usize, padding: usize) -> String {
    let lines: Vec<Vec<&str>> = text
        .split('\n')
        .map(|line| line.split('\t').collect())
        .collect();
    let mut layout = Layout {
        lines: &lines,
        min_width,
        padding,
        widths: Vec::new(),
        out: String::new(),
    };
    layout.format(0, lines.len());
    layout.out.pop();
    layout.out
}

struct Layout<'a> {
    lines: &'a [Vec<&'a str>],
    min_width: usize,
    padding: usize,
    widths: Vec<usize>,
    out: String,
}

impl Layout<'_> {
    /// Writes the lines `from..to`, whose first `self.widths.len()` columns have their widths already.
    fn format(&mut self, from: usize, to: usize) {
        let column = self.widths.len();
        let mut written = from;
        let mut line = from;
        while line < to {
            if column + 1 >= self.lines[line].len() {
                line += 1;
                continue;
            }
            self.write(written, line);
            let end = (line..to)
                .find(|&l| column + 1 >= self.lines[l].len())
                .unwrap_or(to);
            let widest = self.lines[line..end]
                .iter()
                .map(|cells| cells[column].chars().count())
                .max();
            self.widths
                .push(self.min_width.max(widest.unwrap_or(0) + self.padding));
            self.format(line, end);
            self.widths.pop();
            written = end;
            line = end;
        }
        self.write(written, to);
    }

    fn write(&mut self, from: usize, to: usize) {
        for cells in &self.lines[from..to] {
            for (column, cell) in cells.iter().enumerate() {
                self.out.push_str(cell);
                if column + 1 < cells.len() {
                    let width = self.widths.get(column).copied().unwrap_or(0);
                    let gap = width.saturating_sub(cell.chars().count());
                    self.out.extend(std::iter::repeat_n(' ', gap));
                }
            }
            self.out.push('\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(["CONTAINER ID", "IMAGE", "NAMES"]);
        table.row(["db6a0a7ab48c", "busybox", "x1"]);
        assert_eq!(
            table.to_string(),
            "CONTAINER ID   IMAGE     NAMES\ndb6a0a7ab48c   busybox   x1\n"
        );
    }

    #[test]
    fn a_block_ends_where_a_line_has_fewer_cells() {
        assert_eq!(
            align("a\tb\nlong line\nccccccccccc\td", 5, 1),
            "a    b\nlong line\nccccccccccc d"
        );
    }

    #[test]
    fn width_counts_characters() {
        assert_eq!(align("…………\tx\nabcde\ty", 4, 1), "…………  x\nabcde y");
    }
}
