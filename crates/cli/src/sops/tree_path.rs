//! Where a value is, as it is said on the command line of sops: `["db"]["hosts"][0]`.
//!
//! sops cuts the text at each `[`, so that a key cannot hold one, and takes whatever stands between the outer characters of a piece for
//! a key. Both are kept: a script may rely on the codes. Comments do not count as items of a list here (`docs/differences.md`).

use bulla_sops::{KeyPath, PathStep};

/// The path that `text` spells; without steps for an empty one.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read(text: &str) -> Result<KeyPath, String> {
    let mut steps = Vec::new();
    for component in text.split('[').filter(|component| !component.is_empty()) {
        let inside = component.strip_suffix(']').ok_or_else(|| format!("component {component} doesn't end with ]"))?;
        let quote = inside.chars().next();
        if let Some(quote @ ('"' | '\'')) = quote {
            let key = inside.strip_prefix(quote).and_then(|inside| {
                let last = inside.chars().next_back()?;
                inside.strip_suffix(last)
            });
            let key = key.ok_or_else(|| format!("component {component} has no closing quote"))?;
            steps.push(PathStep::Key(key.to_owned()));
        } else {
            let index = inside
                .parse::<i64>()
                .map_err(|_| format!("strconv.Atoi: parsing {}: invalid syntax", super::go::quoted(inside)))?;
            let index = usize::try_from(index).map_err(|_| format!("index {index} is below 0"))?;
            steps.push(PathStep::Index(index));
        }
    }
    Ok(KeyPath { branch: 0, steps })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cut_as_sops_cuts_them() {
        for (text, expected) in [
            ("", "the top"),
            (r#"["a"]['b'][3]"#, r#"["a"]["b"][3]"#),
            (r#""a"]"#, r#"["a"]"#),
            (r#"["a'][+1]"#, r#"["a"][1]"#),
        ] {
            assert_eq!(read(text).unwrap().to_string(), expected, "{text}");
        }
        for (text, expected) in [
            (r#"["a""#, r#"component "a" doesn't end with ]"#),
            (r#"["a[0]"]"#, r#"component "a doesn't end with ]"#),
            ("[x]", r#"strconv.Atoi: parsing "x": invalid syntax"#),
            ("[]", r#"strconv.Atoi: parsing "": invalid syntax"#),
            ("[\"]", "component \"] has no closing quote"),
            ("[-1]", "index -1 is below 0"),
        ] {
            assert_eq!(read(text).unwrap_err(), expected, "{text}");
        }
    }
}
