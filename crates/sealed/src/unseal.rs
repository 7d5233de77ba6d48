//! SealedSecret → Secret, or the reason for each item that does not open.
//!
//! ```text
//! spec.encryptedData ─ base64 ─ key ring, label of the object's own scope ─┐
//! spec.template.data ─ rendered with them ─────────────────────────────────┴─ data, a sealed item wins over a text of the same key
//! spec.template.{metadata,type,immutable} ─────────────────────────────────── the rest of the Secret
//! name and namespace of the SealedSecret, one owner reference to it ───────── whatever the template says
//! spec.data (deprecated) ─ the whole Secret as one value
//! ```
//!
//! Source: sealed-secrets 0.38.4 `sealedsecret_expansion.go`. Where a value does not open, the other scopes of *this* object are tried
//! too, to tell the author which annotation is missing. That tells nobody anything new: who can write this object can write that
//! annotation, and would then read the value itself (`docs/decisions/0002-scope-in-messages.md`).

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;

use bulla_api::sealed_secret::{API_VERSION, KIND, SKIP_SET_OWNER_REFERENCES_ANNOTATION, SealedSecret};
use bulla_crypto::encoding::{self, Base64Error};
use bulla_crypto::{OpenError, SecretBytes};
use bulla_template::TemplateError;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde::Deserialize as _;
use serde_json::Value;
use zeroize::Zeroize as _;

use crate::key_ring::{Hint, KeyRing, NotOpened, Opener, SealingKey};
use crate::scope::Scope;
use crate::template;

/// Items of one object for which the other scopes are tried; more would only cost time.
const SCOPE_TRIALS: usize = 3;

/// How to unseal.
#[derive(Clone, Debug)]
pub struct UnsealOptions {
    /// Whether the deprecated `spec.data` is read. Upstream's controller does by default, `kubeseal --recovery-unseal` does not.
    pub accept_deprecated_data: bool,
    /// What is known about the keys of this object.
    pub hint: Hint,
}

impl Default for UnsealOptions {
    fn default() -> Self {
        Self { accept_deprecated_data: true, hint: Hint::default() }
    }
}

/// An opened SealedSecret.
#[derive(Debug)]
pub struct Unsealed {
    /// The Secret that it stands for.
    pub secret: UnsealedSecret,
    /// The keys that opened its items, in no particular order; none if it has no item.
    pub keys: Vec<Arc<SealingKey>>,
}

/// A Secret in plaintext. Its values wipe themselves, and `Debug` does not show them.
#[derive(Debug, Default)]
pub struct UnsealedSecret {
    /// Name of the SealedSecret.
    pub name: String,
    /// Namespace of the SealedSecret.
    pub namespace: String,
    /// Labels of the template.
    pub labels: BTreeMap<String, String>,
    /// Annotations of the template.
    pub annotations: BTreeMap<String, String>,
    /// Finalizers of the template; they count when the Secret is created.
    pub finalizers: Vec<String>,
    /// The SealedSecret as owner and controller; or what the template says, if it declines that one.
    pub owner_references: Vec<OwnerReference>,
    /// Type; `None` means `Opaque`.
    pub kind: Option<String>,
    /// Whether the Secret shall be immutable.
    pub immutable: Option<bool>,
    /// The values.
    pub data: BTreeMap<String, SecretBytes>,
}

/// Why a SealedSecret did not become a Secret. Permanent: nothing but a change of the object or of the key ring helps.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnsealError {
    /// Some items did not open; sorted by their keys.
    #[error("{}", grouped(.0))]
    Items(Vec<(String, ItemError)>),
    /// It has items and the deprecated whole.
    #[error("cannot use the field 'encryptedData' and the deprecated field 'data' at the same time")]
    BothFormats,
    /// It is of the deprecated format, which is switched off.
    #[error("using deprecated 'data' field, use 'encryptedData' or flip the feature flag")]
    DeprecatedFormat,
    /// The deprecated whole did not open.
    #[error("{0} (spec.data)")]
    Whole(ItemError),
    /// The deprecated whole opened, and is no Secret.
    #[error("`spec.data` opened, but what it holds is not a Secret of v1")]
    WholeContent,
    /// The template declines the owner reference and has one of its own, which cannot be read.
    #[error("`spec.template.metadata.ownerReferences` is not a list of owner references")]
    OwnerReferences,
}

