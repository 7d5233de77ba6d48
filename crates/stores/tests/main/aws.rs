//! AWS Secrets Manager by moto, and what it answers when something is wrong.

use std::sync::Arc;

use bulla_services::aws::{Login, Settings};
use bulla_stores::aws::{LIMITS, Place, SecretsManager};
use bulla_stores::{Remote, SelectError, Store as _, Usable};
use bulla_testkit::moto::{AccessKey, Fault, Moto};
use bulla_testkit::needs_peers;
use bulla_testkit::server::Server as Loopback;
use serde_json::json;

use crate::{Tokens, fetched, refused, secret, shown, surroundings};

const REGION: &str = "eu-west-1";
const GET: &str = "secretsmanager:GetSecretValue";

fn key(id: &str, text: &str) -> Login {
    Login::Key { id: id.to_owned(), secret: secret(text), session_token: None, place: "aws-credentials".to_owned() }
}

fn of(key_: &AccessKey) -> Login {
    key(&key_.id, &key_.secret)
}

fn settings(address: &str, login: Login) -> Settings {
    Settings { endpoint: Some(address.to_owned()), limits: LIMITS, ..Settings::new(login, "test".to_owned()) }
}

fn place(role: Option<&str>) -> Place {
    Place { region: REGION.to_owned(), role: role.map(str::to_owned), prefix: String::new() }
}

