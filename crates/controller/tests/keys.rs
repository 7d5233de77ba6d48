//! The sealing keys: made, found, broken, replaced, gone.

use std::time::Duration;

use bulla_controller::{KeyOptions, Options};
use bulla_sealed::Certificate;
use bulla_testkit::control_plane::{Namespace, wait_for};
use bulla_testkit::needs_peers;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::fixture::{Fixture, Key, PATIENCE, get};

const LABEL: &str = "sealedsecrets.bitnami.com/sealed-secrets-key";

fn key_secrets(namespace: &Namespace) -> Vec<Value> {
    let found = namespace.kubectl(["get", "secrets", "--output=json"]).run().unwrap().success();
    let mut list: Value = serde_json::from_slice(&found.stdout).unwrap();
    list["items"].as_array_mut().unwrap().drain(..).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_key_is_made_as_upstream_makes_it_and_handed_out() {
    needs_peers!();
    let fixture = Fixture::new("first-key");
    let options = fixture.options();
    let keys = KeyOptions {
        prefix: "my-key".to_owned(),
        common_name: "shop".to_owned(),
        labels: [("team".to_owned(), "a".to_owned()), (LABEL.to_owned(), "off".to_owned())].into(),
        annotations: [("note".to_owned(), "b".to_owned())].into(),
        ..options.keys.clone()
    };
    let running = fixture.start_with(Options { keys, ..options }).await;
    let secrets = key_secrets(&fixture.keys);
    assert_eq!(secrets.len(), 1);
    let secret = &secrets[0];
    let name = secret["metadata"]["name"].as_str().unwrap();
    assert!(name.starts_with("my-key") && name.len() == "my-key".len() + 5, "{name}");
    assert_eq!(secret["type"], "kubernetes.io/tls");
    assert_eq!(secret["metadata"]["labels"], json!({LABEL: "active", "team": "a"}));
    assert_eq!(secret["metadata"]["annotations"], json!({"note": "b"}));
    let address = running.address().unwrap();
    let (status, pem) = get(address, "/v1/cert.pem").await;
    assert_eq!(status, 200);
    let stored = bulla_crypto::encoding::decode_go(secret["data"]["tls.crt"].as_str().unwrap().as_bytes()).unwrap();
    assert_eq!(pem.as_bytes(), stored);
    let certificate = Certificate::from_pem(pem.as_bytes()).unwrap();
    let valid_for = certificate.not_after().duration_since(certificate.not_before());
    assert_eq!(valid_for, SignedDuration::from_hours(87_600));
    assert_eq!(get(address, "/healthz").await, (200, "ok\n".to_owned()));
    assert_eq!(get(address, "/readyz").await, (200, "ok\n".to_owned()));
    assert_eq!(get(address, "/v1/rotate").await.0, 404);
    assert_eq!(running.counts().keys_created, 1);
    running.stop().await;
    // The next one finds it.
    let running = fixture.start().await;
    assert_eq!(running.counts().keys_created, 0);
    assert_eq!(get(running.address().unwrap(), "/v1/cert.pem").await.1, pem);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_key_secret_stops_nothing() {
    needs_peers!();
    let (fixture, key) = Fixture::with_key("broken-key");
    let hour = SignedDuration::from_hours(1);
    let other = Key::new("other", Timestamp::now() + hour);
    let broken = |name: &str, data: Value| {
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "labels": {LABEL: "active"}},
            "stringData": data,
        })
    };
    for (name, data) in [
        ("a-empty", json!({})),
        ("a-text", json!({"tls.key": "nonsense", "tls.crt": "nonsense"})),
        ("a-no-key", json!({"tls.crt": other.certificate.to_pem()})),
        // The newest of all, and its certificate is of another key: handing it out would lose what is sealed with it.
        ("a-mismatch", json!({"tls.key": key.pem(), "tls.crt": other.certificate.to_pem()})),
    ] {
        fixture.keys.apply(&broken(name, data).to_string());
    }
    let mut old = Key::new("not-a-key", Timestamp::now() + hour).manifest();
    old["metadata"]["labels"] = json!({LABEL: "compromised"});
    fixture.keys.apply(&old.to_string());
    let running = fixture.start().await;
    assert_eq!(get(running.address().unwrap(), "/v1/cert.pem").await, (200, key.certificate.to_pem()));
    assert_eq!(running.counts().keys_created, 0);
    fixture.apply(&fixture.sealed(&key, "db", &json!({"a": "b"})));
    fixture.synced("db");
    // One that breaks while the controller runs.
    fixture.keys.apply(&broken("b-text", json!({"tls.key": "nonsense"})).to_string());
    fixture.apply(&fixture.sealed(&key, "db", &json!({"a": "c"})));
    fixture.synced("db");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_comes_opens_what_waited_for_it_and_one_that_goes_is_missed() {
    needs_peers!();
    let (fixture, key) = Fixture::with_key("later-key");
    let later = Key::new("later", Timestamp::now() + SignedDuration::from_hours(1));
    let running = fixture.start().await;
    fixture.apply(&fixture.sealed(&later, "waits", &json!({"a": "b"})));
    fixture.apply(&fixture.sealed(&key, "opens", &json!({"a": "b"})));
    fixture.synced("opens");
    fixture.refused("waits");
    fixture.keys.apply(&later.manifest().to_string());
    fixture.synced("waits");
    assert_eq!(fixture.values("waits"), json!({"a": "b"}));
    let address = running.address().unwrap();
    assert_eq!(get(address, "/v1/cert.pem").await.1, later.certificate.to_pem(), "the newest seals");

    // Retired as upstream's documentation says.
    let retire =
        ["label", "secret", "later", "--overwrite", "sealedsecrets.bitnami.com/sealed-secrets-key=compromised"];
    let _retired = fixture.keys.kubectl(retire).run().unwrap().success();
    fixture.refused("waits");
    assert_eq!(fixture.values("waits"), json!({"a": "b"}), "the Secret stays");
    assert_eq!(get(address, "/v1/cert.pem").await.1, key.certificate.to_pem());
    let reconciled = running.counts().reconciliations;
    fixture.synced("opens");
    assert_eq!(running.counts().reconciliations, reconciled, "it has nothing to do with that key");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secret_named_like_the_prefix_is_a_key_without_a_label() {
    needs_peers!();
    let fixture = Fixture::new("legacy-key");
    let key = Key::new("sealed-secrets-key", Timestamp::now());
    let mut manifest = key.manifest();
    manifest["metadata"].as_object_mut().unwrap().remove("labels");
    fixture.keys.apply(&manifest.to_string());
    let running = fixture.start().await;
    assert_eq!(running.counts().keys_created, 0);
    fixture.apply(&fixture.sealed(&key, "db", &json!({"a": "b"})));
    fixture.synced("db");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_renewed_by_age_and_replaced_by_cutoff_and_the_old_one_opens_on() {
    needs_peers!();
    let fixture = Fixture::new("renewal");
    let old = Key::new("old", Timestamp::now() - SignedDuration::from_hours(48));
    fixture.keys.apply(&old.manifest().to_string());
    let options = fixture.options();
    let with = |renew_period, cutoff| Options {
        keys: KeyOptions { renew_period, cutoff, ..options.keys.clone() },
        ..options.clone()
    };
    let running = fixture.start_with(with(None, None)).await;
    assert_eq!(get(running.address().unwrap(), "/v1/cert.pem").await.1, old.certificate.to_pem());
    running.stop().await;

    let day = Duration::from_hours(24);
    let running = fixture.start_with(with(Some(day), None)).await;
    wait_for("the renewal", PATIENCE, || (running.counts().keys_created == 1).then_some(()));
    assert_ne!(get(running.address().unwrap(), "/v1/cert.pem").await.1, old.certificate.to_pem());
    fixture.apply(&fixture.sealed(&old, "db", &json!({"a": "b"})));
    fixture.synced("db");
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(running.counts().keys_created, 1, "once");
    running.stop().await;

    let running = fixture.start_with(with(None, Some(Timestamp::now()))).await;
    assert_eq!(running.counts().keys_created, 1);
    assert_eq!(key_secrets(&fixture.keys).len(), 3);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_is_not_ready_before_everything_was_seen() {
    needs_peers!();
    let (fixture, _key) = Fixture::with_key("ready");
    // A namespace in which this controller may see nothing would never be seen; one that does not exist is empty.
    let running = bulla_controller::start(fixture.options()).await.unwrap();
    let address = running.address().unwrap();
    assert_eq!(get(address, "/healthz").await.0, 200);
    tokio::time::timeout(PATIENCE, running.ready()).await.unwrap();
    assert_eq!(get(address, "/readyz").await.0, 200);
    running.stop().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "the server has stopped");
}
