//! The bridge of front ends that run on the client's side, as buildx's do.

mod caps;
mod definition;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bollard_buildkit_proto::google::rpc;
use bollard_buildkit_proto::moby::buildkit::v1::frontend as gateway;
use bollard_buildkit_proto::moby::buildkit::v1::frontend::llb_bridge_server::LlbBridge;
use dhow_builder::request::Export;
use dhow_builder::{BuildRequest, Outcome};
use dhow_oci::Digest;
use futures::stream::BoxStream;
use gateway::{Ref, result};
use tonic::{Code, Request, Response, Status, Streaming};

use crate::builds::Build;
use crate::failure;
use crate::order::{Attributes, Order, not_implemented};
use crate::service::Shared;

/// Stands beside each call and says which build it is about.
const BUILD: &str = "buildkit-controlapi-buildid";

/// The service.
pub(crate) struct Bridge(pub(crate) Arc<Shared>);

type Answer<T> = Result<Response<T>, Status>;

impl Bridge {
    async fn build<T>(&self, request: &Request<T>) -> Result<(String, Arc<Build>), Status> {
        let id = request
            .metadata()
            .get(BUILD)
            .and_then(|id| id.to_str().ok());
        let id = id.ok_or_else(|| Status::unknown("no buildid found in context"))?;
        let build = self.0.builds.find(id).await;
        let build = build.ok_or_else(|| Status::not_found(format!("no such job {id}")))?;
        Ok((id.to_owned(), build))
    }

    /// Answers a question about a Dockerfile, or builds without exporting anything.
    async fn answer(
        &self,
        id: &str,
        build: &Build,
        mut order: Order,
        exports: Vec<Export>,
    ) -> Result<Outcome, Status> {
        let client = self.0.taking_upload(&mut order, build).await?;
        let request = BuildRequest {
            id: id.to_owned(),
            client,
            listener: build.board.clone(),
            dockerfile: order.dockerfile,
            context: order.context,
            named_contexts: order.named_contexts,
            options: order.options,
            exports,
            cache_from: order.cache_from,
            cache_to: Vec::new(),
        };
        let built = self.0.maker.build(request).await;
        built.map_err(|error| failure::status_of(&error))
    }

    /// The images that a front end's inputs stand for: they are results of this engine's builds, built now.
    async fn inputs(
        &self,
        definitions: &HashMap<String, bollard_buildkit_proto::pb::Definition>,
    ) -> Result<HashMap<String, Digest>, Status> {
        let mut inputs = HashMap::new();
        for (name, definition) in definitions {
            let Some((build, result)) = definition::read(definition) else {
                return Err(not_implemented("inputs that are a client's own LLB"));
            };
            let found = self.0.builds.find(&build).await;
            let known = found.and_then(|found| Some((found.prepared(&result)?, found)));
            let Some((order, found)) = known else {
                return Err(Status::not_found(format!("no such result {result}")));
            };
            let export = Export::Image {
                names: Vec::new(),
                push: false,
                image: Default::default(),
            };
            let outcome = self.answer(&build, &found, order, vec![export]).await?;
            let image = outcome
                .image
                .ok_or_else(|| Status::internal("no image was made"))?;
            inputs.insert(name.clone(), image.digest);
        }
        Ok(inputs)
    }
}

#[tonic::async_trait]
impl LlbBridge for Bridge {
    type ExecProcessStream = BoxStream<'static, Result<gateway::ExecMessage, Status>>;

    async fn ping(&self, request: Request<gateway::PingRequest>) -> Answer<gateway::PongResponse> {
        self.build(&request).await?;
        Ok(Response::new(gateway::PongResponse {
            frontend_api_caps: caps::frontend(),
            llb_caps: caps::llb(),
            workers: vec![self.0.worker()],
        }))
    }

