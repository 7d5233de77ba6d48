//! The hooks and the action, by running what they run: real `git commit`, the real pre-commit with `.pre-commit-hooks.yaml`, the steps of `action.yml` under bash with nothing but what GitHub gives them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bulla_doc::{Document, Format, Kind, Node};
use bulla_testkit::process::{Finished, Program};
use bulla_testkit::{needs_peers, peers, workspace};

use crate::fixture::{Keys, Place, bulla};

const SECRET: &str =
    "apiVersion: v1\nkind: Secret\nmetadata: {name: db, namespace: shop}\nstringData:\n    password: hunter2\n";
const FINDING: &str = "secrets/a.yaml:5:15: KS001 high: Secret `db`: the value of `password` is in plain text";

/// A repository with the hook, in which Alice opens what is below `secrets`.
fn repository(fixes: bool) -> Place {
    let place = Place::new();
    place.does("git init -q . && git commit -qm first --allow-empty");
    let hook = workspace().join("deploy/hooks/pre-commit").display().to_string();
    place.does(&format!("cp {hook} \"$(git rev-parse --git-path hooks)\""));
    if fixes {
        place.does("git config bulla.fix true");
    }
    let alice = &Keys::shared().alice;
    let rule = format!(
        "creation_rules:\n  - path_regex: ^secrets/\n    encrypted_regex: ^(data|stringData)$\n    age: {alice}\n"
    );
    place.write(".sops.yaml", rule);
    place
}

fn commit(place: &Place, arguments: &str) -> Finished {
    place.run(&format!("git commit -qm more {arguments}"))
}

#[test]
fn the_hook_refuses_a_commit_with_a_plain_secret() {
    let place = repository(false);
    place.write("secrets/a.yaml", SECRET);
    place.write("b.yaml", "kind: ConfigMap\n");
    place.does("git add .");
    let finished = commit(&place, "");
    assert_eq!(finished.code(), Some(1));
    // Git shows all that a hook writes as its own complaint.
    let told = finished.stderr_text() + &finished.stdout_text();
    assert!(told.contains(FINDING) && !told.contains("hunter2"), "{told}");
    assert_eq!(place.does("git log --format=%s"), "first\n");
    place.does("bulla encrypt --in-place secrets/a.yaml && git add .");
    assert_eq!(commit(&place, "").code(), Some(0));
    // From below, with a path, with everything; what was committed before does not count.
    place.does(
        "git commit -qm past --no-verify --allow-empty; mkdir -p secrets/below; cp secrets/a.yaml secrets/below/b.yaml",
    );
    place.write("secrets/c.yaml", SECRET);
    place.does("git add secrets/c.yaml");
    for line in
        ["cd secrets && git commit -qm x", "git commit -qm x secrets/c.yaml", "cd secrets/below && git commit -qam x"]
    {
        assert_eq!(place.run(line).code(), Some(1), "{line}");
    }
    assert_eq!(place.run("git reset -q && git add secrets/below && git commit -qm y").code(), Some(0));
}

#[test]
fn the_hook_that_fixes_commits_what_is_encrypted() {
    let place = repository(true);
    place.write("secrets/a.yaml", SECRET);
    place.does("git add .");
    assert_eq!(commit(&place, "").code(), Some(0));
    assert_eq!(place.does("git status --porcelain"), "");
    assert_eq!(place.does("git show HEAD:secrets/a.yaml | bulla decrypt -"), SECRET);

    // With `-a`, too: the index of such a commit becomes the one that stays.
    place.write("secrets/a.yaml", SECRET);
    assert_eq!(commit(&place, "-a").code(), Some(0));
    assert_eq!(place.does("git status --porcelain; git show HEAD:secrets/a.yaml | bulla decrypt -"), SECRET);

    // The index of a commit of named files does not stay, so nothing is fixed, and nothing is committed.
    place.write("secrets/a.yaml", SECRET);
    let finished = commit(&place, "secrets/a.yaml");
    assert_eq!(finished.code(), Some(1));
    assert!(
        finished.stderr_text().contains("`git commit FILE` commits what is not staged"),
        "{}",
        finished.stderr_text()
    );
    assert_eq!(place.read("secrets/a.yaml"), SECRET);

    // What is not staged stays out of it, and stays.
    place.does("git add .");
    place.write("secrets/a.yaml", format!("{SECRET}    more: x\n"));
    assert_eq!(commit(&place, "").code(), Some(1));
    assert!(place.read("secrets/a.yaml").ends_with("more: x\n"));
}

