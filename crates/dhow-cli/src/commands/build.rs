//! `build`: an image, or files, out of a Dockerfile.
//!
//! The build itself is the engine's; this side says what is wanted ([`order`], [`exports`]), serves what the engine asks
//! for ([`context`], [`offers`]), and shows how it goes on ([`progress`]).

mod answer;
mod caches;
mod context;
mod exports;
mod flags;
mod offers;
mod order;
mod progress;

use dhow_session::messages::{SolveRequest, SolveResponse, StatusResponse};
use dhow_session::{Control, Failure, Session as Serving, random_id};
use tokio::sync::mpsc;
use tokio::time::{Duration, MissedTickBehavior};

use super::runner;
use crate::attach::signals;
use crate::command::{Arguments, Command, Completes};
use crate::error::{Error, Result};
use crate::session::Session;
use dhow_options::flags::Parsed;
use progress::Display;

pub(crate) const COMMAND: Command = Command {
    also: "image build, build, builder build",
    arguments: Arguments::Exactly(1),
    completes: Completes::Files,
    flags: &[flags::TABLE, flags::CLASSIC],
    ..Command::new(
        "build",
        "Build an image from a Dockerfile",
        "[OPTIONS] PATH | URL | -",
        runner!(build),
    )
};

/// How often what changes by itself is shown anew.
const TICK: Duration = Duration::from_millis(100);
/// How long the progress of a build that could not begin is waited for.
const REST: Duration = Duration::from_millis(500);

/// An error of the build, as buildx words it.
fn failed(text: impl std::fmt::Display) -> Error {
    Error::text(format!("ERROR: failed to build: {text}"))
}

async fn build(session: &Session, flags: &Parsed) -> Result<()> {
    flags::check(flags)?;
    let source = context::read(flags).map_err(failed)?;
    let exports = exports::read(flags).map_err(failed)?;
    let mut display = Display::choose(flags)?;
    signals::taken_over();
    let solved = tokio::select! {
        solved = carry_out(session, flags, source, exports, &mut display) => solved?,
        code = signals::ending() => {
            // What was opened for the build is closed, so that the engine gives it up as well.
            display.end(false);
            return Err(Error::exit(code));
        }
    };
    display.warnings(session.globals.debug || flags.switch("debug"));
    match solved {
        Ok(answer) => answer::give(session, flags, &answer.exporter_response),
        Err(failure) => {
            answer::explain(session, &failure);
            Err(failed(format!("failed to solve: {failure}")))
        }
    }
}

/// Has it built; what cannot even be asked for is an error.
async fn carry_out(
    session: &Session,
    flags: &Parsed,
    mut source: context::Source,
    exports: Vec<exports::Export>,
    display: &mut Display,
) -> Result<Result<SolveResponse, Failure>> {
    let client = session.client()?;
    let unreachable = |error: dhow_session::Error| match error {
        dhow_session::Error::Client(error) => Error::Client(error),
        error => failed(dhow_errdefs::chain(&error)),
    };
    let mut request = order::request(session, flags, &mut source, &exports).map_err(failed)?;
    let mut caches = caches::read(flags).map_err(failed)?;
    let mut offer = offers::offer(session, flags, &mut source, exports).map_err(failed)?;
    offer.stores = std::mem::take(&mut caches.stores);
    request.cache = Some(std::mem::take(&mut caches.options));
    for warning in &caches.warnings {
        session.warn(&format!("WARNING: {warning}"));
    }
    let serving = Serving::open(client, offer).await.map_err(unreachable)?;
    let control = Control::open(client).await.map_err(unreachable)?;
    order::gateway(&control, &mut request)
        .await
        .map_err(failed)?;
    request.session = serving.id().to_owned();
    request.r#ref = random_id();
    let mut solved = follow(&control, request, display).await;
    if solved.is_ok() {
        solved = serving.finish().await.and(solved);
    }
    display.end(solved.is_ok());
    if let Ok(answer) = &solved {
        let manifest = answer.exporter_response.get("cache.manifest");
        caches.finish(manifest).map_err(failed)?;
    }
    // What was made for the build is needed no longer.
    drop(source);
    Ok(solved)
}

/// Asks for a build and shows how it goes on.
async fn follow(
    control: &Control,
    request: SolveRequest,
    display: &mut Display,
) -> Result<SolveResponse, Failure> {
    let (told, mut news) = mpsc::unbounded_channel::<StatusResponse>();
    let id = request.r#ref.clone();
    let watching = async move {
        // What is wrong with the build is the answer to the other call.
        let _ = control.follow(&id, |status| drop(told.send(status))).await;
    };
    let mut solving = std::pin::pin!(control.solve(request));
    let mut watching = std::pin::pin!(watching);
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut solved = None;
    let mut watched = false;
    while solved.is_none() || !watched {
        // A build that has not begun has no progress.
        let overdue = matches!(solved, Some(Err(_)));
        tokio::select! {
            biased;
            Some(status) = news.recv() => display.take(&status),
            () = &mut watching, if !watched => watched = true,
            answer = &mut solving, if solved.is_none() => solved = Some(answer),
            () = tokio::time::sleep(REST), if overdue => break,
            _ = ticks.tick() => display.tick(),
        }
    }
    while let Ok(status) = news.try_recv() {
        display.take(&status);
    }
    solved.unwrap_or_else(|| Err(Failure::ended()))
}
