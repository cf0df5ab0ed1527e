//! Names for containers that were given none: an adjective and somebody who found something out.

use crate::Result;

const ADJECTIVES: &[&str] = &[
    "able", "agile", "amber", "ample", "apt", "ardent", "artful", "astute", "autumn", "awake",
    "bold", "brave", "breezy", "bright", "brisk", "calm", "candid", "careful", "cheerful", "clear",
    "clever", "coastal", "cool", "cosy", "crisp", "curious", "daring", "dapper", "deft", "dewy",
    "eager", "early", "earnest", "easy", "epic", "even", "exact", "fair", "famous", "fearless",
    "fine", "fleet", "fluent", "fond", "frank", "free", "fresh", "friendly", "frosty", "gallant",
    "gentle", "gifted", "glad", "golden", "graceful", "grand", "great", "happy", "hardy", "hasty",
    "hearty", "helpful", "honest", "hopeful", "humble", "ideal", "jolly", "joyful", "keen", "kind",
    "late", "lively", "loyal", "lucid", "lucky", "lunar", "marine", "mellow", "merry", "mighty",
    "mild", "modest", "musing", "neat", "nimble", "noble", "novel", "open", "patient", "plucky",
    "polite", "proud", "quick", "quiet", "radiant", "rapid", "ready", "robust", "rosy", "sage",
    "salty", "serene", "sharp", "shiny", "silent", "sincere", "smart", "smooth", "snappy", "sober",
    "solar", "spry", "stable", "steady", "stellar", "sturdy", "subtle", "sunny", "swift", "tidal",
    "tidy", "tranquil", "trusty", "upbeat", "vast", "vivid", "warm", "wary", "windy", "wise",
    "witty", "zealous", "zesty",
];
const SURNAMES: &[&str] = &[
    "abel",
    "adleman",
    "agnesi",
    "almeida",
    "ampere",
    "anning",
    "archimedes",
    "aryabhata",
    "avogadro",
    "babbage",
    "banneker",
    "bardeen",
    "bell",
    "bernoulli",
    "bhabha",
    "blackwell",
    "bohr",
    "boltzmann",
    "boole",
    "born",
    "bose",
    "brahe",
    "brahmagupta",
    "brattain",
    "burnell",
    "cantor",
    "carson",
    "cartwright",
    "cavendish",
    "cerf",
    "chandrasekhar",
    "chatelet",
    "cohen",
    "copernicus",
    "cori",
    "cray",
    "curie",
    "dalton",
    "darwin",
    "dijkstra",
    "dirac",
    "easley",
    "edison",
    "einstein",
    "elion",
    "engelbart",
    "euclid",
    "euler",
    "faraday",
    "fermat",
    "fermi",
    "feynman",
    "fibonacci",
    "fleming",
    "franklin",
    "galileo",
    "galois",
    "gauss",
    "germain",
    "goeppert",
    "goodall",
    "hamilton",
    "hawking",
    "heisenberg",
    "hermann",
    "herschel",
    "hertz",
    "heyrovsky",
    "hilbert",
    "hodgkin",
    "hopper",
    "hubble",
    "huygens",
    "hypatia",
    "jackson",
    "jang",
    "jemison",
    "johnson",
    "joliot",
    "kalam",
    "kapitsa",
    "kare",
    "keldysh",
    "keller",
    "kepler",
    "khayyam",
    "khorana",
    "kilby",
    "knuth",
    "kovalevskaya",
    "lalande",
    "lamarr",
    "lamport",
    "leakey",
    "leavitt",
    "leibniz",
    "lichterman",
    "liskov",
    "lovelace",
    "lumiere",
    "mahavira",
    "maxwell",
    "mayer",
    "mccarthy",
    "mcclintock",
    "meitner",
    "mendel",
    "mendeleev",
    "merkle",
    "mirzakhani",
    "moore",
    "morse",
    "murdock",
    "napier",
    "nash",
    "neumann",
    "newton",
    "nightingale",
    "nobel",
    "noether",
    "noyce",
    "panini",
    "pare",
    "pascal",
    "pasteur",
    "payne",
    "perlman",
    "pike",
    "planck",
    "poincare",
    "ptolemy",
    "raman",
    "ramanujan",
    "rhodes",
    "ride",
    "ritchie",
    "rosalind",
    "rubin",
    "saha",
    "sammet",
    "sanderson",
    "shannon",
    "shockley",
    "sinoussi",
    "snyder",
    "spence",
    "swanson",
    "swirles",
    "tesla",
    "tharp",
    "thompson",
    "torvalds",
    "tu",
    "turing",
    "varahamihira",
    "vaughan",
    "villani",
    "volhard",
    "volta",
    "wiles",
    "williams",
    "wilson",
    "wing",
    "wozniak",
    "wright",
    "wu",
    "yalow",
    "yonath",
];

/// How many names are tried before a number is put behind them.
const TRIES: u32 = 6;

/// Takes a free name: `take` says whether one was free.
pub(crate) fn generate(mut take: impl FnMut(&str) -> Result<()>) -> Result<String> {
    let mut attempt = 0;
    loop {
        let random = getrandom::u64().unwrap_or(u64::from(attempt));
        let mut name = format!(
            "{}_{}",
            pick(ADJECTIVES, random),
            pick(SURNAMES, random >> 32)
        );
        if attempt >= TRIES {
            name = format!("{name}{}", (random >> 20) % 10_000);
        }
        match take(&name) {
            Ok(()) => return Ok(name),
            Err(crate::Error::NameTaken { .. }) if attempt < 1000 => attempt += 1,
            Err(error) => return Err(error),
        }
    }
}

fn pick(words: &'static [&'static str], random: u64) -> &'static str {
    let count = u64::try_from(words.len()).unwrap_or(1);
    let index = usize::try_from((random & 0xffff_ffff) % count).unwrap_or(0);
    words.get(index).copied().unwrap_or("dhow")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn words_are_names() {
        for word in ADJECTIVES.iter().chain(SURNAMES) {
            assert!(word.bytes().all(|byte| byte.is_ascii_lowercase()), "{word}");
        }
    }

    #[test]
    fn a_taken_name_is_not_taken_again() {
        let mut taken = std::collections::HashSet::new();
        for _ in 0..500 {
            let name = generate(|name| {
                if taken.contains(name) {
                    return Err(crate::Error::NameTaken {
                        name: name.into(),
                        by: "x".into(),
                    });
                }
                Ok(())
            })
            .unwrap();
            taken.insert(name);
        }
        assert_eq!(taken.len(), 500);
    }
}
