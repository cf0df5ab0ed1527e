//! A proxy in front of a registry in which something goes wrong.
//!
//! Each request is told to a plan, which says what is to happen to it. [`random`] is a plan that lets anything happen,
//! the same each time for one seed, but not to one path for ever: who goes on trying gets through.

use std::collections::HashMap;
use std::io::{BufReader, Error, Read, Result, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::fuzz::Random;
use crate::network::{Head, Listening};

/// A request, as the proxy saw it.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Which one it is, from 0.
    pub number: usize,
    /// `GET`.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Its range; empty for all.
    pub range: String,
    /// What authorizes it; empty for nothing.
    pub authorization: String,
    /// Whom it was meant for.
    pub host: String,
}

/// What is to happen to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Nothing bad.
    None,
    /// No answer: the connection ends.
    HangUp,
    /// The connection ends after so many bytes of the request's body.
    CutRequest(u64),
    /// The connection ends after so many bytes of the answer's body.
    Cut(u64),
    /// The answer waits.
    Delay(Duration),
    /// The byte at this place of the body is another one.
    Corrupt(u64),
    /// The answer is this one: status, fields, body. Nobody else is asked.
    Answer(u16, Vec<(String, String)>, Vec<u8>),
    /// The length that is told is so much more or less than it is.
    Length(i64),
    /// A part that is told to begin so much later than it does.
    Range(i64),
    /// All of it comes, though a part was asked for.
    NoRange,
    /// The body goes on for ever, without a length.
    Endless,
    /// Nothing comes after so many bytes, and nobody hangs up until the client does.
    Silence(u64),
}

impl Fault {
    /// An answer with a status alone.
    #[must_use]
    pub fn status(code: u16) -> Self {
        Self::Answer(code, Vec::new(), Vec::new())
    }

    /// An answer that sends to another place.
    #[must_use]
    pub fn redirect(to: &str) -> Self {
        Self::Answer(307, vec![("Location".into(), to.into())], Vec::new())
    }
}

type Plan = dyn Fn(&Asked) -> Fault + Send + Sync;

/// The proxy; ends when dropped.
#[derive(Debug)]
pub struct FaultProxy {
    listening: Listening,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: u16,
    plan: Box<Plan>,
    asked: Mutex<Vec<Asked>>,
    /// Bytes of answers' bodies that were sent.
    sent: Mutex<u64>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl FaultProxy {
    /// Stands before `upstream`, `localhost:PORT` in the network namespace of process `pid` (or in this one).
    ///
    /// # Panics
    /// When `upstream` has no port.
    #[must_use]
    pub fn start(
        pid: Option<u32>,
        upstream: &str,
        plan: impl Fn(&Asked) -> Fault + Send + Sync + 'static,
    ) -> Self {
        let port = upstream
            .rsplit(':')
            .next()
            .and_then(|port| port.parse().ok());
        let shared = Arc::new(Shared {
            upstream: port.expect("an address has a port"),
            plan: Box::new(plan),
            asked: Mutex::default(),
            sent: Mutex::default(),
        });
        let own = Arc::clone(&shared);
        let listening = Listening::start(pid, move |stream| {
            // Connections that break are what it is for.
            let _ = own.connection(stream);
        });
        Self { listening, shared }
    }

    /// `localhost:PORT`.
    #[must_use]
    pub fn host(&self) -> String {
        format!("localhost:{}", self.listening.port())
    }

    /// `ADDRESS:PORT` with the address of the private engine's host that is not a loopback one.
    #[must_use]
    pub fn outer_host(&self) -> String {
        format!("{}:{}", crate::HOST_ADDRESS, self.listening.port())
    }

    /// What was asked so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        lock(&self.shared.asked).clone()
    }

