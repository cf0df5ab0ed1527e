//! Mutated input for whatever takes input of strangers.
//!
//! Each case takes one of the seeds and changes it a few times: bits, bytes, repeated, removed and swapped pieces,
//! words of the format. The cases are the same in each run; `DHOW_FUZZ_SECONDS` makes many more of them, others with
//! each `DHOW_FUZZ_SEED`. A case that panics, or takes longer than [`SLOW`], is printed as a Rust literal, to become a
//! seed.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

/// How long one case may take, in an unoptimized program on a busy machine.
pub const SLOW: Duration = Duration::from_secs(5);
/// The longest input.
const LONGEST: usize = 64 << 10;

/// Runs `check` on `cases` inputs that are made of `seeds` and `words`, or as many as `DHOW_FUZZ_SECONDS` allows.
///
/// # Panics
/// When `check` does, or takes too long.
pub fn run(cases: u32, seeds: &[&[u8]], words: &[&[u8]], mut check: impl FnMut(&[u8])) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let seconds = number("DHOW_FUZZ_SECONDS").map(Duration::from_secs);
    let mut random = Random::new(number("DHOW_FUZZ_SEED").unwrap_or(1));
    for seed in seeds {
        one(seed, &mut check);
    }
    let begun = Instant::now();
    let mut done = 0;
    while seconds.map_or(done < cases, |seconds| begun.elapsed() < seconds) {
        one(&mutated(&mut random, seeds, words), &mut check);
        done += 1;
    }
}

fn one(input: &[u8], check: &mut impl FnMut(&[u8])) {
    let begun = Instant::now();
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| check(input))) {
        eprintln!("the input was b\"{}\"", input.escape_ascii());
        resume_unwind(panic);
    }
    let took = begun.elapsed();
    assert!(took < SLOW, "{took:?} for b\"{}\"", input.escape_ascii());
}

/// Numbers that look random and are always the same (splitmix64).
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// The numbers that belong to `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub const fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 for 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.number() % bound).unwrap_or_default()
    }

    /// One of `all`, which has some.
    pub fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

fn mutated(random: &mut Random, seeds: &[&[u8]], words: &[&[u8]]) -> Vec<u8> {
    let mut input = random.pick(seeds).to_vec();
    for _ in 0..=random.below(6) {
        change(random, &mut input, seeds, words);
    }
    input.truncate(LONGEST);
    input
}

/// Bytes that formats treat in a special way.
const SPECIAL: &[u8] = b"\0\n\r\t \"'\\/:;,.@#%$&=+-~{}[]()<>0179aZ\x7f\x80\xff";

fn change(random: &mut Random, input: &mut Vec<u8>, seeds: &[&[u8]], words: &[&[u8]]) {
    let at = random.below(input.len() + 1);
    let end = (at + 1 + random.below(16)).min(input.len());
    match random.below(9) {
        0 if at < input.len() => input[at] ^= 1 << random.below(8),
        1 if at < input.len() => input[at] = *random.pick(SPECIAL),
        2 => input.insert(at, *random.pick(SPECIAL)),
        3 if at < end => drop(input.drain(at..end)),
        4 if at < end => {
            let piece = input[at..end].repeat(1 + random.below(64));
            input.splice(at..at, piece);
        }
        5 => input.truncate(at),
        6 if !words.is_empty() => {
            let word = random.pick(words).to_vec();
            input.splice(at..at, word);
        }
        7 => {
            let other = random.pick(seeds);
            let from = random.below(other.len() + 1);
            input.splice(at.., other[from..].iter().copied());
        }
        _ => {
            let number = *random.pick(&[0, 1, 255, 1 << 16, i64::MAX, i64::MIN, -1]);
            input.splice(at..end.max(at), number.to_string().into_bytes());
        }
    }
}
