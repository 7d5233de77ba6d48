//! What should be, decided without a cluster: may this SealedSecret have the Secret of its name, what is the Secret to hold, and what of
//! an existing one has to change.
//!
//! ```text
//! no Secret                                    Create
//! its controller is this SealedSecret (uid)    Replace: data, labels, annotations, owner references become those of the template
//! annotated managed: "true"                    Replace; it is owned from then on
//! annotated patch: "true"                      Patch: keys, labels, annotations are added, none removed; owned if managed too
//! anything else                                Refused: it belongs to somebody else
//! ```
//!
//! Source: sealed-secrets 0.38.4 `pkg/controller/controller.go`. Beyond upstream: whose Secret it is is asked before anything is decrypted;
//! `immutable: true` of the template reaches an existing Secret; a change of type is told as such. Finalizers count at creation only.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bulla_api::sealed_secret::{MANAGED_ANNOTATION, PATCH_ANNOTATION};
use bulla_api::{DecodeError, SealedSecret};
use bulla_sealed::unseal::{declines_owner_reference, wipe};
use bulla_sealed::{KeyRing, SealingKey, UnsealError, UnsealOptions, unseal};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::name::ObjectName;
use crate::record::SecretVersion;

/// The type that a Secret has when none is named.
const DEFAULT_TYPE: &str = "Opaque";

/// What has to be known of a Secret to say whose it is. Metadata only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Existing {
    /// Which Secret, in which version.
    pub version: SecretVersion,
    /// Uid of the object that controls it.
    pub controller: Option<String>,
    /// It may be taken over.
    pub managed: bool,
    /// It may be added to.
    pub patch: bool,
    /// It is being deleted, and waits for a finalizer.
    pub terminating: bool,
}

impl Existing {
    /// What `metadata` tells.
    pub fn of(metadata: &ObjectMeta) -> Self {
        let set =
            |name| metadata.annotations.as_ref().and_then(|all| all.get(name)).is_some_and(|value| value == "true");
        let owners = metadata.owner_references.iter().flatten();
        Self {
            version: SecretVersion::of(metadata),
            controller: owners.filter(|owner| owner.controller == Some(true)).map(|owner| owner.uid.clone()).next(),
            managed: set(MANAGED_ANNOTATION),
            patch: set(PATCH_ANNOTATION),
            terminating: metadata.deletion_timestamp.is_some(),
        }
    }

    /// Whether the SealedSecret with this uid controls it, or may.
    pub fn belongs_to(&self, uid: Option<&str>) -> bool {
        self.managed || (self.controller.is_some() && self.controller.as_deref() == uid)
    }
}

/// How the Secret comes to hold what it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// There is none yet.
    Create,
    /// It is ours wholly.
    Replace,
    /// It is somebody else's who lets us add to it.
    Patch {
        /// Whether it becomes ours to delete.
        own: bool,
    },
}

/// Why nothing is to be done. Permanent: it stays so until somebody changes something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The object is malformed.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
    /// It does not open.
    #[error(transparent)]
    Unseal(#[from] UnsealError),
    /// The Secret is somebody else's.
    #[error("Resource {:?} already exists and is not managed by SealedSecret{}", .secret.name, unmanaged_hint(*.declined))]
    NotManaged {
        /// The Secret.
        secret: ObjectName,
        /// Whether this SealedSecret declines to own its Secret, and so cannot know it again.
        declined: bool,
    },
    /// The Secret cannot be changed any more.
    #[error(
        "Error updating {0}: the target Secret is immutable. Once a Secret is marked as immutable, it is not possible to revert this \
         change nor to mutate the contents of the data field. You can only delete and recreate the Secret."
    )]
    Immutable(ObjectName),
    /// A Secret keeps its type for life.
    #[error(
        "the type of a Secret cannot be changed: it is `{found}`, the template asks for `{wanted}`; delete the Secret to have it made anew"
    )]
    TypeChanged {
        /// Type of the Secret.
        found: String,
        /// Type of the template.
        wanted: String,
    },
    /// The API server does not take the Secret.
    #[error("the API server rejects the Secret: {0}")]
    Rejected(String),
}

