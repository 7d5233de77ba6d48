//! What should be: from an ExternalSecret, what was fetched for it and the Secret that exists, to the Secret that is to be written. Pure.
//!
//! ```text
//! keys          Owner, Orphan: only what is fetched or rendered    Merge, CreateOrMerge: what we wrote before goes, the rest stays
//! metadata      what we wrote before goes; then the template's, or else the labels and annotations of the ExternalSecret
//! precedence    template.data, then what was fetched, then what exists
//! ownership     Owner: controlled by the ExternalSecret            else: a reference that we once set goes
//! ```
//! What we wrote before is what the API server notes for our field manager. Source: external-secrets 2.9.0 `pkg/controllers/externalsecret`,
//! `pkg/template/v2`. Other than upstream: what GitOps engines and kubectl note about the ExternalSecret is not copied to the Secret (their
//! engine would take the Secret for its own); of a Secret that is right already but for an older digest, nothing is written.

use std::collections::{BTreeMap, BTreeSet};

use bulla_api::ExternalSecret;
use bulla_api::external_secret::{
    API_VERSION, CREATED_BY_LABEL, CreationPolicy, DATA_HASH_ANNOTATION, KIND, MANAGED_LABEL, MergePolicy, Template,
};
use bulla_crypto::SecretBytes;
use bulla_sealed::KeyRing;
use bulla_sealed::unseal::wipe;
use bulla_template::{Options, TemplateError, Value};
use bulla_wipe::Wiping;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use super::hash::{self, created_by, field_manager, keyed_hash};
use super::values::Values;
use crate::plan::{Plaintext, same};

/// The type that a Secret has when none is named.
const DEFAULT_TYPE: &str = "Opaque";
/// Label that Argo CD puts on what it manages.
const ARGO_LABEL: &str = "argocd.argoproj.io/instance";
/// Annotations about the ExternalSecret that mean nothing, or the wrong thing, on its Secret.
const NOT_COPIED: [&str; 2] = ["kubectl.kubernetes.io/last-applied-configuration", "argocd.argoproj.io/tracking-id"];

/// What is to be done to the Secret.
#[derive(Debug)]
pub(crate) enum Change {
    /// Nothing: it is as it should be.
    None,
    /// Nothing: the policy forbids it, for this reason.
    Forbidden(&'static str),
    /// To create it.
    Create(Plaintext),
    /// To replace it.
    Replace(Plaintext),
}

/// Why the Secret cannot be made.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(crate) enum PlanError {
    #[error("`{field}`{error}", error = in_template(.error))]
    Template { field: String, error: TemplateError },
    #[error("`{field}` renders to something that is not text, which a label or annotation has to be")]
    NotText { field: String },
    #[error(
        "the Secret `{secret}` is owned by {owner}; name another Secret in `spec.target.name`, or delete one of the two"
    )]
    Owned { secret: String, owner: String },
    #[error(
        "the Secret `{0}` is immutable, and the values in the store are others now; delete the Secret to have it made anew"
    )]
    Immutable(String),
    #[error(
        "the type of a Secret cannot be changed: it is `{found}`, the template asks for `{wanted}`; delete the Secret to have it made anew"
    )]
    TypeChanged { found: String, wanted: String },
    #[error("a template may not make a Secret of type `{0}`: it would grant what its author may not have")]
    Privileged(String),
}

fn in_template(error: &TemplateError) -> String {
    let stage = match error.stage {
        bulla_template::Stage::Parse => "cannot be read as a template",
        bulla_template::Stage::Execute => "cannot be rendered",
    };
    format!(" {stage}: {error}")
}

impl PlanError {
    /// One word for programs.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Template { .. } | Self::NotText { .. } => "TemplateFailed",
            Self::Owned { .. } => "SecretOwnedByOther",
            Self::Immutable(_) => "SecretImmutable",
            Self::TypeChanged { .. } => "SecretTypeChanged",
            Self::Privileged(_) => "PrivilegedSecretType",
        }
    }
}

