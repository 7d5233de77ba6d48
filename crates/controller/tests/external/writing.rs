//! What the Secret becomes.

use bulla_testkit::needs_peers;
use serde_json::json;

use super::{External, data};
use crate::fixture::{condition, settle, status_of};

#[tokio::test(flavor = "multi_thread")]
async fn values_become_a_secret_with_upstreams_marks() {
    needs_peers!();
    let external = External::new("ext-marks");
    external.fake_store(&[("prod/db", r#"{"user": "app", "password": "hunter2", "port": 5432}"#), ("token", "abc")]);
    let running = external.start().await;
    external.apply(
        "db",
        &json!({
            "refreshInterval": "1h",
            "dataFrom": [{"extract": {"key": "prod/db"}}],
            "data": [
                {"secretKey": "api-token", "remoteRef": {"key": "token"}},
                {"secretKey": "password2", "remoteRef": {"key": "prod/db", "property": "password"}},
            ],
        }),
    );
    let object = external.synced("db");
    let ready = condition(&object, "Ready");
    assert_eq!((&ready["reason"], &ready["message"]), (&json!("SecretSynced"), &json!("secret synced")));
    assert_eq!(object["status"]["binding"]["name"], "db");
    assert!(object["status"]["syncedResourceVersion"].as_str().unwrap().starts_with("1-"));
    assert!(object["metadata"].get("finalizers").is_none(), "none is needed");
    assert_eq!(
        external.values("db"),
        json!({"user": "app", "password": "hunter2", "port": "5432", "api-token": "abc", "password2": "hunter2"})
    );
    let secret = external.fixture.get("secret", "db").unwrap();
    let owner = &secret["metadata"]["ownerReferences"][0];
    assert_eq!((&owner["kind"], &owner["controller"]), (&json!("ExternalSecret"), &json!(true)));
    let labels = &secret["metadata"]["labels"];
    assert_eq!(labels["reconcile.external-secrets.io/managed"], "true");
    assert_eq!(labels["reconcile.external-secrets.io/created-by"].as_str().unwrap().len(), 56);
    let annotations = secret["metadata"]["annotations"].as_object().unwrap();
    assert_eq!(annotations.keys().collect::<Vec<_>>(), ["reconcile.external-secrets.io/data-hash"]);
    assert_eq!(secret["metadata"]["managedFields"][0]["manager"], "externalsecrets.external-secrets.io/db");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_older_version_of_a_manifest_is_served_as_well() {
    needs_peers!();
    let external = External::new("ext-beta");
    let running = external.start().await;
    external.fixture.namespace.apply(
        r"{apiVersion: external-secrets.io/v1beta1, kind: SecretStore, metadata: {name: old}, spec: {provider: {fake: {data: [{key: a, value: one}]}}}}",
    );
    external.fixture.namespace.apply(
        r"{apiVersion: external-secrets.io/v1beta1, kind: ExternalSecret, metadata: {name: old}, spec: {refreshInterval: 1h,
            secretStoreRef: {name: old, kind: SecretStore}, target: {name: of-old, creationPolicy: Owner},
            data: [{secretKey: a, remoteRef: {key: a, conversionStrategy: Default, decodingStrategy: None, metadataPolicy: None}}]}}",
    );
    external.synced("old");
    assert_eq!(external.values("of-old"), json!({"a": "one"}));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn templates_make_data_type_and_metadata() {
    needs_peers!();
    let external = External::new("ext-template");
    external.fake_store(&[("user", "app"), ("password", "hunter2")]);
    let running = external.start().await;
    external.apply(
        "pull",
        &json!({
            "target": {"template": {
                "type": "kubernetes.io/dockerconfigjson",
                "metadata": {"labels": {"for": "{{ .user }}"}, "annotations": {"note": "{{ .user | upper }}"}},
                "data": {".dockerconfigjson": "{\"auths\":{\"r\":{\"auth\":\"{{ printf \"%s:%s\" .user .password | b64enc }}\"}}}"},
            }},
            "data": data(&[("user", "user"), ("password", "password")]),
        }),
    );
    external.synced("pull");
    let secret = external.fixture.get("secret", "pull").unwrap();
    assert_eq!(secret["type"], "kubernetes.io/dockerconfigjson");
    assert_eq!(external.values("pull"), json!({".dockerconfigjson": r#"{"auths":{"r":{"auth":"YXBwOmh1bnRlcjI="}}}"#}));
    assert_eq!(secret["metadata"]["labels"]["for"], "app");
    assert_eq!(secret["metadata"]["annotations"]["note"], "APP");

    // A template that fails leaves the Secret as it is, and says where.
    external.apply(
        "pull",
        &json!({
            "target": {"template": {"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": "{{ .nobody }}"}}},
            "data": data(&[("user", "user")]),
        }),
    );
    let (reason, message) = external.failed("pull");
    assert_eq!(reason, "TemplateFailed");
    assert!(message.contains("`spec.target.template.data..dockerconfigjson` cannot be rendered"), "{message}");
    assert_eq!(external.values("pull"), json!({".dockerconfigjson": r#"{"auths":{"r":{"auth":"YXBwOmh1bnRlcjI="}}}"#}));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_of_creation_decide_what_is_kept() {
    needs_peers!();
    let external = External::new("ext-policies");
    external.fake_store(&[("a", "one")]);
    let running = external.start().await;
    let existing = |name: &str| {
        external.fixture.apply(&json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "labels": {"theirs": "yes"}}, "stringData": {"theirs": "x"},
        }));
    };
    for name in ["owner", "merge", "create-or-merge"] {
        existing(name);
    }
    for (name, policy) in [
        ("owner", "Owner"),
        ("orphan", "Orphan"),
        ("merge", "Merge"),
        ("merge-missing", "Merge"),
        ("create-or-merge", "CreateOrMerge"),
        ("created", "CreateOrMerge"),
        ("none", "None"),
    ] {
        external.apply(name, &json!({"target": {"creationPolicy": policy}, "data": data(&[("a", "a")])}));
    }
    for (name, expected) in [
        ("owner", Some(json!({"a": "one"}))),
        ("orphan", Some(json!({"a": "one"}))),
        ("merge", Some(json!({"a": "one", "theirs": "x"}))),
        ("merge-missing", None),
        ("create-or-merge", Some(json!({"a": "one", "theirs": "x"}))),
        ("created", Some(json!({"a": "one"}))),
        ("none", None),
    ] {
        let object = external.synced(name);
        let secret = external.fixture.get("secret", name);
        assert_eq!(secret.as_ref().map(crate::fixture::values_of), expected, "{name}");
        let owned = secret.as_ref().is_some_and(|secret| secret["metadata"].get("ownerReferences").is_some());
        assert_eq!(owned, name == "owner", "{name}");
        if name == "merge-missing" {
            assert_eq!(condition(&object, "Ready")["reason"], "SecretMissing");
        }
        if let Some(secret) = secret.filter(|_| ["merge", "owner", "create-or-merge"].contains(&name)) {
            assert_eq!(secret["metadata"]["labels"]["theirs"], "yes", "{name}");
        }
    }
    // A key that is asked for no more goes; what is somebody else's stays.
    external.fake_store(&[("a", "one"), ("b", "two")]);
    external.apply("merge", &json!({"target": {"creationPolicy": "Merge"}, "data": data(&[("b", "b")])}));
    external.wait_for_values("merge", &json!({"b": "two", "theirs": "x"}));
    let before = settle(&running).await;
    running.stop().await;
    let running = external.start().await;
    let after = settle(&running).await;
    assert_eq!((after.secret_writes, after.status_writes, after.events), (0, 0, 0), "before: {before:?}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_of_another_owner_is_left_alone() {
    needs_peers!();
    let external = External::new("ext-owner");
    external.fake_store(&[("a", "one"), ("b", "two")]);
    let running = external.start().await;
    external.apply("first", &json!({"target": {"name": "shared"}, "data": data(&[("a", "a")])}));
    external.synced("first");
    for policy in ["Owner", "Merge", "Orphan"] {
        external.apply(
            "second",
            &json!({"target": {"name": "shared", "creationPolicy": policy}, "data": data(&[("b", "b")])}),
        );
        let (reason, message) = external.failed("second");
        assert_eq!(reason, "SecretOwnedByOther", "{policy}");
        assert!(message.contains("is owned by the ExternalSecret `first`"), "{message}");
        assert_eq!(external.values("shared"), json!({"a": "one"}), "{policy}");
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_target_takes_the_former_secret_with_it() {
    needs_peers!();
    let external = External::new("ext-rename");
    external.fake_store(&[("a", "one")]);
    let running = external.start().await;
    external.apply("db", &json!({"target": {"name": "old"}, "data": data(&[("a", "a")])}));
    external.synced("db");
    external.apply("db", &json!({"target": {"name": "new"}, "data": data(&[("a", "a")])}));
    let object = external.reported("db", "True", |object| object["status"]["binding"]["name"] == "new");
    assert_eq!(status_of(&object, "Ready"), "True");
    assert_eq!(external.values("new"), json!({"a": "one"}));
    assert!(external.fixture.get("secret", "old").is_none());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_immutable_secret_is_told_when_the_store_has_other_values() {
    needs_peers!();
    let external = External::new("ext-immutable");
    external.fake_store(&[("a", "one")]);
    let running = external.start().await;
    let spec = |version: &str| json!({"target": {"immutable": true}, "data": [{"secretKey": "a", "remoteRef": {"key": version}}]});
    external.apply("fixed", &spec("a"));
    external.synced("fixed");
    assert_eq!(external.fixture.get("secret", "fixed").unwrap()["immutable"], true);
    external.fake_store(&[("a", "one"), ("b", "two")]);
    external.apply("fixed", &spec("b"));
    assert_eq!(external.failed("fixed").0, "SecretImmutable");
    assert_eq!(external.values("fixed"), json!({"a": "one"}));
    running.stop().await;
}
