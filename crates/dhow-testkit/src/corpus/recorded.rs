//! What a real Docker Engine made of the images, in a file.
//!
//! `= NAME` begins what became of an image, `! TEXT` is an error, all other lines are files. `= NAME dhow` is Dhow's
//! own outcome where that is another.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::tree::Outcome;

/// All outcomes by the images' names.
#[derive(Debug, Clone, Default)]
pub struct Recorded {
    outcomes: BTreeMap<String, Outcome>,
}

impl Recorded {
    /// What is in the source tree.
    #[must_use]
    pub fn read() -> Self {
        Self::parse(include_str!("recorded.txt"))
    }

    /// The file in the source tree.
    #[must_use]
    pub fn file() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("src/corpus/recorded.txt")
    }

    fn parse(text: &str) -> Self {
        let mut outcomes = BTreeMap::new();
        let mut name = String::new();
        for line in text.lines() {
            if let Some(next) = line.strip_prefix("= ") {
                next.clone_into(&mut name);
                outcomes.insert(name.clone(), Ok(Vec::new()));
            } else if let Some(error) = line.strip_prefix("! ") {
                outcomes.insert(name.clone(), Err(error.to_owned()));
            } else if let Some(Ok(lines)) = outcomes.get_mut(&name) {
                lines.push(line.to_owned());
            }
        }
        Self { outcomes }
    }

    /// What became of an image, if that is known.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Outcome> {
        self.outcomes.get(name)
    }

    /// What Dhow is to make of an image, if that is known.
    #[must_use]
    pub fn expected(&self, name: &str) -> Option<&Outcome> {
        self.get(&format!("{name} dhow")).or_else(|| self.get(name))
    }

    /// Notes what became of an image.
    pub fn put(&mut self, name: &str, outcome: &Outcome) {
        self.outcomes.insert(name.to_owned(), outcome.clone());
    }

    /// Forgets an image.
    pub fn remove(&mut self, name: &str) {
        self.outcomes.remove(name);
    }

    /// The file's text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (name, outcome) in &self.outcomes {
            text += &format!("= {name}\n");
            match outcome {
                Ok(lines) => lines.iter().for_each(|line| text += &format!("{line}\n")),
                Err(error) => text += &format!("! {}\n", error.replace(['\n', '\r'], " ").trim()),
            }
        }
        text
    }
}