/// The entry of a hook, and whether it takes the names of files.
fn hooks() -> BTreeMap<String, String> {
    let text = fs::read_to_string(workspace().join(".pre-commit-hooks.yaml")).unwrap();
    // A list at the top: read as a value.
    let document = Document::parse(format!("hooks:\n{text}").as_bytes(), Format::Yaml).unwrap();
    let list = document.branches().next().unwrap().get("hooks").unwrap();
    let field = |hook: Node<'_>, name: &str| hook.get(name).and_then(Node::as_str).unwrap().to_owned();
    let hooks = list.children().filter(|hook| hook.kind() == Kind::Mapping).map(|hook| {
        assert_eq!(field(hook, "language"), "system");
        assert!(hook.get("pass_filenames").is_none(), "names are passed unless it is said");
        (field(hook, "id"), field(hook, "entry"))
    });
    hooks.collect()
}

#[test]
fn hooks_of_pre_commit_run_over_the_files_that_it_names() {
    let hooks = hooks();
    assert_eq!(hooks.keys().collect::<Vec<_>>(), ["bulla-check", "bulla-check-fix"]);
    let place = repository(false);
    place.write("secrets/a.yaml", SECRET);
    place.write("b c.yaml", "kind: ConfigMap\n");
    // pre-commit appends names to the entry, which it splits as a shell does; and it fails a hook that changes a file.
    let run = |id: &str| place.run(&format!("{} secrets/a.yaml 'b c.yaml' .sops.yaml", hooks[id]));
    let finished = run("bulla-check");
    assert_eq!(finished.code(), Some(1));
    assert!(finished.stdout_text().contains(FINDING), "{}", finished.stdout_text());
    assert_eq!(place.read("secrets/a.yaml"), SECRET);
    assert_eq!(run("bulla-check-fix").code(), Some(0));
    assert_eq!(place.does("bulla decrypt secrets/a.yaml"), SECRET);
    assert_eq!(run("bulla-check").code(), Some(0));
}

/// A repository that takes the hook `id` from a clone of a repository with our file, as pre-commit does, installed.
fn with_pre_commit(id: &str) -> Place {
    let place = repository(false);
    let definitions = workspace().join(".pre-commit-hooks.yaml");
    place.does(&format!(
        "rm .git/hooks/pre-commit; git init -q ../hooks && cp {} ../hooks && cd ../hooks && git add . && git commit -qm a && git tag v1",
        definitions.display()
    ));
    let source = place.root().join("hooks");
    place.write(
        ".pre-commit-config.yaml",
        format!("repos:\n- repo: {}\n  rev: v1\n  hooks:\n  - id: {id}\n", source.display()),
    );
    let python = peers::pre_commit_python().display().to_string();
    place.does(&format!(
        "{python} -m pre_commit install >&2 && {python} -m pre_commit validate-manifest ../hooks/.pre-commit-hooks.yaml"
    ));
    place.does("git add .sops.yaml .pre-commit-config.yaml && git commit -qm configuration 2>&1");
    place
}

#[test]
fn pre_commit_refuses_a_commit_with_a_plain_secret() {
    needs_peers!();
    let place = with_pre_commit("bulla-check");
    place.write("secrets/a.yaml", SECRET);
    place.write("b c.yaml", "kind: ConfigMap\n");
    place.does("git add .");
    // What is not staged is put away while hooks run, and comes back.
    place.write("b c.yaml", "kind: Secret\nstringData: {a: hunter3}\n");
    let finished = commit(&place, "");
    assert_eq!(finished.code(), Some(1));
    let told = finished.stderr_text() + &finished.stdout_text();
    assert!(told.contains("no plaintext secrets") && told.contains(FINDING), "{told}");
    assert!(!told.contains("hunter") && !told.contains("b c.yaml:"), "{told}");
    place.does("bulla encrypt --in-place secrets/a.yaml && git add secrets");
    assert_eq!(commit(&place, "").code(), Some(0));
    assert!(place.read("b c.yaml").contains("hunter3"));
}

