//! Secrets of a real API server, and what a server answers when something is wrong.

use std::sync::Arc;
use std::time::Duration;

use bulla_services::token::Bearer;
use bulla_services::transport::{Authorities, Identity};
use bulla_stores::kubernetes::{Kubernetes, Login, Settings};
use bulla_stores::{FetchError, Remote, Store as _, Usable};
use bulla_testkit::control_plane::{ControlPlane, Namespace};
use bulla_testkit::needs_peers;
use bulla_testkit::server::Server as Loopback;

use crate::{Tokens, fetched, refused, secret, shown, surroundings};

fn authorities() -> Authorities {
    let pem = std::fs::read(ControlPlane::shared().ca_certificate()).unwrap();
    Authorities { pem, place: "caBundle".to_owned() }
}

fn store(login: Login, namespace: &str) -> Kubernetes {
    let server = ControlPlane::shared().server();
    let settings = Settings { server, authorities: Some(authorities()), login, namespace: namespace.to_owned() };
    Kubernetes::new(settings, surroundings()).unwrap()
}

fn bearer(token: &str) -> Login {
    Login::Bearer(secret(token).into())
}

/// A service account with a role that allows `rule`, and its token.
fn account(namespace: &Namespace, name: &str, rule: &str) -> String {
    namespace.apply(&format!("{{apiVersion: v1, kind: ServiceAccount, metadata: {{name: {name}}}}}"));
    namespace.apply(&format!(
        "{{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {{name: {name}}}, rules: [{rule}]}}"
    ));
    namespace.apply(&format!(
        "{{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {{name: {name}}}, \
         roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: {name}}}, \
         subjects: [{{kind: ServiceAccount, name: {name}, namespace: {}}}]}}",
        namespace.name()
    ));
    let created = namespace.kubectl(["create", "token", name]).run().unwrap().success();
    created.stdout_text().trim().to_owned()
}

