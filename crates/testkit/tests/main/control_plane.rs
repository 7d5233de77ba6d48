use std::time::Duration;

use bulla_testkit::control_plane::{ControlPlane, Namespace, wait_for};
use bulla_testkit::process::Program;
use bulla_testkit::{needs_peers, peers};

/// What another machine of the same speed under load needs.
const SOON: Duration = Duration::from_mins(1);

fn uid(namespace: &Namespace, kind: &str, name: &str) -> String {
    namespace.get(kind, name).unwrap()["metadata"]["uid"].as_str().unwrap().to_owned()
}

fn apply_owned(namespace: &Namespace, api_version: &str, kind: &str, owner: &str) {
    let uid = uid(namespace, kind, owner);
    namespace.apply(&format!(
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: owned\n  ownerReferences:\n  - apiVersion: {api_version}\n    \
         kind: {kind}\n    name: {owner}\n    uid: {uid}\n    controller: true\nstringData: {{key: value}}\n"
    ));
}

fn is_collected(namespace: &Namespace) {
    wait_for("the owned Secret to be collected", SOON, || namespace.get("secret", "owned").is_none().then_some(()));
}

#[test]
fn a_service_account_may_do_what_its_role_allows_and_nothing_else() {
    needs_peers!();
    let control_plane = ControlPlane::shared();
    let namespace = control_plane.namespace("access");
    for arguments in [
        vec!["create", "serviceaccount", "reader"],
        vec!["create", "role", "reader", "--verb=get,list,watch", "--resource=secrets"],
        vec![
            "create",
            "rolebinding",
            "reader",
            "--role=reader",
            &format!("--serviceaccount={}:reader", namespace.name()),
        ],
    ] {
        let _created = namespace.kubectl(arguments).run().unwrap().success();
    }
    let token = namespace.kubectl(["create", "token", "reader"]).run().unwrap().success().stdout_text();
    let as_reader = |arguments: &[&str]| {
        Program::new(peers::kubectl())
            .args(["--kubeconfig=/dev/null", "--server", &control_plane.server(), "--token", &token])
            .arg("--certificate-authority")
            .arg(control_plane.ca_certificate())
            .args(arguments)
            .run()
            .unwrap()
    };
    let name = as_reader(&["auth", "whoami", "--output=jsonpath={.status.userInfo.username}"]).success().stdout_text();
    assert_eq!(name, format!("system:serviceaccount:{}:reader", namespace.name()));
    let _listed = as_reader(&["--namespace", namespace.name(), "get", "secrets"]).success();
    for arguments in [
        ["--namespace", "default", "get", "secrets"].as_slice(),
        &["--namespace", namespace.name(), "create", "secret", "generic", "new"],
    ] {
        let refused = as_reader(arguments);
        assert!(refused.stderr_text().to_lowercase().contains("forbidden"), "{}", refused.stderr_text());
    }
}

#[test]
fn what_is_owned_is_collected_when_its_owner_is_deleted() {
    needs_peers!();
    let namespace = ControlPlane::shared().namespace("collection");
    namespace.apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: owner}}");
    apply_owned(&namespace, "v1", "ConfigMap", "owner");
    namespace.delete("configmap", "owner");
    is_collected(&namespace);
}

#[test]
fn custom_resources_have_a_status_of_their_own_and_own_secrets() {
    needs_peers!();
    let control_plane = ControlPlane::shared();
    control_plane.define(
        "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.testkit.example}
spec:
  group: testkit.example
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
",
    );
    let namespace = control_plane.namespace("custom");
    namespace
        .apply("{apiVersion: testkit.example/v1, kind: Widget, metadata: {name: a}, spec: {size: 1}, status: {x: y}}");
    assert_eq!(namespace.get("widget", "a").unwrap().get("status"), None);
    let patch = ["patch", "widget", "a", "--subresource=status", "--type=merge", "--patch={\"status\":{\"x\":\"y\"}}"];
    let _patched = namespace.kubectl(patch).run().unwrap().success();
    assert_eq!(namespace.get("widget", "a").unwrap()["status"]["x"], "y");

    apply_owned(&namespace, "testkit.example/v1", "Widget", "a");
    namespace.delete("widget", "a");
    is_collected(&namespace);
}

