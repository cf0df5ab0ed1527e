//! The secrets that steps may mount.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use bollard_buildkit_proto::moby::buildkit::secrets::v1::secrets_server::Secrets;
use bollard_buildkit_proto::moby::buildkit::secrets::v1::{GetSecretRequest, GetSecretResponse};
use tonic::{Request, Response, Status};

/// The largest secret, as BuildKit has it.
const LARGEST: u64 = 500 * 1024;

/// Where a secret is. It is read when a step asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secret {
    /// A file.
    File(PathBuf),
    /// A text that is known already.
    Text(String),
}

/// The secrets by their ids.
pub(crate) struct Kept(pub(crate) Arc<BTreeMap<String, Secret>>);

#[tonic::async_trait]
impl Secrets for Kept {
    async fn get_secret(
        &self,
        request: Request<GetSecretRequest>,
    ) -> Result<Response<GetSecretResponse>, Status> {
        let id = request.into_inner().id;
        let data = match self.0.get(&id) {
            None => return Err(Status::not_found(format!("secret {id}: not found"))),
            Some(Secret::Text(text)) => text.clone().into_bytes(),
            Some(Secret::File(path)) => {
                let path = path.clone();
                let read = tokio::task::spawn_blocking(move || read(&path)).await;
                read.map_err(|error| Status::internal(error.to_string()))?
                    .map_err(|error| Status::unknown(format!("failed to read secret: {error}")))?
            }
        };
        if data.len() as u64 > LARGEST {
            let text = format!("secret {id} too big. max size 500KB");
            return Err(Status::invalid_argument(text));
        }
        Ok(Response::new(GetSecretResponse { data }))
    }
}

fn read(path: &std::path::Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path)?;
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
