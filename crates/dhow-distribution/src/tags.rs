//! The tags of a repository.

use http::{Method, StatusCode, header::LINK};
use reqwest::Response;
use serde::Deserialize;
use url::form_urlencoded;

use crate::Error;
use crate::fetch::read_bounded;
use crate::host::Purpose;
use crate::registry::Repository;
use crate::transport::Request;

/// How many tags a registry is asked for at a time.
const PAGE: usize = 1000;
/// How many tags a repository may have.
const MOST: usize = 100_000;
/// The largest page; a tag has 128 bytes at most.
const LARGEST_PAGE: usize = 4 << 20;

#[derive(Deserialize)]
struct Answer {
    /// Docker's registry writes `null` for none.
    tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Refusal {
    errors: Vec<Reason>,
}

#[derive(Deserialize)]
struct Reason {
    code: String,
    message: String,
}

impl Repository {
    /// All tags, in the registry's order (distribution spec, "Listing Tags").
    ///
    /// # Errors
    /// The repository is not there, or the registry can't be asked or answers nonsense.
    pub async fn tags(&self) -> Result<Vec<String>, Error> {
        let mut tags = Vec::new();
        let mut last: Option<String> = None;
        loop {
            let (page, more) = self.page(last.as_deref()).await?;
            // A registry that gives the same page for ever ends here.
            if page.is_empty() || page.last() == last.as_ref() {
                return Ok(tags);
            }
            last = page.last().cloned();
            tags.extend(page);
            if !more {
                return Ok(tags);
            }
            if tags.len() > MOST {
                return Err(Error::TooLarge {
                    what: format!("the list of tags of {}", self.name()),
                    limit: MOST,
                });
            }
        }
    }

    /// The tags after `last`, and whether there are more after those.
    async fn page(&self, last: Option<&str>) -> Result<(Vec<String>, bool), Error> {
        let path = self.path(&format!("tags/list?{}", query(last)));
        let request = Request::new(Method::GET, path);
        let mut failure = None;
        for subject in self.pull_subjects(Purpose::Resolve)? {
            match self.ask(&subject, &request).await {
                Ok(response) if response.status() == StatusCode::OK => return read(response).await,
                Ok(response) => failure = Some(self.refused(response).await),
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or_else(|| Error::NotFound { what: self.name() }))
    }

    async fn refused(&self, response: Response) -> Error {
        if response.status() != StatusCode::NOT_FOUND {
            return crate::fetch::unexpected(response, &Method::GET).await;
        }
        let bytes = read_bounded(response, LARGEST_PAGE, "the registry's answer").await;
        let reason = bytes
            .ok()
            .and_then(|bytes| serde_json::from_slice::<Refusal>(&bytes).ok())
            .and_then(|refusal| refusal.errors.into_iter().next())
            .map(|reason| {
                let code = reason.code.to_lowercase().replace('_', " ");
                format!("{code}: {}", reason.message)
            });
        Error::NoRepository {
            name: self.name(),
            reason: reason.unwrap_or_else(|| "the registry has none of that name".to_owned()),
        }
    }
}

fn query(last: Option<&str>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("n", &PAGE.to_string());
    if let Some(last) = last {
        query.append_pair("last", last);
    }
    query.finish()
}

async fn read(response: Response) -> Result<(Vec<String>, bool), Error> {
    let more = response
        .headers()
        .get_all(LINK)
        .iter()
        .filter_map(|link| link.to_str().ok())
        .any(|link| link.contains("rel=\"next\"") || link.contains("rel=next"));
    let url = response.url().to_string();
    let bytes = read_bounded(response, LARGEST_PAGE, "the list of tags").await?;
    let answer: Answer = serde_json::from_slice(&bytes).map_err(|error| Error::Protocol {
        url,
        reason: format!("cannot read the list of tags: {error}"),
    })?;
    Ok((answer.tags.unwrap_or_default(), more))
}
