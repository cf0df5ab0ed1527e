//! A token server, and what it takes to get past it: a registry that gives nothing without the right token.

use std::collections::HashMap;
use std::io::{BufReader, Read, Result, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::faults::{Asked, Fault};
use crate::network::{Head, Listening};

/// Who may do what: user, password, and scopes as tokens have them (`repository:team/app:pull,push`); the user without
/// a name is anybody.
pub type Rights = Vec<(&'static str, &'static str, Vec<&'static str>)>;

/// Gives tokens for what its users may do; ends when dropped.
#[derive(Debug)]
pub struct TokenServer {
    listening: Listening,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    rights: Rights,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What each token allows.
    tokens: HashMap<String, Vec<String>>,
    /// What each refresh token stands for.
    users: HashMap<String, &'static str>,
    asked: Vec<Asked>,
}

impl TokenServer {
    /// Starts in the network namespace of process `pid`, or in this one.
    #[must_use]
    pub fn start(pid: Option<u32>, rights: Rights) -> Self {
        let shared = Arc::new(Shared {
            rights,
            state: Mutex::default(),
        });
        let own = Arc::clone(&shared);
        let listening = Listening::start(pid, move |stream| {
            // A client that hangs up is none of its business.
            let _ = own.serve(stream);
        });
        Self { listening, shared }
    }

    /// `localhost:PORT`.
    #[must_use]
    pub fn host(&self) -> String {
        format!("localhost:{}", self.listening.port())
    }

    /// What it was asked for so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.lock().asked.clone()
    }

    /// A plan for a proxy: only who has a token for what is asked gets through, and then `next` decides.
    pub fn guard(
        &self,
        next: impl Fn(&Asked) -> Fault + Send + Sync + 'static,
    ) -> impl Fn(&Asked) -> Fault + Send + Sync + 'static {
        let shared = Arc::clone(&self.shared);
        let realm = format!("http://{}/token", self.host());
        move |asked| match shared.refused(asked) {
            None => next(asked),
            Some((scope, error)) => {
                let value = format!("Bearer realm=\"{realm}\",service=\"test\"{scope}{error}");
                let field = ("WWW-Authenticate".to_owned(), value);
                let body =
                    br#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#;
                Fault::Answer(401, vec![field], body.to_vec())
            }
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why a request gets nothing: the scope it needs, and what is wrong with its token.
    fn refused(&self, asked: &Asked) -> Option<(String, &'static str)> {
        let state = self.lock();
        let token = asked
            .authorization
            .strip_prefix("Bearer ")
            .unwrap_or_default();
        let granted = state.tokens.get(token);
        let needed = needed(asked);
        let missing = |need: &&(String, &str)| {
            let (repository, action) = need;
            !granted.is_some_and(|all| all.iter().any(|scope| allows(scope, repository, action)))
        };
        let first = match (needed.iter().find(missing), granted) {
            (None, Some(_)) => return None,
            (None, None) => None,
            (Some(need), _) => Some(need),
        };
        let scope = first.map_or_else(String::new, |(repository, action)| {
            let actions = if *action == "pull" {
                "pull"
            } else {
                "pull,push"
            };
            format!(",scope=\"repository:{repository}:{actions}\"")
        });
        let error = if token.is_empty() {
            ""
        } else {
            ",error=\"insufficient_scope\""
        };
        Some((scope, error))
    }

    fn serve(&self, stream: TcpStream) -> Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut stream = stream;
        while let Some(head) = Head::read(&mut reader)? {
            let mut body = String::new();
            (&mut reader)
                .take(head.length().unwrap_or(0))
                .read_to_string(&mut body)?;
            let query = head.word(1).split_once('?').map_or("", |(_, query)| query);
            let form = pairs(if head.word(0) == "POST" { &body } else { query });
            let user = self.user(&head, &form);
            let (status, text) = match user {
                Some(user) => ("200 OK", self.grant(user, &form)),
                None => (
                    "401 Unauthorized",
                    r#"{"details":"incorrect username or password"}"#.into(),
                ),
            };
            let number = self.lock().asked.len();
            self.lock().asked.push(Asked {
                number,
                method: head.word(0).to_owned(),
                path: head.word(1).to_owned(),
                range: String::new(),
                authorization: head.field("authorization").to_owned(),
                host: head.field("host").to_owned(),
            });
            let length = text.len();
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{text}");
            stream.write_all(answer.as_bytes())?;
        }
        Ok(())
    }

    /// Who asks: by password, by refresh token, or anybody.
    fn user(&self, head: &Head, form: &[(String, String)]) -> Option<&'static str> {
        if let Some((_, token)) = form.iter().find(|(name, _)| name == "refresh_token") {
            return self.lock().users.get(token).copied();
        }
        let shown = head.field("authorization");
        if shown.is_empty() {
            return Some("");
        }
        let given = |(user, password, _): &&(&str, &str, Vec<&str>)| {
            let pair = format!("{user}:{password}");
            shown == format!("Basic {}", base64(pair.as_bytes()))
        };
        self.rights.iter().find(given).map(|(user, ..)| *user)
    }

    /// A token for what is asked for, as far as the user may have it.
    fn grant(&self, user: &'static str, form: &[(String, String)]) -> String {
        let rights = self.rights.iter().filter(|(known, ..)| *known == user);
        let rights: Vec<&str> = rights.flat_map(|(_, _, scopes)| scopes.clone()).collect();
        let asked = form.iter().filter(|(name, _)| name == "scope");
        let scopes = asked.flat_map(|(_, value)| value.split(' ').map(str::to_owned));
        let mut granted = Vec::new();
        for scope in scopes {
            let Some((repository, actions)) = parts(&scope) else {
                continue;
            };
            for action in actions.split(',') {
                if rights.iter().any(|right| allows(right, repository, action)) {
                    granted.push(format!("repository:{repository}:{action}"));
                }
            }
        }
        let mut state = self.lock();
        let number = state.tokens.len();
        let token = format!("token-{number}-of-{user}");
        state.tokens.insert(token.clone(), granted);
        let refresh = format!("refresh-{user}");
        if !user.is_empty() {
            state.users.insert(refresh.clone(), user);
        }
        format!(
            r#"{{"token":"{token}","access_token":"{token}","refresh_token":"{refresh}","expires_in":300}}"#
        )
    }
}

