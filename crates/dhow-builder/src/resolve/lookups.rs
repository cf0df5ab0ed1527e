//! What a plan has to know of images and named contexts, looked up all at once.

use std::collections::BTreeSet;

use dhow_dockerfile::{Dockerfile, Lines, suggest};
use dhow_errdefs::{Classify, ErrorKind};
use dhow_oci::{Platform, Reference};
use futures::future::join_all;

use crate::builder::BuilderConfig;
use crate::error::Error;
use crate::export::credentials;
use crate::plan::{
    Base, Context, Found, FoundImage, Planning, Platforms, Problem, Replacement, Source, Survey,
    familiar, stage_names,
};
use crate::request::{BuildRequest, ContextSource};
use crate::resolve::files::{local_ignore, patterns};
use crate::resolve::remote;
use crate::resolve::tell::Telling;

/// Images that people often mean.
const COMMON: [&str; 8] = [
    "alpine", "busybox", "centos", "debian", "golang", "ubuntu", "fedora", "node",
];

/// Something to look up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Wanted {
    /// An image: its name as it is written.
    Image(String),
    /// A named context: its key in the request.
    Context(String),
}

/// Where something is wanted.
#[derive(Debug, Clone)]
struct Place {
    wanted: Wanted,
    platform: Platform,
    lines: Lines,
}

/// What lookups need.
pub(crate) struct Lookups<'a> {
    pub(crate) request: &'a BuildRequest,
    pub(crate) kit: &'a BuilderConfig,
    pub(crate) dockerfile: &'a Dockerfile,
    pub(crate) source: &'a Source,
    pub(crate) build: &'a Platform,
}

