//! Findings for people and for programs. Pure: what is returned is written somewhere else.
//!
//! A finding holds no value, so that no output can.

mod annotations;
mod json;
mod sarif;
mod text;

pub use annotations::annotations;
pub use json::json;
pub use sarif::{Sarif, sarif};
pub use text::text;
