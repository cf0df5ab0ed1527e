//! `wait`: blocks until containers stop. Also how `run`, `start` and `attach` learn exit codes.

use dhow_api::container::WaitResponse;
use serde_json::Value;

use super::runner;
use crate::command::{Arguments, Command, Completes};
use crate::error::{Error, Result};
use crate::session::Session;
use dhow_client::request::escape;
use dhow_client::{Client, Request, Response};
use dhow_options::flags::Parsed;

pub(crate) const COMMAND: Command = Command {
    also: "container wait, wait",
    arguments: Arguments::AtLeast(1),
    completes: Completes::Containers(&[]),
    ..Command::new(
        "wait",
        "Block until one or more containers stop, then print their exit codes",
        "CONTAINER [CONTAINER...]",
        runner!(run),
    )
};

async fn run(session: &Session, flags: &Parsed) -> Result<()> {
    let client = session.client()?;
    session
        .each(&flags.arguments, async |name| {
            let answer: WaitResponse = client
                .json(Request::post(format!("/containers/{}/wait", escape(name))))
                .await?;
            Ok(answer.status_code.to_string())
        })
        .await
}

/// What to wait for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Condition {
    NotRunning,
    NextExit,
    Removed,
}

/// A wait the engine has taken note of.
pub(crate) struct Waiting(Response);

impl Waiting {
    /// Registers the wait: whatever ends the container from now on is seen.
    pub(crate) async fn register(
        client: &Client,
        container: &str,
        condition: Condition,
    ) -> Result<Self> {
        let condition = match condition {
            Condition::NotRunning => "",
            Condition::NextExit => "next-exit",
            Condition::Removed => "removed",
        };
        let path = format!("/containers/{}/wait", escape(container));
        let request = Request::post(path).query_if(!condition.is_empty(), "condition", condition);
        Ok(Self(client.send(request).await?))
    }

    /// The container's exit code, or 125 where it cannot be known.
    pub(crate) async fn code(mut self, session: &Session) -> u8 {
        let mut body = Vec::new();
        loop {
            match self.0.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(error) => {
                    session.warn(&format!("Error waiting for container: {error}"));
                    return 125;
                }
            }
        }
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        if let Some(message) = answer["Error"]["Message"]
            .as_str()
            .filter(|m| !m.is_empty())
        {
            session.warn(&format!("Error waiting for container: {message}"));
            return 125;
        }
        match answer["StatusCode"].as_i64() {
            // What does not fit into an exit code is cut, as the kernel does.
            Some(code) => u8::try_from(code & 0xff).unwrap_or(125),
            None => {
                session.warn("Error waiting for container: unexpected EOF");
                125
            }
        }
    }

    /// Ends as the container did.
    pub(crate) async fn finish(self, session: &Session) -> Result<()> {
        match self.code(session).await {
            0 => Ok(()),
            code => Err(Error::exit(code)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::tests::{session, with_engine};
    use dhow_testkit::scripted::{common, no_raw, reply};

    fn answers(request: &str) -> String {
        let code = |body| reply("200 OK", body);
        match request {
            "POST /v1.41/containers/seven/wait?condition=next-exit" => code("{\"StatusCode\":7}"),
            "POST /v1.41/containers/big/wait" => code("{\"StatusCode\":256}"),
            "POST /v1.41/containers/lost/wait?condition=removed" => {
                code("{\"StatusCode\":0,\"Error\":{\"Message\":\"gone\"}}")
            }
            "POST /v1.41/containers/cut/wait" => code(""),
            other => common(other),
        }
    }

    #[test]
    fn exit_codes_are_the_containers_or_125() {
        with_engine(answers, no_raw, async |client| {
            let session = session("unix:///nonexistent");
            for (name, condition, code) in [
                ("seven", Condition::NextExit, 7),
                ("big", Condition::NotRunning, 0),
                ("lost", Condition::Removed, 125),
                ("cut", Condition::NotRunning, 125),
            ] {
                let waiting = Waiting::register(client, name, condition).await.unwrap();
                assert_eq!(waiting.code(&session).await, code, "{name}");
            }
        });
    }
}
