//! A real kube-apiserver takes, keeps and refuses by our CRD what it takes, keeps and refuses by upstream's.

use bulla_testkit::control_plane::{ControlPlane, Namespace};
use bulla_testkit::{needs_peers, peers};
use serde_json::{Value, json};

/// Upstream's CRD is installed under another group, so that both are there at once.
const UPSTREAM_GROUP: &str = "upstream.bulla.test";
const OUR_GROUP: &str = "bitnami.com";

fn define_both() -> &'static ControlPlane {
    let control_plane = ControlPlane::shared();
    let ours = serde_json::to_string(&bulla_api::definition::sealed_secret()).unwrap();
    let upstream = std::fs::read_to_string(peers::sealed_secrets_crd()).unwrap();
    assert_eq!(upstream.matches(OUR_GROUP).count(), 2, "name and group");
    control_plane.define(&ours);
    control_plane.define(&upstream.replace(OUR_GROUP, UPSTREAM_GROUP));
    control_plane
}

/// What the API server makes of each object, without keeping it: its `spec`, or nothing where it refuses.
fn taken(namespace: &Namespace, group: &str, specs: &[&Value]) -> Vec<Option<Value>> {
    let objects = specs.iter().enumerate().map(|(index, spec)| {
        let mut object = json!({
            "apiVersion": format!("{group}/v1alpha1"), "kind": "SealedSecret",
            "metadata": {"name": format!("sample-{index}")},
        });
        if **spec != json!("absent") {
            object["spec"] = (*spec).clone();
        }
        object.to_string()
    });
    let objects = objects.collect::<Vec<_>>().join("\n---\n");
    let create = ["create", "--dry-run=server", "--validate=false", "--filename=-"];
    let create = [&create[..], &["--output=jsonpath={.metadata.name} {.spec}{\"\\n\"}"]].concat();
    let finished = namespace.kubectl(create).stdin(objects).run().unwrap();
    let mut taken = vec![None; specs.len()];
    for line in finished.stdout_text().lines() {
        let (name, spec) = line.split_once(' ').unwrap();
        let index: usize = name.trim_start_matches("sample-").parse().unwrap();
        taken[index] = Some(serde_json::from_str(spec).unwrap());
    }
    taken
}

#[test]
fn both_definitions_take_and_keep_the_same() {
    needs_peers!();
    let namespace = define_both().namespace("acceptance");
    let samples = [
        (json!({"encryptedData": {"password": "AgB="}}), true),
        (json!({"encryptedData": {}}), true),
        (json!({"encryptedData": {"password": 12, "other": "AgB="}}), false),
        (json!({"encryptedData": {"other": {"a": [true, null]}}}), false),
        (json!({"encryptedData": {"password": null}}), true),
        (json!({"encryptedData": {}, "data": "AgB="}), true),
        (json!({"encryptedData": {}, "data": "not base64!"}), false),
        (json!({"encryptedData": {}, "data": 1}), false),
        (json!({"encryptedData": {}, "data": null}), true),
        (json!({"encryptedData": null}), false),
        (json!({"encryptedData": []}), false),
        (json!({"encryptedData": "x"}), false),
        (json!({}), false),
        (json!("absent"), false),
        (json!([]), false),
        (json!({"encryptedData": {}, "unknown": 1}), true),
        (json!({"encryptedData": {}, "template": {}}), true),
        (json!({"encryptedData": {}, "template": null}), true),
        (json!({"encryptedData": {}, "template": {"stringData": {"a": "b"}, "kind": "x"}}), true),
        (json!({"encryptedData": {}, "template": {"type": "Opaque", "immutable": true}}), true),
        (json!({"encryptedData": {}, "template": {"type": null}}), true),
        (json!({"encryptedData": {}, "template": {"type": 1}}), false),
        (json!({"encryptedData": {}, "template": {"immutable": "true"}}), false),
        (json!({"encryptedData": {}, "template": {"data": null, "metadata": null}}), true),
        (json!({"encryptedData": {}, "template": {"data": {"url": "{{ .a }}"}}}), true),
        (json!({"encryptedData": {}, "template": {"data": {"url": null}}}), true),
        (json!({"encryptedData": {}, "template": {"data": {"url": 1}}}), false),
        (
            json!({"encryptedData": {}, "template": {"metadata": {
                "name": "a", "namespace": "b", "labels": {"a": "b"}, "annotations": {"a": "b"}, "finalizers": ["a/b"],
                "ownerReferences": [{"kind": 1}], "managedFields": [], "anything": {"else": 1}, "creationTimestamp": null,
            }}}),
            true,
        ),
        (json!({"encryptedData": {}, "template": {"metadata": {"labels": {"a": 1}}}}), false),
        (json!({"encryptedData": {}, "template": {"metadata": {"labels": null}}}), true),
        (json!({"encryptedData": {}, "template": {"metadata": {"annotations": {"a": null}}}}), true),
        (json!({"encryptedData": {}, "template": {"metadata": {"finalizers": "a"}}}), false),
        (json!({"encryptedData": {}, "template": {"metadata": {"name": 1}}}), false),
        (json!({"encryptedData": {}, "template": {"metadata": "x"}}), false),
    ];
    let specs: Vec<&Value> = samples.iter().map(|(spec, _)| spec).collect();
    let ours = taken(&namespace, OUR_GROUP, &specs);
    let upstream = taken(&namespace, UPSTREAM_GROUP, &specs);
    for (((spec, accepted), ours), upstream) in samples.iter().zip(ours).zip(upstream) {
        assert_eq!(ours, upstream, "{spec}");
        assert_eq!(ours.is_some(), *accepted, "{spec}: {ours:?}");
    }
}

