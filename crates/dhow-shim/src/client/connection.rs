//! One connection to a shim.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::UnixStream;

use crate::Error;
use crate::protocol::{
    self, LONGEST_MESSAGE, MOST_DESCRIPTORS, Request, Response, kind_named, push_message,
};

/// A connection on which the version is agreed.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: PathBuf,
    stream: UnixStream,
}

impl Connection {
    /// Connects to the shim that serves on `socket` and agrees on a version.
    pub(crate) async fn open(socket: &Path) -> Result<Self, Error> {
        let stream = connect(socket).await.map_err(|source| Error::Connect {
            socket: socket.into(),
            source,
        })?;
        let mut connection = Self::unversioned(socket, stream);
        connection.hello().await?;
        Ok(connection)
    }

    /// A connection that is there already, on which nothing was said yet.
    pub(crate) fn unversioned(socket: &Path, stream: UnixStream) -> Self {
        Self {
            socket: socket.into(),
            stream,
        }
    }

    /// Agrees on a version.
    pub(crate) async fn hello(&mut self) -> Result<(), Error> {
        let hello = Request::Hello {
            min: protocol::OLDEST,
            max: protocol::NEWEST,
        };
        let answer = self.call(&hello).await?;
        self.check_hello(&answer)
    }

    pub(crate) fn check_hello(&self, answer: &Response) -> Result<(), Error> {
        match *answer {
            Response::Hello {
                version: Some(version),
                ..
            } if (protocol::OLDEST..=protocol::NEWEST).contains(&version) => Ok(()),
            Response::Hello { min, max, .. } => Err(Error::Version {
                socket: self.socket.clone(),
                min,
                max,
            }),
            ref other => Err(unexpected(&self.socket, other)),
        }
    }

    /// Sends a request and waits for its answer; a refusal is an error.
    pub(crate) async fn call(&mut self, request: &Request) -> Result<Response, Error> {
        self.send(&[request]).await?;
        self.receive().await
    }

    /// Sends requests in one go.
    pub(crate) async fn send(&mut self, requests: &[&Request]) -> Result<(), Error> {
        let mut bytes = Vec::new();
        for request in requests {
            push_message(&mut bytes, request);
        }
        self.stream
            .write_all(&bytes)
            .await
            .map_err(|source| self.broken(source))
    }

    /// Sends a request and descriptors with it, at most [`protocol::MOST_DESCRIPTORS`].
    pub(crate) async fn send_with(
        &mut self,
        request: &Request,
        descriptors: &[OwnedFd],
    ) -> Result<(), Error> {
        let mut bytes = Vec::new();
        push_message(&mut bytes, request);
        let sent = self.stream.async_io(Interest::WRITABLE, || {
            send_descriptors(&self.stream, &bytes, descriptors)
        });
        let sent = sent.await.map_err(|source| self.broken(source))?;
        // They went with the first bytes; the rest follows as usual.
        self.stream
            .write_all(&bytes[sent..])
            .await
            .map_err(|source| self.broken(source))
    }

    /// Waits for the next answer or event; a refusal is an error.
    pub(crate) async fn receive(&mut self) -> Result<Response, Error> {
        let message = self.message().await.map_err(|source| self.broken(source))?;
        match serde_json::from_slice(&message) {
            Ok(Response::Error { kind, message }) => Err(Error::Refused {
                kind: kind_named(&kind),
                message,
            }),
            Ok(answer) => Ok(answer),
            Err(_) => {
                let answer =
                    String::from_utf8_lossy(&message[..message.len().min(200)]).into_owned();
                Err(Error::Unexpected {
                    socket: self.socket.clone(),
                    answer,
                })
            }
        }
    }

    /// Reads exactly one message: what follows may not be messages any more.
    async fn message(&mut self) -> io::Result<Vec<u8>> {
        let length = usize::try_from(self.stream.read_u32_le().await?).unwrap_or(usize::MAX);
        if length > LONGEST_MESSAGE {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                protocol::TooLong(length),
            ));
        }
        let mut message = vec![0; length];
        self.stream.read_exact(&mut message).await?;
        Ok(message)
    }

    pub(crate) fn into_stream(self) -> UnixStream {
        self.stream
    }

    fn broken(&self, source: io::Error) -> Error {
        Error::Broken {
            socket: self.socket.clone(),
            source,
        }
    }
}

fn send_descriptors(
    socket: &UnixStream,
    bytes: &[u8],
    descriptors: &[OwnedFd],
) -> io::Result<usize> {
    let borrowed: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
    let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut room);
    if !control.push(SendAncillaryMessage::ScmRights(&borrowed)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let bytes = [IoSlice::new(bytes)];
    Ok(sendmsg(socket, &bytes, &mut control, SendFlags::NOSIGNAL)?)
}

/// An answer that does not fit the request.
pub(crate) fn unexpected(socket: &Path, answer: &Response) -> Error {
    Error::Unexpected {
        socket: socket.into(),
        answer: format!("{answer:?}"),
    }
}

async fn connect(socket: &Path) -> io::Result<UnixStream> {
    let (_folder, short) = crate::config::short_socket_path(socket)?;
    UnixStream::connect(short).await
}
