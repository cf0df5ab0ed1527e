//! `inspect`.

use dhow_container::oci::security;
use dhow_runtime::apparmor::{AppArmor, DEFAULT_PROFILE};

use super::Containers;
use crate::container::{ContainerRecord, Details, Paths, Size};
use crate::services::{Services, blocking};
use crate::{Result, lifecycle};

/// The storage driver's name, by Docker's word.
pub(crate) const DRIVER: &str = "overlayfs";

impl Containers {
    /// Everything about a container; with what it takes on disk if `size`.
    ///
    /// # Errors
    /// It does not exist.
    pub async fn inspect(&self, name: &str, size: bool) -> Result<Details> {
        let container = self.services.find(name)?;
        let record = container.record();
        let size = if size {
            Some(self.size(&record.id, record.image.chain).await?)
        } else {
            None
        };
        let runs = record.state.status.has_process();
        let has_sandbox = runs && record.host.network_mode.is_private();
        Ok(Details {
            paths: paths(&self.services, &record),
            sandbox_id: if has_sandbox {
                record.id.clone()
            } else {
                String::new()
            },
            sandbox_key: if has_sandbox {
                format!("/proc/{}/ns/net", record.state.pid)
            } else {
                String::new()
            },
            exec_ids: self.services.execs.of(&container.id),
            ports: record
                .ports
                .iter()
                .map(|(port, list)| (*port, list.clone()))
                .collect(),
            links: lifecycle::links::shown(&self.services, &record),
            driver: DRIVER,
            next_start: container.next_start(),
            apparmor: apparmor(&record),
            size,
            record,
        })
    }

    /// What a container takes on disk.
    pub(crate) async fn size(&self, id: &str, chain: Option<dhow_oci::Digest>) -> Result<Size> {
        let (services, id) = (self.services.clone(), id.to_owned());
        blocking(move || measure(&services, &id, chain)).await
    }
}

/// The AppArmor profile that a container is in when it runs.
fn apparmor(record: &ContainerRecord) -> String {
    let apparmor = AppArmor::default();
    if !apparmor.is_on() {
        return String::new();
    }
    let options = security::parse(&record.host.security_opt).unwrap_or_default();
    let default = apparmor.has_default().then_some(DEFAULT_PROFILE);
    let profile = options.profile(record.host.privileged, default);
    profile.unwrap_or_else(|| security::UNCONFINED.to_owned())
}

fn measure(services: &Services, id: &str, chain: Option<dhow_oci::Digest>) -> Result<Size> {
    let rw = services.snapshots.usage(id)?;
    let mut root_fs = rw;
    let mut next = chain;
    while let Some(layer) = next {
        let info = services.snapshots.layer(&layer)?;
        root_fs += info.size;
        next = info.parent;
    }
    Ok(Size { rw, root_fs })
}

fn paths(services: &Services, record: &ContainerRecord) -> Paths {
    // A container that was never started has no files yet.
    if !record.started_before && record.state.error.is_empty() {
        return Paths::default();
    }
    let folder = services.folder(&record.id);
    Paths {
        resolv_conf: folder.join("resolv.conf"),
        hostname: folder.join("hostname"),
        hosts: folder.join("hosts"),
        // As in Docker: the files of other drivers are nobody's business.
        log: match record.log.driver.as_str() {
            "json-file" => record.log.path.clone(),
            _ => std::path::PathBuf::new(),
        },
    }
}