fn store(address: &str, login: Login) -> SecretsManager {
    SecretsManager::new(place(None), settings(address, login), surroundings()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_given_by_name_and_arn_and_in_its_versions() {
    needs_peers!();
    let moto = Moto::shared();
    let text = r#"{"user": "u", "a.b": "dotted", "a": {"b": "path", "n": 12345678901234567890}, "none": null, "list": [1, "<"]}"#;
    let arn = moto.secret(REGION, "stores/db", text);
    let store = store(moto.address(), key("AKID", "s"));
    for name in ["stores/db", arn.as_str()] {
        let secret = fetched(&store, name).await;
        assert_eq!(shown(&secret.whole().unwrap()), text);
        for (property, value) in
            [("user", "u"), ("a.b", "dotted"), (r"a.n", "12345678901234567890"), ("list.#", "2"), ("none", "")]
        {
            assert_eq!(shown(&secret.property(property).unwrap()), value, "{property}");
        }
        assert_eq!(secret.property("a.c").unwrap_err(), SelectError::NoProperty("a.c".to_owned()));
        let entries = secret.entries(None).unwrap();
        let entries: Vec<_> = entries.iter().map(|(name, value)| (name.as_str(), shown(value))).collect();
        let a = r#"{"b": "path", "n": 12345678901234567890}"#;
        assert_eq!(entries, [("a", a), ("a.b", "dotted"), ("list", r#"[1, "<"]"#), ("none", ""), ("user", "u")]);
    }
    let put = |body| moto.json(REGION, "secretsmanager", "secretsmanager.PutSecretValue", &body);
    let second = put(json!({"SecretId": "stores/db", "SecretString": "two", "VersionStages": ["AWSCURRENT"]}));
    put(json!({"SecretId": "stores/db", "SecretBinary": "/wA=", "VersionStages": ["BYTES"]}));
    let second = format!("uuid/{}", second["VersionId"].as_str().unwrap());
    for (version, value) in
        [("", &b"two"[..]), (&second, b"two"), ("AWSPREVIOUS", text.as_bytes()), ("BYTES", b"\xff\0")]
    {
        let secret = store.fetch(&Remote::version("stores/db", version)).await.unwrap();
        assert_eq!(secret.whole().unwrap().expose_secret(), value, "{version}");
    }
    let error = store.fetch(&Remote::version("stores/db", "NOWHERE")).await.unwrap_err();
    assert_eq!(error.reason(), "SecretNotFound", "{error}");
    let place = Place { prefix: "stores/".to_owned(), ..place(None) };
    let below = SecretsManager::new(place, settings(moto.address(), key("AKID", "s")), surroundings()).unwrap();
    assert_eq!(shown(&fetched(&below, "db").await.whole().unwrap()), "two");
    assert_eq!(below.check().await.unwrap(), Usable::Yes);
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_deleted_throttled_and_failing_are_told_apart() {
    needs_peers!();
    let moto = Moto::start();
    moto.secret(REGION, "a", "1");
    moto.secret(REGION, "gone", "1");
    moto.json(REGION, "secretsmanager", "secretsmanager.DeleteSecret", &json!({"SecretId": "gone"}));
    let store = store(moto.address(), key("AKID", "hunter2"));
    let error = refused(&store, "nothing").await;
    assert_eq!((error.reason(), error.is_transient()), ("SecretNotFound", false), "{error}");
    let error = refused(&store, "gone").await;
    assert!(error.reason() == "SecretNotFound" && error.to_string().contains("marked for deletion"), "{error}");

    for (code, status, reason, calls) in [
        ("ThrottlingException", 400, "Throttled", 1),
        ("InternalServiceError", 500, "StoreUnavailable", 3),
        ("DecryptionFailure", 400, "StoreUnavailable", 1),
        ("UnrecognizedClientException", 400, "CredentialsRejected", 1),
        ("ExpiredTokenException", 400, "CredentialsRejected", 1),
        ("ValidationException", 400, "InvalidKey", 1),
        ("AccessDeniedException", 400, "AccessDenied", 1),
    ] {
        moto.forget_calls();
        moto.fail(&Fault { action: Some(GET), code, status: Some(status), message: "as told", ..Fault::default() });
        let error = refused(&store, "a").await;
        assert_eq!((error.reason(), moto.count(GET)), (reason, calls), "{code}: {error}");
        assert!(!format!("{error} {store:?}").contains("hunter2"), "{error}");
        moto.mend();
    }
    assert_eq!(shown(&fetched(&store, "a").await.whole().unwrap()), "1");
    let nobody = format!("http://127.0.0.1:{}", bulla_testkit::free_port());
    let error = refused(&self::store(&nobody, key("AKID", "s")), "a").await;
    assert_eq!((error.reason(), error.is_transient()), ("StoreUnreachable", true), "{error}");
    let odd = Loopback::start(|_| (200, String::new(), "{}".to_owned()));
    let error = refused(&self::store(&odd.address(), key("AKID", "s")), "a").await;
    assert_eq!(error.reason(), "MalformedAnswer", "{error}");
    let place = Place { region: "x.evil.example".to_owned(), ..place(None) };
    let error = SecretsManager::new(place, settings(moto.address(), key("A", "s")), surroundings()).unwrap_err();
    assert_eq!(error.reason(), "InvalidStore", "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_permission_is_named_with_the_statement_that_grants_it() {
    needs_peers!();
    let moto = Moto::start();
    moto.secret(REGION, "one", "1");
    moto.secret(REGION, "two", "2");
    // moto looks at actions, and not at which secret they are about.
    let policy = |actions: &[&str]| json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]});
    let user = moto.user("reader", &policy(&["secretsmanager:ListSecrets"]));
    let role = moto.role("reading", &policy(&[GET]));
    let everybody = moto.user("everybody", &policy(&[GET, "sts:AssumeRole"]));
    moto.enforce();
    assert_eq!(shown(&fetched(&store(moto.address(), of(&everybody)), "one").await.whole().unwrap()), "1");
    let narrow = store(moto.address(), of(&user));
    let error = refused(&narrow, "two").await;
    assert_eq!((error.reason(), error.is_transient(), error.is_about_the_store()), ("AccessDenied", false, false));
    let said = error.to_string();
    assert!(said.contains("user/reader may not secretsmanager:GetSecretValue"), "{said}");
    assert!(said.contains(r#"{"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": "#), "{said}");
    // A secret access key that is not this user's.
    let wrong = store(moto.address(), key(&user.id, "hunter2"));
    let error = refused(&wrong, "one").await;
    assert_eq!(error.reason(), "CredentialsRejected", "{error}");
    assert!(error.to_string().contains("`aws-credentials`") && !error.to_string().contains("hunter2"), "{error}");
    // A role, with what it asks of whoever assumes it.
    let settings = Settings { external_id: Some("shop".to_owned()), ..settings(moto.address(), of(&everybody)) };
    let assumed = SecretsManager::new(place(Some(&role)), settings, surroundings()).unwrap();
    moto.forget_calls();
    for _ in 0..3 {
        assert_eq!(shown(&fetched(&assumed, "two").await.whole().unwrap()), "2");
    }
    assert_eq!((moto.count("sts:AssumeRole"), moto.count(GET)), (1, 3), "one session for all fetches");
}

/// STS and Secrets Manager, by the token that is shown: calls without a signature are none that moto would count, or fail on request.
fn cluster() -> Loopback {
    Loopback::answering(|_, request| {
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let sts = |status, xml: &str| (status, "Content-Type: text/xml\r\n".to_owned(), xml.to_owned());
        let error = |code: &str| {
            format!(
                "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>as told</Message></Error></ErrorResponse>"
            )
        };
        if body.contains("Action=AssumeRoleWithWebIdentity") {
            return match body.split("WebIdentityToken=").nth(1).and_then(|rest| rest.split('&').next()) {
                Some("good") => sts(
                    200,
                    "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
                     <AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ASIA</AccessKeyId>\
                     <SecretAccessKey>s</SecretAccessKey><SessionToken>of-the-role</SessionToken>\
                     <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult>\
                     </AssumeRoleWithWebIdentityResponse>",
                ),
                Some("denied") => sts(403, &error("AccessDenied")),
                _ => sts(400, &error("InvalidIdentityToken")),
            };
        }
        assert!(head.to_ascii_lowercase().contains("x-amz-security-token: of-the-role"), "{head}");
        (200, "Content-Type: application/x-amz-json-1.1\r\n".to_owned(), r#"{"SecretString": "1"}"#.to_owned())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_account_becomes_a_role_with_the_token_of_the_moment() {
    let role = "arn:aws:iam::123456789012:role/of-the-cluster".to_owned();
    let login = |tokens: &[&str]| Login::WebIdentity { role: role.clone(), tokens: Tokens::new(tokens) };
    let server = cluster();
    let exchanges = || server.requests().iter().filter(|request| request.contains("AssumeRoleWithWebIdentity")).count();
    let good = store(&server.address(), login(&["good"]));
    for _ in 0..3 {
        assert_eq!(shown(&fetched(&good, "a").await.whole().unwrap()), "1");
    }
    assert_eq!(exchanges(), 1);
    let exchange = server.requests()[0].clone();
    assert!(exchange.contains("of-the-cluster") && exchange.contains("RoleSessionName=test"), "{exchange}");
    assert!(!exchange.to_ascii_lowercase().contains("authorization:"), "{exchange}");
    // A token that is over is told to its source, and the next one works.
    assert_eq!(shown(&fetched(&store(&server.address(), login(&["over", "good"])), "a").await.whole().unwrap()), "1");
    assert_eq!(exchanges(), 3);
    let error = refused(&store(&server.address(), login(&["a", "b", "c"])), "a").await;
    assert_eq!(error.reason(), "CredentialsRejected", "{error}");
    assert!(error.to_string().contains("the service account `shop/reader`"), "{error}");
    let error = refused(&store(&server.address(), login(&["denied"])), "a").await;
    assert_eq!(error.reason(), "AccessDenied", "{error}");
    assert!(error.to_string().contains("a trust policy of the role"), "{error}");
    let error = refused(&store(&server.address(), login(&[])), "a").await;
    assert_eq!((error.reason(), error.is_transient()), ("CredentialsMissing", true), "{error}");
    let tokens: Arc<dyn bulla_stores::TokenSource> = Tokens::new(["hunter2"]);
    let shown = format!("{:?}", store(&server.address(), Login::WebIdentity { role: role.clone(), tokens }));
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn moto_gives_a_service_account_the_credentials_of_a_role() {
    needs_peers!();
    let moto = Moto::start();
    moto.secret(REGION, "a", "1");
    let policy = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": GET, "Resource": "*"}]});
    let role = moto.role("of-the-cluster", &policy);
    let tokens = Tokens::new(["a token"]);
    let store = store(moto.address(), Login::WebIdentity { role, tokens });
    moto.forget_calls();
    for _ in 0..3 {
        assert_eq!(shown(&fetched(&store, "a").await.whole().unwrap()), "1");
    }
    assert_eq!(moto.count(GET), 3);
}