#[test]
fn both_definitions_take_the_same_statuses_and_ours_keeps_one_field_more() {
    needs_peers!();
    let namespace = define_both().namespace("acceptance");
    let object = |group: &str| {
        json!({
            "apiVersion": format!("{group}/v1alpha1"), "kind": "SealedSecret",
            "metadata": {"name": "sample"}, "spec": {"encryptedData": {}},
        })
    };
    let condition = json!({
        "type": "Synced", "status": "True", "reason": "r", "message": "m",
        "lastUpdateTime": "2026-01-01T00:00:00Z", "lastTransitionTime": "2026-01-01T00:00:00Z",
    });
    let changed = |field: &str, value: Value| {
        let mut condition = condition.clone();
        condition[field] = value;
        json!({"conditions": [condition]})
    };
    for group in [OUR_GROUP, UPSTREAM_GROUP] {
        namespace.apply(&object(group).to_string());
    }
    for (status, accepted) in [
        (json!({"conditions": [condition], "observedGeneration": 3}), true),
        (json!({"conditions": []}), true),
        (json!({"conditions": [{"type": "Synced"}]}), false),
        (json!({"conditions": [{"status": "True"}]}), false),
        (json!({"observedGeneration": "3"}), false),
        (changed("status", json!("Perhaps")), true),
        (changed("lastUpdateTime", json!("yesterday")), false),
        (changed("message", json!(1)), false),
        (changed("unknown", json!(1)), true),
        (changed("observedGeneration", json!(7)), true),
    ] {
        let stored = [OUR_GROUP, UPSTREAM_GROUP].map(|group| {
            let kind = format!("sealedsecrets.{group}");
            let patch = json!({"status": status}).to_string();
            let arguments =
                ["patch", &kind, "sample", "--subresource=status", "--type=merge", "--output=json", "--patch", &patch];
            let finished = namespace.kubectl(arguments).run().unwrap();
            (finished.code() == Some(0))
                .then(|| serde_json::from_slice::<Value>(&finished.stdout).unwrap()["status"].take())
        });
        let [ours, upstream] = stored;
        assert_eq!(ours.is_some(), accepted, "{status}");
        assert_eq!(upstream.is_some(), accepted, "{status}");
        if let (Some(mut ours), Some(upstream)) = (ours, upstream) {
            if let Some(condition) = ours["conditions"].get_mut(0).and_then(Value::as_object_mut) {
                let kept = condition.remove("observedGeneration");
                assert_eq!(kept, status["conditions"][0].get("observedGeneration").cloned(), "{status}");
            }
            assert_eq!(ours, upstream, "{status}");
        }
    }
}

#[test]
fn names_columns_and_subresources_are_upstreams() {
    needs_peers!();
    let upstream = std::fs::read_to_string(peers::sealed_secrets_crd()).unwrap();
    let upstream: Value = serde_saphyr::from_str(&upstream).unwrap();
    let ours = serde_json::to_value(bulla_api::definition::sealed_secret()).unwrap();
    for path in ["/metadata/name", "/spec/group", "/spec/names", "/spec/scope", "/spec/conversion"] {
        assert_eq!(ours.pointer(path), upstream.pointer(path), "{path}");
    }
    for field in ["name", "served", "storage", "subresources", "additionalPrinterColumns"] {
        assert_eq!(ours["spec"]["versions"][0][field], upstream["spec"]["versions"][0][field], "{field}");
    }
}

#[test]
fn every_field_is_documented() {
    fn undocumented(path: &str, schema: &Value, found: &mut Vec<String>) {
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            if field["description"].as_str().is_none_or(str::is_empty) {
                found.push(path.clone());
            }
            undocumented(&path, field, found);
            undocumented(&path, &field["items"], found);
        }
    }
    let definition = serde_json::to_value(bulla_api::definition::sealed_secret()).unwrap();
    let mut found = Vec::new();
    undocumented("", &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"], &mut found);
    assert_eq!(found, [".metadata"], "the API server allows no description there");
}