#[test]
fn pre_commit_has_what_is_plain_encrypted_and_asks_to_stage_it() {
    needs_peers!();
    let place = with_pre_commit("bulla-check-fix");
    place.write("secrets/a.yaml", SECRET);
    place.does("git add .");
    let finished = commit(&place, "");
    assert_eq!(finished.code(), Some(1));
    let told = finished.stderr_text() + &finished.stdout_text();
    assert!(told.contains("files were modified by this hook") && told.contains("secrets/a.yaml: encrypted"), "{told}");
    assert_eq!(place.does("bulla decrypt secrets/a.yaml"), SECRET);
    place.does("git add .");
    assert_eq!(commit(&place, "").code(), Some(0));
    assert_eq!(place.does("git show HEAD:secrets/a.yaml | bulla decrypt -"), SECRET);
}

// The action

/// What a run of the action gave.
struct Action {
    finished: Vec<Finished>,
    outputs: BTreeMap<String, String>,
    summary: String,
}

impl Action {
    fn code(&self) -> Option<i32> {
        self.finished.last().and_then(Finished::code)
    }

    fn log(&self) -> String {
        self.finished.iter().map(Finished::stdout_text).collect()
    }

    fn errors(&self) -> String {
        self.finished.iter().map(Finished::stderr_text).collect()
    }
}

/// Runs the steps of `action.yml` as a runner does: expressions filled in, outputs taken from the file, ended by the first failure.
fn action(place: &Place, inputs: &[(&str, &str)], environment: &[(&str, &str)]) -> Action {
    let text = fs::read(workspace().join("action.yml")).unwrap();
    let document = Document::parse(&text, Format::Yaml).unwrap();
    let top = document.branches().next().unwrap();
    let at = |node: Node<'_>, key: &str| node.get(key).and_then(Node::as_str).unwrap_or_default().to_owned();
    let mut values: BTreeMap<String, String> = BTreeMap::new();
    for input in top.get("inputs").unwrap().children().filter(|input| input.key().is_some()) {
        let given = inputs.iter().find(|(name, _)| Some(*name) == input.key());
        let value = given.map_or_else(|| at(input, "default"), |(_, value)| (*value).to_owned());
        values.insert(format!("inputs.{}", input.key().unwrap()), value);
    }
    for (name, _) in inputs {
        assert!(values.contains_key(&format!("inputs.{name}")), "no input {name}");
    }
    assert_eq!(at(top.get("runs").unwrap(), "using"), "composite");
    let mut run = Action { finished: Vec::new(), outputs: BTreeMap::new(), summary: String::new() };
    let summary = place.root().join("tmp/summary");
    fs::write(&summary, "").unwrap();
    for step in top.get("runs").unwrap().get("steps").unwrap().children().filter(|step| step.kind() == Kind::Mapping) {
        assert_eq!(at(step, "shell"), "bash");
        let outputs = place.root().join("tmp/outputs");
        fs::write(&outputs, "").unwrap();
        // `bash -e -o pipefail` on a file is what a step with `shell: bash` is.
        let script = place.root().join("tmp/step.sh");
        assert!(!at(step, "run").contains("${{"), "an input in a script is code");
        fs::write(&script, at(step, "run")).unwrap();
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", place.root().join("bin").display());
        let mut program = Program::new("bash")
            .args(["--noprofile", "--norc", "-eo", "pipefail"])
            .arg(&script)
            .current_dir(place.path())
            .env_clear()
            .env("PATH", path)
            .env("HOME", place.root().join("home"))
            .env("GITHUB_ACTIONS", "true")
            .env("GITHUB_ACTION_PATH", workspace())
            .env("GITHUB_WORKSPACE", place.path())
            .env("GITHUB_OUTPUT", &outputs)
            .env("GITHUB_STEP_SUMMARY", &summary)
            .env("RUNNER_TEMP", place.root().join("tmp"));
        for (name, value) in environment {
            program = program.env(name, value);
        }
        for variable in step.get("env").unwrap().children().filter(|variable| variable.key().is_some()) {
            let expression = variable.as_str().unwrap();
            let name = expression.strip_prefix("${{ ").and_then(|text| text.strip_suffix(" }}")).unwrap();
            let value = values.get(name).unwrap_or_else(|| panic!("nothing gives {name}"));
            program = program.env(variable.key().unwrap(), value);
        }
        let finished = program.run().unwrap();
        let ended = finished.code() != Some(0);
        run.finished.push(finished);
        for line in fs::read_to_string(&outputs).unwrap().lines() {
            let (name, value) = line.split_once('=').unwrap();
            values.insert(format!("steps.{}.outputs.{name}", at(step, "id")), value.to_owned());
        }
        if ended {
            break;
        }
    }
    for output in top.get("outputs").unwrap().children().filter(|output| output.key().is_some()) {
        let expression = at(output, "value");
        let name = expression.strip_prefix("${{ ").and_then(|text| text.strip_suffix(" }}")).unwrap();
        run.outputs.insert(output.key().unwrap().to_owned(), values.get(name).cloned().unwrap_or_default());
    }
    run.summary = fs::read_to_string(&summary).unwrap();
    run
}