impl UnsealError {
    /// Whether another key ring may open it: a key may be missing.
    pub fn may_lack_a_key(&self) -> bool {
        let lacks = |error: &ItemError| {
            matches!(error, ItemError::NoKey { .. } | ItemError::NoKeyOfSize { .. } | ItemError::EmptyRing)
        };
        match self {
            Self::Items(items) => items.iter().any(|(_, error)| lacks(error)),
            Self::Whole(error) => lacks(error),
            _ => false,
        }
    }
}

/// Why one item did not open.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ItemError {
    /// The text is not base64.
    #[error(transparent)]
    Base64(Base64Error),
    /// Shorter than it declares.
    #[error("no key could decrypt secret: truncated, a part of the sealed value is missing")]
    Truncated,
    /// There is no key at all.
    #[error("no key could decrypt secret: there is no sealing key")]
    EmptyRing,
    /// No key has the size that it was sealed for.
    #[error(
        "no key could decrypt secret: sealed for an RSA key of {bits} bits, and no key of that size is here (of {keys})"
    )]
    NoKeyOfSize {
        /// Size that it was sealed for.
        bits: usize,
        /// Number of keys in the ring.
        keys: usize,
    },
    /// A key fits, and the value was changed.
    #[error("no key could decrypt secret: damaged, key `{key}` fits but the value was changed after it was sealed")]
    Damaged {
        /// Name of the key's Secret.
        key: String,
    },
    /// No key opened it. OAEP does not tell another key from another scope, name or namespace; trying the other scopes may.
    #[error("no key could decrypt secret: {}", no_key(*.scope, *.opens_as, .tried.len()))]
    NoKey {
        /// Every key tried, by the name of its Secret, in that order.
        tried: Vec<String>,
        /// Scope of the object.
        scope: Scope,
        /// The other scope in which this object would open it.
        opens_as: Option<Scope>,
    },
    /// The text of this key in `spec.template.data` is a template that cannot be read or executed.
    #[error("cannot render the template: {0}")]
    Template(TemplateError),
}

fn no_key(scope: Scope, opens_as: Option<Scope>, tried: usize) -> String {
    let keys = if tried == 1 { "the only key".to_owned() } else { format!("{tried} keys") };
    match opens_as {
        None => format!(
            "{keys} tried; sealed for another cluster, or for another name or namespace (the scope here is {scope})"
        ),
        Some(wanted) => {
            let remedy = match wanted.annotation() {
                Some(annotation) => format!("set the annotation `{annotation}: \"true\"`"),
                None => "remove the scope annotation".to_owned(),
            };
            format!("sealed with scope {wanted}, but the scope here is {scope}: {remedy}, or seal it again")
        }
    }
}

/// Equal reasons once, each with the keys it holds for.
fn grouped(items: &[(String, ItemError)]) -> String {
    let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
    for (key, error) in items {
        let reason = error.to_string();
        match groups.iter_mut().find(|(other, _)| *other == reason) {
            Some((_, keys)) => keys.push(key),
            None => groups.push((reason, vec![key])),
        }
    }
    let mut text = String::new();
    for (reason, keys) in groups {
        let separator = if text.is_empty() { "" } else { "\n" };
        // Upstream's words come first, with the keys right behind them; what we know beyond follows.
        let (first, rest) = reason
            .split_once(": ")
            .map_or((reason.as_str(), String::new()), |(first, rest)| (first, format!(": {rest}")));
        let _ = write!(text, "{separator}{first} ({}){rest}", keys.join(", "));
    }
    text
}

