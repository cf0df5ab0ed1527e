//! Streams of progress messages: shown as they come, their error is the outcome.

use std::io;

use dhow_terminal::{Message, Progress, is_terminal, window_size};

use crate::attach::failed;
use crate::error::{Error, Result};
use dhow_client::{Documents, Response};

/// Where progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Show {
    Stdout,
    Stderr,
    Nothing,
}

/// Shows all messages of an answer.
pub(crate) async fn show(response: Response, show: Show) -> Result<()> {
    each(response, show, |_| Ok(())).await
}

/// Shows all messages and gives those that carry data to `aux`.
pub(crate) async fn each(
    response: Response,
    show: Show,
    mut aux: impl FnMut(&serde_json::Value) -> Result<()>,
) -> Result<()> {
    let (out, columns): (Box<dyn io::Write>, _) = match show {
        Show::Stdout => (Box::new(io::stdout()), columns(io::stdout())),
        Show::Stderr => (Box::new(io::stderr()), columns(io::stderr())),
        Show::Nothing => (Box::new(io::sink()), None),
    };
    let mut progress = Progress::new(out, columns);
    let mut messages = Documents::<Message>::new(response);
    while let Some(message) = messages.next().await? {
        outcome(&message)?;
        if let Some(data) = &message.aux {
            aux(data)?;
        }
        progress.show(&message).map_err(|error| failed(&error))?;
    }
    Ok(())
}

fn outcome(message: &Message) -> Result<()> {
    match (&message.failure, &message.error) {
        (Some(failure), _) if failure.code == 401 => Err(Error::text(format!(
            "authentication is required: {}",
            failure.message
        ))),
        (Some(failure), _) => Err(Error::text(&*failure.message)),
        (None, Some(error)) => Err(Error::text(&**error)),
        (None, None) => Ok(()),
    }
}

fn columns(out: impl std::os::fd::AsFd) -> Option<u16> {
    is_terminal(&out).then(|| window_size(&out).map_or(80, |(_, columns)| columns))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::tests::with_engine;
    use dhow_client::Request;
    use dhow_testkit::scripted::{common, no_raw};

    /// Sends its messages in pieces that do not end where they do.
    fn pieces(request: &str) -> String {
        let pieces: &[&str] = match request {
            "POST /v1.41/good" => &[
                "{\"status\":\"a\"}\r\n{\"sta",
                "tus\":\"b\"}{\"aux\":{\"ID\":\"x\"}}",
            ],
            "POST /v1.41/bad" => &[
                "{\"status\":\"a\"}",
                "{\"errorDetail\":{\"message\":\"no space\"},\"error\":\"no space\"}",
            ],
            "POST /v1.41/cut" => &["{\"status\":\"a\"}{\"stat"],
            other => return common(other),
        };
        let chunks: String = pieces
            .iter()
            .map(|piece| format!("{:x}\r\n{piece}\r\n", piece.len()))
            .collect();
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n")
    }

    #[test]
    fn messages_are_read_however_they_arrive() {
        with_engine(pieces, no_raw, async |client| {
            let mut data = Vec::new();
            for (path, expected) in [
                ("/good", Ok(())),
                ("/bad", Err("no space")),
                ("/cut", Err("unexpected EOF")),
            ] {
                let response = client.send(Request::post(path)).await.unwrap();
                let found = each(response, Show::Nothing, |aux| {
                    data.push(aux["ID"].clone());
                    Ok(())
                });
                let found = found.await.map_err(|error| error.to_string());
                assert_eq!(found, expected.map_err(str::to_owned), "{path}");
            }
            assert_eq!(data, ["x"]);
        });
    }
}
