//! The Engine API's wire types.
