//! Beside the real programs of Sealed Secrets: kubeseal, and the controller that this one replaces.

use std::net::{Ipv4Addr, SocketAddr};

use bulla_controller::{Options, Running};
use bulla_testkit::control_plane::{ControlPlane, wait_for};
use bulla_testkit::process::Program;
use bulla_testkit::{free_port, needs_peers, peers, workspace};
use serde_json::{Value, json};

use crate::fixture::{Fixture, Key, PATIENCE, get, seal_manifest};

fn kubeseal(certificate: &str, scope: &str, secret: &Value) -> Value {
    let arguments = ["--cert", certificate, "--scope", scope];
    let program = Program::new(peers::kubeseal()).env("KUBECONFIG", "/nonexistent").args(arguments);
    serde_json::from_slice(&program.stdin(secret.to_string()).run().unwrap().success().stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_kubeseal_seals_with_our_certificate_is_unsealed() {
    needs_peers!();
    let fixture = Fixture::new("kubeseal");
    let running = fixture.start().await;
    let certificate = format!("http://{}/v1/cert.pem", running.address().unwrap());
    let values = json!({"password": "hunter2", "empty": "", "long": "x".repeat(100_000)});
    for scope in ["strict", "namespace-wide", "cluster-wide"] {
        let mut secret = fixture.secret(scope, &values);
        secret["metadata"]["labels"] = json!({"app": "shop"});
        secret["type"] = json!("Opaque");
        fixture.apply(&kubeseal(&certificate, scope, &secret));
        fixture.synced(scope);
        assert_eq!(fixture.values(scope), values, "{scope}");
        assert_eq!(fixture.get("secret", scope).unwrap()["metadata"]["labels"]["app"], "shop");
    }
    running.stop().await;
}

/// Upstream's controller in the namespace of the keys, looking at the namespace of the objects as well.
pub(crate) struct Upstream {
    running: bulla_testkit::process::Running,
    address: SocketAddr,
}

impl Upstream {
    fn start(fixture: &Fixture) -> Self {
        Self::start_with(fixture, &[])
    }

    pub(crate) fn start_with(fixture: &Fixture, more: &[&str]) -> Self {
        let (keys, objects) = (fixture.keys.name(), fixture.namespace.name());
        let rights = json!([
            {"apiGroups": ["bitnami.com"], "resources": ["sealedsecrets"], "verbs": ["get", "list", "watch"]},
            {"apiGroups": ["bitnami.com"], "resources": ["sealedsecrets/status"], "verbs": ["update"]},
            {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "create", "update", "delete", "watch"]},
            {"apiGroups": [""], "resources": ["events"], "verbs": ["create", "patch"]},
        ]);
        grant(fixture, &rights, &[keys, objects]);
        let (port, metrics_port) = (free_port(), free_port());
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let arguments = [
            "--additional-namespaces".to_owned(),
            objects.to_owned(),
            "--listen-addr".to_owned(),
            address.to_string(),
            "--listen-metrics-addr".to_owned(),
            format!("127.0.0.1:{metrics_port}"),
        ];
        let arguments = arguments.into_iter().chain(more.iter().map(|argument| (*argument).to_owned()));
        let program = peers::sealed_secrets_controller();
        let program = ControlPlane::shared().as_pod(keys, "controller", &program, arguments);
        // Where that is not possible the test fails, and says what the machine lacks; it never passes without a peer.
        Self { running: program.unwrap().start().unwrap(), address }
    }

    async fn certificate(&self) -> String {
        let limit = std::time::Instant::now() + PATIENCE;
        loop {
            let connected = tokio::net::TcpStream::connect(self.address).await.is_ok();
            if connected && let (200, pem) = get(self.address, "/v1/cert.pem").await {
                return pem;
            }
            assert!(self.running.is_running() && std::time::Instant::now() < limit, "{}", self.running.stderr());
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }

    pub(crate) fn stop(self) {
        self.running.terminate(PATIENCE).unwrap();
    }
}

/// A service account `controller` in the namespace of the keys, with these rights in the namespaces.
fn grant(fixture: &Fixture, rights: &Value, namespaces: &[&str]) {
    let keys = fixture.keys.name();
    let mut manifests = vec![json!({
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "controller", "namespace": keys},
    })];
    for namespace in namespaces {
        manifests.push(json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
            "metadata": {"name": "controller", "namespace": namespace}, "rules": rights,
        }));
        manifests.push(json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": "controller", "namespace": namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "controller"},
            "subjects": [{"kind": "ServiceAccount", "name": "controller", "namespace": keys}],
        }));
    }
    // Upstream asks whether its additional namespaces exist.
    manifests.push(json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": keys},
        "rules": [{"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"]}],
    }));
    manifests.push(json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": keys},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": keys},
        "subjects": [{"kind": "ServiceAccount", "name": "controller", "namespace": keys}],
    }));
    let manifests: Vec<String> = manifests.iter().map(Value::to_string).collect();
    ControlPlane::shared().apply(&manifests.join("\n---\n"));
}

