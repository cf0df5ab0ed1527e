//! Signals: handed on to the container, followed for the window's size, or taken to leave the terminal in order.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::unix::{Signal, SignalKind, signal};

use dhow_client::{Client, Request};
use dhow_options::signal_name;

/// The signals that are handed on; those of job control and the window stay with the terminal.
const FORWARDED: [i32; 9] = [1, 2, 3, 6, 10, 12, 14, 15, 18];

/// How many interruptions end the command line whatever the container does.
const PATIENCE: u32 = 3;

/// Set while signals belong to a container.
static HANDED_ON: AtomicBool = AtomicBool::new(false);

/// Ends this program with 130 or 143 when it is interrupted or told to end, its terminal in order, unless the signals
/// are handed on. From a thread of its own: a question to the user may be what the others wait for.
pub(crate) fn end_when_interrupted() {
    std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let Ok(runtime) = runtime else {
            // Without it, signals do what they do by default.
            return;
        };
        let code = runtime.block_on(async {
            let mut interrupt = signal(SignalKind::interrupt()).ok();
            let mut terminate = signal(SignalKind::terminate()).ok();
            loop {
                let code = tokio::select! {
                    () = received(&mut interrupt) => 130,
                    () = received(&mut terminate) => 143,
                };
                if !HANDED_ON.load(Ordering::Relaxed) {
                    return code;
                }
            }
        });
        dhow_terminal::restore_all();
        std::process::exit(code);
    });
}

/// Leaves interruptions to who waits for [`ending`].
pub(crate) fn taken_over() {
    HANDED_ON.store(true, Ordering::Relaxed);
}

/// The exit code of the signal that tells this program to end, once it comes.
pub(crate) async fn ending() -> u8 {
    let mut interrupt = signal(SignalKind::interrupt()).ok();
    let mut terminate = signal(SignalKind::terminate()).ok();
    tokio::select! {
        () = received(&mut interrupt) => 130,
        () = received(&mut terminate) => 143,
    }
}

/// Hands signals on to the container; never returns, unless the user insists on ending.
pub(crate) async fn forward(client: &Client, container: &str) -> u8 {
    HANDED_ON.store(true, Ordering::Relaxed);
    let (sender, mut received) = tokio::sync::mpsc::channel(16);
    for number in FORWARDED {
        let Ok(mut signals) = signal(SignalKind::from_raw(number)) else {
            continue;
        };
        let sender = sender.clone();
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                if sender.send(number).await.is_err() {
                    break;
                }
            }
        });
    }
    drop(sender);
    let mut interruptions = 0;
    while let Some(number) = received.recv().await {
        if matches!(number, 2 | 15) {
            interruptions += 1;
        }
        if interruptions >= PATIENCE {
            crate::outcome::to_stderr("\ngot 3 SIGTERM/SIGINTs, forcefully exiting");
            return 1;
        }
        let name = format!("SIG{}", signal_name(number));
        let path = format!("/containers/{container}/kill");
        // The container may just have ended; its exit tells.
        let _ = client.done(Request::post(path).query("signal", name)).await;
    }
    std::future::pending().await
}

/// The exit code of a signal that should end a process whose terminal is raw; never, where it is not.
pub(crate) async fn termination(raw: bool) -> u8 {
    if !raw {
        return std::future::pending().await;
    }
    let listen = |kind| signal(kind).ok();
    let mut hangup = listen(SignalKind::hangup());
    let mut terminate = listen(SignalKind::terminate());
    let mut quit = listen(SignalKind::quit());
    tokio::select! {
        () = received(&mut hangup) => 129,
        () = received(&mut quit) => 131,
        () = received(&mut terminate) => 143,
    }
}

async fn received(signals: &mut Option<Signal>) {
    match signals {
        Some(signals) => {
            signals.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// Changes the size of a container's terminal and leaves it to [`follow_size`] to set it right: a program that runs
/// there draws its prompt anew, which those who join it would not see otherwise.
pub(crate) async fn redraw(client: &Client, path: &str) {
    let Some((rows, columns)) = dhow_terminal::window_size(std::io::stdout()) else {
        return;
    };
    let request = Request::post(format!("{path}/resize"))
        .query("h", rows.saturating_add(1).to_string())
        .query("w", columns.saturating_add(1).to_string());
    // It may have ended already, which is no reason to complain about the size.
    let _ = client.done(request).await;
}

/// Keeps the size of a container's (or exec's) terminal that of ours; never returns.
///
/// `path` is the thing's resource, such as `/containers/ID`.
pub(crate) async fn follow_size(client: &Client, path: &str) -> std::convert::Infallible {
    let mut changes = signal(SignalKind::window_change()).ok();
    loop {
        if let Some((rows, columns)) = dhow_terminal::window_size(std::io::stdout()) {
            let request = Request::post(format!("{path}/resize"))
                .query("h", rows.to_string())
                .query("w", columns.to_string());
            // It may have ended already, which is no reason to complain about the size.
            let _ = client.done(request).await;
        }
        received(&mut changes).await;
    }
}
