//! Stages, arguments and base images become a graph, the image's configuration and its history.

use std::sync::Arc;

use dhow_oci::{Digest, ImageConfig, Platform};

use crate::error::Location;
use crate::graph::{Graph, Vertex, VertexId};

/// What is to be done, and what becomes of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// The vertices. One with an empty name is not told to anybody.
    pub graph: Graph,
    /// What is built, one for each platform, in the order they were asked for.
    pub targets: Vec<Target>,
    /// The Dockerfile.
    pub source: Source,
    /// What the build is made of besides: images, repositories, URLs, for its provenance.
    pub materials: Vec<Material>,
}

/// The result for one platform.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// The platform.
    pub platform: Platform,
    /// The vertex whose root it is.
    pub vertex: VertexId,
    /// The configuration without layers; entries of its history without a time get that of their layer.
    pub image: ImageConfig,
}

/// The Dockerfile of a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Source {
    /// Its name.
    pub file: String,
    /// Its content.
    pub bytes: Arc<[u8]>,
}

/// Something a build is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Material {
    /// A package URL or an address.
    pub uri: String,
    /// Its digest.
    pub digest: Option<Digest>,
}

impl Plan {
    /// Where a vertex stands in the Dockerfile.
    #[must_use]
    pub fn location(&self, vertex: &Vertex) -> Option<Location> {
        Some(Location {
            file: self.source.file.clone(),
            source: Arc::clone(&self.source.bytes),
            lines: vec![vertex.lines?],
        })
    }
}
