//! A real Vault as the store, and what happens when it is not as it should be. Between it and the controller stands a relay that counts, and
//! that can refuse.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use bulla_testkit::control_plane::{ControlPlane, wait_for};
use bulla_testkit::needs_peers;
use bulla_testkit::server::Server;
use bulla_testkit::vault::Vault;
use serde_json::{Value, json};

use super::External;
use crate::fixture::{PATIENCE, condition, status_of};

/// A server that hands every request on to Vault, unless it is told to answer with another status.
struct Relay {
    server: Server,
    refuses_with: Arc<AtomicU16>,
}

impl Relay {
    fn before(vault: &'static Vault) -> Self {
        let refuses_with = Arc::new(AtomicU16::new(0));
        let status = refuses_with.clone();
        let server = Server::answering(move |_, request| match status.load(Ordering::Relaxed) {
            0 => vault.hand_on(request),
            429 => (429, "Retry-After: 1\r\n".to_owned(), r#"{"errors": ["request quota exceeded"]}"#.to_owned()),
            other => (other, String::new(), r#"{"errors": ["Vault is sealed"]}"#.to_owned()),
        });
        Self { server, refuses_with }
    }

    fn refuse_with(&self, status: u16) {
        self.refuses_with.store(status, Ordering::Relaxed);
    }

    /// Reads of secrets so far.
    fn reads(&self) -> usize {
        self.server
            .requests()
            .iter()
            .filter(|request| request.starts_with("GET /v1/") && request.contains("/data/"))
            .count()
    }
}

fn token_secret(external: &External, token: &str) {
    external.fixture.apply(&json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "vault-token"}, "stringData": {"token": token},
    }));
}

fn store(server: &str) -> Value {
    json!({"vault": {
        "server": server, "path": "secret", "version": "v2", "auth": {"tokenSecretRef": {"name": "vault-token", "key": "token"}},
    }})
}

