//! The custom resources that bulla reads, every field documented; the CRDs in `deploy/crds/` are generated from these types.
//!
//! ```text
//! sealed_secret   SealedSecret, bitnami.com/v1alpha1: what is sealed, the Secret it becomes, how that went
//! decode          JSON → SealedSecret, tolerant where the API server is, an error that names the field where it is not
//! definition      types → CustomResourceDefinition
//! ```
//!
//! Accepted by the CRD is what upstream's CRD accepts (sealed-secrets 0.38.4); the descriptions are our own. Nothing here knows a key.

pub mod decode;
pub mod definition;
pub mod sealed_secret;

pub use decode::DecodeError;
pub use sealed_secret::{
    Condition, ConditionStatus, SealedSecret, SealedSecretSpec, SealedSecretStatus, SecretTemplate, TemplateMetadata,
};
