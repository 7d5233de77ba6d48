//! The directories that lines are run in. All are copies of one, which the real program made.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use bulla_testkit::peers;
use bulla_testkit::process::Program;
use tempfile::TempDir;

use crate::fixture::bulla;

/// Whose program `sops` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    Real,
    Ours,
}

/// What a line did.
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    /// Its first line, with what varies taken out.
    pub(crate) stderr: String,
    /// Every file of the directory.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
}

/// What all lines start from.
pub(crate) struct Setting {
    root: TempDir,
    recipients: Vec<(&'static str, String)>,
}

/// Names, content, and flags with which the real program encrypts it; the result is `enc-NAME`.
const PLAIN: &[(&str, &str)] = &[
    (
        "plain.yaml",
        "# first\ndb:\n    user: shop\n    # inner\n    password: hunter2\n    port: 5432\n    ratio: 1.5\n    live: true\n    none: null\n    empty: \"\"\nlist:\n    - one\n    - 2\n    - three: 3\nopen_unencrypted: readable\n",
    ),
    (
        "plain.json",
        "{\n\t\"db\": {\n\t\t\"user\": \"shop\",\n\t\t\"port\": 5432,\n\t\t\"ratio\": 1.5,\n\t\t\"live\": true,\n\t\t\"none\": null\n\t},\n\t\"list\": [\n\t\t\"one\",\n\t\t2\n\t],\n\t\"open_unencrypted\": \"readable\"\n}\n",
    ),
    ("plain.env", "# first\nUSER=shop\nPASSWORD=hunter2 and more\nLINES=one\\ntwo\nOPEN_unencrypted=readable\n"),
    ("plain.ini", "; first\n[db]\nuser     = shop\npassword = hunter2\n\n[open_unencrypted]\nname = readable\n"),
    ("plain.txt", "any text\nwithout an end"),
    ("several.yaml", "a: 1\n---\nb: two\n---\nc: [3]\n"),
    ("scalars.yaml", "text: word\nnumber: 1\ntruth: true\nhalf: 0.5\n"),
];

impl Setting {
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Setting> = OnceLock::new();
        SHARED.get_or_init(Self::make)
    }

    fn make() -> Self {
        let root = tempfile::tempdir().unwrap();
        let here = root.path();
        for folder in ["work", "work/rules", "work/broken", "work/folder", "work/update", "real", "ours"] {
            fs::create_dir_all(here.join(folder)).unwrap();
        }
        std::os::unix::fs::symlink(peers::sops(), here.join("real/sops")).unwrap();
        std::os::unix::fs::symlink(bulla(), here.join("ours/sops")).unwrap();
        let mut recipients = Vec::new();
        for (variable, file) in [("AGE", "alice.key"), ("OTHER", "bob.key")] {
            let keygen = Program::new(peers::age_keygen()).args(["-o", file]).current_dir(here).run().unwrap();
            assert_eq!(keygen.code(), Some(0));
            let text = fs::read_to_string(here.join(file)).unwrap();
            let recipient = text.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap().to_owned();
            recipients.push((variable, recipient));
        }
        let setting = Self { root, recipients };
        setting.fill();
        setting
    }

    fn fill(&self) {
        let work = self.root.path().join("work");
        let write = |name: &str, text: &str| fs::write(work.join(name), text).unwrap();
        let (age, other) = (&self.recipients[0].1, &self.recipients[1].1);
        let encrypt = |from: &str, to: &str, flags: &[&str]| {
            let sops = Program::new(peers::sops()).current_dir(&work).env_clear().args(["encrypt"]).args(flags);
            fs::write(work.join(to), sops.arg(from).run().unwrap().success().stdout).unwrap();
        };
        for (name, text) in PLAIN {
            write(name, text);
            encrypt(name, &format!("enc-{name}"), &["--age", age]);
        }
        encrypt("plain.yaml", "other.yaml", &["--age", other]);
        encrypt("plain.yaml", "both.yaml", &["--age", &format!("{age},{other}")]);
        encrypt("plain.yaml", "regex.yaml", &["--age", age, "--encrypted-regex", "^password$"]);
        let encrypted = fs::read_to_string(work.join("enc-plain.yaml")).unwrap();
        write("tampered.yaml", &encrypted.replacen("data:", "data:AAAA", 1));
        write("open-changed.yaml", &encrypted.replace("readable", "changed"));
        let without_mac: Vec<&str> = encrypted.lines().filter(|line| !line.starts_with("    mac:")).collect();
        write("no-mac.yaml", &(without_mac.join("\n") + "\n"));
        let without_version: Vec<&str> = encrypted.lines().filter(|line| !line.starts_with("    version:")).collect();
        write("no-version.yaml", &(without_version.join("\n") + "\n"));
        write("bad.yaml", "a: [1\nb: {\n");
        write("bad.json", "{\"a\": 1,,}");
        write("top-list.yaml", "- 1\n");
        write("top-list.json", "[1]\n");
        write("duplicate.yaml", "a: 1\na: 2\n");
        write("nothing.yaml", "");
        write("nothing.json", "");
        write("has-sops.yaml", "a: 1\nsops: x\n");
        write("value.json", "\"from a file\"");
        write("value.txt", "no json");
        write(
            "rules/.sops.yaml",
            &format!(
                "creation_rules:\n  - path_regex: ^special\\.yaml$\n    age: {other}\n    encrypted_regex: ^password$\n  - path_regex: \\.yaml$\n    age: {age}\n"
            ),
        );
        for name in ["special.yaml", "usual.yaml", "unmatched.json"] {
            let plain = if name.ends_with("json") { PLAIN[1].1 } else { PLAIN[0].1 };
            write(&format!("rules/{name}"), plain);
        }
        fs::copy(work.join("enc-plain.yaml"), work.join("rules/enc.yaml")).unwrap();
        fs::copy(work.join("enc-plain.json"), work.join("rules/enc.json")).unwrap();
        write(
            "update/.sops.yaml",
            &format!(
                "creation_rules:\n  - path_regex: ^(old|same|plain)\\.(yaml|json)$\n    age: {age},{other}\n  - path_regex: ^grouped\n    key_groups:\n      - age: [{age}]\n      - age: [{other}, {age}]\n"
            ),
        );
        write("update/plain.yaml", PLAIN[0].1);
        write("update/grouped-plain.yaml", PLAIN[0].1);
        fs::copy(work.join("enc-plain.yaml"), work.join("update/old.yaml")).unwrap();
        fs::copy(work.join("enc-plain.json"), work.join("update/old.json")).unwrap();
        fs::copy(work.join("both.yaml"), work.join("update/same.yaml")).unwrap();
        fs::copy(work.join("enc-plain.yaml"), work.join("update/unmatched.txt.yaml")).unwrap();
        let sops = Program::new(peers::sops()).current_dir(work.join("update")).env_clear();
        let grouped = sops.args(["encrypt", "grouped-plain.yaml"]).run().unwrap().success().stdout;
        fs::write(work.join("update/grouped.yaml"), grouped).unwrap();
        write("broken/.sops.yaml", "creation_rules: [\n");
        write("broken/plain.yaml", PLAIN[0].1);
        fs::copy(work.join("enc-plain.yaml"), work.join("broken/enc.yaml")).unwrap();
        write("folder/inside.yaml", "a: 1\n");
    }

