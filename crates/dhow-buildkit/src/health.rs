//! Whether the services are there: they are.

use bollard_buildkit_proto::health;
use bollard_buildkit_proto::health::health_check_response::ServingStatus;
use futures::stream::BoxStream;
use tonic::{Request, Response, Status};

/// The service.
pub(crate) struct Health;

fn serving() -> health::HealthCheckResponse {
    health::HealthCheckResponse {
        status: ServingStatus::Serving.into(),
    }
}

#[tonic::async_trait]
impl health::health_server::Health for Health {
    type WatchStream = BoxStream<'static, Result<health::HealthCheckResponse, Status>>;

    async fn check(
        &self,
        _: Request<health::HealthCheckRequest>,
    ) -> Result<Response<health::HealthCheckResponse>, Status> {
        Ok(Response::new(serving()))
    }

    async fn list(
        &self,
        _: Request<health::HealthListRequest>,
    ) -> Result<Response<health::HealthListResponse>, Status> {
        Ok(Response::new(health::HealthListResponse {
            statuses: [(String::new(), serving())].into(),
        }))
    }

    async fn watch(
        &self,
        _: Request<health::HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        use futures::StreamExt;
        let once = futures::stream::once(async { Ok(serving()) });
        let never = futures::stream::pending();
        Ok(Response::new(once.chain(never).boxed()))
    }
}
