//! What comes in pieces: multiplexed output, and what shims and the engine say to each other.

use dhow_client::frames::Decoder;
use dhow_shim::protocol::{Request, Response, next_message, push_message};
use dhow_testkit::fuzz;

/// However the bytes are cut, the decoder hands out the same, never more than it was given, and ends.
#[test]
fn frames_are_the_same_however_they_are_cut() {
    let seeds: [&[u8]; 3] = [
        b"\x01\0\0\0\0\0\0\x05hello\x02\0\0\0\0\0\0\x03err\x01\0\0\0\0\0\0\0",
        b"\x01\0\0\0\xff\xff\xff\xffendless",
        b"\x03\0\0\0\0\0\0\x04oops\x01\0\0\0\0\0\0\x01x",
    ];
    let decode = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let mut decoder = Decoder::default();
        let mut shown = Vec::new();
        for piece in pieces {
            decoder.feed(piece);
            loop {
                match decoder.next_piece() {
                    Ok(Some((stream, bytes))) => {
                        assert!(!bytes.is_empty());
                        shown.extend(bytes.iter().map(|byte| (format!("{stream:?}"), *byte)));
                    }
                    Ok(None) => break,
                    Err(error) => return (shown, Some(error.to_string())),
                }
            }
        }
        (shown, None)
    };
    fuzz::run(5000, &seeds, &[], |input| {
        let whole = decode(&mut std::iter::once(input));
        assert!(whole.0.len() <= input.len());
        assert_eq!(decode(&mut input.chunks(1)), whole);
        assert_eq!(decode(&mut input.chunks(7)), whole);
    });
}

/// Messages are refused or taken whole; what is longer than any may be is refused at its first bytes.
#[test]
fn shim_messages_are_refused_or_read() {
    let mut seeds = Vec::new();
    for text in [
        r#"{"hello":{"min":1,"max":2}}"#,
        r#""state""#,
        r#"{"kill":{"signal":9,"all":true}}"#,
        r#"{"resize":{"exec":null,"rows":1,"columns":2}}"#,
        r#"{"exec":{"id":"a","process":{"args":["x"],"cwd":"/"},"user":"0"}}"#,
        r#"{"process":{"pid":7,"warnings":[]}}"#,
        r#"{"event":{"exited":{"code":0,"finished_at":"2026-01-01T00:00:00Z"}}}"#,
    ] {
        let mut bytes = Vec::new();
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        push_message(&mut bytes, &value);
        seeds.push(bytes);
    }
    let seeds: Vec<&[u8]> = seeds.iter().map(Vec::as_slice).collect();
    fuzz::run(10_000, &seeds, &[b"null", b"\xff\xff\xff\x7f"], |input| {
        let mut left = input;
        while let Ok(Some((message, length))) = next_message(left) {
            assert!(length >= 4 && length == message.len() + 4 && length <= left.len());
            let _ = serde_json::from_slice::<Request>(message);
            let _ = serde_json::from_slice::<Response>(message);
            left = &left[length..];
        }
    });
}
