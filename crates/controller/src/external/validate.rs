//! What an ExternalSecret may not ask for, though it is well-formed. Upstream's admission webhook says most of this; it may be absent.
//!
//! Source: external-secrets 2.9.0 `apis/externalsecrets/v1/externalsecret_validator.go`.

use std::collections::BTreeSet;

use bulla_api::ExternalSecret;
use bulla_api::external_secret::{CreationPolicy, DeletionPolicy};

use super::status::Outcome;

/// Why `object` cannot be worked on, if it cannot.
pub(crate) fn problem_of(object: &ExternalSecret) -> Option<Outcome> {
    if !object.unsupported.is_empty() {
        let message = format!("not supported: `{}`", object.unsupported.join("`, `"));
        return Some(Outcome::Failed { reason: "Unsupported", message });
    }
    let spec = &object.spec;
    let invalid = |message: String| Some(Outcome::Failed { reason: "InvalidExternalSecret", message });
    if spec.data.is_empty() && spec.data_from.is_empty() {
        return invalid("it asks for nothing: `spec.data` and `spec.dataFrom` are empty".to_owned());
    }
    if let Some(index) = spec.data_from.iter().position(|item| item.extract.is_none()) {
        return invalid(format!("`spec.dataFrom[{index}]` asks for nothing: `extract` is missing"));
    }
    let (creation, deletion) = (spec.target.creation_policy, spec.target.deletion_policy);
    if deletion == DeletionPolicy::Delete && creation != CreationPolicy::Owner {
        return invalid(
            "`deletionPolicy: Delete` deletes only what it owns: it needs `creationPolicy: Owner`".to_owned(),
        );
    }
    if deletion == DeletionPolicy::Merge && creation == CreationPolicy::None {
        return invalid("`deletionPolicy: Merge` has nothing to change under `creationPolicy: None`".to_owned());
    }
    let mut keys = BTreeSet::new();
    let twice = spec.data.iter().find(|item| !keys.insert(&item.secret_key));
    if let Some(item) = twice.filter(|_| deletion == DeletionPolicy::Retain) {
        return invalid(format!("`spec.data` has the key `{}` twice", item.secret_key));
    }
    None
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_cannot_be_meant_is_refused_with_the_place() {
        let data = json!([{"secretKey": "a", "remoteRef": {"key": "k"}}]);
        let twice = json!([data[0], data[0]]);
        for (spec, expected) in [
            (json!({"data": data}), None),
            (json!({}), Some("it asks for nothing")),
            (json!({"dataFrom": [{}]}), Some("`spec.dataFrom[0]` asks for nothing")),
            (json!({"dataFrom": [{"find": {}}]}), Some("not supported: `spec.dataFrom[0].find`")),
            (json!({"data": data, "target": {"deletionPolicy": "Delete"}}), None),
            (
                json!({"data": data, "target": {"deletionPolicy": "Delete", "creationPolicy": "Merge"}}),
                Some("`deletionPolicy: Delete` deletes only what it owns"),
            ),
            (
                json!({"data": data, "target": {"deletionPolicy": "Merge", "creationPolicy": "None"}}),
                Some("`deletionPolicy: Merge` has nothing to change"),
            ),
            (json!({"data": twice}), Some("`spec.data` has the key `a` twice")),
            (json!({"data": twice, "target": {"deletionPolicy": "Merge"}}), None),
        ] {
            let object = ExternalSecret::decode(ObjectMeta::default(), &json!({"spec": spec})).unwrap();
            match (problem_of(&object), expected) {
                (None, None) => {}
                (Some(Outcome::Failed { message, .. }), Some(expected)) => {
                    assert!(message.starts_with(expected), "{message}");
                }
                (found, _) => panic!("{spec}: {found:?}"),
            }
        }
    }
}
