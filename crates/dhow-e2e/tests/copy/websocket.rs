//! Attaching over a websocket.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;

use dhow_e2e::{Bench, with_both};

/// Opens a websocket to a container's streams; the status when that is refused.
fn open(b: &Bench, version: &str, query: &str) -> Result<BufReader<UnixStream>, String> {
    let mut socket = BufReader::new(UnixStream::connect(b.engine.socket()).unwrap());
    let head = format!(
        "GET /{version}/containers/{query} HTTP/1.1\r\nHost: engine\r\nOrigin: http://engine\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    socket.get_mut().write_all(head.as_bytes()).unwrap();
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        socket.read_line(&mut line).unwrap();
        match line.trim() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    if !lines[0].contains(" 101 ") {
        return Err(lines[0].clone());
    }
    // RFC 6455's own example.
    let accepted = "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
    assert!(
        lines.iter().any(|line| line.eq_ignore_ascii_case(accepted)),
        "{lines:?}"
    );
    Ok(socket)
}

/// Sends a message, masked as a client must.
fn send(socket: &mut BufReader<UnixStream>, opcode: u8, payload: &[u8]) {
    let mask = [1, 2, 3, 4];
    let length = u8::try_from(payload.len()).unwrap();
    let mut frame = vec![0x80 | opcode, 0x80 | length, 1, 2, 3, 4];
    let masked = payload.iter().zip(mask.iter().cycle());
    frame.extend(masked.map(|(byte, mask)| byte ^ mask));
    socket.get_mut().write_all(&frame).unwrap();
}

/// All that comes until the other side closes, and the opcode it came with.
fn received(socket: &mut BufReader<UnixStream>, enough: impl Fn(&str) -> bool) -> (u8, String) {
    let (mut kind, mut text) = (0, Vec::new());
    while !enough(&String::from_utf8_lossy(&text)) {
        let mut head = [0; 2];
        if socket.read_exact(&mut head).is_err() {
            break;
        }
        let mut length = u64::from(head[1] & 0x7f);
        if length == 126 {
            let mut more = [0; 2];
            socket.read_exact(&mut more).unwrap();
            length = u64::from(u16::from_be_bytes(more));
        }
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        socket.read_exact(&mut payload).unwrap();
        match head[0] & 0xf {
            8 => break,
            opcode => kind = opcode,
        }
        text.extend(payload);
    }
    (kind, String::from_utf8(text).unwrap())
}

#[test]
fn input_and_output_travel_in_messages() {
    with_both(|b| {
        let script = "echo before; read line; echo got $line; echo error >&2";
        let _ = b.words_ok(&[
            "run", "-d", "-i", "--name", "cc", "busybox", "sh", "-c", script,
        ]);
        let query = "cc/attach/ws?logs=1&stream=1&stdin=1&stdout=1&stderr=1";
        let mut socket = open(b, "v1.44", query).unwrap();
        let (kind, text) = received(&mut socket, |text| text.contains("before"));
        assert_eq!((kind, text.as_str()), (2, "before\n"));
        send(&mut socket, 2, b"this\n");
        let (_, text) = received(&mut socket, |_| false);
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["error", "got this"]);
        assert_eq!(b.ok("wait cc"), "0");
        let _ = b.ok("rm cc");
    });
}

#[test]
fn a_terminal_travels_too_and_what_is_not_there_is_refused() {
    with_both(|b| {
        let _ = b.words_ok(&[
            "run",
            "-d",
            "-i",
            "-t",
            "--name",
            "cc",
            "busybox",
            "sh",
            "-c",
            "read line; echo got $line",
        ]);
        let mut socket = open(b, "v1.44", "cc/attach/ws?stream=1&stdin=1&stdout=1").unwrap();
        send(&mut socket, 1, b"this\n");
        let (_, text) = received(&mut socket, |text| text.contains("got this"));
        assert!(text.ends_with("got this\r\n"), "{text:?}");
        let refused = open(b, "v1.44", "nope/attach/ws?stream=1&stdout=1").unwrap_err();
        assert!(refused.contains("404"), "{refused}");
        assert_eq!(b.ok("wait cc"), "0");
        let _ = b.ok("rm cc");
    });
}