fn unmanaged_hint(declined: bool) -> &'static str {
    if declined {
        ": its template declines the owner reference, so it must carry the annotation `sealedsecrets.bitnami.com/managed: \"true\"` as well"
    } else {
        ": annotate the Secret with `sealedsecrets.bitnami.com/managed: \"true\"` to hand it over, or delete it"
    }
}

/// Where a refusal comes from, which tells what may end it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// The SealedSecret itself.
    Object,
    /// The key ring.
    Keys,
    /// The Secret that exists.
    Secret,
}

impl Refusal {
    /// What would have to change.
    pub fn obstacle(&self) -> Obstacle {
        match self {
            Self::Unseal(error) if error.may_lack_a_key() => Obstacle::Keys,
            Self::Malformed(_) | Self::Unseal(_) | Self::Rejected(_) => Obstacle::Object,
            Self::NotManaged { .. } | Self::Immutable(_) | Self::TypeChanged { .. } => Obstacle::Secret,
        }
    }
}

/// A Secret in plaintext that is wiped when it is dropped.
pub struct Plaintext(Secret);

impl Plaintext {
    /// Takes over `secret`.
    pub fn new(secret: Secret) -> Self {
        Self(secret)
    }

    /// The Secret, to be changed before it is written.
    pub(crate) fn get_mut(&mut self) -> &mut Secret {
        &mut self.0
    }

    /// The Secret, to be written.
    pub fn expose_secret(&self) -> &Secret {
        &self.0
    }
}

impl Drop for Plaintext {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

impl fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Plaintext").field(&ObjectName::of(&self.0.metadata)).finish()
    }
}

/// What the Secret of a SealedSecret should be.
#[derive(Debug)]
pub struct Plan {
    /// As it would be created.
    pub desired: Plaintext,
    /// The keys that opened it.
    pub keys: Vec<Arc<SealingKey>>,
}

/// Opens `sealed`, unless the Secret that exists forbids it.
///
/// # Errors
/// [`Refusal::NotManaged`] without having decrypted anything, [`Refusal::Unseal`].
pub fn plan(
    sealed: &SealedSecret,
    existing: Option<&Existing>,
    ring: &KeyRing,
    options: &UnsealOptions,
) -> Result<Plan, Refusal> {
    mode(sealed, existing)?;
    let unsealed = unseal(sealed, ring, options)?;
    Ok(Plan { desired: Plaintext::new(unsealed.secret.into_secret()), keys: unsealed.keys })
}

/// How the Secret may be written.
///
/// # Errors
/// [`Refusal::NotManaged`].
pub fn mode(sealed: &SealedSecret, existing: Option<&Existing>) -> Result<Mode, Refusal> {
    let Some(existing) = existing else { return Ok(Mode::Create) };
    if existing.patch {
        Ok(Mode::Patch { own: existing.managed })
    } else if existing.belongs_to(sealed.metadata.uid.as_deref()) {
        Ok(Mode::Replace)
    } else {
        let declined = declines_owner_reference(sealed);
        Err(Refusal::NotManaged { secret: ObjectName::of(&sealed.metadata), declined })
    }
}

