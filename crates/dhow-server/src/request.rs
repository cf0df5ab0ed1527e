//! What a request says: query, body, filters, credentials.

mod auth;
mod body;
mod filters;
mod go_json;
mod go_types;
mod query;

pub(crate) use auth::{credentials, registry_credentials};
pub(crate) use body::{Json, decode, document, drain, from_document, read};
pub(crate) use filters::{filter_values, filters};
pub(crate) use query::Query;
