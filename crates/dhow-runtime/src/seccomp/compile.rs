//! From a profile to a BPF program.
//!
//! The program looks at the architecture, jumps to its part, and finds the call's number by binary search over
//! *segments*: ranges of numbers with the same outcome. A segment ends in an action, or in the tests of the arguments
//! of one call. Rules are read as libseccomp reads them: one without conditions beats those with conditions for the
//! same call; several conditions of a rule must all hold, unless two are about the same argument, which makes each of
//! them a rule of its own (as runc does).

use std::collections::BTreeMap;

use dhow_sys::seccomp::{Instruction, flag};

use super::Error;
use super::table::{Column, Table};
use crate::spec::{
    LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompFilterFlag,
    LinuxSeccompOperator, LinuxSyscall,
};

/// A compiled profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Program {
    /// What the kernel runs.
    pub(crate) instructions: Vec<Instruction>,
    /// `SECCOMP_FILTER_FLAG_*`.
    pub(crate) flags: u32,
}

const KILL: u32 = 0;
const X32_BIT: u32 = 0x4000_0000;

/// What is to happen with a call.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    /// This, whatever the arguments.
    Action(u32),
    /// The action of the first rule whose conditions hold, else the default.
    Tests(Vec<(Vec<LinuxSeccompArg>, u32)>),
}

/// Compiles `profile`.
pub(crate) fn compile(profile: &LinuxSeccomp) -> Result<Program, Error> {
    let default = action(profile.default_action(), profile.default_errno_ret())?;
    let mut columns = vec![Column::native()];
    for arch in profile.architectures().iter().flatten() {
        // Calls of an architecture we have no numbers for can't come from a program on this machine.
        if let Some(column) = Column::of(*arch)
            && !columns.contains(&column)
        {
            columns.push(column);
        }
    }
    let table = Table::new();
    let mut parts: BTreeMap<u32, Vec<(Column, Vec<Instruction>)>> = BTreeMap::new();
    for column in columns {
        let outcomes = outcomes(profile, &table, column, default)?;
        let code = search(&segments(&outcomes, default), default, column);
        parts
            .entry(column.audit())
            .or_default()
            .push((column, code));
    }
    let mut instructions = vec![load(4)];
    for (audit, codes) in parts {
        let code = of_architecture(codes, default);
        // A part may be too far to be jumped over by a conditional jump.
        instructions.push(jump(EQUAL, audit, 1, 0));
        instructions.push(skip(code.len()));
        instructions.extend(code);
    }
    instructions.push(give(KILL));
    if instructions.len() > 4096 {
        return Err(Error::Invalid(
            "the seccomp profile is too large for the kernel".into(),
        ));
    }
    Ok(Program {
        instructions,
        flags: flags(profile),
    })
}

fn flags(profile: &LinuxSeccomp) -> u32 {
    match profile.flags() {
        // Without a word runc allows speculation, whose cost is high and which a filter does not make worse.
        None => flag::SPEC_ALLOW,
        Some(list) => list.iter().fold(0, |flags, one| {
            flags
                | match one {
                    LinuxSeccompFilterFlag::SeccompFilterFlagLog => flag::LOG,
                    LinuxSeccompFilterFlag::SeccompFilterFlagTsync => flag::TSYNC,
                    LinuxSeccompFilterFlag::SeccompFilterFlagSpecAllow => flag::SPEC_ALLOW,
                    LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv => {
                        flag::WAIT_KILLABLE_RECV
                    }
                }
        }),
    }
}

fn action(action: LinuxSeccompAction, errno: Option<u32>) -> Result<u32, Error> {
    let data = errno.unwrap_or(1) & 0xffff;
    Ok(match action {
        LinuxSeccompAction::ScmpActKill | LinuxSeccompAction::ScmpActKillThread => KILL,
        LinuxSeccompAction::ScmpActKillProcess => 0x8000_0000,
        LinuxSeccompAction::ScmpActTrap => 0x0003_0000,
        LinuxSeccompAction::ScmpActErrno => 0x0005_0000 | data,
        LinuxSeccompAction::ScmpActTrace => 0x7ff0_0000 | data,
        LinuxSeccompAction::ScmpActLog => 0x7ffc_0000,
        LinuxSeccompAction::ScmpActAllow => 0x7fff_0000,
        LinuxSeccompAction::ScmpActNotify => {
            return Err(Error::Invalid(
                "SCMP_ACT_NOTIFY is not supported yet".into(),
            ));
        }
    })
}

/// What is to happen with each call of an architecture, where it is not the default.
fn outcomes(
    profile: &LinuxSeccomp,
    table: &Table,
    column: Column,
    default: u32,
) -> Result<BTreeMap<u32, Outcome>, Error> {
    let mut outcomes = BTreeMap::new();
    for rule in profile.syscalls().iter().flatten() {
        let value = action(rule.action(), rule.errno_ret())?;
        if value == default {
            continue;
        }
        let conditions = conditions(rule)?;
        for name in rule.names() {
            if let Some(number) = table.number(name, column) {
                add(&mut outcomes, number, &conditions, value);
            }
        }
    }
    Ok(outcomes)
}

