//! Streams as they are when decompressed, whichever of tar's usual compressions they have.

use std::io::{self, BufRead, Read};

/// The most memory that an xz stream may want, in KiB: what `xz -9` wants, several times.
const MOST_MEMORY_KIB: u32 = 256 << 10;
/// The largest window of a zstd stream, as a power of two.
const ZSTD_WINDOW: u32 = 27;

/// What `stream` is when decompressed: told by its first bytes, gzip, bzip2, xz or zstd, in one piece or several; else
/// itself. The memory that a stream may ask for is bounded; how much comes out of it is not.
///
/// # Errors
/// When it can't be read. One that is damaged fails when it is read.
pub fn decompressed<'a>(mut stream: impl BufRead + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let head = stream.fill_buf()?;
    Ok(match head {
        [0x1f, 0x8b, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(stream)),
        [b'B', b'Z', b'h', ..] => Box::new(bzip2::bufread::MultiBzDecoder::new(stream)),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Box::new(lzma_rust2::XzReader::new_mem_limit(
            stream,
            true,
            MOST_MEMORY_KIB,
        )),
        head if is_zstd(head) => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(stream)?;
            decoder.window_log_max(ZSTD_WINDOW)?;
            Box::new(decoder)
        }
        _ => Box::new(stream),
    })
}

/// Also a skippable frame, with which seekable streams may begin.
fn is_zstd(head: &[u8]) -> bool {
    match head {
        [0x28, 0xb5, 0x2f, 0xfd, ..] => true,
        [first, 0x2a, 0x4d, 0x18, ..] => first & 0xf0 == 0x50,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::io::Write;

    use super::*;

    /// `text` in every form, `hello\n` of `xz -9` among them.
    fn forms(text: &[u8]) -> Vec<Vec<u8>> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(text).unwrap();
        let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::best());
        bzip2.write_all(text).unwrap();
        vec![
            text.to_vec(),
            gzip.finish().unwrap(),
            bzip2.finish().unwrap(),
            zstd::stream::encode_all(text, 3).unwrap(),
        ]
    }

    fn read(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        decompressed(bytes)?.read_to_end(&mut out)?;
        Ok(out)
    }

    #[test]
    fn every_compression_is_undone_also_in_pieces() {
        let text = b"some text that is long enough to be something".repeat(1000);
        for form in forms(&text) {
            assert_eq!(read(&form).unwrap(), text);
            if form != text {
                let twice = [form.clone(), form].concat();
                assert_eq!(read(&twice).unwrap(), [text.clone(), text.clone()].concat());
            }
        }
        assert_eq!(read(&[]).unwrap(), b"");
    }

    #[test]
    fn xz_is_undone() {
        assert_eq!(read(XZ).unwrap(), b"hello\n");
        let twice = [XZ, XZ].concat();
        assert_eq!(read(&twice).unwrap(), b"hello\nhello\n");
        // One that wants 3 GiB is refused before it has it.
        assert!(read(GREEDY).is_err());
    }

    #[test]
    fn what_is_damaged_is_an_error() {
        let text = b"some text".repeat(1000);
        let mut all = forms(&text);
        all.remove(0);
        all.push(XZ.to_vec());
        for form in all {
            for cut in [8, form.len() / 2, form.len() - 1] {
                assert!(read(&form[..cut]).is_err(), "{form:x?} cut at {cut}");
            }
        }
    }

    /// `hello` by `xz -9`.
    const XZ: &[u8] = &[
        0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x04, 0xe6, 0xd6, 0xb4, 0x46, 0x02, 0x00, 0x21,
        0x01, 0x1c, 0x00, 0x00, 0x00, 0x10, 0xcf, 0x58, 0xcc, 0x01, 0x00, 0x05, 0x68, 0x65, 0x6c,
        0x6c, 0x6f, 0x0a, 0x00, 0x00, 0x00, 0xa5, 0x60, 0x97, 0xf1, 0x94, 0xf6, 0xfd, 0xe0, 0x00,
        0x01, 0x1e, 0x06, 0xc1, 0x2f, 0xa4, 0x1d, 0x1f, 0xb6, 0xf3, 0x7d, 0x01, 0x00, 0x00, 0x00,
        0x00, 0x04, 0x59, 0x5a,
    ];

    /// The same, but its header says that it takes 3 GiB of memory.
    const GREEDY: &[u8] = &[
        0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x04, 0xe6, 0xd6, 0xb4, 0x46, 0x02, 0x00, 0x21,
        0x01, 0x27, 0x00, 0x00, 0x00, 0xb0, 0xb0, 0x72, 0xeb, 0x01, 0x00, 0x05, 0x68, 0x65, 0x6c,
        0x6c, 0x6f, 0x0a, 0x00, 0x00, 0x00, 0xa5, 0x60, 0x97, 0xf1, 0x94, 0xf6, 0xfd, 0xe0, 0x00,
        0x01, 0x1e, 0x06, 0xc1, 0x2f, 0xa4, 0x1d, 0x1f, 0xb6, 0xf3, 0x7d, 0x01, 0x00, 0x00, 0x00,
        0x00, 0x04, 0x59, 0x5a,
    ];
}