/// The Secret that `existing` has to be replaced with; `None` if it is as `desired` already.
///
/// # Errors
/// [`Refusal::TypeChanged`], [`Refusal::Immutable`].
pub fn merge(existing: &Secret, desired: &Secret, mode: Mode) -> Result<Option<Plaintext>, Refusal> {
    let found = existing.type_.as_deref().unwrap_or(DEFAULT_TYPE);
    let wanted = match (desired.type_.as_deref(), mode) {
        (Some(wanted), _) => wanted,
        (None, Mode::Patch { .. }) => found,
        (None, _) => DEFAULT_TYPE,
    };
    if found != wanted {
        return Err(Refusal::TypeChanged { found: found.to_owned(), wanted: wanted.to_owned() });
    }

    let mut merged = Plaintext::new(existing.clone());
    let secret = &mut merged.0;
    let own = match mode {
        Mode::Patch { own } => {
            extend(&mut secret.data, desired.data.as_ref());
            extend(&mut secret.metadata.labels, desired.metadata.labels.as_ref());
            extend(&mut secret.metadata.annotations, desired.metadata.annotations.as_ref());
            own
        }
        Mode::Create | Mode::Replace => {
            wipe(secret);
            secret.data.clone_from(&desired.data);
            secret.metadata.labels.clone_from(&desired.metadata.labels);
            secret.metadata.annotations.clone_from(&desired.metadata.annotations);
            if desired.immutable == Some(true) {
                secret.immutable = Some(true);
            }
            true
        }
    };
    if own {
        secret.metadata.owner_references.clone_from(&desired.metadata.owner_references);
    }

    let same_data = same(existing.data.as_ref(), secret.data.as_ref());
    if !same_data && existing.immutable == Some(true) {
        return Err(Refusal::Immutable(ObjectName::of(&existing.metadata)));
    }
    let (old, new) = (&existing.metadata, &secret.metadata);
    let unchanged = same_data
        && same(old.labels.as_ref(), new.labels.as_ref())
        && same(old.annotations.as_ref(), new.annotations.as_ref())
        && old.owner_references.as_deref().unwrap_or_default() == new.owner_references.as_deref().unwrap_or_default()
        && existing.immutable == secret.immutable;
    if unchanged {
        return Ok(None);
    }
    // The API server keeps its own account of who manages which field.
    secret.metadata.managed_fields = None;
    Ok(Some(merged))
}

fn extend<V: Clone>(map: &mut Option<BTreeMap<String, V>>, more: Option<&BTreeMap<String, V>>) {
    if let Some(more) = more {
        map.get_or_insert_default().extend(more.iter().map(|(key, value)| (key.clone(), value.clone())));
    }
}

/// No map and an empty one are the same.
pub(crate) fn same<V: PartialEq>(a: Option<&BTreeMap<String, V>>, b: Option<&BTreeMap<String, V>>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a == b,
        (Some(map), None) | (None, Some(map)) => map.is_empty(),
        (None, None) => true,
    }
}

#[cfg(test)]
mod tests {
    use bulla_crypto::PrivateKey;
    use bulla_sealed::{CertificateError, KeyOrder, SealOptions, seal};
    use jiff::Timestamp;
    use k8s_openapi::ByteString;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;
    use serde_json::{Value, json};

    use super::*;

    fn values(secret: &Secret) -> BTreeMap<&str, &[u8]> {
        secret.data.iter().flatten().map(|(key, ByteString(value))| (key.as_str(), value.as_slice())).collect()
    }

    fn secret(manifest: &Value) -> Secret {
        serde_json::from_value(manifest.clone()).unwrap()
    }

    fn existing(metadata: &Value) -> Existing {
        Existing::of(&serde_json::from_value(metadata.clone()).unwrap())
    }

    fn sealed(template_annotations: &Value) -> SealedSecret {
        SealedSecret::from_json(&json!({
            "apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret",
            "metadata": {"name": "db", "namespace": "shop", "uid": "mine"},
            "spec": {"template": {"metadata": {"annotations": template_annotations}}, "encryptedData": {}},
        }))
        .unwrap()
    }

