//! What kubeseal seals opens here, what is sealed here opens there, and both say the same about a Secret.

use std::path::PathBuf;
use std::sync::LazyLock;

use bulla_api::SealedSecret;
use bulla_crypto::{PrivateKey, encoding, pem};
use bulla_sealed::{
    Certificate, CertificateRequest, KeyOrder, KeyRing, Scope, SealOptions, SealingKey, UnsealOptions, seal, unseal,
};
use bulla_testkit::process::{Finished, Program};
use bulla_testkit::{needs_peers, peers};
use jiff::{SignedDuration, Timestamp};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};

/// A key of the default size, and its files.
struct Fixture {
    folder: tempfile::TempDir,
    certificate: Certificate,
    ring: KeyRing,
}

static FIXTURE: LazyLock<Fixture> = LazyLock::new(|| {
    let private = PrivateKey::generate(4096).unwrap();
    let request =
        CertificateRequest { common_name: "", not_before: Timestamp::now(), valid_for: SignedDuration::from_hours(1) };
    let certificate = Certificate::generate(&private, &request, &mut StdRng::seed_from_u64(1)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("cert.pem", &certificate.to_pem());
    write("pkcs1.pem", &pem::encode("RSA PRIVATE KEY", private.to_pkcs1_der().expose_secret()));
    write("pkcs8.pem", &pem::encode("PRIVATE KEY", private.to_pkcs8_der().expose_secret()));
    let mut ring = KeyRing::new(KeyOrder::default());
    ring.insert(SealingKey::new("key", Timestamp::now(), private, Ok(certificate.clone())));
    Fixture { folder, certificate, ring }
});

impl Fixture {
    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn kubeseal(arguments: &[&str], input: &Value) -> Finished {
    // Neither a cluster nor a kubeconfig may be needed.
    let program = Program::new(peers::kubeseal()).env("KUBECONFIG", "/nonexistent").args(arguments);
    program.stdin(input.to_string()).run().unwrap()
}

fn sealed_by_kubeseal(arguments: &[&str], secret: &Value) -> Value {
    let certificate = FIXTURE.file("cert.pem");
    let arguments = [&["--cert", certificate.to_str().unwrap()], arguments].concat();
    serde_json::from_slice(&kubeseal(&arguments, secret).success().stdout).unwrap()
}

fn sealed_here(secret: &Value, options: &SealOptions) -> SealedSecret {
    seal(secret, FIXTURE.certificate.public_key(), options, &mut StdRng::seed_from_u64(7)).unwrap()
}

fn values() -> Value {
    json!({
        "empty": "",
        "ascii": encoding::encode(b"hunter2"),
        "utf8": encoding::encode("pässwörd ✓".as_bytes()),
        "binary": encoding::encode(&(0..=255).collect::<Vec<u8>>()),
        "megabyte": encoding::encode(&(0..1 << 20).map(|index: u32| index.to_be_bytes()[3] ^ 0x5a).collect::<Vec<u8>>()),
    })
}

fn secret() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "db", "namespace": "shop", "labels": {"app": "shop"}},
        "type": "example.com/kind",
        "data": values(),
    })
}

#[test]
fn what_kubeseal_seals_opens_here_in_every_scope() {
    needs_peers!();
    for scope in Scope::ALL {
        let sealed = SealedSecret::from_json(&sealed_by_kubeseal(&["--scope", scope.as_str()], &secret())).unwrap();
        assert_eq!(Scope::of(sealed.metadata.annotations.as_ref()), scope);
        let opened = unseal(&sealed, &FIXTURE.ring, &UnsealOptions::default()).unwrap();
        assert_eq!(opened.keys.len(), 1);
        let manifest = opened.secret.into_manifest();
        assert!(manifest["data"] == values(), "{scope}");
        assert_eq!(manifest["type"], "example.com/kind");
        assert_eq!(manifest["metadata"]["labels"], json!({"app": "shop"}));
    }
}

#[test]
fn what_is_sealed_here_opens_with_kubeseal_in_every_scope() {
    needs_peers!();
    for (scope, key) in Scope::ALL.into_iter().zip(["pkcs1.pem", "pkcs8.pem", "pkcs1.pem"]) {
        let options = SealOptions { scope: Some(scope), ..SealOptions::default() };
        let sealed = serde_json::to_value(sealed_here(&secret(), &options)).unwrap();
        let key = FIXTURE.file(key);
        let unseal = ["--recovery-unseal", "--recovery-private-key", key.to_str().unwrap()];
        let mut opened: Value = serde_json::from_slice(&kubeseal(&unseal, &sealed).success().stdout).unwrap();
        assert_eq!(opened["data"]["empty"], Value::Null, "how Go prints a value without bytes");
        opened["data"]["empty"] = json!("");
        assert!(opened["data"] == values(), "{scope}");
        assert_eq!(opened["type"], "example.com/kind");
        assert_eq!(opened["metadata"]["labels"], json!({"app": "shop"}));
    }
}

