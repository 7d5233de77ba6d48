//! Kubernetes objects among the documents.

use bulla_yaml::Kind;

use crate::place::Place;

/// The objects of a document: itself, or the items of a list. Of a JSON array, its items.
pub(crate) fn objects<'s>(top: &Place<'s>) -> Vec<Place<'s>> {
    if top.node.kind() == Kind::Sequence {
        return top.items().into_iter().filter(Place::is_mapping).collect();
    }
    let is_list = top.text_of("kind").is_some_and(|kind| kind.ends_with("List"));
    match top.get("items") {
        Some(items) if is_list && items.node.kind() == Kind::Sequence => {
            let mut objects = vec![top.clone()];
            for item in items.items().into_iter().filter(Place::is_mapping) {
                // A list in a list is one more level, and no more.
                let inner = item.text_of("kind").filter(|kind| kind.ends_with("List")).and_then(|_| item.get("items"));
                objects.extend(inner.into_iter().flat_map(|items| items.items()).filter(Place::is_mapping));
                objects.push(item);
            }
            objects
        }
        _ => vec![top.clone()],
    }
}

/// Is it of this kind, and its group that of one of `versions` (`argoproj.io/`, `v1`)?
pub(crate) fn is(object: &Place<'_>, kind: &str, versions: &[&str]) -> bool {
    object.text_of("kind") == Some(kind)
        && object.text_of("apiVersion").is_none_or(|version| {
            versions.iter().any(|known| match known.strip_suffix('/') {
                Some(group) => version.strip_prefix(group).is_some_and(|rest| rest.starts_with('/')),
                None => version == *known,
            })
        })
}

/// Is it a Secret of Kubernetes? One without `apiVersion`, a patch, is.
pub(crate) fn is_secret(object: &Place<'_>) -> bool {
    let of_template = |version: &str| version.bytes().all(|byte| byte == b'H') || version.contains("{{");
    object.text_of("kind") == Some("Secret")
        && object.text_of("apiVersion").is_none_or(|version| version == "v1" || of_template(version))
}

/// Kind and name for a message.
pub(crate) fn title(object: &Place<'_>) -> String {
    let kind = object.text_of("kind").unwrap_or("object");
    let name = object.get("metadata").and_then(|metadata| metadata.text_of("name"));
    match name {
        Some(name) if name.len() <= 253 && !name.is_empty() && !name.bytes().all(|byte| byte == b'H') => {
            format!("{kind} `{name}`")
        }
        _ => kind.to_owned(),
    }
}
