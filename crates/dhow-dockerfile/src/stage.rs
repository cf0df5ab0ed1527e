//! Build stages.

use std::sync::LazyLock;

use regex::Regex;

use crate::Lines;
use crate::flags::{Flags, Takes};
use crate::instruction::Instruction;
use crate::parse::Node;

/// What a `FROM` begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// Its name, in lower case.
    pub name: Option<String>,
    /// The name as it is written.
    pub written_name: Option<String>,
    /// What it begins with: an image's reference, an earlier stage's name, `scratch`; variables not expanded.
    pub base: String,
    /// `--platform`; variables not expanded.
    pub platform: Option<String>,
    /// The keyword `FROM` as it is written, and `AS`.
    pub keywords: (String, Option<String>),
    /// What the comment above says of it, after its name.
    pub description: Option<String>,
    /// All comments above.
    pub comments: Vec<String>,
    /// The line as it is written.
    pub original: String,
    /// Where it is.
    pub lines: Lines,
    /// Its instructions.
    pub steps: Vec<Step>,
}

/// One instruction of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What it says.
    pub instruction: Instruction,
    /// The keyword as it is written.
    pub keyword: String,
    /// The whole as it is written, continuation lines joined.
    pub original: String,
    /// The comments directly above it.
    pub comments: Vec<String>,
    /// Where it is.
    pub lines: Lines,
}

#[allow(
    clippy::expect_used,
    reason = "the pattern is constant, and a test compiles it"
)]
static NAME: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("^[a-z][a-z0-9-_.]*$").expect("a constant pattern"));

impl Stage {
    pub(crate) fn of(node: &Node) -> Result<Self, String> {
        let (written_name, as_keyword) = match node.args.as_slice() {
            [_] => (None, None),
            [_, keyword, name] if keyword.eq_ignore_ascii_case("as") => {
                (Some(name.clone()), Some(keyword.clone()))
            }
            _ => return Err("FROM requires either one or three arguments".into()),
        };
        let name = written_name.as_ref().map(|name| name.to_lowercase());
        if let Some(name) = name.as_ref().filter(|name| !NAME.is_match(name)) {
            return Err(format!(
                "invalid name for build stage: {name:?}, name can't start with a number or contain symbols"
            ));
        }
        let flags = Flags::read(&node.raw.flags, &[("platform", Takes::Value)])?;
        Ok(Self {
            description: name
                .as_ref()
                .and_then(|name| described(&node.raw.comments, name)),
            name,
            written_name,
            base: node.args.first().cloned().unwrap_or_default(),
            platform: flags.owned("platform"),
            keywords: (node.raw.keyword.clone(), as_keyword),
            comments: node.raw.comments.clone(),
            original: node.raw.original.clone(),
            lines: node.raw.lines,
            steps: Vec::new(),
        })
    }
}

/// What the last comment that begins with `name` says after it.
pub(crate) fn described(comments: &[String], name: &str) -> Option<String> {
    let last = comments.last()?;
    let rest = last.strip_prefix(name)?.strip_prefix(' ')?;
    Some(rest.to_owned())
}
