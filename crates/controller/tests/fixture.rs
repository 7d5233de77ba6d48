//! A pair of namespaces, and what the tests do in them.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Once;
use std::time::Duration;

use bulla_api::SealedSecret;
use bulla_controller::{Counts, KeyOptions, Namespaces, Options, Running};
use bulla_crypto::{PrivateKey, encoding, pem};
use bulla_sealed::{Certificate, CertificateRequest, Scope, SealOptions, seal};
use bulla_testkit::control_plane::{ControlPlane, Namespace, wait_for};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Event, Secret};
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::ApiResource;
use kube::{Api, Client, Config};
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::task::block_in_place;

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Namespaces of one test.
pub(crate) struct Fixture {
    /// Where the objects are.
    pub(crate) namespace: Namespace,
    /// Where the keys are, and the controller would be.
    pub(crate) keys: Namespace,
    /// The API without a kubectl for each question: the tests ask a lot of them.
    client: Client,
}

/// A sealing key that a test made itself: small, since a large one takes a second.
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) private: PrivateKey,
    pub(crate) certificate: Certificate,
}

impl Key {
    pub(crate) fn new(name: &str, not_before: Timestamp) -> Self {
        Self::of_size(2048, name, not_before)
    }

    pub(crate) fn of_size(bits: usize, name: &str, not_before: Timestamp) -> Self {
        let private = PrivateKey::generate(bits).unwrap();
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
        let kubeconfig = Kubeconfig::read_from(control_plane.kubeconfig()).unwrap();
        let client = wait(async {
            let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
            Client::try_from(config).unwrap()
        });
        let keys = control_plane.namespace(&format!("{hint}-keys"));
        Self { namespace: control_plane.namespace(hint), keys, client }
    }

    fn api(&self, kind: &str) -> Api<DynamicObject> {
        let resource = match kind.to_lowercase().as_str() {
            "secret" => ApiResource::erase::<Secret>(&()),
            "sealedsecret" => ApiResource::erase::<SealedSecret>(&()),
            other => panic!("a {other} is for kubectl"),
        };
        Api::namespaced_with(self.client.clone(), self.namespace.name(), &resource)
    }

    /// The object of this kind and name, if there is one.
    pub(crate) fn get(&self, kind: &str, name: &str) -> Option<Value> {
        let found = wait(self.api(kind).get_opt(name)).unwrap();
        found.map(|object| serde_json::to_value(object).unwrap())
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
            listen_metrics: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
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

    /// Applies a Secret or a SealedSecret.
    pub(crate) fn apply(&self, manifest: &Value) {
        let name = manifest["metadata"]["name"].as_str().unwrap();
        let parameters = PatchParams::apply("testkit").force();
        let api = self.api(manifest["kind"].as_str().unwrap());
        wait(api.patch(name, &parameters, &Patch::Apply(manifest))).unwrap();
    }

    /// Number of Secrets beside the objects.
    pub(crate) async fn count_secrets(&self) -> usize {
        self.api("secret").list_metadata(&ListParams::default()).await.unwrap().items.len()
    }

    pub(crate) async fn delete_secrets(&self) {
        self.api("secret").delete_collection(&DeleteParams::default(), &ListParams::default()).await.unwrap();
    }

    /// Changes a Secret or a SealedSecret by a merge patch.
    pub(crate) fn patch(&self, kind: &str, name: &str, patch: &Value) {
        wait(self.api(kind).patch(name, &PatchParams::default(), &Patch::Merge(patch))).unwrap();
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
            let sealed = self.get("sealedsecret", name)?;
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
        let secret = wait_for(&format!("Secret `{name}`"), PATIENCE, || self.get("secret", name));
        values_of(&secret)
    }

    /// One value of a Secret, if that exists.
    pub(crate) fn value(&self, name: &str, key: &str) -> Option<String> {
        let encoded = self.get("secret", name)?["data"][key].as_str()?.to_owned();
        String::from_utf8(encoding::decode_go(encoded.as_bytes()).unwrap()).ok()
    }

    /// Reason and message of each event about a SealedSecret.
    pub(crate) fn events(&self, name: &str) -> Vec<(String, String)> {
        let api: Api<Event> = Api::namespaced(self.client.clone(), self.namespace.name());
        let selector = format!("involvedObject.kind=SealedSecret,involvedObject.name={name}");
        let list = wait(api.list(&ListParams::default().fields(&selector))).unwrap();
        let texts = list.items.into_iter().map(|it| (it.reason.unwrap_or_default(), it.message.unwrap_or_default()));
        texts.collect()
    }

    pub(crate) fn wait_for_event(&self, name: &str, reason: &str) -> String {
        wait_for(&format!("event {reason} about `{name}`"), PATIENCE, || {
            self.events(name).into_iter().find(|(found, _)| found == reason).map(|(_, message)| message)
        })
    }
}

/// Waits for an answer in the middle of a test that is not written as if it had to.
fn wait<T>(answer: impl Future<Output = T>) -> T {
    block_in_place(|| Handle::current().block_on(answer))
}

/// Waits until the controller has nothing to do, and the watches have nothing more to tell of what it did.
pub(crate) async fn settle(running: &Running) -> Counts {
    let mut before = running.counts();
    loop {
        tokio::time::sleep(Duration::from_millis(700)).await;
        let now = running.counts();
        if now == before && running.is_idle() {
            return now;
        }
        before = now;
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
    let request = format!("GET {path} HTTP/1.0\r\nHost: test\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

pub(crate) fn rng() -> StdRng {
    rand::make_rng()
}