/// Opens `sealed` with the keys of `ring`.
///
/// Costs one private-key operation for each item when the key is guessed right, see [`Opener`].
///
/// # Errors
/// [`UnsealError`], with a reason for every item that did not open.
pub fn unseal(sealed: &SealedSecret, ring: &KeyRing, options: &UnsealOptions) -> Result<Unsealed, UnsealError> {
    let mut opener = ring.opener(&options.hint);
    let place = Place {
        scope: Scope::of(sealed.metadata.annotations.as_ref()),
        namespace: sealed.namespace(),
        name: sealed.name(),
    };
    let mut secret = match &sealed.spec.data {
        None => {
            let mut secret = shape_of(sealed)?;
            secret.data = open_items(sealed, &place, &mut opener).map_err(UnsealError::Items)?;
            secret
        }
        Some(_) if !options.accept_deprecated_data => return Err(UnsealError::DeprecatedFormat),
        Some(_) if !sealed.spec.encrypted_data.is_empty() => return Err(UnsealError::BothFormats),
        Some(whole) => open_whole(whole, &place, &mut opener)?,
    };
    place.name.clone_into(&mut secret.name);
    place.namespace.clone_into(&mut secret.namespace);
    if !declines_owner_reference(sealed) {
        secret.owner_references = vec![owner_reference(sealed)];
    }
    Ok(Unsealed { secret, keys: opener.used().cloned().collect() })
}

/// Whether the template of `sealed` asks for a Secret that is not owned by its SealedSecret.
pub fn declines_owner_reference(sealed: &SealedSecret) -> bool {
    let annotations = &sealed.spec.template.metadata.annotations;
    annotations.get(SKIP_SET_OWNER_REFERENCES_ANNOTATION).is_some_and(|value| value == "true")
}

fn owner_reference(sealed: &SealedSecret) -> OwnerReference {
    OwnerReference {
        api_version: API_VERSION.to_owned(),
        kind: KIND.to_owned(),
        name: sealed.name().to_owned(),
        uid: sealed.metadata.uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: None,
    }
}

/// Everything of the Secret but its values.
fn shape_of(sealed: &SealedSecret) -> Result<UnsealedSecret, UnsealError> {
    let template = &sealed.spec.template;
    let owner_references = match template.metadata.other.get("ownerReferences") {
        Some(list) if declines_owner_reference(sealed) => {
            Vec::<OwnerReference>::deserialize(list).map_err(|_| UnsealError::OwnerReferences)?
        }
        _ => Vec::new(),
    };
    Ok(UnsealedSecret {
        labels: template.metadata.labels.clone(),
        annotations: template.metadata.annotations.clone(),
        finalizers: template.metadata.finalizers.clone(),
        owner_references,
        kind: template.kind.clone().filter(|kind| !kind.is_empty()),
        immutable: template.immutable,
        ..UnsealedSecret::default()
    })
}

/// Name, namespace and scope of the object, which make the label.
pub(crate) struct Place<'a> {
    pub(crate) scope: Scope,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
}

/// Opens the items of one object, and tells with which key.
pub(crate) struct ItemOpener<'ring, 'a> {
    opener: Opener<'ring>,
    place: Place<'a>,
    trials: ScopeTrials,
}

impl<'ring, 'a> ItemOpener<'ring, 'a> {
    pub(crate) fn new(opener: Opener<'ring>, place: Place<'a>) -> Self {
        Self { opener, place, trials: ScopeTrials::default() }
    }

    /// The value of an item, and the key that opened it.
    pub(crate) fn open(&mut self, text: &str) -> Result<(SecretBytes, &'ring SealingKey), ItemError> {
        let value = open_item(text, &self.place, &mut self.opener, &mut self.trials)?;
        self.opener.latest().map(|key| (value, key)).ok_or(ItemError::EmptyRing)
    }
}

fn open_items(
    sealed: &SealedSecret,
    place: &Place<'_>,
    opener: &mut Opener<'_>,
) -> Result<BTreeMap<String, SecretBytes>, Vec<(String, ItemError)>> {
    let mut data = BTreeMap::new();
    let mut errors = Vec::new();
    let mut trials = ScopeTrials::default();
    for (key, text) in &sealed.spec.encrypted_data {
        match open_item(text, place, opener, &mut trials) {
            Ok(value) => {
                data.insert(key.clone(), value);
            }
            Err(error) => errors.push((key.clone(), error)),
        }
    }
    let texts = &sealed.spec.template.data;
    let failed = |(key, error)| (key, ItemError::Template(error));
    if errors.is_empty() {
        match template::render(texts, &data) {
            Ok(rendered) => data.extend(rendered),
            Err(unrendered) => errors.extend(unrendered.into_iter().map(failed)),
        }
    } else {
        // Nothing is rendered with half of the data; what will fail in any case is told at once.
        errors.extend(template::unreadable(texts).map(failed));
    }
    if errors.is_empty() {
        return Ok(data);
    }
    errors.sort_by(|(a, _), (b, _)| a.cmp(b));
    Err(errors)
}

