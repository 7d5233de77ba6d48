//! Transit keys against a real Vault, and what it answers when something is wrong.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bulla_crypto::SecretBytes;
use bulla_keys::vault::{Vault, VaultKey, VaultKeyName};
use bulla_keys::{MasterKey as _, UnwrapError, WrapError, WrappedKey};
use bulla_services::vault::{AllowedAddresses, Authorities, Login, Settings};
use bulla_services::{NamedBy, ServiceError, Surroundings, Tried};
use bulla_testkit::control_plane::ControlPlane;
use bulla_testkit::needs_peers;
use bulla_testkit::server;
use bulla_testkit::vault::{ROOT_TOKEN, Vault as Server};
use tokio::runtime::Runtime;

use crate::secret;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

fn now<T>(future: impl Future<Output = T>) -> T {
    RUNTIME.block_on(future)
}

fn token(token: &str) -> Login {
    Login::Token { token: secret(token), place: "VAULT_TOKEN".to_owned() }
}

/// Settings with `VAULT_ADDR` set to `address`.
fn settings(address: &str, login: Login) -> Settings {
    let allowed = AllowedAddresses::read(Some(address), None).unwrap();
    Settings { allowed, ..Settings::new(login) }
}

fn vault(settings: Settings) -> Arc<Vault> {
    let surroundings = Surroundings::new(|| Ok(RUNTIME.handle().clone()), || 0);
    Arc::new(Vault::new(Ok(settings), surroundings))
}

/// A key that a file names.
fn key(vault: &Arc<Vault>, address: &str, engine: &str, name: &str) -> VaultKey {
    let name = VaultKeyName { address: address.to_owned(), engine_path: engine.to_owned(), key_name: name.to_owned() };
    VaultKey::new(name, NamedBy::File, Arc::clone(vault))
}

/// A transit engine of this test alone, with a key `k`.
fn engine(name: &str) -> &'static Server {
    let server = Server::shared();
    server.write(&format!("sys/mounts/{name}"), r#"{"type": "transit"}"#);
    server.write(&format!("{name}/keys/k"), "{}");
    server
}

fn data_key() -> SecretBytes {
    SecretBytes::new((0..32).collect())
}

fn wrap_error(key: &VaultKey) -> ServiceError {
    match now(key.wrap(&data_key())) {
        Err(WrapError::Service(error)) => *error,
        other => panic!("another outcome: {other:?}"),
    }
}

fn unwrap_error(key: &VaultKey, wrapped: &str) -> ServiceError {
    match now(key.unwrap(&WrappedKey::new(wrapped))) {
        Err(UnwrapError::Service(error)) => *error,
        other => panic!("another outcome: {other:?}"),
    }
}

#[test]
fn what_a_transit_key_wraps_it_unwraps() {
    needs_peers!();
    let server = engine("teams/shop/round-trip");
    let vault = vault(settings(server.address(), token(ROOT_TOKEN)));
    let key = key(&vault, server.address(), "teams/shop/round-trip", "k");
    let wrapped = now(key.wrap(&data_key())).unwrap();
    assert!(wrapped.as_str().starts_with("vault:v1:"), "{}", wrapped.as_str());
    assert_eq!(now(key.unwrap(&wrapped)).unwrap().unwrap().expose_secret(), data_key().expose_secret());
    let id = format!("hc_vault {}/v1/teams/shop/round-trip/keys/k", server.address());
    assert_eq!(key.name().id().to_string(), id);
    // What an older version of the key wrapped still opens, and new ones are wrapped with the new version.
    server.write("teams/shop/round-trip/keys/k/rotate", "{}");
    assert!(now(key.unwrap(&wrapped)).unwrap().is_some());
    assert!(now(key.wrap(&data_key())).unwrap().as_str().starts_with("vault:v2:"));
}

