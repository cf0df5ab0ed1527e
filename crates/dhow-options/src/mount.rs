//! `--mount` and `--volume`.

use dhow_api::container::{BindOptions, Driver, ImageOptions, Mount, TmpfsOptions, VolumeOptions};
use dhow_api::{Empty, Map, Set};
use dhow_golang::parse_bool;
use dhow_terminal::units::parse_bytes;

use super::csv;

/// Checks one value of `--mount`.
pub(crate) fn check(value: &str) -> Result<(), String> {
    parse(value).map(drop)
}

/// Reads one value of `--mount`.
pub(crate) fn parse(value: &str) -> Result<Mount, String> {
    let mut mount = Mount {
        kind: "volume".to_owned(),
        ..Mount::default()
    };
    for field in csv(value)? {
        match field.split_once('=') {
            None => switch(&mut mount, &field)?,
            Some((key, value)) => set(&mut mount, key, value, &field)?,
        }
    }
    if mount.kind.is_empty() {
        return Err("type is required".to_owned());
    }
    if mount.target.is_empty() {
        return Err("target is required".to_owned());
    }
    let mixed = [
        ("volume", mount.volume_options.is_some()),
        ("bind", mount.bind_options.is_some()),
        ("tmpfs", mount.tmpfs_options.is_some()),
        ("image", mount.image_options.is_some()),
    ];
    for (kind, present) in mixed {
        if present && mount.kind != kind {
            return Err(format!(
                "cannot mix '{kind}-*' options with mount type '{}'",
                mount.kind
            ));
        }
    }
    check_recursion(&mount)?;
    Ok(mount)
}

fn check_recursion(mount: &Mount) -> Result<(), String> {
    let Some(bind) = &mount.bind_options else {
        return Ok(());
    };
    let requires = |option: &str, other: &str| {
        Err(format!(
            "option 'bind-recursive={option}' requires '{other}' to be specified in conjunction"
        ))
    };
    if bind.read_only_non_recursive && !mount.read_only {
        return requires("writable", "readonly");
    }
    if bind.read_only_force_recursive && !mount.read_only {
        return requires("readonly", "readonly");
    }
    if bind.read_only_force_recursive && bind.propagation != "rprivate" {
        return requires("readonly", "bind-propagation=rprivate");
    }
    Ok(())
}

fn bind(mount: &mut Mount) -> &mut BindOptions {
    mount.bind_options.get_or_insert_default()
}

fn volume(mount: &mut Mount) -> &mut VolumeOptions {
    let options = mount.volume_options.get_or_insert_default();
    options.driver_config.get_or_insert_default();
    options
}

fn driver(mount: &mut Mount) -> &mut Driver {
    volume(mount).driver_config.get_or_insert_default()
}

fn tmpfs(mount: &mut Mount) -> &mut TmpfsOptions {
    mount.tmpfs_options.get_or_insert_default()
}

fn switch(mount: &mut Mount, field: &str) -> Result<(), String> {
    match field {
        "readonly" | "ro" => mount.read_only = true,
        "volume-nocopy" => volume(mount).no_copy = true,
        "bind-nonrecursive" => bind(mount).non_recursive = true,
        _ => return Err(format!("invalid field '{field}' must be a key=value pair")),
    }
    Ok(())
}

