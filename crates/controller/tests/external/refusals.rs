//! What cannot be done, and how that is told.

use bulla_testkit::control_plane::{ControlPlane, wait_for};
use bulla_testkit::needs_peers;
use serde_json::{Value, json};

use super::{External, data};
use crate::fixture::{PATIENCE, condition, status_of};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_supported_is_named() {
    needs_peers!();
    let external = External::new("ext-unsupported");
    external.fake_store(&[("a", "one")]);
    external.store("google", &json!({"gcpsm": {"projectID": "p"}}));
    let running = external.start().await;
    for (name, spec, reason, expected) in [
        (
            "find",
            json!({"dataFrom": [{"find": {"name": {"regexp": "x"}}}]}),
            "Unsupported",
            "not supported: `spec.dataFrom[0].find`",
        ),
        (
            "typo",
            json!({"data": data(&[("a", "a")]), "refreshIntervall": "1h"}),
            "Unsupported",
            "not supported: `spec.refreshIntervall`",
        ),
        ("nothing", json!({}), "InvalidExternalSecret", "it asks for nothing"),
        (
            "google",
            json!({"secretStoreRef": {"name": "google"}, "data": data(&[("a", "a")])}),
            "Unsupported",
            "`spec.data[0]` (key `a`): the SecretStore `google` asks for something that is not supported: `spec.provider.gcpsm`",
        ),
        (
            "no-store",
            json!({"secretStoreRef": {"name": "nobody"}, "data": data(&[("a", "a")])}),
            "StoreNotFound",
            "`spec.data[0]` (key `a`): the SecretStore `nobody` does not exist",
        ),
        (
            "interval",
            json!({"data": data(&[("a", "a")]), "refreshInterval": "soon"}),
            "InvalidExternalSecret",
            "`spec.refreshInterval`: expected a duration",
        ),
        (
            "privileged",
            json!({"data": data(&[("a", "a")]), "target": {"template": {"type": "bootstrap.kubernetes.io/token"}}}),
            "PrivilegedSecretType",
            "a template may not make a Secret of type",
        ),
    ] {
        external.apply(name, &spec);
        let (found, message) = external.failed(name);
        assert_eq!(found, reason, "{name}: {message}");
        assert!(message.starts_with(expected), "{name}: {message}");
        assert!(external.fixture.get("secret", name).is_none(), "{name}");
    }
    let store = wait_for("the store to be told", PATIENCE, || {
        let store = external.fixture.namespace.get("secretstores.external-secrets.io", "google")?;
        (status_of(&store, "Ready") == "False").then_some(store)
    });
    assert_eq!(condition(&store, "Ready")["message"], "not supported: `spec.provider.gcpsm`");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_comes_later_wakes_who_waits_for_it() {
    needs_peers!();
    let external = External::new("ext-late");
    let running = external.start().await;
    external.apply("db", &json!({"data": data(&[("a", "a")])}));
    assert_eq!(external.failed("db").0, "StoreNotFound");
    external.fake_store(&[]);
    external.reported("db", "False", |object| condition(object, "Ready")["reason"] == "SecretNotFound");
    external.fake_store(&[("a", "one")]);
    external.synced("db");
    assert_eq!(external.values("db"), json!({"a": "one"}));
    let store = external.fixture.namespace.get("secretstores.external-secrets.io", "fake").unwrap();
    let ready = condition(&store, "Ready");
    assert_eq!((&ready["status"], &ready["reason"]), (&json!("True"), &json!("Valid")));
    assert_eq!(store["status"]["capabilities"], "ReadOnly");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_store_is_for_the_namespaces_that_it_names() {
    needs_peers!();
    let external = External::new("ext-cluster");
    let class = external.fixture.namespace.name().to_owned();
    let define = |name: &str, controller: &str, conditions: Value| {
        let store = json!({
            "apiVersion": "external-secrets.io/v1", "kind": "ClusterSecretStore", "metadata": {"name": name},
            "spec": {"controller": controller, "conditions": conditions, "provider": {"fake": {"data": [{"key": "a", "value": "one"}]}}},
        });
        ControlPlane::shared().apply(&store.to_string());
    };
    let running = external.start().await;
    let own = class.as_str();
    for (name, controller, conditions, expected) in [
        ("all", own, json!([]), Some("True")),
        ("named", own, json!([{"namespaces": ["other", own]}]), Some("True")),
        ("pattern", own, json!([{"namespaceRegexes": ["^ext-"]}]), Some("True")),
        (
            "labelled",
            own,
            json!([{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": own}}}]),
            Some("True"),
        ),
        (
            "not-named",
            own,
            json!([{"namespaces": ["other"]}, {"namespaceRegexes": ["^other"]}, {"namespaceSelector": {"matchLabels": {"a": "b"}}}]),
            Some("False"),
        ),
        ("of-another", "another", json!([]), None),
    ] {
        let store = format!("{own}-{name}");
        define(&store, controller, conditions);
        external.apply(
            name,
            &json!({"secretStoreRef": {"name": store, "kind": "ClusterSecretStore"}, "data": data(&[("a", "a")])}),
        );
        match expected {
            Some(status) => {
                let object = external.reported(name, status, |object| {
                    // The store may be seen a moment later than the object.
                    condition(object, "Ready")["reason"] != "StoreNotFound"
                });
                if status == "False" {
                    assert_eq!(condition(&object, "Ready")["reason"], "StoreNotAllowed");
                }
            }
            None => {
                tokio::time::sleep(std::time::Duration::from_secs(2)).await;
                let object = external.get(name).unwrap();
                let reason = &condition(&object, "Ready")["reason"];
                assert!(reason.is_null() || reason == "StoreNotFound", "another controller looks after it: {reason}");
            }
        }
        let _ = ControlPlane::shared().kubectl(["delete", "clustersecretstore", &store]).run().unwrap().success();
    }
    running.stop().await;
}
