//! Secrets of a file become SealedSecrets where they lie: documents of a stream, items of a list. The rest keeps its bytes.

use bulla_check::{Finding, Rule, is_placeholder};
use bulla_doc::{Document, Edits, Format, Kind, Node};
use bulla_sealed::{Certificate, SealError, SealOptions};
use bulla_sops::{KeyPath, PathStep};
use bulla_wipe::Wiping;
use rand::rngs::StdRng;
use serde_json::Value;

use crate::error::CommandError;
use crate::exit::Exit;
use crate::manifest::{SecretValue, object_of, tree_for};

/// The file with its Secrets sealed.
pub(super) struct Sealed {
    pub(super) bytes: Wiping<Vec<u8>>,
    /// Their names, in the order of the file.
    pub(super) names: Vec<String>,
}

/// Seals every Secret of the file that a finding of KS001 is in.
///
/// # Errors
/// If one cannot be sealed; a file is done as a whole or not at all.
pub(super) fn seal(
    plain: &[u8],
    format: Format,
    findings: &[Finding],
    certificate: &Certificate,
    rng: &mut StdRng,
) -> Result<Sealed, CommandError> {
    let document = Document::parse(plain, format)?;
    let mut places: Vec<KeyPath> = Vec::new();
    for finding in findings.iter().filter(|finding| finding.rule == Rule::KS001) {
        // `…["stringData"]["password"]`: the object is two steps further out.
        let path = finding.path.as_ref().filter(|path| path.steps.len() >= 2).ok_or_else(not_found)?;
        let object = KeyPath { branch: path.branch, steps: path.steps[..path.steps.len() - 2].to_vec() };
        if !places.contains(&object) {
            places.push(object);
        }
    }
    let mut edits = Edits::new(&document);
    let mut names = Vec::new();
    for place in &places {
        let node = find(&document, place).ok_or_else(not_found)?;
        let (sealed, name) = seal_one(node, certificate, rng).map_err(|error| error.at(node.position()))?;
        edits.replace_mapping(node, &tree_for(&sealed, format));
        names.push(name);
    }
    let bytes = edits.apply();
    // An alias elsewhere may have stood for something in a Secret.
    Document::parse(&bytes, format).map_err(|_| {
        CommandError::new(Exit::Failed, "not fixed: something in the Secret is used elsewhere in the file, by an alias")
    })?;
    Ok(Sealed { bytes, names })
}

fn seal_one(
    node: Node<'_>,
    certificate: &Certificate,
    rng: &mut StdRng,
) -> Result<(SecretValue, String), CommandError> {
    let secret = object_of(node)?;
    refuse_placeholders(&secret)?;
    let sealed = bulla_sealed::seal(&secret, certificate.public_key(), &SealOptions::default(), rng);
    let sealed = sealed.map_err(|error| match error {
        SealError::NoNamespace => CommandError::from(error)
            .hint_instead("write `metadata.namespace` into it, or seal it with `bulla seal --namespace`"),
        error => error.into(),
    })?;
    let name = sealed.metadata.name.clone().unwrap_or_default();
    // Maps with string keys, strings, numbers and booleans: nothing in a SealedSecret fails to serialise.
    Ok((SecretValue::new(serde_json::to_value(&sealed).expect("a SealedSecret is JSON")), name))
}

/// Sealed, a placeholder is a value as any other, and nothing fills it in.
fn refuse_placeholders(secret: &SecretValue) -> Result<(), CommandError> {
    for (field, is_base64) in [("data", true), ("stringData", false)] {
        let values = secret.get(field).and_then(Value::as_object).into_iter().flatten();
        for (key, value) in values {
            if value.as_str().is_some_and(|text| is_placeholder(text, is_base64)) {
                let message =
                    format!("not fixed: `{field}.{key}` is filled in elsewhere, which nobody can do once it is sealed");
                return Err(CommandError::new(Exit::Failed, message));
            }
        }
    }
    Ok(())
}

fn find<'d>(document: &'d Document, path: &KeyPath) -> Option<Node<'d>> {
    let mut node = document.branches().nth(path.branch)?;
    for step in &path.steps {
        node = match step {
            PathStep::Key(key) => node.get(key)?,
            PathStep::Index(index) => node.children().filter(|child| child.kind() != Kind::Comment).nth(*index)?,
        };
    }
    (node.kind() == Kind::Mapping && !node.is_alias() && !node.is_expanded()).then_some(node)
}

fn not_found() -> CommandError {
    CommandError::new(Exit::Failed, "not fixed: the Secret is not written out in one place")
}
