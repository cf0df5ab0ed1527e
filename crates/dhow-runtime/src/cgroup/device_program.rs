//! The device rules as a BPF program for v2.
//!
//! The kernel calls it with `struct bpf_cgroup_dev_ctx { u32 access_type; u32 major; u32 minor; }`, where the low half
//! of `access_type` is the kind (1 block, 2 character) and the high half the access (1 make, 2 read, 4 write). The
//! last rule that matches decides, so rules are tried from the last to the first; nothing matching means no.

use dhow_sys::bpf::Instruction;

use super::devices::{Access, Kind, Rule, is_about_all};

const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
const SCRATCH: u8 = 1;

/// Compiles the rules.
pub(super) fn compile(rules: &[Rule]) -> Vec<Instruction> {
    let mut program = vec![
        load(KIND, 0),
        and(KIND, 0xffff),
        load(ACCESS, 0),
        shift_right(ACCESS, 16),
        load(MAJOR, 4),
        load(MINOR, 8),
    ];
    let mut decided = false;
    for rule in rules.iter().rev() {
        let block = block(rule);
        program.extend(block);
        if is_about_all(rule) {
            decided = true;
            break;
        }
    }
    if !decided {
        program.extend([set(0, 0), EXIT]);
    }
    program
}

/// One rule: jumps over its end where something does not match.
fn block(rule: &Rule) -> Vec<Instruction> {
    let mut tests = Vec::new();
    match rule.kind {
        Kind::All => {}
        Kind::Block => tests.push(vec![jump_unless_equal(KIND, 1)]),
        Kind::Character => tests.push(vec![jump_unless_equal(KIND, 2)]),
    }
    if rule.access != Access::ALL {
        // An allow rule covers the access only if it has all of it; a deny rule if it has any of it.
        let mask = i32::from(rule.access.0);
        tests.push(if rule.allow {
            vec![
                copy(SCRATCH, ACCESS),
                and(SCRATCH, !mask),
                jump_unless_equal(SCRATCH, 0),
            ]
        } else {
            vec![
                copy(SCRATCH, ACCESS),
                and(SCRATCH, mask),
                jump_if_equal(SCRATCH, 0),
            ]
        });
    }
    let number = |register, number: Option<u32>| {
        number.map(|number| vec![jump_unless_equal(register, number.cast_signed())])
    };
    tests.extend(number(MAJOR, rule.major));
    tests.extend(number(MINOR, rule.minor));
    let mut block: Vec<Instruction> = tests.into_iter().flatten().collect();
    block.extend([set(0, i32::from(rule.allow)), EXIT]);
    let length = block.len();
    for (at, instruction) in block.iter_mut().enumerate() {
        if matches!(instruction.code, JUMP_NOT_EQUAL | JUMP_EQUAL) {
            instruction.offset = i16::try_from(length - at - 1).unwrap_or(i16::MAX);
        }
    }
    block
}

const JUMP_EQUAL: u8 = 0x15;
const JUMP_NOT_EQUAL: u8 = 0x55;
const EXIT: Instruction = Instruction {
    code: 0x95,
    registers: 0,
    offset: 0,
    immediate: 0,
};

fn load(register: u8, offset: i16) -> Instruction {
    // BPF_LDX | BPF_MEM | BPF_W from the context in r1
    Instruction {
        code: 0x61,
        registers: register | (1 << 4),
        offset,
        immediate: 0,
    }
}

fn and(register: u8, mask: i32) -> Instruction {
    // BPF_ALU | BPF_AND | BPF_K
    Instruction {
        code: 0x54,
        registers: register,
        offset: 0,
        immediate: mask,
    }
}

fn shift_right(register: u8, bits: i32) -> Instruction {
    // BPF_ALU | BPF_RSH | BPF_K
    Instruction {
        code: 0x74,
        registers: register,
        offset: 0,
        immediate: bits,
    }
}

