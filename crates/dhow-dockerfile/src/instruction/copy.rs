//! `COPY` and `ADD`.

use crate::Heredoc;
use crate::flags::{Flags, Takes};
use crate::parse::Node;

/// `COPY`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// What is copied.
    pub sources: Vec<Source>,
    /// Where to.
    pub destination: String,
    /// The stage, image or named context it is copied from, in place of the context.
    pub from: Option<String>,
    /// `user[:group]`, by name or number.
    pub chown: Option<String>,
    /// The permissions, in octal or as `chmod` takes them.
    pub chmod: Option<String>,
    /// Whether the layer is to be independent of those below.
    pub link: Option<bool>,
    /// Whether parent directories are kept.
    pub parents: bool,
    /// Patterns of what is left out.
    pub exclude: Vec<String>,
}

/// `ADD`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Add {
    /// What is added: paths in the context, URLs, git repositories.
    pub sources: Vec<Source>,
    /// Where to.
    pub destination: String,
    /// `user[:group]`, by name or number.
    pub chown: Option<String>,
    /// The permissions, in octal or as `chmod` takes them.
    pub chmod: Option<String>,
    /// Whether the layer is to be independent of those below.
    pub link: Option<bool>,
    /// Whether a git repository's `.git` is kept.
    pub keep_git_dir: Option<bool>,
    /// The digest of what a URL leads to, or a git commit.
    pub checksum: Option<String>,
    /// Whether archives are unpacked; local ones are if nothing is said, remote ones are not.
    pub unpack: Option<bool>,
    /// Patterns of what is left out.
    pub exclude: Vec<String>,
}

/// One thing to copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A path, perhaps with wildcards, or a URL.
    Path(String),
    /// A file whose content stands in the Dockerfile.
    Inline(Heredoc),
}

impl Copy {
    pub(crate) fn of(node: &Node) -> Result<Self, String> {
        let (sources, destination) = sources_and_destination(node)?;
        let known = [
            ("chown", Takes::Value),
            ("from", Takes::Value),
            ("chmod", Takes::Value),
            ("link", Takes::Switch),
            ("parents", Takes::Switch),
            ("exclude", Takes::Values),
        ];
        let flags = Flags::read(&node.raw.flags, &known)?;
        Ok(Self {
            sources,
            destination,
            from: flags.owned("from"),
            chown: flags.owned("chown"),
            chmod: flags.owned("chmod"),
            link: flags.switch("link"),
            parents: flags.switch("parents").unwrap_or(false),
            exclude: flags.values("exclude"),
        })
    }
}

impl Add {
    pub(crate) fn of(node: &Node) -> Result<Self, String> {
        let (sources, destination) = sources_and_destination(node)?;
        let known = [
            ("chown", Takes::Value),
            ("chmod", Takes::Value),
            ("link", Takes::Switch),
            ("keep-git-dir", Takes::Switch),
            ("checksum", Takes::Value),
            ("unpack", Takes::Switch),
            ("exclude", Takes::Values),
        ];
        let flags = Flags::read(&node.raw.flags, &known)?;
        Ok(Self {
            sources,
            destination,
            chown: flags.owned("chown"),
            chmod: flags.owned("chmod"),
            link: flags.switch("link"),
            keep_git_dir: flags.switch("keep-git-dir"),
            checksum: flags.owned("checksum"),
            unpack: flags.switch("unpack"),
            exclude: flags.values("exclude"),
        })
    }
}

fn sources_and_destination(node: &Node) -> Result<(Vec<Source>, String), String> {
    let Some((destination, sources)) = node.args.split_last().filter(|(_, rest)| !rest.is_empty())
    else {
        return Err(format!(
            "{} requires at least two arguments, but only one was provided. Destination could not be determined",
            node.keyword
        ));
    };
    if !node.json && Heredoc::of_word(destination).is_some() {
        return Err(format!(
            "{} cannot accept a heredoc as a destination",
            node.keyword
        ));
    }
    let source = |word: &String| match Heredoc::of_word(word) {
        Some(announced) if !node.json => {
            let read = node
                .raw
                .heredocs
                .iter()
                .find(|doc| doc.name == announced.name);
            Source::Inline(read.cloned().unwrap_or(announced))
        }
        _ => Source::Path(word.clone()),
    };
    Ok((sources.iter().map(source).collect(), destination.clone()))
}
