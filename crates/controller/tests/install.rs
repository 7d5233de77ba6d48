//! What is shipped in `deploy`: valid, admitted under the strictest rules for pods, and with the rights that the controller uses and no other.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use bulla_controller::{KeyOptions, Namespaces, Options, Running};
use bulla_sealed::Certificate;
use bulla_testkit::control_plane::{ControlPlane, wait_for};
use bulla_testkit::process::Program;
use bulla_testkit::{needs_peers, peers, workspace};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::fixture::{Fixture, Key, PATIENCE, get, seal_manifest};

/// Name of the service account.
const ACCOUNT: &str = "sealed-secrets-controller";
/// Objects of other tests are none of this controller's business.
const LABEL: &str = "bulla.test/install";

/// API group, resource, verb.
pub(crate) type Right = (String, String, String);

/// What `kubectl kustomize` makes of a folder of `deploy`.
pub(crate) fn built(folder: &str) -> Vec<Value> {
    let folder = workspace().join("deploy").join(folder);
    let kustomize = ControlPlane::shared().kubectl(["kustomize", folder.to_str().unwrap()]);
    serde_saphyr::from_multiple(&kustomize.run().unwrap().success().stdout_text()).unwrap()
}

pub(crate) fn of_kind<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let found = objects.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} `{name}`"))
}

/// The same objects for other namespaces than those that are written in them.
pub(crate) fn moved(objects: &[Value], controller: &str, objects_in: &str) -> Vec<String> {
    let moved = objects.iter().filter(|object| object["kind"] != "CustomResourceDefinition").map(|object| {
        let mut object = object.clone();
        if !object["kind"].as_str().unwrap().starts_with("Cluster") {
            let found = object["metadata"]["namespace"].as_str();
            object["metadata"]["namespace"] = json!(if found.is_some() { controller } else { objects_in });
        }
        for subject in object.get_mut("subjects").and_then(Value::as_array_mut).into_iter().flatten() {
            if subject["kind"] == "ServiceAccount" {
                subject["namespace"] = json!(controller);
            }
        }
        object.to_string()
    });
    moved.collect()
}

/// A kubeconfig with nothing but a token of the service account in this namespace.
pub(crate) fn kubeconfig(fixture: &Fixture) -> NamedTempFile {
    let control_plane = ControlPlane::shared();
    let token = fixture.keys.kubectl(["create", "token", ACCOUNT]).run().unwrap().success().stdout_text();
    let authority = fs::read(control_plane.ca_certificate()).unwrap();
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "it",
        "clusters": [{"name": "it", "cluster": {
            "server": control_plane.server(), "certificate-authority-data": bulla_crypto::encoding::encode(&authority),
        }}],
        "users": [{"name": "it", "user": {"token": token.trim()}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
    });
    let file = NamedTempFile::new().unwrap();
    fs::write(file.path(), kubeconfig.to_string()).unwrap();
    file
}

/// What the rules of a role allow.
pub(crate) fn granted(role: &Value) -> BTreeSet<Right> {
    let mut rights = BTreeSet::new();
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    for rule in role["rules"].as_array().into_iter().flatten() {
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                for verb in texts(&rule["verbs"]) {
                    rights.insert((group.clone(), resource.clone(), verb));
                }
            }
        }
    }
    rights
}

/// What the service account was allowed to do, as the API server has noted it: the namespace (empty for all) and the right.
pub(crate) fn used(fixture: &Fixture) -> BTreeSet<(String, Right)> {
    let user = format!("system:serviceaccount:{}:{ACCOUNT}", fixture.keys.name());
    let log = fs::read_to_string(ControlPlane::shared().audit_log()).unwrap();
    let mut used = BTreeSet::new();
    for line in log.lines().filter(|line| line.contains(&user)) {
        // The last line may be half written.
        let Ok(entry) = serde_json::from_str::<Value>(line) else { continue };
        let Some(object) = entry["objectRef"].as_object() else { continue };
        if entry["user"]["username"] != user {
            continue;
        }
        assert_eq!(entry["annotations"]["authorization.k8s.io/decision"], "allow", "{entry}");
        let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (resource, subresource) = (text("resource"), text("subresource"));
        let resource = if subresource.is_empty() { resource } else { format!("{resource}/{subresource}") };
        used.insert((text("namespace"), (text("apiGroup"), resource, entry["verb"].as_str().unwrap().to_owned())));
    }
    used
}

