//! Entries, and how a container's output is cut into them.

use std::time::SystemTime;

use crate::Stream;

/// Longer lines are cut into parts of this many bytes, as by Docker's copier.
pub(crate) const LINE_LIMIT: usize = 16 * 1024;

/// One line of a container's output, or a part of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    pub(crate) stream: Stream,
    pub(crate) time: SystemTime,
    /// Without its newline.
    pub(crate) line: &'a [u8],
    /// When the line was cut into parts: which of them this is.
    pub(crate) part: Option<Part>,
}

/// A part of a long line, or of one that was not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    /// The same for all parts of a line, and no other's.
    pub(crate) id: u64,
    /// Counted from 1.
    pub(crate) ordinal: u32,
    /// The line's end.
    pub(crate) last: bool,
}

impl Entry<'_> {
    /// Does a newline follow it?
    pub(crate) fn is_complete(&self) -> bool {
        self.part.is_none_or(|part| part.last)
    }
}

/// Cuts the chunks of the two streams into entries.
#[derive(Debug, Default)]
pub(crate) struct Cutter {
    streams: [Line; 2],
    parts: u64,
}

/// What is known of a stream's unfinished line.
#[derive(Debug, Default)]
struct Line {
    carry: Vec<u8>,
    /// Of the parts handed on already: their time, id and number.
    begun: Option<(SystemTime, u64, u32)>,
}

impl Cutter {
    /// Cuts a chunk; every entry that is complete goes to `sink`.
    pub(crate) fn push(
        &mut self,
        stream: Stream,
        time: SystemTime,
        chunk: &[u8],
        sink: &mut dyn FnMut(&Entry<'_>),
    ) {
        let mut rest = chunk;
        while !rest.is_empty() {
            let mut carry = std::mem::take(&mut self.line(stream).carry);
            let window = &rest[..rest.len().min(LINE_LIMIT - carry.len())];
            let newline = memchr::memchr(b'\n', window);
            let taken = newline.unwrap_or(window.len());
            let full = newline.is_some() || carry.len() + taken == LINE_LIMIT;
            if full && carry.is_empty() {
                self.hand_on(stream, time, &window[..taken], newline.is_some(), sink);
            } else {
                carry.extend_from_slice(&window[..taken]);
                if full {
                    self.hand_on(stream, time, &carry, newline.is_some(), sink);
                    carry.clear();
                }
                self.line(stream).carry = carry;
            }
            rest = &rest[taken + usize::from(newline.is_some())..];
        }
    }

    /// The stream ended, or something of it was lost: what is left of its last line is an entry.
    pub(crate) fn finish(
        &mut self,
        stream: Stream,
        time: SystemTime,
        sink: &mut dyn FnMut(&Entry<'_>),
    ) {
        let carry = std::mem::take(&mut self.line(stream).carry);
        if !carry.is_empty() {
            self.hand_on(stream, time, &carry, false, sink);
        }
        self.line(stream).begun = None;
    }

    fn hand_on(
        &mut self,
        stream: Stream,
        time: SystemTime,
        line: &[u8],
        last: bool,
        sink: &mut dyn FnMut(&Entry<'_>),
    ) {
        let begun = self.line(stream).begun;
        if last && begun.is_none() {
            let part = None;
            return sink(&Entry {
                stream,
                time,
                line,
                part,
            });
        }
        let (time, id, before) = begun.unwrap_or_else(|| {
            self.parts += 1;
            (time, self.parts, 0)
        });
        let ordinal = before.saturating_add(1);
        self.line(stream).begun = (!last).then_some((time, id, ordinal));
        let part = Some(Part { id, ordinal, last });
        sink(&Entry {
            stream,
            time,
            line,
            part,
        });
    }

    fn line(&mut self, stream: Stream) -> &mut Line {
        &mut self.streams[usize::from(stream.number() - 1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    fn cut(chunks: &[&[u8]]) -> Vec<(usize, Option<Part>)> {
        let (mut cutter, mut seen) = (Cutter::default(), Vec::new());
        let mut sink = |entry: &Entry<'_>| seen.push((entry.line.len(), entry.part));
        for chunk in chunks {
            cutter.push(Stream::Stdout, UNIX_EPOCH, chunk, &mut sink);
        }
        cutter.finish(Stream::Stdout, UNIX_EPOCH, &mut sink);
        seen
    }

    #[test]
    fn lines_are_cut_as_dockers_copier_does() {
        let part = |id, ordinal, last| Some(Part { id, ordinal, last });
        let long = vec![b'x'; 20_000];
        assert_eq!(
            cut(&[b"a\n\nbc", b"d\n"]),
            [(1, None), (0, None), (3, None)]
        );
        assert_eq!(cut(&[b"a\nend"]), [(1, None), (3, part(1, 1, false))]);
        assert_eq!(
            cut(&[&long, b"\nz\n"]),
            [
                (16_384, part(1, 1, false)),
                (3616, part(1, 2, true)),
                (1, None)
            ]
        );
        let exact = vec![b'x'; 16_384];
        assert_eq!(
            cut(&[&exact, b"\n"]),
            [(16_384, part(1, 1, false)), (0, part(1, 2, true))]
        );
    }
}
