//! Just enough of the tar format to pack a few small files (POSIX ustar).

const BLOCK: usize = 512;

/// An archive of files: name, mode, content.
pub(crate) fn archive(files: &[(&str, u32, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, mode, content) in files {
        bytes.extend_from_slice(&header(name, *mode, content.len()));
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    }
    bytes.resize(bytes.len() + 2 * BLOCK, 0);
    bytes
}

fn header(name: &str, mode: u32, size: usize) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, text: &[u8]| block[at..at + text.len()].copy_from_slice(text);
    put(0, name.as_bytes());
    put(100, format!("{mode:07o}").as_bytes());
    put(108, b"0000000");
    put(116, b"0000000");
    put(124, format!("{size:011o}").as_bytes());
    put(136, b"00000000000");
    // The checksum is that of the header with blanks in its place.
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_and_checksum() {
        let bytes = archive(&[("a", 0o644, b"hello")]);
        assert_eq!(bytes.len(), 4 * BLOCK);
        assert_eq!(&bytes[BLOCK..BLOCK + 5], b"hello");
        let sum: u32 = bytes[..148]
            .iter()
            .chain(&bytes[156..BLOCK])
            .map(|b| u32::from(*b))
            .sum();
        assert_eq!(&bytes[148..154], format!("{:06o}", sum + 8 * 32).as_bytes());
    }
}
