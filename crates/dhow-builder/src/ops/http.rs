//! What a URL leads to: a tree of one file.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dhow_oci::Hasher;
use jiff::Timestamp;
use reqwest::header::{CONTENT_DISPOSITION, LAST_MODIFIED};
use rustix::fs::{Timespec, Timestamps, futimens};

use super::{FolderTree, TempFolder};
use crate::client::Tree;
use crate::error::Error;
use crate::graph::HttpOp;
use crate::solve::{Job, Task, Told};

/// How long a server may say nothing.
const SILENCE: Duration = Duration::from_secs(60);
/// The most that is fetched.
const LARGEST: u64 = 64 << 30;
/// What a file is called that has no other name.
const NAMELESS: &str = "download";
/// How often progress is told.
const STEP: u64 = 1 << 20;

/// Fetches it.
///
/// # Errors
/// The server is not reached, answers with an error, or gives something else than the checksum says.
pub(crate) async fn fetch(
    job: &Arc<Job>,
    op: &HttpOp,
    told: &Told,
) -> Result<Arc<dyn Tree>, Error> {
    let unreachable = |e: reqwest::Error| {
        Error::Remote(format!(
            "failed to fetch {}: {}",
            op.url,
            dhow_errdefs::chain(&e.without_url())
        ))
    };
    let client = (**job.cache.config.http).as_ref();
    let request = client
        .map_err(|reason| Error::Remote(format!("failed to fetch {}: {reason}", op.url)))?
        .get(&op.url);
    let response = tokio::time::timeout(SILENCE, request.send())
        .await
        .map_err(|_| silent(&op.url))?
        .map_err(unreachable)?;
    if !response.status().is_success() {
        return Err(Error::Remote(format!(
            "failed to fetch {}: invalid response status {}",
            op.url,
            response.status().as_u16()
        )));
    }
    let name = op.file_name.clone().unwrap_or_else(|| file_name(&response));
    let modified = modified(&response);
    let folder = TempFolder::new(&job.cache.config.folder.join("work"))?;
    let path = folder.path().join(&name);
    let failed = |e| Error::file("write", name.clone(), e);
    let mut file = File::create_new(&path).map_err(failed)?;
    let hasher = receive(response, &mut file, op, told).await?;
    if let Some(expected) = &op.checksum
        && hasher != *expected
    {
        return Err(Error::Remote(format!(
            "digest mismatch {hasher}: {expected}"
        )));
    }
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    file.set_permissions(permissions).map_err(failed)?;
    let time = Timespec {
        tv_sec: modified,
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    futimens(&file, &times).map_err(|e| failed(e.into()))?;
    let path = folder.path().to_owned();
    Ok(Arc::new(FolderTree::new(folder, path)))
}

fn silent(url: &str) -> Error {
    Error::Remote(format!("failed to fetch {url}: the server does not answer"))
}

async fn receive(
    mut response: reqwest::Response,
    file: &mut File,
    op: &HttpOp,
    told: &Told,
) -> Result<dhow_oci::Digest, Error> {
    let started = Timestamp::now();
    let total = response.content_length().unwrap_or(0);
    let (mut current, mut last) = (0, 0);
    let mut hasher = Hasher::new();
    let task = |current, done| Task {
        id: "downloading",
        current,
        total,
        started,
        done,
    };
    loop {
        let next = tokio::time::timeout(SILENCE, response.chunk())
            .await
            .map_err(|_| silent(&op.url))?;
        let piece = next.map_err(|e| {
            let text = dhow_errdefs::chain(&e.without_url()).to_string();
            Error::Remote(format!("failed to fetch {}: {text}", op.url))
        })?;
        let Some(piece) = piece else {
            break;
        };
        current += piece.len() as u64;
        if current > LARGEST {
            return Err(Error::Remote(format!(
                "failed to fetch {}: more than {LARGEST} bytes",
                op.url
            )));
        }
        hasher.update(&piece);
        file.write_all(&piece)
            .map_err(|e| Error::file("write", op.url.clone(), e))?;
        if current - last >= STEP {
            last = current;
            told.task(task(current, false));
        }
    }
    told.task(task(current, true));
    Ok(hasher.finish())
}

/// Seconds since 1970 of the last change; that year's beginning if the server doesn't say.
fn modified(response: &reqwest::Response) -> i64 {
    let header = response.headers().get(LAST_MODIFIED);
    header
        .and_then(|value| value.to_str().ok())
        .and_then(|text| jiff::fmt::rfc2822::parse(text).ok())
        .map_or(0, |time| time.timestamp().as_second())
}

/// The name by the answer, or the URL that was come to.
fn file_name(response: &reqwest::Response) -> String {
    let header = response.headers().get(CONTENT_DISPOSITION);
    let told = header
        .and_then(|value| value.to_str().ok())
        .and_then(disposition);
    let of_url = || {
        let mut segments = response.url().path_segments()?;
        segments.next_back().map(str::to_owned)
    };
    told.or_else(of_url)
        .and_then(|name| plain(&name))
        .unwrap_or_else(|| NAMELESS.to_owned())
}

/// The `filename` of a `Content-Disposition`.
fn disposition(header: &str) -> Option<String> {
    header.split(';').skip(1).find_map(|parameter| {
        let (key, value) = parameter.split_once('=')?;
        let named = key.trim().eq_ignore_ascii_case("filename");
        named.then(|| value.trim().trim_matches('"').to_owned())
    })
}

/// The last component, if it can be a file's name.
fn plain(name: &str) -> Option<String> {
    let name = PathBuf::from(name).file_name()?.to_str()?.to_owned();
    let usable = name.len() <= 255 && !name.contains(['\0', '/']) && name != "." && name != "..";
    usable.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_what_the_server_says() {
        for (header, expected) in [
            ("attachment; filename=\"a.tar\"", Some("a.tar")),
            ("attachment; filename=a.tar", Some("a.tar")),
            ("inline", None),
        ] {
            assert_eq!(disposition(header).as_deref(), expected, "{header}");
        }
        assert_eq!(plain("../../etc/passwd").as_deref(), Some("passwd"));
        assert_eq!(plain(".."), None);
        assert_eq!(plain(""), None);
    }
}
