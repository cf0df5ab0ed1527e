//! Attestations: statements about an image, in the words of in-toto.
//!
//! *Provenance* says how it was built (SLSA 0.2, as BuildKit writes it); an *SBOM* says what is in it (SPDX 2.3). Neither
//! has anything that differs between two equal builds unless all is asked for (`mode=max`), so that equal builds give
//! equal images.

use std::collections::BTreeMap;

use dhow_oci::Descriptor;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::compose::Composed;
use super::sbom;
use crate::builder::BuilderConfig;
use crate::error::Error;
use crate::plan::{Material, Plan};
use crate::request::{BuildRequest, ContextSource, DockerfileSource, ImageOptions};

/// The type of a statement's blob.
pub(super) const MEDIA_TYPE: &str = "application/vnd.in-toto+json";
const STATEMENT: &str = "https://in-toto.io/Statement/v0.1";
const PROVENANCE: &str = "https://slsa.dev/provenance/v0.2";
const SPDX: &str = "https://spdx.dev/Document";
/// What kind of build this is: others read it as BuildKit's, whose form it has.
const BUILD_TYPE: &str = "https://mobyproject.org/buildkit@v1";

/// A statement.
pub(super) struct Statement {
    /// What kind.
    pub(super) predicate_type: &'static str,
    /// What it says.
    pub(super) predicate: Value,
    /// The whole document.
    pub(super) document: Value,
}

/// How an image was built.
pub(super) struct Invocation {
    id: String,
    started: Timestamp,
    file: String,
    arguments: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
    target: Option<String>,
    locals: Vec<String>,
    materials: Vec<Material>,
    steps: Vec<Value>,
    source: Vec<u8>,
    platform: String,
}

impl Invocation {
    /// What there is to say about a request.
    pub(super) fn of(request: &BuildRequest, plan: &Plan) -> Self {
        let options = &request.options;
        let mut locals = Vec::new();
        if let ContextSource::Local(name) = &request.context {
            locals.push(name.clone());
        }
        if let DockerfileSource::Local { context, .. } = &request.dockerfile {
            locals.push(context.clone());
        }
        locals.sort();
        locals.dedup();
        let steps = plan.graph.vertices.iter().enumerate();
        let steps = steps.map(|(position, vertex)| {
            let inputs: Vec<String> = vertex
                .inputs
                .iter()
                .map(|id| format!("step{}:0", id.0))
                .collect();
            json!({"id": format!("step{position}"), "name": vertex.name, "inputs": inputs})
        });
        Self {
            id: request.id.clone(),
            started: Timestamp::now(),
            file: plan.source.file.clone(),
            arguments: options.arguments.clone(),
            labels: options.labels.clone(),
            target: options.target.clone(),
            locals,
            materials: plan.materials.clone(),
            steps: steps.collect(),
            source: plan.source.bytes.to_vec(),
            platform: dhow_oci::Platform::host().to_string(),
        }
    }

    fn provenance(&self, max: bool) -> Value {
        let materials: Vec<Value> = self.materials.iter().map(material).collect();
        let mut arguments = Map::new();
        let locals: Vec<Value> = self
            .locals
            .iter()
            .map(|name| json!({"name": name}))
            .collect();
        if let Some(target) = &self.target {
            arguments.insert("target".into(), json!(target));
        }
        if max {
            for (name, value) in &self.arguments {
                arguments.insert(format!("build-arg:{name}"), json!(value));
            }
            for (name, value) in &self.labels {
                arguments.insert(format!("label:{name}"), json!(value));
            }
        }
        let mut parameters = json!({"frontend": "dockerfile.v0"});
        if !arguments.is_empty() {
            parameters["args"] = Value::Object(arguments);
        }
        parameters["locals"] = Value::Array(locals);
        let mut metadata = json!({
            "completeness": {"parameters": max, "environment": true, "materials": false},
            "reproducible": false,
        });
        let mut predicate = json!({
            "builder": {"id": ""},
            "buildType": BUILD_TYPE,
            "materials": materials,
            "invocation": {
                "configSource": {"entryPoint": self.file},
                "parameters": parameters,
                "environment": {"platform": self.platform},
            },
        });
        if max {
            use base64::Engine;
            let data = base64::engine::general_purpose::STANDARD.encode(&self.source);
            metadata["buildInvocationID"] = json!(self.id);
            metadata["buildStartedOn"] = json!(self.started.to_string());
            metadata["buildFinishedOn"] = json!(Timestamp::now().to_string());
            metadata["https://mobyproject.org/buildkit@v1#metadata"] = json!({
                "source": {"infos": [{"filename": self.file, "language": "Dockerfile", "data": data}]},
            });
            predicate["buildConfig"] = json!({"llbDefinition": self.steps});
        }
        predicate["metadata"] = metadata;
        predicate
    }
}

fn material(material: &Material) -> Value {
    let mut one = json!({"uri": material.uri});
    if let Some(digest) = &material.digest {
        one["digest"] = json!({digest.algorithm(): digest.hex()});
    }
    one
}

/// The statements that are asked for, provenance first.
pub(super) fn statements(
    kit: &BuilderConfig,
    image: &Composed,
    options: &ImageOptions,
    invocation: &Invocation,
    about: &Descriptor,
) -> Result<Vec<Statement>, Error> {
    let mut statements = Vec::new();
    let subject = json!([{
        "name": "_",
        "digest": {about.digest.algorithm(): about.digest.hex()},
    }]);
    let mut add = |predicate_type: &'static str, predicate: Value| {
        let document = json!({
            "_type": STATEMENT, "predicateType": predicate_type, "subject": subject, "predicate": predicate,
        });
        statements.push(Statement {
            predicate_type,
            predicate,
            document,
        });
    };
    if let Some(parameters) = options.attestations.get("provenance")
        && !is_off(parameters)
    {
        let max = match parameters.get("mode").map(String::as_str) {
            None | Some("min" | "") => false,
            Some("max") => true,
            Some(other) => {
                return Err(Error::invalid(format!("invalid provenance mode {other:?}")));
            }
        };
        add(PROVENANCE, invocation.provenance(max));
    }
    if let Some(parameters) = options.attestations.get("sbom")
        && !is_off(parameters)
    {
        if let Some(generator) = parameters.get("generator").filter(|name| !name.is_empty()) {
            return Err(Error::NotImplemented(format!(
                "the SBOM generator {generator}; the built-in one is used without a generator"
            )));
        }
        add(SPDX, sbom::document(kit, image)?);
    }
    Ok(statements)
}

fn is_off(parameters: &BTreeMap<String, String>) -> bool {
    let off = |key: &str, value: &str| parameters.get(key).is_some_and(|found| found == value);
    off("disabled", "true") || off("enabled", "false")
}
