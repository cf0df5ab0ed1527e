//! From a request for devices (`--gpus`, `--device vendor.com/class=name`) to the devices' names.

use super::Registry;
use crate::spec::{DeviceRequest, Invalid};

/// The kind of the devices that `--gpus` means.
const GPUS: &str = "nvidia.com/gpu";

/// Whether the request is one for GPUs of NVIDIA's, as `--gpus` makes it.
#[must_use]
pub fn is_nvidia(request: &DeviceRequest) -> bool {
    let wanted = |set: &Vec<String>| set.iter().any(|name| name == "gpu" || name == "nvidia");
    matches!(request.driver.as_str(), "" | "nvidia") && request.capabilities.iter().any(wanted)
}

/// The names of the devices that are asked for.
///
/// # Errors
/// Nobody knows the driver; the text is Docker's.
pub fn names(requests: &[DeviceRequest], known: &Registry) -> Result<Vec<String>, Invalid> {
    let mut names = Vec::new();
    for request in requests {
        if request.driver == "cdi" {
            if request.count != 0 {
                return Err(Invalid::new("CDI requires count to be zero"));
            }
            names.extend(request.device_ids.iter().cloned());
        } else if is_nvidia(request) && known.has_kind(GPUS) {
            let devices = gpus(request, known);
            names.extend(devices.into_iter().map(|device| format!("{GPUS}={device}")));
        } else {
            return Err(no_driver(request));
        }
    }
    Ok(names)
}

fn gpus(request: &DeviceRequest, known: &Registry) -> Vec<String> {
    if !request.device_ids.is_empty() {
        return request.device_ids.clone();
    }
    match usize::try_from(request.count) {
        Ok(count) => (0..count).map(|number| number.to_string()).collect(),
        // −1: all, which has a name of its own where the vendor's tool has written the specification.
        Err(_) => match known.resolve(&[format!("{GPUS}=all")]) {
            Ok(_) => vec!["all".to_owned()],
            Err(_) => known.devices_of(GPUS),
        },
    }
}

fn no_driver(request: &DeviceRequest) -> Invalid {
    let sets: Vec<String> = request
        .capabilities
        .iter()
        .map(|set| format!("[{}]", set.join(" ")))
        .collect();
    Invalid(format!(
        "could not select device driver \"{}\" with capabilities: [{}]",
        request.driver,
        sets.join(" ")
    ))
}
