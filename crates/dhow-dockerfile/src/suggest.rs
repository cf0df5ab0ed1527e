//! "Did you mean …?"

/// How far a word may be from another to be taken for it.
const FARTHEST: usize = 2;

/// ` (did you mean X?)` for the word of `known` nearest to `word`; empty when none is near.
pub fn suggest(word: &str, known: &[&str]) -> String {
    match nearest(word, known) {
        Some(found) => format!(" (did you mean {found}?)"),
        None => String::new(),
    }
}

/// The word of `known` nearest to `word`, unless it is the same but for case, or too far.
pub(crate) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let wanted = word.to_lowercase();
    let mut best: Option<(usize, &str)> = None;
    for one in known {
        let far = distance(&wanted, &one.to_lowercase());
        if far == 0 {
            return None;
        }
        let better = |(least, other): (usize, &str)| {
            // Of words that are equally near the one that begins alike is more likely meant.
            far < least || far == least && alike(&wanted, one) && !alike(&wanted, other)
        };
        if far <= FARTHEST && best.is_none_or(better) {
            best = Some((far, one));
        }
    }
    best.map(|(_, one)| one)
}

/// Whether both begin with the same letter.
fn alike(wanted: &str, word: &str) -> bool {
    wanted.chars().next() == word.to_lowercase().chars().next()
}

/// Levenshtein's distance: how many characters must be added, taken away or replaced.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let replaced = corner + usize::from(a != *b);
            corner = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(corner + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found() {
        let known = ["from", "chown", "link"];
        assert_eq!(suggest("fron", &known), " (did you mean from?)");
        assert_eq!(suggest("FROM", &known), "");
        assert_eq!(suggest("frxyz", &known), "");
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
