//! Running the end-to-end tests against another engine, a reference that says what Docker does.
//!
//! `DHOW_E2E_SOCKET` names the socket of that engine. What fails there is wrong as a test, but for what `reference.json`
//! lists with its reason: `{"FILE": {"TEST": "why", "*": "why all of them"}}`, the file without `.rs`, the test as
//! cargo names it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, PoisonError};

/// The tests that only this tree's engine can pass, by file and test, each with its reason.
///
/// # Panics
/// When the list is no such document.
#[must_use]
pub fn exceptions() -> BTreeMap<String, BTreeMap<String, String>> {
    serde_json::from_str(include_str!("../reference.json")).expect("reference.json is well-formed")
}

/// The socket of the reference engine, where the tests run against one.
#[must_use]
pub fn socket() -> Option<PathBuf> {
    std::env::var_os("DHOW_E2E_SOCKET").map(PathBuf::from)
}

/// Why the test that calls this is not run, where the tests run against a reference engine and it is listed.
#[must_use]
pub fn exception() -> Option<String> {
    socket()?;
    let program = std::env::current_exe().ok()?;
    let thread = std::thread::current();
    let listed = exceptions();
    let tests = listed.get(file_of(&program)?)?;
    let own = tests.get(thread.name()?);
    own.or_else(|| tests.get("*")).cloned()
}

/// `lifecycle` of `.../deps/lifecycle-0123456789abcdef`.
fn file_of(program: &Path) -> Option<&str> {
    let name = program.file_name()?.to_str()?;
    Some(name.rsplit_once('-').map_or(name, |(file, _)| file))
}

/// The turn of one test at the reference engine; the tests of a file would get into each other's way there.
#[derive(Debug)]
pub(crate) struct Turn(());

static TAKEN: Mutex<bool> = Mutex::new(false);
static GIVEN_BACK: Condvar = Condvar::new();

impl Turn {
    /// Waits for it.
    pub(crate) fn wait() -> Self {
        let taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = GIVEN_BACK.wait_while(taken, |taken| *taken);
        *taken.unwrap_or_else(PoisonError::into_inner) = true;
        Self(())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *TAKEN.lock().unwrap_or_else(PoisonError::into_inner) = false;
        GIVEN_BACK.notify_one();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn every_exception_is_a_test_and_has_a_reason() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dhow-e2e/tests");
        for (file, tests) in exceptions() {
            let mut text = std::fs::read_to_string(folder.join(format!("{file}.rs"))).unwrap();
            for entry in std::fs::read_dir(folder.join(&file)).into_iter().flatten() {
                text += &std::fs::read_to_string(entry.unwrap().path()).unwrap_or_default();
            }
            for (test, reason) in tests {
                let name = test.rsplit("::").next().unwrap();
                assert!(
                    test == "*" || text.contains(&format!("fn {name}()")),
                    "{file}: there is no test {test}"
                );
                assert!(reason.len() > 10, "{file}: {test} needs a reason");
            }
        }
    }

    #[test]
    fn files_are_known_by_their_programs() {
        let program = Path::new("/x/deps/crash_images-0123456789abcdef");
        assert_eq!(file_of(program), Some("crash_images"));
    }
}
