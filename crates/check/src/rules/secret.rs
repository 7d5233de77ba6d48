//! KS001, KS002, KS004 and KS005 end here: the values of a Secret, wherever it stands. Each is secret whatever it looks like.

use bulla_api::sealed_secret::SEALING_KEY_LABEL;

use crate::context::Context;
use crate::name::promise;
use crate::object::title;
use crate::place::Place;
use crate::rule::Rule;
use crate::rules::keys;
use crate::text::Text;
use crate::value::{Class, class, class_of_base64, decode};

/// The two fields, and whether their values are base64.
const FIELDS: [(&str, bool); 2] = [("data", true), ("stringData", false)];

/// What Argo CD reads from the Secrets of a repository or cluster that is no secret.
const ARGO_CD: &[&str] = &[
    "type",
    "url",
    "name",
    "project",
    "server",
    "insecure",
    "enableLfs",
    "enableOCI",
    "forceHttpBasicAuth",
    "proxy",
    "noProxy",
    "namespaces",
    "clusterResources",
    "insecureIgnoreHostKey",
    "depth",
    "insecureOCIForceHttp",
    "useAzureWorkloadIdentity",
    "githubAppID",
    "githubAppInstallationID",
    "githubAppEnterpriseBaseUrl",
    "username",
];
const ARGO_CD_LABEL: &str = "argocd.argoproj.io/secret-type";

/// Looks at the values of `secret`.
pub(crate) fn check<'s>(cx: &mut Context<'_>, text: &Text<'s>, secret: &Place<'s>, rule: Rule) {
    match manifest_within(secret) {
        // One that says its own kind is met at its own place.
        Some(inner) if inner.text_of("kind").is_some() => values(cx, text, secret, &FIELDS[1..], rule),
        Some(inner) => values(cx, text, &inner, &FIELDS, rule),
        None => values(cx, text, secret, &FIELDS, rule),
    }
}

/// A policy that makes Secrets (`generate: {kind: Secret, data: {metadata: …, data: …}}`) has a manifest where a Secret has values.
fn manifest_within<'s>(secret: &Place<'s>) -> Option<Place<'s>> {
    let inner = secret.get("data")?;
    let holds = |key: &'static str| inner.get(key).is_some_and(|place| place.is_mapping());
    (holds("data") || holds("stringData") || holds("metadata")).then_some(inner)
}

fn values<'s>(cx: &mut Context<'_>, text: &Text<'s>, secret: &Place<'s>, fields: &[(&'static str, bool)], rule: Rule) {
    let labels = secret.get("metadata").and_then(|metadata| metadata.get("labels"));
    let has_label = |label: &str| labels.as_ref().is_some_and(|labels| labels.text_of(label).is_some());
    let (is_sealing_key, is_argo_cd) = (has_label(SEALING_KEY_LABEL), has_label(ARGO_CD_LABEL));
    for &(field, is_base64) in fields {
        let Some(values) = secret.get(field) else { continue };
        for (key, value) in values.fields() {
            if (is_argo_cd && ARGO_CD.contains(&key)) || is_left_plain(secret, key) {
                continue;
            }
            judge(cx, text, secret, &value, is_base64, is_sealing_key && key == "tls.key", rule);
        }
    }
}

/// Does an encrypted file leave this key readable by its suffix, and is it not the name of a credential?
fn is_left_plain(secret: &Place<'_>, key: &str) -> bool {
    let Some(entry) = secret.get("sops") else { return false };
    let suffix = entry.text_of("unencrypted_suffix").unwrap_or("_unencrypted");
    key.strip_suffix(suffix).is_some_and(|name| !suffix.is_empty() && promise(name).is_none())
}

fn judge<'s>(
    cx: &mut Context<'_>,
    text: &Text<'s>,
    secret: &Place<'s>,
    value: &Place<'s>,
    is_base64: bool,
    is_sealing_key: bool,
    rule: Rule,
) {
    if value.text().is_none() || !is_literal(text, value, is_base64) {
        return;
    }
    let title = title(secret);
    let key = value.key().unwrap_or_default();
    let raw = value.node.value();
    let decoded = if is_base64 { decode(raw) } else { None };
    let bytes = decoded.as_ref().map_or(raw.as_bytes(), |decoded| decoded.as_slice());
    if is_sealing_key {
        return cx.add(Rule::KS011, text, value, format!("{title}: the private key of Sealed Secrets"));
    }
    if let Some(found) = keys::find(bytes).into_iter().next() {
        return cx.add(Rule::KS011, text, value, format!("{title}: the value of `{key}` is {}", found.what));
    }
    let how = if text.is_templated(value.node) {
        "written out in the template"
    } else if decoded.is_some() {
        "in base64, which hides nothing"
    } else {
        "in plain text"
    };
    cx.add(rule, text, value, format!("{title}: the value of `{key}` is {how}"));
}

/// Is a value of a Secret written out here?
pub(crate) fn is_literal<'s>(text: &Text<'s>, value: &Place<'s>, is_base64: bool) -> bool {
    if let Some(template) = text.template {
        let span = value.node.content_span().range();
        if template.has_action(&span) {
            return template.literal(&span).is_some_and(|literal| class(&template.text[literal]) == Class::Literal);
        }
    }
    let value = value.node.value();
    let class = if is_base64 { class_of_base64(value) } else { class(value) };
    class == Class::Literal
}
