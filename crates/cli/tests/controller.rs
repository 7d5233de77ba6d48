//! The controller as a process: killed, cut off from the API server, and what it says meanwhile; on the oldest Kubernetes that it is for.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bulla_api::definition;
use bulla_crypto::encoding;
use bulla_sealed::{Certificate, SealOptions, seal};
use bulla_testkit::control_plane::{ControlPlane, Namespace, OLDEST_KUBERNETES, wait_for};
use bulla_testkit::{needs_peers, workspace};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use crate::fixture::{Keys, Place, bulla};

const SEALED: usize = 150;
const EXTERNAL: usize = 150;
const PATIENCE: Duration = Duration::from_mins(3);

/// A controller, killed when this is dropped.
struct Controller(Child);

impl Controller {
    fn start(control_plane: &ControlPlane, keys: &Namespace, objects: &Namespace, metrics: u16, log: &File) -> Self {
        let mut command = Command::new(bulla());
        command.args(["controller", "--external-secrets", "--listen=none", "--log-level=debug", "--kubeconfig"]);
        command.arg(control_plane.kubeconfig()).args(["--namespace", keys.name(), "--namespaces", objects.name()]);
        command.arg(format!("--listen-metrics=127.0.0.1:{metrics}"));
        Self(command.stdin(Stdio::null()).stderr(log.try_clone().unwrap()).spawn().unwrap())
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        // SIGKILL, and gone.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What is in the Secret of object `number`, different for each and found nowhere else.
fn value(kind: &str, number: usize) -> String {
    format!("planted-{kind}-{number}-3f9a1c")
}

fn sealed(certificate: &Certificate, namespace: &str, number: usize) -> String {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": format!("sealed-{number}"), "namespace": namespace},
        "stringData": {"value": value("sealed", number)},
    });
    let mut random = StdRng::seed_from_u64(number as u64);
    let sealed = seal(&secret, certificate.public_key(), &SealOptions::default(), &mut random).unwrap();
    serde_json::to_string(&sealed).unwrap()
}

fn external(number: usize) -> String {
    json!({
        "apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret", "metadata": {"name": format!("external-{number}")},
        "spec": {
            "secretStoreRef": {"name": "fake"}, "refreshInterval": "1h",
            "target": {"template": {"data": {"value": "{{ .value }}"}}},
            "data": [{"secretKey": "value", "remoteRef": {"key": format!("key-{number}")}}],
        },
    })
    .to_string()
}

/// The values of all Secrets of a namespace, by name.
fn values(namespace: &Namespace) -> Vec<(String, String)> {
    let listed = namespace.kubectl(["get", "secrets", "--output=json"]).run().unwrap().success();
    let list: Value = serde_json::from_slice(&listed.stdout).unwrap();
    let secrets =
        list["items"].as_array().unwrap().iter().filter(|secret| secret["metadata"].get("ownerReferences").is_some());
    secrets
        .map(|secret| {
            let value = encoding::decode_go(secret["data"]["value"].as_str().unwrap().as_bytes()).unwrap();
            (secret["metadata"]["name"].as_str().unwrap().to_owned(), String::from_utf8(value).unwrap())
        })
        .collect()
}

