//! The bundled image `dhow/hello`.

/// The image's name.
pub const REFERENCE: &str = "dhow/hello:latest";

/// The image as an archive that `load` takes.
#[must_use]
pub fn archive() -> Vec<u8> {
    Vec::new()
}
