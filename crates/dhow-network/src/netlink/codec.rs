//! Netlink's framing: messages in a buffer, attributes in messages, and both read back.

/// Length of `struct nlmsghdr`.
const HEADER: usize = 16;

/// `NLM_F_REQUEST`: this goes to the kernel.
const REQUEST: u16 = 0x1;
/// `NLM_F_ACK`: answer even when all went well.
pub(crate) const ACK: u16 = 0x4;
/// `NLM_F_DUMP`: list everything.
pub(crate) const DUMP: u16 = 0x300;
/// `NLM_F_CREATE`: make it when it is missing.
pub(crate) const CREATE: u16 = 0x400;
/// `NLM_F_EXCL`: refuse when it is there.
pub(crate) const EXCLUSIVE: u16 = 0x200;
/// `NLM_F_REPLACE`: change it when it is there.
pub(crate) const REPLACE: u16 = 0x100;

/// `NLMSG_ERROR`: an error, or an acknowledgement when its code is 0.
pub(crate) const ERROR: u16 = 2;
/// `NLMSG_DONE`: the end of a dump.
pub(crate) const DONE: u16 = 3;

/// `NLMSG_OVERRUN`: something was lost.
pub(crate) const OVERRUN: u16 = 4;

/// `NLA_F_NESTED`.
const NESTED: u16 = 0x8000;
/// What of an attribute's type is its number.
const TYPE_MASK: u16 = 0x3fff;

/// Messages to be sent in one go.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    buffer: Vec<u8>,
    /// Where the messages start.
    messages: Vec<usize>,
}

impl Batch {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Begins a message of the given type, with its fixed part; attributes follow.
    pub(crate) fn message(&mut self, kind: u16, flags: u16, fixed: &[u8]) -> &mut Self {
        self.finish();
        self.messages.push(self.buffer.len());
        self.buffer.extend_from_slice(&[0; 4]);
        self.buffer.extend_from_slice(&kind.to_ne_bytes());
        self.buffer
            .extend_from_slice(&(flags | REQUEST).to_ne_bytes());
        self.buffer.extend_from_slice(&[0; 8]);
        self.buffer.extend_from_slice(fixed);
        self.align();
        self
    }

    /// Appends an attribute.
    pub(crate) fn bytes(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        let length = u16::try_from(value.len() + 4).expect("attributes are small");
        self.buffer.extend_from_slice(&length.to_ne_bytes());
        self.buffer.extend_from_slice(&kind.to_ne_bytes());
        self.buffer.extend_from_slice(value);
        self.align();
        self
    }

    /// Appends a NUL-terminated string.
    pub(crate) fn string(&mut self, kind: u16, value: &str) -> &mut Self {
        let mut bytes = Vec::with_capacity(value.len() + 1);
        bytes.extend_from_slice(value.as_bytes());
        bytes.push(0);
        self.bytes(kind, &bytes)
    }

    /// Appends a number in the host's byte order (route netlink).
    pub(crate) fn u32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.bytes(kind, &value.to_ne_bytes())
    }

    /// Appends a number in network byte order (netfilter).
    pub(crate) fn be32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// Appends an attribute that holds what `body` appends.
    pub(crate) fn nested(&mut self, kind: u16, body: impl FnOnce(&mut Self)) -> &mut Self {
        let start = self.buffer.len();
        self.bytes(kind | NESTED, &[]);
        body(self);
        let length = u16::try_from(self.buffer.len() - start).expect("nested attributes are small");
        self.buffer[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self
    }

    /// Appends raw bytes within the current attribute: a fixed structure before nested attributes.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.buffer.extend_from_slice(bytes);
        self.align();
        self
    }

    /// How many messages there are.
    pub(crate) fn len(&self) -> usize {
        self.messages.len()
    }

    /// Numbers the messages from `first` on, asks for the acknowledgement of those for which `ack` holds, and
    /// returns the bytes to send.
    pub(crate) fn seal(&mut self, first: u32, ack: impl Fn(usize) -> bool) -> &[u8] {
        self.finish();
        let mut sequence = first;
        for (index, &start) in self.messages.iter().enumerate() {
            if ack(index) {
                let flags =
                    u16::from_ne_bytes([self.buffer[start + 6], self.buffer[start + 7]]) | ACK;
                self.buffer[start + 6..start + 8].copy_from_slice(&flags.to_ne_bytes());
            }
            self.buffer[start + 8..start + 12].copy_from_slice(&sequence.to_ne_bytes());
            sequence = sequence.wrapping_add(1);
        }
        &self.buffer
    }

    /// Writes the last message's length.
    fn finish(&mut self) {
        if let Some(&start) = self.messages.last() {
            let length = u32::try_from(self.buffer.len() - start).expect("messages are small");
            self.buffer[start..start + 4].copy_from_slice(&length.to_ne_bytes());
        }
    }

    fn align(&mut self) {
        self.buffer.resize(self.buffer.len().next_multiple_of(4), 0);
    }
}