fn copy(to: u8, from: u8) -> Instruction {
    // BPF_ALU | BPF_MOV | BPF_X
    Instruction {
        code: 0xbc,
        registers: to | (from << 4),
        offset: 0,
        immediate: 0,
    }
}

fn set(register: u8, value: i32) -> Instruction {
    // BPF_ALU64 | BPF_MOV | BPF_K
    Instruction {
        code: 0xb7,
        registers: register,
        offset: 0,
        immediate: value,
    }
}

fn jump_unless_equal(register: u8, value: i32) -> Instruction {
    Instruction {
        code: JUMP_NOT_EQUAL,
        registers: register,
        offset: 0,
        immediate: value,
    }
}

fn jump_if_equal(register: u8, value: i32) -> Instruction {
    Instruction {
        code: JUMP_EQUAL,
        registers: register,
        offset: 0,
        immediate: value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a program as the kernel would.
    fn run(program: &[Instruction], kind: u32, access: u32, major: u32, minor: u32) -> bool {
        let context = [kind | (access << 16), major, minor];
        let mut registers = [0i64; 11];
        let mut at = 0;
        loop {
            let one = program[at];
            let (to, from) = (
                usize::from(one.registers & 15),
                usize::from(one.registers >> 4),
            );
            let low = |value: i64| value & 0xffff_ffff;
            at += 1;
            match one.code {
                0x61 => {
                    registers[to] = i64::from(context[usize::from(one.offset.unsigned_abs()) / 4])
                }
                0x54 => registers[to] = low(registers[to] & i64::from(one.immediate)),
                0x74 => registers[to] = low(registers[to]) >> one.immediate,
                0xbc => registers[to] = low(registers[from]),
                0xb7 => registers[to] = i64::from(one.immediate),
                JUMP_EQUAL if registers[to] == i64::from(one.immediate) => {
                    at += usize::from(one.offset.unsigned_abs());
                }
                JUMP_NOT_EQUAL if registers[to] != i64::from(one.immediate) => {
                    at += usize::from(one.offset.unsigned_abs());
                }
                JUMP_EQUAL | JUMP_NOT_EQUAL => {}
                0x95 => return registers[0] == 1,
                other => panic!("unknown instruction {other:#x}"),
            }
        }
    }

    #[test]
    fn the_last_rule_that_matches_decides() {
        let rule = |allow, kind, major, minor, access| Rule {
            allow,
            kind,
            major,
            minor,
            access,
        };
        let read_write = Access(Access::READ.0 | Access::WRITE.0);
        let rules = [
            rule(false, Kind::All, None, None, Access::ALL),
            rule(true, Kind::Character, None, None, Access::MAKE),
            rule(true, Kind::Character, Some(1), Some(3), Access::ALL),
            rule(true, Kind::Block, Some(8), None, read_write),
            rule(false, Kind::Block, Some(8), Some(1), Access::WRITE),
        ];
        let program = compile(&rules);
        assert!(run(&program, 2, 2, 1, 3), "read /dev/null");
        assert!(run(&program, 2, 1, 200, 200), "make any character device");
        assert!(!run(&program, 2, 2, 200, 200), "read any character device");
        assert!(run(&program, 1, 6, 8, 0), "read and write a disk");
        assert!(!run(&program, 1, 1, 8, 0), "make a disk");
        assert!(run(&program, 1, 2, 8, 1), "read the partition");
        assert!(!run(&program, 1, 6, 8, 1), "write the partition");
        assert!(!run(&program, 1, 2, 7, 0), "another disk");
    }

    #[test]
    fn allowing_all_is_two_instructions_after_the_loads() {
        let all = Rule {
            allow: true,
            kind: Kind::All,
            major: None,
            minor: None,
            access: Access::ALL,
        };
        let program = compile(&[all]);
        assert_eq!(program.len(), 8);
        assert!(run(&program, 1, 7, 8, 0));
    }
}
