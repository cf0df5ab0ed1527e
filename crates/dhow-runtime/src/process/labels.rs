//! Labels of security modules that the next program is to have.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, openat};

use super::plan::Attributes;
use crate::failure::{Failure, Step, StepContext};

/// The kernel's file for a label, opened while the host's `/proc` can be reached, and what to write.
#[derive(Debug, Default)]
pub(crate) struct Labels(Vec<(OwnedFd, String)>);

impl Labels {
    /// Opens what the attributes ask for.
    pub(crate) fn open(attributes: &Attributes) -> Step<Self> {
        let mut labels = Vec::new();
        if let Some(profile) = &attributes.apparmor {
            if !Path::new("/sys/kernel/security/apparmor").exists()
                && !Path::new("/proc/self/attr/apparmor").exists()
            {
                return Err(Failure::Step(
                    "apparmor: config provided but apparmor not supported".into(),
                ));
            }
            let own = Path::new("/proc/self/attr/apparmor/exec");
            let path = if own.exists() {
                own
            } else {
                Path::new("/proc/self/attr/exec")
            };
            labels.push((open(path)?, format!("exec {profile}")));
        }
        if let Some(label) = &attributes.selinux {
            if !Path::new("/sys/fs/selinux/enforce").exists() {
                return Err(Failure::Step("selinux label is specified in config, but selinux is disabled or not supported".into()));
            }
            labels.push((open(Path::new("/proc/self/attr/exec"))?, label.clone()));
        }
        Ok(Self(labels))
    }

    /// Sets them for the next program.
    pub(crate) fn set(&self) -> Step {
        for (file, text) in &self.0 {
            rustix::io::write(file, text.as_bytes())
                .step(|| format!("unable to apply security label {text:?}"))?;
        }
        Ok(())
    }
}

fn open(path: &Path) -> Step<OwnedFd> {
    openat(CWD, path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
        .step(|| format!("cannot open {}", path.display()))
}
