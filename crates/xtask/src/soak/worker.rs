//! One of those who use the engine: it has a few containers of its own, knows what each must be doing, and does
//! something to one of them, again and again.

use std::fmt;
use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::time::Duration;

use dhow_testkit::http::{Body, Client, Response};
use serde_json::{Value, json};

use super::World;

/// How many containers one worker has at a time.
const MOST: usize = 3;

/// How often each thing was done.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Totals {
    runs: u64,
    execs: u64,
    copies: u64,
    kills: u64,
    renames: u64,
    removals: u64,
    connections: u64,
    interrupted: u64,
}

impl Totals {
    pub(super) fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.execs += other.execs;
        self.copies += other.copies;
        self.kills += other.kills;
        self.renames += other.renames;
        self.removals += other.removals;
        self.connections += other.connections;
        self.interrupted += other.interrupted;
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} runs to the end, {} execs, {} copies, {} kills and stops, {} renames, {} removals, {} connections to ports, {} requests cut by a kill of the daemon",
            self.runs,
            self.execs,
            self.copies,
            self.kills,
            self.renames,
            self.removals,
            self.connections,
            self.interrupted
        )
    }
}

/// Why something was not done to its end.
enum Halt {
    /// The daemon was killed meanwhile.
    Killed,
    /// Something is wrong.
    Wrong(String),
    /// The time is over.
    Over,
}

type Step<T> = Result<T, Halt>;

pub(super) struct Worker<'a> {
    number: u64,
    world: &'a World,
    client: Client,
    /// The daemon's life in which the client connected.
    life: u64,
    random: u64,
    counter: u64,
    /// The names of the long-running containers.
    containers: Vec<String>,
    totals: Totals,
}

impl<'a> Worker<'a> {
    pub(super) fn new(number: u64, world: &'a World) -> Self {
        let engine = world.engine.read();
        let client = engine
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .client();
        Self {
            number,
            world,
            client,
            life: 0,
            random: 0x9e37_79b9_7f4a_7c15 ^ (number + 1).wrapping_mul(0x2545_f491_4f6c_dd1d),
            counter: 0,
            containers: Vec::new(),
            totals: Totals::default(),
        }
    }

    pub(super) fn run(mut self) -> Totals {
        loop {
            match self.something() {
                Ok(()) => {}
                Err(Halt::Killed) => {
                    self.totals.interrupted += 1;
                    if let Err(Halt::Wrong(what)) = self.take_stock() {
                        self.world.fail(format!("worker {}: {what}", self.number));
                        break;
                    }
                }
                Err(Halt::Wrong(what)) => {
                    self.world.fail(format!("worker {}: {what}", self.number));
                    break;
                }
                Err(Halt::Over) => break,
            }
        }
        self.clear();
        self.totals
    }

    /// Removes all that is still there of it.
    fn clear(&mut self) {
        self.client = Client::new(&self.socket());
        let mine = format!("/w{}-", self.number);
        let list = self.client.get("/containers/json?all=1");
        let list = list.map(|answer| answer.json()).unwrap_or_default();
        for container in list.as_array().into_iter().flatten() {
            let name = container["Names"][0].as_str().unwrap_or_default();
            if !name.starts_with(&mine) {
                continue;
            }
            let path = format!("/containers/{}?force=1&v=1", &name[1..]);
            let removed = self.client.delete(&path);
            if !removed.is_ok_and(|answer| matches!(answer.status, 204 | 404)) {
                self.world.fail(format!("{name} can't be removed"));
            }
        }
    }

    fn something(&mut self) -> Step<()> {
        if self.world.up().is_none() {
            return Err(Halt::Over);
        }
        if self.containers.is_empty() {
            return self.create();
        }
        match self.below(10) {
            0 if self.containers.len() < MOST => self.create(),
            0 | 1 => self.remove(),
            2 | 3 => self.run_to_the_end(),
            4 | 5 => self.exec(),
            6 => self.copy(),
            7 => self.rename(),
            8 => self.kill(),
            _ => self.connect(),
        }
    }