    async fn inputs(
        &self,
        request: Request<gateway::InputsRequest>,
    ) -> Answer<gateway::InputsResponse> {
        self.build(&request).await?;
        Ok(Response::new(gateway::InputsResponse::default()))
    }

    async fn solve(
        &self,
        request: Request<gateway::SolveRequest>,
    ) -> Answer<gateway::SolveResponse> {
        let (id, build) = self.build(&request).await?;
        let request = request.into_inner();
        let empty = request.definition.as_ref().is_none_or(|d| d.def.is_empty());
        if !empty {
            return Err(not_implemented("solving a client's own LLB definition"));
        }
        if request.frontend.is_empty() {
            return Ok(solved(gateway::Result {
                result: Some(result::Result::Ref(Ref::default())),
                ..Default::default()
            }));
        }
        if !request.source_policies.is_empty() {
            return Err(not_implemented("source policies"));
        }
        let inputs = self.inputs(&request.frontend_inputs).await?;
        let attributes: Attributes = request.frontend_opt.into_iter().collect();
        let mut order = Order::read(&request.frontend, &attributes, &inputs)?;
        for entry in &request.cache_imports {
            order.add_cache(&entry.r#type, &entry.attrs)?;
        }
        if order.options.call.is_some() {
            let outcome = self.answer(&id, &build, order, Vec::new()).await?;
            return Ok(solved(gateway::Result {
                result: Some(result::Result::Ref(Ref::default())),
                metadata: bytes(outcome.metadata),
                ..Default::default()
            }));
        }
        if request.evaluate {
            self.answer(&id, &build, order.clone(), Vec::new()).await?;
        }
        let name = crate::id::random();
        build.prepare(name.clone(), order)?;
        Ok(solved(gateway::Result {
            result: Some(result::Result::Ref(Ref {
                def: Some(definition::write(&id, &name)),
                id: name,
            })),
            ..Default::default()
        }))
    }

    async fn r#return(
        &self,
        request: Request<gateway::ReturnRequest>,
    ) -> Answer<gateway::ReturnResponse> {
        let (_, build) = self.build(&request).await?;
        let request = request.into_inner();
        let returned = match request.error {
            Some(error) => Err(status_of(error)),
            None => {
                let reference = request.result.and_then(|result| reference(result.result));
                match reference {
                    None => Ok(None),
                    Some(name) => match build.prepared(&name) {
                        Some(order) => Ok(Some(order)),
                        None => return Err(Status::not_found(format!("no such ref: {name}"))),
                    },
                }
            }
        };
        build.give_back(returned)?;
        Ok(Response::new(gateway::ReturnResponse {}))
    }

    async fn evaluate(
        &self,
        request: Request<gateway::EvaluateRequest>,
    ) -> Answer<gateway::EvaluateResponse> {
        let (id, build) = self.build(&request).await?;
        let name = request.into_inner().r#ref;
        if !name.is_empty() {
            let order = build.prepared(&name);
            let order = order.ok_or_else(|| Status::not_found(format!("no such ref: {name}")))?;
            self.answer(&id, &build, order, Vec::new()).await?;
        }
        Ok(Response::new(gateway::EvaluateResponse {}))
    }

