//! A real control plane: etcd, kube-apiserver and the controllers that Secrets live with, on loopback.
//!
//! `tests/peers/control-plane.sh` starts it; the first test process that needs one calls it, the others find it running. It
//! stays until `make control-plane-down` (or the end of `make test`). Tests share it, each in namespaces of its own.
//!
//! ```no_run
//! use bulla_testkit::control_plane::{ControlPlane, wait_for};
//! let namespace = ControlPlane::shared().namespace("example");
//! namespace.apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {key: value}}");
//! let map = namespace.get("configmap", "a").expect("it was just applied");
//! assert_eq!(map["data"]["key"], "value");
//! ```

use std::collections::hash_map::RandomState;
use std::ffi::OsStr;
use std::hash::{BuildHasher as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::peers;
use crate::process::Program;

/// The control plane of this checkout.
#[derive(Debug)]
pub struct ControlPlane {
    folder: PathBuf,
}

/// A control plane for one test that breaks it. It is stopped, and what was in it forgotten, when this is dropped.
#[derive(Debug)]
pub struct Own {
    control_plane: &'static ControlPlane,
}

/// A namespace of one test. It is deleted, in the background, when this is dropped.
#[derive(Debug)]
pub struct Namespace {
    control_plane: &'static ControlPlane,
    name: String,
}

/// Why a program cannot be run as if it were in a pod.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotAsPod(String);

impl ControlPlane {
    /// The running control plane; starts it if this is the first use.
    ///
    /// # Panics
    /// If it does not start, or the set `controlplane` has not been built; the message says why.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Result<ControlPlane, String>> = OnceLock::new();
        let shared = SHARED.get_or_init(|| {
            let output = script("up").output().map_err(|error| error.to_string())?;
            if !output.status.success() {
                return Err(String::from_utf8_lossy(&output.stderr).into_owned());
            }
            Ok(ControlPlane { folder: PathBuf::from(String::from_utf8_lossy(&output.stdout).trim_end()) })
        });
        match shared {
            Ok(control_plane) => control_plane,
            Err(reason) => panic!("no control plane: {reason}"),
        }
    }

    /// Starts another one, beside that of this checkout, whose API server has the interfaces and does as the oldest version of
    /// Kubernetes that we are for.
    ///
    /// # Panics
    /// If it does not start, or the set `controlplane` has not been built; the message says why.
    pub fn own() -> Own {
        let folder = crate::workspace().join(format!("target/tmp/control-plane-own-{}", std::process::id()));
        let output =
            script("up").env(FOLDER, &folder).env(VERSION, OLDEST_KUBERNETES).output().expect("the script runs");
        assert!(output.status.success(), "no control plane: {}", String::from_utf8_lossy(&output.stderr));
        // Namespaces hold on to their control plane; one for each test that breaks it is little.
        Own { control_plane: Box::leak(Box::new(Self { folder })) }
    }

    /// The kubeconfig of an administrator.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// The address of the API server.
    ///
    /// # Panics
    /// If the control plane was stopped meanwhile.
    pub fn server(&self) -> String {
        let port = std::fs::read_to_string(self.folder.join("port")).expect("the control plane writes its port");
        format!("https://127.0.0.1:{}", port.trim_end())
    }

    /// The PEM certificate of the CA that signed the API server's certificate.
    pub fn ca_certificate(&self) -> PathBuf {
        self.folder.join("certificates/ca.crt")
    }

    /// The API server's audit log: a line of JSON for each request of a service account, with verb and object, without contents.
    pub fn audit_log(&self) -> PathBuf {
        self.folder.join("audit.log")
    }

    /// kubectl as the administrator.
    pub fn kubectl(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Program {
        Program::new(peers::kubectl())
            .arg("--kubeconfig")
            .arg(self.kubeconfig())
            .arg("--cache-dir")
            .arg(self.folder.join("discovery"))
            .args(arguments)
    }

    /// Applies manifests (YAML or JSON) on the server's side, and as the only owner of their fields.
    ///
    /// # Panics
    /// If the API server refuses; with its message.
    #[track_caller]
    pub fn apply(&self, manifests: &str) {
        apply(self.kubectl(APPLY), manifests);
    }

    /// The object, or nothing if there is none of this kind and name. `kind` is written as for kubectl.
    ///
    /// # Panics
    /// If the API server fails otherwise.
    #[track_caller]
    pub fn get(&self, kind: &str, name: &str) -> Option<Value> {
        get(self.kubectl(["get", kind, name]))
    }

    /// Applies definitions of custom resources and waits until their objects can be applied.
    ///
    /// # Panics
    /// If the API server refuses them.
    #[track_caller]
    pub fn define(&self, definitions: &str) {
        self.apply(definitions);
        let wait = ["wait", "--for=condition=Established", "--timeout=60s", "--filename=-"];
        let _established = self.kubectl(wait).stdin(definitions).run().expect("kubectl runs").success();
    }

    /// A new namespace, `HINT-` and a random number.
    ///
    /// # Panics
    /// If the API server refuses it.
    #[track_caller]
    pub fn namespace(&'static self, hint: &str) -> Namespace {
        // The standard library's source of randomness; tests of several processes meet here.
        let name = format!("{hint}-{:016x}", RandomState::new().build_hasher().finish());
        let _created = self.kubectl(["create", "namespace", &name]).run().expect("kubectl runs").success();
        Namespace { control_plane: self, name }
    }

    /// `program` as a pod of this service account sees the cluster: `KUBERNETES_SERVICE_HOST` and `_PORT`, `POD_NAMESPACE`,
    /// and the token, CA and namespace below `/var/run/secrets/kubernetes.io/serviceaccount`, in a mount namespace of its
    /// own. The process is the program's: it may be signalled, and listens on this machine's loopback address.
    ///
    /// # Errors
    /// Where the system does not allow it: it needs root or unprivileged user namespaces.
    pub fn as_pod(
        &self,
        namespace: &str,
        service_account: &str,
        program: &Path,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Result<Program, NotAsPod> {
        static POSSIBLE: OnceLock<Result<(), NotAsPod>> = OnceLock::new();
        let possible = POSSIBLE.get_or_init(|| {
            let output = script("can-as-pod").output().map_err(|error| NotAsPod(error.to_string()))?;
            if output.status.success() {
                Ok(())
            } else {
                Err(NotAsPod(String::from_utf8_lossy(&output.stderr).into_owned()))
            }
        });
        possible.clone()?;
        let script = Program::from(script("as-pod")).env("BULLA_CONTROL_PLANE", &self.folder);
        Ok(script.args([namespace, service_account]).arg(program).args(arguments))
    }
}

impl Own {
    /// The control plane.
    pub fn control_plane(&self) -> &'static ControlPlane {
        self.control_plane
    }

    /// Stops the API server and starts it again, with the same data at the same address.
    ///
    /// # Panics
    /// If it does not start.
    pub fn restart_api_server(&self) {
        let output =
            script("restart-api-server").env(FOLDER, &self.control_plane.folder).output().expect("the script runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // It may be gone; then there is nothing to do.
        let _ = script("down").env(FOLDER, &self.control_plane.folder).output();
    }
}

impl Namespace {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Makes a service account that may ask whose a token is, as a login with such tokens needs it, and gives a token of it.
    ///
    /// # Panics
    /// If the API server refuses.
    #[track_caller]
    pub fn token_reviewer(&self, account: &str) -> String {
        let name = &self.name;
        self.apply(&format!("{{apiVersion: v1, kind: ServiceAccount, metadata: {{name: {account}}}}}"));
        self.control_plane.apply(&format!(
            "{{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {{name: {name}}}, \
             roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: 'system:auth-delegator'}}, \
             subjects: [{{kind: ServiceAccount, name: {account}, namespace: {name}}}]}}"
        ));
        let created = self.kubectl(["create", "token", account]).run().expect("kubectl runs").success();
        created.stdout_text().trim().to_owned()
    }

    /// kubectl in this namespace, as the administrator.
    pub fn kubectl(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Program {
        self.control_plane.kubectl(["--namespace", &self.name]).args(arguments)
    }

    /// As [`ControlPlane::apply`], in this namespace.
    ///
    /// # Panics
    /// If the API server refuses; with its message.
    #[track_caller]
    pub fn apply(&self, manifests: &str) {
        apply(self.kubectl(APPLY), manifests);
    }

    /// As [`ControlPlane::get`], in this namespace.
    ///
    /// # Panics
    /// If the API server fails otherwise.
    #[track_caller]
    pub fn get(&self, kind: &str, name: &str) -> Option<Value> {
        get(self.kubectl(["get", kind, name]))
    }

    /// Deletes an object and does not wait until it is gone.
    ///
    /// # Panics
    /// If the API server refuses.
    #[track_caller]
    pub fn delete(&self, kind: &str, name: &str) {
        let delete = ["delete", "--wait=false", kind, name];
        let _deleted = self.kubectl(delete).run().expect("kubectl runs").success();
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Nobody waits: the deletion takes the API server several seconds.
        let deletion = Command::new(peers::kubectl())
            .arg("--kubeconfig")
            .arg(self.control_plane.kubeconfig())
            .args(["delete", "namespace", "--wait=false", &self.name])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        drop(deletion);
    }
}

/// What `probe` returns, once it returns something.
///
/// # Panics
/// If that takes longer than `limit`; `what` says what was awaited.
#[track_caller]
pub fn wait_for<T>(what: &str, limit: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + limit;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < until, "waited {limit:?} in vain for {what}");
        thread::sleep(Duration::from_millis(25));
    }
}

const APPLY: [&str; 5] = ["apply", "--server-side", "--force-conflicts", "--filename=-", "--field-manager=testkit"];

#[track_caller]
fn apply(kubectl: Program, manifests: &str) {
    let _applied = kubectl.stdin(manifests).run().expect("kubectl runs").success();
}

#[track_caller]
fn get(kubectl: Program) -> Option<Value> {
    let found = kubectl.args(["--output=json", "--ignore-not-found"]).run().expect("kubectl runs").success();
    if found.stdout.is_empty() {
        return None;
    }
    Some(serde_json::from_slice(&found.stdout).expect("kubectl writes JSON"))
}

/// The oldest version of Kubernetes that bulla is for.
pub const OLDEST_KUBERNETES: &str = "1.33";

/// Names the version of Kubernetes to the script.
const VERSION: &str = "BULLA_KUBERNETES_VERSION";

/// Names the folder of a control plane to the script.
const FOLDER: &str = "BULLA_CONTROL_PLANE";

fn script(command: &str) -> Command {
    let mut script = Command::new(crate::workspace().join("tests/peers/control-plane.sh"));
    script.arg(command);
    script
}
