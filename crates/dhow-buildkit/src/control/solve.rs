//! One build, from its request to what it gave.

use std::collections::HashMap;
use std::sync::Arc;

use bollard_buildkit_proto::moby::buildkit::v1 as control;
use dhow_builder::request::Export;
use dhow_builder::{BuildRequest, Error, Outcome};
use jiff::Timestamp;
use tonic::Status;

use crate::board::Board;
use crate::failure;
use crate::history::Ended;
use crate::order::{self, Attributes, Order, not_implemented};
use crate::service::Shared;
use crate::time::stamp;

/// Carries out a build, with a front end here or on the client's side.
pub(super) async fn solve(
    shared: &Arc<Shared>,
    mut request: control::SolveRequest,
) -> Result<control::SolveResponse, Status> {
    modernise(&mut request);
    check(&request)?;
    let session = shared
        .sessions
        .find(&request.session)
        .await
        .ok_or_else(|| Status::not_found(format!("no active session for {}", request.session)))?;
    let running = shared.builds.begin(&request.r#ref, session)?;
    let build = running.build.clone();
    let order = if request.frontend.is_empty() {
        let returned = build.open_bridge().await;
        returned.map_err(|_| Status::cancelled("the front end has gone"))??
    } else {
        let attributes: Attributes = request.frontend_attrs.clone().into_iter().collect();
        Some(Order::read(
            &request.frontend,
            &attributes,
            &HashMap::new(),
        )?)
    };
    let Some(mut order) = order else {
        return Ok(control::SolveResponse::default());
    };
    let client = shared.taking_upload(&mut order, &build).await?;
    let exports = order::exports(&request.exporters, &order.attestations)?;
    let mut cache_from = order::sources(request.cache.as_ref())?;
    for source in order.cache_from {
        if !cache_from.contains(&source) {
            cache_from.push(source);
        }
    }
    let build_request = BuildRequest {
        id: request.r#ref.clone(),
        client,
        listener: build.board.clone(),
        dockerfile: order.dockerfile,
        context: order.context,
        named_contexts: order.named_contexts,
        options: dhow_builder::request::Options {
            entitlements: request.entitlements.clone(),
            ..order.options
        },
        exports: exports.clone(),
        cache_from,
        cache_to: order::targets(request.cache.as_ref())?,
    };
    let past = Past::begin(shared, &request, build.board.clone());
    let built = shared.maker.build(build_request).await;
    let response = built
        .as_ref()
        .map(|outcome| response(outcome, &exports))
        .ok();
    past.end(&built, response.as_ref()).await;
    match (built, response) {
        (Err(error), _) => Err(failure::status_of(&error)),
        (Ok(_), response) => Ok(control::SolveResponse {
            exporter_response: response.unwrap_or_default(),
        }),
    }
}

/// Old clients name one exporter in fields of their own; new ones name it twice.
fn modernise(request: &mut control::SolveRequest) {
    if request.exporters.is_empty() && !request.exporter_deprecated.is_empty() {
        request.exporters.push(control::Exporter {
            r#type: std::mem::take(&mut request.exporter_deprecated),
            attrs: std::mem::take(&mut request.exporter_attrs_deprecated),
        });
    }
}

/// What can be said before there is a session.
fn check(request: &control::SolveRequest) -> Result<(), Status> {
    let own = request
        .definition
        .as_ref()
        .is_some_and(|d| !d.def.is_empty());
    if own {
        return Err(not_implemented("solving a client's own LLB definition"));
    }
    if !request.frontend_inputs.is_empty() {
        return Err(not_implemented("inputs that are a client's own LLB"));
    }
    if request.source_policy.is_some() || !request.source_policy_session.is_empty() {
        return Err(not_implemented("source policies"));
    }
    if request.enable_session_exporter {
        return Err(not_implemented("exporters that the client serves"));
    }
    order::exports(&request.exporters, &Default::default())?;
    order::sources(request.cache.as_ref())?;
    order::targets(request.cache.as_ref())?;
    Ok(())
}

/// What clients are told of the result.
fn response(outcome: &Outcome, exports: &[Export]) -> HashMap<String, String> {
    let mut response: HashMap<_, _> = outcome.metadata.clone().into_iter().collect();
    let image = exports.iter().any(|export| {
        matches!(
            export,
            Export::Image { .. } | Export::Oci { .. } | Export::Docker { .. }
        )
    });
    if !image {
        return response;
    }
    let mut add = |key: &str, value: String| {
        response.entry(key.to_owned()).or_insert(value);
    };
    if let Some(image) = &outcome.image {
        add("containerimage.digest", image.digest.to_string());
    }
    if let Some(config) = &outcome.config {
        add("containerimage.config.digest", config.to_string());
    }
    if !outcome.names.is_empty() {
        add("image.name", outcome.names.join(","));
    }
    // Clients take the configuration's digest for the image's id where they are told it; here that is the manifest's.
    if exports
        .iter()
        .any(|export| matches!(export, Export::Image { .. }))
    {
        response.remove("containerimage.config.digest");
    }
    response
}

/// A build as the history will have it. One that is given up is remembered as well.
struct Past {
    shared: Arc<Shared>,
    board: Arc<Board>,
    record: Option<control::BuildHistoryRecord>,
}

impl Past {
    fn begin(shared: &Arc<Shared>, request: &control::SolveRequest, board: Arc<Board>) -> Self {
        let record = control::BuildHistoryRecord {
            r#ref: request.r#ref.clone(),
            frontend: request.frontend.clone(),
            frontend_attrs: request.frontend_attrs.clone(),
            exporters: request.exporters.clone(),
            created_at: Some(stamp(Timestamp::now())),
            ..control::BuildHistoryRecord::default()
        };
        let record = Some(record).filter(|_| !request.internal);
        if let Some(record) = &record {
            shared.history.began(record);
        }
        Self {
            shared: shared.clone(),
            board,
            record,
        }
    }

    async fn end(
        mut self,
        built: &Result<Outcome, Error>,
        response: Option<&HashMap<String, String>>,
    ) {
        let Some(mut record) = self.record.take() else {
            return;
        };
        if let Err(error) = built {
            record.error = Some(failure::rpc_of(error));
        }
        record.exporter_response = response.cloned().unwrap_or_default();
        let (shared, ended) = (self.shared.clone(), self.ended(record));
        let written = tokio::task::spawn_blocking(move || shared.history.ended(ended));
        if let Err(error) = written.await {
            tracing::warn!(%error, "a build is not remembered");
        }
    }

    fn ended(&self, mut record: control::BuildHistoryRecord) -> Ended {
        record.completed_at = Some(stamp(Timestamp::now()));
        Ended {
            record,
            told: self.board.record(),
            counts: self.board.counts(),
        }
    }
}

impl Drop for Past {
    fn drop(&mut self) {
        let Some(mut record) = self.record.take() else {
            return;
        };
        record.error = Some(failure::rpc_of(&Error::Cancelled));
        let (shared, ended) = (self.shared.clone(), self.ended(record));
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn_blocking(move || shared.history.ended(ended));
        }
    }
}