#[test]
fn a_key_of_another_cluster_and_a_moved_object_open_neither_here_nor_there() {
    needs_peers!();
    let mut sealed = serde_json::to_value(sealed_here(&secret(), &SealOptions::default())).unwrap();
    sealed["metadata"]["namespace"] = json!("pay");
    let key = FIXTURE.file("pkcs1.pem");
    let arguments = ["--recovery-unseal", "--recovery-private-key", key.to_str().unwrap()];
    let theirs = kubeseal(&arguments, &sealed);
    assert_eq!(theirs.code(), Some(1));
    let ours = unseal(&SealedSecret::from_json(&sealed).unwrap(), &FIXTURE.ring, &UnsealOptions::default());
    let ours = ours.unwrap_err().to_string();
    let words = "no key could decrypt secret (";
    assert!(theirs.stderr_text().contains(words), "{}", theirs.stderr_text());
    assert!(ours.starts_with("no key could decrypt secret (ascii, binary, empty, megabyte, utf8)"), "{ours}");
}

/// Everything but the sealed values themselves, which differ each time: their keys.
fn comparable(mut sealed: Value) -> Value {
    let spec = sealed["spec"].as_object_mut().unwrap();
    let items = spec.remove("encryptedData").unwrap();
    let items: Vec<&String> = items.as_object().unwrap().keys().collect();
    let mut items: Vec<String> = items.into_iter().cloned().collect();
    items.sort();
    spec.insert("items".to_owned(), json!(items));
    // kubeseal prints an empty `template` or `metadata`; here they are left out.
    if spec.get("template").is_some_and(|template| template["metadata"] == json!({})) {
        spec["template"].as_object_mut().unwrap().remove("metadata");
    }
    sealed
}

#[test]
fn both_say_the_same_about_a_secret() {
    needs_peers!();
    let namespace_wide = json!({"sealedsecrets.bitnami.com/namespace-wide": "true"});
    let both =
        json!({"sealedsecrets.bitnami.com/namespace-wide": "true", "sealedsecrets.bitnami.com/cluster-wide": "true"});
    let secret = |metadata: Value, more: Value| {
        let mut secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"a": "b"}});
        secret.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        secret
    };
    let plain = || json!({"name": "db", "namespace": "shop"});
    let annotated = |annotations: &Value| json!({"name": "db", "namespace": "shop", "annotations": annotations});
    for (secret, scope, namespace) in [
        (secret(plain(), json!({})), None, None),
        (secret(plain(), json!({"type": "Opaque", "immutable": true, "data": {"c": "ZA==", "a": "ZA=="}})), None, None),
        (secret(plain(), json!({"immutable": false, "data": null})), None, None),
        (secret(annotated(&namespace_wide), json!({})), None, None),
        (secret(annotated(&both), json!({})), None, None),
        (secret(annotated(&both), json!({})), Some(Scope::NamespaceWide), None),
        (secret(annotated(&json!({"note": "x"})), json!({})), Some(Scope::ClusterWide), None),
        (secret(json!({"name": "db"}), json!({})), None, Some("shop")),
        (secret(json!({"name": "db"}), json!({})), Some(Scope::ClusterWide), Some("shop")),
        (
            secret(
                json!({
                    "name": "db", "namespace": "shop", "labels": {"app": "shop"},
                    "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "x", "note": "kept"},
                    "creationTimestamp": "2026-01-01T00:00:00Z", "deletionTimestamp": "2026-01-01T00:00:00Z",
                    "uid": "1", "resourceVersion": "2", "generation": 3, "selfLink": "x", "deletionGracePeriodSeconds": 1,
                    "generateName": "x-", "finalizers": ["a/b"],
                    "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "9"}],
                    "managedFields": [{"manager": "kubectl", "operation": "Apply"}],
                }),
                json!({}),
            ),
            None,
            None,
        ),
    ] {
        let mut arguments = Vec::new();
        arguments.extend(scope.into_iter().flat_map(|scope: Scope| ["--scope", scope.as_str()]));
        arguments.extend(namespace.into_iter().flat_map(|namespace| ["--namespace", namespace]));
        let theirs = sealed_by_kubeseal(&arguments, &secret);
        let options = SealOptions { scope, namespace: namespace.map(str::to_owned), ..SealOptions::default() };
        let ours = serde_json::to_value(sealed_here(&secret, &options)).unwrap();
        assert_eq!(comparable(ours), comparable(theirs), "{secret} {arguments:?}");
    }
}

#[test]
fn both_refuse_the_same_secrets_with_the_same_words() {
    needs_peers!();
    let certificate = FIXTURE.file("cert.pem");
    for (secret, namespace) in [
        (json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db", "namespace": "shop"}}), None),
        (
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": "shop"}, "stringData": {"a": "b"}}),
            None,
        ),
        (
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db", "namespace": "shop"}, "stringData": {"a": "b"}}),
            Some("pay"),
        ),
    ] {
        let mut arguments = vec!["--cert", certificate.to_str().unwrap()];
        arguments.extend(namespace.into_iter().flat_map(|namespace| ["--namespace", namespace]));
        let theirs = kubeseal(&arguments, &secret);
        assert_eq!(theirs.code(), Some(1), "{secret}");
        let options = SealOptions { namespace: namespace.map(str::to_owned), ..SealOptions::default() };
        let ours =
            seal(&secret, FIXTURE.certificate.public_key(), &options, &mut StdRng::seed_from_u64(7)).unwrap_err();
        assert_eq!(theirs.stderr_text().trim_end(), format!("error: {ours}"), "{secret}");
    }
}
