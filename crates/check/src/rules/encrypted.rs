//! KE101, KE103, KE104: files of SOPS that are not what they say. No key is needed.

use std::error::Error;

use bulla_doc::Format;
use bulla_sops::{KeyPath, METADATA_KEY, StatusError, status};
use bulla_yaml::Kind;

use crate::context::Context;
use crate::finding::Finding;
use crate::lines::Lines;
use crate::place::{Place, Step};
use crate::rule::Rule;
use crate::rules::files::assignments;
use crate::text::Text;
use crate::value::{ENCRYPTED, encrypted_fault};

/// Which documents of a stream SOPS wrote.
pub(crate) fn encrypted_documents(tops: &[Place<'_>]) -> Vec<bool> {
    tops.iter().map(|top| top.get(METADATA_KEY).is_some_and(|entry| is_metadata(&entry))).collect()
}

/// Is this entry `sops` one of SOPS? Charts have values of that name, and a version below it, too.
fn is_metadata(entry: &Place<'_>) -> bool {
    const KEYS: &[&str] = &["age", "pgp", "kms", "gcp_kms", "azure_kv", "hc_vault", "hckms", "key_groups"];
    let has = |key: &&str| entry.fields().iter().any(|(name, _)| name == key);
    ["mac", "lastmodified"].iter().any(has) || (has(&"version") && KEYS.iter().any(has))
}

/// Looks at a stream. Gives the numbers of its plain documents beside encrypted ones, about which all is said.
pub(crate) fn check<'s>(
    cx: &mut Context<'_>,
    text: &Text<'s>,
    tops: &[Place<'s>],
    bytes: &[u8],
    format: Format,
) -> Vec<usize> {
    let encrypted = encrypted_documents(tops);
    if !encrypted.contains(&true) {
        without_metadata(cx, text, tops);
        return Vec::new();
    }
    let mut plain = Vec::new();
    for (top, _) in tops.iter().zip(&encrypted).filter(|(_, encrypted)| !**encrypted) {
        let Some((_, first)) = top.fields().into_iter().next() else { continue };
        plain.push(top.branch);
        let (start, _) = text.region_of(top.node.content_span().range());
        let end = text.region(first.node).1;
        let message =
            "a document without a `sops` entry in an encrypted file: SOPS neither reads nor encrypts it".to_owned();
        let path = Some(text.path(top));
        cx.push(Finding { rule: Rule::KE103, file: cx.file.to_owned(), start, end: end.max(start), path, message });
    }
    values(cx, text, tops, &encrypted);
    // What SOPS would say of a stream with a plain document is about that document.
    if plain.is_empty() {
        coverage(cx, text, tops, bytes, format);
    }
    plain
}

/// Encrypted values that no key opens.
fn without_metadata<'s>(cx: &mut Context<'_>, text: &Text<'s>, tops: &[Place<'s>]) {
    for top in tops {
        let mut first = None;
        top.walk(|place| {
            let is_one = first.is_none()
                && place.node.kind() == Kind::Scalar
                && place.node.value().starts_with("ENC[AES256_GCM,data:")
                && encrypted_fault(place.node.value()).is_none();
            if is_one {
                first = Some(place.clone());
            }
        });
        if let Some(place) = first {
            let message = "an encrypted value in a document without a `sops` entry: nobody can open it".to_owned();
            return cx.add(Rule::KE104, text, &place, message);
        }
    }
}

/// The form of every encrypted value.
fn values<'s>(cx: &mut Context<'_>, text: &Text<'s>, tops: &[Place<'s>], encrypted: &[bool]) {
    for (top, _) in tops.iter().zip(encrypted).filter(|(_, encrypted)| **encrypted) {
        let mut broken = Vec::new();
        top.walk(|place| {
            let is_value = place.node.kind() == Kind::Scalar && place.node.value().starts_with(ENCRYPTED);
            let is_metadata = place.steps.first() == Some(&Step::Key(METADATA_KEY)) && place.key() != Some("mac");
            if is_value
                && !is_metadata
                && let Some(fault) = encrypted_fault(place.node.value())
            {
                broken.push((place.clone(), fault));
            }
        });
        for (place, fault) in broken {
            cx.add(Rule::KE104, text, &place, format!("an encrypted value is broken: {fault}"));
        }
    }
}

/// The metadata, and what its own rule wants encrypted.
fn coverage<'s>(cx: &mut Context<'_>, text: &Text<'s>, tops: &[Place<'s>], bytes: &[u8], format: Format) {
    let Some(entry) = tops.first().and_then(|top| top.get(METADATA_KEY)) else { return };
    let status = match status(bytes, format) {
        Ok(Some(status)) => status,
        Ok(None) => return,
        Err(error) => return cx.add(Rule::KE104, text, &entry, chain(&error)),
    };
    if status.metadata.mac.is_none() {
        let message = "the `sops` entry has no `mac`: the file does not show whether it was changed".to_owned();
        cx.add(Rule::KE104, text, &entry, message);
    }
    let mut missing = status.plain_count;
    for place in &status.plain {
        let Some(node) = tops.get(place.path.branch).and_then(|top| top.find(&place.path)) else { continue };
        missing -= 1;
        if node.value().starts_with(ENCRYPTED) {
            continue;
        }
        let (start, end) = text.region(node);
        let rule = &status.metadata.selector;
        let message = format!("a value that `{}: {}` encrypts is in plain text", rule.kind(), rule.text());
        let path = Some(KeyPath { branch: place.path.branch, steps: place.path.steps.clone() });
        cx.push(Finding { rule: Rule::KE101, file: cx.file.to_owned(), start, end, path, message });
    }
    if missing > 0 {
        cx.add(Rule::KE101, text, &entry, format!("{missing} more values of the file are in plain text"));
    }
}

fn chain(error: &StatusError) -> String {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let said = error.to_string();
        if !message.contains(&said) {
            message = format!("{message}: {said}");
        }
        source = error.source();
    }
    message
}

/// A dotenv file of SOPS: `NAME=ENC[…]` and `sops_…` lines.
pub(crate) fn check_dotenv(cx: &mut Context<'_>, bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let metadata = |name: &str| assignments(bytes).any(|line| line.name == name && !line.value.is_empty());
    if !metadata("sops_lastmodified") && !metadata("sops_mac") {
        return;
    }
    let lines = Lines::new(text);
    let region = |start: usize, length: usize| (lines.position(text, start), lines.position(text, start + length));
    if !metadata("sops_mac") {
        cx.add_at(
            Rule::KE104,
            region(0, 0),
            "the file has no `sops_mac`: it does not show whether it was changed".to_owned(),
        );
    }
    // With another rule than SOPS' own, plain values may be meant so.
    let has_rule = assignments(bytes).any(|line| {
        line.name.starts_with("sops_") && (line.name.contains("_regex") || line.name == "sops_encrypted_suffix")
    });
    for line in assignments(bytes).filter(|line| !line.name.starts_with("sops_") && !line.value.is_empty()) {
        if line.value.starts_with(ENCRYPTED) {
            if let Some(fault) = encrypted_fault(line.value) {
                let message = format!("the encrypted value of `{}` is broken: {fault}", line.name);
                cx.add_at(Rule::KE104, region(line.start, line.value.len()), message);
            }
        } else if !has_rule && !line.name.ends_with("_unencrypted") {
            let message = format!("the value of `{}` is in plain text in an encrypted file", line.name);
            cx.add_at(Rule::KE101, region(line.start, line.value.len()), message);
        }
    }
}
