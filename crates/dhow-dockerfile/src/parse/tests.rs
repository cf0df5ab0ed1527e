#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::instruction::{HealthCommand, Source};

fn steps(text: &str) -> Vec<Instruction> {
    let parsed = parse(format!("FROM scratch\n{text}").as_bytes()).unwrap();
    let [stage] = <[Stage; 1]>::try_from(parsed.stages).unwrap();
    stage
        .steps
        .into_iter()
        .map(|step| step.instruction)
        .collect()
}

#[test]
fn stages_begin_with_from() {
    let parsed = parse(
        b"\xef\xbb\xbf# syntax=x\nARG V=1\n# base the first\nFROM --platform=$BUILDPLATFORM debian:$V AS Base\nRUN a\nFROM base\n",
    )
    .unwrap();
    assert_eq!(parsed.directives.syntax.as_deref(), Some("x"));
    assert_eq!(parsed.global_arguments().next().unwrap().name, "V");
    let [first, second] = <[Stage; 2]>::try_from(parsed.stages).unwrap();
    assert_eq!(first.name.as_deref(), Some("base"));
    assert_eq!(first.description.as_deref(), Some("the first"));
    assert_eq!(first.platform.as_deref(), Some("$BUILDPLATFORM"));
    assert_eq!(first.lines, Lines { first: 4, last: 4 });
    assert_eq!(second.base, "base");
}

#[test]
fn pairs_have_two_forms() {
    let all = steps("ENV a=\"b c\" d=e\\ f\nLABEL one two  three\n");
    let Instruction::Env(pairs) = &all[0] else {
        panic!()
    };
    assert_eq!(
        (pairs[0].value.as_str(), pairs[1].value.as_str()),
        ("\"b c\"", "e\\ f")
    );
    let Instruction::Label(pairs) = &all[1] else {
        panic!()
    };
    assert_eq!(
        (pairs[0].key.as_str(), pairs[0].value.as_str()),
        ("one", "two  three")
    );
    assert!(pairs[0].legacy);
}

#[test]
fn commands_are_words_or_lines() {
    let all = steps("CMD [\"a\", \"b c\"]\nCMD [a]\nENTRYPOINT\nSHELL [\"x\"]\nRUN  a  b \n");
    let line = |n: usize| match &all[n] {
        Instruction::Cmd(line) | Instruction::Entrypoint(line) => line.clone(),
        Instruction::Run(run) => run.command.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        (line(0).words, line(0).shell),
        (vec!["a".into(), "b c".into()], false)
    );
    assert_eq!((line(1).words, line(1).shell), (vec!["[a]".into()], true));
    assert_eq!(line(2).words, [""]);
    assert_eq!(line(4).words, ["a  b"]);
}

#[test]
fn sources_may_be_written_inline() {
    let all = steps(
        "COPY --from=x --exclude=*.a --exclude=b [\"a b\", \"c\"]\nADD --checksum=sha256:1 <<A y <<-\"B\" /z\n1\nA\n\t2\nB\n",
    );
    let Instruction::Copy(copy) = &all[0] else {
        panic!()
    };
    assert_eq!(copy.sources, [Source::Path("a b".into())]);
    assert_eq!(copy.exclude, ["*.a", "b"]);
    let Instruction::Add(add) = &all[1] else {
        panic!()
    };
    let Source::Inline(doc) = &add.sources[2] else {
        panic!()
    };
    assert_eq!((doc.text().as_str(), doc.expand), ("2\n", false));
    assert_eq!(add.sources[1], Source::Path("y".into()));
}

#[test]
fn checks_have_times() {
    let all = steps(
        "HEALTHCHECK --interval=1m30s --retries=3 CMD curl x\nHEALTHCHECK none\nHEALTHCHECK CMD [\"a\"]\n",
    );
    let Instruction::Healthcheck(check) = &all[0] else {
        panic!()
    };
    assert_eq!(check.interval.unwrap().as_secs(), 90);
    assert_eq!(check.command, Some(HealthCommand::Shell("curl x".into())));
    assert!(matches!(&all[1], Instruction::Healthcheck(check) if check.command.is_none()));
    let exec = Some(HealthCommand::Exec(vec!["a".into()]));
    assert!(matches!(&all[2], Instruction::Healthcheck(check) if check.command == exec));
}

#[test]
fn triggers_keep_their_text() {
    let all = steps("onbuild  COPY <<E /x\nhi\nE\n");
    assert_eq!(all, [Instruction::Onbuild("COPY <<E /x\nhi\nE".into())]);
}

#[test]
fn the_form_of_a_later_line_comes_before_the_meaning_of_an_earlier_one() {
    let error = parse(b"FROM scratch\nFOO\nENV a\n").unwrap_err();
    assert_eq!(error.to_string(), "ENV must have two arguments");
}
