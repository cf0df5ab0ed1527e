//! A process of a container: worked out before it is cloned ([`plan`]), and made what it is to be just before its
//! program runs ([`finish`]).

pub(crate) mod capabilities;
pub(crate) mod finish;
pub(crate) mod labels;
pub(crate) mod lookup;
pub(crate) mod plan;
pub(crate) mod stdio;

pub(crate) use finish::prepare;
pub(crate) use labels::Labels;
pub(crate) use plan::ProcessPlan;
