//! `--device`, `--device-cgroup-rule`, `--gpus` and the flags that name block devices.

use dhow_api::container::{BlkioDevice, BlkioWeight, DeviceMapping, DeviceRequest};
use dhow_terminal::units::parse_bytes;

use super::csv;

/// Whether a value of `--device` is a device's name by its vendor, `vendor.com/class=name`, rather than a path.
pub(crate) fn is_qualified(value: &str) -> bool {
    let Some((kind, device)) = value.split_once('=') else {
        return false;
    };
    let Some((vendor, class)) = kind.split_once('/') else {
        return false;
    };
    let fits = |text: &str, more: &str| {
        text.ends_with(|last: char| last.is_ascii_alphanumeric())
            && text
                .chars()
                .all(|letter| letter.is_ascii_alphanumeric() || more.contains(letter))
    };
    let letter = |text: &str| text.starts_with(|first: char| first.is_ascii_alphabetic());
    let number = |text: &str| text.starts_with(|first: char| first.is_ascii_alphanumeric());
    letter(vendor)
        && fits(vendor, "_-.")
        && letter(class)
        && fits(class, "_-")
        && number(device)
        && fits(device, "_-.:")
}

/// The request for devices by their vendors' names.
pub(crate) fn named(names: Vec<String>) -> DeviceRequest {
    DeviceRequest {
        driver: "cdi".to_owned(),
        device_ids: Some(names),
        ..DeviceRequest::default()
    }
}

/// Reads one value of `--device`: `host[:container][:mode]`, or a pattern of host paths.
pub(crate) fn device(value: &str) -> Result<Vec<DeviceMapping>, String> {
    let parts: Vec<&str> = value.split(':').collect();
    if parts.len() > 3 || parts[0].is_empty() {
        return Err(format!("bad format for path: {value}"));
    }
    let (container, mode) = match parts.as_slice() {
        [path] => (*path, "rwm"),
        [path, mode] if is_mode(mode) => (*path, *mode),
        [_, path] => (*path, "rwm"),
        [_, path, mode] if is_mode(mode) => (*path, *mode),
        [.., mode] => return Err(format!("bad mode specified: {mode}")),
        [] => return Err(format!("bad format for path: {value}")),
    };
    if !container.starts_with('/') {
        return Err(format!("{container} is not an absolute path"));
    }
    let mapping = |host: &str, container: &str| DeviceMapping {
        path_on_host: host.to_owned(),
        path_in_container: container.to_owned(),
        cgroup_permissions: mode.to_owned(),
    };
    let Some(prefix) = parts[0].strip_suffix('*') else {
        return Ok(vec![mapping(parts[0], container)]);
    };
    if container != parts[0] {
        return Err(format!("device with * suffix can't have dst: {value}"));
    }
    let (folder, start) = prefix.rsplit_once('/').unwrap_or(("", prefix));
    let folder = if folder.is_empty() { "/" } else { folder };
    let mut paths: Vec<String> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(start))
        .map(|entry| entry.path().to_string_lossy().into_owned())
        .collect();
    paths.sort();
    Ok(paths.iter().map(|path| mapping(path, path)).collect())
}

fn is_mode(mode: &str) -> bool {
    let once = |letter| mode.matches(letter).count() <= 1;
    !mode.is_empty()
        && mode.chars().all(|c| "rwm".contains(c))
        && once('r')
        && once('w')
        && once('m')
}

/// Checks one value of `--device-cgroup-rule`: `type major:minor mode`.
pub(crate) fn check_rule(value: &str) -> Result<(), String> {
    let number =
        |text: &str| text == "*" || (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()));
    let parts: Vec<&str> = value.split(' ').collect();
    let sound = match parts.as_slice() {
        ["a" | "b" | "c", device, mode] => {
            device
                .split_once(':')
                .is_some_and(|(major, minor)| number(major) && number(minor))
                && (1..=3).contains(&mode.len())
                && mode.chars().all(|c| "rwm".contains(c))
        }
        _ => false,
    };
    if sound {
        Ok(())
    } else {
        Err(format!("invalid device cgroup format '{value}'"))
    }
}