/// What has to be done so that the Secret of `object` holds `values`.
pub(crate) fn plan(
    object: &ExternalSecret,
    values: Values,
    existing: Option<&Secret>,
    ring: &KeyRing,
) -> Result<Change, PlanError> {
    let policy = object.spec.target.creation_policy;
    match (policy, existing) {
        (CreationPolicy::None, _) => return Ok(Change::Forbidden("nothing is written: `creationPolicy` is `None`")),
        (CreationPolicy::Merge, None) => {
            return Ok(Change::Forbidden("secret will not be created due to CreationPolicy=Merge"));
        }
        _ => {}
    }
    if let Some(template) = &object.spec.target.template {
        refuse_privileged(template)?;
    }
    let desired = desired(object, values, existing)?;
    let mut desired = Plaintext::new(desired);
    let Some(existing) = existing else {
        sign(desired.get_mut(), None, ring);
        return Ok(Change::Create(desired));
    };
    sign(desired.get_mut(), existing.metadata.annotations.as_ref(), ring);
    let wanted = desired.expose_secret();
    let same_data = same(existing.data.as_ref(), wanted.data.as_ref());
    if !same_data && existing.immutable == Some(true) {
        return Err(PlanError::Immutable(object.target_name().to_owned()));
    }
    let (old, new) = (&existing.metadata, &wanted.metadata);
    let unchanged = same_data
        && same(old.labels.as_ref(), new.labels.as_ref())
        && same(old.annotations.as_ref(), new.annotations.as_ref())
        && old.owner_references.as_deref().unwrap_or_default() == new.owner_references.as_deref().unwrap_or_default()
        && old.finalizers.as_deref().unwrap_or_default() == new.finalizers.as_deref().unwrap_or_default()
        && existing.immutable.unwrap_or_default() == wanted.immutable.unwrap_or_default();
    if unchanged {
        return Ok(Change::None);
    }
    // The API server keeps its own account of who manages which field.
    desired.get_mut().metadata.managed_fields = None;
    Ok(Change::Replace(desired))
}

/// Whether the Secret is one of `object`, and nobody changed its data since it was written.
pub(crate) fn is_as_written(existing: &Secret, ring: &KeyRing) -> bool {
    let metadata = &existing.metadata;
    let managed = metadata.labels.as_ref().and_then(|labels| labels.get(MANAGED_LABEL)).is_some_and(|it| it == "true");
    let found = metadata.annotations.as_ref().and_then(|all| all.get(DATA_HASH_ANNOTATION));
    managed && found.is_some_and(|found| hash::fits(found, existing.data.as_ref().unwrap_or(&BTreeMap::new()), ring))
}

/// Whether `object` controls the Secret with this metadata.
pub(crate) fn controls(object: &ExternalSecret, secret: &ObjectMeta) -> bool {
    let controller = controller_of(secret);
    controller.is_some_and(|owner| Some(&owner.uid) == object.metadata.uid.as_ref())
}

fn controller_of(metadata: &ObjectMeta) -> Option<&OwnerReference> {
    metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))
}

/// Types with which the API server or kubelet grants something to whoever made the Secret.
fn refuse_privileged(template: &Template) -> Result<(), PlanError> {
    const SERVICE_ACCOUNT: &str = "kubernetes.io/service-account-token";
    const ACCOUNT_NAME: &str = "kubernetes.io/service-account.name";
    const BOOTSTRAP: &str = "bootstrap.kubernetes.io/token";
    let kind = template.kind.as_deref().unwrap_or_default();
    if kind == BOOTSTRAP || (kind == SERVICE_ACCOUNT && template.metadata.annotations.contains_key(ACCOUNT_NAME)) {
        return Err(PlanError::Privileged(kind.to_owned()));
    }
    Ok(())
}

