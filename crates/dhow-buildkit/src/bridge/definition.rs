//! Results as definitions. Clients take a result of one build into another as its LLB definition; ours names the result.

use bollard_buildkit_proto::pb::{Definition, Input, Op, OpMetadata, SourceOp, op};
use dhow_oci::Digest;
use prost::Message;

/// The scheme of the source that stands for a result.
const SCHEME: &str = "dhow-result://";

/// A definition that stands for a result of a build.
pub(super) fn write(build: &str, result: &str) -> Definition {
    let source = Op {
        op: Some(op::Op::Source(SourceOp {
            identifier: format!("{SCHEME}{build}/{result}"),
            ..SourceOp::default()
        })),
        ..Op::default()
    };
    let source = source.encode_to_vec();
    let digest = Digest::of(&source).to_string();
    let last = Op {
        inputs: vec![Input {
            digest: digest.clone(),
            index: 0,
        }],
        ..Op::default()
    };
    let last = last.encode_to_vec();
    let ends = [digest, Digest::of(&last).to_string()];
    Definition {
        def: vec![source, last],
        metadata: ends.map(|digest| (digest, OpMetadata::default())).into(),
        source: None,
    }
}

/// The build and the result that a definition stands for.
pub(super) fn read(definition: &Definition) -> Option<(String, String)> {
    definition.def.iter().find_map(|bytes| {
        let op::Op::Source(source) = Op::decode(bytes.as_slice()).ok()?.op? else {
            return None;
        };
        let (build, result) = source.identifier.strip_prefix(SCHEME)?.split_once('/')?;
        Some((build.to_owned(), result.to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_says_what_it_stands_for() {
        let expected = Some(("build".to_owned(), "result".to_owned()));
        assert_eq!(read(&write("build", "result")), expected);
        assert_eq!(read(&Definition::default()), None);
    }
}
