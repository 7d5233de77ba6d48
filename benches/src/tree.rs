//! A tree of files is decrypted in place; a reader leaves it, and each file gets a new data key, for those who stay. bulla once for all,
//! beside sops once a file. With keys of KMS, the calls are counted at the service.

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
/// sops works on one of so many of them, and what it costs is taken times this: it costs the same for each.
const SHARE: usize = 5;
/// So many files have a data key in common, where the calls for decrypting are counted: copies of one file, as `cp` makes them.
const COPIES: usize = 4;
const REGION: &str = "us-east-1";

/// The calls of a service that a run made.
#[derive(Clone, Copy, Default)]
struct Calls {
    decrypt: usize,
    encrypt: usize,
}

impl Calls {
    fn of(moto: &Moto) -> Self {
        Self { decrypt: moto.count("kms:Decrypt"), encrypt: moto.count("kms:Encrypt") }
    }
}

pub(crate) fn measure(bulla: &Path, folder: &Path, rows: &mut Vec<Row>) {
    let folder = folder.join("tree");
    fs::create_dir_all(&folder).expect("the folder can be made");
    let tree = Tree::new(bulla, folder);
    // What a service takes for a call is no matter of either program.
    let (with_age, with_kms) = (target(50.0), target(1.0));
    let both = format!("age: {},{}", tree.stays.recipient, tree.leaves.recipient);
    let stays = format!("age: {}", tree.stays.recipient);

    say(&format!("a tree of {FILES} files: decrypting"));
    tree.rules(&both);
    tree.encrypt(1, None);
    let (theirs, ours) = compare(3, || tree.decrypt_by_sops(None), || tree.decrypt_by_bulla(None));
    tree.check_decrypted();
    rows.push(row(format!("decrypt {FILES} files of a tree in place, age"), 3, theirs, ours, with_age));

    say(&format!("a tree of {FILES} files: a reader leaves"));
    tree.rules(&stays);
    let (theirs, ours) = compare(3, || tree.rotate_by_sops(None), || tree.rotate_by_bulla(None));
    tree.check_rotated(&stays, None);
    rows.push(row(format!("rotate {FILES} files of a tree, a reader leaves, age"), 3, theirs, ours, with_age));

    say(&format!("a tree of {FILES} files with a key of KMS: decrypting"));
    let moto = Moto::start();
    let kms = format!("kms: {}", moto.key(REGION));
    tree.rules(&kms);
    tree.encrypt(COPIES, Some(&moto));
    let (theirs, of_sops) = counted(&moto, || tree.decrypt_by_sops(Some(&moto)));
    let (ours, of_bulla) = counted(&moto, || tree.decrypt_by_bulla(Some(&moto)));
    tree.check_decrypted();
    let distinct = FILES / COPIES;
    assert!(of_bulla.decrypt <= distinct, "{} Decrypt for {distinct} data keys", of_bulla.decrypt);
    let work = format!(
        "decrypt {FILES} files of a tree in place, KMS, {distinct} distinct data keys ({} Decrypt; sops {})",
        of_bulla.decrypt,
        of_sops.decrypt * SHARE,
    );
    rows.push(row(work, 1, theirs, ours, with_kms));

    say(&format!("a tree of {FILES} files with a key of KMS: a reader leaves"));
    tree.rules(&format!("{kms}\n  age: {}", tree.leaves.recipient));
    tree.encrypt(1, Some(&moto));
    tree.rules(&kms);
    let (theirs, of_sops) = counted(&moto, || tree.rotate_by_sops(Some(&moto)));
    let (ours, of_bulla) = counted(&moto, || tree.rotate_by_bulla(Some(&moto)));
    tree.check_rotated(&kms, Some(&moto));
    let work = format!(
        "rotate {FILES} files of a tree, a reader leaves, KMS ({} Decrypt and {} Encrypt; sops {} and {})",
        of_bulla.decrypt,
        of_bulla.encrypt,
        of_sops.decrypt * SHARE,
        of_sops.encrypt * SHARE
    );
    rows.push(row(work, 1, theirs, ours, with_kms));
}

fn target(times_faster: f64) -> Target {
    Target { times_faster, memory: None, memory_part: Some(4.0) }
}

fn row(work: String, repetitions: usize, theirs: Cost, ours: Cost, target: Target) -> Row {
    Row { work, peer: "sops, once a file (a fifth, times five)", repetitions, theirs, ours, target }
}

