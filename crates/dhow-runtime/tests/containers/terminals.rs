//! Terminals.

use std::io::{Read, Write};

use dhow_runtime::{Runtime, Stdio};

use crate::Test;
use crate::bed::{Bed, wait};

pub(crate) const TESTS: &[Test] = &[
    ("terminals::the_program_has_one", the_program_has_one),
    ("terminals::an_exec_has_its_own", an_exec_has_its_own),
];

const SIZE: Stdio<'static> = Stdio::Terminal {
    width: 90,
    height: 40,
};

/// Everything shown until the other side closes, which a terminal tells by an error.
fn shown(master: std::os::fd::OwnedFd) -> String {
    let mut file = std::fs::File::from(master);
    let mut text = Vec::new();
    let mut buffer = [0; 1024];
    while let Ok(count @ 1..) = file.read(&mut buffer) {
        text.extend(&buffer[..count]);
    }
    String::from_utf8(text).unwrap().replace("\r\n", "\n")
}

fn the_program_has_one() {
    let mut bed = Bed::new("tty ; size ; stat /dev/console ; line ; cat /dev/tty");
    bed.create_with(SIZE).unwrap();
    let master = bed.created.as_mut().unwrap().master.take().unwrap();
    bed.runtime.start(&bed.id).unwrap();
    let mut keyboard = std::fs::File::from(master.try_clone().unwrap());
    keyboard.write_all(b"hello\n").unwrap();
    // The second line is read through /dev/tty, which only works with a controlling terminal; ^D ends it.
    keyboard.write_all(b"more\n\x04").unwrap();
    let text = shown(master);
    for expected in [
        "/dev/pts/0\n",
        "40 90\n",
        "20620 0 5 8800",
        "got hello\n",
        "more\n",
    ] {
        assert!(text.contains(expected), "{expected:?} in {text:?}");
    }
    assert_eq!(bed.wait(), 0);
}

fn an_exec_has_its_own() {
    let bed = Bed::new("sleep").start();
    let executed = bed
        .exec_with("tty ; size ; warn both ; exit 5", &[], SIZE)
        .unwrap();
    let text = shown(executed.master.unwrap());
    assert_eq!(text, "/dev/pts/0\n40 90\nboth\n");
    assert_eq!(wait(&executed.pidfd), 5);
    let bed = Bed::new("sleep").set("/mounts", serde_json::json!([]));
    let error = { bed }.create_with(SIZE).unwrap_err();
    let text = dhow_errdefs::chain(&error).to_string();
    assert!(text.contains("/dev/pts of the container"), "{text}");
}
