//! A graph while it is made.

use std::collections::{BTreeMap, BTreeSet};

use dhow_oci::Platform;

use crate::graph::{Graph, LocalOp, Op, Vertex, VertexId};

/// A graph that grows; what is the same is there once.
#[derive(Debug, Default)]
pub(crate) struct Drawing {
    graph: Graph,
    locals: BTreeMap<VertexId, BTreeSet<String>>,
}

impl Drawing {
    /// Adds a vertex, or finds the same one.
    pub(crate) fn add(&mut self, vertex: Vertex) -> VertexId {
        let same = |known: &Vertex| {
            known.op == vertex.op
                && known.inputs == vertex.inputs
                && known.platform == vertex.platform
                && known.no_cache == vertex.no_cache
        };
        let found = self.graph.vertices.iter().position(same);
        let at = found.unwrap_or_else(|| {
            self.graph.vertices.push(vertex);
            self.graph.vertices.len() - 1
        });
        VertexId(at)
    }

    /// A vertex without inputs that stands in no line.
    pub(crate) fn source(&mut self, op: Op, name: String, platform: &Platform) -> VertexId {
        self.add(Vertex {
            op,
            inputs: Vec::new(),
            name,
            platform: platform.clone(),
            no_cache: false,
            lines: None,
        })
    }

    /// An empty root.
    pub(crate) fn scratch(&mut self, platform: &Platform) -> VertexId {
        self.source(Op::Scratch, String::new(), platform)
    }

    /// Files of the client, of which `path` is used; what is used is known only at the end.
    pub(crate) fn local(&mut self, name: &str, exclude: &[String], title: &str) -> VertexId {
        let op = Op::Local(LocalOp {
            name: name.to_owned(),
            follow: Vec::new(),
            exclude: exclude.to_vec(),
        });
        let id = self.source(op, title.to_owned(), &Platform::host());
        self.locals.entry(id).or_default();
        id
    }

    /// Notes that a path of a tree of the client is used; of other vertices all is there anyway.
    pub(crate) fn uses(&mut self, vertex: VertexId, path: &str) {
        if let Some(paths) = self.locals.get_mut(&vertex) {
            paths.insert(path.trim_matches('/').to_owned());
        }
    }

    /// The graph.
    pub(crate) fn finish(mut self) -> Graph {
        for (id, paths) in self.locals {
            if let Op::Local(local) = &mut self.graph.vertices[id.0].op
                && !paths.contains("")
            {
                local.follow = paths.into_iter().collect();
            }
        }
        self.graph
    }
}
