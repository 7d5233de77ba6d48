//! Controllers beside each other on a real API server: so many objects until every Secret is there, and once more with nothing changed.
//!
//! ```text
//! objects ──▶ start ──▶ all Secrets ──▶ all statuses ──▶ stop ──▶ start again, watched for a while ──▶ stop ──▶ clear
//!             └── time ──────────────┘                            └── what is read and written now ──┘
//! ```
//!
//! Each controller runs as a process of this machine, with the same objects, one after the other. Time counts from the
//! start of the process. The API server and etcd share the processors with them.

use std::time::{Duration, Instant};

use bulla_testkit::control_plane::ControlPlane;
use bulla_testkit::process::{Program, Running};

use crate::say;

/// Where the keys and the service account of the controllers are.
pub(crate) const KEY_NAMESPACE: &str = "sealing";
/// Where the objects are.
pub(crate) const NAMESPACE: &str = "work";
/// How long a restarted controller is watched.
pub(crate) const QUIET: Duration = Duration::from_secs(15);
/// How long one controller may take.
const PATIENCE: Duration = Duration::from_mins(15);
/// How many programs release objects at once.
const RELEASERS: usize = 16;

/// The kind of object that becomes a Secret.
pub(crate) struct Kind {
    /// Its name for kubectl.
    pub(crate) name: &'static str,
    /// Group and version, as the path of the API has them.
    pub(crate) version: &'static str,
    /// What its status has when the controller is done with it.
    pub(crate) status: &'static str,
}

/// One controller with its options.
pub(crate) struct Contender<'a> {
    pub(crate) name: &'static str,
    pub(crate) objects: usize,
    pub(crate) start: Box<dyn Fn() -> Running + 'a>,
}

/// What one controller did.
pub(crate) struct Outcome {
    pub(crate) name: &'static str,
    pub(crate) objects: usize,
    pub(crate) until_all: Duration,
    pub(crate) processor: Duration,
    pub(crate) memory: u64,
    /// What it read elsewhere.
    pub(crate) reads: usize,
    pub(crate) restart_processor: Duration,
    pub(crate) restart_writes: usize,
    pub(crate) restart_reads: usize,
}

impl Outcome {
    /// Secrets a second.
    pub(crate) fn rate(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "counts of objects are small")]
        let objects = self.objects as f64;
        objects / self.until_all.as_secs_f64()
    }

    /// MiB at most.
    pub(crate) fn mebibytes(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "bytes of memory are far below 2^52")]
        let memory = self.memory as f64;
        memory / f64::from(1 << 20)
    }
}

