//! The rules of ARCHITECTURE.md that a program can check.
//!
//! Each rule is a function from the tree to findings; [`check`] runs them all. The rules run inside `cargo test`
//! too, so that nobody has to remember them.

mod layers;
mod source;

use std::fmt;
use std::path::{Path, PathBuf};

/// One broken rule, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The file, relative to the root.
    pub(crate) path: PathBuf,
    /// What is wrong and what to do instead.
    pub(crate) message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.message)
    }
}

/// Checks the tree at `root`; no findings means that every rule holds.
pub(crate) fn check(root: &Path) -> Vec<Finding> {
    let mut findings = layers::check(root);
    findings.extend(source::check(root));
    findings.sort_by(|a, b| (&a.path, &a.message).cmp(&(&b.path, &b.message)));
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_tree_is_tidy() {
        let findings = check(&crate::root());
        let report: Vec<String> = findings.iter().map(ToString::to_string).collect();
        assert!(report.is_empty(), "{}", report.join("\n"));
    }
}
