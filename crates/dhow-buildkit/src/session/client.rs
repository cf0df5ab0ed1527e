//! A session as the builder's client.

use std::sync::Arc;

use bollard_buildkit_proto::moby::buildkit::secrets::v1::GetSecretRequest;
use bollard_buildkit_proto::moby::buildkit::secrets::v1::secrets_client::SecretsClient;
use bollard_buildkit_proto::moby::filesync::v1::CredentialsRequest;
use bollard_buildkit_proto::moby::filesync::v1::auth_client::AuthClient;
use bollard_buildkit_proto::moby::upload::v1::BytesMessage;
use bollard_buildkit_proto::moby::upload::v1::upload_client::UploadClient;
use dhow_builder::client::{Client, ClientError, ClientStore, ExportedFiles, Tree};
use dhow_builder::graph::LocalOp;
use futures::future::BoxFuture;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tonic::{Code, Request};

use super::{Session, metadata, origin};
use crate::transport::MESSAGE;
use crate::upload::Source;

/// The largest secret.
const SECRET: usize = 500 * 1024;
/// The host under which clients keep what Docker Hub wants.
const HUB: &str = "registry-1.docker.io";

impl Client for Session {
    fn files<'a>(
        &'a self,
        wanted: &'a LocalOp,
    ) -> BoxFuture<'a, Result<Arc<dyn Tree>, ClientError>> {
        Box::pin(self.files(wanted))
    }

    fn secret<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, ClientError>> {
        Box::pin(async move {
            if !self.serves("/moby.buildkit.secrets.v1.Secrets/GetSecret") {
                return Ok(None);
            }
            let mut client = SecretsClient::with_origin(self.channel.clone(), origin());
            let request = GetSecretRequest {
                id: id.to_owned(),
                ..GetSecretRequest::default()
            };
            match client.get_secret(request).await {
                Ok(answer) if answer.get_ref().data.len() > SECRET => Err(ClientError(format!(
                    "invalid secret size {}",
                    answer.get_ref().data.len()
                ))),
                Ok(answer) => Ok(Some(answer.into_inner().data)),
                Err(status) if matches!(status.code(), Code::NotFound | Code::Unimplemented) => {
                    Ok(None)
                }
                Err(status) => Err(ClientError(status.message().to_owned())),
            }
        })
    }

    fn has_agent<'a>(&'a self, id: &'a str) -> BoxFuture<'a, bool> {
        Box::pin(self.has_agent(id))
    }

    fn agent<'a>(
        &'a self,
        id: &'a str,
        connection: UnixStream,
    ) -> BoxFuture<'a, Result<(), ClientError>> {
        Box::pin(self.agent(id, connection))
    }

    fn credentials<'a>(&'a self, registry: &'a str) -> BoxFuture<'a, Option<(String, String)>> {
        Box::pin(async move {
            if !self.serves("/moby.filesync.v1.Auth/Credentials") {
                return None;
            }
            let host = match registry {
                "docker.io" | "index.docker.io" => HUB,
                host => host,
            };
            let mut client = AuthClient::with_origin(self.channel.clone(), origin());
            let request = CredentialsRequest { host: host.into() };
            let answer = client.credentials(request).await.ok()?.into_inner();
            let known = !(answer.username.is_empty() && answer.secret.is_empty());
            known.then_some((answer.username, answer.secret))
        })
    }

    fn store(&self, name: &str) -> Option<Arc<dyn ClientStore>> {
        self.content(name)
    }

    fn receive<'a>(
        &'a self,
        export: usize,
        files: ExportedFiles,
    ) -> BoxFuture<'a, Result<(), ClientError>> {
        Box::pin(self.take(export, files))
    }
}

impl Source for Session {
    fn pull<'a>(
        &'a self,
        id: &'a str,
        take: &'a mut (dyn FnMut(BytesMessage) -> Result<(), ClientError> + Send),
    ) -> BoxFuture<'a, Result<(), ClientError>> {
        Box::pin(async move {
            let failed = |status: tonic::Status| ClientError(status.message().to_owned());
            // The client reads until this side ends; there is nothing to be said to it.
            let (_keep, mut queue) = mpsc::channel::<BytesMessage>(1);
            let outgoing = futures::stream::poll_fn(move |cx| queue.poll_recv(cx));
            let mut request = Request::new(outgoing);
            metadata::add(
                request.metadata_mut(),
                "urlpath",
                [format!("/{id}").as_str()],
            );
            let mut client = UploadClient::with_origin(self.channel.clone(), origin())
                .max_decoding_message_size(MESSAGE);
            let mut pieces = client.pull(request).await.map_err(failed)?.into_inner();
            while let Some(piece) = pieces.message().await.map_err(failed)? {
                take(piece)?;
            }
            Ok(())
        })
    }
}