fn desired(object: &ExternalSecret, values: Values, existing: Option<&Secret>) -> Result<Secret, PlanError> {
    let target = &object.spec.target;
    let own_name = object.metadata.name.as_deref().unwrap_or_default();
    let mut secret = Plaintext::new(existing.cloned().unwrap_or_default());
    let secret_now = secret.get_mut();
    secret_now.metadata.name = Some(object.target_name().to_owned());
    secret_now.metadata.namespace.clone_from(&object.metadata.namespace);
    if target.immutable {
        secret_now.immutable = Some(true);
    }
    own(object, secret_now)?;

    let frozen = existing.is_some_and(|existing| existing.immutable == Some(true));
    let ours = Ours::of(secret_now, &field_manager(own_name));
    ours.release(secret_now);
    let merges = matches!(target.creation_policy, CreationPolicy::Merge | CreationPolicy::CreateOrMerge);
    if !merges && !frozen || merges && existing.is_none() {
        clear(secret_now);
    }
    let strings = Strings::new(&values, target.template.as_ref());
    match &target.template {
        None => {
            let metadata = &object.metadata;
            let labels = metadata.labels.iter().flatten().filter(|(name, _)| *name != ARGO_LABEL);
            let annotations = metadata.annotations.iter().flatten();
            let annotations = annotations.filter(|(name, _)| !NOT_COPIED.contains(&name.as_str()));
            extend(&mut secret_now.metadata.labels, labels.map(clone_pair));
            extend(&mut secret_now.metadata.annotations, annotations.map(clone_pair));
            extend(&mut secret_now.data, values.into_iter().map(bytes));
        }
        Some(template) => {
            if let Some(wanted) = &template.kind {
                let found = existing.map(|existing| existing.type_.as_deref().unwrap_or(DEFAULT_TYPE));
                if let Some(found) = found.filter(|found| found != wanted) {
                    return Err(PlanError::TypeChanged { found: found.to_owned(), wanted: wanted.clone() });
                }
                secret_now.type_ = Some(wanted.clone());
            }
            for finalizer in &template.metadata.finalizers {
                let finalizers = secret_now.metadata.finalizers.get_or_insert_default();
                if !finalizers.contains(finalizer) {
                    finalizers.push(finalizer.clone());
                }
            }
            if template.merge_policy == MergePolicy::Merge || template.data.is_empty() {
                extend(&mut secret_now.data, values.into_iter().map(bytes));
            }
            for (key, text) in &template.data {
                let rendered = strings.render(&format!("spec.target.template.data.{key}"), key, text)?;
                extend(&mut secret_now.data, [(key.clone(), ByteString(rendered.to_vec()))]);
            }
            let labels = rendered_texts(&strings, "labels", &template.metadata.labels)?;
            let annotations = rendered_texts(&strings, "annotations", &template.metadata.annotations)?;
            extend(&mut secret_now.metadata.labels, labels);
            extend(&mut secret_now.metadata.annotations, annotations);
        }
    }
    let labels = secret_now.metadata.labels.get_or_insert_default();
    labels.insert(MANAGED_LABEL.to_owned(), "true".to_owned());
    if target.creation_policy == CreationPolicy::Owner {
        let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
        labels.insert(CREATED_BY_LABEL.to_owned(), created_by(namespace, own_name));
    } else {
        labels.remove(CREATED_BY_LABEL);
    }
    Ok(std::mem::take(secret_now))
}