fn open_item(
    text: &str,
    place: &Place<'_>,
    opener: &mut Opener<'_>,
    trials: &mut ScopeTrials,
) -> Result<SecretBytes, ItemError> {
    let sealed = encoding::decode_go(text.as_bytes()).map_err(ItemError::Base64)?;
    opener
        .open(&sealed, &place.scope.label(place.namespace, place.name))
        .map_err(|not_opened| explain(not_opened, &sealed, place, opener, trials))
}

fn open_whole(text: &str, place: &Place<'_>, opener: &mut Opener<'_>) -> Result<UnsealedSecret, UnsealError> {
    let plaintext = open_item(text, place, opener, &mut ScopeTrials::default()).map_err(UnsealError::Whole)?;
    // The error of the parser is dropped: it may quote what it read.
    let secret: Secret = serde_json::from_slice(plaintext.expose_secret()).map_err(|_| UnsealError::WholeContent)?;
    let mut data: BTreeMap<_, _> = secret
        .data
        .unwrap_or_default()
        .into_iter()
        .map(|(key, ByteString(value))| (key, SecretBytes::new(value)))
        .collect();
    for (key, value) in secret.string_data.unwrap_or_default() {
        data.insert(key, SecretBytes::new(value.into_bytes()));
    }
    Ok(UnsealedSecret {
        labels: secret.metadata.labels.unwrap_or_default(),
        annotations: secret.metadata.annotations.unwrap_or_default(),
        finalizers: secret.metadata.finalizers.unwrap_or_default(),
        owner_references: secret.metadata.owner_references.unwrap_or_default(),
        kind: secret.type_.filter(|kind| !kind.is_empty()),
        immutable: secret.immutable,
        data,
        ..UnsealedSecret::default()
    })
}

/// The search for the scope that would have worked, over the items of one object: bounded, and quick once it is found.
#[derive(Default)]
struct ScopeTrials {
    made: usize,
    found: Option<Scope>,
}

fn explain(
    NotOpened { tried }: NotOpened,
    sealed: &[u8],
    place: &Place<'_>,
    opener: &mut Opener<'_>,
    trials: &mut ScopeTrials,
) -> ItemError {
    match tried.last() {
        None => return ItemError::EmptyRing,
        Some((_, OpenError::Truncated)) => return ItemError::Truncated,
        Some((key, OpenError::Damaged)) => return ItemError::Damaged { key: key.clone() },
        Some((_, OpenError::OtherKeySize { sealed_bytes, .. }))
            if tried.iter().all(|(_, error)| matches!(error, OpenError::OtherKeySize { .. })) =>
        {
            return ItemError::NoKeyOfSize { bits: sealed_bytes * 8, keys: opener.ring().keys().len() };
        }
        Some(_) => {}
    }
    let opens_as = trials.find(sealed, place, opener);
    ItemError::NoKey { tried: tried.into_iter().map(|(name, _)| name).collect(), scope: place.scope, opens_as }
}

impl ScopeTrials {
    fn find(&mut self, sealed: &[u8], place: &Place<'_>, opener: &mut Opener<'_>) -> Option<Scope> {
        if self.found.is_none() && self.made == SCOPE_TRIALS {
            return None;
        }
        self.made += 1;
        let candidates: Vec<Scope> = match self.found {
            Some(scope) => vec![scope],
            None => Scope::ALL.into_iter().filter(|scope| *scope != place.scope).collect(),
        };
        let opens = |scope: &Scope| opener.open(sealed, &scope.label(place.namespace, place.name)).is_ok();
        let found = candidates.into_iter().find(opens);
        self.found = self.found.or(found);
        found
    }
}

