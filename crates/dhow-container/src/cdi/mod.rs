//! Devices by the names of their vendors (Container Device Interface): `vendor.com/class=name`.
//!
//! A vendor's *specification* is a JSON or YAML file in `/etc/cdi` or `/run/cdi`; it says for each device what a
//! container that has it needs: nodes, mounts, variables, hooks. A [`Registry`] is made of the files' texts; it resolves
//! names to [`Edits`], which [`crate::oci`] applies. Everything here is pure.
//!
//! Source: <https://github.com/cncf-tags/container-device-interface/blob/main/SPEC.md>, versions 0.3.0 to 1.0.0.

mod edits;
mod request;
mod specification;

use crate::spec::Invalid;

pub use edits::{DeviceNode, Edits, Hook, Mount};
pub use request::{is_nvidia, names};
pub use specification::{Format, Specification, SpecificationError};

/// What is known of devices.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    /// With the priority of the folder they were found in, the highest counts.
    specifications: Vec<(usize, Specification)>,
}

impl Registry {
    /// Adds a specification; one of a higher priority hides devices of the same name in others.
    pub fn add(&mut self, priority: usize, specification: Specification) {
        self.specifications.push((priority, specification));
    }

    /// Whether there is a device of this vendor and class, `nvidia.com/gpu` for instance.
    #[must_use]
    pub fn has_kind(&self, kind: &str) -> bool {
        self.specifications
            .iter()
            .any(|(_, specification)| specification.kind == kind)
    }

    /// The names of a kind's devices but the one that means all of them, in their order.
    #[must_use]
    pub fn devices_of(&self, kind: &str) -> Vec<String> {
        let of_kind = self
            .specifications
            .iter()
            .filter(|(_, specification)| specification.kind == kind);
        let names = of_kind.flat_map(|(_, specification)| &specification.devices);
        let mut list: Vec<String> = Vec::new();
        for device in names {
            if device.name != "all" && !list.contains(&device.name) {
                list.push(device.name.clone());
            }
        }
        list
    }

    /// What a container with these devices needs: the edits of each device, and once those of its specification.
    ///
    /// # Errors
    /// Names the devices that nobody knows, or that two specifications of one priority claim; the text is Docker's.
    pub fn resolve(&self, names: &[String]) -> Result<Edits, Invalid> {
        let mut edits = Edits::default();
        let mut unknown: Vec<&str> = Vec::new();
        let mut used: Vec<&Specification> = Vec::new();
        for name in names {
            let Some((specification, device)) = self.find(name) else {
                unknown.push(name);
                continue;
            };
            if !used.iter().any(|other| std::ptr::eq(*other, specification)) {
                edits.append(&specification.edits);
                used.push(specification);
            }
            edits.append(&device.edits);
        }
        if unknown.is_empty() {
            return Ok(edits);
        }
        Err(Invalid(format!(
            "CDI device injection failed: unresolvable CDI devices {}",
            unknown.join(", ")
        )))
    }

    fn find(&self, name: &str) -> Option<(&Specification, &specification::Device)> {
        let (kind, wanted) = name.split_once('=')?;
        let mut found: Vec<(usize, &Specification, &specification::Device)> = Vec::new();
        for (priority, specification) in &self.specifications {
            if specification.kind == kind {
                let devices = specification.devices.iter();
                let same = devices.filter(|device| device.name == wanted);
                found.extend(same.map(|device| (*priority, specification, device)));
            }
        }
        let highest = found.iter().map(|(priority, ..)| *priority).max()?;
        found.retain(|(priority, ..)| *priority == highest);
        match found.as_slice() {
            [(_, specification, device)] => Some((specification, device)),
            _ => None,
        }
    }
}

/// Whether the name is one of a device: `vendor.com/class=name`.
#[must_use]
pub fn is_qualified(name: &str) -> bool {
    let Some((kind, device)) = name.split_once('=') else {
        return false;
    };
    let Some((vendor, class)) = kind.split_once('/') else {
        return false;
    };
    let fits = |text: &str, more: &[char]| {
        text.starts_with(|first: char| first.is_ascii_alphabetic())
            && text.ends_with(|last: char| last.is_ascii_alphanumeric())
            && text
                .chars()
                .all(|letter| letter.is_ascii_alphanumeric() || more.contains(&letter))
    };
    let named = device.starts_with(|first: char| first.is_ascii_alphanumeric())
        && device.ends_with(|last: char| last.is_ascii_alphanumeric())
        && device
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || "_-.:".contains(letter));
    fits(vendor, &['_', '-', '.']) && fits(class, &['_', '-']) && named
}

#[cfg(test)]
mod tests;
