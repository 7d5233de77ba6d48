//! AWS Secrets Manager, by moto, as the store.

use bulla_controller::{ExternalOptions, Options};
use bulla_testkit::moto::{Fault, Moto};
use bulla_testkit::needs_peers;
use serde_json::json;

use super::{External, data};
use crate::fixture::condition;

const REGION: &str = "eu-west-1";
const GET: &str = "secretsmanager:GetSecretValue";

#[tokio::test(flavor = "multi_thread")]
async fn secrets_of_aws_become_secrets_and_every_fault_has_its_reason() {
    needs_peers!();
    let external = External::new("ext-aws");
    let moto = Moto::start();
    moto.secret(REGION, "shop/db", r#"{"user": "u", "a.b": "dotted", "nested": {"n": 1}}"#);
    moto.secret(REGION, "shop/plain", "hunter2");
    let key = |id: &str, secret: &str| {
        external.fixture.apply(&json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "aws"}, "stringData": {"id": id, "secret": secret},
        }));
    };
    key("AKIDEXAMPLE", "the-secret-access-key");
    let selector = |key: &str| json!({"name": "aws", "key": key});
    external.store("aws", &json!({"aws": {
        "service": "SecretsManager", "region": REGION, "prefix": "shop/",
        "auth": {"secretRef": {"accessKeyIDSecretRef": selector("id"), "secretAccessKeySecretRef": selector("secret")}},
    }}));
    let options = external.options();
    let aws = ExternalOptions { aws_endpoint: Some(moto.address().to_owned()), ..options.external.clone().unwrap() };
    let running = external.fixture.start_with(Options { external: Some(aws), ..options }).await;

    let store = json!({"name": "aws"});
    external.apply(
        "db",
        &json!({
            "secretStoreRef": store, "refreshInterval": "1h",
            "data": [
                {"secretKey": "plain", "remoteRef": {"key": "plain"}},
                {"secretKey": "dotted", "remoteRef": {"key": "db", "property": "a.b"}},
            ],
            "dataFrom": [{"extract": {"key": "db"}}],
        }),
    );
    external.synced("db");
    external.wait_for_values(
        "db",
        &json!({
            "a.b": "dotted", "dotted": "dotted", "nested": r#"{"n": 1}"#, "plain": "hunter2", "user": "u",
        }),
    );
    assert_eq!(moto.count(GET), 2, "one question for all that is selected of an answer");

    for (name, code, reason) in [
        ("denied", "AccessDeniedException", "AccessDenied"),
        ("missing", "ResourceNotFoundException", "SecretNotFound"),
        ("rejected", "UnrecognizedClientException", "CredentialsRejected"),
    ] {
        moto.fail(&Fault { action: Some(GET), code, message: "as told", ..Fault::default() });
        external.apply(name, &json!({"secretStoreRef": store, "data": data(&[("a", &format!("only-{name}"))])}));
        let object = external.reported(name, "False", |object| condition(object, "Ready")["reason"] == reason);
        let message = condition(&object, "Ready")["message"].as_str().unwrap().to_owned();
        assert!(!message.contains("hunter2") && !message.contains("the-secret-access-key"), "{message}");
        moto.mend();
    }
    running.stop().await;
}
