//! Every block of commands in README.md and below docs, run as a reader would: the blocks of a page one after the other in one bash, with
//! what the page shows and makes, in a folder and a home of its own, on a real control plane, with the real programs beside bulla.
//!
//! What a page finds is said by [`environment`], and nothing of this machine. `~/.kube/config` leads to the control plane, where there is a
//! namespace `shop`; `$CHECKOUT` is this repository. The port 8080 of a page is one that is free.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use bulla_testkit::clouds::Clouds;
use bulla_testkit::control_plane::ControlPlane;
use bulla_testkit::moto::Moto;
use bulla_testkit::process::Program;
use bulla_testkit::vault::{ROOT_TOKEN, Vault};
use bulla_testkit::{free_port, needs_peers, peers, workspace};

use super::page::{Step, is_shown, steps};
use crate::fixture::{Keys, bulla};

/// The pages: README.md and everything below docs.
fn pages() -> Vec<PathBuf> {
    let mut folders = vec![workspace().join("docs")];
    let mut pages = vec![workspace().join("README.md")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    pages.sort();
    pages
}

fn name(page: &Path) -> String {
    page.strip_prefix(workspace()).unwrap().display().to_string()
}

#[test]
fn every_block_of_commands_does_what_its_page_says() {
    needs_peers!();
    let only = std::env::var("ONLY_PAGE").ok();
    let mut faults = String::new();
    let (mut run, mut left) = (0, 0);
    for page in pages() {
        let name = name(&page);
        if only.as_ref().is_some_and(|only| !name.contains(only)) {
            continue;
        }
        let text = fs::read_to_string(&page).unwrap();
        let steps = match steps(&text) {
            Ok(steps) => steps,
            Err(fault) => {
                let _ = writeln!(faults, "{name}: {fault}");
                continue;
            }
        };
        run += steps.iter().filter(|step| matches!(step, Step::Commands { .. } | Step::Transcript { .. })).count();
        left += steps.iter().filter(|step| matches!(step, Step::Left { .. })).count();
        if let Err(fault) = follow(&text, &steps) {
            let _ = writeln!(faults, "{name}: {fault}");
        }
    }
    assert!(faults.is_empty(), "\n{faults}");
    // Should the reading of pages break, it must not look like success.
    assert!(only.is_some() || (run >= FEWEST && left <= MOST_LEFT), "{run} blocks and commands run, {left} left out");
}

/// Blocks and commands that there are at least, and blocks that may be left out at most.
const FEWEST: usize = 75;
const MOST_LEFT: usize = 8;

/// Runs the steps of one page.
fn follow(text: &str, steps: &[Step]) -> Result<(), String> {
    if !steps.iter().any(|step| matches!(step, Step::Commands { .. } | Step::Transcript { .. })) {
        return Ok(());
    }
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    for folder in ["work", "home/.kube", "tmp", "steps"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    let script = script(steps, root);
    let cluster = ["kubectl", "controller", "bulla cert"].iter().any(|word| script.contains(word));
    fs::write(root.join("script"), script).unwrap();
    let mut program = Program::new("setsid")
        .args(["--wait", "bash", "--noprofile", "--norc"])
        .arg(root.join("script"))
        .current_dir(root.join("work"))
        .env_clear()
        .time_limit(Duration::from_mins(3));
    for (name, value) in environment(root) {
        program = program.env(name, value);
    }
    let services = services(text);
    for (name, value) in &services {
        program = program.env(name, value);
    }
    let shop = cluster.then(|| Shop::open(text.contains("-k deploy/kustomize")));
    if cluster {
        fs::copy(ControlPlane::shared().kubeconfig(), root.join("home/.kube/config")).unwrap();
    }
    let finished = program.run().map_err(|error| error.to_string())?;
    drop(shop);
    let told = finished.stdout_text() + &finished.stderr_text();
    let reached: usize =
        fs::read_to_string(root.join("steps/reached")).ok().and_then(|number| number.trim().parse().ok()).unwrap_or(0);
    if finished.code() != Some(0) {
        return Err(format!("line {reached}: {}: {told}", finished.status));
    }
    let mut faults = String::new();
    for step in steps {
        let Step::Transcript { line, command, output, code } = step else { continue };
        let found = fs::read_to_string(root.join(format!("steps/{line}.output"))).unwrap();
        let ended = fs::read_to_string(root.join(format!("steps/{line}.code"))).unwrap();
        if ended.trim() != code.to_string() || !is_shown(output, &found) {
            let _ = writeln!(faults, "line {line}: $ {command}exit code {}, it printed:\n{found}", ended.trim());
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

/// One script of all steps. It notes the line that it has reached, and ends what it started.
fn script(steps: &[Step], root: &Path) -> String {
    let mut script = String::from("set -eo pipefail\ntrap 'jobs -p | xargs -r kill; wait' EXIT\n");
    let folder = root.join("steps").display().to_string();
    let port = free_port().to_string();
    for step in steps {
        match step {
            Step::Commands { line, text } => {
                let _ = writeln!(script, "echo {line} >{folder}/reached\n{}", text.replace("8080", &port));
            }
            Step::Transcript { line, command, .. } => {
                let command = command.replace("8080", &port);
                let _ = writeln!(
                    script,
                    "echo {line} >{folder}/reached\nset +e\n{{\n{command}}} >{folder}/{line}.output 2>&1\necho $? >{folder}/{line}.code\nset -e"
                );
            }
            Step::File { line, name, content } => {
                fs::write(root.join(format!("steps/{line}.file")), content).unwrap();
                let _ = writeln!(script, "mkdir -p \"$(dirname '{name}')\"\ncp {folder}/{line}.file '{name}'");
            }
            Step::Left { .. } => {}
        }
    }
    script
}

/// What a reader has: the programs, a home, an editor that needs nobody, a repository.
fn environment(root: &Path) -> Vec<(&'static str, String)> {
    let programs = [bulla().to_path_buf(), peers::sops(), peers::age(), peers::kubeseal(), peers::kubectl()];
    let mut path: Vec<String> =
        programs.iter().map(|program| program.parent().unwrap().display().to_string()).collect();
    path.extend(["/usr/local/bin", "/usr/bin", "/bin"].map(str::to_owned));
    let at = |folder: &str| root.join(folder).display().to_string();
    vec![
        ("PATH", path.join(":")),
        ("HOME", at("home")),
        ("TMPDIR", at("tmp")),
        ("LANG", "C.UTF-8".to_owned()),
        ("CHECKOUT", workspace().display().to_string()),
        ("KEYS", Keys::shared().directory().display().to_string()),
        // So that no two processes want the same port.
        ("SEALED_SECRETS_LISTEN_METRICS_ADDR", "none".to_owned()),
        ("EDITOR", "sed -i s/hop/hops/".to_owned()),
        ("GIT_PAGER", "cat".to_owned()),
        ("GIT_CONFIG_GLOBAL", "/dev/null".to_owned()),
        ("GIT_CONFIG_NOSYSTEM", "1".to_owned()),
        ("GIT_AUTHOR_NAME", "a".to_owned()),
        ("GIT_AUTHOR_EMAIL", "a@example.org".to_owned()),
        ("GIT_COMMITTER_NAME", "a".to_owned()),
        ("GIT_COMMITTER_EMAIL", "a@example.org".to_owned()),
    ]
}

/// The services that a page speaks of: AWS with the key `alias/shop` in eu-west-1, Vault with the transit key `shop`, Google Cloud,
/// Azure and Huawei Cloud with any key.
fn services(text: &str) -> Vec<(&'static str, String)> {
    static KEY: LazyLock<()> = LazyLock::new(|| {
        let moto = Moto::shared();
        let _ = moto.alias(&moto.key("eu-west-1"), "shop");
    });
    static TRANSIT: LazyLock<()> = LazyLock::new(|| {
        let vault = Vault::shared();
        vault.write("sys/mounts/transit", r#"{"type": "transit"}"#);
        vault.write("transit/keys/shop", "{}");
    });
    let mut environment = Vec::new();
    if text.contains("--kms") {
        LazyLock::force(&KEY);
        environment.extend([
            ("AWS_ENDPOINT_URL", Moto::shared().address().to_owned()),
            ("AWS_ACCESS_KEY_ID", "AKIATEST".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "swordfish".to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ]);
    }
    if text.contains("--hc-vault-transit \"$VAULT_ADDR") {
        LazyLock::force(&TRANSIT);
        let address = Vault::shared().address().to_owned();
        environment.extend([("VAULT_ADDR", address), ("VAULT_TOKEN", ROOT_TOKEN.to_owned())]);
    }
    if text.contains("--gcp-kms") {
        let given = Clouds::shared().google("shop@example.iam.gserviceaccount.com", &["encrypt", "decrypt"]);
        environment.extend([
            ("SOPS_GCP_KMS_ENDPOINT", Clouds::shared().address().to_owned()),
            ("GOOGLE_OAUTH_ACCESS_TOKEN", given["token"].as_str().unwrap_or_default().to_owned()),
        ]);
    }
    if text.contains("--azure-kv") {
        let who = serde_json::json!({"client_id": "shop", "secret": "s3cret", "may": ["encrypt", "decrypt", "get"]});
        let given = Clouds::shared().let_in("azure", &who);
        environment.extend([
            ("HTTPS_PROXY", Clouds::shared().proxy().to_owned()),
            ("SSL_CERT_FILE", Clouds::shared().authority_path().to_owned()),
            ("AZURE_TENANT_ID", given["tenant"].as_str().unwrap_or_default().to_owned()),
            ("AZURE_CLIENT_ID", "shop".to_owned()),
            ("AZURE_CLIENT_SECRET", "s3cret".to_owned()),
        ]);
    }
    if text.contains("--hckms") {
        let who = serde_json::json!({"access_key": "SHOP", "secret_key": "s3cret", "may": ["encrypt", "decrypt"]});
        Clouds::shared().let_in("huawei", &who);
        environment.extend([
            ("HUAWEICLOUD_SDK_REGION_KMS_EU_WEST_101", Clouds::shared().address().to_owned()),
            ("HUAWEICLOUD_SDK_AK", "SHOP".to_owned()),
            ("HUAWEICLOUD_SDK_SK", "s3cret".to_owned()),
            ("HUAWEICLOUD_SDK_PROJECT_ID", "project-of-tests".to_owned()),
        ]);
    }
    environment
}

/// The namespace `shop`, and no sealing keys in `kube-system`, before and after a page.
struct Shop {
    /// Whether the page installs the controller.
    installs: bool,
}

impl Shop {
    fn open(installs: bool) -> Self {
        let shop = Self { installs };
        shop.clear();
        kubectl(&["create", "namespace", "shop"]);
        shop
    }

    fn clear(&self) {
        let keys = "--selector=sealedsecrets.bitnami.com/sealed-secrets-key";
        kubectl(&["delete", "secrets", "--namespace=kube-system", keys]);
        kubectl(&["delete", "namespace", "shop", "--ignore-not-found"]);
        if self.installs {
            // Not the definitions: others may be using them.
            for folder in ["base", "namespaced"] {
                let folder = workspace().join("deploy/kustomize").join(folder).display().to_string();
                kubectl(&["delete", "--namespace=kube-system", "--ignore-not-found", "-k", &folder]);
            }
        }
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.clear();
        }
    }
}

fn kubectl(arguments: &[&str]) {
    let _done = ControlPlane::shared().kubectl(arguments).run().unwrap().success();
}
