#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

#[test]
fn what_the_context_ignores_can_not_be_copied() {
    let ignore = IgnorePatterns::read(b"foo\n*.log\n!keep.log\ndir\n").unwrap();
    let facts = Facts {
        ignore: Some(&ignore),
        ..Facts::default()
    };
    let text = b"FROM scratch\nCOPY foo /\nADD a.log /\nCOPY keep.log /\nCOPY dir/x /\nCOPY . /\nCOPY --from=x foo /\nADD https://x/foo /\n";
    let parsed = crate::parse(text).unwrap();
    let settings = Settings::read("experimental=CopyIgnoredFile").unwrap();
    let found = check(&parsed, &facts, &settings);
    let shown: Vec<String> = found
        .iter()
        .map(|w| format!("{} {}", w.lines.first, w.message))
        .collect();
    assert_eq!(
        shown,
        [
            "2 Attempting to Copy file \"foo\" that is excluded by .dockerignore",
            "3 Attempting to Add file \"a.log\" that is excluded by .dockerignore",
            "5 Attempting to Copy file \"dir/x\" that is excluded by .dockerignore",
        ]
    );
}

#[test]
fn there_are_21_rules_with_pages_of_their_own() {
    let names: BTreeSet<&str> = RULES.iter().map(|rule| rule.name).collect();
    let pages: BTreeSet<&str> = RULES.iter().map(|rule| rule.page).collect();
    assert_eq!((names.len(), pages.len()), (21, 21));
}
