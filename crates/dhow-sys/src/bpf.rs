//! Loading a device program and attaching it to a v2 cgroup.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::call::check;

/// One instruction of extended BPF (`struct bpf_insn`).
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// The operation.
    pub code: u8,
    /// Destination register in the low, source register in the high four bits.
    pub registers: u8,
    /// Jump or memory offset.
    pub offset: i16,
    /// The operand.
    pub immediate: i32,
}

#[repr(C)]
#[derive(Default)]
struct LoadAttributes {
    program_type: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buffer: u64,
    kernel_version: u32,
    flags: u32,
}

#[repr(C)]
#[derive(Default)]
struct AttachAttributes {
    target: u32,
    program: u32,
    attach_type: u32,
    flags: u32,
    replaced: u32,
}

const CGROUP_DEVICE_PROGRAM: u32 = 15;
const CGROUP_DEVICE_ATTACH: u32 = 6;
const ALLOW_MULTI: u32 = 2;

/// Loads a program of the type `BPF_PROG_TYPE_CGROUP_DEVICE`.
///
/// # Errors
/// The kernel's: `EINVAL`/`EACCES` where the verifier refuses it, `ENOSYS` where there is no BPF.
pub fn load_device_program(instructions: &[Instruction]) -> io::Result<OwnedFd> {
    let attributes = LoadAttributes {
        program_type: CGROUP_DEVICE_PROGRAM,
        count: u32::try_from(instructions.len()).map_err(io::Error::other)?,
        instructions: instructions.as_ptr().addr() as u64,
        license: c"Apache-2.0".as_ptr().addr() as u64,
        ..LoadAttributes::default()
    };
    // SAFETY: BPF_PROG_LOAD (5) reads the attributes of the size told, the instructions and the license, all alive.
    let fd = check(unsafe {
        libc::syscall(
            libc::SYS_bpf,
            5,
            &raw const attributes,
            size_of::<LoadAttributes>(),
        )
    })?;
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the result is a new descriptor (close-on-exec) nobody else knows.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Attaches a device program to the v2 cgroup whose directory is `cgroup`, beside others that are there.
///
/// # Errors
/// The kernel's.
pub fn attach_device_program(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    attach_call(8, cgroup, program, ALLOW_MULTI)
}

/// Detaches a device program attached before.
///
/// # Errors
/// The kernel's.
pub fn detach_device_program(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    attach_call(9, cgroup, program, 0)
}

/// The device programs attached to a v2 cgroup itself.
///
/// # Errors
/// The kernel's.
pub fn device_programs(cgroup: BorrowedFd<'_>) -> io::Result<Vec<OwnedFd>> {
    #[repr(C)]
    #[derive(Default)]
    struct QueryAttributes {
        target: u32,
        attach_type: u32,
        query_flags: u32,
        attach_flags: u32,
        ids: u64,
        count: u32,
    }
    let mut ids = [0u32; 64];
    let mut query = QueryAttributes {
        target: cgroup.as_raw_fd().unsigned_abs(),
        attach_type: CGROUP_DEVICE_ATTACH,
        ids: ids.as_mut_ptr().addr() as u64,
        count: 64,
        ..QueryAttributes::default()
    };
    // SAFETY: BPF_PROG_QUERY (16) writes at most `count` ids to `ids`, which outlives the call.
    check(unsafe {
        libc::syscall(
            libc::SYS_bpf,
            16,
            &raw mut query,
            size_of::<QueryAttributes>(),
        )
    })?;
    let count = usize::try_from(query.count).map_err(io::Error::other)?;
    ids.iter()
        .take(count)
        .map(|id| program_by_id(*id))
        .collect()
}

fn program_by_id(id: u32) -> io::Result<OwnedFd> {
    let attributes = [id, 0, 0];
    // SAFETY: BPF_PROG_GET_FD_BY_ID (13) reads the id, the next id (unused) and the flags.
    let fd = check(unsafe { libc::syscall(libc::SYS_bpf, 13, &raw const attributes, 12) })?;
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the result is a new descriptor nobody else knows.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn attach_call(
    command: i32,
    cgroup: BorrowedFd<'_>,
    program: BorrowedFd<'_>,
    flags: u32,
) -> io::Result<()> {
    let attributes = AttachAttributes {
        target: cgroup.as_raw_fd().unsigned_abs(),
        program: program.as_raw_fd().unsigned_abs(),
        attach_type: CGROUP_DEVICE_ATTACH,
        flags,
        replaced: 0,
    };
    // SAFETY: BPF_PROG_ATTACH (8) and BPF_PROG_DETACH (9) read the attributes of the size told, which are alive.
    check(unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            &raw const attributes,
            size_of::<AttachAttributes>(),
        )
    })
    .map(drop)
}
