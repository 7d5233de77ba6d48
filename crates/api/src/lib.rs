//! The custom resources that bulla reads, every field documented; the CRDs in `deploy/crds/` are generated from these types.
//!
//! ```text
//! sealed_secret    SealedSecret, bitnami.com/v1alpha1: what is sealed, the Secret it becomes, how that went
//! external_secret  ExternalSecret, external-secrets.io/v1 and v1beta1: what is fetched, the Secret it becomes, how that went
//! secret_store     SecretStore and ClusterSecretStore: where it is fetched from
//! fields           JSON → these types, tolerant where the API server is, an error that names the field where it is not
//! definition       types → CustomResourceDefinition
//! duration         durations as Go writes them
//! ```
//!
//! Accepted by the CRDs is what upstream's CRDs accept (sealed-secrets 0.38.4, external-secrets 2.9.0); the descriptions are our own.
//! Nothing here knows a key.

pub mod definition;
pub mod duration;
pub mod external_secret;
mod fields;
pub mod sealed_secret;
pub mod secret_store;

pub use external_secret::ExternalSecret;
pub use fields::DecodeError;
pub use sealed_secret::{
    Condition, ConditionStatus, SealedSecret, SealedSecretSpec, SealedSecretStatus, SecretTemplate, TemplateMetadata,
};
pub use secret_store::SecretStore;