impl UnsealedSecret {
    /// The same as the API server takes it. Its values are no longer wiped by themselves, see [`wipe`].
    pub fn into_secret(self) -> Secret {
        let some = |map: BTreeMap<String, String>| Some(map).filter(|map| !map.is_empty());
        Secret {
            metadata: ObjectMeta {
                name: Some(self.name),
                namespace: Some(self.namespace).filter(|namespace| !namespace.is_empty()),
                labels: some(self.labels),
                annotations: some(self.annotations),
                finalizers: Some(self.finalizers).filter(|list| !list.is_empty()),
                owner_references: Some(self.owner_references).filter(|list| !list.is_empty()),
                ..ObjectMeta::default()
            },
            type_: self.kind,
            immutable: self.immutable,
            data: Some(
                self.data
                    .into_iter()
                    .map(|(key, value)| (key, ByteString(std::mem::take(&mut *value.into_exposed()))))
                    .collect(),
            )
            .filter(|data: &BTreeMap<_, _>| !data.is_empty()),
            string_data: None,
        }
    }

    /// The same as a manifest, values in base64, for output. It holds plaintext.
    #[expect(clippy::missing_panics_doc, reason = "the reason it cannot fail stands beside it")]
    pub fn into_manifest(self) -> Value {
        let mut secret = self.into_secret();
        let manifest = serde_json::to_value(&secret);
        wipe(&mut secret);
        // Maps with string keys, strings, numbers and booleans: nothing in a Secret fails to serialise.
        manifest.expect("a Secret is JSON")
    }
}

/// Overwrites the values of `secret`, which is empty afterwards.
pub fn wipe(secret: &mut Secret) {
    for value in secret.data.take().into_iter().flat_map(BTreeMap::into_values) {
        let ByteString(mut bytes) = value;
        bytes.zeroize();
    }
    for mut text in secret.string_data.take().into_iter().flat_map(BTreeMap::into_values) {
        text.zeroize();
    }
}

impl fmt::Display for UnsealedSecret {
    /// Names only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret {}/{}", self.namespace, self.name)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use bulla_api::sealed_secret::{CLUSTER_WIDE_ANNOTATION, NAMESPACE_WIDE_ANNOTATION};
    use bulla_crypto::{PrivateKey, hybrid};
    use jiff::Timestamp;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;
    use serde_json::json;

    use super::*;
    use crate::certificate::CertificateError;
    use crate::key_ring::KeyOrder;
    use crate::seal::seal_item;

    static KEYS: LazyLock<Vec<SecretBytes>> =
        LazyLock::new(|| [2048, 2048, 3072].map(|bits| PrivateKey::generate(bits).unwrap().to_pkcs1_der()).into());

    fn private(index: usize) -> PrivateKey {
        PrivateKey::from_pkcs1_der(KEYS[index].expose_secret()).unwrap()
    }

    fn ring(indices: &[usize]) -> KeyRing {
        let mut ring = KeyRing::new(KeyOrder::default());
        for index in indices {
            let name = format!("key-{index}");
            ring.insert(SealingKey::new(&name, Timestamp::UNIX_EPOCH, private(*index), Err(CertificateError::Absent)));
        }
        ring
    }

    fn item(key: usize, value: &str, scope: Scope) -> String {
        seal_item(value.as_bytes(), private(key).public_key(), scope, "shop", "db", &mut StdRng::seed_from_u64(3))
    }

    fn object(scope: Scope, spec: &Value) -> SealedSecret {
        let mut annotations = BTreeMap::new();
        scope.annotate(&mut annotations);
        SealedSecret::from_json(&json!({
            "apiVersion": API_VERSION, "kind": KIND,
            "metadata": {"name": "db", "namespace": "shop", "uid": "u-1", "annotations": annotations},
            "spec": spec,
        }))
        .unwrap()
    }

