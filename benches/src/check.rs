//! Finding plain secrets, beside gitleaks and detect-secrets, in a repository in which it is known where they are.
//!
//! A value counts as found if something is found on its line; whatever is found elsewhere is false. How fast a program is counts
//! by its processor time: files a second on one core.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use bulla_testkit::peers;

use crate::manifests::{self, Planted};
use crate::measure::{Cost, median, run_allowing};
use crate::say;

/// A program's answer: places by file and line.
type Found = BTreeSet<(String, usize)>;

/// What one program did.
struct Line {
    name: &'static str,
    files: Cost,
    staged: Cost,
    found: Found,
}

/// The table, and whether what is asked for holds.
pub(crate) fn measure(bulla: &Path, folder: &Path) -> (String, bool) {
    let tree = folder.join("repository");
    let planted = manifests::write(&tree).expect("the repository can be written");
    git(&tree, &["init", "-q", "."]);
    // What is staged is one file of the last commit that changed; hooks look at nothing else.
    git(&tree, &["add", "."]);
    git(&tree, &["-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-qm", "all"]);
    let changed = tree.join("apps/0000/deployment.yaml");
    let text = fs::read_to_string(&changed).expect("the file is there");
    fs::write(&changed, text.replace("replicas: 2", "replicas: 3")).expect("the file can be written");
    git(&tree, &["add", "."]);

    let template = folder.join("places.tmpl");
    fs::write(&template, "{{range .}}{{.File}}:{{.StartLine}}\n{{end}}").expect("the template can be written");
    let report = folder.join("gitleaks.txt");
    let program = |program: &Path| {
        let mut command = Command::new(program);
        command
            .current_dir(&tree)
            .env_clear()
            .env("HOME", folder)
            .env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
    };
    let gitleaks = |arguments: &[&str]| {
        let mut command = program(&peers::gitleaks());
        command.args(arguments).args([
            "--no-banner",
            "--log-level",
            "error",
            "--exit-code",
            "0",
            "--report-format",
            "template",
        ]);
        command.arg("--report-template").arg(&template).arg("--report-path").arg(&report);
        command
    };
    let python = |arguments: &[&str]| {
        let mut command = program(&peers::detect_secrets_python());
        command.args(arguments);
        command
    };
    let out = folder.join("found");

    say("bulla check over the repository");
    let ours = |arguments: &[&str]| {
        let mut command = program(bulla);
        command.arg("check").args(arguments);
        command
    };
    let files = repeat(7, || run_allowing(ours(&[]), None, &out, &[0, 1]));
    let found = of_lines(&read(&out));
    let staged = repeat(21, || run_allowing(ours(&["--staged"]), None, &out, &[0]));
    let mut lines = vec![Line { name: "bulla check", files, staged, found }];

    say("gitleaks over the repository");
    let files = repeat(3, || run_allowing(gitleaks(&["dir", "."]), None, &out, &[0]));
    let found = of_lines(&read(&report));
    let staged = repeat(11, || run_allowing(gitleaks(&["git", "--pre-commit", "--staged", "."]), None, &out, &[0]));
    lines.push(Line { name: "gitleaks dir", files, staged, found });

    say("detect-secrets over the repository");
    let files =
        repeat(1, || run_allowing(python(&["-m", "detect_secrets", "scan", "--all-files", "."]), None, &out, &[0]));
    let found = of_baseline(&out);
    let hook = ["-m", "detect_secrets.pre_commit_hook", "apps/0000/deployment.yaml"];
    let staged = repeat(5, || run_allowing(python(&hook), None, &out, &[0, 1]));
    lines.push(Line { name: "detect-secrets scan", files, staged, found });

    let count = manifests::count(&tree);
    let holds = rate(count, lines[0].files) >= 5000.0 && lines[0].staged.wall.as_millis() < 50;
    (render(&lines, &planted, count), holds)
}

