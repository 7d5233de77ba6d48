//! KS004: patches that set a value of a Secret, in the forms that kustomize, Flux and Argo CD take.
//!
//! ```text
//! patches: [{ target: {kind: Secret}, patch: TEXT }]   TEXT: a strategic merge patch, or a list of JSON 6902 operations
//! patchesStrategicMerge: [TEXT]   patchesJson6902: [{ target, patch }]   replacements: [{ source, targets }]
//! [{"op": "replace", "path": "/stringData/…", "value": …}]   a file of its own: only Secrets have `stringData`
//! ```

use bulla_yaml::Kind;

use crate::context::{Context, inside};
use crate::object::{is_secret, objects};
use crate::place::{Place, Step};
use crate::rule::Rule;
use crate::rules::secret;
use crate::text::Text;

/// Looks for patches anywhere below `top`.
pub(crate) fn check<'s>(cx: &mut Context<'_>, text: &Text<'s>, top: &Place<'s>) {
    if top.node.kind() == Kind::Sequence {
        operations(cx, text, top, false);
    }
    let mut patches = Vec::new();
    let mut replacements = Vec::new();
    top.walk(|place| match place.node.kind() {
        Kind::Mapping => {
            if let Some(patch) = place.get("patch") {
                let target = place.get("target").and_then(|target| target.text_of("kind"));
                patches.push((patch, target == Some("Secret")));
            }
        }
        Kind::Sequence if place.steps.last() == Some(&Step::Key("patchesStrategicMerge")) => {
            patches.extend(place.items().into_iter().map(|patch| (patch, false)));
        }
        Kind::Sequence if place.steps.last() == Some(&Step::Key("replacements")) => replacements.push(place.clone()),
        _ => {}
    });
    for (patch, is_of_secret) in patches {
        if patch.node.kind() == Kind::Scalar {
            inside(text, &patch, &mut |inner, tops| {
                for top in tops {
                    content(cx, inner, top, is_of_secret);
                }
            });
        } else {
            content(cx, text, &patch, is_of_secret);
        }
    }
    for list in replacements {
        for replacement in list.items() {
            replace(cx, text, &replacement);
        }
    }
}

/// What a patch says.
fn content<'s>(cx: &mut Context<'_>, text: &Text<'s>, top: &Place<'s>, is_of_secret: bool) {
    if top.node.kind() == Kind::Sequence {
        return operations(cx, text, top, is_of_secret);
    }
    for object in objects(top) {
        if is_of_secret || is_secret(&object) {
            secret::check(cx, text, &object, Rule::KS004);
        }
    }
}

/// JSON 6902. Without a target, only what Secrets alone have is surely theirs.
fn operations<'s>(cx: &mut Context<'_>, text: &Text<'s>, list: &Place<'s>, is_of_secret: bool) {
    for operation in list.items() {
        let (Some(kind), Some(path)) = (operation.text_of("op"), operation.text_of("path")) else { continue };
        let Some(value) = operation.get("value") else { continue };
        if !matches!(kind, "add" | "replace") {
            continue;
        }
        let (field, key) = path.trim_start_matches('/').split_once('/').unwrap_or((path.trim_start_matches('/'), ""));
        let is_base64 = match field {
            "stringData" => false,
            "data" if is_of_secret => true,
            _ => continue,
        };
        let values = if value.is_mapping() && key.is_empty() { value.fields() } else { vec![(key, value)] };
        for (key, value) in values {
            if value.text().is_some() && secret::is_literal(text, &value, is_base64) {
                cx.add(Rule::KS004, text, &value, format!("patch of a Secret: the value of `{key}` is readable"));
            }
        }
    }
}

/// `replacements` of kustomize: a value, or that of a ConfigMap, goes into a Secret.
fn replace<'s>(cx: &mut Context<'_>, text: &Text<'s>, replacement: &Place<'s>) {
    let targets = replacement.get("targets").map(|targets| targets.items()).unwrap_or_default();
    let is_value = |target: &Place<'s>| {
        let fields = target.get("fieldPaths").map(|paths| paths.items()).unwrap_or_default();
        target.get("select").is_some_and(|select| select.text_of("kind") == Some("Secret"))
            && fields
                .iter()
                .filter_map(Place::text)
                .any(|path| path.starts_with("data.") || path.starts_with("stringData."))
    };
    if !targets.iter().any(is_value) {
        return;
    }
    if let Some(value) = replacement.get("sourceValue") {
        if secret::is_literal(text, &value, true) {
            cx.add(Rule::KS004, text, &value, "replacement: a readable value goes into a Secret".to_owned());
        }
    } else if let Some(source) = replacement.get("source")
        && source.text_of("kind") == Some("ConfigMap")
        && let Some(kind) = source.get("kind")
    {
        cx.add(Rule::KS004, text, &kind, "replacement: a value of a ConfigMap goes into a Secret".to_owned());
    }
}
