//! KS010: what somebody decrypted to look at, and left beside the encrypted file.

use bulla_yaml::Position;

use crate::context::Context;
use crate::rule::Rule;
use crate::rules::files::is_encrypted;

/// How an encrypted file says so in its name.
const MARKS: &[&str] = &["enc", "encrypted", "sops", "secret", "crypt"];
/// How a decrypted one does.
const DECRYPTED: &[&str] = &["dec", "decrypted", "plain", "plaintext", "cleartext", "unencrypted"];

/// Could `path` be a decrypted copy by its name: `x.dec`, `x.dec.yaml`, `x.yaml.decrypted`?
pub(crate) fn is_leftover_name(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.split('.').skip(1).any(|part| DECRYPTED.contains(&part.to_ascii_lowercase().as_str()))
}

/// Looks for the encrypted file that this one is a copy of.
pub(crate) fn check(cx: &mut Context<'_>, bytes: &[u8]) {
    if !is_leftover_name(cx.file) || is_encrypted(bytes) || bytes.trim_ascii().is_empty() {
        return;
    }
    let tree = cx.tree;
    let is_twin = |name: &String| tree.read(name).is_some_and(|bytes| is_encrypted(&bytes));
    if let Some(twin) = twins(cx.file).into_iter().find(is_twin) {
        let region = (Position { line: 1, column: 1 }, Position { line: 1, column: 1 });
        cx.add_at(Rule::KS010, region, format!("a decrypted copy of `{twin}`"));
    }
}

/// The names that the encrypted file may have.
fn twins(path: &str) -> Vec<String> {
    let (directory, name) = path.rsplit_once('/').map_or(("", path), |(directory, name)| (directory, name));
    let parts: Vec<&str> = name.split('.').collect();
    let rest: Vec<&str> = parts
        .iter()
        .enumerate()
        .filter(|(place, part)| *place == 0 || !DECRYPTED.contains(&part.to_ascii_lowercase().as_str()))
        .map(|(_, part)| *part)
        .collect();
    let whole = |name: &str| if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") };
    let mut twins = vec![whole(&rest.join("."))];
    for mark in MARKS {
        // Before the extension, or behind everything.
        let place = rest.len().saturating_sub(1).max(1);
        let mut before = rest.clone();
        before.insert(place, mark);
        twins.push(whole(&before.join(".")));
        twins.push(whole(&format!("{}.{mark}", rest.join("."))));
    }
    twins
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encrypted_file_is_looked_for_under_its_usual_names() {
        assert!(is_leftover_name("a/secrets.dec.yaml") && is_leftover_name("secrets.yaml.dec"));
        assert!(!is_leftover_name("dec.yaml") && !is_leftover_name("decrypted/x.yaml"));
        let names = twins("a/secrets.dec.yaml");
        for name in ["a/secrets.yaml", "a/secrets.enc.yaml", "a/secrets.sops.yaml", "a/secrets.yaml.enc"] {
            assert!(names.iter().any(|known| known == name), "{name}: {names:?}");
        }
    }
}
