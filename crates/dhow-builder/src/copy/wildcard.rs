//! Go's `filepath.Match`, on bytes.

/// A pattern that is none: brackets that are not closed, a backslash at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadPattern;

/// Whether a component has something in it that a wildcard pattern gives a meaning.
pub(crate) fn is_wild(component: &[u8]) -> bool {
    component
        .iter()
        .any(|byte| matches!(byte, b'*' | b'?' | b'[' | b'\\'))
}

/// Whether `name`, one component of a path, matches all of `pattern`.
pub(crate) fn matches(pattern: &[u8], name: &[u8]) -> Result<bool, BadPattern> {
    let pattern = compile(pattern)?;
    let name: Vec<char> = String::from_utf8_lossy(name).chars().collect();
    Ok(run(&pattern, &name))
}

enum Part {
    Any,
    One,
    Literal(char),
    Class(bool, Vec<(char, char)>),
}

fn compile(pattern: &[u8]) -> Result<Vec<Part>, BadPattern> {
    let text = String::from_utf8_lossy(pattern);
    let mut chars = text.chars().peekable();
    let mut parts = Vec::new();
    while let Some(letter) = chars.next() {
        parts.push(match letter {
            '*' => Part::Any,
            '?' => Part::One,
            '\\' => Part::Literal(chars.next().ok_or(BadPattern)?),
            '[' => class(&mut chars)?,
            letter => Part::Literal(letter),
        });
    }
    Ok(parts)
}

fn class(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Part, BadPattern> {
    let negated = chars.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        if !ranges.is_empty() && chars.next_if_eq(&']').is_some() {
            return Ok(Part::Class(negated, ranges));
        }
        let from = class_letter(chars)?;
        let to = match chars.next_if_eq(&'-') {
            Some(_) => class_letter(chars)?,
            None => from,
        };
        ranges.push((from, to));
    }
}

fn class_letter(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<char, BadPattern> {
    match chars.next().ok_or(BadPattern)? {
        '-' | ']' => Err(BadPattern),
        '\\' => chars.next().ok_or(BadPattern),
        letter => Ok(letter),
    }
}

/// Matches with one point to go back to: a later star makes earlier ones final.
fn run(pattern: &[Part], name: &[char]) -> bool {
    let (mut at, mut position) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        match pattern.get(at) {
            Some(Part::Any) => {
                star = Some((at, position));
                at += 1;
                continue;
            }
            Some(part) if name.get(position).is_some_and(|c| fits(part, *c)) => {
                at += 1;
                position += 1;
                continue;
            }
            None if position == name.len() => return true,
            _ => {}
        }
        match star {
            Some((star_at, from)) if from < name.len() => {
                star = Some((star_at, from + 1));
                at = star_at + 1;
                position = from + 1;
            }
            _ => return false,
        }
    }
}

fn fits(part: &Part, letter: char) -> bool {
    match part {
        Part::Any => false,
        Part::One => true,
        Part::Literal(expected) => *expected == letter,
        Part::Class(negated, ranges) => {
            ranges
                .iter()
                .any(|(from, to)| (*from..=*to).contains(&letter))
                != *negated
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_go() {
        for (pattern, name, expected) in [
            ("abc", "abc", Ok(true)),
            ("*", "abc", Ok(true)),
            ("*c", "abc", Ok(true)),
            ("a*", "ab", Ok(true)),
            ("a*b*c*d", "axbxcxd", Ok(true)),
            ("a*b?c*x", "abxbbxdbxebxczzx", Ok(true)),
            ("a*b?c*x", "abxbbxdbxebxczzy", Ok(false)),
            ("ab[c]", "abc", Ok(true)),
            ("ab[b-d]", "abc", Ok(true)),
            ("ab[^b-d]", "abc", Ok(false)),
            ("a\\*b", "a*b", Ok(true)),
            ("a\\*b", "ab", Ok(false)),
            ("a?b", "a\u{263a}b", Ok(true)),
            ("[\\]a]", "]", Ok(true)),
            ("[]a]", "]", Err(BadPattern)),
            ("[-]", "-", Err(BadPattern)),
            ("[a-", "a", Err(BadPattern)),
            ("[", "a", Err(BadPattern)),
            ("a\\", "a", Err(BadPattern)),
            ("*x", "xxx", Ok(true)),
            ("", "", Ok(true)),
        ] {
            let found = matches(pattern.as_bytes(), name.as_bytes());
            assert_eq!(found, expected, "{pattern} {name}");
        }
    }
}