fn add(
    outcomes: &mut BTreeMap<u32, Outcome>,
    number: u32,
    conditions: &[Vec<LinuxSeccompArg>],
    value: u32,
) {
    let entry = outcomes.entry(number);
    if conditions.is_empty() {
        let outcome = entry.or_insert(Outcome::Action(value));
        if matches!(outcome, Outcome::Tests(_)) {
            *outcome = Outcome::Action(value);
        }
        return;
    }
    if let Outcome::Tests(tests) = entry.or_insert_with(|| Outcome::Tests(Vec::new())) {
        tests.extend(
            conditions
                .iter()
                .map(|conditions| (conditions.clone(), value)),
        );
    }
}

/// The alternatives of a rule, each a list of conditions that must all hold.
fn conditions(rule: &LinuxSyscall) -> Result<Vec<Vec<LinuxSeccompArg>>, Error> {
    let arguments = rule.args().clone().unwrap_or_default();
    if let Some(wrong) = arguments.iter().find(|argument| argument.index() > 5) {
        return Err(Error::Invalid(format!(
            "a system call has no argument {}",
            wrong.index()
        )));
    }
    if arguments.is_empty() {
        return Ok(Vec::new());
    }
    let twice = (0..6).any(|index| {
        arguments
            .iter()
            .filter(|argument| argument.index() == index)
            .count()
            > 1
    });
    if twice {
        return Ok(arguments
            .into_iter()
            .map(|argument| vec![argument])
            .collect());
    }
    Ok(vec![arguments])
}

/// Ranges with the same outcome, each by its first number; the first range begins at 0.
fn segments(outcomes: &BTreeMap<u32, Outcome>, default: u32) -> Vec<(u32, Outcome)> {
    let mut segments = vec![(0, Outcome::Action(default))];
    let mut put = |start: u32, outcome: Outcome| match segments.last_mut() {
        Some((_, last)) if *last == outcome => {}
        Some((at, last)) if *at == start => *last = outcome,
        _ => segments.push((start, outcome)),
    };
    let mut next = 0;
    for (number, outcome) in outcomes {
        if *number > next {
            put(next, Outcome::Action(default));
        }
        put(*number, outcome.clone());
        next = number + 1;
    }
    put(next, Outcome::Action(default));
    segments
}

/// The code that finds the segment of the number in the accumulator.
fn search(segments: &[(u32, Outcome)], default: u32, column: Column) -> Vec<Instruction> {
    if let [(_, outcome)] = segments {
        return match outcome {
            Outcome::Action(value) => vec![give(*value)],
            Outcome::Tests(tests) => test(tests, default, column),
        };
    }
    let (low, high) = segments.split_at(segments.len() / 2);
    let code = search(low, default, column);
    let mut whole = match u8::try_from(code.len()) {
        Ok(length) => vec![jump(AT_LEAST, high[0].0, length, 0)],
        Err(_) => vec![jump(AT_LEAST, high[0].0, 0, 1), skip(code.len())],
    };
    whole.extend(code);
    whole.extend(search(high, default, column));
    whole
}

/// The two architectures of x86-64 differ by a bit of the number.
fn of_architecture(codes: Vec<(Column, Vec<Instruction>)>, default: u32) -> Vec<Instruction> {
    let mut whole = vec![load(0)];
    let is_x86 = codes
        .iter()
        .any(|(column, _)| matches!(column, Column::X86_64 | Column::X32));
    if !is_x86 {
        whole.extend(codes.into_iter().flat_map(|(_, code)| code));
        return whole;
    }
    let of = |wanted| {
        codes
            .iter()
            .find(|(column, _)| *column == wanted)
            .map(|(_, code)| code.clone())
    };
    // The number -1 means that a tracer has skipped the call; it is none of x32's.
    let x32 = match of(Column::X32) {
        Some(code) => {
            let mut x32 = vec![subtract(X32_BIT)];
            x32.extend(code);
            x32
        }
        None => vec![jump(EQUAL, u32::MAX, 0, 1), give(default), give(KILL)],
    };
    whole.push(jump(AT_LEAST, X32_BIT, 1, 0));
    whole.push(skip(x32.len()));
    whole.extend(x32);
    whole.extend(of(Column::X86_64).unwrap_or_else(|| vec![give(KILL)]));
    whole
}

/// The code that tries the rules of one call.
fn test(tests: &[(Vec<LinuxSeccompArg>, u32)], default: u32, column: Column) -> Vec<Instruction> {
    let mut code = Vec::new();
    for (conditions, value) in tests {
        let mut rule: Vec<Jump> = Vec::new();
        for condition in conditions {
            rule.extend(compare(condition, column));
        }
        let length = rule.len();
        for (at, one) in rule.into_iter().enumerate() {
            code.push(one.resolve(length - at));
        }
        code.push(give(*value));
    }
    code.push(give(default));
    code
}

