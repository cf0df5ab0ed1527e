#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

fn variables() -> BTreeMap<String, String> {
    let all = [
        ("PWD", "/home"),
        ("SHELL", "bash"),
        ("EMPTY", ""),
        ("LIST", "a b  c"),
        ("FILE", "foo/bar/baz.tar.gz"),
        ("X_1", "under"),
    ];
    all.map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

fn word(text: &str) -> Result<String, String> {
    let expanded = Lexer::new('\\').word(text, &variables());
    expanded.map(|e| e.text).map_err(|e| e.reason)
}

#[test]
fn words_are_expanded() {
    let table = [
        ("", ""),
        ("he'll\\'o", "hell\\o"),
        ("'he$PWD'", "he$PWD"),
        ("\"he$PWD\\\"\"", "he/home\""),
        ("\"\\a\\$PWD\\\\\"", "\\a$PWD\\"),
        ("he\\$PWD", "he$PWD"),
        ("a\\", "a"),
        ("$", "$"),
        ("$ x", "$ x"),
        ("$1a", "a"),
        ("$PWD.x", "/home.x"),
        ("${PWD}x$X_1", "/homexunder"),
        ("$NONE|${NONE}", "|"),
        ("${NONE:-a${PWD}b}", "a/homeb"),
        ("${NONE-x}${EMPTY-x}${EMPTY:-y}", "xy"),
        ("${PWD:+set}${EMPTY:+set}${EMPTY+set}${NONE+set}", "setset"),
        ("${PWD:?x}", "/home"),
        ("${FILE#*/}", "bar/baz.tar.gz"),
        ("${FILE##*/}", "baz.tar.gz"),
        ("${FILE%.*}", "foo/bar/baz.tar"),
        ("${FILE%%.*}", "foo/bar/baz"),
        ("${FILE#f?o\\/}", "bar/baz.tar.gz"),
        ("${FILE#x}", "foo/bar/baz.tar.gz"),
        ("${FILE/ba/BA}", "foo/BAr/baz.tar.gz"),
        ("${FILE//ba/BA}", "foo/BAr/BAz.tar.gz"),
        ("${FILE/b*./X}", "foo/Xgz"),
        ("${FILE//\\//$SHELL}", "foobashbarbashbaz.tar.gz"),
        ("${FILE//./$1}", "foo/bar/baztargz"),
    ];
    for (text, expected) in table {
        assert_eq!(word(text).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn what_is_wrong_is_told() {
    let table = [
        (
            "'x",
            "unexpected end of statement while looking for matching single-quote",
        ),
        (
            "\"x",
            "unexpected end of statement while looking for matching double-quote",
        ),
        ("${PWD", "unsupported modifier (\u{fffd}) in substitution"),
        ("${PWD:-x", "syntax error: missing '}'"),
        ("${PWD/x}", "syntax error: missing '/' in ${}"),
        ("${PWD/x/y", "syntax error: missing '}'"),
        ("${PWD:#x}", "unsupported modifier (:#) in substitution"),
        ("${PWD^x}", "unsupported modifier (^) in substitution"),
        ("${NONE:?}", "NONE: is not allowed to be unset"),
        ("${EMPTY:?}", "EMPTY: is not allowed to be empty"),
        ("${EMPTY:?say it}", "EMPTY: say it"),
        (
            "${PWD#\\a}",
            "invalid pattern (\\a) in substitution: invalid escape '\\a'",
        ),
    ];
    for (text, expected) in table {
        assert_eq!(
            word(text).as_ref().map_err(String::as_str),
            Err(expected),
            "{text}"
        );
    }
    let deep = "${A:-".repeat(1000) + &"}".repeat(1000);
    assert_eq!(word(&deep), Err("variables are nested too deeply".into()));
}

#[test]
fn words_are_split_outside_of_quotes() {
    let split = |text: &str| Lexer::new('\\').words(text, &variables()).unwrap();
    assert_eq!(
        split("a  'b c' \"d $PWD\" e\\ f"),
        ["a", "b c", "d /home", "e f"]
    );
    assert_eq!(split("x$LIST"), ["xa", "b", "c"]);
    assert_eq!(split("\"$LIST\""), ["a b  c"]);
    assert!(split("  $NONE ").is_empty());
}

#[test]
fn raw_words_stay_as_they_are() {
    let raw = Lexer::new('\\').raw();
    let text = r#"a\ b "c \" d" '$e' $NONE ${NONE:-x}"#;
    assert_eq!(raw.word(text, &()).unwrap().text, text);
    let words = raw.words(text, &()).unwrap();
    assert_eq!(
        words,
        [r"a\ b", r#""c \" d""#, "'$e'", "$NONE", "${NONE:-x}"]
    );
}

#[test]
fn it_is_known_which_variables_were_there() {
    let expanded = Lexer::new('\\')
        .word("$PWD ${NONE:-$OTHER}", &variables())
        .unwrap();
    assert_eq!(expanded.set, ["PWD".to_owned()].into());
    assert_eq!(
        expanded.unset,
        ["NONE".to_owned(), "OTHER".to_owned()].into()
    );
}

#[test]
fn another_escape_character_leaves_the_backslash_alone() {
    let text = Lexer::new('`').word("c:\\x`$y", &()).unwrap().text;
    assert_eq!(text, "c:\\x$y");
}
