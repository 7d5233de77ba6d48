//! New documents, printed as SOPS prints them.
//!
//! ```text
//! trees ─ write ─┬─ YAML    go-yaml's layout, each level indented by 4
//!                ├─ JSON    encoding/json's spelling, each level indented by a tab; no comments
//!                ├─ dotenv  KEY=value, line breaks as `\n`
//!                ├─ INI     sections with aligned keys, an empty line between them
//!                └─ binary  the text `data`
//! ```
//! Each format but YAML has room for one document, and the last three for texts only: whatever would be lost is an error with its place.
//! Comments are the exception: where the target has no room for them they go, as they do with SOPS.
//!
//! Source: sops 3.13.3 `stores/*/store.go`, `stores/stores.go`; Go 1.26 `encoding/json`, `strconv`; `gopkg.in/ini.v1` 1.67.3 `file.go`.

mod json;
mod lines;
mod yaml;

use std::fmt;

use bulla_wipe::Wiping;

use crate::Format;
use crate::owned::{Item, Scalar, Tree};
use crate::tree::BINARY_KEY;

/// How deep a tree may be that is printed anew.
pub const DEPTH_LIMIT: usize = 1_000;

/// How far levels are indented, where a configuration says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// Spaces of a level of YAML; 4 if nothing is said, and 2 for what is not from 2 to 9.
    pub yaml: Option<usize>,
    /// Spaces of a level of JSON; a tab if nothing is said.
    pub json: Option<usize>,
    /// The same for the JSON that a binary file is wrapped in.
    pub json_binary: Option<usize>,
}

/// Why a tree cannot be printed in a format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot write {place} as {format}: {reason}")]
#[non_exhaustive]
pub struct WriteError {
    /// What it would be written as.
    pub format: Format,
    /// Where it is: `["a"][0]`, or `the file`.
    pub place: Path,
    /// What is in the way.
    pub reason: Unwritable,
}

/// What a format has no room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unwritable {
    /// Several documents.
    #[error("it has several documents, and there is room for one")]
    Documents,
    /// A container where a text must be.
    #[error("it is no single value, and there is room for texts only")]
    Container,
    /// A value where a section must be.
    #[error("it is no mapping, and there must be one at the top for each section")]
    NoSection,
    /// A key that the format cannot spell.
    #[error("its key cannot be spelt there so that it is read back")]
    Key,
    /// A text that the format cannot spell.
    #[error("there is no way to quote it so that it is read back")]
    Text,
    /// Bytes that are no text.
    #[error("it is not UTF-8 text, and would be damaged; a binary file or YAML can hold it")]
    Bytes,
    /// A number that the format has no spelling for.
    #[error("infinity and what is not a number have no spelling there")]
    Number,
    /// No text `data`.
    #[error("there is no text `data` at the top, which is all that a binary file holds")]
    NoData,
    /// Too deep.
    #[error("it nests deeper than 1,000 levels")]
    Depth,
    /// By itself this cannot be printed.
    #[error("by itself only a text can be printed")]
    NotAlone,
}

/// The way to a value of a tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Key(String),
    Index(usize),
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("the file");
        }
        f.write_str("`")?;
        for part in &self.0 {
            match part {
                Part::Key(key) => write!(f, "[\"{}\"]", key.escape_debug())?,
                Part::Index(index) => write!(f, "[{index}]")?,
            }
        }
        f.write_str("`")
    }
}

/// The file that SOPS prints for `branches`, each a document.
///
/// # Errors
/// [`WriteError`] for what the format has no room for.
pub fn emit(branches: &[Tree], format: Format, layout: &Layout) -> Result<Wiping<Vec<u8>>, WriteError> {
    let mut check = Check { format, path: Path::default() };
    if branches.len() != 1 && format != Format::Yaml {
        return check.refuse(Unwritable::Documents);
    }
    for branch in branches {
        check.document(branch)?;
    }
    let first = branches.first();
    Ok(match format {
        Format::Yaml => yaml::documents(branches, layout.yaml),
        Format::Json => first.map(|branch| json::document(branch, layout.json)).unwrap_or_default(),
        Format::Dotenv => first.map(lines::dotenv).unwrap_or_default(),
        Format::Ini => first.map(lines::ini).unwrap_or_default(),
        Format::Binary => first.and_then(data).unwrap_or_default(),
    })
}

/// What `--extract` prints of `value`: of a text its bytes, of a mapping a file, of anything else its spelling.
///
/// # Errors
/// [`WriteError`] for what the format has no room for.
pub fn emit_value(value: &Tree, format: Format, layout: &Layout) -> Result<Wiping<Vec<u8>>, WriteError> {
    let mut check = Check { format, path: Path::default() };
    match value {
        Tree::Scalar(Scalar::String(bytes)) => return Ok(Wiping::new(bytes.to_vec())),
        Tree::Mapping(_) => return emit(std::slice::from_ref(value), format, layout),
        Tree::Sequence(_) | Tree::Scalar(_) => {}
    }
    match format {
        Format::Dotenv | Format::Binary => check.refuse(Unwritable::NotAlone),
        Format::Yaml => {
            check.nested(value, 0)?;
            Ok(yaml::value(value))
        }
        Format::Json => {
            check.nested(value, 0)?;
            Ok(json::value(value, layout.json))
        }
        Format::Ini => {
            check.format = Format::Json;
            check.nested(value, 0)?;
            Ok(json::compact(value))
        }
    }
}

