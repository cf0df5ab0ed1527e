//! A vendor's specification of its devices: reading and checking it.

use serde::Deserialize;

use super::Edits;

/// How a specification is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `*.json`.
    Json,
    /// `*.yaml`.
    Yaml,
}

/// Devices of one vendor and class.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Specification {
    /// The version of the format.
    cdi_version: String,
    /// The vendor and the class, `vendor.com/class`.
    pub kind: String,
    /// Text of the vendor's.
    #[serde(default, rename = "annotations")]
    _annotations: Option<serde_json::Value>,
    /// The devices.
    #[serde(default)]
    pub devices: Vec<Device>,
    /// What every container with one of the devices needs.
    #[serde(default, rename = "containerEdits")]
    pub edits: Edits,
}

/// A device.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Device {
    /// Its name, unique in the specification.
    pub name: String,
    /// What a container with it needs.
    #[serde(default, rename = "containerEdits")]
    pub edits: Edits,
}

/// Why a file is no specification.
#[derive(Debug, thiserror::Error)]
pub enum SpecificationError {
    /// It is no JSON of the right form.
    #[error("not a specification of CDI devices")]
    Json(#[source] serde_json::Error),
    /// It is no YAML of the right form.
    #[error("not a specification of CDI devices: {0}")]
    Yaml(String),
    /// It says something that can't be.
    #[error("{0}")]
    Invalid(String),
}

const HOOKS: [&str; 6] = [
    "prestart",
    "createRuntime",
    "createContainer",
    "startContainer",
    "poststart",
    "poststop",
];

impl Specification {
    /// Reads a specification.
    ///
    /// # Errors
    /// It is malformed, of an unknown version, or asks for what is not supported (`intelRdt`, `netDevices`).
    pub fn read(text: &str, format: Format) -> Result<Self, SpecificationError> {
        let read: Self = match format {
            Format::Json => serde_json::from_str(text).map_err(SpecificationError::Json)?,
            Format::Yaml => serde_saphyr::from_str(text)
                .map_err(|error| SpecificationError::Yaml(error.to_string()))?,
        };
        read.check().map_err(SpecificationError::Invalid)?;
        Ok(read)
    }

    fn check(&self) -> Result<(), String> {
        let version = &self.cdi_version;
        let known = [
            "0.3.", "0.4.", "0.5.", "0.6.", "0.7.", "0.8.", "1.0.", "1.1.",
        ];
        if !known.iter().any(|begin| version.starts_with(begin)) {
            return Err(format!("invalid CDI version: {version:?}"));
        }
        for (index, device) in self.devices.iter().enumerate() {
            let name = format!("{}={}", self.kind, device.name);
            if !super::is_qualified(&name) {
                return Err(format!("invalid device name: {name:?}"));
            }
            let mut others = self.devices.iter().take(index);
            if others.any(|other| other.name == device.name) {
                return Err(format!("device {name:?} is there twice"));
            }
            device
                .edits
                .check()
                .map_err(|error| format!("{name}: {error}"))?;
        }
        self.edits.check()
    }
}

impl Edits {
    fn check(&self) -> Result<(), String> {
        if self.intel_rdt.is_some() {
            return Err("intelRdt is not supported".into());
        }
        if !self.net_devices.is_empty() {
            return Err("netDevices is not supported".into());
        }
        if let Some(entry) = self.env.iter().find(|entry| !entry.contains('=')) {
            return Err(format!("invalid environment variable {entry:?}"));
        }
        for node in &self.device_nodes {
            if !node.path.starts_with('/') {
                return Err(format!("invalid device path {:?}", node.path));
            }
            if !matches!(node.kind.as_str(), "" | "b" | "c" | "u" | "p") {
                return Err(format!("invalid device type {:?}", node.kind));
            }
            let usual = |letter| matches!(letter, 'r' | 'w' | 'm');
            if !node.permissions.chars().all(usual) {
                return Err(format!("invalid device permissions {:?}", node.permissions));
            }
        }
        for mount in &self.mounts {
            if mount.host_path.as_os_str().is_empty() || !mount.container_path.is_absolute() {
                return Err(format!("invalid mount at {:?}", mount.container_path));
            }
        }
        for hook in &self.hooks {
            if !HOOKS.contains(&hook.hook_name.as_str()) || !hook.path.is_absolute() {
                return Err(format!("invalid hook {:?} {:?}", hook.hook_name, hook.path));
            }
        }
        Ok(())
    }
}
