//! ExternalSecrets against a real API server; the stores are fake, or real where it says so.

mod aws;
mod lifecycle;
mod refusals;
mod rights;
mod vault;
mod writing;

use std::sync::Once;

use bulla_api::definition;
use bulla_controller::{ExternalOptions, Options, Running};
use bulla_testkit::control_plane::{ControlPlane, wait_for};
use serde_json::{Value, json};

use crate::fixture::{Fixture, PATIENCE, condition, status_of};

/// A namespace with a controller that looks after its ExternalSecrets, and after the cluster stores of this test.
pub(crate) struct External {
    pub(crate) fixture: Fixture,
}

impl External {
    pub(crate) fn new(hint: &str) -> Self {
        static DEFINED: Once = Once::new();
        DEFINED.call_once(|| {
            for definition in
                [definition::external_secret(), definition::secret_store(), definition::cluster_secret_store()]
            {
                ControlPlane::shared().define(&serde_json::to_string(&definition).unwrap());
            }
        });
        let (fixture, _) = Fixture::with_key(hint);
        Self { fixture }
    }

    pub(crate) fn options(&self) -> Options {
        let class = self.fixture.namespace.name().to_owned();
        let external = ExternalOptions { class, ..ExternalOptions::default() };
        Options { external: Some(external), ..self.fixture.options() }
    }

    pub(crate) async fn start(&self) -> Running {
        self.fixture.start_with(self.options()).await
    }

    /// Applies a SecretStore `fake` with these keys and values.
    pub(crate) fn fake_store(&self, values: &[(&str, &str)]) {
        let data: Vec<_> = values.iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
        self.store("fake", &json!({"fake": {"data": data}}));
    }

    pub(crate) fn store(&self, name: &str, provider: &Value) {
        let store = json!({
            "apiVersion": "external-secrets.io/v1", "kind": "SecretStore", "metadata": {"name": name},
            "spec": {"provider": provider},
        });
        self.fixture.namespace.apply(&store.to_string());
    }

    /// Applies an ExternalSecret with this specification; its store is `fake` unless it says otherwise.
    pub(crate) fn apply(&self, name: &str, spec: &Value) {
        let mut spec = spec.clone();
        if spec.get("secretStoreRef").is_none() {
            spec["secretStoreRef"] = json!({"name": "fake"});
        }
        let object = json!({
            "apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret", "metadata": {"name": name}, "spec": spec,
        });
        self.fixture.namespace.apply(&object.to_string());
    }

    pub(crate) fn get(&self, name: &str) -> Option<Value> {
        self.fixture.namespace.get("externalsecrets.external-secrets.io", name)
    }

    /// The ExternalSecret, once `Ready` has this status for its present generation, and it is as expected.
    pub(crate) fn reported(&self, name: &str, status: &str, is_expected: impl Fn(&Value) -> bool) -> Value {
        wait_for(&format!("`{name}` to be Ready={status}"), PATIENCE, || {
            let object = self.get(name)?;
            let current = object["status"]["observedGeneration"] == object["metadata"]["generation"];
            (current && status_of(&object, "Ready") == status && is_expected(&object)).then_some(object)
        })
    }

    pub(crate) fn synced(&self, name: &str) -> Value {
        self.reported(name, "True", |_| true)
    }

    /// Reason and message of its failure.
    pub(crate) fn failed(&self, name: &str) -> (String, String) {
        let object = self.reported(name, "False", |_| true);
        let ready = condition(&object, "Ready");
        (ready["reason"].as_str().unwrap().to_owned(), ready["message"].as_str().unwrap().to_owned())
    }

    pub(crate) fn values(&self, name: &str) -> Value {
        self.fixture.values(name)
    }

    pub(crate) fn wait_for_values(&self, name: &str, expected: &Value) {
        wait_for(&format!("Secret `{name}` to be {expected}"), PATIENCE, || {
            let secret = self.fixture.get("secret", name)?;
            (crate::fixture::values_of(&secret) == *expected).then_some(())
        });
    }
}

/// `data` with one entry for each pair of a key of the Secret and one of the store.
pub(crate) fn data(pairs: &[(&str, &str)]) -> Value {
    pairs.iter().map(|(key, remote)| json!({"secretKey": key, "remoteRef": {"key": remote}})).collect()
}
