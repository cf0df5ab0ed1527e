//! The compiler, checked by running its programs as the kernel would.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::seccomp::default_profile;
use crate::spec::Capability;

const ALLOW: u32 = 0x7fff_0000;
const EPERM: u32 = 0x0005_0001;
const ENOSYS: u32 = 0x0005_0026;
const X86_64: u32 = 0xc000_003e;
const I386: u32 = 0x4000_0003;

/// Runs a program on a call.
fn run(program: &Program, arch: u32, number: u32, arguments: [u64; 6]) -> u32 {
    let word = |at: u32| -> u32 {
        match at {
            0 => number,
            4 => arch,
            _ => {
                let argument = arguments[usize::try_from((at - 16) / 8).unwrap()];
                let (low, high) = halves(argument);
                if at.is_multiple_of(8) { low } else { high }
            }
        }
    };
    let (mut at, mut a) = (0usize, 0u32);
    loop {
        let one = program.instructions[at];
        at += 1;
        let branch = |holds: bool| usize::from(if holds { one.jump_true } else { one.jump_false });
        match one.code {
            0x20 => a = word(one.k),
            0x54 => a &= one.k,
            0x14 => a = a.wrapping_sub(one.k),
            0x05 => at += usize::try_from(one.k).unwrap(),
            0x06 => return one.k,
            EQUAL => at += branch(a == one.k),
            GREATER => at += branch(a > one.k),
            AT_LEAST => at += branch(a >= one.k),
            other => panic!("unknown instruction {other:#x}"),
        }
    }
}

fn profile(json: &str) -> Program {
    compile(&serde_json::from_str(json).unwrap()).unwrap()
}

#[cfg(target_arch = "x86_64")]
#[test]
fn the_default_policy_lets_through_what_it_should() {
    let program = compile(&default_profile(&[Capability::SysChroot])).unwrap();
    let native = |number, first| run(&program, X86_64, number, [first, 0, 0, 0, 0, 0]);
    assert_eq!(native(0, 0), ALLOW, "read");
    assert_eq!(native(59, 0), ALLOW, "execve");
    assert_eq!(native(161, 0), ALLOW, "chroot");
    assert_eq!(native(165, 0), EPERM, "mount");
    assert_eq!(native(250, 0), EPERM, "keyctl");
    assert_eq!(native(425, 0), EPERM, "io_uring_setup");
    assert_eq!(native(435, 0), ENOSYS, "clone3");
    assert_eq!(native(9999, 0), EPERM, "unknown");
    assert_eq!(native(41, 2), ALLOW, "an internet socket");
    assert_eq!(native(41, 40), EPERM, "a hypervisor socket");
    assert_eq!(
        native(41, 40 | (1 << 32)),
        ALLOW,
        "what the kernel looks at has 64 bits"
    );
    assert_eq!(native(135, 0), ALLOW, "personality(0)");
    assert_eq!(
        native(135, 0xffff_ffff),
        ALLOW,
        "personality(-1) of 32 bits"
    );
    assert_eq!(native(135, 1), EPERM, "personality(1)");
    assert_eq!(native(56, 0x11), ALLOW, "a thread");
    assert_eq!(native(56, 0x1000_0000), EPERM, "a user namespace");
    // The other architectures of the machine.
    let call = |arch, number| run(&program, arch, number, [0; 6]);
    assert_eq!(call(I386, 3), ALLOW, "read of i386");
    assert_eq!(call(I386, 21), EPERM, "mount of i386");
    assert_eq!(call(X86_64, X32_BIT), ALLOW, "read of x32");
    assert_eq!(call(X86_64, X32_BIT + 165), EPERM, "mount of x32");
    assert_eq!(call(X86_64, X32_BIT + 514), ALLOW, "ioctl of x32");
    assert_eq!(call(X86_64, u32::MAX), EPERM, "skipped by a tracer");
    assert_eq!(call(0x1234, 0), KILL, "another machine");
    assert!(
        program.instructions.len() < 700,
        "{}",
        program.instructions.len()
    );
}

