//! What has to be fetched and looked up before a build can be planned.

pub(crate) mod call;
pub(crate) mod checks;
pub(crate) mod files;
mod lookups;
pub(crate) mod remote;
pub(crate) mod tell;

pub(crate) use lookups::Lookups;