    fn below(&mut self, limit: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        usize::try_from(self.random % (limit as u64)).unwrap_or_default()
    }

    fn name(&mut self) -> String {
        self.counter += 1;
        format!("w{}-{}", self.number, self.counter)
    }

    fn some_container(&mut self) -> String {
        let index = self.below(self.containers.len());
        self.containers[index].clone()
    }

    /// Sends a request; anything but one of the statuses `expected` is wrong.
    fn ask(
        &mut self,
        method: &str,
        path: &str,
        body: Body<'_>,
        expected: &[u16],
    ) -> Step<Response> {
        let life = self.world.up().ok_or(Halt::Over)?;
        if life != self.life {
            self.life = life;
            self.client = Client::new(&self.socket());
        }
        match self.client.request(method, path, body) {
            Ok(answer) if expected.contains(&answer.status) => Ok(answer),
            Ok(answer) => Err(self.wrong(method, path, &answer)),
            Err(error) => Err(self.broken(life, &format!("{method} {path}: {error}"))),
        }
    }

    fn wrong(&self, method: &str, path: &str, answer: &Response) -> Halt {
        let text = answer.text();
        Halt::Wrong(format!(
            "{method} {path}: {} {}",
            answer.status,
            text.trim()
        ))
    }

    /// A connection that broke is no failure if the daemon was killed since.
    fn broken(&self, life: u64, what: &str) -> Halt {
        match self.world.up() {
            None => Halt::Over,
            Some(now) if now != life => Halt::Killed,
            Some(_) => Halt::Wrong(format!("{what}, and nobody killed the daemon")),
        }
    }

    /// After a kill it is not known whether the last request was done: looks what there is.
    fn take_stock(&mut self) -> Step<()> {
        let path = "/containers/json?all=1";
        let answer = self.ask("GET", path, Body::Empty, &[200])?;
        let mine = format!("/w{}-", self.number);
        let mut found = Vec::new();
        for container in answer.json().as_array().into_iter().flatten() {
            let name = container["Names"][0].as_str().unwrap_or_default();
            if name.starts_with(&mine) {
                found.push((name[1..].to_owned(), container["State"].clone()));
            }
        }
        for name in std::mem::take(&mut self.containers) {
            // Removing and renaming may have been done; everything else leaves it where it is.
            if !found.iter().any(|(there, _)| *there == name) {
                continue;
            }
            self.containers.push(name);
        }
        for (name, state) in found {
            if self.containers.contains(&name) && state == "running" {
                continue;
            }
            // One whose creation was cut, or that was ended: there is no saying what it should be.
            self.containers.retain(|one| *one != name);
            let path = format!("/containers/{name}?force=1&v=1");
            let _ = self.ask("DELETE", &path, Body::Empty, &[204, 404, 409])?;
        }
        Ok(())
    }

    fn socket(&self) -> std::path::PathBuf {
        let engine = self.world.engine.read();
        let engine = engine.unwrap_or_else(std::sync::PoisonError::into_inner);
        engine.socket().to_owned()
    }

    /// A container that stays: it ends with 7 when asked to, and serves a page.
    fn create(&mut self) -> Step<()> {
        let name = self.name();
        let script = "trap 'exit 7' TERM; mkdir -p /www; echo page > /www/index.html; httpd -p 80 -h /www; while true; do sleep 1000 & wait $!; done";
        let body = json!({
            "Image": "busybox", "Cmd": ["sh", "-c", script], "ExposedPorts": {"80/tcp": {}},
            "HostConfig": {"PortBindings": {"80/tcp": [{}]}},
        });
        self.start(&name, &body)?;
        self.containers.push(name);
        Ok(())
    }

    fn start(&mut self, name: &str, body: &Value) -> Step<()> {
        let path = format!("/containers/create?name={name}");
        let _ = self.ask("POST", &path, Body::Json(body), &[201])?;
        let path = format!("/containers/{name}/start");
        self.ask("POST", &path, Body::Empty, &[204]).map(drop)
    }

