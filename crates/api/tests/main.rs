//! `bulla-api` against the files and the API server it must agree with.

mod acceptance;
mod generated;
