//! As much of MessagePack as the forward protocol needs.

/// Writes values, one after the other.
#[derive(Debug, Default)]
pub(super) struct Packer {
    bytes: Vec<u8>,
}

impl Packer {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// An array of so many (at most 15) values, which follow.
    pub(super) fn array(&mut self, length: u8) {
        self.bytes.push(0x90 | (length & 15));
    }

    /// A map of so many pairs, which follow.
    pub(super) fn map(&mut self, length: usize) {
        match (u8::try_from(length), u16::try_from(length)) {
            (Ok(length @ 0..=15), _) => self.bytes.push(0x80 | length),
            (_, Ok(length)) => self.sized(0xde, &length.to_be_bytes()),
            _ => self.sized(
                0xdf,
                &u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes(),
            ),
        }
    }

    /// A text.
    pub(super) fn text(&mut self, text: &[u8]) {
        match (u8::try_from(text.len()), u16::try_from(text.len())) {
            (Ok(length @ 0..=31), _) => self.bytes.push(0xa0 | length),
            (Ok(length), _) => self.sized(0xd9, &[length]),
            (_, Ok(length)) => self.sized(0xda, &length.to_be_bytes()),
            _ => {
                let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
                self.sized(0xdb, &length.to_be_bytes());
            }
        }
        self.bytes.extend_from_slice(text);
    }

    /// Two texts.
    pub(super) fn pair(&mut self, key: &str, value: &[u8]) {
        self.text(key.as_bytes());
        self.text(value);
    }

    /// A time in whole seconds.
    pub(super) fn seconds(&mut self, seconds: u32) {
        self.sized(0xce, &seconds.to_be_bytes());
    }

    /// A time with nanoseconds: the forward protocol's `EventTime`.
    pub(super) fn event_time(&mut self, seconds: u32, nanos: u32) {
        self.sized(0xd7, &[0]);
        self.bytes.extend_from_slice(&seconds.to_be_bytes());
        self.bytes.extend_from_slice(&nanos.to_be_bytes());
    }

    fn sized(&mut self, kind: u8, length: &[u8]) {
        self.bytes.push(kind);
        self.bytes.extend_from_slice(length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_their_shortest_form() {
        let packed = |pack: &dyn Fn(&mut Packer)| {
            let mut packer = Packer::default();
            pack(&mut packer);
            packer.bytes.truncate(6);
            packer.bytes
        };
        assert_eq!(packed(&|p| p.array(4)), [0x94]);
        assert_eq!(packed(&|p| p.map(2)), [0x82]);
        assert_eq!(packed(&|p| p.map(16)), [0xde, 0, 16]);
        assert_eq!(packed(&|p| p.text(b"ab")), [0xa2, b'a', b'b']);
        assert_eq!(packed(&|p| p.text(&[b'x'; 64]))[..3], [0xd9, 64, b'x']);
        assert_eq!(packed(&|p| p.text(&[b'x'; 300]))[..4], [0xda, 1, 44, b'x']);
        assert_eq!(
            packed(&|p| p.seconds(0x6b01_8188)),
            [0xce, 0x6b, 1, 0x81, 0x88]
        );
        assert_eq!(packed(&|p| p.event_time(1, 2)), [0xd7, 0, 0, 0, 0, 1]);
    }
}
