//! What is made of the result, and where it goes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use dhow_oci::Reference;
use dhow_options::flags::Parsed;
use dhow_session::Target;
use dhow_session::messages::Exporter;
use dhow_terminal::is_terminal;

use super::flags::fields;

/// One thing that is made of the result.
pub(super) struct Export {
    pub(super) exporter: Exporter,
    pub(super) target: Target,
}

/// What `--output`, `--load`, `--push`, `--tag` and `--annotation` ask for. Nothing said means an image in the engine.
pub(super) fn read(flags: &Parsed) -> Result<Vec<Export>, String> {
    let tags = flags.list("tag");
    for tag in &tags {
        Reference::parse(tag).map_err(|error| format!("invalid tag {tag:?}: {error}"))?;
    }
    let mut exports = Vec::new();
    for text in flags.list("output") {
        exports.push(one(&text)?);
    }
    let image = |export: &Export| matches!(export.exporter.r#type.as_str(), "moby");
    let push = flags.switch("push");
    if push && tags.is_empty() && exports.is_empty() {
        return Err("tag is needed when pushing to registry".into());
    }
    if (flags.switch("load") || push || exports.is_empty()) && !exports.iter().any(image) {
        exports.push(plain("moby"));
    }
    for export in &mut exports {
        let attributes = &mut export.exporter.attrs;
        let files = matches!(export.exporter.r#type.as_str(), "local" | "tar");
        if push && export.exporter.r#type == "moby" {
            attributes.insert("push".into(), "true".into());
        }
        if !files && !tags.is_empty() {
            attributes.insert("name".into(), tags.join(","));
        }
        for annotation in flags.list("annotation") {
            let (key, value) = annotation_of(&annotation)?;
            attributes.insert(key, value);
        }
    }
    Ok(exports)
}

fn plain(kind: &str) -> Export {
    Export {
        exporter: Exporter {
            r#type: kind.to_owned(),
            attrs: HashMap::new(),
        },
        target: Target::Engine,
    }
}

/// One value of `--output`: a folder alone, `-` for an archive on the standard output, or fields.
fn one(text: &str) -> Result<Export, String> {
    let fields = fields(text)?;
    if let [(key, place)] = fields.as_slice()
        && key.is_empty()
    {
        let kind = if place == "-" { "tar" } else { "local" };
        return with_place(plain(kind), place);
    }
    let mut export = plain("");
    let mut place = String::new();
    for (key, value) in fields {
        match key.as_str() {
            "" => return Err(format!("invalid value {value}")),
            "type" => export.exporter.r#type = value,
            "dest" => place = value,
            _ => {
                export.exporter.attrs.insert(key, value);
            }
        }
    }
    match export.exporter.r#type.as_str() {
        "" => return Err("type is required for output".into()),
        "registry" => {
            export.exporter.r#type = "moby".into();
            export.exporter.attrs.insert("push".into(), "true".into());
        }
        "image" => export.exporter.r#type = "moby".into(),
        // Without a place, it is for the engine.
        "docker" if place.is_empty() => export.exporter.r#type = "moby".into(),
        "oci" | "docker"
            if export
                .exporter
                .attrs
                .get("tar")
                .is_some_and(|tar| tar != "true") =>
        {
            return Err("not implemented: images as folders (tar=false)".into());
        }
        _ => {}
    }
    with_place(export, &place)
}

fn with_place(mut export: Export, place: &str) -> Result<Export, String> {
    let kind = export.exporter.r#type.as_str();
    export.target = match (kind, place) {
        ("moby", _) => Target::Engine,
        ("local", "" | "-") => return Err("dest is required for local exporter".into()),
        ("local", place) => {
            let path = PathBuf::from(place);
            if path.exists() && !path.is_dir() {
                return Err(format!("destination directory {place} is a file"));
            }
            Target::Folder(path)
        }
        (kind, "" | "-") => {
            if is_terminal(std::io::stdout()) {
                return Err(format!(
                    "dest file is required for {kind} exporter. refusing to write to console"
                ));
            }
            Target::Stream(Box::new(std::io::stdout()))
        }
        (kind, place) => {
            let path = Path::new(place);
            if path.is_dir() {
                return Err(format!(
                    "invalid destination directory for {kind} exporter: {place}"
                ));
            }
            Target::File(path.to_owned())
        }
    };
    Ok(export)
}

/// `[TYPE:]KEY=VALUE`
fn annotation_of(text: &str) -> Result<(String, String), String> {
    let invalid = || format!("invalid annotation {text:?}, expected key=value");
    let (key, value) = text.split_once('=').ok_or_else(invalid)?;
    let (kinds, key) = match key.split_once(':') {
        Some((kinds, key)) => (kinds, key),
        None => ("manifest", key),
    };
    match kinds {
        "manifest" | "index" => Ok((format!("annotation-{kinds}.{key}"), value.to_owned())),
        other => Err(format!("not implemented: annotations of type {other:?}")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn outputs_are_read_as_buildx_does() {
        let kind = |text: &str| one(text).map(|export| export.exporter.r#type);
        for (text, expected) in [
            ("/nowhere/out", "local"),
            ("type=local,dest=/nowhere", "local"),
            ("type=docker", "moby"),
            ("type=image,name=x", "moby"),
            ("type=registry", "moby"),
            ("type=oci,dest=/nowhere/x.tar", "oci"),
            ("type=tar,dest=/nowhere/x.tar", "tar"),
        ] {
            assert_eq!(kind(text).unwrap(), expected, "{text}");
        }
        for wrong in [
            "type=local",
            "dest=x",
            "type=oci,tar=false,dest=x",
            "type=tar,dest=/",
        ] {
            assert!(kind(wrong).is_err(), "{wrong}");
        }
        let push = one("type=registry").unwrap().exporter.attrs;
        assert_eq!(push["push"], "true");
    }
}
