//! Rules over the files of a repository: which values are secrets by their place, and whether they are encrypted.
//!
//! ```text
//! path, bytes ─┬─ keys, files, leftover          any file: by its name and its bytes
//!              └─ documents ─ objects ─┬─ secret, embedded, kustomize, patch      in Secrets everything is secret
//!                 (Helm: template)     ├─ helm, credentials                       elsewhere, by the name of the key
//!                                      ├─ sealed, encrypted                       is it encrypted, and whole?
//!                                      └─▶ Report: findings, each with its rule ─▶ output: text, JSON, SARIF, annotations
//! ```
//! A value's place decides, not its looks: whatever stands under `data` of a Secret is a secret, `hunter2` and `1234` too, and
//! what is called `secretName` elsewhere is a name. A text matcher cannot tell the two apart.
//!
//! Bytes, a path and a configuration go in, findings come out; the files beside it are asked of a [`Tree`].
//! Invariants: no finding, error or output holds a value or its digest; no recursion on the input's nesting; time is linear in the
//! size of the file but for texts in texts, which are looked at three deep.

mod context;
mod credentials;
mod finding;
mod lines;
mod name;
mod object;
pub mod output;
mod place;
mod read;
mod rule;
mod rules;
mod template;
mod text;
mod value;

use std::collections::BTreeMap;

use bulla_wipe::Wiping;

pub use finding::{Finding, Report, Unread};
pub use rule::{Rule, Severity, UnknownRule};

pub(crate) use read::read;

/// The other files of the repository, as far as a rule has to look at them.
pub trait Tree {
    /// The content of the file at `path`: from the root, with `/` and without `.` and `..`. `None` if there is none, or Git
    /// ignores it.
    fn read(&self, path: &str) -> Option<Wiping<Vec<u8>>>;
}

/// No other files.
#[derive(Debug, Clone, Copy, Default)]
pub struct Alone;

impl Tree for Alone {
    fn read(&self, _: &str) -> Option<Wiping<Vec<u8>>> {
        None
    }
}

/// Files in memory.
impl Tree for BTreeMap<String, Vec<u8>> {
    fn read(&self, path: &str) -> Option<Wiping<Vec<u8>>> {
        self.get(path).cloned().map(Wiping::new)
    }
}

/// What to look for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Configuration {
    /// Rules that are left out.
    pub disabled: Vec<Rule>,
}

/// Is `text` filled in by something else (`${NAME}`, `<path:…>`), or meant to be replaced by a person? `is_base64` for `data` of a Secret.
pub fn is_placeholder(text: &str, is_base64: bool) -> bool {
    let class = if is_base64 { value::class_of_base64(text) } else { value::class(text) };
    class == value::Class::Placeholder
}

/// Looks at a file. `path` is from the root of the repository, with `/`: names count for some rules.
pub fn check(path: &str, bytes: &[u8], tree: &dyn Tree, configuration: &Configuration) -> Report {
    let mut cx = context::Context::new(path, tree, configuration);
    rules::keys::check(&mut cx, bytes);
    rules::files::check(&mut cx, bytes);
    rules::leftover::check(&mut cx, bytes);
    let mut unread = None;
    if read::is_document(path) {
        if read::may_hold_something(path, bytes) {
            unread = read::documents(&mut cx, bytes);
        }
    } else if memchr::memmem::find(bytes, b"sops_").is_some() {
        rules::encrypted::check_dotenv(&mut cx, bytes);
    }
    Report { findings: cx.finish(), unread }
}
