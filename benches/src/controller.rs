//! The controllers: so many SealedSecrets on a real API server, until every Secret is there; and once more with nothing changed.
//! All have the same keys.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bulla_testkit::control_plane::ControlPlane;
use bulla_testkit::process::Program;
use bulla_testkit::{free_port, peers, workspace};

use crate::cluster::{Contender, KEY_NAMESPACE, Kind, NAMESPACE, Outcome, QUIET, run};
use crate::say;

const OBJECTS: usize = 1000;
const ITEMS: usize = 3;
const KEYS: usize = 12;
/// For upstream with its default limit of five requests a second, which would take ten minutes for all.
const FEW: usize = 100;
const KIND: Kind = Kind { name: "sealedsecrets", version: "apis/bitnami.com/v1alpha1", status: "observedGeneration" };

/// Measures, and gives the table.
pub(crate) fn measure(bulla: &Path, folder: &Path) -> String {
    let control_plane = ControlPlane::shared();
    prepare(control_plane, folder);
    let manifests = seal(bulla, folder);
    let upstream = |options: &'static [&'static str]| {
        move || {
            let listen =
                ["--listen-addr", "--listen-metrics-addr"].map(|name| format!("{name}=127.0.0.1:{}", free_port()));
            let arguments = listen.iter().map(String::as_str).chain(options.iter().copied());
            let program = peers::sealed_secrets_controller();
            control_plane
                .as_pod(KEY_NAMESPACE, "controller", &program, arguments)
                .unwrap_or_else(|error| panic!("sealed-secrets' controller: {error}"))
                .start()
                .expect("sealed-secrets' controller starts")
        }
    };
    let contenders = [
        Contender {
            name: "bulla",
            objects: OBJECTS,
            start: Box::new(|| {
                Program::new(bulla)
                    .args(["controller", "--namespace", KEY_NAMESPACE, "--listen-metrics", "none", "--listen"])
                    .arg(format!("127.0.0.1:{}", free_port()))
                    .arg("--kubeconfig")
                    .arg(control_plane.kubeconfig())
                    .start()
                    .expect("bulla starts")
            }),
        },
        Contender {
            name: "sealed-secrets, `--kubeclient-qps=-1`",
            objects: OBJECTS,
            start: Box::new(upstream(&["--kubeclient-qps=-1"])),
        },
        Contender { name: "sealed-secrets, defaults", objects: FEW, start: Box::new(upstream(&[])) },
    ];
    let outcomes: Vec<Outcome> =
        contenders.iter().map(|contender| run(control_plane, contender, &KIND, &manifests, &|| 0)).collect();
    render(&outcomes)
}

/// The definition, the namespaces, the keys and the rights.
fn prepare(control_plane: &ControlPlane, folder: &Path) {
    say("making keys");
    let definition = fs::read_to_string(workspace().join("deploy/crds/sealedsecrets.yaml"));
    control_plane.define(&definition.expect("the definition is there"));
    let mut manifests = format!(
        "{{apiVersion: v1, kind: Namespace, metadata: {{name: {KEY_NAMESPACE}}}}}\n---\n\
         {{apiVersion: v1, kind: Namespace, metadata: {{name: {NAMESPACE}}}}}\n---\n\
         {{apiVersion: v1, kind: ServiceAccount, metadata: {{name: controller, namespace: {KEY_NAMESPACE}}}}}\n---\n\
         apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {{name: bench}}\n\
         roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}}\n\
         subjects: [{{kind: ServiceAccount, name: controller, namespace: {KEY_NAMESPACE}}}]\n"
    );
    for key in 0..KEYS {
        let (private, certificate) = key_files(folder, key);
        openssl(&["genrsa", "-traditional", "-out", text(&private), "4096"]);
        let certified = ["req", "-x509", "-sha256", "-days", "3650", "-subj", "/CN=bench", "-key", text(&private)];
        openssl(&[&certified[..], &["-out", text(&certificate)]].concat());
        let indented = |path: &Path| {
            let pem = fs::read_to_string(path).expect("openssl wrote it");
            pem.lines().fold(String::new(), |all, line| all + "    " + line + "\n")
        };
        write!(
            manifests,
            "---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: key-{key:02}\n  namespace: {KEY_NAMESPACE}\n  labels: \
             {{sealedsecrets.bitnami.com/sealed-secrets-key: active}}\ntype: kubernetes.io/tls\nstringData:\n  \
             tls.key: |\n{}  tls.crt: |\n{}",
            indented(&private),
            indented(&certificate)
        )
        .expect("a string takes all");
    }
    control_plane.apply(&manifests);
}

/// Seals all objects for the newest key, a thousand documents in one stream.
fn seal(bulla: &Path, folder: &Path) -> Vec<String> {
    say(&format!("sealing {OBJECTS} Secrets"));
    let secrets = (0..OBJECTS).fold(String::new(), |mut all, object| {
        write!(
            all,
            "---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: secret-{object:04}\n  namespace: {NAMESPACE}\nstringData:\n"
        )
        .expect("a string takes all");
        for item in 0..ITEMS {
            writeln!(all, "  item-{item}: value {item} of {object}").expect("a string takes all");
        }
        all
    });
    let (_, certificate) = key_files(folder, KEYS - 1);
    let sealed = Program::new(bulla)
        .args(["seal", "--cert"])
        .arg(&certificate)
        .stdin(secrets)
        .run()
        .expect("bulla runs")
        .success()
        .stdout_text();
    let documents: Vec<String> =
        sealed.split("\n---\n").filter(|document| document.contains("SealedSecret")).map(str::to_owned).collect();
    assert_eq!(documents.len(), OBJECTS, "bulla sealed another number of Secrets");
    documents
}

fn key_files(folder: &Path, key: usize) -> (PathBuf, PathBuf) {
    (folder.join(format!("key-{key:02}.pem")), folder.join(format!("key-{key:02}.crt")))
}

fn openssl(arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).output().expect("openssl runs");
    assert!(output.status.success(), "openssl: {}", String::from_utf8_lossy(&output.stderr));
}

fn text(path: &Path) -> &str {
    path.to_str().expect("the folder's name is text")
}

fn render(outcomes: &[Outcome]) -> String {
    let mut table = format!(
        "SealedSecrets with {ITEMS} items each, {KEYS} keys of 4096 bits in the ring, all sealed for the newest. Time from the start of the process \
         until every Secret exists; CPU and memory of the controller. Restart: the same process started again with nothing \
         changed, watched for {} s.\n\n\
         | controller | SealedSecrets | time | Secrets a second | bulla is faster | CPU | CPU an item | memory | restart: CPU | restart: writes |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
        QUIET.as_secs()
    );
    let ours = outcomes[0].rate();
    for outcome in outcomes {
        #[expect(clippy::cast_precision_loss, reason = "counts of objects are small")]
        let items = (outcome.objects * ITEMS) as f64;
        writeln!(
            table,
            "| {} | {} | {:.1} s | {:.1} | {:.1}× | {:.1} s | {:.1} ms | {:.0} MiB | {:.2} s | {} |",
            outcome.name,
            outcome.objects,
            outcome.until_all.as_secs_f64(),
            outcome.rate(),
            ours / outcome.rate(),
            outcome.processor.as_secs_f64(),
            outcome.processor.as_secs_f64() * 1000.0 / items,
            outcome.mebibytes(),
            outcome.restart_processor.as_secs_f64(),
            outcome.restart_writes,
        )
        .expect("a string takes all");
    }
    table
}