#[cfg(target_arch = "x86_64")]
#[test]
fn every_operator_compares_64_bits() {
    let big = (1u64 << 32) | 5;
    // operator, value, arguments for which it holds, arguments for which it does not
    type Case = (&'static str, u64, &'static [u64], &'static [u64]);
    let cases: &[Case] = &[
        (
            "EQ",
            big,
            &[(1 << 32) | 5],
            &[5, 4 | (1 << 32), 5 | (2 << 32)],
        ),
        (
            "NE",
            big,
            &[5, 4 | (1 << 32), 5 | (2 << 32)],
            &[(1 << 32) | 5],
        ),
        (
            "GT",
            big,
            &[6 | (1 << 32), 2 << 32, u64::MAX],
            &[(1 << 32) | 5, 5, 9, 0],
        ),
        ("GE", big, &[5 | (1 << 32), 2 << 32], &[4 | (1 << 32), 5, 0]),
        ("LT", big, &[4 | (1 << 32), 5, 0], &[5 | (1 << 32), 2 << 32]),
        ("LE", big, &[5 | (1 << 32), 5, 0], &[6 | (1 << 32), 2 << 32]),
    ];
    for (operator, value, holding, not) in cases {
        let program = profile(&format!(
            r#"{{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{{"names": ["read"],
            "action": "SCMP_ACT_ALLOW", "args": [{{"index": 2, "value": {value}, "op": "SCMP_CMP_{operator}"}}]}}]}}"#
        ));
        for argument in *holding {
            let result = run(&program, X86_64, 0, [0, 0, *argument, 0, 0, 0]);
            assert_eq!(result, ALLOW, "{operator} {argument:#x}");
        }
        for argument in *not {
            let result = run(&program, X86_64, 0, [0, 0, *argument, 0, 0, 0]);
            assert_eq!(result, EPERM, "{operator} {argument:#x}");
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn conditions_of_a_rule_all_hold_unless_about_one_argument() {
    let both = profile(
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ERRNO",
        "errnoRet": 38, "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"},
        {"index": 1, "value": 15, "valueTwo": 10, "op": "SCMP_CMP_MASKED_EQ"}]}]}"#,
    );
    assert_eq!(run(&both, X86_64, 0, [1, 0xfa, 0, 0, 0, 0]), ENOSYS);
    assert_eq!(run(&both, X86_64, 0, [1, 0xfb, 0, 0, 0, 0]), ALLOW);
    assert_eq!(run(&both, X86_64, 0, [2, 0xfa, 0, 0, 0, 0]), ALLOW);
    let either = profile(
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ERRNO",
        "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}, {"index": 0, "value": 2, "op": "SCMP_CMP_EQ"}]}]}"#,
    );
    for (argument, expected) in [(1, EPERM), (2, EPERM), (3, ALLOW)] {
        assert_eq!(run(&either, X86_64, 0, [argument, 0, 0, 0, 0, 0]), expected);
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn without_x32_its_calls_kill() {
    let program = profile(r#"{"defaultAction": "SCMP_ACT_ALLOW"}"#);
    assert_eq!(run(&program, X86_64, 0, [0; 6]), ALLOW);
    assert_eq!(run(&program, X86_64, X32_BIT, [0; 6]), KILL);
    assert_eq!(run(&program, I386, 0, [0; 6]), KILL);
}

#[test]
fn a_rule_without_conditions_beats_the_others() {
    let program = profile(
        r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
        {"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]},
        {"names": ["read"], "action": "SCMP_ACT_ALLOW"}]}"#,
    );
    let (arch, number) = if cfg!(target_arch = "aarch64") {
        (0xc000_00b7, 63)
    } else {
        (X86_64, 0)
    };
    assert_eq!(run(&program, arch, number, [7; 6]), ALLOW);
}

#[test]
fn impossible_arguments_are_refused() {
    let json = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"],
        "action": "SCMP_ACT_ERRNO", "args": [{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}]}]}"#;
    assert!(compile(&serde_json::from_str(json).unwrap()).is_err());
}
