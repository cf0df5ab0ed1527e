//! What a request says: query, body, filters, credentials.

mod auth;
mod body;
mod filters;
mod go_json;
mod go_types;
mod query;
mod rest;

pub(crate) use auth::{credentials, registries, registry_credentials};
pub(crate) use body::{Json, decode, document, from_document, read, reader};
pub(crate) use filters::{filter_values, filters};
pub(crate) use query::Query;
pub(crate) use rest::Rest;