    #[test]
    fn whose_a_secret_is_decides_how_it_may_be_written() {
        let owner = |uid: &str, controller: Value| json!([{"apiVersion": "x", "kind": "X", "name": "x", "uid": uid, "controller": controller}]);
        let managed = json!({"sealedsecrets.bitnami.com/managed": "true"});
        let patch = json!({"sealedsecrets.bitnami.com/patch": "true"});
        let both = json!({"sealedsecrets.bitnami.com/managed": "true", "sealedsecrets.bitnami.com/patch": "true"});
        for (metadata, expected) in [
            (json!({"ownerReferences": owner("mine", json!(true))}), Some(Mode::Replace)),
            (json!({"ownerReferences": owner("mine", json!(false))}), None),
            (json!({"ownerReferences": owner("mine", Value::Null)}), None),
            (json!({"ownerReferences": owner("another", json!(true))}), None),
            (json!({"ownerReferences": owner("another", json!(true)), "annotations": managed}), Some(Mode::Replace)),
            (json!({"annotations": managed}), Some(Mode::Replace)),
            (json!({"annotations": patch}), Some(Mode::Patch { own: false })),
            (json!({"annotations": both}), Some(Mode::Patch { own: true })),
            (json!({"annotations": {"sealedsecrets.bitnami.com/managed": "True"}}), None),
            (json!({}), None),
        ] {
            assert_eq!(mode(&sealed(&json!({})), Some(&existing(&metadata))).ok(), expected, "{metadata}");
        }
        assert_eq!(mode(&sealed(&json!({})), None), Ok(Mode::Create));
    }

    #[test]
    fn a_refused_secret_is_told_in_upstreams_words_with_the_remedy() {
        let skip = json!({"sealedsecrets.bitnami.com/skip-set-owner-references": "true"});
        for (annotations, remedy) in
            [(json!({}), "to hand it over, or delete it"), (skip, "its template declines the owner reference")]
        {
            let refusal = mode(&sealed(&annotations), Some(&existing(&json!({})))).unwrap_err();
            let text = refusal.to_string();
            assert!(text.starts_with("Resource \"db\" already exists and is not managed by SealedSecret: "), "{text}");
            assert!(text.contains(remedy), "{text}");
            assert_eq!(refusal.obstacle(), Obstacle::Secret);
        }
    }

    #[test]
    fn nothing_is_decrypted_for_a_secret_that_is_somebody_elses() {
        let key = SealingKey::new(
            "key",
            Timestamp::UNIX_EPOCH,
            PrivateKey::generate(2048).unwrap(),
            Err(CertificateError::Absent),
        );
        let public = key.private_key().public_key().clone();
        let mut ring = KeyRing::new(KeyOrder::default());
        ring.insert(key);
        let manifest = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db", "namespace": "shop"}, "stringData": {"a": "b"}});
        let sealed = seal(&manifest, &public, &SealOptions::default(), &mut StdRng::seed_from_u64(1)).unwrap();
        plan(&sealed, Some(&existing(&json!({}))), &ring, &UnsealOptions::default()).unwrap_err();
        assert_eq!(ring.private_key_operations(), 0);
        let planned = plan(&sealed, None, &ring, &UnsealOptions::default()).unwrap();
        assert_eq!(values(planned.desired.expose_secret())["a"], b"b");
        assert_eq!(ring.private_key_operations(), 1);
        assert!(!format!("{planned:?}").contains("98"), "no byte of the value");
    }

