//! The conversation between the parent and the init (or exec) it has cloned: small tagged messages over a socket pair.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use crate::failure::{Failure, Step, StepContext};

/// What is said.
#[derive(Debug)]
pub(crate) enum Message {
    /// Inside to outside: the user namespace is there and wants its mappings.
    NeedMappings,
    /// Inside to outside: all namespaces are there; run the hooks of the runtime's side now.
    NeedHooks,
    /// Inside to outside: the pid of the process that goes on in the place of the one cloned, with its pidfd.
    Replaced(i32, OwnedFd),
    /// Inside to outside: the master of the terminal.
    Terminal(OwnedFd),
    /// Inside to outside: something was passed over.
    Warning(String),
    /// Inside to outside: the program could be executed now.
    Ready,
    /// Inside to outside: a step failed, and the process ends.
    Failed(Failure),
    /// Outside to inside: go on.
    GoOn,
    /// The other side has closed.
    Closed,
}

/// One end of the conversation.
#[derive(Debug)]
pub(crate) struct Channel(OwnedFd);

const LARGEST: usize = 8 * 1024;

impl Channel {
    /// Both ends; neither survives `execve`.
    pub(crate) fn pair() -> io::Result<(Self, Self)> {
        let (left, right) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        Ok((Self(left), Self(right)))
    }

    /// Says something.
    pub(crate) fn send(&self, message: &Message) -> io::Result<()> {
        let none: &[BorrowedFd<'_>] = &[];
        match message {
            Message::NeedMappings => self.write(b"m", none),
            Message::NeedHooks => self.write(b"h", none),
            Message::Replaced(pid, fd) => self.write(
                &[b"p".as_slice(), &pid.to_le_bytes()].concat(),
                &[fd.as_fd()],
            ),
            Message::Terminal(fd) => self.write(b"t", &[fd.as_fd()]),
            Message::Warning(text) => {
                let text = &text.as_bytes()[..text.len().min(LARGEST - 1)];
                self.write(&[b"w".as_slice(), text].concat(), none)
            }
            Message::Ready => self.write(b"r", none),
            Message::Failed(failure) => {
                let json = serde_json::to_vec(failure).map_err(io::Error::other)?;
                self.write(&[b"e".as_slice(), &json].concat(), none)
            }
            Message::GoOn => self.write(b"g", none),
            Message::Closed => Ok(()),
        }
    }

    /// Waits for the next message.
    pub(crate) fn receive(&self) -> io::Result<Message> {
        let mut buffer = [0; LARGEST];
        let (count, mut fds) = loop {
            match dhow_sys::fds::receive_with_fds(&self.0, &mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    return Ok(Message::Closed);
                }
                other => break other?,
            }
        };
        let invalid = || io::Error::from(io::ErrorKind::InvalidData);
        let Some((tag, rest)) = buffer[..count].split_first() else {
            return Ok(Message::Closed);
        };
        Ok(match tag {
            b'm' => Message::NeedMappings,
            b'h' => Message::NeedHooks,
            b'p' => {
                let pid = i32::from_le_bytes(rest.try_into().map_err(|_| invalid())?);
                Message::Replaced(pid, fds.pop().ok_or_else(invalid)?)
            }
            b't' => Message::Terminal(fds.pop().ok_or_else(invalid)?),
            b'w' => Message::Warning(String::from_utf8_lossy(rest).into_owned()),
            b'r' => Message::Ready,
            b'e' => Message::Failed(serde_json::from_slice(rest).map_err(io::Error::other)?),
            b'g' => Message::GoOn,
            _ => return Err(invalid()),
        })
    }

    /// From the inside: says something and waits for the word to go on; the parent's end is an error.
    pub(crate) fn ask(&self, message: &Message) -> Step {
        self.send(message)
            .step(|| "cannot reach the runtime".into())?;
        self.wait_to_go_on()
    }

    /// From the inside: waits for the word to go on.
    pub(crate) fn wait_to_go_on(&self) -> Step {
        match self.receive().step(|| "cannot reach the runtime".into())? {
            Message::GoOn => Ok(()),
            _ => Err(Failure::Step("the runtime has ended".into())),
        }
    }

    fn write(&self, data: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        dhow_sys::fds::send_with_fds(&self.0, data, fds).map(drop)
    }
}

impl From<OwnedFd> for Channel {
    fn from(socket: OwnedFd) -> Self {
        Self(socket)
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn messages_arrive_whole_and_in_order() {
        let (inside, outside) = Channel::pair().unwrap();
        inside.send(&Message::Warning("careful".into())).unwrap();
        inside
            .send(&Message::Failed(Failure::Step("no".into())))
            .unwrap();
        drop(inside);
        assert!(matches!(outside.receive().unwrap(), Message::Warning(text) if text == "careful"));
        assert!(
            matches!(outside.receive().unwrap(), Message::Failed(Failure::Step(text)) if text == "no")
        );
        assert!(matches!(outside.receive().unwrap(), Message::Closed));
    }
}
