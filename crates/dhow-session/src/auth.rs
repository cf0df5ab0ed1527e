//! The credentials of registries, as the settings and their helpers keep them.

use std::sync::Arc;

use bollard_buildkit_proto::moby::filesync::v1::auth_server::Auth;
use bollard_buildkit_proto::moby::filesync::v1::{
    CredentialsRequest, CredentialsResponse, FetchTokenRequest, FetchTokenResponse,
    GetTokenAuthorityRequest, GetTokenAuthorityResponse, VerifyTokenAuthorityRequest,
    VerifyTokenAuthorityResponse,
};
use dhow_client::{Config, credentials};
use tonic::{Request, Response, Status};

/// How the engine names Docker Hub.
const HUB: [&str; 3] = ["registry-1.docker.io", "docker.io", "index.docker.io"];

/// The settings.
pub(crate) struct Credentials(pub(crate) Arc<Config>);

/// The engine asks the registries itself, with the credentials.
fn own_tokens<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("tokens are not fetched on this side"))
}

#[tonic::async_trait]
impl Auth for Credentials {
    async fn credentials(
        &self,
        request: Request<CredentialsRequest>,
    ) -> Result<Response<CredentialsResponse>, Status> {
        let host = request.into_inner().host;
        let key = match HUB.contains(&host.as_str()) {
            true => credentials::HUB.to_owned(),
            false => host,
        };
        let config = self.0.clone();
        // A program may be asked, which takes its time.
        let found = tokio::task::spawn_blocking(move || credentials::find(&config, &key)).await;
        let found = found.map_err(|error| Status::internal(error.to_string()))?;
        let found = found.map_err(|error| Status::unknown(error.to_string()))?;
        let answer = match found.identitytoken.as_str() {
            "" => CredentialsResponse {
                username: found.username,
                secret: found.password,
            },
            token => CredentialsResponse {
                username: String::new(),
                secret: token.to_owned(),
            },
        };
        Ok(Response::new(answer))
    }

    async fn fetch_token(
        &self,
        _: Request<FetchTokenRequest>,
    ) -> Result<Response<FetchTokenResponse>, Status> {
        own_tokens()
    }

    async fn get_token_authority(
        &self,
        _: Request<GetTokenAuthorityRequest>,
    ) -> Result<Response<GetTokenAuthorityResponse>, Status> {
        own_tokens()
    }

    async fn verify_token_authority(
        &self,
        _: Request<VerifyTokenAuthorityRequest>,
    ) -> Result<Response<VerifyTokenAuthorityResponse>, Status> {
        own_tokens()
    }
}
