//! Giving memory back to the kernel, for processes that wait for days.

use std::io;

/// Returns what the allocator keeps of freed memory to the kernel.
pub fn trim_heap() {
    // SAFETY: changes nothing that is in use.
    unsafe { libc::malloc_trim(0) };
}

/// Unmaps the resident pages of the program's own file that can't have been written: code, and constants that need no
/// relocation. What is used again comes back from the page cache; what only the start needed is not counted to
/// the process any more.
///
/// # Errors
/// When `/proc` is not there.
pub fn release_code() -> io::Result<()> {
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    // The first two mappings of the file are the constants (`r--p`, offset 0) and the code (`r-xp`); what follows
    // is data, in which relocations have been written.
    for line in maps.lines().take(2) {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let (access, offset) = (fields.next().unwrap_or(""), fields.next().unwrap_or(""));
        let constant = access == "r-xp" || (access == "r--p" && offset == "00000000");
        if let (true, Some((start, end))) = (constant, range(line)) {
            let address = std::ptr::with_exposed_provenance_mut(start);
            // SAFETY: a private mapping of a file that was never writable: its pages are those of the file, and
            // come back the same when they are touched, small ones from now on.
            unsafe {
                libc::madvise(address, end - start, libc::MADV_NOHUGEPAGE);
                libc::madvise(address, end - start, libc::MADV_DONTNEED);
            };
        }
    }
    Ok(())
}

/// Gives back the pages of the main thread's stack that earlier, deeper calls have used. To be called from the main
/// thread; elsewhere it does nothing.
///
/// # Errors
/// When `/proc` is not there.
pub fn release_stack() -> io::Result<()> {
    /// More than this function and what it calls need, the red zone included.
    const IN_USE: usize = 32 * 1024;
    let marker = 0_u8;
    let here = (&raw const marker).addr();
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    let stack = maps
        .lines()
        .find(|line| line.ends_with("[stack]"))
        .and_then(range);
    if let Some((start, end)) = stack.filter(|(start, end)| (*start..*end).contains(&here)) {
        let free = (here - start.min(here)).saturating_sub(IN_USE) & !4095;
        debug_assert!(start + free < end, "below the current frame");
        // SAFETY: the pages end well below the frames in use; what is there is of calls that have returned.
        unsafe {
            libc::madvise(
                std::ptr::with_exposed_provenance_mut(start),
                free,
                libc::MADV_DONTNEED,
            )
        };
    }
    Ok(())
}

/// The addresses of a line of `/proc/self/maps`.
fn range(line: &str) -> Option<(usize, usize)> {
    let (start, end) = line.split_ascii_whitespace().next()?.split_once('-')?;
    Some((
        usize::from_str_radix(start, 16).ok()?,
        usize::from_str_radix(end, 16).ok()?,
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    #[test]
    fn the_program_goes_on_without_its_pages() {
        super::trim_heap();
        super::release_code().unwrap();
        super::release_stack().unwrap();
        assert_eq!(format!("{:?}", vec![1, 2, 3]), "[1, 2, 3]");
    }
}