    /// Runs a line for a shell in a fresh copy.
    pub(crate) fn run(&self, line: &str, whose: Whose) -> Done {
        let copy = tempfile::tempdir().unwrap();
        let work = copy.path().join("work");
        copy_all(&self.root.path().join("work"), &work);
        for folder in ["home", "tmp"] {
            fs::create_dir(copy.path().join(folder)).unwrap();
        }
        let programs = self.root.path().join(if whose == Whose::Real { "real" } else { "ours" });
        let mut program = Program::new("setsid")
            .args(["--wait", "sh", "-c", line])
            .current_dir(&work)
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", programs.display()))
            .env("HOME", copy.path().join("home"))
            .env("TMPDIR", copy.path().join("tmp"))
            .env("SOPS_AGE_KEY_FILE", self.root.path().join("alice.key"))
            .env("BOB_KEY", self.root.path().join("bob.key"));
        for (variable, recipient) in &self.recipients {
            program = program.env(variable, recipient);
        }
        let finished = program.run().unwrap();
        let mut files = BTreeMap::new();
        read_all(&work, "", &mut files);
        read_all(&copy.path().join("tmp"), "../tmp/", &mut files);
        let stderr = String::from_utf8_lossy(&finished.stderr).into_owned();
        let first = stderr.lines().next().unwrap_or_default();
        Done {
            code: finished.status.code(),
            stdout: finished.stdout,
            stderr: without_what_varies(first, copy.path()),
            files,
        }
    }

    /// What the real program decrypts `bytes` to, as JSON; itself if that is more readable.
    pub(crate) fn decrypted(&self, bytes: &[u8], format: &str) -> Option<Vec<u8>> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let file = self.root.path().join("ours").join(format!("{number}.{format}"));
        fs::write(&file, bytes).unwrap();
        let sops = Program::new(peers::sops())
            .env_clear()
            .env("SOPS_AGE_KEY", format!("{} {}", self.key("alice.key"), self.key("bob.key")))
            .args(["decrypt", "--input-type", format, "--output-type", format])
            .arg(&file)
            .run()
            .unwrap();
        fs::remove_file(file).unwrap();
        (sops.status.code() == Some(0)).then_some(sops.stdout)
    }

    fn key(&self, name: &str) -> String {
        let text = fs::read_to_string(self.root.path().join(name)).unwrap();
        text.lines().find(|line| line.starts_with("AGE-SECRET-KEY")).unwrap().to_owned()
    }
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_all(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn read_all(folder: &Path, before: &str, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{before}{}", entry.file_name().to_string_lossy());
        if entry.file_type().unwrap().is_dir() {
            read_all(&entry.path(), &format!("{name}/"), files);
        } else {
            files.insert(name, fs::read(entry.path()).unwrap());
        }
    }
}

/// Without the time of a log line, and the directory.
fn without_what_varies(line: &str, root: &Path) -> String {
    let real: PathBuf = root.canonicalize().unwrap();
    let mut line = line.replace(&*real.to_string_lossy(), "ROOT").replace(&*root.to_string_lossy(), "ROOT");
    // A line of Go's own logger begins with the time.
    let is_time = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || b"/: ".contains(&byte));
    if line.len() > 20 && line.is_char_boundary(20) && is_time(&line[..20]) {
        line.replace_range(..20, "TIME ");
    }
    if let Some(start) = line.find("time=\"")
        && let Some(length) = line[start + 6..].find('"')
    {
        line.replace_range(start + 6..start + 6 + length, "TIME");
    }
    line
}