    #[test]
    fn replacing_makes_everything_the_templates_and_patching_adds() {
        let old = secret(&json!({
            "metadata": {
                "name": "db", "namespace": "shop", "uid": "s", "resourceVersion": "7", "finalizers": ["x/y"],
                "labels": {"kept": "old", "both": "old"}, "annotations": {"kept": "old"}, "managedFields": [{"manager": "m"}],
            },
            "data": {"kept": "b2xk", "both": "b2xk"},
        }));
        let new = secret(&json!({
            "metadata": {
                "name": "db", "namespace": "shop", "labels": {"both": "new"}, "finalizers": ["not/now"],
                "ownerReferences": [{"apiVersion": "x", "kind": "X", "name": "x", "uid": "mine", "controller": true}],
            },
            "immutable": true,
            "data": {"both": "bmV3"},
        }));
        let replaced = merge(&old, &new, Mode::Replace).unwrap().unwrap();
        assert_eq!(
            serde_json::to_value(replaced.expose_secret()).unwrap(),
            json!({
                "apiVersion": "v1", "kind": "Secret",
                "metadata": {
                    "name": "db", "namespace": "shop", "uid": "s", "resourceVersion": "7", "finalizers": ["x/y"], "labels": {"both": "new"},
                    "ownerReferences": [{"apiVersion": "x", "kind": "X", "name": "x", "uid": "mine", "controller": true}],
                },
                "immutable": true,
                "data": {"both": "bmV3"},
            })
        );
        for own in [false, true] {
            let patched = merge(&old, &new, Mode::Patch { own }).unwrap().unwrap();
            let patched = patched.expose_secret();
            assert_eq!(values(patched), BTreeMap::from([("kept", &b"old"[..]), ("both", &b"new"[..])]));
            assert_eq!(patched.metadata.labels.as_ref().unwrap()["both"], "new");
            assert_eq!(patched.metadata.annotations.as_ref().unwrap()["kept"], "old");
            assert_eq!(patched.metadata.owner_references.is_some(), own);
            assert_eq!(patched.immutable, None);
        }
    }

    #[test]
    fn what_is_as_it_should_be_is_not_written() {
        for (old, new, mode) in [
            (json!({"data": {"a": "YQ=="}, "type": "Opaque"}), json!({"data": {"a": "YQ=="}}), Mode::Replace),
            (json!({"metadata": {"labels": {}}, "data": {}}), json!({}), Mode::Replace),
            (json!({"data": {"a": "YQ=="}, "immutable": true}), json!({"data": {"a": "YQ=="}}), Mode::Replace),
            (
                json!({"data": {"a": "YQ=="}, "immutable": true}),
                json!({"data": {"a": "YQ=="}, "immutable": true}),
                Mode::Replace,
            ),
            (json!({"data": {"a": "YQ==", "b": "Yg=="}}), json!({"data": {"a": "YQ=="}}), Mode::Patch { own: false }),
            (json!({"type": "kubernetes.io/tls"}), json!({}), Mode::Patch { own: false }),
        ] {
            assert!(merge(&secret(&old), &secret(&new), mode).unwrap().is_none(), "{old} {new}");
        }
    }

    #[test]
    fn what_cannot_be_changed_is_refused_before_it_is_tried() {
        for (old, new, mode, expected) in [
            (
                json!({"immutable": true, "data": {"a": "YQ=="}}),
                json!({"data": {"a": "Yg=="}}),
                Mode::Replace,
                "the target Secret is immutable",
            ),
            (
                json!({"immutable": true}),
                json!({"data": {"a": "Yg=="}}),
                Mode::Patch { own: true },
                "the target Secret is immutable",
            ),
            (
                json!({"type": "kubernetes.io/tls"}),
                json!({}),
                Mode::Replace,
                "it is `kubernetes.io/tls`, the template asks for `Opaque`",
            ),
            (
                json!({}),
                json!({"type": "a/b"}),
                Mode::Patch { own: false },
                "it is `Opaque`, the template asks for `a/b`",
            ),
        ] {
            let refusal = merge(&secret(&old), &secret(&new), mode).unwrap_err();
            assert!(refusal.to_string().contains(expected), "{refusal}");
            assert_eq!(refusal.obstacle(), Obstacle::Secret);
        }
        // Metadata of an immutable Secret can be changed, and it can be made immutable.
        let labelled = merge(
            &secret(&json!({"immutable": true})),
            &secret(&json!({"metadata": {"labels": {"a": "b"}}})),
            Mode::Replace,
        );
        assert!(labelled.unwrap().is_some());
        let fixed = merge(&secret(&json!({})), &secret(&json!({"immutable": true})), Mode::Replace).unwrap().unwrap();
        assert_eq!(fixed.expose_secret().immutable, Some(true));
    }
}
