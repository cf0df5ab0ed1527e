//! How the allocator of a process with several threads behaves.

/// Lets threads share at most `arenas` heaps: fewer take less memory, more contend less.
///
/// Call it before the first thread is started.
pub fn limit_arenas(arenas: i32) {
    // SAFETY: changes a number that the allocator looks at when a thread first asks for memory.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, arenas) };
}
