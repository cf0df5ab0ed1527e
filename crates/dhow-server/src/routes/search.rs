//! `GET /images/search`: what a registry's index finds.

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use dhow_api::image::ImageSearchResult;
use dhow_distribution::{Found, Registry};
use dhow_engine::filters::Filters;
use http::HeaderMap;

use crate::error::{ApiError, Result};
use crate::request::{Query, filters, registry_credentials};
use crate::{Handles, reply};

/// Results where nobody says how many.
const DEFAULT_LIMIT: i64 = 25;
const LIMITS: std::ops::RangeInclusive<i64> = 1..=100;

pub(super) fn routes() -> Router<Handles> {
    Router::new().route("/images/search", get(search))
}

async fn search(
    State(registry): State<Registry>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response> {
    let limit = query.number("limit").map_err(|error| {
        ApiError::invalid(format!("invalid limit specified: {}", error.message))
    })?;
    let wanted = Wanted::new(&filters(&query)?)?;
    let limit = match limit.unwrap_or(0) {
        0 => DEFAULT_LIMIT,
        limit if LIMITS.contains(&limit) => limit,
        limit => {
            return Err(ApiError::invalid(format!(
                "limit {limit} is outside the range of [{}, {}]",
                LIMITS.start(),
                LIMITS.end()
            )));
        }
    };
    let results = if wanted.nothing {
        Vec::new()
    } else {
        let credentials = registry_credentials(&headers);
        let limit = usize::try_from(limit).unwrap_or_default();
        registry
            .search(query.get("term"), limit, &credentials)
            .await
            .map_err(|error| match error {
                error @ dhow_distribution::Error::Config { .. } => {
                    ApiError::invalid(error.to_string())
                }
                error => error.into(),
            })?
    };
    let results = results.into_iter().filter(|found| wanted.fits(found));
    let results: Vec<ImageSearchResult> = results.map(view).collect();
    Ok(reply::ok(&results))
}

/// What filters ask of a result.
struct Wanted {
    official: Option<bool>,
    stars: i64,
    /// Nothing is built automatically any more, so that who asks for that gets nothing.
    nothing: bool,
}

impl Wanted {
    fn new(filters: &Filters) -> Result<Self> {
        filters.check(&["is-automated", "is-official", "stars"])?;
        let bad = |key: &str| {
            let values = filters.get(key).join(" ");
            ApiError::invalid(format!("invalid filter '{key}=[{values}]'"))
        };
        let flag = |key: &str| filters.flag(key, false).map_err(|_| bad(key));
        let nothing = flag("is-automated")?;
        let official = flag("is-official")?;
        let mut stars = 0;
        for text in filters.get("stars") {
            let number: i64 = text.parse().map_err(|_| {
                ApiError::invalid(format!(
                    "invalid filter 'stars={text}': strconv.Atoi: parsing {text:?}: invalid syntax"
                ))
            })?;
            stars = stars.max(number);
        }
        Ok(Self {
            official: filters.contains("is-official").then_some(official),
            stars,
            nothing,
        })
    }

    fn fits(&self, found: &Found) -> bool {
        self.official
            .is_none_or(|wanted| wanted == found.is_official)
            && found.star_count >= self.stars
    }
}

fn view(found: Found) -> ImageSearchResult {
    ImageSearchResult {
        star_count: found.star_count,
        is_official: found.is_official,
        name: found.name,
        is_automated: false,
        description: found.description,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::collections::BTreeMap;

    use super::*;

    fn wanted(pairs: &[(&str, &str)]) -> Result<Wanted> {
        let mut map: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (key, value) in pairs {
            map.entry((*key).to_owned())
                .or_default()
                .push((*value).to_owned());
        }
        Wanted::new(&Filters::new(map))
    }

    #[test]
    fn results_are_filtered_and_wrong_filters_have_dockers_texts() {
        let found = |stars, official| Found {
            star_count: stars,
            is_official: official,
            ..Found::default()
        };
        let popular = wanted(&[("stars", "3"), ("stars", "9"), ("is-official", "true")]).unwrap();
        assert!(popular.fits(&found(9, true)));
        assert!(!popular.fits(&found(8, true)) && !popular.fits(&found(9, false)));
        assert!(wanted(&[("is-automated", "1")]).unwrap().nothing);
        for (key, value, text) in [
            ("foo", "1", "invalid filter 'foo'"),
            (
                "is-official",
                "maybe",
                "invalid filter 'is-official=[maybe]'",
            ),
            (
                "stars",
                "x",
                "invalid filter 'stars=x': strconv.Atoi: parsing \"x\": invalid syntax",
            ),
        ] {
            assert_eq!(wanted(&[(key, value)]).err().unwrap().message, text);
        }
    }
}
