//! Credentials where most values are none: by the name of the key and the looks of the value.

use bulla_yaml::{Kind, Resolved};

use crate::context::{Context, inside};
use crate::name::{holds_names, promise};
use crate::place::{Place, Step};
use crate::rule::Rule;
use crate::rules::sealed::is_sealed;
use crate::text::Text;
use crate::value::{keeps, shape};

/// Looks for credentials below `top`, in texts within values, too. `owner` says for a message whose values these are.
pub(crate) fn scan<'s>(cx: &mut Context<'_>, text: &Text<'s>, top: &Place<'s>, rule: Rule, owner: &str) {
    let mut texts = Vec::new();
    top.walk(|place| {
        if place.steps.len() == 1 && place.steps[0] == Step::Key("sops") {
            return;
        }
        match place.node.kind() {
            // A parameter: its name is the key.
            Kind::Mapping => {
                if let (Some(name), Some(value)) = (place.text_of("name"), place.get("value")) {
                    judge(cx, text, &value, Some(name), rule, owner);
                }
            }
            Kind::Scalar => {
                if is_below_metadata(top, place) {
                    return;
                }
                let key = match place.steps.last() {
                    Some(Step::Key(key)) => Some(*key),
                    _ => None,
                };
                let value = place.node.value();
                if value.contains('\n') && !value.starts_with("-----BEGIN") {
                    texts.push(place.clone());
                } else {
                    judge(cx, text, place, key, rule, owner);
                }
            }
            _ => {}
        }
    });
    for place in texts {
        scan_text(cx, text, &place, rule, owner);
    }
}

/// Is it in the `sops` entry of an encrypted file?
fn is_below_metadata(top: &Place<'_>, place: &Place<'_>) -> bool {
    top.steps.is_empty() && place.steps.first() == Some(&Step::Key("sops"))
}

/// Is this one value a credential?
pub(crate) fn judge<'s>(
    cx: &mut Context<'_>,
    text: &Text<'s>,
    place: &Place<'s>,
    key: Option<&str>,
    rule: Rule,
    owner: &str,
) {
    let Some(value) = place.text() else { return };
    if text.is_templated(place.node) || matches!(place.node.resolved(), Resolved::Bool(_)) {
        return;
    }
    let above = place.steps.len().checked_sub(2).map(|index| place.steps[index]);
    let are_names = matches!(above, Some(Step::Key(key)) if holds_names(key));
    let by_name = key.filter(|_| !are_names).and_then(|key| promise(key).map(|promise| (key, promise)));
    if let Some(what) = shape(value) {
        return cx.add(rule, text, place, format!("{owner}: {what} in plain text"));
    }
    if let Some((key, promise)) = by_name
        && keeps(promise, value)
        && !value.trim().eq_ignore_ascii_case(key)
        && !is_sealed(value)
    {
        cx.add(rule, text, place, format!("{owner}: the value of `{key}` is a credential in plain text"));
    }
}

/// A text of several lines: YAML, or lines `NAME=VALUE`, or a private key.
fn scan_text<'s>(cx: &mut Context<'_>, text: &Text<'s>, place: &Place<'s>, rule: Rule, owner: &str) {
    if let Some(what) = shape(place.node.value()) {
        return cx.add(rule, text, place, format!("{owner}: {what} in plain text"));
    }
    let mut is_yaml = false;
    inside(text, place, &mut |inner, tops| {
        for top in tops.iter().filter(|top| top.is_mapping()) {
            is_yaml = true;
            scan(cx, inner, top, rule, owner);
        }
    });
    let key_of = |line: &str| {
        let (name, value) = line.trim().split_once('=')?;
        let name = name.trim().trim_start_matches("export ");
        // A line of a program or a template has an equals sign, too.
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte)) {
            return None;
        }
        let value = value.trim().trim_matches(['"', '\'']);
        promise(name).filter(|promise| keeps(*promise, value)).map(|_| name.to_owned())
    };
    if !is_yaml && let Some(name) = place.node.value().lines().find_map(key_of) {
        cx.add(rule, text, place, format!("{owner}: the value of `{name}` is a credential in plain text"));
    }
}
