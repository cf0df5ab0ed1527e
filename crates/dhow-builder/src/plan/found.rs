//! What was looked up for a plan: images, named contexts, the main context.

use std::collections::BTreeMap;

use dhow_oci::{Digest, ImageConfig, Platform, Reference};

use crate::graph::{GitOp, HttpOp};

/// Everything a plan depends on besides the Dockerfile and the options.
#[derive(Debug, Clone, Default)]
pub(crate) struct Found {
    /// Where `COPY` takes its files from.
    pub(crate) context: Context,
    /// Images by their whole name and platform.
    pub(crate) images: BTreeMap<(String, String), FoundImage>,
    /// Named contexts by their key in the request and platform.
    pub(crate) replacements: BTreeMap<(String, String), Replacement>,
}

/// An image that was looked up.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FoundImage {
    /// Its name, with a tag or a digest.
    pub(crate) reference: Reference,
    /// What that leads to.
    pub(crate) digest: Digest,
    /// Its configuration.
    pub(crate) config: ImageConfig,
}

impl FoundImage {
    /// `docker.io/library/busybox:latest@sha256:…`
    pub(crate) fn whole_name(&self) -> String {
        match self.reference.digest() {
            Some(_) => self.reference.canonical(),
            None => format!("{}@{}", self.reference.canonical(), self.digest),
        }
    }
}

/// What a name stands for instead of a stage or an image.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Replacement {
    /// An image.
    Image(Box<FoundImage>),
    /// Files.
    Files(Context),
}

/// A tree of files.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum Context {
    /// None.
    #[default]
    Empty,
    /// The client's.
    Local {
        /// The name it knows them by.
        name: String,
        /// What is left out.
        exclude: Vec<String>,
        /// What people are told.
        title: String,
    },
    /// A repository.
    Git(GitOp),
    /// An archive at an address.
    Archive(HttpOp),
}

impl Found {
    /// The named context that stands for a stage or an image.
    pub(crate) fn replacement(&self, name: &str, platform: &Platform) -> Option<&Replacement> {
        let shown = platform.to_string();
        let familiar = familiar(name);
        let special = format!("{familiar}::{shown}");
        let of = |key: String| self.replacements.get(&(key, shown.clone()));
        of(special).or_else(|| of(familiar))
    }

    /// An image.
    pub(crate) fn image(&self, reference: &Reference, platform: &Platform) -> Option<&FoundImage> {
        let key = (reference.canonical(), platform.to_string());
        self.images.get(&key)
    }
}

/// A name as named contexts are compared: the shortest one for the same image.
pub(crate) fn familiar(name: &str) -> String {
    let shown = match Reference::parse(name) {
        Ok(reference) => reference.familiar(),
        Err(_) => name.to_owned(),
    };
    match shown.strip_suffix(":latest") {
        Some(short) => short.to_owned(),
        None => shown,
    }
}