async fn start(fixture: &Fixture, kubeconfig: &Path, namespaces: Namespaces) -> Running {
    let options = Options {
        kubeconfig: Some(kubeconfig.to_owned()),
        namespaces,
        label_selector: LABEL.to_owned(),
        keys: KeyOptions { size: 2048, ..KeyOptions::default() },
        ..fixture.options()
    };
    fixture.start_with(options).await
}

/// All that a controller does in its life.
async fn live(fixture: &Fixture, kubeconfig: &Path, namespaces: Namespaces) {
    let running = start(fixture, kubeconfig, namespaces.clone()).await;
    assert_eq!(running.counts().keys_created, 1);
    let pem = get(running.address().unwrap(), "/v1/cert.pem").await.1;
    let key = Key {
        certificate: Certificate::from_pem(pem.as_bytes()).unwrap(),
        ..Key::new("another", jiff::Timestamp::now())
    };
    let sealed = |name: &str, value: &str| {
        let mut sealed = seal_manifest(&key, &fixture.secret(name, &json!({"a": value})), None);
        sealed["metadata"]["labels"] = json!({LABEL: "yes"});
        sealed
    };
    fixture.apply(&sealed("db", "one"));
    fixture.synced("db");
    assert_eq!(fixture.values("db"), json!({"a": "one"}));
    fixture.wait_for_event("db", "Unsealed");
    fixture.apply(&sealed("db", "two"));
    fixture.synced("db");
    assert_eq!(fixture.values("db"), json!({"a": "two"}));
    let lost = Key::new("lost", jiff::Timestamp::now());
    let mut unopened = seal_manifest(&lost, &fixture.secret("lost", &json!({"a": "b"})), None);
    unopened["metadata"]["labels"] = json!({LABEL: "yes"});
    fixture.apply(&unopened);
    fixture.refused("lost");
    fixture.namespace.delete("secret", "db");
    wait_for("the Secret to come back", PATIENCE, || fixture.get("secret", "db"));
    // A key that somebody brings is taken up.
    fixture.keys.apply(&lost.manifest().to_string());
    fixture.synced("lost");
    fixture.namespace.delete("sealedsecret", "lost");
    wait_for("the Secret to go", PATIENCE, || fixture.get("secret", "lost").is_none().then_some(()));
    running.stop().await;

    // The same again after a restart, and a key that is due.
    let running = bulla_controller::start(Options {
        kubeconfig: Some(kubeconfig.to_owned()),
        namespaces,
        label_selector: LABEL.to_owned(),
        keys: KeyOptions { size: 2048, cutoff: Some(jiff::Timestamp::now()), ..KeyOptions::default() },
        ..fixture.options()
    });
    let running = running.await.unwrap();
    tokio::time::timeout(PATIENCE, running.ready()).await.unwrap();
    assert_eq!((running.counts().keys_created, running.counts().secret_writes), (1, 0));
    running.stop().await;
}

