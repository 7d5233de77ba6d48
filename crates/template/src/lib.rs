//! Go's `text/template` over bytes, with errors that show no data and limits that every template ends within.
//!
//! Sealed Secrets executes `spec.template.data` and External Secrets `spec.target.template` as Go templates with the functions
//! of sprig. What they write is what is written here, byte for byte: values are bytes, not text, so that a keystore passes
//! through as it is.
//!
//! ```
//! use bulla_template::{Options, Template, Value};
//!
//! let template = Template::parse("url", b"postgres://{{ .user }}:{{ .password }}@db", Options::external_secrets()).unwrap();
//! let data = Value::Strings([("user", "app"), ("password", "x")].map(|(k, v)| (k.into(), v.as_bytes().to_vec().into())).into());
//! assert_eq!(**template.execute(&data).unwrap(), *b"postgres://app:x@db");
//! ```
//!
//! ```text
//! template ─ lex: tokens ─ parse: nodes ─┐
//!                                        ├─ execute ─▶ bytes          functions: Go's own, sprig's, External Secrets'
//! Value ─ value: Work, Item ─────────────┘    └ format, float, quote: Go's fmt and strconv
//! ```
//!
//! Differences to Go 1.26, sprig 3.3 and External Secrets 2.9, each an error here and never another result:
//! - Limits ([`Limits`]): Go has none on size, work and memory.
//! - Functions that read the clock, the environment or the network or draw random numbers are refused by name
//!   ([`Refusal`]): with them a Secret would differ after each reconciliation.
//! - Functions of sprig and External Secrets that nobody was seen to use are refused by name, too ([`Refusal::NotImplemented`]).
//! - `fromYaml` of what is no map: upstream gives a map with the key `Error`.
//! - Complex numbers; `%p` of a list or map, which writes an address; `%#x` of a float.
//!
//! Source: observation of Go 1.26 and sprig 3.3.0; vectors made by both in `vectors`. Where Go has no order (`keys`, `values`), keys
//! are ordered by their bytes. Invariants: no error carries data; what
//! was made on the way is wiped; the result is whole or an error; the same template and data give the same bytes.

mod error;
mod execute;
mod float;
mod format;
mod functions;
mod lex;
mod node;
mod number;
mod options;
mod parse;
mod quote;
#[rustfmt::skip]
#[expect(clippy::unreadable_literal, reason = "code points are written without separators")]
mod tables;
mod unicode;
mod value;

use std::fmt;

use bulla_wipe::Wiping;

pub use crate::error::{Count, Limit, Reason, Refusal, Stage, TemplateError};
pub use crate::options::{Language, Limits, MissingKey, Options};
pub use crate::value::Value;

/// A template that was read.
pub struct Template {
    name: Vec<u8>,
    text: Wiping<Vec<u8>>,
    definitions: parse::Definitions,
    options: Options,
}

impl Template {
    /// Reads `text`, which is the template `name`: `{{template "name"}}` in it calls itself.
    ///
    /// # Errors
    /// [`TemplateError`] of [`Stage::Parse`], with the place.
    pub fn parse(name: &str, text: &[u8], options: Options) -> Result<Self, TemplateError> {
        if text.len() > options.limits.template {
            return Err(TemplateError::at(Stage::Parse, &[], 0, Limit::Template.into()));
        }
        let definitions = parse::parse(name.as_bytes(), text, &options)?;
        Ok(Self { name: name.as_bytes().to_vec(), text: Wiping::new(text.to_vec()), definitions, options })
    }

    /// What the template writes for `data`.
    ///
    /// # Errors
    /// [`TemplateError`] of [`Stage::Execute`], with the place. What was written until then is gone.
    pub fn execute(&self, data: &Value) -> Result<Wiping<Vec<u8>>, TemplateError> {
        let mut left = self.options.limits;
        self.execute_within(data, &mut left)
    }

    /// The same within `left` and not within the limits of the options, and takes from `left` what it wrote and did. So templates
    /// that belong together share what each may take by itself. Memory is free again afterwards.
    ///
    /// # Errors
    /// As [`Template::execute`]. What was done until then is taken from `left`, too.
    pub fn execute_within(&self, data: &Value, left: &mut Limits) -> Result<Wiping<Vec<u8>>, TemplateError> {
        execute::execute(&self.name, &self.text, &self.definitions, &self.options, left, data)
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The text may hold secrets that somebody wrote into it.
        f.debug_struct("Template").field("options", &self.options).finish_non_exhaustive()
    }
}