/// Sets or removes the reference to `object` as the owner.
fn own(object: &ExternalSecret, secret: &mut Secret) -> Result<(), PlanError> {
    let ours = |owner: &OwnerReference| Some(&owner.uid) == object.metadata.uid.as_ref();
    let owners_so = object.spec.target.creation_policy == CreationPolicy::Owner;
    if let Some(owner) = controller_of(&secret.metadata).filter(|owner| !ours(owner)) {
        let another = owner.kind == KIND && owner.api_version.starts_with(bulla_api::external_secret::GROUP);
        if another || owners_so {
            return Err(PlanError::Owned {
                secret: object.target_name().to_owned(),
                owner: format!("the {} `{}`", owner.kind, owner.name),
            });
        }
    }
    let owners = secret.metadata.owner_references.get_or_insert_default();
    if owners_so {
        let reference = OwnerReference {
            api_version: API_VERSION.to_owned(),
            kind: KIND.to_owned(),
            name: object.metadata.name.clone().unwrap_or_default(),
            uid: object.metadata.uid.clone().unwrap_or_default(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        };
        match owners.iter_mut().find(|owner| ours(owner)) {
            // One that upstream wrote under the older version of the group says the same.
            Some(owner) if owner.controller == Some(true) => {}
            Some(owner) => *owner = reference,
            None => owners.push(reference),
        }
    } else {
        owners.retain(|owner| !ours(owner));
    }
    if owners.is_empty() {
        secret.metadata.owner_references = None;
    }
    Ok(())
}

/// What of a Secret is ours, by the API server's account.
struct Ours {
    data: BTreeSet<String>,
    labels: BTreeSet<String>,
    annotations: BTreeSet<String>,
}

impl Ours {
    fn of(secret: &Secret, manager: &str) -> Self {
        let entries = secret.metadata.managed_fields.iter().flatten();
        let entries: Vec<_> = entries
            .filter(|entry| entry.manager.as_deref() == Some(manager) && entry.subresource.is_none())
            .filter_map(|entry| Some(&entry.fields_v1.as_ref()?.0))
            .collect();
        let names = |path: &str| {
            let fields = entries.iter().filter_map(|fields| fields.pointer(path)?.as_object());
            fields.flatten().filter_map(|(name, _)| Some(name.strip_prefix("f:")?.to_owned())).collect()
        };
        Self {
            data: names("/f:data"),
            labels: names("/f:metadata/f:labels"),
            annotations: names("/f:metadata/f:annotations"),
        }
    }

    /// Takes it all away, but for data that cannot be changed any more.
    fn release(&self, secret: &mut Secret) {
        for name in &self.labels {
            secret.metadata.labels.as_mut().map(|labels| labels.remove(name));
        }
        for name in self.annotations.iter().filter(|name| *name != DATA_HASH_ANNOTATION) {
            secret.metadata.annotations.as_mut().map(|annotations| annotations.remove(name));
        }
        for name in &self.data {
            if let Some(ByteString(value)) = secret.data.as_mut().and_then(|data| data.get_mut(name)) {
                bulla_wipe::wipe(value);
            }
            secret.data.as_mut().map(|data| data.remove(name));
        }
    }
}

/// Empties the data, and wipes it.
fn clear(secret: &mut Secret) {
    wipe(secret);
    secret.data = None;
}

/// Annotates the digest of the data. One that fits already stays, whoever wrote it.
fn sign(secret: &mut Secret, found: Option<&BTreeMap<String, String>>, ring: &KeyRing) {
    let empty = BTreeMap::new();
    let data = secret.data.as_ref().unwrap_or(&empty);
    let found = found.and_then(|all| all.get(DATA_HASH_ANNOTATION)).filter(|found| hash::fits(found, data, ring));
    let digest = found.cloned().or_else(|| keyed_hash(data, ring)).unwrap_or_else(|| hash::plain_hash(data));
    secret.metadata.annotations.get_or_insert_default().insert(DATA_HASH_ANNOTATION.to_owned(), digest);
}

/// What templates are given.
struct Strings(Value);

impl Strings {
    fn new(values: &Values, template: Option<&Template>) -> Self {
        if template.is_none() {
            return Self(Value::Nil);
        }
        let copy = |value: &SecretBytes| Wiping::new(value.expose_secret().to_vec());
        Self(Value::Strings(values.iter().map(|(key, value)| (key.clone(), copy(value))).collect()))
    }

    fn render(&self, field: &str, name: &str, text: &str) -> Result<Wiping<Vec<u8>>, PlanError> {
        let error = |error| PlanError::Template { field: field.to_owned(), error };
        let template =
            bulla_template::Template::parse(name, text.as_bytes(), Options::external_secrets()).map_err(error)?;
        template.execute(&self.0).map_err(error)
    }
}

fn rendered_texts(
    strings: &Strings,
    what: &str,
    templates: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, PlanError> {
    let render = |(name, text): (&String, &String)| {
        let field = format!("spec.target.template.metadata.{what}.{name}");
        let rendered = strings.render(&field, name, text)?;
        let text = std::str::from_utf8(&rendered).map_err(|_| PlanError::NotText { field })?;
        Ok((name.clone(), text.to_owned()))
    };
    templates.iter().map(render).collect()
}

fn bytes((key, value): (String, SecretBytes)) -> (String, ByteString) {
    // Wiped with the Secret that it is in.
    (key, ByteString(value.expose_secret().to_vec()))
}

fn clone_pair((name, value): (&String, &String)) -> (String, String) {
    (name.clone(), value.clone())
}

fn extend<V>(map: &mut Option<BTreeMap<String, V>>, more: impl IntoIterator<Item = (String, V)>) {
    let mut more = more.into_iter().peekable();
    if more.peek().is_some() {
        map.get_or_insert_default().extend(more);
    }
}
