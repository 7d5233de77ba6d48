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

/// Files in the tree that is decrypted as a whole.
const TREE: usize = 200;
/// How often that is done.
const TREE_REPETITIONS: usize = 3;

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
    programs.tree(rows);
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

    /// Many small files: sops once for each, as its users do it, against bulla once for all.
    fn tree(&self, rows: &mut Vec<Row>) {
        say(&format!("a tree of {TREE} files: decrypting"));
        let plain = self.folder.join("plain.yaml");
        inputs::configuration(&plain, 5, 10, 20).expect("the input can be written");
        let encrypted = self.folder.join("encrypted.yaml");
        self.encrypt(&self.sops, &plain, &encrypted);
        let prepare = |name: &str| {
            let tree = self.folder.join(name);
            fs::remove_dir_all(&tree).ok();
            for file in 0..TREE {
                let folder = tree.join(format!("{:02}", file / 20));
                fs::create_dir_all(&folder).expect("the tree can be made");
                fs::copy(&encrypted, folder.join(format!("{file:03}.yaml"))).expect("the tree can be made");
            }
            tree
        };
        let output = self.folder.join("tree.out");
        let (theirs, ours) = compare(
            TREE_REPETITIONS,
            || {
                let tree = prepare("tree-of-sops");
                let mut command = self.command(Path::new("/bin/sh"));
                command.args(["-c", r#"for f in "$1"/*/*.yaml; do "$0" decrypt --in-place "$f" || exit 1; done"#]);
                command.arg(&self.sops).arg(&tree);
                run(command, None, &output)
            },
            || {
                let tree = prepare("tree-of-bulla");
                let mut command = self.command(&self.bulla);
                command.args(["decrypt", "--in-place"]).arg(&tree);
                run(command, None, &output)
            },
        );
        rows.push(Row {
            work: format!("decrypt {TREE} files of a tree in place, age"),
            peer: "sops, once a file",
            repetitions: TREE_REPETITIONS,
            theirs,
            ours,
            target: Target { times_faster: 50.0, ..Target::default() },
        });
        for file in [0, TREE - 1] {
            let decrypted = self.folder.join(format!("tree-of-bulla/{:02}/{file:03}.yaml", file / 20));
            let text = fs::read_to_string(decrypted).expect("bulla left the file there");
            assert!(!text.contains("ENC["), "bulla did not decrypt file {file} of the tree");
        }
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