fn set(mount: &mut Mount, key: &str, value: &str, field: &str) -> Result<(), String> {
    let invalid = || format!("invalid value for {key}: {value}");
    let boolean = || parse_bool(value).map_err(|_| invalid());
    match key {
        "type" => mount.kind = value.to_lowercase(),
        "source" | "src" => mount.source = absolute(value),
        "target" | "dst" | "destination" => value.clone_into(&mut mount.target),
        "readonly" | "ro" => mount.read_only = boolean()?,
        "consistency" => mount.consistency = value.to_lowercase(),
        "bind-propagation" => bind(mount).propagation = value.to_lowercase(),
        "bind-nonrecursive" => bind(mount).non_recursive = boolean()?,
        "bind-recursive" => recursive(mount, value)?,
        "volume-subpath" => value.clone_into(&mut volume(mount).subpath),
        "volume-nocopy" => volume(mount).no_copy = boolean()?,
        "volume-label" => add(volume(mount).labels.get_or_insert_default(), value),
        "volume-driver" => value.clone_into(&mut driver(mount).name),
        "volume-opt" => add(driver(mount).options.get_or_insert_default(), value),
        "image-subpath" => {
            mount.image_options = Some(ImageOptions {
                subpath: value.to_owned(),
            });
        }
        "tmpfs-size" => tmpfs(mount).size_bytes = parse_bytes(value).map_err(|_| invalid())?,
        "tmpfs-mode" => {
            tmpfs(mount).mode = u32::from_str_radix(value, 8).map_err(|_| invalid())?;
        }
        _ => return Err(format!("unexpected key '{key}' in '{field}'")),
    }
    Ok(())
}

fn recursive(mount: &mut Mount, value: &str) -> Result<(), String> {
    match value {
        "enabled" => {}
        "disabled" => bind(mount).non_recursive = true,
        "writable" => bind(mount).read_only_non_recursive = true,
        "readonly" => bind(mount).read_only_force_recursive = true,
        _ => {
            return Err(format!(
                "invalid value for bind-recursive: {value} (must be \"enabled\", \"disabled\", \"writable\", or \"readonly\")"
            ));
        }
    }
    Ok(())
}

fn add(map: &mut Map<String>, pair: &str) {
    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
    if !key.is_empty() {
        map.insert(key.to_owned(), value.to_owned());
    }
}

/// A path that starts at the present folder, made absolute; everything else as it is.
fn absolute(path: &str) -> String {
    if path != "." && !path.starts_with("./") {
        return path.to_owned();
    }
    clean(path)
}

/// The present folder and `path`, without `.` and `..`, as Go's `filepath.Abs`.
fn clean(path: &str) -> String {
    let Ok(mut folder) = std::env::current_dir() else {
        return path.to_owned();
    };
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                folder.pop();
            }
            part => folder.push(part),
        }
    }
    folder.to_string_lossy().into_owned()
}

/// The sections of one value of `--volume`. As for Docker, a letter and a colon are a drive, even here.
fn sections(value: &str) -> Result<Vec<String>, String> {
    if value.is_empty() {
        return Err("invalid empty volume spec".to_owned());
    }
    let mut sections = vec![String::new()];
    for c in value.chars() {
        let section = sections.last_mut().expect("there is always a section");
        let drive = section.chars().count() == 1 && section.chars().all(char::is_alphabetic);
        if c == ':' && !drive {
            sections.push(String::new());
        } else {
            section.push(c);
        }
    }
    if value.len() > 2 && sections.iter().any(String::is_empty) {
        return Err(format!(
            "invalid spec: {value}: empty section between colons"
        ));
    }
    if sections.len() > 3 {
        return Err(format!("invalid spec: {value}: too many colons"));
    }
    Ok(sections)
}

/// Splits the values of `--volume` into binds and anonymous volumes.
pub(crate) fn volumes(values: &[String]) -> Result<(Vec<String>, Set), String> {
    let mut binds: Vec<String> = Vec::new();
    let mut anonymous = Set::new();
    for value in values {
        let parts = sections(value)?;
        if parts.len() == 1 || value.len() <= 2 {
            anonymous.insert(value.clone(), Empty);
            continue;
        }
        let bind = match value.split_once(':') {
            Some((source, rest)) if source.starts_with('.') => {
                format!("{}:{rest}", clean(source))
            }
            _ => value.clone(),
        };
        if !binds.contains(&bind) {
            binds.push(bind);
        }
    }
    Ok((binds, anonymous))
}