/// A message that was received.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Message<'a> {
    pub(crate) kind: u16,
    pub(crate) sequence: u32,
    /// What follows the header: the fixed part and the attributes.
    pub(crate) body: &'a [u8],
}

/// The messages in a received buffer; a malformed rest is left out.
pub(crate) fn messages(buffer: &[u8]) -> impl Iterator<Item = Message<'_>> {
    let mut rest = buffer;
    std::iter::from_fn(move || {
        let length = usize::try_from(u32_at(rest, 0)?).ok()?;
        let whole = rest.get(..length).filter(|_| length >= HEADER)?;
        let message = Message {
            kind: u16_at(whole, 4)?,
            sequence: u32_at(whole, 8)?,
            body: &whole[HEADER..],
        };
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
}

/// The attributes in `buffer`, as numbers and values.
pub(crate) fn attributes(buffer: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = buffer;
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(rest, 0)?);
        let whole = rest.get(..length).filter(|_| length >= 4)?;
        let kind = u16_at(whole, 2)? & TYPE_MASK;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, &whole[4..]))
    })
}

/// The value of the attribute `kind` in `buffer`.
pub(crate) fn attribute(buffer: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(buffer)
        .find(|(found, _)| *found == kind)
        .map(|(_, value)| value)
}

/// A string attribute without its NUL.
pub(crate) fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value.split(|&byte| byte == 0).next().unwrap_or_default()).into_owned()
}

/// The number at `offset`, in the host's byte order.
pub(crate) fn u32_at(buffer: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(
        buffer.get(offset..offset + 4)?.try_into().ok()?,
    ))
}

/// The short number at `offset`, in the host's byte order.
pub(crate) fn u16_at(buffer: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(
        buffer.get(offset..offset + 2)?.try_into().ok()?,
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let mut batch = Batch::new();
        batch
            .message(16, CREATE, &[1, 2, 3, 4, 5])
            .string(3, "eth0")
            .nested(18, |b| {
                b.string(1, "veth").nested(2, |b| {
                    b.u32(7, 0xdead_beef);
                });
            });
        batch.message(20, 0, &[]).bytes(1, &[9]);
        let bytes = batch.seal(7, |index| index == 1).to_vec();

        let read: Vec<_> = messages(&bytes).collect();
        assert_eq!(
            read.iter()
                .map(|m| (m.kind, m.sequence))
                .collect::<Vec<_>>(),
            [(16, 7), (20, 8)]
        );
        let body = &read[0].body[8..];
        assert_eq!(text(attribute(body, 3).unwrap()), "eth0");
        let nested = attribute(attribute(body, 18).unwrap(), 2).unwrap();
        assert_eq!(u32_at(attribute(nested, 7).unwrap(), 0), Some(0xdead_beef));
        assert_eq!(attribute(read[1].body, 1).unwrap(), [9]);
        assert_eq!(
            u16_at(&bytes, 6).unwrap() & ACK,
            0,
            "only the second is acknowledged"
        );
    }

    #[test]
    fn garbage_ends_the_iteration() {
        for garbage in [
            &[][..],
            &[1],
            &[255; 16],
            &[0; 16],
            &[3, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0],
        ] {
            assert_eq!(messages(garbage).count(), 0, "{garbage:?}");
        }
        for garbage in [&[][..], &[1, 2, 3], &[0, 0, 1, 1], &[9, 0, 1, 0, 5]] {
            assert_eq!(attributes(garbage).count(), 0, "{garbage:?}");
        }
    }
}
