//! What front ends on the client's side may ask of this engine.

use bollard_buildkit_proto::moby::buildkit::v1::apicaps::ApiCap;

/// Of the bridge.
pub(super) fn frontend() -> Vec<ApiCap> {
    caps(&[
        "frontend.caps",
        "frontend.inputs",
        "gateway.evaluate",
        "gateway.solve.evaluate",
        "gateway.solve.metadata",
        "importcaches",
        "proto.refarray",
        "reference.output",
        "resolveimage",
        "resolveimage.resolvemode",
        "return",
        "returnmap",
        "solve.base",
        "source.metaresolver",
    ])
}

/// Of what is built. There is no LLB here; what clients look for are the abilities around it.
pub(super) fn llb() -> Vec<ApiCap> {
    caps(&[
        "exec.cgroup",
        "exporter.image.annotations",
        "exporter.image.attestations",
        "exporter.multiple",
        "exporter.sourcedateepoch",
        "gc.freespacefilter",
        "history.filter",
        "meta.description",
        "platform",
        "source.image",
        "source.local",
        "source.local.followpaths",
        "source.local.sharedkeyhint",
        "source.local.sessionid",
    ])
}

fn caps(ids: &[&str]) -> Vec<ApiCap> {
    let cap = |id: &&str| ApiCap {
        id: (*id).to_owned(),
        enabled: true,
        ..ApiCap::default()
    };
    ids.iter().map(cap).collect()
}
