//! BuildKit's services as the server knows them.

use std::sync::Arc;

use dhow_builder::{Client, Progress};
use dhow_buildkit::BuildKit;
use dhow_server::Sessions;
use futures::future::BoxFuture;
use http::HeaderMap;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;

/// The services of `dhow-buildkit`.
pub(super) struct BuildKitSessions(pub(super) BuildKit);

impl Sessions for BuildKitSessions {
    fn grpc(&self, connection: Upgraded) -> BoxFuture<'static, ()> {
        let buildkit = self.0.clone();
        Box::pin(async move { buildkit.serve_grpc(TokioIo::new(connection)).await })
    }

    fn session(&self, connection: Upgraded, headers: HeaderMap) -> BoxFuture<'static, ()> {
        let buildkit = self.0.clone();
        Box::pin(async move {
            buildkit
                .serve_session(TokioIo::new(connection), &headers)
                .await;
        })
    }

    fn client<'a>(&'a self, session: &'a str) -> BoxFuture<'a, Option<Arc<dyn Client>>> {
        Box::pin(self.0.client(session))
    }

    fn trace(&self, progress: &Progress) -> Option<Vec<u8>> {
        Some(self.0.trace(progress))
    }
}
