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
        let mut fields = line.split_ascii_whitespace();
        let (range, access) = (fields.next().unwrap_or(""), fields.next().unwrap_or(""));
        let offset = fields.next().unwrap_or("");
        let constant = access == "r-xp" || (access == "r--p" && offset == "00000000");
        let ends = range.split_once('-').and_then(|(start, end)| {
            Some((usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?))
        });
        if let (true, Some((start, end))) = (constant, ends) {
            // SAFETY: a private mapping of a file that was never writable: its pages are those of the file, and
            // come back the same when they are touched.
            unsafe {
                libc::madvise(std::ptr::with_exposed_provenance_mut(start), end - start, libc::MADV_DONTNEED)
            };
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    #[test]
    fn the_program_goes_on_without_its_pages() {
        super::trim_heap();
        super::release_code().unwrap();
        assert_eq!(format!("{:?}", vec![1, 2, 3]), "[1, 2, 3]");
    }
}
