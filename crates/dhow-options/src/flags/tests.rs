#![allow(clippy::unwrap_used, reason = "tests")]
use super::*;

const FLAGS: &[Flag] = &[
    Flag::switch("interactive", "").short('i'),
    Flag::switch("tty", "").short('t'),
    Flag::switch("sig-proxy", "").default("true"),
    Flag::list("env", "").short('e'),
    Flag::int("last", "").short('n').default("-1"),
    Flag::text("name", ""),
    Flag::new("mem", Kind::Uint(16), "uint16", "").short('m'),
    Flag::new("platform", Kind::Strings, "strings", ""),
];

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

fn read(line: &str) -> Parsed {
    match parse(&[FLAGS], false, &words(line)).unwrap() {
        Outcome::Parsed(parsed) => parsed,
        Outcome::Help(_) => panic!("help"),
    }
}

#[test]
fn every_spelling_of_a_flag_is_read() {
    let parsed = read("-it -e A=1 -eB=2 --env=C --env D --name=x -n3 image -d --foo");
    assert!(parsed.switch("interactive") && parsed.switch("tty") && parsed.switch("sig-proxy"));
    assert_eq!(parsed.list("env"), ["A=1", "B=2", "C", "D"]);
    assert_eq!((parsed.text("name"), parsed.int("last")), ("x", 3));
    assert_eq!(parsed.arguments, ["image", "-d", "--foo"]);
}

#[test]
fn defaults_and_negations_hold() {
    let parsed = read("--sig-proxy=false -t=false --platform a,b --platform c");
    assert!(!parsed.switch("sig-proxy") && !parsed.switch("tty"));
    assert!(parsed.changed("tty") && !parsed.changed("last"));
    assert_eq!(parsed.int("last"), -1);
    assert_eq!(parsed.list("platform"), ["a", "b", "c"]);
}

#[test]
fn numbers_may_say_their_base() {
    let parsed = read("-n 0x10 -m 010");
    assert_eq!((parsed.int("last"), parsed.uint("mem")), (16, 8));
}

#[test]
fn dashes_end_flags_and_stand_for_standard_input() {
    assert_eq!(read("-- -t --name").arguments, ["-t", "--name"]);
    let Outcome::Parsed(parsed) = parse(&[FLAGS], true, &words("a -t - b")).unwrap() else {
        panic!()
    };
    assert_eq!(parsed.arguments, ["a", "-", "b"]);
    assert!(parsed.switch("tty"));
}

#[test]
fn help_is_recognised() {
    assert!(matches!(
        parse(&[FLAGS], true, &words("--help")),
        Ok(Outcome::Help(false))
    ));
    assert!(matches!(
        parse(&[FLAGS], true, &words("-h")),
        Ok(Outcome::Help(true))
    ));
}

#[test]
fn errors_are_pflags() {
    for (line, text) in [
        ("--foo", "unknown flag: --foo"),
        ("--foo=1", "unknown flag: --foo"),
        ("-zt", "unknown shorthand flag: 'z' in -zt"),
        ("-tz", "unknown shorthand flag: 'z' in -z"),
        ("--name", "flag needs an argument: --name"),
        ("-te", "flag needs an argument: 'e' in -e"),
        ("--=x", "bad flag syntax: --=x"),
        (
            "--last=x",
            r#"invalid argument "x" for "-n, --last" flag: strconv.ParseInt: parsing "x": invalid syntax"#,
        ),
        (
            "--tty=x",
            r#"invalid argument "x" for "-t, --tty" flag: strconv.ParseBool: parsing "x": invalid syntax"#,
        ),
        (
            "-m 70000",
            r#"invalid argument "70000" for "-m, --mem" flag: strconv.ParseUint: parsing "70000": value out of range"#,
        ),
    ] {
        assert_eq!(
            parse(&[FLAGS], false, &words(line)).unwrap_err(),
            text,
            "{line}"
        );
    }
}
