//! A pair of namespaces, and what the tests do in them.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Once;
use std::time::Duration;

use bulla_api::SealedSecret;
use bulla_controller::{KeyOptions, Namespaces, Options, Running};
use bulla_crypto::{PrivateKey, encoding, pem};
use bulla_sealed::{Certificate, CertificateRequest, Scope, SealOptions, seal};
use bulla_testkit::control_plane::{ControlPlane, Namespace, wait_for};
use jiff::{SignedDuration, Timestamp};
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Namespaces of one test.
pub(crate) struct Fixture {
    /// Where the objects are.
    pub(crate) namespace: Namespace,
    /// Where the keys are, and the controller would be.
    pub(crate) keys: Namespace,
}

/// A sealing key that a test made itself: small, since a large one takes a second.
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) private: PrivateKey,
    pub(crate) certificate: Certificate,
}

impl Key {
    pub(crate) fn new(name: &str, not_before: Timestamp) -> Self {
        let private = PrivateKey::generate(2048).unwrap();
        let request = CertificateRequest { common_name: "", not_before, valid_for: SignedDuration::from_hours(24) };
        let certificate = Certificate::generate(&private, &request, &mut rng()).unwrap();
        Self { name: name.to_owned(), private, certificate }
    }

    pub(crate) fn pem(&self) -> String {
        pem::encode("RSA PRIVATE KEY", self.private.to_pkcs1_der().expose_secret()).to_string()
    }

    pub(crate) fn manifest(&self) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": {"name": self.name, "labels": {"sealedsecrets.bitnami.com/sealed-secrets-key": "active"}},
            "stringData": {"tls.key": self.pem(), "tls.crt": self.certificate.to_pem()},
        })
    }
}

impl Fixture {
    pub(crate) fn new(hint: &str) -> Self {
        static DEFINED: Once = Once::new();
        let control_plane = ControlPlane::shared();
        DEFINED.call_once(|| {
            let definition = serde_json::to_string(&bulla_api::definition::sealed_secret()).unwrap();
            control_plane.define(&definition);
        });
        Self { namespace: control_plane.namespace(hint), keys: control_plane.namespace(&format!("{hint}-keys")) }
    }

    /// With one key, stored.
    pub(crate) fn with_key(hint: &str) -> (Self, Key) {
        let fixture = Self::new(hint);
        let key = Key::new("key-1", Timestamp::now());
        fixture.keys.apply(&key.manifest().to_string());
        (fixture, key)
    }

    pub(crate) fn options(&self) -> Options {
        Options {
            kubeconfig: Some(ControlPlane::shared().kubeconfig()),
            namespace: Some(self.keys.name().to_owned()),
            namespaces: Namespaces::Only(vec![self.namespace.name().to_owned()]),
            keys: KeyOptions { size: 2048, ..KeyOptions::default() },
            listen: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
            ..Options::default()
        }
    }

    pub(crate) async fn start(&self) -> Running {
        self.start_with(self.options()).await
    }

    pub(crate) async fn start_with(&self, options: Options) -> Running {
        let running = bulla_controller::start(options).await.unwrap();
        tokio::time::timeout(PATIENCE, running.ready()).await.expect("the controller sees every object");
        running
    }