    async fn resolve_image_config(
        &self,
        request: Request<gateway::ResolveImageConfigRequest>,
    ) -> Answer<gateway::ResolveImageConfigResponse> {
        let (_, build) = self.build(&request).await?;
        let request = request.into_inner();
        let found = self
            .0
            .image_config(&build, &request.r#ref, request.platform.as_ref())
            .await?;
        Ok(Response::new(gateway::ResolveImageConfigResponse {
            digest: found.digest.to_string(),
            config: found.config,
            r#ref: request.r#ref,
        }))
    }

    async fn resolve_source_meta(
        &self,
        request: Request<gateway::ResolveSourceMetaRequest>,
    ) -> Answer<gateway::ResolveSourceMetaResponse> {
        let (_, build) = self.build(&request).await?;
        let request = request.into_inner();
        let source = request.source.unwrap_or_default();
        let Some(name) = source.identifier.strip_prefix("docker-image://") else {
            return Err(not_implemented(format!(
                "metadata of {:?}",
                source.identifier
            )));
        };
        let found = self
            .0
            .image_config(&build, name, request.platform.as_ref())
            .await?;
        let image = gateway::ResolveSourceImageResponse {
            digest: found.digest.to_string(),
            config: found.config,
            attestation_chain: None,
        };
        Ok(Response::new(gateway::ResolveSourceMetaResponse {
            source: Some(source),
            image: Some(image),
            ..Default::default()
        }))
    }

    async fn read_file(
        &self,
        _: Request<gateway::ReadFileRequest>,
    ) -> Answer<gateway::ReadFileResponse> {
        Err(not_implemented("reading files of a result"))
    }

    async fn read_dir(
        &self,
        _: Request<gateway::ReadDirRequest>,
    ) -> Answer<gateway::ReadDirResponse> {
        Err(not_implemented("reading directories of a result"))
    }

    async fn stat_file(
        &self,
        _: Request<gateway::StatFileRequest>,
    ) -> Answer<gateway::StatFileResponse> {
        Err(not_implemented("reading files of a result"))
    }

    async fn new_container(
        &self,
        _: Request<gateway::NewContainerRequest>,
    ) -> Answer<gateway::NewContainerResponse> {
        Err(not_implemented("containers of a front end"))
    }

    async fn release_container(
        &self,
        _: Request<gateway::ReleaseContainerRequest>,
    ) -> Answer<gateway::ReleaseContainerResponse> {
        Err(not_implemented("containers of a front end"))
    }

    async fn exec_process(
        &self,
        _: Request<Streaming<gateway::ExecMessage>>,
    ) -> Answer<Self::ExecProcessStream> {
        Err(not_implemented("containers of a front end"))
    }

    async fn read_file_container(
        &self,
        _: Request<gateway::ReadFileRequest>,
    ) -> Answer<gateway::ReadFileResponse> {
        Err(not_implemented("containers of a front end"))
    }

    async fn read_dir_container(
        &self,
        _: Request<gateway::ReadDirRequest>,
    ) -> Answer<gateway::ReadDirResponse> {
        Err(not_implemented("containers of a front end"))
    }

    async fn stat_file_container(
        &self,
        _: Request<gateway::StatFileRequest>,
    ) -> Answer<gateway::StatFileResponse> {
        Err(not_implemented("containers of a front end"))
    }

    async fn warn(&self, request: Request<gateway::WarnRequest>) -> Answer<gateway::WarnResponse> {
        self.build(&request).await?;
        Err(not_implemented("warnings of a client's front end"))
    }
}

fn solved(result: gateway::Result) -> Response<gateway::SolveResponse> {
    Response::new(gateway::SolveResponse {
        r#ref: String::new(),
        result: Some(result),
    })
}

fn bytes(metadata: BTreeMap<String, String>) -> HashMap<String, Vec<u8>> {
    let owned = |(key, value): (String, String)| (key, value.into_bytes());
    metadata.into_iter().map(owned).collect()
}

/// The result that is returned; several, one a platform, are all of one order.
fn reference(result: Option<result::Result>) -> Option<String> {
    let id = match result? {
        result::Result::RefDeprecated(id) => id,
        result::Result::Ref(reference) => reference.id,
        result::Result::Refs(map) => map
            .refs
            .into_values()
            .map(|reference| reference.id)
            .next()?,
        result::Result::RefsDeprecated(map) => map.refs.into_values().next()?,
    };
    Some(id).filter(|id| !id.is_empty())
}

/// What the client's front end says of its failure.
fn status_of(error: rpc::Status) -> Status {
    use prost::Message;
    let details = error.encode_to_vec();
    Status::with_details(Code::from_i32(error.code), error.message, details.into())
}
