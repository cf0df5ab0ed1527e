//! Applies the tar on standard input to the new directory given: `apply DIRECTORY < layer.tar`; to measure it.

#![allow(clippy::print_stdout, reason = "an example")]

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use dhow_archive::{ApplyOptions, apply};

fn main() -> Result<(), Box<dyn Error>> {
    let directory = PathBuf::from(std::env::args_os().nth(1).ok_or("usage: apply DIRECTORY")?);
    std::fs::create_dir(&directory)?;
    let start = Instant::now();
    let applied = apply(
        std::io::stdin().lock(),
        &directory,
        &ApplyOptions::default(),
    )?;
    let time = start.elapsed();
    println!(
        "{} entries, {} bytes in {time:?}",
        applied.entries, applied.bytes
    );
    Ok(())
}