    fn remove(&mut self) -> Step<()> {
        let name = self.some_container();
        let path = format!("/containers/{name}?force=1&v=1");
        let _ = self.ask("DELETE", &path, Body::Empty, &[204])?;
        self.containers.retain(|one| *one != name);
        self.totals.removals += 1;
        Ok(())
    }

    /// A container that prints and ends: its exit code and every line of its output are checked.
    fn run_to_the_end(&mut self) -> Step<()> {
        let name = self.name();
        let (code, lines) = (self.below(100) + 1, self.below(2000));
        let script = format!(
            "i=0; while [ $i -lt {lines} ]; do i=$((i+1)); echo line $i; done; exit {code}"
        );
        let body = json!({"Image": "busybox", "Cmd": ["sh", "-c", script]});
        self.start(&name, &body)?;
        self.ended(&name, &[code])?;
        let path = format!("/containers/{name}/logs?stdout=1");
        let log = self.ask("GET", &path, Body::Empty, &[200])?;
        let text = unframed(&log.body);
        let expected: String = (1..=lines).map(|line| format!("line {line}\n")).collect();
        if text != expected.as_bytes() {
            let found = String::from_utf8_lossy(&text).lines().count();
            return Err(Halt::Wrong(format!(
                "{name} printed {lines} lines, {found} are logged"
            )));
        }
        let path = format!("/containers/{name}?v=1");
        let _ = self.ask("DELETE", &path, Body::Empty, &[204])?;
        self.totals.runs += 1;
        Ok(())
    }

    /// Waits for its end, over any kill of the daemon, and checks the code.
    fn ended(&mut self, name: &str, codes: &[usize]) -> Step<()> {
        loop {
            let path = format!("/containers/{name}/wait");
            match self.ask("POST", &path, Body::Empty, &[200]) {
                Ok(answer) => {
                    let answer = answer.json();
                    let code = answer["StatusCode"].as_u64();
                    let code = code.and_then(|code| usize::try_from(code).ok());
                    if code.is_some_and(|code| codes.contains(&code)) {
                        return Ok(());
                    }
                    return Err(Halt::Wrong(format!(
                        "{name} should end with {codes:?}: {answer}"
                    )));
                }
                Err(Halt::Killed) => self.totals.interrupted += 1,
                Err(other) => return Err(other),
            }
        }
    }

    fn exec(&mut self) -> Step<()> {
        // An exec does not outlive the daemon.
        let life = self.world.up().ok_or(Halt::Over)?;
        let name = self.some_container();
        let code = self.below(100);
        let script = format!("echo hello; exit {code}");
        let body = json!({"Cmd": ["sh", "-c", script], "AttachStdout": true, "Tty": true});
        let path = format!("/containers/{name}/exec");
        let made = self.ask("POST", &path, Body::Json(&body), &[201])?;
        let id = made.json()["Id"].as_str().unwrap_or_default().to_owned();
        let path = format!("/exec/{id}/start");
        let mut output = Vec::new();
        let read = self
            .client
            .hijack(&path, &json!({"Detach": false, "Tty": true}))
            .and_then(|mut stream| stream.read_to_end(&mut output));
        if let Err(error) = read {
            return Err(self.broken(life, &format!("exec in {name}: {error}")));
        }
        let path = format!("/exec/{id}/json");
        let end = self.ask("GET", &path, Body::Empty, &[200, 404])?;
        if self.world.up() != Some(life) {
            return Err(Halt::Killed);
        }
        let end = end.json();
        if output != b"hello\r\n" || end["ExitCode"] != json!(code) {
            let output = String::from_utf8_lossy(&output).into_owned();
            return Err(Halt::Wrong(format!(
                "exec in {name}, exit {code}: {output:?} {end}"
            )));
        }
        self.totals.execs += 1;
        Ok(())
    }

