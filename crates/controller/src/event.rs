//! Events about SealedSecrets, as upstream's: core `v1`, component `sealed-secrets`, three reasons. Only written when there is news.

use bulla_api::sealed_secret::{API_VERSION, KIND};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use crate::plan::Refusal;
use crate::status::{Outcome, shortened};

/// Longest message of an event, in bytes.
const LONGEST_MESSAGE: usize = 1024;

/// The event that tells of `outcome`, at `now`, about the SealedSecret with this metadata.
pub fn of(metadata: &ObjectMeta, outcome: &Outcome, now: Timestamp) -> Event {
    let (kind, reason, message) = match outcome {
        Outcome::Synced { .. } => ("Normal", "Unsealed", "SealedSecret unsealed successfully".to_owned()),
        Outcome::Refused(refusal @ (Refusal::Malformed(_) | Refusal::Unseal(_))) => {
            ("Warning", "ErrUnsealFailed", format!("Failed to unseal: {refusal}"))
        }
        Outcome::Refused(refusal) => ("Warning", "ErrUpdateFailed", refusal.to_string()),
        Outcome::Failed(message) => ("Warning", "ErrUpdateFailed", message.clone()),
    };
    let name = metadata.name.clone().unwrap_or_default();
    let time = Time(now);
    Event {
        metadata: ObjectMeta {
            // As client-go names them: unique by the nanosecond.
            name: Some(format!("{name}.{:x}", now.as_nanosecond())),
            namespace: metadata.namespace.clone(),
            ..ObjectMeta::default()
        },
        involved_object: ObjectReference {
            api_version: Some(API_VERSION.to_owned()),
            kind: Some(KIND.to_owned()),
            name: Some(name),
            namespace: metadata.namespace.clone(),
            uid: metadata.uid.clone(),
            resource_version: metadata.resource_version.clone(),
            ..ObjectReference::default()
        },
        type_: Some(kind.to_owned()),
        reason: Some(reason.to_owned()),
        message: Some(shortened(&message, LONGEST_MESSAGE)),
        source: Some(EventSource { component: Some("sealed-secrets".to_owned()), host: None }),
        reporting_component: Some("sealed-secrets".to_owned()),
        count: Some(1),
        first_timestamp: Some(time.clone()),
        last_timestamp: Some(time),
        ..Event::default()
    }
}

#[cfg(test)]
mod tests {
    use bulla_sealed::UnsealError;

    use super::*;
    use crate::name::ObjectName;

    #[test]
    fn reasons_and_words_are_upstreams() {
        let metadata = ObjectMeta {
            name: Some("db".to_owned()),
            namespace: Some("shop".to_owned()),
            uid: Some("u".to_owned()),
            ..ObjectMeta::default()
        };
        let secret = ObjectName::of(&metadata);
        for (outcome, expected) in [
            (Outcome::Synced { wrote: true, values: 1 }, ("Normal", "Unsealed", "SealedSecret unsealed successfully")),
            (
                Outcome::Refused(Refusal::Unseal(UnsealError::BothFormats)),
                ("Warning", "ErrUnsealFailed", "Failed to unseal: cannot use the field 'encryptedData' and"),
            ),
            (
                Outcome::Refused(Refusal::NotManaged { secret: secret.clone(), declined: false }),
                ("Warning", "ErrUpdateFailed", "Resource \"db\" already exists and is not managed by SealedSecret"),
            ),
            (
                Outcome::Refused(Refusal::Immutable(secret)),
                ("Warning", "ErrUpdateFailed", "Error updating shop/db: the target Secret is immutable."),
            ),
            (Outcome::Failed("timeout".to_owned()), ("Warning", "ErrUpdateFailed", "timeout")),
        ] {
            let event = of(&metadata, &outcome, Timestamp::UNIX_EPOCH);
            assert_eq!((event.type_.as_deref().unwrap(), event.reason.as_deref().unwrap()), (expected.0, expected.1));
            assert!(event.message.unwrap().starts_with(expected.2), "{outcome:?}");
            assert_eq!(event.involved_object.uid.as_deref(), Some("u"));
            assert_eq!(event.metadata.namespace.as_deref(), Some("shop"));
        }
    }
}
