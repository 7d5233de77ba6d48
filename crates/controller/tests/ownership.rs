//! Whose a Secret is: adopted, added to, left alone, made anew.

use std::time::Duration;

use bulla_controller::{Drift, Options};
use bulla_testkit::control_plane::wait_for;
use bulla_testkit::needs_peers;
use serde_json::{Value, json};

use crate::fixture::{Fixture, PATIENCE, condition, status_of, values_of};

const MANAGED: &str = "sealedsecrets.bitnami.com/managed";
const PATCH: &str = "sealedsecrets.bitnami.com/patch";
const DECLINE: &str = "sealedsecrets.bitnami.com/skip-set-owner-references";

fn existing(name: &str, annotations: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": name, "labels": {"old": "label"}, "annotations": annotations},
        "stringData": {"old": "value", "both": "old"},
    })
}

fn owners(secret: &Value) -> usize {
    secret["metadata"]["ownerReferences"].as_array().map_or(0, Vec::len)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_existing_secret_is_taken_over_added_to_or_left_alone_as_it_says() {
    needs_peers!();
    let (fixture, key) = Fixture::with_key("existing");
    fixture.apply(&existing("managed", &json!({MANAGED: "true"})));
    fixture.apply(&existing("patched", &json!({PATCH: "true"})));
    fixture.apply(&existing("both", &json!({PATCH: "true", MANAGED: "true"})));
    fixture.apply(&existing("foreign", &json!({})));
    let mut empty = existing("empty", &json!({PATCH: "true"}));
    empty.as_object_mut().unwrap().remove("stringData");
    fixture.apply(&empty);
    let running = fixture.start().await;
    for name in ["managed", "patched", "both", "foreign", "empty"] {
        let mut sealed = fixture.sealed(&key, name, &json!({"new": "value", "both": "new"}));
        sealed["spec"]["template"]["metadata"]["labels"] = json!({"new": "label"});
        fixture.apply(&sealed);
    }

    fixture.synced("managed");
    let secret = fixture.get("secret", "managed").unwrap();
    assert_eq!(values_of(&secret), json!({"new": "value", "both": "new"}));
    assert_eq!(secret["metadata"]["labels"], json!({"new": "label"}));
    assert_eq!(secret["metadata"].get("annotations"), None);
    assert_eq!(owners(&secret), 1);

    for (name, expected_owners) in [("patched", 0), ("both", 1)] {
        fixture.synced(name);
        let secret = fixture.get("secret", name).unwrap();
        assert_eq!(values_of(&secret), json!({"old": "value", "new": "value", "both": "new"}), "{name}");
        assert_eq!(secret["metadata"]["labels"], json!({"old": "label", "new": "label"}));
        assert_eq!(secret["metadata"]["annotations"][PATCH], "true");
        assert_eq!(owners(&secret), expected_owners, "{name}");
    }
    fixture.synced("empty");
    assert_eq!(fixture.values("empty"), json!({"new": "value", "both": "new"}));

    let message = fixture.refused("foreign");
    let words = "Resource \"foreign\" already exists and is not managed by SealedSecret";
    assert!(message.starts_with(&format!("failed update: {words}")), "{message}");
    assert!(fixture.wait_for_event("foreign", "ErrUpdateFailed").starts_with(words));
    let secret = fixture.get("secret", "foreign").unwrap();
    assert_eq!(values_of(&secret), json!({"old": "value", "both": "old"}));
    assert_eq!(running.counts().private_key_operations, 8, "none for the foreign one");

    // Handed over now.
    fixture.patch("secret", "foreign", &json!({"metadata": {"annotations": {MANAGED: "true"}}}));
    fixture.synced("foreign");
    assert_eq!(fixture.values("foreign"), json!({"new": "value", "both": "new"}));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_secret_comes_back_if_it_was_ours_and_only_then() {
    needs_peers!();
    let (fixture, key) = Fixture::with_key("recreate");
    fixture.apply(&existing("patched", &json!({PATCH: "true"})));
    fixture.apply(&existing("foreign", &json!({})));
    let running = fixture.start().await;
    for name in ["owned", "patched", "foreign"] {
        fixture.apply(&fixture.sealed(&key, name, &json!({"a": "b"})));
    }
    let mut unowned = fixture.sealed(&key, "unowned", &json!({"a": "b"}));
    unowned["spec"]["template"]["metadata"]["annotations"] = json!({DECLINE: "true", MANAGED: "true"});
    fixture.apply(&unowned);
    for name in ["owned", "patched", "unowned"] {
        fixture.synced(name);
    }
    fixture.refused("foreign");
    assert_eq!(owners(&fixture.get("secret", "unowned").unwrap()), 0);

    for name in ["owned", "unowned"] {
        let uid = fixture.get("secret", name).unwrap()["metadata"]["uid"].clone();
        fixture.namespace.delete("secret", name);
        wait_for(&format!("`{name}` to come back"), PATIENCE, || {
            let secret = fixture.get("secret", name)?;
            (secret["metadata"]["uid"] != uid).then_some(())
        });
        assert_eq!(fixture.values(name), json!({"a": "b"}));
    }
    fixture.namespace.delete("secret", "patched");
    fixture.namespace.delete("secret", "foreign");
    std::thread::sleep(Duration::from_millis(200));
    assert!(fixture.get("secret", "foreign").is_none(), "its place is left empty for a second");
    // Then it is free to take: nobody put another Secret there.
    fixture.synced("foreign");
    assert_eq!(fixture.values("foreign"), json!({"a": "b"}));
    assert!(fixture.get("secret", "patched").is_none(), "it was never ours");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orphaned_secret_is_not_taken_by_the_next_object_of_that_name() {
    needs_peers!();
    let (fixture, key) = Fixture::with_key("orphan");
    let running = fixture.start().await;
    let sealed = fixture.sealed(&key, "db", &json!({"a": "b"}));
    fixture.apply_and_wait(&sealed);
    let delete = ["delete", "sealedsecret", "db", "--cascade=orphan"];
    let _deleted = fixture.namespace.kubectl(delete).run().unwrap().success();
    fixture.apply(&fixture.sealed(&key, "db", &json!({"a": "c"})));
    let message = fixture.refused("db");
    assert!(message.contains("already exists and is not managed by SealedSecret"), "{message}");
    assert_eq!(fixture.values("db"), json!({"a": "b"}));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_declines_the_owner_reference_needs_the_managed_annotation_too() {
    needs_peers!();
    let (fixture, key) = Fixture::with_key("decline");
    let running = fixture.start().await;
    let mut sealed = fixture.sealed(&key, "db", &json!({"a": "b"}));
    sealed["spec"]["template"]["metadata"]["annotations"] = json!({DECLINE: "true"});
    fixture.apply(&sealed);
    let message = fixture.refused("db");
    assert!(message.contains("its template declines the owner reference"), "{message}");
    assert_eq!(fixture.values("db"), json!({"a": "b"}), "upstream creates it, and then cannot change it");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_changed_is_told_and_not_tried_again() {
    needs_peers!();
    let (fixture, key) = Fixture::with_key("immutable");
    let running = fixture.start().await;
    let mut immutable = fixture.sealed(&key, "fixed", &json!({"a": "b"}));
    immutable["spec"]["template"]["immutable"] = json!(true);
    fixture.apply_and_wait(&immutable);
    fixture.apply_and_wait(&fixture.sealed(&key, "typed", &json!({"a": "b"})));

    let mut changed = fixture.sealed(&key, "fixed", &json!({"a": "c"}));
    changed["spec"]["template"]["immutable"] = json!(true);
    fixture.apply(&changed);
    let mut typed = fixture.sealed(&key, "typed", &json!({"a": "b"}));
    typed["spec"]["template"]["type"] = json!("example.com/other");
    fixture.apply(&typed);
    let message = fixture.refused("fixed");
    let words = format!("Error updating {}/fixed: the target Secret is immutable.", fixture.namespace.name());
    assert!(message.starts_with(&words), "{message}");
    assert!(fixture.wait_for_event("fixed", "ErrUpdateFailed").starts_with(&words));
    let message = fixture.refused("typed");
    assert!(message.contains("it is `Opaque`, the template asks for `example.com/other`"), "{message}");
    assert_eq!(fixture.get("sealedsecret", "fixed").unwrap()["status"]["observedGeneration"], 2);
    for name in ["fixed", "typed"] {
        let sealed = fixture.get("sealedsecret", name).unwrap();
        assert_eq!(status_of(&sealed, "Stalled"), "True");
        assert_eq!(condition(&sealed, "Checked")["status"], "True");
    }
    let before = running.counts();
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(running.counts(), before);

    // Deleting the Secret is the way out, and is enough.
    for (name, expected) in [("fixed", "c"), ("typed", "b")] {
        fixture.namespace.delete("secret", name);
        fixture.synced(name);
        assert_eq!(fixture.values(name), json!({"a": expected}));
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_was_edited_stays_so_or_is_reverted_as_the_option_says() {
    needs_peers!();
    for (drift, expected) in [(Drift::Ignore, "edited"), (Drift::Revert, "b")] {
        let (fixture, key) = Fixture::with_key("drift");
        let running = fixture.start_with(Options { drift, ..fixture.options() }).await;
        let sealed = fixture.apply_and_wait(&fixture.sealed(&key, "db", &json!({"a": "b"})));
        fixture.patch("secret", "db", &json!({"stringData": {"a": "edited"}}));
        if drift == Drift::Revert {
            wait_for("the edit to be reverted", PATIENCE, || (fixture.values("db") == json!({"a": "b"})).then_some(()));
        } else {
            std::thread::sleep(Duration::from_secs(1));
        }
        assert_eq!(fixture.values("db"), json!({"a": expected}), "{drift:?}");
        running.stop().await;

        // A start sets it right in either case, as upstream's does, and touches nothing else.
        let running = fixture.start_with(Options { drift, ..fixture.options() }).await;
        wait_for("the edit to be reverted", PATIENCE, || (fixture.values("db") == json!({"a": "b"})).then_some(()));
        assert_eq!(running.counts().secret_writes, u64::from(drift == Drift::Ignore), "{drift:?}");
        let after = fixture.synced("db");
        assert_eq!(after["metadata"]["generation"], sealed["metadata"]["generation"]);
        running.stop().await;
    }
}
