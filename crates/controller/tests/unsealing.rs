//! From SealedSecret to Secret: values, shape, status, events; and what does not open.

use bulla_sealed::Scope;
use bulla_testkit::control_plane::wait_for;
use bulla_testkit::needs_peers;
use serde_json::json;

use crate::fixture::{Fixture, Key, PATIENCE, condition, seal_manifest, status_of, values_of};

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_secret_becomes_a_secret_and_follows_its_changes() {
    needs_peers!();
    let (fixture, key) = Fixture::with_key("unseal");
    let running = fixture.start().await;
    let mut secret = fixture.secret("db", &json!({"user": "admin", "password": "hunter2", "empty": ""}));
    secret["metadata"]["labels"] = json!({"app": "shop"});
    secret["metadata"]["annotations"] = json!({"note": "x"});
    secret["type"] = json!("example.com/kind");
    let sealed = fixture.apply_and_wait(&seal_manifest(&key, &secret, None));

    let made = fixture.get("secret", "db").unwrap();
    assert_eq!(values_of(&made), json!({"user": "admin", "password": "hunter2", "empty": ""}));
    assert_eq!(made["type"], "example.com/kind");
    assert_eq!(made["metadata"]["labels"], json!({"app": "shop"}));
    assert_eq!(made["metadata"]["annotations"], json!({"note": "x"}));
    assert_eq!(
        made["metadata"]["ownerReferences"],
        json!([{
            "apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret", "name": "db",
            "uid": sealed["metadata"]["uid"], "controller": true,
        }])
    );

    assert_eq!(sealed["status"]["conditions"][0]["type"], "Synced", "printer columns show the first");
    assert_eq!((status_of(&sealed, "Synced"), status_of(&sealed, "Ready")), ("True".to_owned(), "True".to_owned()));
    let synced = condition(&sealed, "Synced");
    assert_eq!(synced.get("message"), None);
    assert_eq!(synced["lastUpdateTime"], synced["lastTransitionTime"]);
    assert_eq!(condition(&sealed, "Ready")["reason"], "Unsealed");
    assert_eq!(condition(&sealed, "Ready")["observedGeneration"], 1);
    assert_eq!(fixture.wait_for_event("db", "Unsealed"), "SealedSecret unsealed successfully");

    // One item changed, one gone, one new, one renamed without sealing it again.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let mut secret = fixture.secret("db", &json!({"password": "hunter3", "token": "t"}));
    secret["type"] = json!("example.com/kind");
    let mut changed = seal_manifest(&key, &secret, None);
    changed["spec"]["encryptedData"]["login"] = sealed["spec"]["encryptedData"]["user"].clone();
    let sealed = fixture.apply_and_wait(&changed);
    assert_eq!(sealed["status"]["observedGeneration"], 2);
    let synced = condition(&sealed, "Synced");
    assert_ne!(synced["lastUpdateTime"], synced["lastTransitionTime"]);
    let made = fixture.get("secret", "db").unwrap();
    assert_eq!(values_of(&made), json!({"password": "hunter3", "token": "t", "login": "admin"}));
    assert_eq!(made["metadata"].get("labels"), None);
    assert_eq!(running.counts().private_key_operations, 6, "one an item");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scopes_hold_and_a_scope_that_is_set_right_later_is_noticed() {
    needs_peers!();
    let (fixture, key) = Fixture::with_key("scopes");
    let running = fixture.start().await;
    let secret = fixture.secret("original", &json!({"a": "b"}));
    for (scope, name, opens) in [
        (Scope::Strict, "strict-moved", false),
        (Scope::NamespaceWide, "namespace-moved", true),
        (Scope::ClusterWide, "cluster-moved", true),
    ] {
        let mut sealed = seal_manifest(&key, &secret, Some(scope));
        sealed["metadata"]["name"] = json!(name);
        fixture.apply(&sealed);
        if opens {
            fixture.synced(name);
            assert_eq!(fixture.values(name), json!({"a": "b"}));
        } else {
            let message = fixture.refused(name);
            assert!(message.starts_with("no key could decrypt secret (a): the only key tried"), "{message}");
            assert!(fixture.get("secret", name).is_none());
            let event = fixture.wait_for_event(name, "ErrUnsealFailed");
            assert!(event.starts_with("Failed to unseal: no key could decrypt secret (a)"), "{event}");
        }
    }

    // Sealed cluster-wide, the annotation forgotten: the message says which, and setting it is enough.
    let mut sealed = seal_manifest(&key, &fixture.secret("forgotten", &json!({"a": "b"})), Some(Scope::ClusterWide));
    sealed["metadata"]["annotations"] = json!({});
    fixture.apply(&sealed);
    let message = fixture.refused("forgotten");
    let remedy = "sealed with scope cluster-wide, but the scope here is strict: set the annotation \
                  `sealedsecrets.bitnami.com/cluster-wide: \"true\"`";
    assert!(message.contains(remedy), "{message}");
    let refused = fixture.get("sealedsecret", "forgotten").unwrap();
    assert_eq!(status_of(&refused, "Stalled"), "True");
    let annotated = |value: serde_json::Value| json!({"metadata": {"annotations": {"sealedsecrets.bitnami.com/cluster-wide": value}}});
    fixture.patch("sealedsecret", "forgotten", &annotated(json!("true")));
    let synced = fixture.synced("forgotten");
    assert_eq!(status_of(&synced, "Stalled"), "");
    assert_eq!(fixture.values("forgotten"), json!({"a": "b"}));

    // And back: what no longer opens is told, and the Secret stays as it was.
    fixture.patch("sealedsecret", "forgotten", &annotated(json!(null)));
    fixture.refused("forgotten");
    assert_eq!(fixture.values("forgotten"), json!({"a": "b"}));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_object_tells_what_is_wrong_and_stops_no_other() {
    needs_peers!();
    let (fixture, key) = Fixture::with_key("broken");
    let other = Key::new("other", jiff::Timestamp::now());
    let good = |name: &str| fixture.sealed(&key, name, &json!({"a": "b"}));
    let with = |name: &str, change: &dyn Fn(&mut serde_json::Value)| {
        let mut sealed = good(name);
        change(&mut sealed["spec"]);
        sealed
    };
    // Before and after the controller starts; the names put broken ones before good ones.
    fixture.apply(&with("a-text", &|spec| spec["encryptedData"]["a"] = json!("hunter2!")));
    fixture.apply(&with("a-metadata", &|spec| {
        spec["template"]["metadata"]["ownerReferences"] = json!("nonsense");
        spec["template"]["metadata"]["creationTimestamp"] = json!(5);
    }));
    fixture.apply(&good("good-1"));
    let running = fixture.start().await;
    fixture.apply(&with("b-cut", &|spec| spec["encryptedData"]["a"] = json!("AgA=")));
    fixture.apply(&with("b-both", &|spec| spec["data"] = json!("AgA=")));
    fixture.apply(&with("b-template", &|spec| {
        spec["template"]["data"] = json!({"url": "https://{{ .a.b }}", "plain": "p"});
    }));
    fixture.apply(&with("b-owners", &|spec| {
        spec["template"]["metadata"]["annotations"] =
            json!({"sealedsecrets.bitnami.com/skip-set-owner-references": "true"});
        spec["template"]["metadata"]["ownerReferences"] = json!("nonsense");
    }));
    fixture.apply(&with("b-label", &|spec| spec["template"]["metadata"]["labels"] = json!({"not a label": "x"})));
    fixture.apply(&fixture.sealed(&other, "b-key", &json!({"a": "b"})));
    fixture.apply(&good("good-2"));

    for (name, expected) in [
        ("a-text", "illegal base64 data at input byte 7 (a)"),
        ("b-cut", "no key could decrypt secret (a): truncated"),
        ("b-both", "cannot use the field 'encryptedData' and the deprecated field 'data' at the same time"),
        (
            "b-template",
            "cannot render the template (url): line 1, column 14: cannot look for the key `b` in a value of type string",
        ),
        ("b-owners", "`spec.template.metadata.ownerReferences` is not a list"),
        ("b-label", "the API server rejects the Secret: Secret \"b-label\" is invalid: metadata.labels"),
        ("b-key", "no key could decrypt secret (a)"),
    ] {
        let message = fixture.refused(name);
        assert!(message.starts_with(expected), "{name}: {message}");
        assert!(!message.contains("hunter2"), "{message}");
        assert!(fixture.get("secret", name).is_none(), "{name}");
    }
    for name in ["good-1", "good-2", "a-metadata"] {
        fixture.synced(name);
        assert_eq!(fixture.values(name), json!({"a": "b"}), "{name}");
    }

    // Permanent failures are left alone until they are set right.
    let before = running.counts();
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!(running.counts(), before);
    fixture.apply(&good("b-cut"));
    fixture.synced("b-cut");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_template_renders_goes_in_and_a_sealed_item_of_the_same_key_wins() {
    needs_peers!();
    let (fixture, key) = Fixture::with_key("template");
    let running = fixture.start().await;
    let mut sealed = fixture.sealed(&key, "db", &json!({"password": "hunter2"}));
    sealed["spec"]["template"]["data"] =
        json!({"url": "https://app:{{ .password }}@{{ .host }}", "host": "shop", "password": "never seen"});
    sealed["spec"]["template"]["immutable"] = json!(true);
    fixture.apply_and_wait(&sealed);
    let made = fixture.get("secret", "db").unwrap();
    assert_eq!(values_of(&made), json!({"url": "https://app:hunter2@shop", "host": "shop", "password": "hunter2"}));
    assert_eq!(made["immutable"], true);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_may_pass_is_told_and_tried_again() {
    needs_peers!();
    let (fixture, key) = Fixture::with_key("quota");
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"secrets": "0"}},
    });
    fixture.namespace.apply(&quota.to_string());
    // What the controller of quotas would write, which does not run here.
    let status = json!({"status": {"hard": {"secrets": "0"}, "used": {"secrets": "0"}}}).to_string();
    let patch = ["patch", "resourcequota", "none", "--subresource=status", "--type=merge", "--patch", &status];
    let _patched = fixture.namespace.kubectl(patch).run().unwrap().success();
    let running = fixture.start().await;
    fixture.apply(&fixture.sealed(&key, "db", &json!({"a": "b"})));
    let message = fixture.refused("db");
    assert!(message.contains("exceeded quota: none"), "{message}");
    let refused = fixture.get("sealedsecret", "db").unwrap();
    assert_eq!(condition(&refused, "Ready")["reason"], "UpdateFailed");
    assert_eq!(status_of(&refused, "Stalled"), "", "it may pass");
    fixture.namespace.delete("resourcequota", "none");
    fixture.synced("db");
    assert_eq!(fixture.values("db"), json!({"a": "b"}));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_object_takes_its_secret_along() {
    needs_peers!();
    let (fixture, key) = Fixture::with_key("delete");
    let running = fixture.start().await;
    fixture.apply_and_wait(&fixture.sealed(&key, "db", &json!({"a": "b"})));
    let mut kept = fixture.sealed(&key, "kept", &json!({"a": "b"}));
    kept["spec"]["template"]["metadata"]["annotations"] = json!({
        "sealedsecrets.bitnami.com/skip-set-owner-references": "true", "sealedsecrets.bitnami.com/managed": "true",
    });
    fixture.apply(&kept);
    fixture.synced("kept");
    for name in ["db", "kept"] {
        fixture.namespace.delete("sealedsecret", name);
    }
    wait_for("the Secret to go with its SealedSecret", PATIENCE, || {
        fixture.get("secret", "db").is_none().then_some(())
    });
    assert_eq!(fixture.values("kept"), json!({"a": "b"}));

    // The same while the object waits for its dependents: the Secret is not made anew under the garbage collector's hands.
    fixture.apply_and_wait(&fixture.sealed(&key, "db", &json!({"a": "b"})));
    let writes = running.counts().secret_writes;
    let delete = ["delete", "sealedsecret", "db", "--cascade=foreground"];
    let _deleted = fixture.namespace.kubectl(delete).run().unwrap().success();
    wait_for("the Secret to go", PATIENCE, || fixture.get("secret", "db").is_none().then_some(()));
    assert_eq!(running.counts().secret_writes, writes);
    running.stop().await;
}
