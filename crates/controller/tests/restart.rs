//! An idle cluster is silent: nothing changed, nothing done, a restart included.

use bulla_controller::Counts;
use bulla_testkit::control_plane::wait_for;
use bulla_testkit::needs_peers;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::fixture::{Fixture, Key, PATIENCE, settle};

/// Versions of every object that the controller could write, and the number of events.
fn state(fixture: &Fixture) -> Vec<String> {
    let mut versions = Vec::new();
    for (namespace, kinds) in [(&fixture.namespace, "sealedsecrets,secrets,events.v1."), (&fixture.keys, "secrets")] {
        let columns = "--output=jsonpath={range .items[*]}{.kind}/{.metadata.name}@{.metadata.resourceVersion} {end}";
        let found = namespace.kubectl(["get", kinds, columns]).run().unwrap().success();
        versions.extend(found.stdout_text().split_whitespace().map(str::to_owned));
    }
    versions.sort();
    versions
}

/// Objects that end in every way: opened, with a key each; refused by the keys, by the object, by the Secret.
fn objects(fixture: &Fixture, keys: &[Key]) -> Vec<Value> {
    let mut objects = Vec::new();
    for (index, key) in keys.iter().cycle().take(9).enumerate() {
        objects.push(fixture.sealed(key, &format!("good-{index}"), &json!({"a": "b", "c": "d"})));
    }
    // Items of two keys in one object.
    let mut mixed = fixture.sealed(&keys[0], "mixed", &json!({"a": "b"}));
    mixed["spec"]["encryptedData"]["c"] =
        fixture.sealed(&keys[1], "mixed", &json!({"c": "d"}))["spec"]["encryptedData"]["c"].clone();
    objects.push(mixed);
    let mut plain = fixture.sealed(&keys[0], "plain", &json!({"a": "b"}));
    plain["spec"]["encryptedData"] = json!({});
    plain["spec"]["template"]["data"] = json!({"a": "text only"});
    objects.push(plain);
    objects.push(fixture.sealed(&Key::new("unknown", Timestamp::now()), "unknown-key", &json!({"a": "b"})));
    let mut broken = fixture.sealed(&keys[0], "broken", &json!({"a": "b"}));
    broken["spec"]["encryptedData"]["c"] = json!("hunter2!");
    objects.push(broken);
    let mut label = fixture.sealed(&keys[0], "label", &json!({"a": "b"}));
    label["spec"]["template"]["metadata"]["labels"] = json!({"not a label": "x"});
    objects.push(label);
    for name in ["foreign", "typed"] {
        objects.push(fixture.sealed(&keys[0], name, &json!({"a": "b"})));
    }
    objects
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_with_nothing_changed_decrypts_nothing_and_writes_nothing() {
    needs_peers!();
    let fixture = Fixture::new("restart");
    let keys: Vec<Key> = (1..4).map(|index| Key::new(&format!("key-{index}"), Timestamp::now())).collect();
    for key in &keys {
        fixture.keys.apply(&key.manifest().to_string());
    }
    fixture.apply(&json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "foreign"}}));
    fixture.apply(&json!({
        "apiVersion": "v1", "kind": "Secret", "type": "example.com/kind",
        "metadata": {"name": "typed", "annotations": {"sealedsecrets.bitnami.com/managed": "true"}},
    }));
    let objects = objects(&fixture, &keys);
    for object in &objects {
        fixture.apply(object);
    }
    let running = fixture.start().await;
    let counts = settle(&running).await;
    assert_eq!(counts.secret_writes, 11, "nine good ones, the mixed and the plain one");
    assert_eq!(counts.status_writes, objects.len() as u64);
    assert_eq!(counts.events, objects.len() as u64);
    assert!(counts.private_key_operations > 0);
    running.stop().await;

    let before = state(&fixture);
    for _ in 0..2 {
        let running = fixture.start().await;
        let counts = settle(&running).await;
        // Whether it may is asked anew of the one that is somebody else's: that costs nothing and says nothing new.
        assert_eq!(counts, Counts { reconciliations: 1, ..Counts::default() });
        running.stop().await;
    }
    assert_eq!(state(&fixture), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_does_what_was_missed_and_no_more() {
    needs_peers!();
    let (fixture, key) = Fixture::with_key("missed");
    for name in ["same", "changed", "gone", "edited", "touched", "forged", "deleted"] {
        fixture.apply(&fixture.sealed(&key, name, &json!({"a": "b"})));
    }
    let running = fixture.start().await;
    settle(&running).await;
    running.stop().await;

    fixture.apply(&fixture.sealed(&key, "changed", &json!({"a": "c"})));
    fixture.namespace.delete("secret", "gone");
    fixture.namespace.delete("sealedsecret", "deleted");
    fixture.patch("secret", "edited", &json!({"stringData": {"a": "edited"}}));
    // A change that leaves nothing to be done.
    let touch = json!({"metadata": {"finalizers": ["bulla.test/touched"]}}).to_string();
    let _touched =
        fixture.namespace.kubectl(["patch", "secret", "touched", "--patch", &touch]).run().unwrap().success();
    // A record that somebody else wrote.
    let mut forged = fixture.get("sealedsecret", "forged").unwrap();
    for condition in forged["status"]["conditions"].as_array_mut().unwrap() {
        if condition["type"] == "Checked" {
            let record = condition["message"].as_str().unwrap();
            condition["message"] = json!(format!("{}00", &record[..record.len() - 2]));
        }
    }
    let patch = json!({"status": forged["status"]}).to_string();
    let forge = ["patch", "sealedsecret", "forged", "--subresource=status", "--type=merge", "--patch", &patch];
    let _forged = fixture.namespace.kubectl(forge).run().unwrap().success();
    let same = fixture.get("sealedsecret", "same").unwrap();

    let running = fixture.start().await;
    let counts = settle(&running).await;
    assert_eq!(counts.reconciliations, 5, "changed, gone, edited, touched, forged");
    assert_eq!(counts.private_key_operations, 5);
    assert_eq!(counts.secret_writes, 3, "changed, gone, edited");
    assert_eq!(counts.events, 3, "likewise");
    assert_eq!(counts.status_writes, 5, "new records");
    for (name, expected) in [("changed", "c"), ("gone", "b"), ("edited", "b"), ("touched", "b"), ("forged", "b")] {
        assert_eq!(fixture.values(name), json!({"a": expected}), "{name}");
    }
    assert_eq!(fixture.get("sealedsecret", "same").unwrap(), same);
    running.stop().await;

    let running = fixture.start().await;
    assert_eq!(settle(&running).await, Counts::default());
    running.stop().await;
    fixture.patch("secret", "touched", &json!({"metadata": {"finalizers": null}}));
}

#[tokio::test(flavor = "multi_thread")]
async fn writing_the_status_or_a_label_of_an_object_wakes_nobody() {
    needs_peers!();
    let (fixture, key) = Fixture::with_key("idle");
    let running = fixture.start().await;
    fixture.apply_and_wait(&fixture.sealed(&key, "db", &json!({"a": "b"})));
    let before = settle(&running).await;
    assert_eq!((before.reconciliations, before.private_key_operations), (1, 1));
    for kind in ["sealedsecret", "secret"] {
        fixture.patch(kind, "db", &json!({"metadata": {"labels": {"a": "b"}}}));
    }
    assert_eq!(settle(&running).await, before);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_finishes_what_was_begun() {
    needs_peers!();
    let (fixture, key) = Fixture::with_key("stop");
    for index in 0..30 {
        fixture.apply(&fixture.sealed(&key, &format!("object-{index}"), &json!({"a": "b", "c": "d"})));
    }
    let running = fixture.start().await;
    wait_for("the work to begin", PATIENCE, || (running.counts().secret_writes > 0).then_some(()));
    running.stop().await;
    // Every Secret that was written is reported on: nobody was stopped in between.
    let list = |kind: &str, path: &str| {
        let output = format!("--output=jsonpath={{range .items[*]}}{path} {{end}}");
        let found = fixture.namespace.kubectl(["get", kind, &output]).run().unwrap().success();
        let mut names: Vec<String> = found.stdout_text().split_whitespace().map(str::to_owned).collect();
        names.sort();
        names
    };
    let made = list("secrets", "{.metadata.name}");
    let reported = list("sealedsecrets", "{.status.conditions[?(@.type==\"Synced\")].lastUpdateTime}");
    assert_eq!(made.len(), reported.len(), "{made:?}");
    assert!(made.len() < 30, "the test stops it too late to prove anything");
}