const SECRET: &str = r#"{apiVersion: v1, kind: Secret, metadata: {name: db}, stringData: {user: u, tls.crt: "<c>", config: '{"a": {"b": 1.50}}'}, data: {bytes: /wA=}}"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_given_by_entry_and_by_what_its_entries_hold() {
    needs_peers!();
    let namespace = ControlPlane::shared().namespace("stores-read");
    namespace.apply(SECRET);
    let token = account(&namespace, "reader", "{apiGroups: [''], resources: [secrets], verbs: [get]}");
    let admin = ControlPlane::shared().ca_certificate().with_file_name("admin.crt");
    let certificate = Identity {
        certificates: std::fs::read(&admin).unwrap(),
        key: secret(std::fs::read(admin.with_extension("key")).unwrap()),
        place: "auth.cert".to_owned(),
    };
    for login in [bearer(&token), Login::Certificate(certificate)] {
        let store = store(login, namespace.name());
        let secret = fetched(&store, "db").await;
        let whole = r#"{"bytes":"\ufffd\u0000","config":"{\"a\": {\"b\": 1.50}}","tls.crt":"<c>","user":"u"}"#;
        assert_eq!(shown(&secret.whole().unwrap()), whole);
        assert_eq!(shown(&secret.property("tls.crt").unwrap()), "<c>");
        assert_eq!(shown(&secret.property("config.a.b").unwrap()), "1.5");
        assert_eq!(secret.entries(None).unwrap()["bytes"].expose_secret(), b"\xff\0");
        assert_eq!(shown(&secret.entries(Some("config")).unwrap()["a"]), r#"{"b":1.5}"#);
        assert_eq!(store.check().await.unwrap(), Usable::Yes);
        let error = refused(&store, "nothing").await;
        assert_eq!((error.reason(), error.is_transient()), ("SecretNotFound", false), "{error}");
    }
    namespace.apply("{apiVersion: v1, kind: Secret, metadata: {name: empty}}");
    let store = store(bearer(&token), namespace.name());
    assert_eq!(fetched(&store, "empty").await.entries(None).unwrap().len(), 0);
    assert_eq!(refused(&store, "../configmaps/a").await.reason(), "InvalidKey");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_permission_is_named_with_the_rule_that_grants_it() {
    needs_peers!();
    let namespace = ControlPlane::shared().namespace("stores-denied");
    let name = namespace.name();
    namespace.apply(SECRET);
    let none = account(&namespace, "nobody", "{apiGroups: [''], resources: [configmaps], verbs: [get]}");
    let nobody = store(bearer(&none), name);
    let error = refused(&nobody, "db").await;
    assert_eq!((error.reason(), error.is_transient(), error.is_about_the_store()), ("AccessDenied", false, false));
    let FetchError::Forbidden { principal, action, resource, grant, .. } = &error else { panic!("{error}") };
    assert_eq!(*principal, format!("`system:serviceaccount:{name}:nobody`"));
    assert_eq!((action.as_str(), resource.clone()), ("get", format!("the Secret `{name}/db`")));
    assert!(grant.contains(r#"{apiGroups: [""], resources: [secrets], resourceNames: [db], verbs: [get]}"#), "{grant}");
    let error = nobody.check().await.unwrap_err();
    assert_eq!(error.reason(), "AccessDenied", "{error}");
    // What the message says is enough.
    let rule = r#"{apiGroups: [""], resources: [secrets], resourceNames: [db], verbs: [get]}"#;
    let some = store(bearer(&account(&namespace, "some", rule)), name);
    assert_eq!(shown(&fetched(&some, "db").await.property("user").unwrap()), "u");
    assert_eq!(some.check().await.unwrap(), Usable::Yes);
    assert_eq!(refused(&some, "other").await.reason(), "AccessDenied");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_over_is_exchanged_for_the_next_one_of_the_service_account() {
    needs_peers!();
    let namespace = ControlPlane::shared().namespace("stores-token");
    namespace.apply(SECRET);
    let good = account(&namespace, "reader", "{apiGroups: [''], resources: [secrets], verbs: [get]}");
    let error = refused(&store(bearer("hunter2"), namespace.name()), "db").await;
    assert_eq!((error.reason(), error.is_transient()), ("CredentialsRejected", false));
    assert!(
        error.to_string().contains("does not accept its token") && !error.to_string().contains("hunter2"),
        "{error}"
    );

    let source = |tokens: &[&str]| Login::Bearer(Bearer::Source(Tokens::new(tokens)));
    let over = store(source(&["hunter2", &good]), namespace.name());
    assert_eq!(shown(&fetched(&over, "db").await.property("user").unwrap()), "u");
    assert!(!format!("{over:?}").contains("hunter2"));
    let error = refused(&store(source(&["a", "b", "c"]), namespace.name()), "db").await;
    assert!(error.to_string().contains("does not accept the service account `shop/reader`"), "{error}");
    let error = refused(&store(source(&[]), namespace.name()), "db").await;
    assert_eq!((error.reason(), error.is_transient()), ("CredentialsMissing", true), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_gone_not_trusted_or_busy_is_named() {
    needs_peers!();
    let with = |server: String, authorities| {
        let settings = Settings { server, authorities, login: bearer("hunter2"), namespace: "default".to_owned() };
        Kubernetes::new(settings, surroundings())
    };
    let nobody = format!("http://127.0.0.1:{}", bulla_testkit::free_port());
    let error = refused(&with(nobody, None).unwrap(), "db").await;
    assert_eq!((error.reason(), error.is_transient()), ("StoreUnreachable", true), "{error}");
    let error = refused(&with(ControlPlane::shared().server(), None).unwrap(), "db").await;
    assert!(error.reason() == "StoreUnreachable" && error.to_string().contains("certificate"), "{error}");

    let busy = Loopback::start(|_| (429, "Retry-After: 3\r\n".to_owned(), String::new()));
    let error = refused(&with(busy.address(), None).unwrap(), "db").await;
    assert!(
        matches!(&error, FetchError::Throttled { retry_after: Some(wait), .. } if *wait == Duration::from_secs(3)),
        "{error}"
    );
    assert_eq!(busy.requests().len(), 1);
    let starting = Loopback::start(|number| match number {
        0 | 1 => (503, String::new(), r#"{"kind": "Status", "message": "the server is starting"}"#.to_owned()),
        _ => (200, String::new(), r#"{"kind": "Secret", "data": {"a": "YQ=="}}"#.to_owned()),
    });
    let store = with(format!("{}/k8s/clusters/c-1", starting.address()), None).unwrap();
    assert_eq!(shown(&fetched(&store, "db").await.property("a").unwrap()), "a");
    let requests = starting.requests();
    assert!(
        requests[2].starts_with("GET /k8s/clusters/c-1/api/v1/namespaces/default/secrets/db HTTP/1.1\r\n"),
        "{}",
        requests[2]
    );
    assert!(requests[2].contains("authorization: Bearer hunter2"), "{}", requests[2]);
    let failing =
        Loopback::start(|_| (500, String::new(), r#"{"kind": "Status", "message": "etcd is gone"}"#.to_owned()));
    let error = refused(&with(failing.address(), None).unwrap(), "db").await;
    assert!(error.reason() == "StoreUnavailable" && error.to_string().contains("etcd is gone"), "{error}");
    for (server, namespace) in [("https://a?b", "default"), ("", "default"), ("https://a", "a/b")] {
        let settings = Settings {
            server: server.to_owned(),
            authorities: None,
            login: bearer("t"),
            namespace: namespace.to_owned(),
        };
        assert_eq!(Kubernetes::new(settings, surroundings()).unwrap_err().reason(), "InvalidStore");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_none_is_malformed_and_not_quoted() {
    for (status, body, reason) in [
        (200, "hunter2".to_owned(), "not JSON"),
        (200, r#"{"data": {"a": "hunter2"}}"#.to_owned(), "not a Secret"),
        (200, r#"{"kind": "Secret", "data": {"a": "hunter2!"}}"#.to_owned(), "not base64"),
        (404, "<html>hunter2".to_owned(), "is this the address of an API server?"),
        (302, String::new(), "status 302"),
        (200, "x".repeat(5 << 20), "is longer than"),
    ] {
        let server = Loopback::start(move |_| (status, String::new(), body.clone()));
        let settings = Settings {
            server: server.address(),
            authorities: None,
            login: Login::Bearer(Bearer::Fixed(Arc::new(secret("t")))),
            namespace: "default".to_owned(),
        };
        let error = refused(&Kubernetes::new(settings, surroundings()).unwrap(), "db").await;
        assert_eq!((error.reason(), error.is_transient()), ("MalformedAnswer", false), "{error}");
        assert!(error.to_string().contains(reason) && !error.to_string().contains("hunter2"), "{error}");
        assert_eq!(server.requests().len(), 1);
    }
    // A version means nothing here.
    let server = Loopback::start(|_| (200, String::new(), r#"{"kind": "Secret", "data": null}"#.to_owned()));
    let settings =
        Settings { server: server.address(), authorities: None, login: bearer("t"), namespace: "default".to_owned() };
    let store = Kubernetes::new(settings, surroundings()).unwrap();
    assert!(store.fetch(&Remote::version("db", "7")).await.is_ok());
}