    /// How many bytes of bodies were sent so far.
    #[must_use]
    pub fn sent(&self) -> u64 {
        *lock(&self.shared.sent)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn connection(&self, stream: TcpStream) -> Result<()> {
        let mut client = BufReader::new(stream.try_clone()?);
        let mut stream = stream;
        while let Some(head) = Head::read(&mut client)? {
            let fault = (self.plan)(&self.note(&head));
            self.exchange(&head, &fault, &mut client, &mut stream)?;
        }
        Ok(())
    }

    fn note(&self, head: &Head) -> Asked {
        let mut all = lock(&self.asked);
        let asked = Asked {
            number: all.len(),
            method: head.word(0).to_owned(),
            path: head.word(1).to_owned(),
            range: head.field("range").to_owned(),
            authorization: head.field("authorization").to_owned(),
            host: head.field("host").to_owned(),
        };
        all.push(asked.clone());
        asked
    }

    /// One request and its answer; an error ends the connection.
    fn exchange(
        &self,
        head: &Head,
        fault: &Fault,
        client: &mut BufReader<TcpStream>,
        stream: &mut TcpStream,
    ) -> Result<()> {
        let over = || Error::other("as planned");
        match fault {
            Fault::HangUp => return Err(over()),
            Fault::Delay(time) => std::thread::sleep(*time),
            Fault::Answer(status, fields, body) => {
                std::io::copy(
                    &mut client.take(head.length().unwrap_or(0)),
                    &mut std::io::sink(),
                )?;
                let fields: String = fields
                    .iter()
                    .map(|(n, v)| format!("{n}: {v}\r\n"))
                    .collect();
                let length = body.len();
                let text = format!(
                    "HTTP/1.1 {status} Planned\r\nContent-Length: {length}\r\n{fields}\r\n"
                );
                stream.write_all(text.as_bytes())?;
                let body = if head.word(0) == "HEAD" {
                    &[][..]
                } else {
                    body
                };
                return stream.write_all(body);
            }
            _ => {}
        }
        let mut upstream = TcpStream::connect(("127.0.0.1", self.upstream))?;
        let mut asked = head.clone();
        let dropped = |name: &str| {
            name.eq_ignore_ascii_case("connection")
                || (*fault == Fault::NoRange && name.eq_ignore_ascii_case("range"))
        };
        asked.fields.retain(|(name, _)| !dropped(name));
        asked.fields.push(("Connection".into(), "close".into()));
        upstream.write_all(asked.text().as_bytes())?;
        let length = head.length().unwrap_or(0);
        if let Fault::CutRequest(most) = fault {
            std::io::copy(&mut client.take(length.min(*most)), &mut upstream)?;
            return Err(over());
        }
        std::io::copy(&mut client.take(length), &mut upstream)?;
        let mut answer = BufReader::new(upstream);
        let told = Head::read(&mut answer)?.ok_or_else(over)?;
        self.answer(head, &told, fault, &mut answer, stream)
    }

    fn answer(
        &self,
        asked: &Head,
        told: &Head,
        fault: &Fault,
        from: &mut BufReader<TcpStream>,
        to: &mut TcpStream,
    ) -> Result<()> {
        let mut told = told.clone();
        let mut body = Vec::new();
        if asked.word(0) != "HEAD" {
            from.read_to_end(&mut body)?;
        }
        let shift = |number: u64, by: i64| number.saturating_add_signed(by).to_string();
        let length = u64::try_from(body.len()).unwrap_or(u64::MAX);
        for (name, value) in &mut told.fields {
            match (name.to_ascii_lowercase().as_str(), fault) {
                ("content-length", Fault::Length(by)) => *value = shift(length, *by),
                ("content-range", Fault::Range(by)) => *value = shifted(value, *by),
                _ => {}
            }
        }
        let dropped = |name: &str| {
            name.eq_ignore_ascii_case("connection")
                || (*fault == Fault::Endless && name.eq_ignore_ascii_case("content-length"))
        };
        told.fields.retain(|(name, _)| !dropped(name));
        to.write_all(told.text().as_bytes())?;
        let most = match fault {
            Fault::Cut(most) | Fault::Silence(most) => *most,
            _ => length,
        };
        if let Fault::Corrupt(at) = fault
            && !body.is_empty()
        {
            let at = usize::try_from(at % length).unwrap_or(0);
            body[at] ^= 0x20;
        }
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(body.len());
        to.write_all(&body[..most])?;
        *lock(&self.sent) += u64::try_from(most).unwrap_or(0);
        match fault {
            Fault::Cut(_) | Fault::Length(_) => Err(Error::other("as planned")),
            Fault::Endless => loop {
                to.write_all(&[b' '; 4096])?;
            },
            Fault::Silence(_) => {
                std::io::copy(&mut to.try_clone()?, &mut std::io::sink()).map(drop)
            }
            _ if told.length().is_none() => Err(Error::other("only the end tells its length")),
            _ => Ok(()),
        }
    }
}

/// A `Content-Range` that tells another place.
fn shifted(range: &str, by: i64) -> String {
    let Some((from, rest)) = range.trim_start_matches("bytes ").split_once('-') else {
        return range.to_owned();
    };
    let from = from.parse::<u64>().unwrap_or(0).saturating_add_signed(by);
    format!("bytes {from}-{rest}")
}

/// How often something may go wrong with one path.
const MOST: usize = 3;

/// Lets anything happen that a client can get over, to about one request in `rare`.
pub fn random(seed: u64, rare: usize) -> impl Fn(&Asked) -> Fault + Send + Sync + 'static {
    let state = Mutex::new((Random::new(seed), HashMap::<String, usize>::new()));
    move |asked| {
        let mut state = lock(&state);
        let (random, before) = &mut *state;
        let place = asked.path.split('?').next().unwrap_or_default().to_owned();
        let count = before.entry(place).or_default();
        if *count >= MOST || random.below(rare) != 0 {
            return Fault::None;
        }
        *count += 1;
        let size = u64::try_from(random.below(300_000)).unwrap_or(0);
        let seconds = ("Retry-After".to_owned(), "0".to_owned());
        match random.below(10) {
            0 => Fault::HangUp,
            1 => Fault::CutRequest(size),
            2 | 3 => Fault::Cut(size),
            4 => Fault::Delay(Duration::from_millis(size % 50)),
            5 => Fault::Answer(429, vec![seconds], Vec::new()),
            6 => Fault::Answer(503, vec![seconds], Vec::new()),
            7 => Fault::status(*random.pick(&[500, 502, 504])),
            8 => Fault::NoRange,
            // The length is all that an answer to HEAD has: a wrong one there is no passing fault.
            _ if asked.method == "HEAD" => Fault::HangUp,
            _ => Fault::Length(1000),
        }
    }
}