/// What a run cost, and the calls that it made.
fn counted(moto: &Moto, run: impl FnOnce() -> Cost) -> (Cost, Calls) {
    moto.forget_calls();
    let cost = run();
    (cost, Calls::of(moto))
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

    /// Every so many files, each with a data key of its own, and copies of each.
    fn encrypt(&self, copies: usize, moto: Option<&Moto>) {
        let tree = self.folder.join("before");
        fs::remove_dir_all(&tree).ok();
        let copy_to = |number: usize, from: &Path| {
            let file = Self::file(&tree, number);
            fs::create_dir_all(file.parent().expect("it is in a folder")).expect("the tree can be made");
            fs::copy(from, file).expect("the tree can be made");
        };
        for number in (0..FILES).step_by(copies) {
            copy_to(number, &self.folder.join("plain.yaml"));
        }
        let mut command = self.command(&self.bulla, moto);
        command.args(["encrypt", "--in-place", "before"]);
        run(command, None, &self.folder.join("out"));
        for number in (0..FILES).filter(|number| number % copies != 0) {
            copy_to(number, &Self::file(&tree, number - number % copies));
        }
    }

    /// The first so many files of the tree once more, under another name.
    ///
    /// What had that name is moved aside and not removed: ext4 looks through the inodes of files that were just removed for each new one, and
    /// whoever replaces files would be measured with what the measuring removed.
    fn copy(&self, name: &str, count: usize) -> PathBuf {
        let (from, to) = (self.folder.join("before"), self.folder.join(name));
        let mut aside = to.clone();
        while aside.exists() {
            aside.as_mut_os_string().push("-before");
        }
        if aside != to {
            fs::rename(&to, aside).expect("the tree can be moved");
        }
        for number in 0..count {
            let file = Self::file(&to, number);
            fs::create_dir_all(file.parent().expect("it is in a folder")).expect("the tree can be made");
            fs::copy(Self::file(&from, number), file).expect("the tree can be made");
        }
        to
    }

    /// `command` of sops, once for each file of a fifth of the tree; `$1` is the reader who leaves.
    fn by_sops(&self, arguments: &str, moto: Option<&Moto>) -> Cost {
        let tree = self.copy("by-sops", FILES / SHARE);
        let mut command = self.command(Path::new("/bin/sh"), moto);
        let script = format!(r#"for f in "$2"/*/*.yaml; do "$0" {arguments} --in-place "$f" || exit 1; done"#);
        command.args(["-c", &script]).arg(peers::sops()).arg(&self.leaves.recipient).arg(&tree);
        let cost = run(command, None, &self.folder.join("out"));
        let share = u32::try_from(SHARE).expect("it is small");
        Cost { wall: cost.wall * share, processor: cost.processor * share, memory: cost.memory }
    }

    /// `command` of bulla, once for the tree.
    fn by_bulla(&self, arguments: &[&str], moto: Option<&Moto>) -> Cost {
        let tree = self.copy("by-bulla", FILES);
        let mut command = self.command(&self.bulla, moto);
        command.args(arguments).arg(&tree);
        run(command, None, &self.folder.join("out"))
    }

    fn decrypt_by_sops(&self, moto: Option<&Moto>) -> Cost {
        self.by_sops("decrypt", moto)
    }

    fn decrypt_by_bulla(&self, moto: Option<&Moto>) -> Cost {
        self.by_bulla(&["decrypt", "--in-place"], moto)
    }

    fn rotate_by_sops(&self, moto: Option<&Moto>) -> Cost {
        self.by_sops(r#"rotate --rm-age "$1""#, moto)
    }

    fn rotate_by_bulla(&self, moto: Option<&Moto>) -> Cost {
        self.by_bulla(&["rotate"], moto)
    }

    /// bulla gave every file back as it was, and sops almost.
    fn check_decrypted(&self) {
        let plain = fs::read(self.folder.join("plain.yaml")).expect("it is there");
        for number in 0..FILES {
            let read = |tree: &str| fs::read(Self::file(&self.folder.join(tree), number));
            assert!(read("by-bulla").is_ok_and(|file| file == plain), "bulla did not give file {number} back");
            if number < FILES / SHARE {
                // The two write YAML alike, but for what stands around it.
                let file = read("by-sops").expect("sops left the file there");
                assert!(file.len().abs_diff(plain.len()) < 64, "sops did not decrypt file {number}");
            }
        }
    }

    /// Nothing is left to do, who left is named nowhere, and the other program opens what each wrote.
    fn check_rotated(&self, rule: &str, moto: Option<&Moto>) {
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
