//! The list of containers.

use dhow_api::container::ContainerSummary;
use dhow_oci::Reference;
use std::rc::Rc;

use dhow_golang::quote;
use dhow_terminal::template::{Record, Value};
use dhow_terminal::units::human_size_with;

use super::{Layout, Row, ellipsis, label, labels_text, ports, short_id, times};

const TYPE: &str = "*formatter.ContainerContext";

/// How containers are listed.
pub fn layout(size: bool) -> Layout {
    let mut table =
        "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}"
            .to_owned();
    if size {
        table += "\t{{.Size}}";
    }
    Layout {
        headers: &[
            ("ID", "CONTAINER ID"),
            ("Names", "NAMES"),
            ("Image", "IMAGE"),
            ("Command", "COMMAND"),
            ("CreatedAt", "CREATED AT"),
            ("RunningFor", "CREATED"),
            ("Ports", "PORTS"),
            ("State", "STATE"),
            ("Status", "STATUS"),
            ("Size", "SIZE"),
            ("Labels", "LABELS"),
            ("Mounts", "MOUNTS"),
            ("LocalVolumes", "LOCAL VOLUMES"),
            ("Networks", "NETWORKS"),
            ("Platform", "PLATFORM"),
        ],
        table,
        quiet: "{{.ID}}",
        raw: Some(if size { RAW_WITH_SIZE } else { RAW }),
    }
}

const RAW: &str = "container_id: {{.ID}}\nimage: {{.Image}}\ncommand: {{.Command}}\ncreated_at: {{.CreatedAt}}\nstate: {{- pad .State 1 0}}\nstatus: {{- pad .Status 1 0}}\nnames: {{.Names}}\nlabels: {{- pad .Labels 1 0}}\nports: {{- pad .Ports 1 0}}\n";
const RAW_WITH_SIZE: &str = "container_id: {{.ID}}\nimage: {{.Image}}\ncommand: {{.Command}}\ncreated_at: {{.CreatedAt}}\nstate: {{- pad .State 1 0}}\nstatus: {{- pad .Status 1 0}}\nnames: {{.Names}}\nlabels: {{- pad .Labels 1 0}}\nports: {{- pad .Ports 1 0}}\nsize: {{.Size}}\n";

/// One container; long texts are cut where `truncate` says so.
pub fn row(container: &ContainerSummary, truncate: bool) -> Row {
    let created = times::unix(container.created);
    let labels = container.labels.clone().unwrap_or_default();
    let id = if truncate {
        short_id(&container.id)
    } else {
        &container.id
    };
    let command = match truncate {
        true => ellipsis(&container.command, 20),
        false => container.command.clone(),
    };
    let local = container
        .mounts
        .iter()
        .filter(|mount| mount.driver == "local")
        .count();
    let networks: Vec<&str> = container
        .network_settings
        .networks
        .keys()
        .map(String::as_str)
        .collect();
    Row::new(
        TYPE,
        vec![
            ("ID", id.into()),
            ("Names", names(&container.names, truncate).into()),
            ("Image", image(container, truncate).into()),
            ("Command", quote(&command).into()),
            ("CreatedAt", times::go(created).into()),
            ("RunningFor", times::ago(created).into()),
            ("Ports", ports::text(&container.ports).into()),
            ("State", container.state.as_str().into()),
            ("Status", container.status.as_str().into()),
            ("Size", size(container).into()),
            ("Labels", labels_text(&labels).into()),
            ("Label", label(labels)),
            ("Mounts", mounts(container, truncate).into()),
            ("LocalVolumes", local.to_string().into()),
            ("Networks", networks.join(",").into()),
            ("Platform", platform(container)),
        ],
    )
}

fn names(names: &[String], truncate: bool) -> String {
    let bare = names
        .iter()
        .map(|name| name.strip_prefix('/').unwrap_or(name));
    if truncate {
        // Names with a slash inside are those of links.
        return bare
            .clone()
            .find(|name| !name.contains('/'))
            .unwrap_or_default()
            .to_owned();
    }
    bare.collect::<Vec<_>>().join(",")
}

fn image(container: &ContainerSummary, truncate: bool) -> String {
    let name = &container.image;
    if name.is_empty() {
        return "<no image>".to_owned();
    }
    if !truncate {
        return name.clone();
    }
    if short_id(name) == short_id(&container.image_id) {
        return short_id(name).to_owned();
    }
    match Reference::parse(name) {
        // The digest is too long to show.
        Ok(reference) if reference.digest().is_some() => match reference.tag() {
            Some(tag) => format!("{}:{tag}", reference.familiar_name()),
            None => reference.familiar_name(),
        },
        Ok(_) | Err(_) => name.clone(),
    }
}

fn size(container: &ContainerSummary) -> String {
    #[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
    let text = |bytes: i64| human_size_with(bytes as f64, 3);
    let own = text(container.size_rw);
    if container.size_root_fs > 0 {
        format!("{own} (virtual {})", text(container.size_root_fs))
    } else {
        own
    }
}

fn mounts(container: &ContainerSummary, truncate: bool) -> String {
    let names = container.mounts.iter().map(|mount| {
        let name = if mount.name.is_empty() {
            &mount.source
        } else {
            &mount.name
        };
        if truncate {
            ellipsis(name, 15)
        } else {
            name.clone()
        }
    });
    names.collect::<Vec<_>>().join(",")
}

fn platform(container: &ContainerSummary) -> Value {
    let platform = container
        .image_manifest_descriptor
        .as_ref()
        .and_then(|d| d.platform.as_ref());
    match platform {
        Some(platform) => Value::Record(Rc::new(Shown(platform.clone()))),
        None => Value::Nil,
    }
}

/// A platform that prints as `linux/arm64/v8`.
struct Shown(dhow_api::image::Platform);

impl Record for Shown {
    fn type_name(&self) -> &'static str {
        "*formatter.Platform"
    }

    fn field(&self, name: &str) -> Option<Value> {
        match name {
            "Architecture" => Some(self.0.architecture.as_str().into()),
            "OS" => Some(self.0.os.as_str().into()),
            "OSVersion" => Some(self.0.os_version.as_str().into()),
            "Variant" => Some(self.0.variant.as_str().into()),
            _ => None,
        }
    }

    fn json(&self) -> String {
        serde_json::to_string(&self.0).unwrap_or_default()
    }

    fn display(&self) -> String {
        let parts = [&self.0.os, &self.0.architecture, &self.0.variant];
        let parts: Vec<&str> = parts
            .into_iter()
            .map(String::as_str)
            .filter(|part| !part.is_empty())
            .collect();
        parts.join("/")
    }
}