fn program() -> String {
    bulla().display().to_string()
}

#[test]
fn the_action_annotates_and_writes_sarif_and_fails() {
    let place = repository(false);
    place.write("secrets/a.yaml", SECRET);
    place.write("values.yaml", "password: hunter2\n");
    place.write("it's `odd`\n::error::x.yaml", SECRET);
    let run =
        action(&place, &[("bulla", &program()), ("sarif", "out.sarif"), ("paths", "secrets\n\nvalues.yaml\n")], &[]);
    assert_eq!(run.code(), Some(1), "{}{}", run.log(), run.errors());
    let expected = "::error file=secrets/a.yaml,line=5,endLine=5,col=15,endColumn=22,title=KS001 Secret with a plain value::Secret `db`: the value of \
                    `password` is in plain text%0Aencrypt the file with `bulla encrypt`, or seal it with `bulla seal`\n";
    assert!(run.log().starts_with(expected), "{}", run.log());
    assert_eq!(run.log().lines().count(), 2);
    assert_eq!((run.outputs["findings"].as_str(), run.outputs["sarif"].as_str()), ("2", "out.sarif"));
    let sarif: serde_json::Value = serde_json::from_str(&place.read("out.sarif")).unwrap();
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    let rules: Vec<&str> = results.iter().map(|result| result["ruleId"].as_str().unwrap()).collect();
    assert_eq!(rules, ["KS001", "KS006"]);
    assert!(
        run.summary.starts_with("### bulla check: 2 findings\n\n    secrets/a.yaml:5:15: KS001"),
        "{}",
        run.summary
    );

    // A name cannot write commands of its own, in no form.
    let run = action(&place, &[("bulla", &program()), ("without", "KS006"), ("format", "text")], &[]);
    assert_eq!((run.code(), run.outputs["findings"].as_str()), (Some(1), "2"));
    let all = run.log() + &run.errors() + &run.summary;
    assert!(!all.lines().any(|line| line.starts_with("::")) && !all.contains("KS006"), "{all}");
    let run = action(&place, &[("bulla", &program())], &[]);
    assert_eq!(run.log().lines().filter(|line| line.starts_with("::")).count(), 3);
    assert!(run.log().contains("file=it's `odd`%0A%3A%3Aerror%3A%3Ax.yaml,"), "{}", run.log());
}

