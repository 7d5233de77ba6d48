//! Encrypting and decrypting files, beside sops.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use bulla_testkit::peers;

use crate::measure::{Cost, compare, run};
use crate::table::{Row, Target};
use crate::{inputs, say};

/// A document to measure.
struct Work {
    name: &'static str,
    /// Sections, entries of each, characters of a value: see [`inputs::configuration`].
    shape: (usize, usize, usize),
    repetitions: usize,
    target: Target,
}

/// How often one value of the small file is changed.
const CHANGES: usize = 21;

pub(crate) fn measure(bulla: &Path, folder: &Path, large: bool, rows: &mut Vec<Row>) {
    let quarter = |times_faster| Target { times_faster, memory: None, memory_part: Some(4.0) };
    let small = Target { times_faster: 10.0, memory: Some(12 << 20), memory_part: None };
    let mut works = vec![
        Work { name: "50 values, 2 KB YAML", shape: (5, 10, 20), repetitions: 21, target: small },
        Work { name: "20,000 values, 1 MB YAML", shape: (400, 50, 35), repetitions: 11, target: quarter(40.0) },
        Work { name: "100,000 values, 5 MB YAML", shape: (2000, 50, 35), repetitions: 5, target: quarter(40.0) },
    ];
    if large {
        works.push(Work {
            name: "400,000 values under 80,000 top-level keys, 10 MB YAML",
            shape: (80_000, 5, 8),
            repetitions: 1,
            target: quarter(150.0),
        });
    }
    let programs = Programs::new(bulla, folder);
    for work in &works {
        programs.file(work, rows);
    }
    programs.changes(small, rows);
}

/// Both programs with one age key, in a folder without configuration.
struct Programs {
    bulla: PathBuf,
    sops: PathBuf,
    folder: PathBuf,
    identity: PathBuf,
    recipient: String,
}

impl Programs {
    fn new(bulla: &Path, folder: &Path) -> Self {
        let identity = folder.join("age.key");
        let made = Command::new(peers::age_keygen()).arg("-o").arg(&identity).output().expect("age-keygen runs");
        assert!(made.status.success(), "age-keygen: {}", String::from_utf8_lossy(&made.stderr));
        let text = fs::read_to_string(&identity).expect("age-keygen wrote the key");
        let recipient = text.lines().find_map(|line| line.strip_prefix("# public key: "));
        Self {
            bulla: bulla.to_owned(),
            sops: peers::sops(),
            folder: folder.to_owned(),
            recipient: recipient.expect("age-keygen names the public key").to_owned(),
            identity,
        }
    }