#[test]
fn a_token_secret_is_filled_and_the_root_ca_published() {
    needs_peers!();
    let namespace = ControlPlane::shared().namespace("tokens");
    let _created = namespace.kubectl(["create", "serviceaccount", "robot"]).run().unwrap().success();
    namespace.apply(
        "{apiVersion: v1, kind: Secret, metadata: {name: robot, annotations: {kubernetes.io/service-account.name: robot}}, \
         type: kubernetes.io/service-account-token}",
    );
    wait_for("the token", SOON, || namespace.get("secret", "robot")?["data"].get("token").cloned());
    wait_for("the root CA", SOON, || namespace.get("configmap", "kube-root-ca.crt"));
}

#[test]
fn a_namespace_is_deleted_after_its_test() {
    needs_peers!();
    let control_plane = ControlPlane::shared();
    let namespace = control_plane.namespace("deletion");
    let name = namespace.name().to_owned();
    drop(namespace);
    wait_for("the namespace to be deleted", SOON, || control_plane.get("namespace", &name).is_none().then_some(()));
}

#[test]
fn a_program_as_a_pod_sees_the_cluster_as_its_service_account() {
    needs_peers!();
    let control_plane = ControlPlane::shared();
    let namespace = control_plane.namespace("pod");
    let _created = namespace.kubectl(["create", "serviceaccount", "robot"]).run().unwrap().success();
    // kubectl without any configuration takes the one of the pod.
    let whoami = ["auth", "whoami", "--output=jsonpath={.status.userInfo.username}"];
    let kubectl = match control_plane.as_pod(namespace.name(), "robot", &peers::kubectl(), whoami) {
        Ok(kubectl) => kubectl,
        Err(reason) => return assert!(reason.to_string().contains("mount namespace"), "{reason}"),
    };
    let home = tempfile::tempdir().unwrap();
    let finished = kubectl.env("HOME", home.path()).env_remove("KUBECONFIG").run().unwrap().success();
    assert_eq!(finished.stdout_text(), format!("system:serviceaccount:{}:robot", namespace.name()));
}

#[test]
fn the_controller_of_sealed_secrets_runs_as_a_pod() {
    needs_peers!();
    let control_plane = ControlPlane::shared();
    control_plane.define(&std::fs::read_to_string(peers::sealed_secrets_crd()).unwrap());
    let namespace = control_plane.namespace("sealed");
    let binding = format!("testkit-{}", namespace.name());
    let account = format!("--serviceaccount={}:default", namespace.name());
    let bind = ["create", "rolebinding", &binding, "--clusterrole=cluster-admin", &account];
    let _bound = namespace.kubectl(bind).run().unwrap().success();
    wait_for("the service account", SOON, || namespace.get("serviceaccount", "default"));

    let (port, metrics_port) = (bulla_testkit::free_port(), bulla_testkit::free_port());
    let flags = [
        "--all-namespaces=false".to_owned(),
        format!("--listen-addr=127.0.0.1:{port}"),
        format!("--listen-metrics-addr=127.0.0.1:{metrics_port}"),
    ];
    let program = peers::sealed_secrets_controller();
    let Ok(controller) = control_plane.as_pod(namespace.name(), "default", &program, flags) else { return };
    let controller = controller.start().unwrap();
    let fetch = || {
        assert!(controller.is_running(), "{}", controller.stderr());
        let certificate = format!("http://127.0.0.1:{port}/v1/cert.pem");
        let seal = Program::new(peers::kubeseal()).args(["--cert", &certificate, "--namespace", namespace.name()]);
        let secret = "{apiVersion: v1, kind: Secret, metadata: {name: a}, stringData: {key: value}}";
        seal.stdin(secret).run().unwrap().status.success().then_some(())
    };
    wait_for("the controller's certificate", SOON, fetch);
    let seal = format!("--cert=http://127.0.0.1:{port}/v1/cert.pem");
    let sealed = Program::new(peers::kubeseal())
        .args([&seal, "--namespace", namespace.name(), "--format=yaml"])
        .stdin("{apiVersion: v1, kind: Secret, metadata: {name: a}, stringData: {key: value}}")
        .run()
        .unwrap()
        .success();
    namespace.apply(&sealed.stdout_text());
    let secret = wait_for("the Secret", SOON, || namespace.get("secret", "a"));
    assert_eq!(secret["data"]["key"], "dmFsdWU=");
}