#[test]
fn tls_trusts_the_authority_that_is_named_and_no_other() {
    needs_peers!();
    let server = engine("encrypted");
    let address = server.encrypted_address();
    let authorities = |pem: &str| Some(Authorities { pem: pem.as_bytes().to_vec(), place: "VAULT_CACERT".to_owned() });
    let trusting =
        vault(Settings { authorities: authorities(server.certificate()), ..settings(address, token(ROOT_TOKEN)) });
    let wrapped = now(key(&trusting, address, "encrypted", "k").wrap(&data_key())).unwrap();
    assert!(now(key(&trusting, address, "encrypted", "k").unwrap(&wrapped)).unwrap().is_some());

    let other = vault(settings(address, token(ROOT_TOKEN)));
    let error = wrap_error(&key(&other, address, "encrypted", "k"));
    assert!(matches!(&error, ServiceError::Unreachable { reason, .. } if reason.contains("certificate")), "{error}");
    let none = vault(Settings { authorities: authorities("x"), ..settings(address, token(ROOT_TOKEN)) });
    let error = wrap_error(&key(&none, address, "encrypted", "k"));
    assert!(error.to_string().contains("VAULT_CACERT"), "{error}");
}

#[test]
fn a_token_that_is_none_is_told_from_one_that_may_not() {
    needs_peers!();
    let server = engine("denied");
    let wrapped =
        now(key(&vault(settings(server.address(), token(ROOT_TOKEN))), server.address(), "denied", "k")
            .wrap(&data_key()))
        .unwrap();
    let wrong = vault(settings(server.address(), token("hvs.wrong")));
    let error = unwrap_error(&key(&wrong, server.address(), "denied", "k"), wrapped.as_str());
    assert!(
        matches!(&error, ServiceError::Rejected { principal, .. } if principal.contains("`VAULT_TOKEN`")),
        "{error}"
    );
    assert!(!error.to_string().contains("hvs.wrong"), "{error}");
    let unusual = vault(settings(server.address(), token("a\nb")));
    assert!(matches!(wrap_error(&key(&unusual, server.address(), "denied", "k")), ServiceError::Rejected { .. }));

    // Whoever may only encrypt is told what is missing to decrypt; and with that, it works.
    let policy = r#"path "denied/encrypt/k" { capabilities = ["update"] }"#;
    let narrow = vault(settings(server.address(), token(&server.token("denied", policy))));
    let key = key(&narrow, server.address(), "denied", "k");
    assert!(now(key.wrap(&data_key())).is_ok());
    let error = unwrap_error(&key, wrapped.as_str());
    assert_eq!(error.to_string(), "the token from `VAULT_TOKEN` may not update `denied/decrypt/k`");
    let ServiceError::Denied { grant, .. } = error else { panic!("{error}") };
    let policy = serde_json::json!({ "policy": format!("{policy}\n{grant}") }).to_string();
    server.write("sys/policies/acl/denied", &policy);
    assert!(now(key.unwrap(&wrapped)).unwrap().is_some());
}

#[test]
fn a_missing_key_a_foreign_one_and_damage_are_told_apart() {
    needs_peers!();
    let server = engine("missing");
    server.write("missing/keys/other", "{}");
    let vault = vault(settings(server.address(), token(ROOT_TOKEN)));
    let key = |engine: &str, name: &str| key(&vault, server.address(), engine, name);
    let wrapped = now(key("missing", "k").wrap(&data_key())).unwrap();
    for (engine, name) in [("missing", "nothing"), ("nowhere", "k")] {
        let error = unwrap_error(&key(engine, name), wrapped.as_str());
        assert!(matches!(error, ServiceError::UnknownKey { .. }), "{engine} {name}: {error}");
    }
    let error = unwrap_error(&key("missing", "other"), wrapped.as_str());
    assert!(matches!(error, ServiceError::Unfit { .. }), "{error}");
    let damaged = format!("{}AAAA", &wrapped.as_str()[..wrapped.as_str().len() - 4]);
    let error = unwrap_error(&key("missing", "k"), &damaged);
    assert!(matches!(error, ServiceError::Unfit { .. }), "{error}");
    let outcome = now(key("missing", "k").unwrap(&WrappedKey::new("AQICAHh")));
    assert!(matches!(outcome, Err(UnwrapError::Malformed(_))), "{outcome:?}");
}

