//! The rules, a file for each place that values have.

pub(crate) mod embedded;
pub(crate) mod encrypted;
pub(crate) mod files;
pub(crate) mod helm;
pub(crate) mod keys;
pub(crate) mod kustomize;
pub(crate) mod leftover;
pub(crate) mod patch;
pub(crate) mod sealed;
pub(crate) mod secret;