fn scrape(port: u16) -> Option<String> {
    let mut connection = TcpStream::connect(("127.0.0.1", port)).ok()?;
    connection.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).ok()?;
    Some(answer)
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn killed_twenty_times_and_cut_off_it_loses_nothing_and_says_nothing() {
    needs_peers!();
    let own = ControlPlane::own();
    let control_plane = own.control_plane();
    let version = control_plane.kubectl(["get", "--raw=/version"]).run().unwrap().success();
    let version: Value = serde_json::from_slice(&version.stdout).unwrap();
    let emulated =
        format!("{}.{}", version["emulationMajor"].as_str().unwrap(), version["emulationMinor"].as_str().unwrap());
    assert_eq!(emulated, OLDEST_KUBERNETES);
    for definition in [
        definition::sealed_secret(),
        definition::external_secret(),
        definition::secret_store(),
        definition::cluster_secret_store(),
    ] {
        control_plane.define(&serde_json::to_string(&definition).unwrap());
    }
    // All that is shipped, strictly.
    for folder in ["kustomize", "kustomize/external-secrets"] {
        let apply =
            ["apply", "--server-side", "--dry-run=server", "--validate=strict", "--force-conflicts", "--kustomize"];
        let folder = workspace().join("deploy").join(folder);
        let _valid = control_plane.kubectl(apply).arg(folder).run().unwrap().success();
    }
    let (keys, objects) = (control_plane.namespace("keys"), control_plane.namespace("shop"));
    let pem = |name: &str| fs::read_to_string(Keys::shared().path(name)).unwrap();
    let certificate = Certificate::from_pem(pem("sealing.pem").as_bytes()).unwrap();
    keys.apply(
        &json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": {"name": "key", "labels": {"sealedsecrets.bitnami.com/sealed-secrets-key": "active"}},
            "stringData": {"tls.key": pem("sealing.key"), "tls.crt": pem("sealing.pem")},
        })
        .to_string(),
    );
    let data: Vec<_> = (0..EXTERNAL)
        .map(|number| json!({"key": format!("key-{number}"), "value": value("external", number)}))
        .collect();
    let store = json!({
        "apiVersion": "external-secrets.io/v1", "kind": "SecretStore", "metadata": {"name": "fake"},
        "spec": {"provider": {"fake": {"data": data}}},
    });
    // The store comes last: until then every ExternalSecret has a reason to fail.
    let mut manifests: Vec<_> = (0..SEALED).map(|number| sealed(&certificate, objects.name(), number)).collect();
    manifests.extend((0..EXTERNAL).map(external));
    manifests.push(external(EXTERNAL));
    objects.apply(&manifests.join("\n---\n"));

    let place = Place::new();
    let log_path = place.file("log");
    let log = File::create(&log_path).unwrap();
    let port = free_port();
    for round in 0..20_u64 {
        let controller = Controller::start(control_plane, &keys, &objects, port, &log);
        std::thread::sleep(Duration::from_millis(150 + 97 * (round * 7 % 11)));
        match round {
            5 => objects.apply(&store.to_string()),
            9 | 14 => own.restart_api_server(),
            _ => {}
        }
        drop(controller);
    }

    let mut controller = Controller::start(control_plane, &keys, &objects, port, &log);
    let found = wait_for("all Secrets", PATIENCE, || {
        let found = values(&objects);
        (found.len() == SEALED + EXTERNAL).then_some(found)
    });
    for (name, found) in found {
        let (kind, number) = name.split_once('-').unwrap();
        assert_eq!(found, value(kind, number.parse().unwrap()), "{name}");
    }
    // Each object says that all is well, but for the one that asks for what is not there.
    let ready = wait_for("all to be told", PATIENCE, || {
        let listed =
            objects.kubectl(["get", "sealedsecrets,externalsecrets", "--output=json"]).run().unwrap().success();
        let list: Value = serde_json::from_slice(&listed.stdout).unwrap();
        let items = list["items"].as_array().unwrap().clone();
        let status = |object: &Value, wanted: &str| {
            object["status"]["conditions"]
                .as_array()
                .is_some_and(|conditions| conditions.iter().any(|it| it["type"] == "Ready" && it["status"] == wanted))
        };
        let (good, bad) = (items.iter().filter(|it| status(it, "True")), items.iter().filter(|it| status(it, "False")));
        (good.count() == SEALED + EXTERNAL && bad.count() == 1).then_some(items)
    });
    assert_eq!(ready.len(), SEALED + EXTERNAL + 1);
    assert_eq!(values(&keys), Vec::new(), "and no key was made beside the one that was there");
    let key_secrets = keys.kubectl(["get", "secrets", "--output=name"]).run().unwrap().success().stdout_text();
    assert_eq!(key_secrets, "secret/key\n");

    // A change is still taken up.
    let mut changed = store.clone();
    changed["spec"]["provider"]["fake"]["data"]
        .as_array_mut()
        .unwrap()
        .push(json!({"key": format!("key-{EXTERNAL}"), "value": value("external", EXTERNAL)}));
    objects.apply(&changed.to_string());
    wait_for("one Secret more", PATIENCE, || (values(&objects).len() == SEALED + EXTERNAL + 1).then_some(()));

    // What it said: log, metrics, statuses, events. No value in it, nor its base64, nor a key.
    let metrics = scrape(port).expect("the metrics are served");
    let told = ["get", "events,sealedsecrets,externalsecrets", "--output=json"];
    let told = objects.kubectl(told).run().unwrap().success().stdout_text();
    let pid = controller.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let ended = controller.0.wait().unwrap();
    assert!(ended.success(), "{ended}");
    let log = fs::read_to_string(&log_path).unwrap();
    assert!(
        log.len() > 10_000 && metrics.contains("bulla_controller_") && told.len() > 100_000,
        "there is something to look at"
    );
    let key = pem("sealing.key");
    let lines = key.lines().filter(|line| !line.starts_with('-')).map(str::to_owned);
    let planted =
        (0..SEALED).map(|number| value("sealed", number)).chain((0..EXTERNAL).map(|number| value("external", number)));
    for planted in planted.chain(lines) {
        for (what, text) in [("log", &log), ("metrics", &metrics), ("status or event", &told)] {
            assert!(!text.contains(&planted), "{what}");
            let encoded = encoding::encode(planted.as_bytes());
            assert!(!text.contains(encoded.trim_end_matches('=')), "{what}, in base64");
        }
    }
}
