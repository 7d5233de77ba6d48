//! The rights that are shipped for ExternalSecrets suffice, and all are used. The store is this cluster, in another namespace.

use std::collections::BTreeSet;

use bulla_controller::{Namespaces, Options};
use bulla_testkit::control_plane::{ControlPlane, wait_for};
use bulla_testkit::needs_peers;
use serde_json::{Value, json};

use super::{External, data};
use crate::fixture::{PATIENCE, condition};
use crate::install::{Right, built, granted, kubeconfig, moved, of_kind, used};

#[tokio::test(flavor = "multi_thread")]
async fn the_rights_for_external_secrets_suffice_and_all_are_used() {
    needs_peers!();
    let external = External::new("ext-rights");
    let (fixture, control_plane) = (&external.fixture, ControlPlane::shared());
    let (controller, own) = (fixture.keys.name(), fixture.namespace.name());
    let shipped = built("kustomize/external-secrets");
    let arguments = &of_kind(&shipped, "Deployment", "sealed-secrets-controller")["spec"]["template"]["spec"]["containers"]
        [0]["args"];
    assert_eq!(*arguments, json!(["controller", "--external-secrets"]));
    // Cluster roles of another name than those of the test of the rest.
    let roles: Vec<Value> = shipped
        .iter()
        .filter(|object| !["Deployment", "Service"].contains(&object["kind"].as_str().unwrap()))
        .cloned()
        .map(|mut object| {
            if object["kind"].as_str().unwrap().starts_with("ClusterRole") {
                object["metadata"]["name"] = json!(format!("{}-{own}", object["metadata"]["name"].as_str().unwrap()));
                if let Some(reference) = object.get_mut("roleRef") {
                    reference["name"] = json!(format!("{}-{own}", reference["name"].as_str().unwrap()));
                }
            }
            object
        })
        .collect();
    control_plane.apply(&moved(&roles, controller, own).join("\n---\n"));

    let remote = control_plane.namespace("ext-remote");
    remote.apply(
        "{apiVersion: v1, kind: Secret, metadata: {name: db}, stringData: {a: one, json: '{\"b\": {\"c\": 1}}'}}",
    );
    fixture.namespace.apply("{apiVersion: v1, kind: ServiceAccount, metadata: {name: reader}}");
    let reader = json!({"kind": "ServiceAccount", "name": "reader", "namespace": own});
    remote.apply(
        &json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "reader"},
            "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "watch"]}],
        })
        .to_string(),
    );
    remote.apply(&json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "reader"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"}, "subjects": [reader],
    }).to_string());
    let authority = std::fs::read_to_string(control_plane.ca_certificate()).unwrap();
    fixture.namespace.apply(
        &json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ca"}, "data": {"ca.crt": authority},
        })
        .to_string(),
    );
    let cluster_store = format!("{own}-remote");
    control_plane.apply(&json!({
        "apiVersion": "external-secrets.io/v1", "kind": "ClusterSecretStore", "metadata": {"name": cluster_store},
        "spec": {
            "controller": own,
            "conditions": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": own}}}],
            "provider": {"kubernetes": {
                "remoteNamespace": remote.name(),
                "server": {"url": control_plane.server(), "caProvider": {"type": "ConfigMap", "name": "ca", "key": "ca.crt", "namespace": own}},
                "auth": {"serviceAccount": {"name": "reader", "namespace": own}},
            }},
        },
    }).to_string());
    external.fake_store(&[("a", "one")]);
    // Nothing is asked of AWS: the service account has no role there.
    external.store(
        "aws",
        &json!({"aws": {"service": "SecretsManager", "region": "eu-west-1", "auth": {"jwt": {"serviceAccountRef": {"name": "reader"}}}}}),
    );

    let kubeconfig = kubeconfig(fixture);
    let options = Options {
        kubeconfig: Some(kubeconfig.path().to_owned()),
        // Those of other tests are none of this controller's business.
        namespaces: Namespaces::Only(vec![own.to_owned()]),
        label_selector: "bulla.test/install".to_owned(),
        ..external.options()
    };
    let store_reference = json!({"name": cluster_store, "kind": "ClusterSecretStore"});
    let running = bulla_controller::start(options).await.unwrap();
    external.apply(
        "remote",
        &json!({"secretStoreRef": store_reference, "refreshInterval": "1s", "data": [
            {"secretKey": "a", "remoteRef": {"key": "db", "property": "a"}},
            {"secretKey": "c", "remoteRef": {"key": "db", "property": "json.b.c"}},
        ]}),
    );
    external.synced("remote");
    assert_eq!(external.values("remote"), json!({"a": "one", "c": "1"}));
    remote.apply(
        "{apiVersion: v1, kind: Secret, metadata: {name: db}, stringData: {a: two, json: '{\"b\": {\"c\": 2}}'}}",
    );
    external.wait_for_values("remote", &json!({"a": "two", "c": "2"}));
    external.apply("renamed", &json!({"target": {"name": "old"}, "data": data(&[("a", "a")])}));
    external.synced("renamed");
    external.apply("renamed", &json!({"target": {"name": "new"}, "data": data(&[("a", "a")])}));
    external.reported("renamed", "True", |object| object["status"]["binding"]["name"] == "new");
    external.apply("missing", &json!({"data": data(&[("a", "nothing")])}));
    external.failed("missing");
    external.apply("role", &json!({"secretStoreRef": {"name": "aws"}, "data": data(&[("a", "a")])}));
    let (reason, message) = external.failed("role");
    assert!(reason == "InvalidStore" && message.contains("no annotation `eks.amazonaws.com/role-arn`"), "{message}");
    // The right to read is taken away at the store.
    let _ = remote.kubectl(["delete", "rolebinding", "reader"]).run().unwrap().success();
    let object = external.reported("remote", "False", |object| condition(object, "Ready")["reason"] == "AccessDenied");
    let message = condition(&object, "Ready")["message"].as_str().unwrap();
    assert!(message.contains("may not get"), "{message}");
    // The finalizer of the operator goes.
    let patch = r#"{"metadata": {"finalizers": ["externalsecrets.external-secrets.io/externalsecret-cleanup"]}}"#;
    let _ = fixture
        .namespace
        .kubectl(["patch", "externalsecret", "missing", "--type=merge", "--patch", patch])
        .run()
        .unwrap()
        .success();
    let _ = fixture.namespace.kubectl(["delete", "externalsecret", "missing", "--wait=false"]).run().unwrap().success();
    wait_for("the ExternalSecret to be gone", PATIENCE, || external.get("missing").is_none().then_some(()));
    running.stop().await;

    let mut granted_rights = granted(of_kind(&shipped, "ClusterRole", "bulla-external-secrets"));
    granted_rights.extend(granted(of_kind(&shipped, "ClusterRole", "secrets-unsealer")));
    let elsewhere = used(fixture).into_iter().filter(|(namespace, _)| namespace != controller).map(|(_, right)| right);
    // Of the SealedSecrets none is worked on here; and what races with somebody else need not happen.
    let optional: BTreeSet<Right> = [
        ("bitnami.com", "sealedsecrets", "get"),
        ("bitnami.com", "sealedsecrets/status", "update"),
        ("external-secrets.io", "externalsecrets", "get"),
    ]
    .map(|(group, resource, verb)| (group.to_owned(), resource.to_owned(), verb.to_owned()))
    .into();
    let used: BTreeSet<Right> = elsewhere.collect();
    assert!(used.is_subset(&granted_rights), "{:?}", used.difference(&granted_rights).collect::<Vec<_>>());
    let unused: BTreeSet<Right> = granted_rights.difference(&used).cloned().collect();
    assert!(
        unused.is_subset(&optional),
        "granted and not used: {:?}",
        unused.difference(&optional).collect::<Vec<_>>()
    );
    for (kind, name) in [
        ("clusterrole", "secrets-unsealer"),
        ("clusterrolebinding", "sealed-secrets-controller"),
        ("clusterrole", "bulla-external-secrets"),
        ("clusterrolebinding", "bulla-external-secrets"),
    ] {
        let _ = control_plane.kubectl(["delete", kind, &format!("{name}-{own}")]).run().unwrap().success();
    }
    let _ = control_plane.kubectl(["delete", "clustersecretstore", &cluster_store]).run().unwrap().success();
}