/// Repository and actions of a scope.
fn parts(scope: &str) -> Option<(&str, &str)> {
    scope.strip_prefix("repository:")?.rsplit_once(':')
}

fn allows(scope: &str, repository: &str, action: &str) -> bool {
    parts(scope).is_some_and(|(known, actions)| {
        known == repository && actions.split(',').any(|known| known == action)
    })
}

/// What a request to a registry needs: repositories with what is done there.
fn needed(asked: &Asked) -> Vec<(String, &'static str)> {
    let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
    let Some(path) = path.strip_prefix("/v2/") else {
        return Vec::new();
    };
    let kinds = ["/manifests/", "/blobs/", "/tags/", "/referrers/"];
    let name = kinds
        .iter()
        .find_map(|kind| path.split_once(kind))
        .map(|(name, _)| name);
    let Some(name) = name else {
        return Vec::new();
    };
    let action = match asked.method.as_str() {
        "GET" | "HEAD" => "pull",
        _ => "push",
    };
    let from = pairs(query).into_iter().find(|(key, _)| key == "from");
    let from = from.map(|(_, repository)| (repository, "pull"));
    std::iter::once((name.to_owned(), action))
        .chain(from)
        .collect()
}

/// The names and values of a form.
fn pairs(form: &str) -> Vec<(String, String)> {
    let pair = |text: &str| {
        let (name, value) = text.split_once('=')?;
        Some((name.to_owned(), decoded(value)))
    };
    form.split('&').filter_map(pair).collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let hex = |digit: Option<u8>| digit.and_then(|digit| char::from(digit).to_digit(16));
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let pair = hex(rest.next()).zip(hex(rest.next()));
                bytes.extend(pair.and_then(|(high, low)| u8::try_from(high * 16 + low).ok()));
            }
            byte => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Base64 with padding (RFC 4648 §4).
#[must_use]
pub fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let byte = |n: usize| u32::from(three.get(n).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let index = usize::try_from(bits >> (18 - 6 * place) & 63).unwrap_or(0);
            let letter = if place > three.len() {
                b'='
            } else {
                LETTERS[index]
            };
            text.push(char::from(letter));
        }
    }
    text
}
