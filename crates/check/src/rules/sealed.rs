//! KC202: plain values in SealedSecrets: in the template, its metadata, or where ciphertext belongs.

use bulla_api::sealed_secret::KIND;

use crate::context::Context;
use crate::credentials;
use crate::object::{is, title};
use crate::place::Place;
use crate::rule::Rule;
use crate::text::Text;
use crate::value::{Class, class, decode};

/// Looks at a SealedSecret.
pub(crate) fn check<'s>(cx: &mut Context<'_>, text: &Text<'s>, object: &Place<'s>) {
    if !is(object, KIND, &["bitnami.com/"]) {
        return;
    }
    let owner = title(object);
    let Some(spec) = object.get("spec") else { return };
    let items = spec.get("encryptedData").map(|data| data.fields()).unwrap_or_default();
    for (key, item) in items {
        let Some(value) = item.text() else { continue };
        if class(value) == Class::Literal && !text.is_templated(item.node) && !is_sealed(value) {
            cx.add(Rule::KC202, text, &item, format!("{owner}: the value of `{key}` in `encryptedData` is not sealed"));
        }
    }
    if let Some(template) = spec.get("template") {
        for field in ["data", "stringData"] {
            if let Some(values) = template.get(field) {
                credentials::scan(cx, text, &values, Rule::KC202, &owner);
            }
        }
        metadata(cx, text, &template, &owner);
    }
    metadata(cx, text, object, &owner);
}

fn metadata<'s>(cx: &mut Context<'_>, text: &Text<'s>, object: &Place<'s>, owner: &str) {
    for field in ["annotations", "labels"] {
        if let Some(entries) = object.get("metadata").and_then(|metadata| metadata.get(field)) {
            credentials::scan(cx, text, &entries, Rule::KC202, owner);
        }
    }
}

/// Has it the form of a sealed value: two bytes with the length of the RSA part, that part, and at least a tag behind it?
pub(crate) fn is_sealed(value: &str) -> bool {
    // Line breaks do not count; a folded value has spaces for them.
    let joined: String = value.split_whitespace().collect();
    let Some(bytes) = decode(&joined) else { return false };
    let Some((length, rest)) = bytes.split_first_chunk::<2>() else { return false };
    let length = usize::from(u16::from_be_bytes(*length));
    length >= 128 && rest.len() >= length + 16
}
