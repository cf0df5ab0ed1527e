//! The list of images.

use dhow_api::image::ImageSummary;
use dhow_oci::Reference;
use dhow_terminal::units::{human_size, human_size_with};

use super::{Layout, Row, short_id, times};

const TYPE: &str = "*formatter.imageContext";
const NONE: &str = "<none>";

/// How images are listed.
pub fn layout(digests: bool) -> Layout {
    let created = "{{if .CreatedSince }}{{.CreatedSince}}{{else}}N/A{{end}}";
    let digest = if digests { "{{.Digest}}\t" } else { "" };
    Layout {
        headers: &[
            ("ID", "IMAGE ID"),
            ("Repository", "REPOSITORY"),
            ("Tag", "TAG"),
            ("Digest", "DIGEST"),
            ("CreatedSince", "CREATED"),
            ("CreatedAt", "CREATED AT"),
            ("Size", "SIZE"),
            ("Containers", "CONTAINERS"),
            ("VirtualSize", "SIZE"),
            ("SharedSize", "SHARED SIZE"),
            ("UniqueSize", "UNIQUE SIZE"),
        ],
        table: format!(
            "{{{{.Repository}}}}\t{{{{.Tag}}}}\t{digest}{{{{.ID}}}}\t{created}\t{{{{.Size}}}}"
        ),
        quiet: "{{.ID}}",
        raw: Some(
            "repository: {{.Repository}}\ntag: {{.Tag}}\nimage_id: {{.ID}}\ncreated_at: {{.CreatedAt}}\nvirtual_size: {{.Size}}\n",
        ),
    }
}

/// One line of the list: an image under one of its names.
#[derive(Debug, PartialEq, Eq)]
pub struct Name {
    /// Without a registry where that is Docker's own, or `<none>`.
    pub repository: String,
    /// The tag, or `<none>`.
    pub tag: String,
    /// The digest, or `<none>`.
    pub digest: String,
}

/// The lines an image takes: one for each tag or, with `digests`, for each pair of tag and digest; untagged digests
/// too, and one line of `<none>` for an image without any name.
pub fn names(image: &ImageSummary, digests: bool) -> Vec<Name> {
    let named = |text: &String| Reference::parse(text).ok();
    let is_real = |text: &&String| !text.contains("<none>");
    let tags: Vec<Reference> = image
        .repo_tags
        .iter()
        .filter(is_real)
        .filter_map(named)
        .collect();
    let mut known: Vec<Reference> = image
        .repo_digests
        .iter()
        .filter(is_real)
        .filter_map(named)
        .collect();
    let digest_of = |reference: &Reference| reference.digest().map(ToString::to_string);
    let mut lines = Vec::new();
    let mut used = Vec::new();
    for tag in &tags {
        let same: Vec<String> = known
            .iter()
            .filter(|d| d.name() == tag.name())
            .filter_map(digest_of)
            .collect();
        used.push(tag.name());
        let line = |digest: String| Name {
            repository: tag.familiar_name(),
            tag: tag.tag().unwrap_or(NONE).to_owned(),
            digest,
        };
        if digests && !same.is_empty() {
            lines.extend(same.into_iter().map(line));
        } else {
            lines.push(line(NONE.to_owned()));
        }
    }
    known.retain(|digest| !used.contains(&digest.name()));
    for digest in &known {
        lines.push(Name {
            repository: digest.familiar_name(),
            tag: NONE.to_owned(),
            digest: digest_of(digest).unwrap_or_else(|| NONE.to_owned()),
        });
    }
    if lines.is_empty() {
        lines.push(Name {
            repository: NONE.into(),
            tag: NONE.into(),
            digest: NONE.into(),
        });
    }
    lines
}

/// One image under one name.
pub fn row(image: &ImageSummary, name: &Name, truncate: bool) -> Row {
    let created = times::unix(image.created);
    // Images without a date have the one Go begins with.
    let known = image.created != -62_135_596_800;
    let id = if truncate {
        short_id(&image.id)
    } else {
        &image.id
    };
    let containers = match image.containers {
        -1 => "N/A".to_owned(),
        count => count.to_string(),
    };
    #[allow(clippy::cast_precision_loss, reason = "four digits are shown")]
    let bytes = |size: i64| {
        if size < 0 {
            "N/A".to_owned()
        } else {
            human_size(size as f64)
        }
    };
    let unique = if image.shared_size < 0 {
        -1
    } else {
        image.size - image.shared_size
    };
    #[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
    let size = human_size_with(image.size as f64, 3);
    Row::new(
        TYPE,
        vec![
            ("ID", id.into()),
            ("Repository", name.repository.as_str().into()),
            ("Tag", name.tag.as_str().into()),
            ("Digest", name.digest.as_str().into()),
            (
                "CreatedSince",
                if known {
                    times::ago(created)
                } else {
                    String::new()
                }
                .into(),
            ),
            ("CreatedAt", times::go(created).into()),
            ("Size", size.into()),
            ("Containers", containers.into()),
            ("VirtualSize", bytes(image.size).into()),
            ("SharedSize", bytes(image.shared_size).into()),
            ("UniqueSize", bytes(unique).into()),
        ],
    )
}