impl Drop for Fixture {
    fn drop(&mut self) {
        // Only there if the test granted something.
        for kind in ["clusterrole", "clusterrolebinding"] {
            let delete = ["delete", kind, self.keys.name(), "--ignore-not-found", "--wait=false"];
            let _ = ControlPlane::shared().kubectl(delete).run();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn either_controller_takes_over_from_the_other() {
    needs_peers!();
    let fixture = Fixture::new("takeover");
    let upstream = Upstream::start(&fixture);
    let pem = upstream.certificate().await;
    let certificate = bulla_sealed::Certificate::from_pem(pem.as_bytes()).unwrap();

    // Sealed here for upstream's key, unsealed by upstream.
    let seal = |name: &str, values: &Value| {
        let mut secret = fixture.secret(name, values);
        secret["type"] = json!("Opaque");
        let options = bulla_sealed::SealOptions::default();
        let sealed =
            bulla_sealed::seal(&secret, certificate.public_key(), &options, &mut crate::fixture::rng()).unwrap();
        serde_json::to_value(sealed).unwrap()
    };
    fixture.apply(&seal("db", &json!({"password": "hunter2", "empty": ""})));
    assert_eq!(fixture.values("db"), json!({"password": "hunter2", "empty": ""}));
    let by_upstream = wait_for("upstream's report", PATIENCE, || {
        let sealed = fixture.get("sealedsecret", "db")?;
        (sealed["status"]["observedGeneration"] == 1).then_some(sealed)
    });
    assert_eq!(by_upstream["status"]["conditions"].as_array().unwrap().len(), 1);
    let secret = fixture.get("secret", "db").unwrap();
    upstream.stop();

    // This one takes over: same key, same certificate, and nothing of the Secret to change.
    let running = fixture.start().await;
    assert_eq!(running.counts().keys_created, 0);
    assert_eq!(get(running.address().unwrap(), "/v1/cert.pem").await.1, pem);
    fixture.reported_as("our report", "db", |sealed| sealed["status"]["conditions"].as_array().unwrap().len() > 1);
    assert_eq!(running.counts().secret_writes, 0);
    assert_eq!(fixture.get("secret", "db").unwrap(), secret);
    fixture.apply(&seal("db", &json!({"password": "hunter3"})));
    fixture.synced("db");
    assert_eq!(fixture.values("db"), json!({"password": "hunter3"}));
    running.stop().await;

    // And back.
    let upstream = Upstream::start(&fixture);
    assert_eq!(upstream.certificate().await, pem);
    fixture.apply(&seal("db", &json!({"password": "hunter4"})));
    wait_for("upstream to unseal again", PATIENCE, || {
        (fixture.values("db") == json!({"password": "hunter4"})).then_some(())
    });
    upstream.stop();
}

/// A controller that is nobody but its service account.
async fn start_as_service_account(fixture: &Fixture) -> Running {
    let control_plane = ControlPlane::shared();
    let token = fixture.keys.kubectl(["create", "token", "controller"]).run().unwrap().success().stdout_text();
    let authority = std::fs::read(control_plane.ca_certificate()).unwrap();
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "it",
        "clusters": [{"name": "it", "cluster": {
            "server": control_plane.server(), "certificate-authority-data": bulla_crypto::encoding::encode(&authority),
        }}],
        "users": [{"name": "it", "user": {"token": token.trim()}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
    });
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), kubeconfig.to_string()).unwrap();
    fixture.start_with(Options { kubeconfig: Some(file.path().to_owned()), ..fixture.options() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rights_that_are_shipped_suffice() {
    needs_peers!();
    let fixture = Fixture::new("rights");
    let shipped = std::fs::read_to_string(workspace().join("deploy/kustomize/rbac.yaml")).unwrap();
    let rules: Vec<Value> = serde_saphyr::from_multiple::<Value>(&shipped).unwrap();
    let rules = |kind: &str, name: &str| {
        let found = rules.iter().find(|it| it["kind"] == kind && it["metadata"]["name"] == name);
        found.unwrap()["rules"].as_array().unwrap().clone()
    };
    // The rights of the ClusterRole, but in one namespace; those of the keys' Role, in the other.
    grant(&fixture, &json!(rules("Role", "sealed-secrets-key-admin")), &[fixture.keys.name()]);
    grant_more(&fixture, &json!(rules("ClusterRole", "secrets-unsealer")));
    let running = start_as_service_account(&fixture).await;
    let pem = get(running.address().unwrap(), "/v1/cert.pem").await.1;
    let key = Key {
        certificate: bulla_sealed::Certificate::from_pem(pem.as_bytes()).unwrap(),
        ..Key::new("x", jiff::Timestamp::now())
    };
    fixture.apply(&seal_manifest(&key, &fixture.secret("db", &json!({"a": "b"})), None));
    fixture.synced("db");
    fixture.wait_for_event("db", "Unsealed");
    fixture.apply(&seal_manifest(&key, &fixture.secret("db", &json!({"a": "c"})), None));
    fixture.synced("db");
    assert_eq!(fixture.values("db"), json!({"a": "c"}));
    running.stop().await;
}

fn grant_more(fixture: &Fixture, rights: &Value) {
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "controller"}, "rules": rights,
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "controller"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "controller"},
        "subjects": [{"kind": "ServiceAccount", "name": "controller", "namespace": fixture.keys.name()}],
    });
    fixture.namespace.apply(&format!("{role}\n---\n{binding}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_manifests_that_are_shipped_are_valid() {
    needs_peers!();
    let fixture = Fixture::new("manifests");
    let built = ControlPlane::shared()
        .kubectl(["kustomize", workspace().join("deploy/kustomize").to_str().unwrap()])
        .run()
        .unwrap()
        .success()
        .stdout_text();
    let objects: Vec<Value> = serde_saphyr::from_multiple(&built).unwrap();
    let namespaced: Vec<String> = objects
        .into_iter()
        .filter(|object| !object["kind"].as_str().unwrap().starts_with("Cluster"))
        .map(|object| object.to_string())
        .collect();
    let apply = ["apply", "--server-side", "--dry-run=server", "--validate=strict", "--filename=-"];
    let _applied = fixture.keys.kubectl(apply).stdin(namespaced.join("\n---\n")).run().unwrap().success();
}