/// An instruction of a comparison, whose jumps are not known before the whole rule is.
struct Jump {
    instruction: Instruction,
    on_true: To,
    on_false: To,
}

/// Where to go on.
#[derive(Clone, Copy)]
enum To {
    Next,
    /// Over the rest of this comparison, which holds.
    Over(u8),
    /// Past the rule, which does not apply.
    Fail,
}

impl Jump {
    fn resolve(self, to_end: usize) -> Instruction {
        // Six comparisons of at most seven instructions: always near enough.
        let past = u8::try_from(to_end).unwrap_or(u8::MAX);
        let offset = |to| match to {
            To::Next => 0,
            To::Over(count) => count,
            To::Fail => past,
        };
        let (jump_true, jump_false) = (offset(self.on_true), offset(self.on_false));
        Instruction {
            jump_true,
            jump_false,
            ..self.instruction
        }
    }
}

fn plain(instruction: Instruction) -> Jump {
    Jump {
        instruction,
        on_true: To::Next,
        on_false: To::Next,
    }
}

fn when(operation: u16, k: u32, on_true: To, on_false: To) -> Jump {
    Jump {
        instruction: jump(operation, k, 0, 0),
        on_true,
        on_false,
    }
}

/// The code for one condition; it goes on behind its end where the condition holds.
fn compare(condition: &LinuxSeccompArg, column: Column) -> Vec<Jump> {
    let at = 16 + 8 * u32::try_from(condition.index()).unwrap_or(0);
    let (low, high) = if cfg!(target_endian = "little") {
        (at, at + 4)
    } else {
        (at + 4, at)
    };
    let (value_low, value_high) = halves(condition.value());
    let other = halves(condition.value_two().unwrap_or(0));
    let wide = column.is_wide();
    let mut code = Vec::new();
    if condition.op() == LinuxSeccompOperator::ScmpCmpMaskedEq {
        if wide {
            code.extend([plain(load(high)), plain(and(value_high))]);
            code.push(when(EQUAL, other.1 & value_high, To::Next, To::Fail));
        }
        code.extend([plain(load(low)), plain(and(value_low))]);
        code.push(when(EQUAL, other.0 & value_low, To::Next, To::Fail));
        return code;
    }
    let (operation, holds) = match condition.op() {
        LinuxSeccompOperator::ScmpCmpEq => (EQUAL, true),
        LinuxSeccompOperator::ScmpCmpNe => (EQUAL, false),
        LinuxSeccompOperator::ScmpCmpGt => (GREATER, true),
        LinuxSeccompOperator::ScmpCmpLe => (GREATER, false),
        LinuxSeccompOperator::ScmpCmpGe => (AT_LEAST, true),
        LinuxSeccompOperator::ScmpCmpLt | LinuxSeccompOperator::ScmpCmpMaskedEq => {
            (AT_LEAST, false)
        }
    };
    let outcome = |yes: bool, over: u8| {
        if yes == holds {
            To::Over(over)
        } else {
            To::Fail
        }
    };
    if wide {
        // The high half decides, unless it is the same.
        code.push(plain(load(high)));
        if operation == EQUAL {
            code.push(when(EQUAL, value_high, To::Next, outcome(false, 2)));
        } else {
            code.push(when(GREATER, value_high, outcome(true, 3), To::Next));
            code.push(when(EQUAL, value_high, To::Next, outcome(false, 2)));
        }
    }
    code.push(plain(load(low)));
    code.push(when(
        operation,
        value_low,
        outcome(true, 0),
        outcome(false, 0),
    ));
    code
}

fn halves(value: u64) -> (u32, u32) {
    let low = u32::try_from(value & 0xffff_ffff).unwrap_or(0);
    let high = u32::try_from(value >> 32).unwrap_or(0);
    (low, high)
}

// BPF_JMP | BPF_K with the comparison.
const EQUAL: u16 = 0x15;
const GREATER: u16 = 0x25;
const AT_LEAST: u16 = 0x35;

fn jump(operation: u16, k: u32, jump_true: u8, jump_false: u8) -> Instruction {
    Instruction {
        code: operation,
        jump_true,
        jump_false,
        k,
    }
}

fn skip(count: usize) -> Instruction {
    // BPF_JMP | BPF_JA
    plain_instruction(0x05, u32::try_from(count).unwrap_or(u32::MAX))
}

fn load(offset: u32) -> Instruction {
    // BPF_LD | BPF_W | BPF_ABS: the number is at 0, the architecture at 4, the arguments from 16 on.
    plain_instruction(0x20, offset)
}

fn and(mask: u32) -> Instruction {
    plain_instruction(0x54, mask)
}

fn subtract(value: u32) -> Instruction {
    plain_instruction(0x14, value)
}

fn give(value: u32) -> Instruction {
    plain_instruction(0x06, value)
}

fn plain_instruction(code: u16, k: u32) -> Instruction {
    Instruction {
        code,
        jump_true: 0,
        jump_false: 0,
        k,
    }
}

#[cfg(test)]
mod tests;