    fn unsealed(sealed: &SealedSecret, ring: &KeyRing) -> Result<UnsealedSecret, String> {
        unseal(sealed, ring, &UnsealOptions::default())
            .map(|unsealed| unsealed.secret)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_secret_has_the_shape_of_the_template_and_the_name_of_its_object() {
        let sealed = object(
            Scope::Strict,
            &json!({
                "template": {
                    "metadata": {
                        "name": "other", "namespace": "elsewhere", "labels": {"app": "shop"}, "annotations": {"note": "x"},
                        "finalizers": ["a/b"], "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "9"}],
                    },
                    "type": "kubernetes.io/basic-auth", "immutable": true,
                    "data": {"url": "https://{{ .password | upper }}@shop", "password": "not this one", "unused": "}}"},
                },
                "encryptedData": {"password": item(0, "hunter2", Scope::Strict), "empty": item(0, "", Scope::Strict)},
            }),
        );
        let secret = unsealed(&sealed, &ring(&[1, 0])).unwrap();
        assert_eq!(
            secret.into_manifest(),
            json!({
                "apiVersion": "v1", "kind": "Secret",
                "metadata": {
                    "name": "db", "namespace": "shop", "labels": {"app": "shop"}, "annotations": {"note": "x"}, "finalizers": ["a/b"],
                    "ownerReferences": [
                        {"apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret", "name": "db", "uid": "u-1", "controller": true},
                    ],
                },
                "type": "kubernetes.io/basic-auth", "immutable": true,
                "data": {"password": "aHVudGVyMg==", "empty": "", "url": "aHR0cHM6Ly9IVU5URVIyQHNob3A=", "unused": "fX0="},
            })
        );
    }

    #[test]
    fn a_template_that_declines_the_owner_reference_keeps_its_own() {
        let spec = |owners: Value| {
            json!({
                "template": {"metadata": {"annotations": {SKIP_SET_OWNER_REFERENCES_ANNOTATION: "true"}, "ownerReferences": owners}},
                "encryptedData": {},
            })
        };
        let owner = json!([{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "9"}]);
        let secret = unsealed(&object(Scope::Strict, &spec(owner)), &ring(&[])).unwrap();
        assert_eq!(secret.owner_references.len(), 1);
        assert_eq!(secret.owner_references[0].kind, "Pod");
        assert!(unsealed(&object(Scope::Strict, &spec(Value::Null)), &ring(&[])).unwrap().owner_references.is_empty());
        let error = unsealed(&object(Scope::Strict, &spec(json!([{"kind": 1}]))), &ring(&[])).unwrap_err();
        assert_eq!(error, "`spec.template.metadata.ownerReferences` is not a list of owner references");
    }

    #[test]
    fn every_item_that_does_not_open_has_its_reason_and_equal_ones_are_told_once() {
        let mut damaged = encoding::decode_go(item(0, "x", Scope::Strict).as_bytes()).unwrap();
        *damaged.last_mut().unwrap() ^= 1;
        let sealed = object(
            Scope::Strict,
            &json!({
                "template": {"data": {"url": "https://{{ .password }}@shop", "broken": "a\n {{ end }}"}},
                "encryptedData": {
                    "fine": item(0, "x", Scope::Strict),
                    "foo": item(1, "x", Scope::Strict), "bar": item(1, "x", Scope::Strict),
                    "long": item(2, "x", Scope::Strict),
                    "text": "hunter2!",
                    "cut": encoding::encode(&damaged[..200]),
                    "damaged": encoding::encode(&damaged),
                },
            }),
        );
        assert_eq!(
            unsealed(&sealed, &ring(&[0])).unwrap_err().lines().collect::<Vec<_>>(),
            [
                "no key could decrypt secret (bar, foo): the only key tried; sealed for another cluster, or for another name or namespace \
                 (the scope here is strict)",
                "cannot render the template (broken): line 2, column 9: `end` without anything that it ends",
                "no key could decrypt secret (cut): truncated, a part of the sealed value is missing",
                "no key could decrypt secret (damaged): damaged, key `key-0` fits but the value was changed after it was sealed",
                "no key could decrypt secret (long): sealed for an RSA key of 3072 bits, and no key of that size is here (of 1)",
                "illegal base64 data at input byte 7 (text)",
            ]
        );
        let error =
            unsealed(&object(Scope::Strict, &json!({"encryptedData": {"a": item(0, "x", Scope::Strict)}})), &ring(&[]));
        assert_eq!(error.unwrap_err(), "no key could decrypt secret (a): there is no sealing key");
    }

    #[test]
    fn the_message_names_the_scope_that_would_have_worked() {
        for (sealed_as, here, expected) in [
            (
                Scope::ClusterWide,
                Scope::Strict,
                format!("set the annotation `{CLUSTER_WIDE_ANNOTATION}: \"true\"`, or seal it again"),
            ),
            (
                Scope::NamespaceWide,
                Scope::ClusterWide,
                format!("set the annotation `{NAMESPACE_WIDE_ANNOTATION}: \"true\"`"),
            ),
            (Scope::Strict, Scope::NamespaceWide, "remove the scope annotation, or seal it again".to_owned()),
        ] {
            let sealed =
                object(here, &json!({"encryptedData": {"a": item(0, "x", sealed_as), "b": item(0, "x", sealed_as)}}));
            let error = unsealed(&sealed, &ring(&[0, 1])).unwrap_err();
            assert!(error.starts_with("no key could decrypt secret (a, b): sealed with scope"), "{error}");
            assert!(error.contains(&expected), "{error}");
        }
    }

    #[test]
    fn a_failure_costs_a_bounded_number_of_operations() {
        let ring = ring(&[0]);
        let items: BTreeMap<_, _> =
            (0..10).map(|index| (format!("item-{index}"), item(1, "x", Scope::Strict))).collect();
        unsealed(&object(Scope::Strict, &json!({"encryptedData": items})), &ring).unwrap_err();
        assert_eq!(ring.private_key_operations(), 10 + SCOPE_TRIALS as u64 * 2);
    }

    #[test]
    fn a_moved_object_does_not_open() {
        for (scope, name, namespace, opens) in [
            (Scope::Strict, "db", "shop", true),
            (Scope::Strict, "db2", "shop", false),
            (Scope::Strict, "db", "pay", false),
            (Scope::NamespaceWide, "db2", "shop", true),
            (Scope::NamespaceWide, "db", "pay", false),
            (Scope::ClusterWide, "db2", "pay", true),
        ] {
            let mut sealed = object(scope, &json!({"encryptedData": {"a": item(0, "x", scope)}}));
            sealed.metadata.name = Some(name.to_owned());
            sealed.metadata.namespace = Some(namespace.to_owned());
            assert_eq!(unsealed(&sealed, &ring(&[0])).is_ok(), opens, "{scope} {namespace}/{name}");
        }
    }

    #[test]
    fn the_deprecated_format_opens_where_it_is_accepted() {
        let whole = |content: &str| {
            let sealed =
                hybrid::seal(private(0).public_key(), content.as_bytes(), b"shop/db", &mut StdRng::seed_from_u64(3));
            encoding::encode(&sealed)
        };
        let content = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": {"name": "old", "namespace": "elsewhere", "labels": {"app": "shop"}, "creationTimestamp": null},
            "data": {"password": "aHVudGVyMg=="},
        });
        let spec = json!({"data": whole(&content.to_string()), "encryptedData": {}});
        let secret = unsealed(&object(Scope::Strict, &spec), &ring(&[1, 0])).unwrap();
        assert_eq!((secret.name.as_str(), secret.namespace.as_str()), ("db", "shop"));
        assert_eq!(secret.data["password"].expose_secret(), b"hunter2");
        assert_eq!(secret.labels["app"], "shop");
        assert_eq!(secret.owner_references[0].uid, "u-1");

