//! The numbers of the system calls on the architectures we know.
//!
//! The table is made from the kernel's headers (up to Linux 6.17). A call that is added here is allowed by the default
//! policy unless `policy` refuses it; a test there holds the highest number that has been looked at.

use crate::spec::Arch;

/// The table: a line for each call, a column for each architecture, `-` where it does not exist.
const TABLE: &str = include_str!("syscalls.tsv");

/// An architecture with a column in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    X86_64,
    I386,
    X32,
    Aarch64,
    Arm,
}

impl Column {
    /// The column of an architecture of the specification; `None` for one we have no numbers for.
    pub(super) fn of(arch: Arch) -> Option<Self> {
        Some(match arch {
            Arch::ScmpArchNative => Self::native(),
            Arch::ScmpArchX86_64 => Self::X86_64,
            Arch::ScmpArchX86 => Self::I386,
            Arch::ScmpArchX32 => Self::X32,
            Arch::ScmpArchAarch64 => Self::Aarch64,
            Arch::ScmpArchArm => Self::Arm,
            _ => return None,
        })
    }

    /// The one this program runs on.
    pub(super) fn native() -> Self {
        if cfg!(target_arch = "aarch64") {
            Self::Aarch64
        } else {
            Self::X86_64
        }
    }

    /// `AUDIT_ARCH_*`, by which the kernel tells them apart; x32 shares its with x86-64.
    pub(super) fn audit(self) -> u32 {
        match self {
            Self::X86_64 | Self::X32 => 0xc000_003e,
            Self::I386 => 0x4000_0003,
            Self::Aarch64 => 0xc000_00b7,
            Self::Arm => 0x4000_0028,
        }
    }

    /// Whether arguments have 64 bits.
    pub(super) fn is_wide(self) -> bool {
        !matches!(self, Self::I386 | Self::Arm)
    }

    fn index(self) -> usize {
        match self {
            Self::X86_64 => 1,
            Self::I386 => 2,
            Self::X32 => 3,
            Self::Aarch64 => 4,
            Self::Arm => 5,
        }
    }
}

/// The table, ready for looking up.
pub(super) struct Table {
    lines: Vec<(&'static str, &'static str)>,
}

impl Table {
    /// Reads the table.
    pub(super) fn new() -> Self {
        let lines = TABLE
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once('\t'))
            .collect();
        Self { lines }
    }

    /// The number of the call `name`.
    pub(super) fn number(&self, name: &str, column: Column) -> Option<u32> {
        let at = self
            .lines
            .binary_search_by(|(known, _)| (*known).cmp(name))
            .ok()?;
        self.lines[at]
            .1
            .split('\t')
            .nth(column.index() - 1)?
            .parse()
            .ok()
    }

    /// All the names.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.lines.iter().map(|(name, _)| *name)
    }

    /// The highest number of a column.
    #[cfg(test)]
    pub(super) fn highest(&self, column: Column) -> u32 {
        self.names()
            .filter_map(|name| self.number(name, column))
            .max()
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_have_the_numbers_of_their_architecture() {
        let table = Table::new();
        assert_eq!(table.number("read", Column::X86_64), Some(0));
        assert_eq!(table.number("read", Column::I386), Some(3));
        assert_eq!(table.number("read", Column::Aarch64), Some(63));
        assert_eq!(table.number("ioctl", Column::X32), Some(514));
        assert_eq!(table.number("open", Column::Aarch64), None);
        assert_eq!(table.number("nonsense", Column::X86_64), None);
    }

    #[test]
    fn the_table_is_sorted() {
        let table = Table::new();
        let names: Vec<&str> = table.names().collect();
        assert!(names.is_sorted());
        assert!(names.len() > 450);
    }
}
