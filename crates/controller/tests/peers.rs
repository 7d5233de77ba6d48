//! Beside the real programs of Sealed Secrets: kubeseal, and the controller that this one replaces.

use std::net::{Ipv4Addr, SocketAddr};

use bulla_testkit::control_plane::{ControlPlane, wait_for};
use bulla_testkit::process::Program;
use bulla_testkit::{free_port, needs_peers, peers};
use serde_json::{Value, json};

use crate::fixture::{Fixture, PATIENCE, get};

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
    pub(crate) address: SocketAddr,
    pub(crate) metrics: SocketAddr,
}

impl Upstream {
    pub(crate) fn start(fixture: &Fixture) -> Self {
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
        let metrics = SocketAddr::from((Ipv4Addr::LOCALHOST, metrics_port));
        let arguments = [
            "--additional-namespaces".to_owned(),
            objects.to_owned(),
            "--listen-addr".to_owned(),
            address.to_string(),
            "--listen-metrics-addr".to_owned(),
            metrics.to_string(),
        ];
        let arguments = arguments.into_iter().chain(more.iter().map(|argument| (*argument).to_owned()));
        let program = peers::sealed_secrets_controller();
        let program = ControlPlane::shared().as_pod(keys, "controller", &program, arguments);
        // Where that is not possible the test fails, and says what the machine lacks; it never passes without a peer.
        Self { running: program.unwrap().start().unwrap(), address, metrics }
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