    /// A program that finds this age key and nothing of the user's own.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(&self.folder)
            .env_clear()
            .env("HOME", &self.folder)
            .env("SOPS_AGE_KEY_FILE", &self.identity);
        command
    }

    fn encrypt(&self, program: &Path, input: &Path, output: &Path) -> Cost {
        let mut command = self.command(program);
        command.args(["encrypt", "--age", &self.recipient]).arg(input);
        run(command, None, output)
    }

    fn decrypt(&self, program: &Path, input: &Path, output: &Path) -> Cost {
        let mut command = self.command(program);
        command.arg("decrypt").arg(input);
        run(command, None, output)
    }

    fn file(&self, work: &Work, rows: &mut Vec<Row>) {
        let path = |name: &str| self.folder.join(name);
        let (plain, by_sops, by_bulla) = (path("plain.yaml"), path("by-sops.yaml"), path("by-bulla.yaml"));
        let (from_sops, from_bulla) = (path("from-sops.yaml"), path("from-bulla.yaml"));
        let (sections, entries, width) = work.shape;
        inputs::configuration(&plain, sections, entries, width).expect("the input can be written");

        say(&format!("{}: encrypting", work.name));
        let (theirs, ours) = compare(
            work.repetitions,
            || self.encrypt(&self.sops, &plain, &by_sops),
            || self.encrypt(&self.bulla, &plain, &by_bulla),
        );
        let row = |verb: &str, theirs, ours| Row {
            work: format!("{verb} {}, age", work.name),
            peer: "sops",
            repetitions: work.repetitions,
            theirs,
            ours,
            target: work.target,
        };
        rows.push(row("encrypt", theirs, ours));

        say(&format!("{}: decrypting", work.name));
        // Each decrypts what the other encrypted: the same work, and a proof that it was done right.
        let (theirs, ours) = compare(
            work.repetitions,
            || self.decrypt(&self.sops, &by_bulla, &from_bulla),
            || self.decrypt(&self.bulla, &by_sops, &from_sops),
        );
        rows.push(row("decrypt", theirs, ours));
        assert!(same(&from_bulla, &from_sops), "{}: sops and bulla decrypted to different documents", work.name);
        let round_trip = path("round-trip.yaml");
        self.decrypt(&self.bulla, &by_bulla, &round_trip);
        assert!(same(&plain, &round_trip), "{}: bulla did not give the input back", work.name);
    }

    /// One value of the small file gets another text: by a command, and in an editor, which is `sed`.
    fn changes(&self, target: Target, rows: &mut Vec<Row>) {
        say("50 values: changing one");
        let (plain, encrypted) = (self.folder.join("plain.yaml"), self.folder.join("changed.yaml"));
        let old = "# from the service catalogue, part 0\nservice-000000:\n    first: old\n";
        inputs::configuration(&plain, 5, 10, 20).expect("the input can be written");
        let rest = fs::read_to_string(&plain).expect("it is there");
        let rest = rest.lines().skip(2).flat_map(|line| [line, "\n"]).collect::<String>();
        fs::write(&plain, format!("{old}{rest}")).expect("the input can be written");
        self.encrypt(&self.sops, &plain, &encrypted);
        let (by_sops, by_bulla) = (self.folder.join("by-sops.yaml"), self.folder.join("by-bulla.yaml"));
        let output = self.folder.join("changed.out");
        let fresh = |file: &Path| fs::copy(&encrypted, file).expect("the file can be copied");

        let (value, json) = (self.folder.join("value"), r#""new""#);
        fs::write(&value, "new").expect("the value can be written");
        let (theirs, ours) = compare(
            CHANGES,
            || {
                fresh(&by_sops);
                let mut command = self.command(&self.sops);
                command.arg("set").arg(&by_sops).args([r#"["service-000000"]["first"]"#, json]);
                run(command, None, &output)
            },
            || {
                fresh(&by_bulla);
                let mut command = self.command(&self.bulla);
                command.arg("set").arg(&by_bulla).arg("service-000000.first");
                run(command, Some(&value), &output)
            },
        );
        let row = |work: &str, theirs, ours| Row {
            work: format!("{work} of 50 values, 2 KB YAML, age"),
            peer: "sops",
            repetitions: CHANGES,
            theirs,
            ours,
            target,
        };
        rows.push(row("set one", theirs, ours));
        self.check_changed(&by_sops, &by_bulla);

        let edit = |program: &Path, file: &Path| {
            fresh(file);
            let mut command = self.command(program);
            command.env("EDITOR", "/bin/sed -i s/old/new/").env("PATH", "/usr/bin:/bin").arg("edit").arg(file);
            run(command, None, &output)
        };
        let (theirs, ours) = compare(CHANGES, || edit(&self.sops, &by_sops), || edit(&self.bulla, &by_bulla));
        rows.push(row("edit one (`sed` is the editor)", theirs, ours));
        self.check_changed(&by_sops, &by_bulla);
    }

    /// Each opens what the other changed, and both changed the same.
    fn check_changed(&self, by_sops: &Path, by_bulla: &Path) {
        let (from_sops, from_bulla) = (self.folder.join("from-sops.yaml"), self.folder.join("from-bulla.yaml"));
        self.decrypt(&self.sops, by_bulla, &from_bulla);
        self.decrypt(&self.bulla, by_sops, &from_sops);
        assert!(same(&from_bulla, &from_sops), "sops and bulla changed the file differently");
        let text = fs::read_to_string(&from_bulla).expect("sops wrote it");
        assert!(text.contains("first: new\n"), "the value was not changed");
    }
}

/// Whether two files hold the same bytes; read in pieces, see the crate's first lines.
fn same(left: &Path, right: &Path) -> bool {
    let open = |path: &Path| File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (mut left, mut right) = (open(left), open(right));
    let (mut one, mut other) = ([0; 4096], [0; 4096]);
    loop {
        let length = left.read(&mut one).expect("the file can be read");
        if right.read_exact(&mut other[..length]).is_err() || one[..length] != other[..length] {
            return false;
        }
        if length == 0 {
            return right.read(&mut other).expect("the file can be read") == 0;
        }
    }
}