        let options = UnsealOptions { accept_deprecated_data: false, ..UnsealOptions::default() };
        let error = unseal(&object(Scope::Strict, &spec), &ring(&[0]), &options).unwrap_err();
        assert_eq!(error, UnsealError::DeprecatedFormat);
        for (spec, expected) in [
            (json!({"data": "", "encryptedData": {"a": ""}}), UnsealError::BothFormats.to_string()),
            (json!({"data": whole("hunter2")}), UnsealError::WholeContent.to_string()),
            (json!({"data": whole("{\"data\": \"hunter2\"}")}), UnsealError::WholeContent.to_string()),
            (
                json!({"data": "AgA="}),
                "no key could decrypt secret: truncated, a part of the sealed value is missing (spec.data)".to_owned(),
            ),
        ] {
            assert_eq!(unsealed(&object(Scope::Strict, &spec), &ring(&[0])).unwrap_err(), expected);
        }
    }

    #[test]
    fn no_value_shows_in_debug_and_wiping_leaves_none() {
        let sealed = object(Scope::Strict, &json!({"encryptedData": {"password": item(0, "hunter2", Scope::Strict)}}));
        let unsealed = unseal(&sealed, &ring(&[0]), &UnsealOptions::default()).unwrap();
        let text = format!("{unsealed:?} {}", unsealed.secret);
        assert!(text.contains("password") && !text.contains("hunter2") && !text.contains("104, 117"), "{text}");
        let mut secret = unsealed.secret.into_secret();
        wipe(&mut secret);
        assert_eq!(secret.data, None);
    }
}
