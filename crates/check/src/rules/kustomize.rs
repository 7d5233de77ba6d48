//! KS003: what kustomize makes Secrets of: literals, and files that anybody can read.

use crate::context::Context;
use crate::object::is;
use crate::place::Place;
use crate::rule::Rule;
use crate::rules::files::{assignments, is_encrypted};
use crate::text::Text;
use crate::value::{Class, class};

/// Is a file of this name a kustomization?
pub(crate) fn is_kustomization(path: &str) -> bool {
    matches!(path.rsplit('/').next(), Some("kustomization.yaml" | "kustomization.yml" | "Kustomization"))
}

/// Looks at the generators of a kustomization, or at a generator that is an object.
pub(crate) fn check<'s>(cx: &mut Context<'_>, text: &Text<'s>, object: &Place<'s>) {
    const VERSIONS: &[&str] = &["kustomize.config.k8s.io/", "builtin"];
    let is_generator = is(object, "SecretGenerator", VERSIONS);
    let is_kustomization = is(object, "Kustomization", VERSIONS)
        || is(object, "Component", VERSIONS)
        || (is_kustomization(cx.file) && object.text_of("kind").is_none());
    let generators = object.get("secretGenerator").map(|list| list.items()).unwrap_or_default();
    let generators = if is_generator { vec![object.clone()] } else { generators };
    if !is_generator && !is_kustomization {
        return;
    }
    for generator in generators {
        let name = generator.text_of("name").unwrap_or_default();
        let list = |key: &'static str| generator.get(key).map(|list| list.items()).unwrap_or_default();
        for literal in list("literals") {
            let Some((key, value)) = literal.text().and_then(|text| text.split_once('=')) else { continue };
            if class(value.trim_matches(['"', '\''])) == Class::Literal {
                let message = format!("secretGenerator `{name}`: the literal `{key}` is in plain text");
                cx.add(Rule::KS003, text, &literal, message);
            }
        }
        for entry in list("envs").into_iter().chain(generator.get("env")) {
            let is_plain = |bytes: &[u8]| assignments(bytes).any(|line| class(line.value) == Class::Literal);
            file(cx, text, &entry, name, &is_plain);
        }
        for entry in list("files") {
            let is_plain = |bytes: &[u8]| {
                std::str::from_utf8(bytes).map_or(!bytes.is_empty(), |text| class(text) == Class::Literal)
            };
            file(cx, text, &entry, name, &is_plain);
        }
    }
}

/// A file that a generator reads, `[KEY=]PATH`. One that is not in the tree is made before kustomize runs.
fn file<'s>(cx: &mut Context<'_>, text: &Text<'s>, entry: &Place<'s>, name: &str, is_plain: &dyn Fn(&[u8]) -> bool) {
    let Some(value) = entry.text() else { return };
    let path = value.split_once('=').map_or(value, |(_, path)| path);
    let Some(path) = beside(cx.file, path) else { return };
    let Some(bytes) = cx.tree.read(&path) else { return };
    if !is_encrypted(&bytes) && is_plain(&bytes) {
        let message = format!("secretGenerator `{name}`: the file `{path}` is in plain text");
        cx.add(Rule::KS003, text, entry, message);
    }
}

/// `path` from the directory of `file`; `None` if it leads out of the tree.
pub(crate) fn beside(file: &str, path: &str) -> Option<String> {
    if path.starts_with('/') || path.contains("://") {
        return None;
    }
    let mut parts: Vec<&str> = file.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_tree() {
        assert_eq!(beside("a/b/kustomization.yaml", "../x.env").as_deref(), Some("a/x.env"));
        assert_eq!(beside("kustomization.yaml", "./x.env").as_deref(), Some("x.env"));
        assert_eq!(beside("kustomization.yaml", "../x.env"), None);
        assert_eq!(beside("kustomization.yaml", "/etc/x"), None);
    }
}
