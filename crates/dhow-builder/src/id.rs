//! Identifiers as BuildKit's look: 25 lower-case letters and digits.

use dhow_oci::Digest;

const ALPHABET: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
const LENGTH: usize = 25;

/// One that nobody else has.
pub(crate) fn random() -> String {
    let mut bytes = [0; LENGTH];
    // Without randomness it is still one that is unlikely to be met again.
    if rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).is_err() {
        let now = jiff::Timestamp::now().as_nanosecond();
        bytes[..16].copy_from_slice(&now.to_le_bytes());
    }
    letters(&bytes)
}

/// The one that stands for a digest.
pub(crate) fn of(digest: &Digest) -> String {
    letters(&digest.as_bytes()[..LENGTH])
}

fn letters(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]))
        .collect()
}