fn path_and_value(value: &str) -> Result<(&str, &str), String> {
    let (path, number) = value
        .split_once(':')
        .filter(|(path, _)| !path.is_empty())
        .ok_or_else(|| format!("bad format: {value}"))?;
    if !path.starts_with("/dev/") {
        return Err(format!("bad format for device path: {value}"));
    }
    Ok((path, number))
}

/// Reads one value of `--blkio-weight-device`.
pub(crate) fn weight(value: &str) -> Result<BlkioWeight, String> {
    let (path, number) = path_and_value(value)?;
    let invalid = || format!("invalid weight for device: {value}");
    let weight: u16 = number.parse().map_err(|_| invalid())?;
    if weight > 0 && !(10..=1000).contains(&weight) {
        return Err(invalid());
    }
    Ok(BlkioWeight {
        path: path.to_owned(),
        weight,
    })
}

/// Checks one value of `--blkio-weight-device`.
pub(crate) fn check_weight(value: &str) -> Result<(), String> {
    weight(value).map(drop)
}

/// Reads one value of `--device-read-bps` or `--device-write-bps`.
pub(crate) fn bytes_rate(value: &str) -> Result<BlkioDevice, String> {
    let (path, number) = path_and_value(value)?;
    let rate = parse_bytes(number)
        .ok()
        .and_then(|rate| u64::try_from(rate).ok());
    let rate = rate.ok_or_else(|| {
        format!(
            "invalid rate for device: {value}. The correct format is <device-path>:<number>[<unit>]. Number must be a positive integer. Unit is optional and can be kb, mb, or gb"
        )
    })?;
    Ok(BlkioDevice {
        path: path.to_owned(),
        rate,
    })
}

/// Checks one rate in bytes.
pub(crate) fn check_bytes_rate(value: &str) -> Result<(), String> {
    bytes_rate(value).map(drop)
}

/// Reads one value of `--device-read-iops` or `--device-write-iops`.
pub(crate) fn operations_rate(value: &str) -> Result<BlkioDevice, String> {
    let (path, number) = path_and_value(value)?;
    let rate = number.parse().map_err(|_| {
        format!(
            "invalid rate for device: {value}. The correct format is <device-path>:<number>. Number must be a positive integer"
        )
    })?;
    Ok(BlkioDevice {
        path: path.to_owned(),
        rate,
    })
}

/// Checks one rate in operations.
pub(crate) fn check_operations_rate(value: &str) -> Result<(), String> {
    operations_rate(value).map(drop)
}

/// Checks one value of `--gpus`.
pub(crate) fn check_gpus(value: &str) -> Result<(), String> {
    gpus(value).map(drop)
}

/// Reads one value of `--gpus`: `all`, a number, or `device=…,driver=…,capabilities=…`.
pub(crate) fn gpus(value: &str) -> Result<DeviceRequest, String> {
    let mut request = DeviceRequest {
        count: 1,
        options: Some(dhow_api::Map::new()),
        ..DeviceRequest::default()
    };
    let count = |text: &str| match text {
        "all" => Ok(-1),
        number => number.parse::<i64>().map_err(|_| {
            format!(
                "invalid count ({text}): value must be either \"all\" or an integer: invalid syntax"
            )
        }),
    };
    let mut seen = Vec::new();
    for field in csv(value)? {
        let (key, value) = field.split_once('=').unwrap_or((&field, ""));
        if seen.contains(&key.to_owned()) {
            return Err(format!(
                "gpu request key '{key}' can be specified only once"
            ));
        }
        seen.push(key.to_owned());
        let list = || value.split(',').map(str::to_owned).collect::<Vec<_>>();
        match key {
            _ if !field.contains('=') => {
                request.count = count(key)?;
                seen.push("count".to_owned());
            }
            "driver" => value.clone_into(&mut request.driver),
            "count" => request.count = count(value)?,
            "device" => {
                request.device_ids = Some(list());
                if !seen.contains(&"count".to_owned()) {
                    request.count = 0;
                }
            }
            "capabilities" => {
                request.capabilities = Some(vec![[list(), vec!["gpu".to_owned()]].concat()]);
            }
            "options" => request.options = Some(super::pairs(&list())),
            _ => return Err(format!("unexpected key '{key}' in '{field}'")),
        }
    }
    request
        .capabilities
        .get_or_insert_with(|| vec![vec!["gpu".to_owned()]]);
    Ok(request)
}