const POLICY: &str = r#"path "secret/data/shop/*" { capabilities = ["read"] }"#;

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_has_its_reason_and_passes() {
    needs_peers!();
    let external = External::new("ext-vault");
    let vault = Vault::shared();
    let relay = Relay::before(vault);
    let put = |value: &str| {
        let body = json!({"data": {"password": value, "port": 5432, "nested": {"a": [1, 2]}}});
        vault.write("secret/data/shop/db", &body.to_string());
    };
    put("one");
    token_secret(&external, &vault.token("ext-vault", POLICY));
    external.store("vault", &store(&relay.server.address()));
    let running = external.start().await;
    external.apply(
        "db",
        &json!({
            "secretStoreRef": {"name": "vault"}, "refreshInterval": "1s",
            "data": [
                {"secretKey": "password", "remoteRef": {"key": "shop/db", "property": "password"}},
                {"secretKey": "second", "remoteRef": {"key": "shop/db", "property": "nested.a.1"}},
                {"secretKey": "first-version", "remoteRef": {"key": "secret/data/shop/db", "property": "password", "version": "1"}},
            ],
        }),
    );
    let expected = |password: &str| json!({"password": password, "second": "2", "first-version": "one"});
    external.synced("db");
    external.wait_for_values("db", &expected("one"));

    let fails_with = |reason: &str, part: &str| {
        let object = external.reported("db", "False", |object| condition(object, "Ready")["reason"] == reason);
        let message = condition(&object, "Ready")["message"].as_str().unwrap().to_owned();
        assert!(message.contains(part), "{reason}: {message}");
    };
    let store_is = |status: &str| {
        wait_for(&format!("the store to be Ready={status}"), PATIENCE, || {
            let store = external.fixture.namespace.get("secretstores.external-secrets.io", "vault")?;
            (status_of(&store, "Ready") == status).then_some(())
        });
    };
    let mut value = 1;
    let mut passes = || {
        value += 1;
        put(&format!("value-{value}"));
        external.wait_for_values("db", &expected(&format!("value-{value}")));
        store_is("True");
    };

    relay.refuse_with(429);
    fails_with("Throttled", "is asked too often");
    assert_eq!(external.values("db"), expected("one"), "nothing is lost");
    relay.refuse_with(0);
    passes();

    relay.refuse_with(503);
    fails_with("StoreUnavailable", "Vault is sealed");
    store_is("False");
    relay.refuse_with(0);
    passes();

    let deny = json!({"policy": r#"path "secret/data/other/*" { capabilities = ["read"] }"#}).to_string();
    vault.write("sys/policies/acl/ext-vault", &deny);
    fails_with("AccessDenied", "`spec.data[0]` (key `shop/db`)");
    fails_with("AccessDenied", r#"path "secret/data/shop/db" { capabilities = ["read"] }"#);
    vault.write("sys/policies/acl/ext-vault", &json!({"policy": POLICY}).to_string());
    passes();

    let secret = external.fixture.get("secret", "vault-token").unwrap();
    let revoked = crate::fixture::values_of(&secret)["token"].as_str().unwrap().to_owned();
    vault.write("auth/token/revoke", &json!({"token": revoked}).to_string());
    fails_with("CredentialsRejected", "the token in the Secret `vault-token`");
    store_is("False");
    token_secret(&external, &vault.token("ext-vault", POLICY));
    passes();

    vault.remove("secret/metadata/shop/db");
    fails_with("SecretNotFound", "has no secret `shop/db`");
    assert_eq!(external.values("db")["second"], "2", "nothing is lost");
    put("one");
    external.wait_for_values("db", &expected("one"));

    external.store("vault", &store("http://127.0.0.1:1"));
    fails_with("StoreUnreachable", "cannot be reached");
    external.store("vault", &store(&relay.server.address()));
    passes();

    // What was in the Secrets is in nothing that was said.
    let told = external.fixture.namespace.kubectl(["get", "events,externalsecrets,secretstores", "--output=json"]);
    let told = told.run().unwrap().success().stdout_text();
    for planted in ["value-2", revoked.as_str()] {
        assert!(!told.contains(planted));
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_account_logs_in_with_a_token_of_its_own() {
    needs_peers!();
    let external = External::new("ext-vault-sa");
    let (vault, control_plane) = (Vault::shared(), ControlPlane::shared());
    let name = external.fixture.namespace.name().to_owned();
    let reviewer = external.fixture.namespace.token_reviewer("reviewer");
    external.fixture.namespace.apply("{apiVersion: v1, kind: ServiceAccount, metadata: {name: shop}}");
    vault.write(&format!("sys/auth/{name}"), r#"{"type": "kubernetes"}"#);
    let authority = std::fs::read_to_string(control_plane.ca_certificate()).unwrap();
    let config = json!({
        "kubernetes_host": control_plane.server(), "kubernetes_ca_cert": authority, "token_reviewer_jwt": reviewer,
        "disable_local_ca_jwt": true,
    });
    vault.write(&format!("auth/{name}/config"), &config.to_string());
    vault.write(
        &format!("sys/policies/acl/{name}"),
        &json!({"policy": format!("path \"secret/data/{name}/*\" {{ capabilities = [\"read\"] }}")}).to_string(),
    );
    let role = json!({
        "bound_service_account_names": ["shop"], "bound_service_account_namespaces": [name], "audience": "vault", "token_policies": [name],
    });
    vault.write(&format!("auth/{name}/role/shop"), &role.to_string());
    vault.write(&format!("secret/data/{name}/db"), r#"{"data": {"a": "one"}}"#);
    let provider = |account: &str| {
        json!({"vault": {"server": vault.address(), "path": "secret", "auth": {"kubernetes": {
            "mountPath": name, "role": "shop", "serviceAccountRef": {"name": account, "audiences": ["vault"]},
        }}}})
    };
    external.store("vault", &provider("shop"));
    let running = external.start().await;
    let spec = json!({"secretStoreRef": {"name": "vault"}, "dataFrom": [{"extract": {"key": format!("{name}/db")}}]});
    external.apply("db", &spec);
    external.synced("db");
    assert_eq!(external.values("db"), json!({"a": "one"}));
    external.store("vault", &provider("nobody"));
    external.apply("other", &spec);
    let (reason, message) = external.failed("other");
    assert_eq!(reason, "CredentialsMissing", "{message}");
    assert!(message.contains("there is no such service account"), "{message}");
    running.stop().await;
    let _ = control_plane.kubectl(["delete", "clusterrolebinding", &name]).run().unwrap().success();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_asked_for_once_for_all_who_need_it() {
    const KEYS: usize = 20;
    const OBJECTS: usize = 200;
    needs_peers!();
    let external = External::new("ext-broker");
    let vault = Vault::shared();
    let relay = Relay::before(vault);
    for key in 0..KEYS {
        let body = json!({"data": {"a": format!("a-{key}"), "b": format!("b-{key}")}});
        vault.write(&format!("secret/data/broker/{key}"), &body.to_string());
    }
    token_secret(&external, &vault.token("ext-broker", r#"path "secret/data/broker/*" { capabilities = ["read"] }"#));
    external.store("vault", &store(&relay.server.address()));
    let objects: Vec<_> = (0..OBJECTS)
        .map(|index| {
            let key = format!("broker/{}", index % KEYS);
            json!({
                "apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret", "metadata": {"name": format!("db-{index}")},
                "spec": {"secretStoreRef": {"name": "vault"}, "refreshInterval": "1h", "data": [
                    {"secretKey": "a", "remoteRef": {"key": key, "property": "a"}},
                    {"secretKey": "b", "remoteRef": {"key": key, "property": "b"}},
                ]},
            })
            .to_string()
        })
        .collect();
    external.fixture.namespace.apply(&objects.join("\n---\n"));
    let running = external.start().await;
    wait_for("all Secrets", 2 * PATIENCE, || (running.counts().secret_writes == OBJECTS as u64).then_some(()));
    crate::fixture::settle(&running).await;
    assert_eq!(external.values("db-41"), json!({"a": "a-1", "b": "b-1"}));
    assert_eq!(relay.reads(), KEYS, "reads of the store");
    running.stop().await;
    // Nothing is due: nothing is asked.
    let running = external.start().await;
    crate::fixture::settle(&running).await;
    assert_eq!(relay.reads(), KEYS, "reads after a restart");
    running.stop().await;
}
