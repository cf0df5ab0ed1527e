//! From a request to what is to be done: the Dockerfile is fetched and understood, images are looked up, and the plan made.

use std::sync::Arc;

use dhow_dockerfile::{Dockerfile, parse};
use dhow_oci::Platform;
use futures::future::BoxFuture;

use crate::builder::BuilderConfig;
use crate::client::Tree;
use crate::error::Error;
use crate::graph::Op;
use crate::plan::{Context, Found, Plan, Planning, Problem, Source};
use crate::request::{BuildRequest, Call, ContextSource, Outcome};
use crate::resolve::{Lookups, call, checks, files, remote, tell};

/// Fetches trees before there is a graph: contexts and Dockerfiles that are not the client's.
pub trait Sources: Send + Sync {
    /// Carries out a [`Op::Git`] or [`Op::Http`] that has no inputs, telling it as a vertex called `name`.
    ///
    /// # Errors
    /// The source can't be reached or has not what is asked for.
    fn tree<'a>(&'a self, op: &'a Op, name: &'a str)
    -> BoxFuture<'a, Result<Arc<dyn Tree>, Error>>;
}

/// What a request comes to.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "lives for a moment, one at a time"
)]
pub enum Prepared {
    /// A plan that is to be solved and exported.
    Plan(Box<Plan>),
    /// Nothing is built: what `--call` asks for, or `--check`.
    Answer(Outcome),
}

/// Fetches and understands the Dockerfile, looks up the images its target needs, and makes the plan; says what it does
/// and what the checks find as progress.
///
/// # Errors
/// The Dockerfile is missing or wrong, an image can't be found, or a check that is an error finds something.
pub async fn prepare(
    request: &BuildRequest,
    kit: &BuilderConfig,
    sources: &dyn Sources,
) -> Result<Prepared, Error> {
    if request.options.call == Some(Call::Describe) {
        return Ok(Prepared::Answer(call::describe()));
    }
    let (remote, context) = remote::remote(request, sources).await?;
    let (source, own) = files::definition(request, remote.as_ref()).await?;
    let dockerfile = match parse(&source.bytes) {
        Ok(dockerfile) => dockerfile,
        Err(error) if request.options.call == Some(Call::Check) => {
            return Ok(Prepared::Answer(call::broken(&error, &source)));
        }
        Err(error) => return Err(Problem::from(error).into_error(&source)),
    };
    if request.options.call == Some(Call::Targets) {
        return Ok(Prepared::Answer(call::targets(&dockerfile, &source)));
    }
    let preparing = Preparing {
        request,
        kit,
        dockerfile,
        source,
        build: Platform::host(),
    };
    let ignore = files::exclude(request, remote.as_ref(), own);
    preparing.finish(context, ignore).await
}

/// A request whose Dockerfile is understood.
struct Preparing<'a> {
    request: &'a BuildRequest,
    kit: &'a BuilderConfig,
    dockerfile: Dockerfile,
    source: Source,
    build: Platform,
}

impl Preparing<'_> {
    async fn finish(
        self,
        context: Option<Context>,
        ignore: impl Future<Output = Result<Vec<String>, Error>>,
    ) -> Result<Prepared, Error> {
        let options = &self.request.options;
        let settings = checks::settings(&self.dockerfile, options)?;
        let lookups = Lookups {
            request: self.request,
            kit: self.kit,
            dockerfile: &self.dockerfile,
            source: &self.source,
            build: &self.build,
        };
        let (found, exclude) = futures::future::join(lookups.all(), ignore).await;
        let (mut found, exclude) = (found?, exclude?);
        found.context = context.unwrap_or_else(|| self.context(&exclude));
        let source = &self.source;
        let findings = checks::findings(&self.dockerfile, &settings, &found, &exclude);
        let plan = self.plan(&found);
        match options.call {
            Some(Call::Check) => {
                let problem = plan.err();
                let answer = call::check(&findings, problem.as_ref(), source);
                return Ok(Prepared::Answer(answer));
            }
            Some(Call::Outline) => {
                plan.map_err(|problem| problem.into_error(source))?;
                let answer = call::outline(&self.dockerfile, options, &self.build, source)?;
                return Ok(Prepared::Answer(answer));
            }
            _ => {}
        }
        let title = format!("[internal] load build definition from {}", source.file);
        let vertex = tell::digest(&self.request.id, &title);
        let listener = &*self.request.listener;
        checks::tell(&findings, &settings, source, vertex, listener)?;
        let plan = plan.map_err(|problem| problem.into_error(source))?;
        Ok(Prepared::Plan(Box::new(plan)))
    }

    fn context(&self, exclude: &[String]) -> Context {
        match &self.request.context {
            ContextSource::Local(name) => Context::Local {
                name: name.clone(),
                exclude: exclude.to_vec(),
                title: "[internal] load build context".into(),
            },
            _ => Context::Empty,
        }
    }

    fn plan(&self, found: &Found) -> Result<Plan, Problem> {
        let options = &self.request.options;
        let planning = Planning {
            dockerfile: &self.dockerfile,
            options,
            found,
            build: &self.build,
            epoch: epoch(self.request)?,
        };
        planning.plan(self.source.clone())
    }
}

/// The time that stands in the image: the option, or the argument `SOURCE_DATE_EPOCH`.
fn epoch(request: &BuildRequest) -> Result<Option<i64>, Problem> {
    let options = &request.options;
    if options.epoch.is_some() {
        return Ok(options.epoch);
    }
    match options
        .arguments
        .get("SOURCE_DATE_EPOCH")
        .map(String::as_str)
    {
        None | Some("") => Ok(None),
        Some(text) => dhow_golang::parse_int(text, 10, 64)
            .map(Some)
            .map_err(|error| Problem::new(format!("invalid SOURCE_DATE_EPOCH: {text}: {error}"))),
    }
}

impl Source {
    /// The Dockerfile as text.
    #[must_use]
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.bytes)
    }
}
