//! What clients are told of who builds here.

use std::collections::HashMap;

use bollard_buildkit_proto::moby::buildkit::v1::types::{BuildkitVersion, GcPolicy, WorkerRecord};
use bollard_buildkit_proto::pb;
use dhow_builder::Client;
use dhow_builder::usage::{Comparison, Filter, PruneOptions};
use dhow_distribution::Credentials;
use dhow_oci::{Digest, Platform};
use tonic::Status;

use crate::builds::Build;
use crate::service::Shared;

/// The label by which clients know that there is a store of images in OCI's form: that exports, caches and images for several
/// platforms need no builder of their own.
const SNAPSHOTTER: &str = "org.mobyproject.buildkit.worker.snapshotter";
/// The address that clients put in place of `host-gateway`.
const GATEWAY: &str = "org.mobyproject.buildkit.worker.moby.host-gateway-ip";

pub(crate) fn record(shared: &Shared) -> WorkerRecord {
    let mut labels = HashMap::from([(SNAPSHOTTER.to_owned(), "overlayfs".to_owned())]);
    if let Some(address) = (shared.config.host_gateway)() {
        labels.insert(GATEWAY.to_owned(), address.to_string());
    }
    WorkerRecord {
        id: shared.worker_id.clone(),
        labels,
        platforms: vec![platform_of(&Platform::host())],
        gc_policy: shared.config.policy.iter().map(policy_of).collect(),
        buildkit_version: Some(version(shared)),
        cdi_devices: Vec::new(),
    }
}

/// Who this is, where BuildKit names itself.
pub(crate) fn version(shared: &Shared) -> BuildkitVersion {
    BuildkitVersion {
        package: "dhow".into(),
        version: format!("v{}", shared.config.version),
        revision: String::new(),
    }
}

fn platform_of(platform: &Platform) -> pb::Platform {
    pb::Platform {
        architecture: platform.architecture.clone(),
        os: platform.os.clone(),
        variant: platform.variant.clone().unwrap_or_default(),
        ..pb::Platform::default()
    }
}

fn policy_of(options: &PruneOptions) -> GcPolicy {
    let bytes = |value: Option<u64>| i64::try_from(value.unwrap_or(0)).unwrap_or(i64::MAX);
    let age = options.unused_for.map_or(0, |age| age.as_nanos());
    GcPolicy {
        all: options.all,
        keep_duration: i64::try_from(age).unwrap_or(i64::MAX),
        filters: options.filters.iter().map(filter_text).collect(),
        reserved_space: bytes(options.reserved),
        max_used_space: bytes(options.most),
        min_free_space: bytes(options.free),
    }
}

fn filter_text(filter: &Filter) -> String {
    let comparison = match filter.comparison {
        Comparison::Equal => "==",
        Comparison::NotEqual => "!=",
        Comparison::Matches => "~=",
    };
    format!("{}{comparison}{}", filter.field, filter.value)
}

/// An image's configuration.
pub(crate) struct Found {
    pub(crate) digest: Digest,
    pub(crate) config: Vec<u8>,
}

impl Shared {
    /// The configuration of an image that is here or in its registry.
    pub(crate) async fn image_config(
        &self,
        build: &Build,
        name: &str,
        platform: Option<&pb::Platform>,
    ) -> Result<Found, Status> {
        let wanted = platform.map(|wanted| {
            let mut platform = Platform::new(wanted.os.clone(), wanted.architecture.clone());
            platform.variant = Some(wanted.variant.clone()).filter(|v| !v.is_empty());
            platform
        });
        let text = |error: &dyn std::error::Error| Status::unknown(error.to_string());
        let reference = dhow_oci::Reference::parse(name).map_err(|error| text(&error))?;
        let reference = reference.with_default_tag();
        let (images, owned) = (self.images.clone(), wanted.clone());
        let familiar = reference.familiar();
        let local = tokio::task::spawn_blocking(move || images.resolve(&familiar, owned.as_ref()));
        let local = local.await.map_err(|error| text(&error))?;
        let (digest, config) = match local {
            Ok(image) => (image.target.digest, image.config),
            Err(_) => {
                let known = build.client.credentials(reference.domain()).await;
                let credentials = match known {
                    Some((name, token)) if name.is_empty() => Credentials {
                        identity_token: token,
                        ..Credentials::default()
                    },
                    Some((name, password)) => Credentials::basic(name, password),
                    None => Credentials::anonymous(),
                };
                let found = self
                    .images
                    .look_up(&reference, wanted.as_ref(), &credentials)
                    .await;
                let found = found.map_err(|error| {
                    Status::unknown(format!("{name}: {}", dhow_errdefs::chain(&error)))
                })?;
                (found.target.digest, found.config)
            }
        };
        let config = serde_json::to_vec(&*config).map_err(|error| text(&error))?;
        Ok(Found { digest, config })
    }
}
