//! When values are fetched again, and what follows when something goes.

use std::time::Duration;

use bulla_testkit::control_plane::wait_for;
use bulla_testkit::needs_peers;
use serde_json::json;

use super::{External, data};
use crate::fixture::{PATIENCE, condition, settle};

/// SHA3-224 of `map[a:[111 110 101]]`, computed by Python's hashlib.
const HASH_OF_UPSTREAM: &str = "7a72c388fc8d47f69a4b32e886a723d2f754bd4afc2f1515089d39ec";

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_with_nothing_changed_writes_nothing() {
    needs_peers!();
    let external = External::new("ext-restart");
    external.fake_store(&[("a", "one")]);
    let running = external.start().await;
    for index in 0..5 {
        external.apply(&format!("good-{index}"), &json!({"refreshInterval": "1h", "data": data(&[("a", "a")])}));
    }
    external.apply("once", &json!({"refreshInterval": "0", "data": data(&[("a", "a")])}));
    external.apply("bad", &json!({"data": data(&[("a", "nothing")])}));
    for index in 0..5 {
        external.synced(&format!("good-{index}"));
    }
    external.synced("once");
    external.failed("bad");
    let before = settle(&running).await;
    assert_eq!(before.secret_writes, 6);
    running.stop().await;
    let running = external.start().await;
    let after = settle(&running).await;
    assert_eq!((after.secret_writes, after.status_writes, after.events), (0, 0, 0), "{after:?}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_are_fetched_again_after_the_interval_or_when_somebody_touches_the_object() {
    needs_peers!();
    let external = External::new("ext-refresh");
    external.fake_store(&[("a", "one")]);
    let running = external.start().await;
    external.apply("often", &json!({"refreshInterval": "1s", "data": data(&[("a", "a")])}));
    external.apply("once", &json!({"refreshInterval": "0", "data": data(&[("a", "a")])}));
    external.apply("on-change", &json!({"refreshPolicy": "OnChange", "data": data(&[("a", "a")])}));
    for name in ["often", "once", "on-change"] {
        external.synced(name);
    }
    let first = external.get("often").unwrap()["status"]["refreshTime"].clone();
    // The API server is told of another store at once: what is due then sees the new value.
    external.fake_store(&[("a", "two")]);
    external.wait_for_values("often", &json!({"a": "two"}));
    wait_for("another refresh", PATIENCE, || (external.get("often")?["status"]["refreshTime"] != first).then_some(()));
    assert_eq!(external.values("on-change"), json!({"a": "one"}));
    let _ = external
        .fixture
        .namespace
        .kubectl(["annotate", "externalsecret", "on-change", "once", "force-sync=1"])
        .run()
        .unwrap()
        .success();
    external.wait_for_values("on-change", &json!({"a": "two"}));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(external.values("once"), json!({"a": "one"}), "an interval of zero fetches once");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_somebody_changes_or_deletes_is_made_right() {
    needs_peers!();
    let external = External::new("ext-drift");
    external.fake_store(&[("a", "one")]);
    let running = external.start().await;
    external.apply("db", &json!({"refreshInterval": "0", "data": data(&[("a", "a")])}));
    external.synced("db");
    external.fixture.patch("secret", "db", &json!({"stringData": {"a": "tampered", "b": "added"}}));
    external.wait_for_values("db", &json!({"a": "one"}));
    external.fixture.delete_secrets().await;
    external.wait_for_values("db", &json!({"a": "one"}));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_store_has_no_more_goes_as_the_policy_says() {
    needs_peers!();
    let external = External::new("ext-gone");
    external.fake_store(&[("a", "one"), ("b", "two")]);
    let running = external.start().await;
    for (name, policy) in [("retain", "Retain"), ("delete", "Delete"), ("merge", "Merge")] {
        external.apply(
            name,
            &json!({"refreshInterval": "1s", "target": {"deletionPolicy": policy}, "data": data(&[("a", "a"), ("b", "b")])}),
        );
        external.synced(name);
    }
    external.fake_store(&[("a", "one")]);
    let (reason, message) = external.failed("retain");
    assert_eq!(reason, "SecretNotFound");
    assert!(message.starts_with("`spec.data[1]` (key `b`): the fake store has no secret `b`"), "{message}");
    for name in ["delete", "merge"] {
        external.wait_for_values(name, &json!({"a": "one"}));
    }
    external.fake_store(&[("c", "three")]);
    wait_for("the Secret to be deleted", PATIENCE, || external.fixture.get("secret", "delete").is_none().then_some(()));
    external.reported("delete", "True", |object| condition(object, "Ready")["reason"] == "SecretDeleted");
    external.wait_for_values("merge", &json!({}));
    assert_eq!(external.values("retain"), json!({"a": "one", "b": "two"}), "nothing is lost");
    external.fake_store(&[("a", "four"), ("b", "five")]);
    for name in ["retain", "delete", "merge"] {
        external.wait_for_values(name, &json!({"a": "four", "b": "five"}));
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_answer_wipes_nothing() {
    needs_peers!();
    let external = External::new("ext-empty");
    external.fake_store(&[("all", r#"{"a": "one"}"#)]);
    let running = external.start().await;
    for policy in ["Retain", "Delete"] {
        let spec = json!({"refreshInterval": "1s", "target": {"deletionPolicy": policy}, "dataFrom": [{"extract": {"key": "all"}}]});
        external.apply(&policy.to_lowercase(), &spec);
        external.synced(&policy.to_lowercase());
    }
    external.fake_store(&[("all", "{}")]);
    for name in ["retain", "delete"] {
        external.reported(name, "True", |object| {
            condition(object, "Ready")["message"] == "secret retained due to DeletionPolicy=Retain"
        });
        assert_eq!(external.values(name), json!({"a": "one"}));
    }
    external.fake_store(&[("all", "")]);
    for name in ["retain", "delete"] {
        external.failed(name);
        assert_eq!(external.values(name), json!({"a": "one"}));
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_upstream_left_is_taken_over_without_a_write() {
    needs_peers!();
    let external = External::new("ext-takeover");
    external.fake_store(&[("a", "one")]);
    external.apply("db", &json!({"refreshInterval": "1h", "data": data(&[("a", "a")])}));
    let running = external.start().await;
    external.synced("db");
    running.stop().await;
    // As upstream would have written it: its own digest, and its finalizer.
    external.fixture.patch(
        "secret",
        "db",
        &json!({"metadata": {"annotations": {"reconcile.external-secrets.io/data-hash": HASH_OF_UPSTREAM}}}),
    );
    let finalizer = "externalsecrets.external-secrets.io/externalsecret-cleanup";
    let patch = json!({"metadata": {"finalizers": [finalizer]}}).to_string();
    let arguments = ["patch", "externalsecret", "db", "--type=merge", "--patch", &patch];
    let _ = external.fixture.namespace.kubectl(arguments).run().unwrap().success();
    let running = external.start().await;
    let counts = settle(&running).await;
    assert_eq!((counts.secret_writes, counts.status_writes, counts.events), (0, 0, 0), "{counts:?}");
    // Deleting does not hang on the finalizer.
    let _ =
        external.fixture.namespace.kubectl(["delete", "externalsecret", "db", "--wait=false"]).run().unwrap().success();
    wait_for("the ExternalSecret to be gone", PATIENCE, || external.get("db").is_none().then_some(()));
    running.stop().await;
}