#[test]
fn the_action_passes_where_nothing_is_found_and_says_what_is_wrong() {
    let place = repository(false);
    let run = action(&place, &[("bulla", &program())], &[]);
    assert_eq!((run.code(), run.outputs["findings"].as_str(), run.summary.as_str()), (Some(0), "0", ""));
    place.write("broken.yaml", "kind: Secret\na: [\n");
    assert_eq!(action(&place, &[("bulla", &program())], &[]).code(), Some(0));
    let strict = action(&place, &[("bulla", &program()), ("strict", "true")], &[]);
    assert_eq!(strict.code(), Some(1));
    assert!(strict.log().starts_with("::warning file=broken.yaml,line="), "{}", strict.log());
    for (inputs, message) in [
        (vec![("bulla", "nowhere")], "::error title=bulla::the program of the input `bulla`"),
        (vec![("url", "http://example.org/bulla")], "the input `url` must begin with https://"),
        (vec![("url", "https://example.org/bulla")], "a download needs the input `sha256`"),
        (vec![("bulla", "BULLA"), ("version", "v99.0.0")], "and the input `version` asks for 99.0.0"),
        (vec![], "there is no cargo to build the program with"),
    ] {
        let own = program();
        let inputs: Vec<_> =
            inputs.into_iter().map(|(name, value)| (name, if value == "BULLA" { &*own } else { value })).collect();
        let run = action(&place, &inputs, &[]);
        assert_eq!(run.code(), Some(2));
        assert!(run.log().contains(message), "{}", run.log());
    }
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(action(&place, &[("bulla", &program()), ("version", version)], &[]).code(), Some(0));
}

#[test]
fn the_action_runs_a_download_only_if_its_digest_is_right() {
    let place = repository(false);
    if place.run("command -v curl openssl").code() != Some(0) {
        return;
    }
    // A server with a certificate of its own, which curl is told of, that gives the program.
    let served = place.root().join("served");
    fs::create_dir(&served).unwrap();
    fs::copy(bulla(), served.join("bulla")).unwrap();
    let keys = "openssl req -x509 -newkey rsa:2048 -nodes -keyout ../key.pem -out ../cert.pem -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost 2>&1";
    place.does(keys);
    let port = bulla_testkit::free_port().to_string();
    let server = Program::new("openssl")
        .args(["s_server", "-quiet", "-WWW", "-accept", &port, "-cert", "../cert.pem", "-key", "../key.pem"])
        .current_dir(&served);
    let server = server.start().unwrap();
    let url = format!("https://localhost:{port}/bulla");
    let authority = place.root().join("cert.pem").display().to_string();
    let environment = [("CURL_CA_BUNDLE", authority.as_str())];
    let digest = place.does(&format!("sha256sum < {}", served.join("bulla").display()));
    let digest = digest.split(' ').next().unwrap();
    let answers = || std::net::TcpStream::connect(("127.0.0.1", port.parse().unwrap())).ok();
    bulla_testkit::control_plane::wait_for("the server", std::time::Duration::from_secs(20), answers);

    let wrong = digest.replace(['0', '1'], "2");
    let run = action(&place, &[("url", &url), ("sha256", &wrong)], &environment);
    assert_eq!(run.code(), Some(2));
    assert!(run.log().contains("it was not run"), "{}{}", run.log(), run.errors());
    let run = action(&place, &[("url", &url), ("sha256", &digest.to_ascii_uppercase())], &environment);
    assert_eq!(run.code(), Some(0), "{}{}", run.log(), run.errors());
    assert!(Path::new(&run.outputs["bulla"]).starts_with(place.root().join("tmp")));
    drop(server);
}

#[test]
fn without_a_program_the_action_builds_its_own_sources_with_their_lock() {
    // In the place of cargo stands a script that notes what it is asked for: the build itself is that of `make build`.
    let place = repository(false);
    let folder = place.root().join("bin");
    fs::create_dir(&folder).unwrap();
    let script = format!(
        "#!/bin/sh\necho \"$@\" > {root}/asked\nmkdir -p {root}/tmp/bulla-target/release && cp {bulla} {root}/tmp/bulla-target/release/bulla\n",
        root = place.root().display(),
        bulla = program()
    );
    fs::write(folder.join("cargo"), script).unwrap();
    place.does("chmod +x ../bin/cargo");
    let run = action(&place, &[], &[]);
    assert_eq!(run.code(), Some(0), "{}{}", run.log(), run.errors());
    let asked = fs::read_to_string(place.root().join("asked")).unwrap();
    let expected = format!(
        "build --release --locked --package bulla --manifest-path {}/Cargo.toml --target-dir ",
        workspace().display()
    );
    assert!(asked.starts_with(&expected), "{asked}");
}