/// Runs one controller over the first of `manifests`. `reads` tells how often something was read from it elsewhere so far.
pub(crate) fn run(
    control_plane: &ControlPlane,
    contender: &Contender<'_>,
    kind: &Kind,
    manifests: &[String],
    reads: &dyn Fn() -> usize,
) -> Outcome {
    say(&format!("{}: {} objects", contender.name, contender.objects));
    let manifests = manifests[..contender.objects].join("\n---\n");
    let _applied =
        kubectl(control_plane, &["create", "-f", "-"]).stdin(manifests).run().expect("kubectl runs").success();
    let watch = [
        "get",
        "secrets",
        "--watch",
        "--output-watch-events",
        "--output",
        "jsonpath={.type} {.object.metadata.name}{\"\\n\"}",
    ];
    let watch = kubectl(control_plane, &watch).start().expect("kubectl runs");

    let reads_before = reads();
    let started = Instant::now();
    let controller = (contender.start)();
    loop {
        let written = watch.stdout();
        let made = written.lines().filter(|line| line.starts_with("ADDED ")).count();
        if made >= contender.objects {
            break;
        }
        assert!(controller.is_running(), "{}: it ended: {}", contender.name, controller.stderr());
        assert!(started.elapsed() < PATIENCE, "{}: {made} Secrets in 15 minutes", contender.name);
        std::thread::sleep(Duration::from_millis(10));
    }
    let until_all = started.elapsed();
    drop(watch);
    // The status follows the Secret.
    while reported(control_plane, kind) < contender.objects {
        assert!(started.elapsed() < PATIENCE, "{}: not every status is written", contender.name);
        std::thread::sleep(Duration::from_millis(200));
    }
    let finished = controller.terminate(Duration::from_secs(30)).expect("the controller ends");
    let reads_after = reads();

    say(&format!("{}: restarted with nothing changed", contender.name));
    let before = versions(control_plane, kind);
    let restarted = (contender.start)();
    std::thread::sleep(QUIET);
    assert!(restarted.is_running(), "{}: it ended: {}", contender.name, restarted.stderr());
    let writes = versions(control_plane, kind).lines().filter(|line| !before.contains(line)).count();
    let idle = restarted.terminate(Duration::from_secs(30)).expect("the controller ends");
    let restart_reads = reads() - reads_after;

    say(&format!(
        "{}: {:.1} s, {:.1} s of CPU, {} MiB, {} reads; restarted: {:.2} s of CPU, {restart_reads} reads, {writes} writes",
        contender.name,
        until_all.as_secs_f64(),
        finished.processor.as_secs_f64(),
        finished.peak_memory >> 20,
        reads_after - reads_before,
        idle.processor.as_secs_f64(),
    ));
    clear(control_plane, kind);
    Outcome {
        name: contender.name,
        objects: contender.objects,
        until_all,
        processor: finished.processor,
        memory: finished.peak_memory,
        reads: reads_after - reads_before,
        restart_processor: idle.processor,
        restart_writes: writes,
        restart_reads,
    }
}

/// kubectl in the namespace of the objects.
pub(crate) fn kubectl(control_plane: &ControlPlane, arguments: &[&str]) -> Program {
    control_plane.kubectl(["--namespace", NAMESPACE]).args(arguments).time_limit(Duration::from_mins(5))
}

/// How many objects have a status.
fn reported(control_plane: &ControlPlane, kind: &Kind) -> usize {
    let format = format!("jsonpath={{range .items[*]}}{{.status.{}}}{{\"\\n\"}}{{end}}", kind.status);
    let listed = kubectl(control_plane, &["get", kind.name, "--output", &format]).run();
    listed.expect("kubectl runs").success().stdout_text().lines().filter(|line| !line.is_empty()).count()
}

/// Deletes whole collections: kubectl would delete one object after the other.
fn clear(control_plane: &ControlPlane, kind: &Kind) {
    for (version, name) in [(kind.version, kind.name), ("api/v1", "secrets"), ("api/v1", "events")] {
        let path = format!("/{version}/namespaces/{NAMESPACE}/{name}");
        let _deleted = kubectl(control_plane, &["delete", "--raw", &path]).run().expect("kubectl runs").success();
    }
    // What a controller wants to clean up itself stays until it says so, and this one does not run any more.
    let left = kubectl(control_plane, &["get", kind.name, "--output", "name"]).run();
    let left = left.expect("kubectl runs").success().stdout_text();
    if !left.is_empty() {
        let release = ["patch", "--type", "merge", "--patch", r#"{"metadata": {"finalizers": null}}"#];
        // kubectl keeps to five requests a second: several of them.
        let names: Vec<&str> = left.lines().collect();
        let running: Vec<Running> = names
            .chunks(names.len().div_ceil(RELEASERS))
            .map(|names| kubectl(control_plane, &release).args(names).start().expect("kubectl runs"))
            .collect();
        for running in running {
            let _released = running.finish(PATIENCE).expect("kubectl ends").success();
        }
    }
}

/// One line for each object of the namespace, with its version: a line that was not there before is a write.
fn versions(control_plane: &ControlPlane, kind: &Kind) -> String {
    let format = "jsonpath={range .items[*]}{.kind}/{.metadata.name}@{.metadata.resourceVersion}{\"\\n\"}{end}";
    let kinds = format!("secrets,{},events", kind.name);
    let arguments = ["get", &kinds, "--output", format];
    kubectl(control_plane, &arguments).run().expect("kubectl runs").success().stdout_text()
}
