//! Saving: an OCI layout with Docker's `manifest.json` and `repositories` beside it.

use std::collections::{BTreeMap, HashSet};
use std::io::Write;

use dhow_archive::tar::{Header, Writer};
use dhow_oci::{Descriptor, Digest, Index, Platform, Reference, media_type};
use serde_json::{Value, json};

use crate::Error;
use crate::records::reference_of;
use crate::store::{Loaded, Store};

const FULL_NAME: &str = "io.containerd.image.name";
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// What goes into an archive.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    index: Vec<Descriptor>,
    blobs: Vec<Digest>,
    seen: HashSet<Digest>,
    images: Vec<Value>,
    repositories: BTreeMap<String, BTreeMap<String, String>>,
}

impl Store {
    /// Finds what the names mean and all it takes; nothing is written yet.
    pub(crate) fn plan_save(
        &self,
        names: &[String],
        platforms: &[Platform],
    ) -> Result<Plan, Error> {
        let mut plan = Plan::default();
        for name in names {
            for (target, references) in self.saved(name)? {
                self.plan_image(&mut plan, &target, &references, platforms)
                    .map_err(|error| named(error, name))?;
            }
        }
        Ok(plan)
    }

    /// The images that a name means, each with the names it is saved under; a repository means all its tags.
    fn saved(&self, name: &str) -> Result<Vec<(Descriptor, Vec<Reference>)>, Error> {
        let bare = Reference::parse(name)
            .ok()
            .filter(|reference| reference.tag().is_none() && reference.digest().is_none());
        if let Some(bare) = bare {
            let mut tags: Vec<(Descriptor, Vec<Reference>)> = self
                .records()?
                .iter()
                .filter_map(|(key, record)| Some((record.target.clone(), reference_of(key)?)))
                .filter(|(_, r)| r.tag().is_some() && r.name() == bare.name())
                .map(|(target, reference)| (target, vec![reference]))
                .collect();
            tags.sort_by(|a, b| a.1.cmp(&b.1));
            if !tags.is_empty() {
                return Ok(tags);
            }
        }
        let found = self.find(name)?;
        let references = found
            .named
            .iter()
            .filter_map(|(key, _)| reference_of(key))
            .filter(|reference| reference.tag().is_some())
            .collect();
        Ok(vec![(found.target, references)])
    }

    fn plan_image(
        &self,
        plan: &mut Plan,
        target: &Descriptor,
        references: &[Reference],
        platforms: &[Platform],
    ) -> Result<(), Error> {
        let loaded = self.chosen(target, platforms.first())?;
        // One variant stands alone; several stay in their index, without what was not asked for.
        let (root, mut blobs) = match platforms {
            [] => (target, self.reach(target).blobs),
            [_] => (&loaded.descriptor, self.reach(&loaded.descriptor).blobs),
            _ => {
                let mut blobs = HashSet::from([target.digest]);
                for platform in platforms {
                    let one = self.chosen(target, Some(platform))?;
                    blobs.extend(self.reach(&one.descriptor).blobs);
                }
                (target, blobs)
            }
        };
        let mut blobs: Vec<Digest> = blobs.drain().collect();
        blobs.retain(|digest| self.content.contains(digest) && plan.seen.insert(*digest));
        blobs.sort();
        plan.blobs.extend(blobs);
        for descriptor in described(root, references) {
            if !plan.index.contains(&descriptor) {
                plan.index.push(descriptor);
            }
        }
        let path = |digest: &Digest| format!("blobs/sha256/{}", digest.hex());
        let config = path(&loaded.manifest.config.digest);
        let tags: Vec<String> = references.iter().map(Reference::familiar).collect();
        match plan.images.iter_mut().find(|image| image["Config"] == config) {
            Some(image) => {
                if let Some(list) = image["RepoTags"].as_array_mut() {
                    list.extend(tags.into_iter().map(Value::from));
                }
            }
            None => plan.images.push(json!({
                "Config": config,
                "RepoTags": tags,
                "Layers": loaded.manifest.layers.iter().map(|l| path(&l.digest)).collect::<Vec<_>>(),
            })),
        }
        if let Some(top) = loaded.manifest.layers.last() {
            for reference in references {
                let tags = plan
                    .repositories
                    .entry(reference.familiar_name())
                    .or_default();
                tags.insert(
                    reference.tag().unwrap_or_default().to_owned(),
                    top.digest.hex(),
                );
            }
        }
        Ok(())
    }

    /// The variant for a platform, or for this machine.
    fn chosen(&self, target: &Descriptor, platform: Option<&Platform>) -> Result<Loaded, Error> {
        self.choose(target, platform)?
            .ok_or_else(|| Error::WrongPlatform {
                reference: target.digest.to_string(),
                platform: platform.cloned().unwrap_or_else(Platform::host).to_string(),
            })
    }

    /// Writes the archive. Blocking.
    pub(crate) fn write_archive(&self, plan: &Plan, out: impl Write) -> Result<(), Error> {
        let failed = |error: dhow_archive::Error| Error::Io {
            step: "write archive".into(),
            source: std::io::Error::other(error),
        };
        let mut tar = Writer::new(out);
        for folder in ["blobs", "blobs/sha256"] {
            tar.entry(&Header::directory(folder, 0o755))
                .map_err(failed)?;
        }
        for digest in &plan.blobs {
            let file = self.content.open_blob(digest)?;
            let size = self.content.size(digest)?;
            let header = Header::file(format!("blobs/sha256/{}", digest.hex()), 0o644, size);
            tar.file(&header, file).map_err(failed)?;
        }
        let mut index = Index::oci(plan.index.clone());
        index.media_type = Some(media_type::OCI_INDEX.into());
        let mut documents = vec![
            ("index.json", json!(index)),
            ("manifest.json", json!(plan.images)),
            ("oci-layout", json!({ "imageLayoutVersion": "1.0.0" })),
        ];
        if !plan.repositories.is_empty() {
            documents.push(("repositories", json!(plan.repositories)));
        }
        for (name, document) in documents {
            let bytes = document.to_string().into_bytes();
            tar.bytes(Header::file(name, 0o644, 0), &bytes)
                .map_err(failed)?;
        }
        tar.finish().map_err(failed)?;
        Ok(())
    }

    /// Blobs that must not go while the archive is written.
    pub(crate) fn lease_plan(&self, plan: &Plan) -> crate::lease::Lease {
        self.leases.take(plan.blobs.iter().copied())
    }
}

/// The error with the name that was asked for in place of a digest.
fn named(error: Error, name: &str) -> Error {
    match error {
        Error::WrongPlatform { platform, .. } => Error::WrongPlatform {
            reference: name.to_owned(),
            platform,
        },
        other => other,
    }
}

/// The index's entries for one image: one per name, or one without.
fn described(target: &Descriptor, references: &[Reference]) -> Vec<Descriptor> {
    if references.is_empty() {
        return vec![target.clone()];
    }
    let entry = |reference: &Reference| {
        let mut descriptor = target.clone();
        descriptor
            .annotations
            .insert(FULL_NAME.into(), reference.canonical());
        let tag = reference.tag().unwrap_or_default().to_owned();
        descriptor.annotations.insert(REF_NAME.into(), tag);
        descriptor
    };
    references.iter().map(entry).collect()
}
