//! What `bulla check` reads is what Git has or would take: the files of `git ls-files --cached --others --exclude-standard`.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;

use crate::fixture::{Keys, Place};

/// A finding whatever the name of the file.
fn identity() -> String {
    fs::read_to_string(Keys::shared().path("alice.key")).unwrap().lines().last().unwrap().to_owned()
}

/// The files with findings below `directory`; all files of a test have one. In JSON, names are text as they are.
fn checked(place: &Place, directory: &str, arguments: &str) -> BTreeSet<String> {
    let finished = place.run(&format!("cd {directory} && bulla check --format json {arguments}"));
    let json: serde_json::Value =
        serde_json::from_slice(&finished.stdout).unwrap_or_else(|_| panic!("{}", finished.stderr_text()));
    let findings = json["findings"].as_array().unwrap();
    findings.iter().map(|finding| finding["file"].as_str().unwrap().to_owned()).collect()
}

/// What Git lists, without what has no content of its own.
fn listed(place: &Place, directory: &str) -> BTreeSet<String> {
    let finished = place.run(&format!("cd {directory} && git ls-files -z --cached --others --exclude-standard"));
    let names = finished.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let is_file = |name: &&[u8]| {
        let path = place.file(directory).join(OsStr::from_bytes(name));
        fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file())
    };
    names.filter(is_file).map(|name| String::from_utf8_lossy(name).into_owned()).collect()
}

fn plant(place: &Place, names: &[&[u8]]) {
    for name in names {
        let path = place.path().join(OsStr::from_bytes(name));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, identity()).unwrap();
    }
}

/// A repository with every way to ignore, and every kind of name.
fn repository() -> Place {
    let place = Place::new();
    place.does("git init -q . && mkdir -p .git/info");
    place.write(".gitignore", "*.log\nbuild/\n!build/kept\n**/deep/*.txt\n/only-here\nblank\\ \n\\#sharp\n!important.log\n[a-c].x\n# comment\n");
    place.write("a/.gitignore", "*.tmp\n!keep.tmp\n!*.log\nonly.log\n");
    place.write("a/b/.gitignore", "*\n!.gitignore\n!yes\n");
    place.write(".git/info/exclude", "excluded\n");
    fs::write(place.root().join("home/ignore"), "global\n").unwrap();
    place.does("git config core.excludesFile ~/ignore");
    plant(
        &place,
        &[
            b"plain",
            b"x.log",
            b"important.log",
            b"build/out",
            b"build/kept",
            b"d/deep/x.txt",
            b"d/deep/x.yaml",
            b"only-here",
            b"d/only-here",
            b"blank ",
            b"#sharp",
            b"b.x",
            b"d.x",
            b"a/x.tmp",
            b"a/keep.tmp",
            b"a/x.log",
            b"a/only.log",
            b"a/b/no",
            b"a/b/yes",
            b"excluded",
            b"d/excluded",
            b"global",
            b".hidden/.env",
            b"tracked.log",
            b"build/tracked",
            b"gone",
            b"with space",
            b"with\nbreak",
            b"-dash",
            b"quote\"'",
            b"star*",
            b"back\\slash",
            b"\xc3\xa9t\xc3\xa9",
            b"\xff\xfe",
            b"\xff\xfe\xfe/x",
            b":(top)x",
            b"real",
        ],
    );
    place.does("git add --force tracked.log build/tracked gone real && git commit -qm a && rm gone");
    symlink("real", place.file("link")).unwrap();
    symlink("a", place.file("link-to-directory")).unwrap();
    symlink("nowhere", place.file("broken")).unwrap();
    place
}