/// The rows of a table in docs/install.md, each `| resource | verbs | …`, with the group behind a dot: `sealedsecrets.bitnami.com/status`.
fn documented() -> BTreeSet<Right> {
    let page = fs::read_to_string(workspace().join("docs/install.md")).unwrap();
    let (_, section) = page.split_once("## Rights").expect("the rights are documented");
    let section = section.split_once("\n## ").map_or(section, |(section, _)| section);
    let mut rights = BTreeSet::new();
    for row in section.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let (name, subresource) =
            cells[0].trim_matches('`').split_once('/').unwrap_or((cells[0].trim_matches('`'), ""));
        let (resource, group) = name.split_once('.').unwrap_or((name, ""));
        let resource = if subresource.is_empty() { resource.to_owned() } else { format!("{resource}/{subresource}") };
        for verb in cells[1].split(", ") {
            rights.insert((group.to_owned(), resource.clone(), verb.to_owned()));
        }
    }
    rights
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rights_that_are_shipped_suffice_and_all_are_used() {
    needs_peers!();
    let fixture = Fixture::new("install");
    let shipped = built("kustomize");
    let (controller, objects) = (fixture.keys.name(), fixture.namespace.name());
    let account_and_roles: Vec<Value> = shipped
        .iter()
        .filter(|object| !["Deployment", "Service"].contains(&object["kind"].as_str().unwrap()))
        .cloned()
        .collect();
    ControlPlane::shared().apply(&moved(&account_and_roles, controller, objects).join("\n---\n"));
    let kubeconfig = kubeconfig(&fixture);
    live(&fixture, kubeconfig.path(), Namespaces::All).await;

    let of_cluster = granted(of_kind(&shipped, "ClusterRole", "secrets-unsealer"));
    let of_keys = granted(of_kind(&shipped, "Role", "sealed-secrets-key-admin"));
    let used = used(&fixture);
    let elsewhere = used.iter().filter(|(namespace, _)| namespace != controller).map(|(_, right)| right.clone());
    assert_eq!(elsewhere.collect::<BTreeSet<_>>(), of_cluster, "what is used, and what is granted");
    let here = used.iter().filter(|(namespace, _)| namespace == controller).map(|(_, right)| right.clone());
    assert_eq!(here.collect::<BTreeSet<_>>(), of_keys, "what is used of the keys, and what is granted");
    assert_eq!(of_cluster.union(&of_keys).cloned().collect::<BTreeSet<_>>(), documented(), "docs/install.md");

    // What the API server says that it may do: the same, and what everybody may.
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": {"namespace": controller},
    });
    let ask = ["create", "--validate=false", "--output=json", "--filename=-"];
    let kubectl = Program::new(peers::kubectl()).arg("--kubeconfig").arg(kubeconfig.path()).args(ask);
    let answer: Value =
        serde_json::from_slice(&kubectl.stdin(review.to_string()).run().unwrap().success().stdout).unwrap();
    let rules = json!({"rules": answer["status"]["resourceRules"]});
    let may = granted(&rules);
    let everybody = [
        ("authentication.k8s.io", "selfsubjectreviews", "create"),
        ("authorization.k8s.io", "selfsubjectaccessreviews", "create"),
        ("authorization.k8s.io", "selfsubjectrulesreviews", "create"),
        // Of the role by which `kubeseal` fetches the certificate.
        ("", "services", "get"),
        ("", "services/proxy", "get"),
    ];
    let everybody = everybody.map(|(group, resource, verb)| (group.to_owned(), resource.to_owned(), verb.to_owned()));
    let own: BTreeSet<Right> = may.into_iter().filter(|right| !everybody.contains(right)).collect();
    assert_eq!(own, of_cluster.union(&of_keys).cloned().collect());
    for (kind, name) in [("clusterrole", "secrets-unsealer"), ("clusterrolebinding", ACCOUNT)] {
        let _deleted = ControlPlane::shared().kubectl(["delete", kind, name]).run().unwrap().success();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_in_some_namespaces_suffice_where_it_looks_after_those_only() {
    needs_peers!();
    let fixture = Fixture::new("namespaced");
    let shipped = built("kustomize/namespaced");
    assert!(!shipped.iter().any(|object| object["kind"].as_str().unwrap().starts_with("Cluster")));
    let arguments = &of_kind(&shipped, "Deployment", ACCOUNT)["spec"]["template"]["spec"]["containers"][0]["args"];
    assert_eq!(*arguments, json!(["controller", "--namespaces=shop"]));
    let watched = built("kustomize/watched-namespace");
    let role = granted(of_kind(&watched, "Role", "secrets-unsealer"));
    assert_eq!(
        role,
        granted(of_kind(&built("kustomize"), "ClusterRole", "secrets-unsealer")),
        "the same in one namespace"
    );
    let (controller, objects) = (fixture.keys.name(), fixture.namespace.name());
    let account_and_roles: Vec<Value> = shipped
        .iter()
        .chain(&watched)
        .filter(|object| !["Deployment", "Service"].contains(&object["kind"].as_str().unwrap()))
        .cloned()
        .collect();
    ControlPlane::shared().apply(&moved(&account_and_roles, controller, objects).join("\n---\n"));
    let kubeconfig = kubeconfig(&fixture);
    live(&fixture, kubeconfig.path(), Namespaces::Only(vec![objects.to_owned()])).await;

    let used = used(&fixture);
    assert!(used.iter().all(|(namespace, _)| namespace == controller || namespace == objects), "{used:?}");
    let there = used.iter().filter(|(namespace, _)| namespace == objects).map(|(_, right)| right.clone());
    assert_eq!(there.collect::<BTreeSet<_>>(), role);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_shipped_is_valid_and_admitted_under_the_restricted_standard() {
    needs_peers!();
    let fixture = Fixture::new("manifests");
    let control_plane = ControlPlane::shared();
    for folder in ["kustomize", "kustomize/namespaced", "kustomize/watched-namespace"] {
        let folder = workspace().join("deploy").join(folder);
        let apply =
            ["apply", "--server-side", "--dry-run=server", "--validate=strict", "--force-conflicts", "--kustomize"];
        let _valid = control_plane.kubectl(apply).arg(folder).run().unwrap().success();
    }

    let name = fixture.keys.name();
    let label = ["label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted"];
    let _labelled = control_plane.kubectl(label).run().unwrap().success();
    let shipped = built("kustomize");
    fixture.keys.apply(&moved(&[of_kind(&shipped, "ServiceAccount", ACCOUNT).clone()], name, name).join("\n---\n"));
    let template = &of_kind(&shipped, "Deployment", ACCOUNT)["spec"]["template"];
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "controller", "labels": template["metadata"]["labels"]}, "spec": template["spec"],
    });
    let create = ["create", "--dry-run=server", "--output=json", "--filename=-"];
    let admit = |pod: &Value| fixture.keys.kubectl(create).stdin(pod.to_string()).run().unwrap();
    let admitted: Value = serde_json::from_slice(&admit(&pod).success().stdout).unwrap();
    let mounts = &admitted["spec"]["containers"][0]["volumeMounts"];
    let mounts: Vec<&str> = mounts.as_array().unwrap().iter().map(|it| it["mountPath"].as_str().unwrap()).collect();
    assert_eq!(mounts, ["/var/run/secrets/kubernetes.io/serviceaccount"], "its token, and nothing to write to");
    // It is the standard that decides here.
    for (field, value) in [
        ("/spec/containers/0/securityContext/allowPrivilegeEscalation", json!(true)),
        ("/spec/containers/0/securityContext/capabilities/drop", json!([])),
        ("/spec/securityContext/runAsNonRoot", json!(false)),
        ("/spec/securityContext/seccompProfile/type", json!("Unconfined")),
    ] {
        let mut other = pod.clone();
        *other.pointer_mut(field).unwrap() = value;
        let refused = admit(&other);
        assert!(
            refused.stderr_text().contains("violates PodSecurity \"restricted"),
            "{field}: {}",
            refused.stderr_text()
        );
    }
    let container = &pod["spec"]["containers"][0];
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    assert!(
        container["resources"]["limits"]["memory"].is_string() && container["resources"]["requests"]["cpu"].is_string()
    );
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        assert!(container[probe]["httpGet"]["path"].is_string(), "{probe}");
    }
    // Services find the ports that the program listens on by default.
    let defaults = Options::default();
    for (service, address) in
        [(ACCOUNT, defaults.listen), ("sealed-secrets-controller-metrics", defaults.listen_metrics)]
    {
        let port = &of_kind(&shipped, "Service", service)["spec"]["ports"][0];
        let named = container["ports"].as_array().unwrap().iter().find(|it| it["name"] == port["targetPort"]).unwrap();
        assert_eq!(named["containerPort"], address.unwrap().port(), "{service}");
        assert_eq!(port["port"], address.unwrap().port());
    }
}

/// API versions of what is shipped, each in Kubernetes since.
const API_VERSIONS: &[(&str, &str)] =
    &[("v1", "1.0"), ("apps/v1", "1.9"), ("apiextensions.k8s.io/v1", "1.16"), ("rbac.authorization.k8s.io/v1", "1.8")];

#[test]
fn what_is_shipped_uses_nothing_newer_than_kubernetes_1_33() {
    needs_peers!();
    for folder in ["kustomize", "kustomize/namespaced", "kustomize/watched-namespace", "crds"] {
        for object in built(folder) {
            let version = object["apiVersion"].as_str().unwrap();
            assert!(API_VERSIONS.iter().any(|(known, _)| *known == version), "{folder}: {version}");
            if object["kind"] != "CustomResourceDefinition" {
                continue;
            }
            // Rules in CEL, and selectable fields, came and grew later; there are none, so there is nothing to be too new.
            let text = object["spec"].to_string();
            for newer in ["x-kubernetes-validations", "selectableFields", "messageExpression", "optionalOldSelf"] {
                assert!(!text.contains(newer), "{folder}: {newer}");
            }
        }
    }
}
