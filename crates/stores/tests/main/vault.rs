//! KV engines of a real Vault, and what a server answers when something is wrong.

use std::sync::Arc;
use std::time::Duration;

use bulla_services::vault::{Authorities, Login, Settings};
use bulla_stores::vault::{Engine, Vault, Version};
use bulla_stores::{FetchError, LIMITS, Remote, Store as _, Usable};
use bulla_testkit::control_plane::ControlPlane;
use bulla_testkit::needs_peers;
use bulla_testkit::server::Server as Loopback;
use bulla_testkit::vault::{ROOT_TOKEN, Vault as Server};

use crate::{Tokens, fetched, refused, secret, shown, surroundings};

fn token(token: &str) -> Login {
    Login::Token { token: secret(token), place: "vault-token".to_owned() }
}

fn settings(login: Login) -> Settings {
    Settings { limits: LIMITS, ..Settings::new(login) }
}

fn store(server: &str, mount: &str, login: Login) -> Vault {
    let engine = Engine { mount: Some(mount.to_owned()), version: Version::Two };
    Vault::new(server, engine, settings(login), surroundings()).unwrap()
}

/// An engine of this test alone.
fn engine(name: &str, version: u8) -> &'static Server {
    let server = Server::shared();
    server.write(&format!("sys/mounts/{name}"), &format!(r#"{{"type": "kv", "options": {{"version": "{version}"}}}}"#));
    server
}

/// Waits until KV 2 has made itself ready after it was mounted.
fn put(server: &Server, path: &str, data: &str) {
    server.write(path, &format!(r#"{{"data": {data}}}"#));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_of_kv_2_is_given_as_it_was_written() {
    needs_peers!();
    let server = engine("kv-two", 2);
    put(
        server,
        "kv-two/data/app/db",
        r#"{"user": "u", "pass": "<&>\u00e9", "port": 5432, "id": 12345678901234567890, "tls": {"b": 1.50, "a": null}}"#,
    );
    let store = store(server.address(), "kv-two", token(ROOT_TOKEN));
    // Numbers are what Vault made of them: KV 2 keeps them as `float64`.
    for key in ["app/db", "kv-two/app/db", "kv-two/data/app/db", "/app//db/"] {
        let secret = fetched(&store, key).await;
        let whole = r#"{"id":12345678901234567000,"pass":"\u003c\u0026\u003eé","port":5432,"tls":{"a":null,"b":1.5},"user":"u"}"#;
        assert_eq!(shown(&secret.whole().unwrap()), whole);
        assert_eq!(shown(&secret.property("pass").unwrap()), "<&>é");
        assert_eq!(shown(&secret.property("tls.b").unwrap()), "1.5");
        let entries = secret.entries(None).unwrap();
        let names: Vec<_> = entries.keys().map(String::as_str).collect();
        assert_eq!(names, ["id", "pass", "port", "tls", "user"]);
        assert_eq!(shown(&entries["tls"]), r#"{"a":null,"b":1.5}"#);
    }
    // A mount that is not named is the first part of the key.
    let unnamed = Vault::new(server.address(), Engine::default(), settings(token(ROOT_TOKEN)), surroundings()).unwrap();
    assert_eq!(shown(&fetched(&unnamed, "kv-two/app/db").await.property("user").unwrap()), "u");
    assert_eq!(store.check().await.unwrap(), Usable::Yes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_of_kv_1_is_given_and_the_wrong_version_is_named() {
    needs_peers!();
    let server = engine("kv-one", 1);
    server.write("kv-one/app/db", r#"{"user": "u"}"#);
    engine("kv-two-again", 2);
    let one = |mount: &str| {
        let engine = Engine { mount: Some(mount.to_owned()), version: Version::One };
        Vault::new(server.address(), engine, settings(token(ROOT_TOKEN)), surroundings()).unwrap()
    };
    assert_eq!(shown(&fetched(&one("kv-one"), "app/db").await.property("user").unwrap()), "u");
    let error = refused(&one("kv-one"), "app/nothing").await;
    assert_eq!(error.reason(), "SecretNotFound", "{error}");
    let error = refused(&one("kv-two-again"), "app/db").await;
    assert!(error.to_string().contains("KV 2 engine, and the store says `version: v1`"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_are_told_apart_and_a_deleted_one_is_not_there() {
    needs_peers!();
    let server = engine("versions", 2);
    for value in ["one", "two", "three"] {
        put(server, "versions/data/a", &format!(r#"{{"v": "{value}"}}"#));
    }
    let store = store(server.address(), "versions", token(ROOT_TOKEN));
    for (version, value) in [("", "three"), ("1", "one"), ("2", "two")] {
        let secret = store.fetch(&Remote::version("a", version)).await.unwrap();
        assert_eq!(shown(&secret.property("v").unwrap()), value);
    }
    server.write("versions/delete/a", r#"{"versions": [3]}"#);
    server.write("versions/destroy/a", r#"{"versions": [1]}"#);
    for (version, advice) in [("", "undelete"), ("3", "undelete"), ("1", "destroyed"), ("9", "vault kv get")] {
        let error = store.fetch(&Remote::version("a", version)).await.unwrap_err();
        assert_eq!((error.reason(), error.is_transient()), ("SecretNotFound", false));
        assert!(error.to_string().contains(advice), "{version}: {error}");
    }
    let error = store.fetch(&Remote::version("a", "latest")).await.unwrap_err();
    assert_eq!(error.reason(), "InvalidKey", "{error}");
    assert_eq!(refused(&store, "../../sys/seal").await.reason(), "InvalidKey");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_secret_a_missing_engine_and_a_missing_permission_are_told_apart() {
    needs_peers!();
    let server = engine("apart", 2);
    put(server, "apart/data/a", r#"{"v": "1"}"#);
    put(server, "apart/data/b", r#"{"v": "1"}"#);
    let address = server.address();
    let root = store(address, "apart", token(ROOT_TOKEN));
    let error = refused(&root, "nothing").await;
    assert_eq!(error.reason(), "SecretNotFound");
    let expected =
        format!("Vault at {address} has no secret `nothing`; `vault kv get` would read it at `apart/data/nothing`");
    assert_eq!(error.to_string(), expected);
    // A mount that was mistyped is no secret that went.
    let error = refused(&store(address, "nowhere", token(ROOT_TOKEN)), "a").await;
    assert_eq!((error.reason(), error.is_about_the_store()), ("InvalidStore", true), "{error}");
    assert!(error.to_string().contains("there is no engine for `nowhere/data/a`"), "{error}");

    let policy = r#"path "apart/data/a" { capabilities = ["read"] }"#;
    let narrow = store(address, "apart", token(&server.token("apart", policy)));
    assert_eq!(shown(&fetched(&narrow, "a").await.property("v").unwrap()), "1");
    let error = refused(&narrow, "b").await;
    assert_eq!((error.reason(), error.is_transient()), ("AccessDenied", false));
    let expected = format!(
        "Vault at {address}: the token from `vault-token` may not read `apart/data/b`; this allows it: path \"apart/data/b\" {{ capabilities = [\"read\"] }}"
    );
    assert_eq!(error.to_string(), expected);
    let FetchError::Forbidden { grant, .. } = error else { panic!("{error}") };
    server.write("sys/policies/acl/apart", &serde_json::json!({ "policy": format!("{policy}\n{grant}") }).to_string());
    assert_eq!(shown(&fetched(&narrow, "b").await.property("v").unwrap()), "1");
    // Without the policy `default` it may not ask about itself, which says nothing about what it is for.
    assert_eq!(narrow.check().await.unwrap(), Usable::Unknown);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_none_is_rejected_and_never_shown() {
    needs_peers!();
    let server = engine("rejected", 2);
    let wrong = store(server.address(), "rejected", token("hvs.hunter2"));
    for error in [refused(&wrong, "a").await, wrong.check().await.unwrap_err()] {
        assert_eq!((error.reason(), error.is_transient()), ("CredentialsRejected", false));
        assert!(error.to_string().contains("does not accept the token from `vault-token`"), "{error}");
        assert!(!format!("{error} {wrong:?}").contains("hunter2"));
    }
    // One that is revoked while the store lives.
    let given = server.token("rejected", r#"path "rejected/*" { capabilities = ["read"] }"#);
    put(server, "rejected/data/a", r#"{"v": "1"}"#);
    let store = store(server.address(), "rejected", token(&given));
    fetched(&store, "a").await;
    server.write("auth/token/revoke", &serde_json::json!({ "token": given }).to_string());
    assert_eq!(refused(&store, "a").await.reason(), "CredentialsRejected");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_role_logs_in_once_again_after_its_token_was_revoked_and_gives_it_back() {
    needs_peers!();
    let server = engine("by-role", 2);
    put(server, "by-role/data/a", r#"{"v": "1"}"#);
    put(server, "by-role/data/b", r#"{"v": "1"}"#);
    let policy = serde_json::json!({ "policy": r#"path "by-role/data/a" { capabilities = ["read"] }"# });
    server.write("sys/policies/acl/by-role", &policy.to_string());
    server.write("sys/auth/stores", r#"{"type": "approle"}"#);
    server.write("auth/stores/role/r", r#"{"token_policies": ["by-role"]}"#);
    server.write("auth/stores/role/r/role-id", r#"{"role_id": "the-role"}"#);
    server.write("auth/stores/role/r/custom-secret-id", r#"{"secret_id": "hunter2"}"#);
    let login = |secret_id: &str| Login::AppRole {
        mount: "stores".to_owned(),
        role_id: "the-role".to_owned(),
        secret_id: secret(secret_id),
    };
    let accessors = || {
        let accessors = server.list("auth/token/accessors");
        accessors["data"]["keys"]
            .as_array()
            .unwrap()
            .iter()
            .map(|key| key.as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let of_role = |known: &[String]| {
        accessors()
            .into_iter()
            .filter(|accessor| !known.contains(accessor))
            .filter(|accessor| {
                let looked_up =
                    server.try_write("auth/token/lookup-accessor", &format!(r#"{{"accessor": "{accessor}"}}"#));
                looked_up.is_some_and(|token| token["data"]["path"] == "auth/stores/login")
            })
            .collect::<Vec<_>>()
    };
    let known = accessors();
    let store_of_role = store(server.address(), "by-role", login("hunter2"));
    for _ in 0..5 {
        fetched(&store_of_role, "a").await;
    }
    // What it may not read does not make it log in again: that would leave a token each time.
    for _ in 0..3 {
        assert_eq!(refused(&store_of_role, "b").await.reason(), "AccessDenied");
    }
    let tokens = of_role(&known);
    assert_eq!(tokens.len(), 1, "one login for all of it");
    server.write("auth/token/revoke-accessor", &format!(r#"{{"accessor": "{}"}}"#, tokens[0]));
    fetched(&store_of_role, "a").await;
    assert_eq!(of_role(&known).len(), 1);
    store_of_role.close().await;
    assert_eq!(of_role(&known).len(), 0, "its token is given back");
    // A store that is closed and asked all the same logs in again.
    fetched(&store_of_role, "a").await;
    store_of_role.close().await;

    let error = refused(&store(server.address(), "by-role", login("swordfish")), "a").await;
    assert_eq!(error.reason(), "CredentialsRejected");
    assert!(error.to_string().contains("does not accept the AppRole `the-role`"), "{error}");
    assert!(!error.to_string().contains("swordfish"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_account_logs_in_with_the_token_of_the_moment() {
    needs_peers!();
    let server = engine("by-pod", 2);
    put(server, "by-pod/data/a", r#"{"v": "1"}"#);
    let control_plane = ControlPlane::shared();
    let namespace = control_plane.namespace("stores");
    let name = namespace.name();
    let service_account = namespace.token_reviewer("pod");
    server.write("sys/auth/stores-pods", r#"{"type": "kubernetes"}"#);
    let configuration = serde_json::json!({
        "kubernetes_host": control_plane.server(),
        "kubernetes_ca_cert": std::fs::read_to_string(control_plane.ca_certificate()).unwrap(),
        "token_reviewer_jwt": service_account,
        "disable_local_ca_jwt": true,
    });
    server.write("auth/stores-pods/config", &configuration.to_string());
    let policy = serde_json::json!({ "policy": r#"path "by-pod/data/*" { capabilities = ["read"] }"# });
    server.write("sys/policies/acl/stores-by-pod", &policy.to_string());
    let role = serde_json::json!({
        "bound_service_account_names": ["pod"],
        "bound_service_account_namespaces": [name],
        "token_policies": ["stores-by-pod"],
        // So that it is over soon.
        "token_ttl": "2s",
    });
    server.write("auth/stores-pods/role/shop", &role.to_string());
    let store = |tokens: Arc<Tokens>, role: &str| {
        let login = Login::Kubernetes {
            mount: "stores-pods".to_owned(),
            role: role.to_owned(),
            service_account: bulla_services::token::Bearer::Source(tokens),
        };
        store(server.address(), "by-pod", login)
    };
    // A token that the API server does not know is rejected; the source is told, and its next one is good.
    let tokens = Tokens::new(["no.such.token".to_owned(), service_account.clone()]);
    let of_pod = store(Arc::clone(&tokens), "shop");
    assert_eq!(shown(&fetched(&of_pod, "a").await.property("v").unwrap()), "1");
    // Past the end of Vault's token there is another one.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(shown(&fetched(&of_pod, "a").await.property("v").unwrap()), "1");

    let error = refused(&store(Tokens::new([service_account]), "other"), "a").await;
    assert_eq!((error.reason(), error.is_transient()), ("CredentialsMissing", true), "{error}");
    let error = refused(&store(Tokens::new([""; 0]), "shop"), "a").await;
    assert!(
        error.to_string().contains("no token of the service account `shop/reader`: the API server has no more"),
        "{error}"
    );
    let _deleted = control_plane.kubectl(["delete", "clusterrolebinding", name]).run().unwrap().success();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_sealed_gone_or_not_trusted_is_named() {
    needs_peers!();
    let server = Server::start();
    let root = store(server.address(), "secret", token(ROOT_TOKEN));
    server.write("sys/seal", "{}");
    for error in [refused(&root, "a").await, root.check().await.unwrap_err()] {
        assert_eq!((error.reason(), error.is_transient()), ("StoreUnavailable", true));
        assert!(error.to_string().contains("Vault is sealed"), "{error}");
    }
    let nobody = format!("http://127.0.0.1:{}", bulla_testkit::free_port());
    let error = refused(&store(&nobody, "secret", token("t")), "a").await;
    assert_eq!((error.reason(), error.is_transient()), ("StoreUnreachable", true));

    let server = engine("encrypted-store", 2);
    put(server, "encrypted-store/data/a", r#"{"v": "1"}"#);
    let error = refused(&store(server.encrypted_address(), "encrypted-store", token(ROOT_TOKEN)), "a").await;
    assert_eq!(error.reason(), "StoreUnreachable");
    assert!(error.to_string().contains("certificate"), "{error}");
    let with = |pem: &str| {
        let authorities = Some(Authorities { pem: pem.as_bytes().to_vec(), place: "caBundle".to_owned() });
        let engine = Engine { mount: Some("encrypted-store".to_owned()), version: Version::Two };
        let settings = Settings { authorities, ..settings(token(ROOT_TOKEN)) };
        Vault::new(server.encrypted_address(), engine, settings, surroundings())
    };
    assert_eq!(shown(&fetched(&with(server.certificate()).unwrap(), "a").await.property("v").unwrap()), "1");
    let error = with("x").unwrap_err();
    assert_eq!(error.reason(), "InvalidStore");
    assert!(error.to_string().contains("`caBundle`"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_server_is_not_asked_again_at_once_and_its_wait_is_told() {
    let busy = Loopback::start(|_| (429, "Retry-After: 17\r\n".to_owned(), r#"{"errors": ["slow down"]}"#.to_owned()));
    let error = refused(&store(&busy.address(), "secret", token("t")), "a").await;
    let FetchError::Throttled { retry_after, .. } = &error else { panic!("{error}") };
    assert_eq!(*retry_after, Some(Duration::from_secs(17)));
    assert_eq!((error.reason(), error.is_transient()), ("Throttled", true));
    assert!(error.to_string().contains("in 17 seconds"), "{error}");
    assert_eq!(busy.requests().len(), 1);

    let failing = Loopback::start(|_| (500, String::new(), r#"{"errors": ["internal error"]}"#.to_owned()));
    let error = refused(&store(&failing.address(), "secret", token("t")), "a").await;
    assert_eq!(error.reason(), "StoreUnavailable");
    assert_eq!(failing.requests().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_none_is_malformed_and_not_quoted() {
    let deep = format!(r#"{{"data": {{"data": {}1{}}}}}"#, "[".repeat(300), "]".repeat(300));
    for (body, reason) in [
        ("hunter2".to_owned(), "not JSON"),
        (deep, "nested too deep"),
        (r#"{"x": "hunter2"}"#.to_owned(), "has no `data`"),
        (r#"{"data": {"user": "hunter2"}}"#.to_owned(), "is this engine KV 1"),
        (r#"{"data": {"data": "hunter2"}}"#.to_owned(), "is not an object"),
        (
            format!(r#"{{"data": {{"data": {{"a": "{}"}}}}}}"#, "x".repeat(LIMITS.answer)),
            "is longer than 4194304 bytes",
        ),
    ] {
        let server = Loopback::start(move |_| (200, String::new(), body.clone()));
        let error = refused(&store(&server.address(), "secret", token("t")), "a").await;
        assert_eq!((error.reason(), error.is_transient()), ("MalformedAnswer", false), "{error}");
        assert!(error.to_string().contains(reason) && !error.to_string().contains("hunter2"), "{error}");
        assert_eq!(server.requests().len(), 1);
    }
    let deleted = Loopback::start(|_| (200, String::new(), r#"{"data": {"data": null}}"#.to_owned()));
    assert_eq!(refused(&store(&deleted.address(), "secret", token("t")), "a").await.reason(), "SecretNotFound");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_has_what_the_store_says_and_nothing_more() {
    let answer = r#"{"auth": {"client_token": "t"}, "data": {"data": {"v": "1"}}}"#;
    let fake = Loopback::start(move |_| (200, String::new(), answer.to_owned()));
    let login = Login::Jwt { mount: "jwt".to_owned(), role: Some("r".to_owned()), token: secret("hunter2").into() };
    let settings = Settings {
        namespace: Some("teams/shop".to_owned()),
        login_namespace: Some("admin".to_owned()),
        headers: vec![("X-Team".to_owned(), secret("shop"))],
        ..settings(login)
    };
    let base = format!("{}/behind/a/proxy/", fake.address());
    let store = Vault::new(&base, Engine::default(), settings, surroundings()).unwrap();
    store.fetch(&Remote::version("secret/a b", "3")).await.unwrap();
    let requests = fake.requests();
    let [login, read] = requests.as_slice() else { panic!("{} requests", requests.len()) };
    assert!(login.starts_with("POST /behind/a/proxy/v1/auth/jwt/login HTTP/1.1\r\n"), "{login}");
    assert!(
        login.ends_with(r#"{"role":"r","jwt":"hunter2"}"#) && login.contains("x-vault-namespace: admin"),
        "{login}"
    );
    assert!(read.starts_with("GET /behind/a/proxy/v1/secret/data/a%20b?version=3 HTTP/1.1\r\n"), "{read}");
    for line in ["x-vault-token: t", "x-vault-namespace: teams/shop", "x-team: shop"] {
        assert!(read.contains(line), "{line}: {read}");
    }
    assert!(!read.contains("hunter2") && read.ends_with("\r\n\r\n"), "{read}");
    for (name, value) in [("X-Vault-Token", "t"), ("a b", "c"), ("X-Team", "a\nb")] {
        let headers = vec![(name.to_owned(), secret(value))];
        let settings = Settings { headers, ..Settings::new(token("t")) };
        let error = Vault::new(&fake.address(), Engine::default(), settings, surroundings()).unwrap_err();
        assert_eq!(error.reason(), "InvalidStore", "{error}");
    }
}
