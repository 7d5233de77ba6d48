//! Events, as both upstreams': core `v1`, with their component. About SealedSecrets there are three reasons. Only written when there is news.

use bulla_api::sealed_secret::{API_VERSION, KIND};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::core::Request;
use kube::{Client, Resource as _};

use crate::plan::Refusal;
use crate::secrets::{ApiError, answer, metadata_only, parameters};
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
    let about = About { api_version: API_VERSION, kind: KIND, component: "sealed-secrets", metadata };
    about.event(kind, reason, &message, now)
}

/// What an event is about, and who says it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About<'a> {
    /// `apiVersion` of the object.
    pub(crate) api_version: &'static str,
    /// `kind` of the object.
    pub(crate) kind: &'static str,
    /// How upstream calls itself.
    pub(crate) component: &'static str,
    /// The object.
    pub(crate) metadata: &'a ObjectMeta,
}

impl About<'_> {
    /// The event of this `kind` (`Normal`, `Warning`).
    pub(crate) fn event(&self, kind: &str, reason: &str, message: &str, now: Timestamp) -> Event {
        let metadata = self.metadata;
        let name = metadata.name.clone().unwrap_or_default();
        let time = Time(now);
        Event {
            metadata: ObjectMeta {
                // As client-go names them: unique by the nanosecond.
                name: Some(format!("{name}.{:x}", now.as_nanosecond())),
                // Events about what has no namespace are kept in `default`.
                namespace: Some(metadata.namespace.clone().unwrap_or_else(|| "default".to_owned())),
                ..ObjectMeta::default()
            },
            involved_object: ObjectReference {
                api_version: Some(self.api_version.to_owned()),
                kind: Some(self.kind.to_owned()),
                name: Some(name),
                namespace: metadata.namespace.clone(),
                uid: metadata.uid.clone(),
                resource_version: metadata.resource_version.clone(),
                ..ObjectReference::default()
            },
            type_: Some(kind.to_owned()),
            reason: Some(reason.to_owned()),
            message: Some(shortened(message, LONGEST_MESSAGE)),
            source: Some(EventSource { component: Some(self.component.to_owned()), host: None }),
            reporting_component: Some(self.component.to_owned()),
            count: Some(1),
            first_timestamp: Some(time.clone()),
            last_timestamp: Some(time),
            ..Event::default()
        }
    }
}

/// Writes `event`; whether that was possible. That it was not is no reason to do anything twice.
pub(crate) async fn write(client: &Client, event: &Event) -> bool {
    let namespace = event.metadata.namespace.as_deref().unwrap_or_default();
    let written = async {
        let body = serde_json::to_vec(event).map_err(|_| ApiError::Unreadable)?;
        let request = Request::new(Event::url_path(&(), Some(namespace)))
            .create(&parameters(), body)
            .map(metadata_only)
            .map_err(|error| ApiError::Unreachable(error.to_string()))?;
        answer(client.request_text(request)).await
    };
    match written.await {
        Ok(_) => true,
        Err(error) => {
            let object = &event.involved_object;
            let (kind, name) = (object.kind.as_deref(), object.name.as_deref());
            tracing::debug!(kind, namespace, name, %error, "event not written");
            false
        }
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
