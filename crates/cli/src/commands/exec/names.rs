//! What a value is called for a program: a template over its path.

use std::path::Path;
use std::str::FromStr;

use bulla_sops::PathStep;

use crate::error::CommandError;
use crate::exit::Exit;
use crate::files::Selected;

/// Text with places for the path of a value: `APP_{PATH}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Place { what: What, capitals: bool },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// All keys and indices, joined.
    Path,
    /// The last of them.
    Key,
    /// The name of the file, up to its first dot.
    File,
}

impl FromStr for Template {
    type Err = CommandError;

    fn from_str(text: &str) -> Result<Self, CommandError> {
        let wrong = |message: String| {
            CommandError::new(Exit::Usage, message)
                .hint("places are {path}, {key}, {file}, and {PATH}, {KEY}, {FILE} in capitals")
        };
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            parts.push(Part::Text(rest[..open].to_owned()));
            let inside = &rest[open + 1..];
            let close = inside.find('}').ok_or_else(|| wrong("a brace of the template is not closed".to_owned()))?;
            let name = &inside[..close];
            let what = match name.to_ascii_lowercase().as_str() {
                "path" => What::Path,
                "key" => What::Key,
                "file" => What::File,
                _ => return Err(wrong(format!("the template has no place `{{{name}}}`"))),
            };
            let capitals = name.bytes().all(|byte| byte.is_ascii_uppercase());
            if !capitals && !name.bytes().all(|byte| byte.is_ascii_lowercase()) {
                return Err(wrong(format!("the template has no place `{{{name}}}`")));
            }
            parts.push(Part::Place { what, capitals });
            rest = &inside[close + 1..];
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self(parts))
    }
}

impl Template {
    /// The name of a variable: letters, digits and `_`, not beginning with a digit.
    ///
    /// # Errors
    /// [`Exit::Usage`] if nothing is left of it.
    pub(crate) fn variable(&self, steps: &[PathStep], file: &Selected) -> Result<String, CommandError> {
        let mut name: String = self
            .fill(steps, file, "_")
            .chars()
            .map(|character| if character.is_ascii_alphanumeric() { character } else { '_' })
            .collect();
        if name.starts_with(|first: char| first.is_ascii_digit()) {
            name.insert(0, '_');
        }
        if name.is_empty() { Err(CommandError::new(Exit::Usage, "the value gets no name")) } else { Ok(name) }
    }

    /// The name of a file: as the keys are spelt, joined by dots.
    ///
    /// # Errors
    /// [`Exit::Usage`] if it is none, or would lie elsewhere.
    pub(crate) fn file(&self, steps: &[PathStep], file: &Selected) -> Result<String, CommandError> {
        let name = self.fill(steps, file, ".");
        if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) || name.len() > 255 {
            return Err(CommandError::new(Exit::Usage, "the value gets a name that no file can have")
                .hint("`--name` gives another, for example '{key}'"));
        }
        Ok(name)
    }

    fn fill(&self, steps: &[PathStep], file: &Selected, between: &str) -> String {
        let text = |step: &PathStep| match step {
            PathStep::Key(key) => key.clone(),
            PathStep::Index(index) => index.to_string(),
        };
        let mut name = String::new();
        for part in &self.0 {
            let (what, capitals) = match part {
                Part::Text(text) => {
                    name.push_str(text);
                    continue;
                }
                Part::Place { what, capitals } => (what, *capitals),
            };
            let filled = match what {
                What::Path => steps.iter().map(text).collect::<Vec<_>>().join(between),
                What::Key => steps.last().map(text).unwrap_or_default(),
                What::File => {
                    let file = file.origin.path().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
                    file.trim_start_matches('.').split('.').next().unwrap_or_default().to_owned()
                }
            };
            name.push_str(&if capitals { filled.to_uppercase() } else { filled });
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Origin;

    #[test]
    fn names_are_made_of_the_path() {
        let file = Selected { origin: Origin::File("x/shop-db.enc.yaml".into()), found: false };
        let steps = [PathStep::Key("db".into()), PathStep::Index(0), PathStep::Key("tls.key-ä".into())];
        for (template, variable, name) in [
            ("{path}", "db_0_tls_key__", "db.0.tls.key-ä"),
            ("APP_{PATH}", "APP_DB_0_TLS_KEY__", "APP_DB.0.TLS.KEY-Ä"),
            ("{KEY}", "TLS_KEY__", "TLS.KEY-Ä"),
            ("{file}_{key}", "shop_db_tls_key__", "shop-db_tls.key-ä"),
            ("1", "_1", "1"),
        ] {
            let template: Template = template.parse().unwrap();
            assert_eq!(template.variable(&steps, &file).unwrap(), variable);
            assert_eq!(template.file(&steps, &file).unwrap(), name);
        }
    }

    #[test]
    fn what_is_no_template_or_no_name_is_refused() {
        for text in ["{", "{x}", "{Path}", "{}"] {
            assert_eq!(text.parse::<Template>().unwrap_err().exit(), Exit::Usage, "{text}");
        }
        let file = Selected { origin: Origin::Stdin, found: false };
        let template: Template = "{key}".parse().unwrap();
        for key in ["", ".", "..", "../x", "a/b"] {
            assert!(template.file(&[PathStep::Key(key.into())], &file).is_err(), "{key}");
        }
    }
}
