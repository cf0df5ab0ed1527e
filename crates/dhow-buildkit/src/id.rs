//! Ids as BuildKit's look: 25 lower-case letters and digits.

/// A new one.
pub(crate) fn random() -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz012345";
    let mut bytes = [0_u8; 25];
    // Without random numbers ids would still be told apart by their order; there is no such system though.
    let _ = getrandom::fill(&mut bytes);
    bytes
        .iter()
        .map(|byte| char::from(LETTERS[usize::from(byte % 32)]))
        .collect()
}
