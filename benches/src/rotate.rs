//! A reader leaves a tree of files: each gets a new data key, for those who stay. bulla once for all, beside sops once a file.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bulla_testkit::moto::Moto;
use bulla_testkit::peers;

use crate::measure::{Cost, compare, run};
use crate::table::{Row, Target};
use crate::{inputs, say};

/// Files in the tree.
const FILES: usize = 1000;
/// sops rotates one of so many of them, and what it costs is taken times this: it costs the same for each.
const SHARE: usize = 5;
const REGION: &str = "us-east-1";

/// The calls of a service that a run made.
#[derive(Clone, Copy, Default)]
struct Calls {
    decrypt: usize,
    encrypt: usize,
}

pub(crate) fn measure(bulla: &Path, folder: &Path, rows: &mut Vec<Row>) {
    let folder = folder.join("rotate");
    fs::create_dir_all(&folder).expect("the folder can be made");
    let tree = Tree::new(bulla, folder);
    let target = Target { times_faster: 50.0, ..Target::default() };

    say(&format!("a tree of {FILES} files: a reader leaves"));
    tree.rules(&format!("age: {},{}", tree.stays.recipient, tree.leaves.recipient));
    tree.encrypt(None);
    tree.rules(&format!("age: {}", tree.stays.recipient));
    let (theirs, ours) = compare(3, || tree.by_sops(None), || tree.by_bulla(None));
    tree.check(&format!("age: {}", tree.stays.recipient), None);
    let work = |how: &str| format!("rotate {FILES} files of a tree, a reader leaves, {how}");
    let row = |work, repetitions, theirs, ours| Row {
        work,
        peer: "sops, once a file (a fifth, times five)",
        repetitions,
        theirs,
        ours,
        target,
    };
    rows.push(row(work("age"), 3, theirs, ours));

    say(&format!("a tree of {FILES} files with a key of KMS: a reader leaves"));
    let moto = Moto::start();
    let kms = moto.key(REGION);
    tree.rules(&format!("kms: {kms}\n  age: {}", tree.leaves.recipient));
    tree.encrypt(Some(&moto));
    let rule = format!("kms: {kms}");
    tree.rules(&rule);
    let calls = |moto: &Moto| Calls { decrypt: moto.count("kms:Decrypt"), encrypt: moto.count("kms:Encrypt") };
    moto.forget_calls();
    let theirs = tree.by_sops(Some(&moto));
    let of_sops = calls(&moto);
    moto.forget_calls();
    let ours = tree.by_bulla(Some(&moto));
    let of_bulla = calls(&moto);
    tree.check(&rule, Some(&moto));
    let how = format!(
        "KMS ({} Decrypt and {} Encrypt; sops {} and {})",
        of_bulla.decrypt,
        of_bulla.encrypt,
        of_sops.decrypt * SHARE,
        of_sops.encrypt * SHARE
    );
    // What the service takes for a call is no matter of either program.
    rows.push(Row { target: Target { times_faster: 1.0, ..Target::default() }, ..row(work(&how), 1, theirs, ours) });
}

/// An age key.
struct Reader {
    file: PathBuf,
    recipient: String,
}

impl Reader {
    fn new(file: PathBuf) -> Self {
        let made = Command::new(peers::age_keygen()).arg("-o").arg(&file).output().expect("age-keygen runs");
        assert!(made.status.success(), "age-keygen: {}", String::from_utf8_lossy(&made.stderr));
        let text = fs::read_to_string(&file).expect("age-keygen wrote the key");
        let recipient = text.lines().find_map(|line| line.strip_prefix("# public key: "));
        let recipient = recipient.expect("age-keygen names the public key").to_owned();
        Self { file, recipient }
    }
}

/// The tree as it is before, and who reads it.
struct Tree {
    bulla: PathBuf,
    folder: PathBuf,
    stays: Reader,
    leaves: Reader,
}

impl Tree {
    fn new(bulla: &Path, folder: PathBuf) -> Self {
        let stays = Reader::new(folder.join("stays.key"));
        let leaves = Reader::new(folder.join("leaves.key"));
        inputs::configuration(&folder.join("plain.yaml"), 5, 10, 20).expect("the input can be written");
        Self { bulla: bulla.to_owned(), folder, stays, leaves }
    }