#[test]
fn what_is_read_is_what_git_lists() {
    let place = repository();
    let all = checked(&place, ".", "");
    let mut expected = listed(&place, ".");
    // These hold patterns and no key.
    expected.retain(|name| !name.ends_with(".gitignore"));
    assert_eq!(all, expected);
    // That Git says so is one thing; that it is what people mean is another.
    for name in [
        "tracked.log",
        "build/tracked",
        "important.log",
        "a/x.log",
        "a/keep.tmp",
        "a/b/yes",
        "d/only-here",
        "with\nbreak",
        "-dash",
        ":(top)x",
        ".hidden/.env",
        "d/deep/x.yaml",
    ] {
        assert!(all.contains(name), "{name:?} is missing: {all:?}");
    }
    for name in [
        "x.log",
        "build/out",
        "build/kept",
        "only-here",
        "blank ",
        "#sharp",
        "b.x",
        "a/x.tmp",
        "a/only.log",
        "a/b/no",
        "excluded",
        "d/excluded",
        "global",
        "gone",
        "link",
        "broken",
        "d/deep/x.txt",
    ] {
        assert!(!all.contains(name), "{name:?} is ignored");
    }
    assert!(all.iter().any(|name| name.contains('\u{fffd}')));
    // From below, and a directory by name.
    let below = checked(&place, "a", "");
    assert_eq!(below, BTreeSet::from(["b/yes", "keep.tmp", "x.log"].map(str::to_owned)));
    assert_eq!(checked(&place, ".", "a build").len(), below.len() + 1);
    // A file that is named is read, ignored or not, and so is everything if that is asked for.
    assert_eq!(checked(&place, ".", "x.log").len(), 1);
    let everything = checked(&place, ".", "--no-ignore");
    assert!(everything.is_superset(&all) && everything.contains("build/out") && everything.contains("global"));
    let finished =
        place.run("bulla check d/deep/x.txt/.. build/nothing 2>&1; mkdir -p build/empty; bulla check build/empty");
    assert!(
        finished.stderr_text().contains("build/empty: nothing in it that Git does not ignore"),
        "{}",
        finished.stderr_text()
    );
}

#[test]
fn work_trees_submodules_and_repositories_below_are_told_apart() {
    let place = repository();
    place.does(
        "git worktree add -q ../tree 2>&1 && printf %s \"$(cat real)\" > ../tree/new && cp real ../tree/excluded",
    );
    assert_eq!(checked(&place, "../tree", ""), {
        let mut listed = listed(&place, "../tree");
        listed.retain(|name| !name.ends_with(".gitignore"));
        listed
    });
    assert!(checked(&place, "../tree", "").contains("new") && !checked(&place, "../tree", "").contains("excluded"));

    place.does("git init -q ../other && cp real ../other/inner && cd ../other && git add . && git commit -qm a");
    place.does("git -c protocol.file.allow=always submodule --quiet add ../../other sub 2>/dev/null || git -c protocol.file.allow=always submodule --quiet add \"$PWD/../other\" sub");
    place.does("cp real sub/not-committed; git init -q nested && cp real nested/x");
    let all = checked(&place, ".", "");
    assert!(!all.iter().any(|name| name.starts_with("sub/") || name.starts_with("nested/")), "{all:?}");
    assert_eq!(checked(&place, "sub", ""), BTreeSet::from(["inner", "not-committed"].map(str::to_owned)));
    assert_eq!(checked(&place, ".", "sub"), BTreeSet::from(["sub/inner", "sub/not-committed"].map(str::to_owned)));
}

#[test]
fn an_index_with_conflicts_gives_each_file_once() {
    let place = repository();
    place.does("git checkout -qb other && echo '# other' >> real && git commit -qam other && git checkout -q - && echo '# own' >> real && git commit -qam own");
    place.run("git merge other");
    let count = |line: &str| place.run(line).stdout_text().matches("\nreal:").count();
    assert_eq!(count("echo; bulla check real"), 2);
    assert_eq!(count("bulla check"), 2);
}

#[test]
fn outside_of_a_repository_every_file_counts() {
    let place = Place::new();
    place.write(".gitignore", "x\n");
    plant(&place, &[b"x", b"y/.z"]);
    assert_eq!(checked(&place, ".", ""), BTreeSet::from(["x", "y/.z"].map(str::to_owned)));
    // Where Git itself refuses, what it would ignore is left out as far as that can be told, and it is said.
    place.does("git init -q .");
    let finished = place.run("PATH=$(dirname $(command -v bulla)); bulla check");
    let told = finished.stderr_text();
    assert!(told.starts_with("warning: .: git cannot be run; what .gitignore names is left out"), "{told}");
    assert!(!finished.stdout_text().contains("x:1:1") && finished.stdout_text().contains("y/.z:1:1"));
}

#[test]
fn a_generator_that_names_an_ignored_file_is_fine() {
    let place = Place::new();
    place.does("git init -q .");
    place.write(".gitignore", "made.env\n");
    for name in ["made.env", "kept.env"] {
        place.write(&format!("k/{name}"), "PASSWORD=hunter2\n");
    }
    place.write("k/kustomization.yaml", "secretGenerator:\n- name: a\n  envs: [made.env, kept.env]\n");
    for line in ["bulla check k/kustomization.yaml", "cd k && bulla check kustomization.yaml"] {
        let text = place.run(line).stdout_text();
        assert!(text.contains("kept.env") && !text.contains("made.env"), "{text}");
    }
}