/// New documents of YAML or JSON, laid out as SOPS lays them out, whatever is in them.
///
/// `indent` is the number of spaces of a level: from 2 to 9 for YAML, where SOPS' own 4 is the default; any for JSON,
/// where a tab is the default, and for which anything but YAML stands here. JSON has room for one branch and for no comments; further
/// branches are left out.
pub fn write(branches: &[Tree], format: Format, indent: Option<usize>) -> Wiping<Vec<u8>> {
    match format {
        Format::Yaml => yaml::documents(branches, indent),
        _ => branches.first().map(|branch| json::document(branch, indent)).unwrap_or_default(),
    }
}

fn data(branch: &Tree) -> Option<Wiping<Vec<u8>>> {
    let Tree::Mapping(items) = branch else { return None };
    items.iter().find_map(|item| match item {
        Item::Entry { key, value: Tree::Scalar(Scalar::String(bytes)) } if key == BINARY_KEY => {
            Some(Wiping::new(bytes.to_vec()))
        }
        _ => None,
    })
}

/// Looks for what a format has no room for.
struct Check {
    format: Format,
    path: Path,
}

impl Check {
    fn refuse<T>(&self, reason: Unwritable) -> Result<T, WriteError> {
        Err(WriteError { format: self.format, place: self.path.clone(), reason })
    }

    fn document(&mut self, branch: &Tree) -> Result<(), WriteError> {
        match self.format {
            Format::Yaml | Format::Json => self.nested(branch, 0),
            Format::Binary if data(branch).is_some() => Ok(()),
            Format::Binary => self.refuse(Unwritable::NoData),
            Format::Dotenv => self.entries(branch, |check, key, value| check.line(key, value)),
            Format::Ini => self.entries(branch, |check, key, value| {
                if !crate::spell::flat::is_ini_section(key) {
                    return check.refuse(Unwritable::Key);
                }
                check.entries(value, |check, key, value| check.line(key, value))
            }),
        }
    }

    fn entries(
        &mut self,
        mapping: &Tree,
        look: impl Fn(&mut Self, &str, &Tree) -> Result<(), WriteError>,
    ) -> Result<(), WriteError> {
        let Tree::Mapping(items) = mapping else { return self.refuse(Unwritable::NoSection) };
        for item in items {
            if let Item::Entry { key, value } = item {
                self.path.0.push(Part::Key(key.clone()));
                look(self, key, value)?;
                self.path.0.pop();
            }
        }
        Ok(())
    }

    /// A text under a key.
    fn line(&self, key: &str, value: &Tree) -> Result<(), WriteError> {
        use crate::spell::flat;
        let Tree::Scalar(scalar) = value else { return self.refuse(Unwritable::Container) };
        let value = scalar.as_value();
        if matches!(scalar, Scalar::String(bytes) if str::from_utf8(bytes).is_err()) {
            return self.refuse(Unwritable::Bytes);
        }
        let ini = self.format == Format::Ini;
        if !(if ini { flat::is_ini_key(key) } else { flat::is_dotenv_key(key) }) {
            return self.refuse(Unwritable::Key);
        }
        if ini && !flat::is_ini_value(&flat::text_of(&value)) {
            return self.refuse(Unwritable::Text);
        }
        Ok(())
    }

    /// Anything in YAML or JSON; no deeper than [`DEPTH_LIMIT`].
    fn nested(&mut self, tree: &Tree, depth: usize) -> Result<(), WriteError> {
        if depth > DEPTH_LIMIT {
            return self.refuse(Unwritable::Depth);
        }
        let items = match tree {
            Tree::Mapping(items) | Tree::Sequence(items) => items,
            Tree::Scalar(Scalar::Float(number)) if self.format == Format::Json && !number.is_finite() => {
                return self.refuse(Unwritable::Number);
            }
            Tree::Scalar(Scalar::String(bytes)) if self.format == Format::Json && str::from_utf8(bytes).is_err() => {
                return self.refuse(Unwritable::Bytes);
            }
            Tree::Scalar(_) => return Ok(()),
        };
        let mut index = 0;
        for item in items {
            let (part, value) = match item {
                Item::Comment { .. } => continue,
                Item::Entry { key, value } => (Part::Key(key.clone()), value),
                Item::Element(value) => (Part::Index(index), value),
            };
            index += 1;
            self.path.0.push(part);
            self.nested(value, depth + 1)?;
            self.path.0.pop();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