    /// Copies a file in and out again.
    fn copy(&mut self) -> Step<()> {
        let name = self.some_container();
        let size = self.below(300_000);
        let content: Vec<u8> = (0..size)
            .map(|_| self.below(256).to_le_bytes()[0])
            .collect();
        let archive = archive(&content).map_err(|error| Halt::Wrong(error.to_string()))?;
        let path = format!("/containers/{name}/archive?path=/");
        let body = Body::Bytes("application/x-tar", &archive);
        let _ = self.ask("PUT", &path, body, &[200])?;
        let path = format!("/containers/{name}/archive?path=/soak-file");
        let answer = self.ask("GET", &path, Body::Empty, &[200])?;
        let mut back = Vec::new();
        let mut archive = tar::Archive::new(answer.body.as_slice());
        for entry in archive.entries().into_iter().flatten().flatten() {
            let mut entry = entry;
            let _ = entry.read_to_end(&mut back);
        }
        if back != content {
            let (sent, got) = (content.len(), back.len());
            return Err(Halt::Wrong(format!(
                "{name}: {sent} bytes copied in, {got} others out"
            )));
        }
        self.totals.copies += 1;
        Ok(())
    }

    fn rename(&mut self) -> Step<()> {
        let (old, new) = (self.some_container(), self.name());
        let path = format!("/containers/{old}/rename?name={new}");
        let _ = self.ask("POST", &path, Body::Empty, &[204])?;
        self.containers.retain(|one| *one != old);
        self.containers.push(new);
        self.totals.renames += 1;
        Ok(())
    }

    /// Ends a container in one of two ways, looks at its exit code, and starts it again or removes it.
    fn kill(&mut self) -> Step<()> {
        let name = self.some_container();
        self.containers.retain(|one| *one != name);
        // A shell that was started a moment ago may not have its trap yet: it is ended by the second signal then.
        let codes: &[usize] = if self.below(2) == 0 {
            let path = format!("/containers/{name}/kill");
            let _ = self.ask("POST", &path, Body::Empty, &[204])?;
            &[137]
        } else {
            let path = format!("/containers/{name}/stop?t=1");
            let _ = self.ask("POST", &path, Body::Empty, &[204, 304])?;
            &[7, 137, 143]
        };
        self.ended(&name, codes)?;
        self.totals.kills += 1;
        if self.below(2) == 0 {
            let path = format!("/containers/{name}/start");
            let _ = self.ask("POST", &path, Body::Empty, &[204])?;
            self.containers.push(name);
            return Ok(());
        }
        let path = format!("/containers/{name}?v=1");
        self.ask("DELETE", &path, Body::Empty, &[204]).map(drop)
    }

    /// Connects to a published port, which needs no daemon.
    fn connect(&mut self) -> Step<()> {
        let name = self.some_container();
        let path = format!("/containers/{name}/json");
        let answer = self.ask("GET", &path, Body::Empty, &[200])?.json();
        let port = &answer["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"];
        let Some(port) = port.as_str().and_then(|port| port.parse::<u16>().ok()) else {
            return Err(Halt::Wrong(format!("{name} has no port: {answer}")));
        };
        let engine = self.world.engine.read();
        let engine = engine.unwrap_or_else(std::sync::PoisonError::into_inner);
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
        let limit = Duration::from_secs(10);
        // Whether somebody listens within is the container's affair; that the way there is open is the engine's.
        match engine.on_its_network(|| TcpStream::connect_timeout(&address, limit)) {
            Ok(_) => {}
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset
                ) => {}
            Err(error) => return Err(Halt::Wrong(format!("{name} at {address}: {error}"))),
        }
        drop(engine);
        self.totals.connections += 1;
        Ok(())
    }
}

/// The content of a multiplexed stream.
fn unframed(mut body: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    while let Some((head, rest)) = body.split_first_chunk::<8>() {
        let length = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
        let length = usize::try_from(length)
            .unwrap_or(usize::MAX)
            .min(rest.len());
        content.extend_from_slice(&rest[..length]);
        body = &rest[length..];
    }
    content
}

fn archive(content: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    builder.append_data(&mut header, "soak-file", content)?;
    builder.into_inner()
}