impl Lookups<'_> {
    /// Looks up what the targets need, again and again while images bring instructions that need more.
    pub(crate) async fn all(&self) -> Result<Found, Error> {
        let mut found = Found::default();
        let mut asked = BTreeSet::new();
        loop {
            let places = self.places(&found).map_err(|p| p.into_error(self.source))?;
            let fresh: Vec<Place> = places
                .into_iter()
                .filter(|place| {
                    let key = (place.wanted.clone(), place.platform.to_string());
                    asked.insert(key)
                })
                .collect();
            if fresh.is_empty() {
                return Ok(found);
            }
            let answers = join_all(fresh.iter().map(|place| self.look_up(place))).await;
            for (place, answer) in fresh.iter().zip(answers) {
                self.keep(place, answer?, &mut found);
            }
        }
    }

    /// Everything that is wanted, as far as it is known by now.
    fn places(&self, found: &Found) -> Result<Vec<Place>, Problem> {
        let planning = Planning {
            dockerfile: self.dockerfile,
            options: &self.request.options,
            found,
            build: self.build,
            epoch: None,
        };
        let mut places = Vec::new();
        for platforms in planning.platforms() {
            let triggers = planning.triggers(&platforms)?;
            let survey = Survey::of(
                self.dockerfile,
                &self.request.options,
                &platforms,
                &triggers,
            )?;
            for position in &survey.needed {
                places.extend(self.of_stage(&survey, *position, &platforms)?);
            }
        }
        Ok(places)
    }

    fn of_stage(
        &self,
        survey: &Survey,
        position: usize,
        platforms: &Platforms,
    ) -> Result<Option<Place>, Problem> {
        let stage = &survey.stages[position];
        let platform = stage.platform.as_ref().unwrap_or(&platforms.target);
        let place = |wanted| Place {
            wanted,
            platform: platform.clone(),
            lines: stage.lines,
        };
        if let Some(key) = stage
            .name
            .as_deref()
            .and_then(|name| self.key(name, platform))
        {
            return Ok(Some(place(Wanted::Context(key))));
        }
        if stage.base != Base::Image {
            return Ok(None);
        }
        if let Some(key) = self.key(&stage.base_name, platform) {
            return Ok(Some(place(Wanted::Context(key))));
        }
        if let Err(error) = Reference::parse(&stage.base_name) {
            let text = format!("failed to parse stage name {:?}: {error}", stage.base_name);
            return Err(Problem::new(text).at(stage.lines));
        }
        Ok(Some(place(Wanted::Image(stage.base_name.clone()))))
    }

    /// The key of the named context that stands for a name.
    fn key(&self, name: &str, platform: &Platform) -> Option<String> {
        let contexts = &self.request.named_contexts;
        let familiar = familiar(name);
        let special = format!("{familiar}::{platform}");
        [special, familiar]
            .into_iter()
            .find(|key| contexts.contains_key(key))
    }

    fn keep(&self, place: &Place, answer: Replacement, found: &mut Found) {
        let platform = place.platform.to_string();
        match (&place.wanted, answer) {
            (Wanted::Image(name), Replacement::Image(image)) => {
                let name = Reference::parse(name).map(|r| r.with_default_tag().canonical());
                if let Ok(name) = name {
                    found.images.insert((name, platform), *image);
                }
            }
            (Wanted::Image(key) | Wanted::Context(key), replacement) => {
                found
                    .replacements
                    .insert((key.clone(), platform), replacement);
            }
        }
    }

    async fn look_up(&self, place: &Place) -> Result<Replacement, Error> {
        let result = match &place.wanted {
            Wanted::Image(name) => self.image(name, None, &place.platform).await,
            Wanted::Context(key) => self.context(key, &place.platform).await,
        };
        result.map_err(|error| self.placed(error, place.lines))
    }

    fn placed(&self, error: Error, lines: Lines) -> Error {
        match error {
            Error::Invalid {
                text,
                location: None,
                hint,
            } => {
                let problem = Problem {
                    text,
                    lines: Some(lines),
                    hint,
                };
                problem.into_error(self.source)
            }
            other => other,
        }
    }

    async fn context(&self, key: &str, platform: &Platform) -> Result<Replacement, Error> {
        let Some(source) = self.request.named_contexts.get(key) else {
            return Err(Error::invalid(format!("there is no context {key:?}")));
        };
        match source {
            ContextSource::Image(name) => self.image(name, Some(key), platform).await,
            ContextSource::Local(name) => {
                let title = format!("[context {key}] load .dockerignore");
                let ignore = local_ignore(self.request, name, &title).await?;
                let exclude = ignore.map(|bytes| patterns(&bytes)).transpose()?;
                Ok(Replacement::Files(Context::Local {
                    name: name.clone(),
                    exclude: exclude.unwrap_or_default(),
                    title: format!("[context {key}] load from client"),
                }))
            }
            ContextSource::Git(address) => Ok(Replacement::Files(Context::Git(remote::git(
                address, false,
            )?))),
            ContextSource::Http(url) => Ok(Replacement::Files(Context::Archive(remote::http(url)))),
            ContextSource::Result(digest) => self.stored(&digest.to_string(), key, platform),
            ContextSource::OciLayout(_) => Err(Error::NotImplemented(format!(
                "the OCI layout {key:?} as a context"
            ))),
            ContextSource::Empty => Ok(Replacement::Files(Context::Empty)),
        }
    }

    /// An image that another target of the same build gave.
    fn stored(&self, id: &str, key: &str, platform: &Platform) -> Result<Replacement, Error> {
        let image = self.kit.images.resolve(id, Some(platform))?;
        let reference = Reference::parse(key).or_else(|_| Reference::parse("result"));
        let reference = reference.map_err(|error| Error::invalid(error.to_string()))?;
        Ok(Replacement::Image(Box::new(FoundImage {
            reference: reference.with_default_tag(),
            digest: image.target.digest,
            config: dhow_oci::ImageConfig::clone(&image.config),
        })))
    }

    /// An image: from the store unless it is not there or shall be pulled.
    async fn image(
        &self,
        written: &str,
        context: Option<&str>,
        platform: &Platform,
    ) -> Result<Replacement, Error> {
        let reference = Reference::parse(written).map_err(|error| {
            Error::invalid(format!("failed to parse stage name {written:?}: {error}"))
        })?;
        let reference = reference.with_default_tag();
        let options = &self.request.options;
        let special = options.multi_platform || options.platforms.len() > 1;
        let prefix = match (context, special) {
            (Some(key), _) => format!("[context {key}]"),
            (None, true) => format!("[{platform} internal]"),
            (None, false) => "[internal]".to_owned(),
        };
        let name = reference.canonical();
        let title = format!("{prefix} load metadata for {name}");
        let telling = Telling::begin(&self.request.listener, &self.request.id, &title);
        let result = self.find(&reference, platform).await.map_err(|error| {
            let missing = matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Forbidden);
            let meant = match missing {
                true => self.meant(written),
                false => String::new(),
            };
            let cause = dhow_errdefs::chain(&error);
            Error::invalid(format!(
                "{written}: failed to resolve source metadata for {name}: {cause}{meant}"
            ))
        });
        let (digest, config) = telling.end(result)?;
        Ok(Replacement::Image(Box::new(FoundImage {
            reference,
            digest,
            config,
        })))
    }

    /// What may have been meant: a stage, or an image that many use.
    fn meant(&self, written: &str) -> String {
        let stages = stage_names(self.dockerfile);
        let mut names: Vec<&str> = stages.iter().map(String::as_str).collect();
        names.extend(COMMON);
        suggest(written, &names)
    }

    async fn find(
        &self,
        reference: &Reference,
        platform: &Platform,
    ) -> Result<(dhow_oci::Digest, dhow_oci::ImageConfig), Error> {
        let images = &self.kit.images;
        let options = &self.request.options;
        let name = reference.canonical();
        if !options.pull {
            images.load_bundled(reference).await?;
            // Without a platform asked for any image will do, as a container would run it.
            let implicit = options.platforms.is_empty() && platform == self.build;
            let here = images
                .resolve(&name, Some(platform))
                .or_else(|error| match implicit {
                    true => images.resolve(&name, None),
                    false => Err(error),
                });
            if let Ok(image) = here {
                let config = dhow_oci::ImageConfig::clone(&image.config);
                return Ok((image.target.digest, config));
            }
        }
        let credentials = credentials(self.request, reference.domain()).await;
        let remote = images
            .look_up(reference, Some(platform), &credentials)
            .await?;
        let config = dhow_oci::ImageConfig::clone(&remote.config);
        Ok((remote.target.digest, config))
    }
}
