//! Images in answers.

use dhow_api::image::ImageSummary;
use serde_json::{Map, Value, json};

use super::{fill, inner};
use crate::ApiVersion;

/// Fields of an image's config that only containers have.
const OF_CONTAINERS: [(&str, bool); 9] = [
    ("AttachStderr", false),
    ("AttachStdin", false),
    ("AttachStdout", false),
    ("Domainname", true),
    ("Hostname", true),
    ("Image", true),
    ("OpenStdin", false),
    ("StdinOnce", false),
    ("Tty", false),
];

/// An image in a list, with whether documents of this version have a `VirtualSize` too.
pub(crate) fn summary(version: ApiVersion, image: &mut ImageSummary) {
    if version.before(51) {
        image.containers = -1;
    }
    if version.before(48) {
        image.descriptor = None;
    }
    if version.before(43) && image.repo_tags.is_empty() && image.repo_digests.is_empty() {
        image.repo_tags.push("<none>:<none>".to_owned());
        image.repo_digests.push("<none>@<none>".to_owned());
    }
    if version.before(44) {
        image.virtual_size = Some(image.size);
    }
}

/// An image, inspected.
pub(crate) fn inspect(version: ApiVersion, image: &mut Value) {
    let Some(image) = image.as_object_mut() else {
        return;
    };
    if version.before(52) {
        for key in ["Author", "Comment", "DockerVersion", "Parent"] {
            fill(image, key, json!(""));
        }
        fill(
            image,
            "GraphDriver",
            json!({"Data": null, "Name": "overlayfs"}),
        );
        if let Some(config) = inner(image, "Config") {
            config_fields(version, config);
        }
    }
    if version.before(48) {
        image.remove("Descriptor");
    }
    if version.before(45) {
        fill(image, "Container", json!(""));
        fill(image, "ContainerConfig", Value::Null);
    }
    if version.before(44) {
        let size = image.get("Size").cloned().unwrap_or_default();
        fill(image, "VirtualSize", size);
        fill(image, "Created", json!(dhow_api::ZERO_TIME));
    }
}

/// Until 1.51 nothing of the config was left out; until 1.49 it had the fields of a container's.
fn config_fields(version: ApiVersion, config: &mut Map<String, Value>) {
    for key in ["Cmd", "Entrypoint", "Env", "Labels", "OnBuild", "Volumes"] {
        fill(config, key, Value::Null);
    }
    for key in ["User", "WorkingDir"] {
        fill(config, key, json!(""));
    }
    if version.before(50) {
        for (key, is_text) in OF_CONTAINERS {
            let value = if is_text { json!("") } else { json!(false) };
            fill(config, key, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use dhow_api::image::Descriptor;

    use super::super::TESTED;
    use super::*;

    #[test]
    fn inspection_has_the_fields_of_its_version() {
        for minor in TESTED {
            let mut image = json!({"Size": 7, "Descriptor": {}, "Config": {"Cmd": ["sh"]}});
            inspect(ApiVersion::new(1, minor), &mut image);
            let config = &image["Config"];
            assert_eq!(image.get("Descriptor").is_some(), minor >= 48, "1.{minor}");
            for (key, until) in [
                ("Author", 52),
                ("GraphDriver", 52),
                ("Parent", 52),
                ("Container", 45),
                ("VirtualSize", 44),
                ("Created", 44),
            ] {
                assert_eq!(image.get(key).is_some(), minor < until, "1.{minor} {key}");
            }
            for (key, until) in [("Env", 52), ("User", 52), ("Tty", 50), ("Hostname", 50)] {
                assert_eq!(config.get(key).is_some(), minor < until, "1.{minor} {key}");
            }
            assert_eq!(config["Cmd"], json!(["sh"]));
        }
    }

    #[test]
    fn lists_have_the_fields_of_their_version() {
        for minor in TESTED {
            let mut image = ImageSummary {
                containers: 3,
                size: 7,
                descriptor: Some(Descriptor::default()),
                ..ImageSummary::default()
            };
            summary(ApiVersion::new(1, minor), &mut image);
            assert_eq!(
                image.containers,
                if minor < 51 { -1 } else { 3 },
                "1.{minor}"
            );
            assert_eq!(image.descriptor.is_some(), minor >= 48, "1.{minor}");
            assert_eq!(image.repo_tags.is_empty(), minor >= 43, "1.{minor}");
            assert_eq!(image.virtual_size, (minor < 44).then_some(7), "1.{minor}");
        }
    }
}