fn git(folder: &Path, arguments: &[&str]) {
    let mut command = Command::new("git");
    command.current_dir(folder).env("GIT_CONFIG_GLOBAL", "/dev/null").args(arguments);
    let made = command.output().expect("git runs");
    assert!(made.status.success(), "git: {}", String::from_utf8_lossy(&made.stderr));
}

fn repeat(repetitions: usize, mut work: impl FnMut() -> Cost) -> Cost {
    if repetitions > 1 {
        work();
    }
    let costs: Vec<Cost> = (0..repetitions).map(|_| work()).collect();
    median(&costs)
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// `FILE:LINE`, with more behind it or not; lines that begin with blanks belong to the one above.
fn of_lines(text: &str) -> Found {
    let place = |line: &str| {
        let mut parts = line.split(':');
        let file = parts.next()?.trim_start_matches("./");
        Some((file.to_owned(), parts.next()?.parse().ok()?))
    };
    text.lines().filter(|line| !line.starts_with(' ')).filter_map(place).collect()
}

/// The baseline that detect-secrets writes: `"FILE": [ {… "line_number": N …} ]`, a field a line.
fn of_baseline(path: &Path) -> Found {
    let mut found = Found::new();
    let mut file = String::new();
    for line in read(path).lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('"').and_then(|line| line.strip_suffix("\": [")) {
            name.trim_start_matches("./").clone_into(&mut file);
        } else if let Some(number) = line.strip_prefix("\"line_number\": ") {
            let number = number.trim_end_matches(',').parse().expect("a line number is one");
            found.insert((file.clone(), number));
        }
    }
    found
}

/// Files a second on one core.
fn rate(files: usize, cost: Cost) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a few thousand files")]
    let files = files as f64;
    files / cost.processor.as_secs_f64()
}

fn render(lines: &[Line], planted: &[Planted], files: usize) -> String {
    let mut text = format!(
        "\n{files} YAML files, {} planted values in {} kinds of places. A value is found if something is found on its line.\n\n\
         | program | time | CPU | files/s a core | memory | one staged file | found | missed | false | files with a false finding |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
        planted.len(),
        planted.iter().map(|planted| planted.kind).collect::<BTreeSet<_>>().len(),
    );
    let places: BTreeSet<(String, usize)> =
        planted.iter().map(|planted| (planted.file.clone(), planted.line)).collect();
    for line in lines {
        let hits = places.iter().filter(|place| line.found.contains(place)).count();
        let others: Vec<&(String, usize)> = line.found.iter().filter(|place| !places.contains(place)).collect();
        let other_files: BTreeSet<&String> = others.iter().map(|(file, _)| file).collect();
        let _ = writeln!(
            text,
            "| {} | {:.2} s | {:.2} s | {:.0} | {:.0} MiB | {:.1} ms | {hits} | {} | {} | {} |",
            line.name,
            line.files.wall.as_secs_f64(),
            line.files.processor.as_secs_f64(),
            rate(files, line.files),
            mebibytes(line.files.memory),
            line.staged.wall.as_secs_f64() * 1000.0,
            places.len() - hits,
            others.len(),
            other_files.len(),
        );
    }
    text.push_str("\nFound by kind:\n\n| planted in | values |");
    for line in lines {
        let _ = write!(text, " {} |", line.name);
    }
    text.push_str("\n|---|---|");
    text.push_str(&"---|".repeat(lines.len()));
    text.push('\n');
    let mut kinds: BTreeMap<&str, Vec<&Planted>> = BTreeMap::new();
    for planted in planted {
        kinds.entry(planted.kind).or_default().push(planted);
    }
    for (kind, planted) in kinds {
        let _ = write!(text, "| {kind} | {} |", planted.len());
        for line in lines {
            let hits =
                planted.iter().filter(|planted| line.found.contains(&(planted.file.clone(), planted.line))).count();
            let _ = write!(text, " {hits} |");
        }
        text.push('\n');
    }
    text
}

fn mebibytes(bytes: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "bytes of memory are far below 2^52")]
    let mebibytes = bytes as f64 / f64::from(1 << 20);
    mebibytes
}
