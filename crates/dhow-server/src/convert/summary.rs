//! Containers in a list.

use dhow_api::container as wire;
use dhow_engine::container::{Health, Summary, SummaryPort, Top};

use super::{host, image, mount, network, null_map, time};

/// A container as `GET /containers/json` shows it.
pub(crate) fn summary(summary: &Summary) -> wire::ContainerSummary {
    let record = &summary.record;
    let size = summary.size.unwrap_or_default();
    let networks = record
        .networks
        .iter()
        .map(|(name, endpoint)| (name.clone(), network::endpoint_view(endpoint)));
    wire::ContainerSummary {
        id: record.id.to_string(),
        names: std::iter::once(&*record.name)
            .chain(summary.linked_as.iter().map(String::as_str))
            .map(|name| format!("/{name}"))
            .collect(),
        image: summary.image.to_string(),
        image_id: record.image.id.to_string(),
        image_manifest_descriptor: record.image.manifest.as_ref().map(image::descriptor),
        command: record.command.to_string(),
        created: time::unix(record.created),
        ports: summary.ports.iter().map(port).collect(),
        size_rw: i64::try_from(size.rw).unwrap_or(i64::MAX),
        size_root_fs: i64::try_from(size.root_fs).unwrap_or(i64::MAX),
        labels: Some((*record.config.labels).clone()),
        state: record.state.status.name().to_owned(),
        status: summary.status.clone(),
        next_start_at: summary.next_start.map(time::rfc3339),
        host_config: wire::SummaryHostConfig {
            network_mode: host::network_mode(&record.host.network_mode),
            annotations: null_map(&record.host.annotations),
        },
        health: Some(health(record.state.health.as_deref())),
        network_settings: wire::SummaryNetworks {
            networks: networks.collect(),
        },
        mounts: record.mounts.iter().map(mount::mount_point).collect(),
    }
}

/// Containers without probes say `none`.
fn health(health: Option<&Health>) -> wire::HealthSummary {
    wire::HealthSummary {
        status: health
            .map_or("none", |health| health.status.name())
            .to_owned(),
        failing_streak: health.map_or(0, |health| health.failing_streak.into()),
    }
}

fn port(port: &SummaryPort) -> wire::Port {
    wire::Port {
        ip: port.ip.map_or_else(String::new, |ip| ip.to_string()),
        private_port: port.private,
        public_port: port.public.unwrap_or(0),
        kind: port.protocol.to_string(),
    }
}

/// The processes of a container.
pub(crate) fn top(top: Top) -> wire::TopResponse {
    wire::TopResponse {
        processes: top.processes,
        titles: top.titles,
    }
}
