//! External stores: so many ExternalSecrets on a real API server that read a tenth as many keys of a real Vault, beside External Secrets.
//!
//! ```text
//! controller ──▶ relay, which counts ──▶ Vault
//! ```
//!
//! The definitions of the objects are External Secrets' own.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bulla_testkit::control_plane::ControlPlane;
use bulla_testkit::peers::{self, Set};
use bulla_testkit::process::{Program, Running};
use bulla_testkit::server::Server;
use bulla_testkit::vault::Vault;
use bulla_testkit::{free_port, workspace};

use crate::cluster::{Contender, KEY_NAMESPACE, Kind, NAMESPACE, Outcome, QUIET, run};
use crate::say;

const OBJECTS: usize = 1000;
const KEYS: usize = 100;
/// For upstream with its default of one object at a time, which would take minutes for all.
const FEW: usize = 100;
const KIND: Kind = Kind { name: "externalsecrets", version: "apis/external-secrets.io/v1", status: "refreshTime" };

/// Measures, and gives the table.
pub(crate) fn measure(bulla: &Path) -> String {
    let (control_plane, vault) = (ControlPlane::shared(), Vault::shared());
    let reads = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&reads);
    let relay = Server::answering(move |_, request| {
        if request.starts_with("GET /v1/secret/data/") {
            counted.fetch_add(1, Ordering::Relaxed);
        }
        vault.hand_on(request)
    });
    prepare(control_plane, vault, &relay.address(), bulla);
    let manifests: Vec<String> = (0..OBJECTS).map(manifest).collect();
    let upstream = |options: &'static [&'static str]| {
        move || {
            Program::new(peers::folder(Set::ExternalSecrets).join("bin/external-secrets"))
                .arg(format!("--metrics-addr=127.0.0.1:{}", free_port()))
                .arg(format!("--live-addr=127.0.0.1:{}", free_port()))
                .args(options)
                .env("KUBECONFIG", control_plane.kubeconfig())
                .start()
                .expect("external-secrets starts")
        }
    };
    let contenders = [
        Contender { name: "bulla", objects: OBJECTS, start: Box::new(|| start(bulla, control_plane)) },
        Contender {
            name: "external-secrets, `--concurrent 16 --client-qps 1000 --client-burst 1000`",
            objects: OBJECTS,
            start: Box::new(upstream(&["--concurrent=16", "--client-qps=1000", "--client-burst=1000"])),
        },
        Contender { name: "external-secrets, defaults", objects: FEW, start: Box::new(upstream(&[])) },
    ];
    let reads = || reads.load(Ordering::Relaxed);
    let outcomes: Vec<Outcome> =
        contenders.iter().map(|contender| run(control_plane, contender, &KIND, &manifests, &reads)).collect();
    render(&outcomes)
}

fn start(bulla: &Path, control_plane: &ControlPlane) -> Running {
    Program::new(bulla)
        .args(["controller", "--external-secrets", "--namespace", KEY_NAMESPACE])
        .args(["--listen", "none", "--listen-metrics", "none", "--kubeconfig"])
        .arg(control_plane.kubeconfig())
        .start()
        .expect("bulla starts")
}

/// The definitions, the namespaces, what Vault holds, the store, and the sealing key of a controller that ran before.
fn prepare(control_plane: &ControlPlane, vault: &Vault, address: &str, bulla: &Path) {
    say(&format!("writing {KEYS} keys"));
    for key in 0..KEYS {
        let body = format!(r#"{{"data": {{"username": "user-{key}", "password": "password of {key}"}}}}"#);
        vault.write(&format!("secret/data/bench/{key:03}"), &body);
    }
    let policy = "path \"secret/data/bench/*\" { capabilities = [\"read\"] }\n\
                  path \"auth/token/lookup-self\" { capabilities = [\"read\"] }";
    let token = vault.token("bench", policy);
    let read = |path: &Path| fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    control_plane.define(&read(&peers::folder(Set::ExternalSecrets).join("external-secrets-crds.yaml")));
    control_plane.define(&read(&workspace().join("deploy/crds/sealedsecrets.yaml")));
    control_plane.apply(&format!(
        "{{apiVersion: v1, kind: Namespace, metadata: {{name: {KEY_NAMESPACE}}}}}\n---\n\
         {{apiVersion: v1, kind: Namespace, metadata: {{name: {NAMESPACE}}}}}\n---\n\
         {{apiVersion: v1, kind: Secret, metadata: {{name: vault, namespace: {KEY_NAMESPACE}}}, stringData: {{token: \"{token}\"}}}}\n---\n\
         apiVersion: external-secrets.io/v1\nkind: ClusterSecretStore\nmetadata: {{name: vault}}\nspec:\n  provider:\n    \
         vault:\n      server: {address}\n      path: secret\n      version: v2\n      auth:\n        tokenSecretRef: \
         {{namespace: {KEY_NAMESPACE}, name: vault, key: token}}\n"
    ));
    let first = start(bulla, control_plane);
    let (started, label) = (Instant::now(), "sealedsecrets.bitnami.com/sealed-secrets-key=active");
    let arguments = ["get", "secrets", "--namespace", KEY_NAMESPACE, "--output", "name", "--selector", label];
    while control_plane.kubectl(arguments).run().expect("kubectl runs").success().stdout.is_empty() {
        assert!(first.is_running(), "bulla ended: {}", first.stderr());
        assert!(started.elapsed() < Duration::from_mins(2), "bulla makes no key: {}", first.stderr());
        std::thread::sleep(Duration::from_millis(100));
    }
    let _ended = first.terminate(Duration::from_secs(30)).expect("bulla ends");
}

fn manifest(object: usize) -> String {
    let key = object % KEYS;
    format!(
        "apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata:\n  name: secret-{object:04}\n  namespace: \
         {NAMESPACE}\nspec:\n  refreshInterval: 1h\n  secretStoreRef: {{kind: ClusterSecretStore, name: vault}}\n  data:\n  \
         - {{secretKey: username, remoteRef: {{key: bench/{key:03}, property: username}}}}\n  \
         - {{secretKey: password, remoteRef: {{key: bench/{key:03}, property: password}}}}"
    )
}

fn render(outcomes: &[Outcome]) -> String {
    let mut table = format!(
        "{OBJECTS} ExternalSecrets with two items each on {KEYS} keys of Vault (KV 2), refreshed each hour. Time from the start of \
         the process until every Secret exists; reads counted before Vault; CPU and memory of the controller. Restart: the same \
         process started again with nothing changed, watched for {} s.\n\n\
         | controller | ExternalSecrets | time | Secrets a second | bulla is faster | reads | CPU | memory | restart: CPU | restart: reads | restart: writes |\n\
         |---|---|---|---|---|---|---|---|---|---|---|\n",
        QUIET.as_secs()
    );
    let ours = outcomes[0].rate();
    for outcome in outcomes {
        writeln!(
            table,
            "| {} | {} | {:.1} s | {:.1} | {:.1}× | {} | {:.1} s | {:.0} MiB | {:.2} s | {} | {} |",
            outcome.name,
            outcome.objects,
            outcome.until_all.as_secs_f64(),
            outcome.rate(),
            ours / outcome.rate(),
            outcome.reads,
            outcome.processor.as_secs_f64(),
            outcome.mebibytes(),
            outcome.restart_processor.as_secs_f64(),
            outcome.restart_reads,
            outcome.restart_writes,
        )
        .expect("a string takes all");
    }
    writeln!(table, "\nMeasured on {}.", crate::table::machine()).expect("a string takes all");
    table
}