#[test]
fn a_server_that_is_sealed_or_not_there_is_named() {
    needs_peers!();
    let server = Server::start();
    server.write("sys/seal", "{}");
    let sealed = vault(settings(server.address(), token(ROOT_TOKEN)));
    let error = wrap_error(&key(&sealed, server.address(), "transit", "k"));
    assert_eq!(error.to_string(), format!("{} cannot answer: Vault is sealed", server.address()));

    let address = format!("http://127.0.0.1:{}", bulla_testkit::free_port());
    let error = wrap_error(&key(&vault(settings(&address, token(ROOT_TOKEN))), &address, "transit", "k"));
    assert!(error.to_string().starts_with(&format!("{address} cannot be reached: ")), "{error}");
}

#[test]
fn an_app_role_logs_in_once_and_again_when_its_token_is_over() {
    needs_peers!();
    let server = engine("by-role");
    let policy = serde_json::json!({ "policy": r#"path "by-role/+/k" { capabilities = ["update"] }"# });
    server.write("sys/policies/acl/by-role", &policy.to_string());
    server.write("sys/auth/ci", r#"{"type": "approle"}"#);
    // A token that is good for two calls.
    server.write("auth/ci/role/r", r#"{"token_policies": ["by-role"], "token_num_uses": 2}"#);
    server.write("auth/ci/role/r/role-id", r#"{"role_id": "the-role"}"#);
    server.write("auth/ci/role/r/custom-secret-id", r#"{"secret_id": "hunter2"}"#);
    let login = |secret_id: &str| Login::AppRole {
        mount: "ci".to_owned(),
        role_id: "the-role".to_owned(),
        secret_id: secret(secret_id),
    };
    let vault_of_role = vault(settings(server.address(), login("hunter2")));
    for _ in 0..5 {
        let key = key(&vault_of_role, server.address(), "by-role", "k");
        now(key.wrap(&data_key())).unwrap();
    }
    let wrong = vault(settings(server.address(), login("swordfish")));
    let error = wrap_error(&key(&wrong, server.address(), "by-role", "k"));
    assert!(error.to_string().contains("does not accept the AppRole `the-role`"), "{error}");
    assert!(!error.to_string().contains("swordfish"));
}

#[test]
fn a_service_account_logs_in() {
    needs_peers!();
    let server = engine("by-pod");
    let control_plane = ControlPlane::shared();
    let namespace = control_plane.namespace("vault");
    let name = namespace.name();
    let service_account = namespace.token_reviewer("pod");

    server.write("sys/auth/kubernetes", r#"{"type": "kubernetes"}"#);
    let authority = std::fs::read_to_string(control_plane.ca_certificate()).unwrap();
    let configuration = serde_json::json!({
        "kubernetes_host": control_plane.server(),
        "kubernetes_ca_cert": authority,
        "token_reviewer_jwt": service_account,
        "disable_local_ca_jwt": true,
    });
    server.write("auth/kubernetes/config", &configuration.to_string());
    let policy = serde_json::json!({ "policy": r#"path "by-pod/+/k" { capabilities = ["update"] }"# });
    server.write("sys/policies/acl/by-pod", &policy.to_string());
    let role = serde_json::json!({
        "bound_service_account_names": ["pod"],
        "bound_service_account_namespaces": [name],
        "token_policies": ["by-pod"],
    });
    server.write("auth/kubernetes/role/shop", &role.to_string());

    let login = |role: &str| Login::Kubernetes {
        mount: "kubernetes".to_owned(),
        role: role.to_owned(),
        service_account: secret(&service_account).into(),
    };
    let of_pod = vault(settings(server.address(), login("shop")));
    let wrapped = now(key(&of_pod, server.address(), "by-pod", "k").wrap(&data_key())).unwrap();
    assert!(now(key(&of_pod, server.address(), "by-pod", "k").unwrap(&wrapped)).unwrap().is_some());
    let error = wrap_error(&key(&vault(settings(server.address(), login("other"))), server.address(), "by-pod", "k"));
    assert!(error.to_string().contains("does not accept the Kubernetes role `other`"), "{error}");
    let _deleted = control_plane.kubectl(["delete", "clusterrolebinding", name]).run().unwrap().success();
}

#[test]
fn no_token_goes_where_only_the_file_says() {
    let theirs = server::Server::start(|_| (200, String::new(), "{}".to_owned()));
    let vault = vault(settings("https://vault.example.com:8200", token("hunter2")));
    let error = unwrap_error(&key(&vault, &theirs.address(), "transit", "k"), "vault:v1:x");
    assert_eq!(error, ServiceError::NotAllowed { address: theirs.address() });
    assert!(theirs.requests().is_empty());
    for (address, engine) in
        [("file:///x", "transit"), ("http://127.0.0.1:1/x", "transit"), ("http://127.0.0.1:1", "..")]
    {
        let error = unwrap_error(&key(&vault, address, engine, "k"), "vault:v1:x");
        assert!(matches!(error, ServiceError::Settings(_)), "{error}");
    }
}

#[test]
fn a_redirect_is_followed_only_to_where_the_token_may_go() {
    needs_peers!();
    let real = engine("redirected");
    let to = format!("Location: {}/v1/redirected/encrypt/k\r\n", real.address());
    let standby = server::Server::start(move |_| (307, to.clone(), String::new()));
    let address = standby.address();
    // The file's server, which is ours, sends us to one that nobody named.
    let vault_of_one = vault(settings(&address, token(ROOT_TOKEN)));
    let error = wrap_error(&key(&vault_of_one, &address, "redirected", "k"));
    assert_eq!(error, ServiceError::Redirected { address: address.clone(), target: real.address().to_owned() });
    assert_eq!(standby.requests().len(), 1, "it is not asked again");

    let allowed = AllowedAddresses::read(None, Some(&format!("{address},{}", real.address()))).unwrap();
    let vault_of_both = vault(Settings { allowed, ..settings(&address, token(ROOT_TOKEN)) });
    let wrapped = now(key(&vault_of_both, &address, "redirected", "k").wrap(&data_key())).unwrap();
    assert!(wrapped.as_str().starts_with("vault:v1:"));

    let endless = server::Server::start(|_| (307, "Location: /v1/again\r\n".to_owned(), String::new()));
    let error = wrap_error(&key(&vault(settings(&endless.address(), token("t"))), &endless.address(), "transit", "k"));
    assert!(matches!(error, ServiceError::Unexpected { .. }), "{error}");
}

#[test]
fn what_may_work_later_is_asked_again() {
    const GOOD: &str = r#"{"data": {"ciphertext": "vault:v1:x"}}"#;
    let busy = server::Server::start(|number| match number {
        0 => (429, "Retry-After: 0\r\n".to_owned(), String::new()),
        1 => (500, String::new(), r#"{"errors": ["internal error"]}"#.to_owned()),
        _ => (200, String::new(), GOOD.to_owned()),
    });
    let of_busy = Settings { namespace: Some("teams/shop".to_owned()), ..settings(&busy.address(), token("hunter2")) };
    let wrapped = now(key(&vault(of_busy), &busy.address(), "transit", "a key").wrap(&data_key())).unwrap();
    assert_eq!(wrapped.as_str(), "vault:v1:x");
    let requests = busy.requests();
    assert_eq!(requests.len(), 3);
    for request in requests {
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("POST /v1/transit/encrypt/a%20key HTTP/1.1\r\n"), "{head}");
        let head = head.to_ascii_lowercase();
        assert!(head.contains("x-vault-token: hunter2") && head.contains("x-vault-namespace: teams/shop"), "{head}");
        assert_eq!(body, r#"{"plaintext":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}"#);
    }

    let never = server::Server::start(|_| (429, String::new(), String::new()));
    let error = wrap_error(&key(&vault(settings(&never.address(), token("t"))), &never.address(), "transit", "k"));
    assert_eq!(error, ServiceError::Throttled { address: never.address(), attempts: 5, retry_after: None });
    assert_eq!(never.requests().len(), 5);
}

#[test]
fn calls_at_once_are_bounded() {
    static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);
    static MOST: AtomicUsize = AtomicUsize::new(0);
    let slow = server::Server::start(|_| {
        MOST.fetch_max(UNDER_WAY.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(20));
        UNDER_WAY.fetch_sub(1, Ordering::SeqCst);
        (200, String::new(), r#"{"data": {"ciphertext": "vault:v1:x"}}"#.to_owned())
    });
    let vault = vault(settings(&slow.address(), token("t")));
    let address = slow.address();
    let tasks: Vec<_> = (0..40)
        .map(|_| {
            let key = key(&vault, &address, "transit", "k");
            RUNTIME.spawn(async move { key.wrap(&data_key()).await.unwrap() })
        })
        .collect();
    for task in tasks {
        now(task).unwrap();
    }
    let most = MOST.load(Ordering::SeqCst);
    assert!((2..=8).contains(&most), "{most} at once");
}

#[test]
fn all_calls_of_a_command_share_one_login() {
    let answer = r#"{"auth": {"client_token": "t"}, "data": {"ciphertext": "vault:v1:x"}}"#;
    let fake = server::Server::start(move |_| (200, String::new(), answer.to_owned()));
    let address = fake.address();
    let login = Login::AppRole { mount: "ci".to_owned(), role_id: "r".to_owned(), secret_id: secret("hunter2") };
    let vault = vault(settings(&address, login));
    let tasks: Vec<_> = (0..30)
        .map(|_| {
            let key = key(&vault, &address, "transit", "k");
            RUNTIME.spawn(async move { key.wrap(&data_key()).await.unwrap() })
        })
        .collect();
    for task in tasks {
        now(task).unwrap();
    }
    let requests = fake.requests();
    let logins: Vec<_> = requests.iter().filter(|request| request.starts_with("POST /v1/auth/ci/login ")).collect();
    assert_eq!((logins.len(), requests.len()), (1, 31));
    assert!(logins[0].ends_with(r#"{"role_id":"r","secret_id":"hunter2"}"#), "{}", logins[0]);
    let calls = requests.iter().filter(|request| request.starts_with("POST /v1/transit/encrypt/k "));
    assert!(calls.clone().count() == 30 && calls.clone().all(|call| !call.contains("hunter2")));
}

#[test]
fn without_credentials_the_places_are_told_and_secrets_are_never_shown() {
    let fake = server::Server::start(|_| (403, String::new(), r#"{"errors": ["permission denied"]}"#.to_owned()));
    let address = &*fake.address();
    let tried = vec![Tried { place: "VAULT_TOKEN".to_owned(), outcome: "not set".to_owned() }];
    let nobody = vault(settings(address, Login::None(tried.clone())));
    let nobody_key = key(&nobody, address, "transit", "k");
    let no_credentials = ServiceError::NoCredentials { address: address.to_owned(), tried: tried.clone() };
    assert_eq!(wrap_error(&nobody_key), no_credentials);
    assert_eq!(nobody_key.tried(), tried);
    // That nobody adds some on the way is asked once.
    assert_eq!(wrap_error(&nobody_key), no_credentials);
    assert_eq!(fake.requests().len(), 1);
    let shown = format!("{:?}", key(&vault(settings(address, token("hunter2"))), address, "transit", "k"));
    assert!(!shown.contains("hunter2"), "{shown}");
}