    /// A Secret of this namespace, to be sealed.
    pub(crate) fn secret(&self, name: &str, values: &Value) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": name, "namespace": self.namespace.name()},
            "stringData": values,
        })
    }

    /// The same, sealed.
    pub(crate) fn sealed(&self, key: &Key, name: &str, values: &Value) -> Value {
        seal_manifest(key, &self.secret(name, values), None)
    }

    pub(crate) fn apply(&self, manifest: &Value) {
        self.namespace.apply(&manifest.to_string());
    }

    /// Applies a SealedSecret and waits until the controller has come by.
    pub(crate) fn apply_and_wait(&self, sealed: &Value) -> Value {
        self.apply(sealed);
        self.reported(sealed["metadata"]["name"].as_str().unwrap())
    }

    /// The SealedSecret, once its status speaks of its present generation.
    pub(crate) fn reported(&self, name: &str) -> Value {
        self.reported_as(&format!("a report on `{name}`"), name, |_| true)
    }

    /// The same, once its status is as expected as well.
    pub(crate) fn reported_as(&self, what: &str, name: &str, is_expected: impl Fn(&Value) -> bool) -> Value {
        wait_for(what, PATIENCE, || {
            let sealed = self.namespace.get("sealedsecret", name)?;
            let generation = &sealed["metadata"]["generation"];
            (sealed["status"]["observedGeneration"] == *generation && is_expected(&sealed)).then_some(sealed)
        })
    }

    pub(crate) fn synced(&self, name: &str) -> Value {
        self.reported_as(&format!("`{name}` to be synced"), name, |sealed| status_of(sealed, "Synced") == "True")
    }

    pub(crate) fn refused(&self, name: &str) -> String {
        let refused = |sealed: &Value| status_of(sealed, "Synced") == "False";
        let sealed = self.reported_as(&format!("`{name}` to be refused"), name, refused);
        condition(&sealed, "Synced")["message"].as_str().unwrap_or_default().to_owned()
    }

    /// The values of a Secret, decoded, once it exists.
    pub(crate) fn values(&self, name: &str) -> Value {
        let secret = wait_for(&format!("Secret `{name}`"), PATIENCE, || self.namespace.get("secret", name));
        values_of(&secret)
    }

    /// Reason and message of each event about a SealedSecret.
    pub(crate) fn events(&self, name: &str) -> Vec<(String, String)> {
        let selector = format!("--field-selector=involvedObject.kind=SealedSecret,involvedObject.name={name}");
        let get = ["get", "events.v1.", &selector, "--sort-by=.metadata.creationTimestamp", "--output=json"];
        let found = self.namespace.kubectl(get).run().unwrap().success();
        let list: Value = serde_json::from_slice(&found.stdout).unwrap();
        let text = |event: &Value, field: &str| event[field].as_str().unwrap_or_default().to_owned();
        list["items"].as_array().unwrap().iter().map(|event| (text(event, "reason"), text(event, "message"))).collect()
    }

    pub(crate) fn wait_for_event(&self, name: &str, reason: &str) -> String {
        wait_for(&format!("event {reason} about `{name}`"), PATIENCE, || {
            self.events(name).into_iter().find(|(found, _)| found == reason).map(|(_, message)| message)
        })
    }
}

pub(crate) fn seal_manifest(key: &Key, secret: &Value, scope: Option<Scope>) -> Value {
    let options = SealOptions { scope, ..SealOptions::default() };
    let sealed: SealedSecret = seal(secret, key.certificate.public_key(), &options, &mut rng()).unwrap();
    serde_json::to_value(sealed).unwrap()
}

pub(crate) fn values_of(secret: &Value) -> Value {
    let values = secret["data"].as_object().cloned().unwrap_or_default();
    values
        .into_iter()
        .map(|(key, value)| {
            let bytes = encoding::decode_go(value.as_str().unwrap().as_bytes()).unwrap();
            (key, json!(String::from_utf8(bytes).unwrap()))
        })
        .collect()
}

pub(crate) fn condition<'a>(sealed: &'a Value, kind: &str) -> &'a Value {
    static ABSENT: Value = Value::Null;
    let mut conditions = sealed["status"]["conditions"].as_array().into_iter().flatten();
    conditions.find(|condition| condition["type"] == kind).unwrap_or(&ABSENT)
}

pub(crate) fn status_of(sealed: &Value, kind: &str) -> String {
    condition(sealed, kind)["status"].as_str().unwrap_or_default().to_owned()
}

/// Status and body of a GET.
pub(crate) async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

pub(crate) fn rng() -> StdRng {
    rand::make_rng()
}
