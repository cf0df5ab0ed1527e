//! What a word that nobody knows may have been meant to be.

use std::io;

use dhow_client::Request;
use serde_json::Value;

use crate::error::Error;
use crate::session::Session;
use dhow_options::flags::Flag;

/// As many suggestions as help somebody.
const MOST: usize = 4;

/// The words that `typed` may be a slip of, the nearest first.
pub(crate) fn nearest<'a>(typed: &str, known: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut near: Vec<(usize, &str)> = known
        .map(|known| (distance(typed, known), known))
        .filter(|(distance, known)| {
            *distance <= typed.len().div_ceil(4) || (typed.len() > 1 && known.starts_with(typed))
        })
        .collect();
    near.sort_unstable();
    near.dedup();
    near.into_iter()
        .map(|(_, known)| known)
        .take(MOST)
        .collect()
}

/// Suggestions as a paragraph; nothing where there is none.
pub(crate) fn block(names: &[&str]) -> String {
    if names.is_empty() {
        return String::new();
    }
    format!("Did you mean this?\n\t{}\n\n", names.join("\n\t"))
}

/// A paragraph about the flag that an error says nobody knows.
pub(crate) fn flags(error: &str, tables: &[&[Flag]]) -> String {
    let Some(typed) = error.strip_prefix("unknown flag: --") else {
        return String::new();
    };
    let known = tables
        .iter()
        .flat_map(|table| table.iter())
        .filter(|flag| !flag.hidden);
    let near = nearest(typed, known.map(|flag| flag.name));
    let near: Vec<String> = near.iter().map(|name| format!("--{name}")).collect();
    block(&near.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Tells somebody at a terminal which container or image they may have meant. Scripts get Docker's text alone.
pub(crate) async fn names(session: &Session, error: &Error) {
    if !dhow_terminal::is_terminal(io::stderr()) {
        return;
    }
    let text = error.to_string();
    for (said, path) in [
        ("No such container: ", "/containers/json?all=1"),
        ("No such image: ", "/images/json"),
    ] {
        let Some((_, rest)) = text.split_once(said) else {
            continue;
        };
        let typed = rest.split_whitespace().next().unwrap_or_default();
        let Some(known) = known(session, path).await else {
            continue;
        };
        let near = nearest(typed, known.iter().map(String::as_str));
        if !near.is_empty() {
            session.warn(block(&near).trim_end());
        }
    }
}

/// The names the engine knows; nothing where it cannot be asked.
async fn known(session: &Session, path: &str) -> Option<Vec<String>> {
    let list: Vec<Value> = session.client().ok()?.json(Request::get(path)).await.ok()?;
    let names = list.iter().flat_map(|entry| {
        let names = entry["Names"].as_array().or(entry["RepoTags"].as_array());
        names.into_iter().flatten().filter_map(Value::as_str)
    });
    let names = names.flat_map(|name| {
        let name = name.trim_start_matches('/');
        [name, name.strip_suffix(":latest").unwrap_or(name)]
    });
    Some(names.map(str::to_owned).collect())
}

/// The edits between two words: letters put in, left out, replaced, or swapped with their neighbours.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut before = Vec::new();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    let mut last = None;
    for (i, a) in left.chars().enumerate() {
        let mut next = vec![i + 1];
        for (j, b) in right.iter().enumerate() {
            let replaced = row[j] + usize::from(a != *b);
            let mut least = replaced.min(row[j + 1] + 1).min(next[j] + 1);
            if j > 0 && last == Some(*b) && right[j - 1] == a {
                least = least.min(before[j - 1] + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut row, next);
        last = Some(a);
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        for (left, right, edits) in [
            ("ps", "ps", 0),
            ("pss", "ps", 1),
            ("iamges", "images", 1),
            ("nmae", "name", 1),
            ("", "rm", 2),
        ] {
            assert_eq!(distance(left, right), edits);
        }
    }

    #[test]
    fn slips_of_flags_are_recognised() {
        let table: &[Flag] = &[
            Flag::text("name", ""),
            Flag::list("volume", ""),
            Flag::switch("secret", "").hidden(),
        ];
        let said = |typed: &str| flags(&format!("unknown flag: --{typed}"), &[table]);
        assert_eq!(said("nmae"), said("nam"));
        assert_eq!(said("nam"), "Did you mean this?\n\t--name\n\n");
        assert_eq!(said("volumes"), "Did you mean this?\n\t--volume\n\n");
        assert_eq!(said("secrets"), "");
        assert_eq!(flags("flag needs an argument: --name", &[table]), "");
    }
}