    /// Whoever encrypts a file of the tree finds this rule.
    fn rules(&self, rule: &str) {
        fs::write(self.folder.join(".sops.yaml"), format!("creation_rules:\n- {rule}\n"))
            .expect("the rules can be written");
    }

    /// A program that finds the key of who stays, the service, and nothing of the user's own.
    fn command(&self, program: &Path, moto: Option<&Moto>) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(&self.folder)
            .env_clear()
            .env("HOME", &self.folder)
            .env("SOPS_AGE_KEY_FILE", &self.stays.file);
        if let Some(moto) = moto {
            command
                .env("AWS_ENDPOINT_URL", moto.address())
                .env("AWS_ACCESS_KEY_ID", "AKIATEST")
                .env("AWS_SECRET_ACCESS_KEY", "swordfish")
                .env("AWS_REGION", REGION)
                .env("AWS_EC2_METADATA_DISABLED", "true");
        }
        command
    }

    /// A file of the tree, in folders of twenty.
    fn file(tree: &Path, number: usize) -> PathBuf {
        tree.join(format!("{:02}", number / 20)).join(format!("{number:03}.yaml"))
    }

    /// Each file with a data key of its own.
    fn encrypt(&self, moto: Option<&Moto>) {
        let tree = self.folder.join("before");
        fs::remove_dir_all(&tree).ok();
        for number in 0..FILES {
            let file = Self::file(&tree, number);
            fs::create_dir_all(file.parent().expect("it is in a folder")).expect("the tree can be made");
            fs::copy(self.folder.join("plain.yaml"), file).expect("the tree can be made");
        }
        let mut command = self.command(&self.bulla, moto);
        command.args(["encrypt", "--in-place", "before"]);
        run(command, None, &self.folder.join("out"));
    }

    /// The first so many files of the tree once more, under another name.
    fn copy(&self, name: &str, count: usize) -> PathBuf {
        let (from, to) = (self.folder.join("before"), self.folder.join(name));
        fs::remove_dir_all(&to).ok();
        for number in 0..count {
            let file = Self::file(&to, number);
            fs::create_dir_all(file.parent().expect("it is in a folder")).expect("the tree can be made");
            fs::copy(Self::file(&from, number), file).expect("the tree can be made");
        }
        to
    }

    fn by_sops(&self, moto: Option<&Moto>) -> Cost {
        let tree = self.copy("by-sops", FILES / SHARE);
        let mut command = self.command(Path::new("/bin/sh"), moto);
        command.args(["-c", r#"for f in "$1"/*/*.yaml; do "$0" rotate --in-place --rm-age "$2" "$f" || exit 1; done"#]);
        command.arg(peers::sops()).arg(&tree).arg(&self.leaves.recipient);
        let cost = run(command, None, &self.folder.join("out"));
        let share = u32::try_from(SHARE).expect("it is small");
        Cost { wall: cost.wall * share, processor: cost.processor * share, memory: cost.memory }
    }

    fn by_bulla(&self, moto: Option<&Moto>) -> Cost {
        let tree = self.copy("by-bulla", FILES);
        let mut command = self.command(&self.bulla, moto);
        command.arg("rotate").arg(&tree);
        run(command, None, &self.folder.join("out"))
    }

    /// Nothing is left to do, who left is named nowhere, and the other program opens what each wrote.
    fn check(&self, rule: &str, moto: Option<&Moto>) {
        let out = self.folder.join("out");
        let mut command = self.command(&self.bulla, moto);
        run_checked(command.args(["rotate", "--check", "by-sops", "by-bulla"]), rule);
        for number in [0, FILES / 2, FILES - 1] {
            let file = Self::file(&self.folder.join("by-bulla"), number);
            let text = fs::read_to_string(&file).expect("bulla left the file there");
            assert!(!text.contains(&self.leaves.recipient), "{}: who left is still a reader", file.display());
            let mut command = self.command(&peers::sops(), moto);
            command.arg("decrypt").arg(&file);
            run(command, None, &out);
            let (opened, plain) = (fs::read(&out), fs::read(self.folder.join("plain.yaml")));
            // The two write YAML alike, but for what stands around it.
            assert!(opened.expect("sops wrote it").len().abs_diff(plain.expect("it is there").len()) < 64);
        }
    }
}

fn run_checked(command: &mut Command, rule: &str) {
    let output = command.output().expect("bulla runs");
    assert!(output.status.success(), "{rule}: {}", String::from_utf8_lossy(&output.stdout));
}
