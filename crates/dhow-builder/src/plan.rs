//! Stages, arguments and base images become a graph, the image's configuration and its history.

mod commands;
mod configure;
mod copy;
mod draw;
mod drawing;
mod environment;
mod found;
mod git;
mod path;
mod problem;
mod run;
mod state;
mod survey;

use std::collections::BTreeMap;
use std::sync::Arc;

use dhow_dockerfile::Dockerfile;
use dhow_oci::{Digest, ImageConfig, Platform};

use crate::error::Location;
use crate::graph::{Graph, Vertex, VertexId};
use crate::plan::draw::Stages;
use crate::request::Options;

pub(crate) use draw::stage_names;
pub(crate) use drawing::Drawing;
pub(crate) use environment::Platforms;
pub(crate) use found::{Context, Found, FoundImage, Replacement, familiar};
pub(crate) use git::parse as parse_git;
pub(crate) use problem::Problem;
pub(crate) use survey::{Base, Survey, Triggers};

/// What is to be done, and what becomes of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// The vertices. One with an empty name is not told to anybody.
    pub graph: Graph,
    /// What is built, one for each platform, in the order they were asked for.
    pub targets: Vec<Target>,
    /// The Dockerfile.
    pub source: Source,
    /// Seconds since 1970 that stand in the image instead of now.
    pub epoch: Option<i64>,
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
    /// How many of its layers are those of the image it stands on.
    pub inherited: usize,
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

/// What a plan is made of.
pub(crate) struct Planning<'a> {
    /// The Dockerfile.
    pub(crate) dockerfile: &'a Dockerfile,
    /// How it is understood.
    pub(crate) options: &'a Options,
    /// What was looked up.
    pub(crate) found: &'a Found,
    /// The platform of the machine that builds.
    pub(crate) build: &'a Platform,
    /// Seconds since 1970 that stand in the image instead of now.
    pub(crate) epoch: Option<i64>,
}

impl<'a> Planning<'a> {
    /// The platforms that are asked for, one after another.
    pub(crate) fn platforms(&self) -> Vec<Platforms> {
        let of = |target: &Platform, implicit| Platforms {
            build: self.build.clone(),
            target: target.clone(),
            implicit,
        };
        match self.options.platforms.as_slice() {
            [] => vec![of(self.build, true)],
            asked => asked.iter().map(|platform| of(platform, false)).collect(),
        }
    }

    fn stages(&self) -> Stages<'a> {
        Stages {
            dockerfile: self.dockerfile,
            options: self.options,
            found: self.found,
            epoch: self.epoch,
            drawing: Drawing::default(),
            materials: BTreeMap::new(),
        }
    }

    /// The instructions that the images found so far left for stages.
    pub(crate) fn triggers(&self, platforms: &Platforms) -> Result<Triggers, Problem> {
        self.stages().triggers(platforms)
    }

    /// Makes the plan.
    pub(crate) fn plan(&self, source: Source) -> Result<Plan, Problem> {
        let mut stages = self.stages();
        let mut targets = Vec::new();
        for platforms in self.platforms() {
            targets.push(stages.target(&platforms)?);
        }
        let materials = stages.materials();
        Ok(Plan {
            graph: stages.drawing.finish(),
            targets,
            source,
            epoch: self.epoch,
            materials,
        })
    }
}

#[cfg(test)]
mod tests;
