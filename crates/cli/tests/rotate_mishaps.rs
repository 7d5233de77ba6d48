//! A rotation that is interrupted, or that cannot write: every file is the old one or the new one, and the next run does the rest.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::time::Duration;

use crate::fixture::{Keys, Place};

const FILES: usize = 120;

fn rules(place: &Place, readers: &[&str]) {
    let readers = readers.join(",");
    place.write(".sops.yaml", format!("creation_rules:\n- path_regex: \\.yaml$\n  age: {readers}\n"));
}

fn plain(number: usize) -> String {
    // Long enough that a file is not done in no time.
    let values: Vec<_> = (0..40).map(|key| format!("  key-{key}: value {number}-{key} # comment\n")).collect();
    format!("values:\n{}", values.concat())
}

fn tree(place: &Place, folder: &str) {
    let keys = Keys::shared();
    rules(place, &[&keys.alice, &keys.bob]);
    for number in 0..FILES {
        place.write(&format!("{folder}/{number:03}.yaml"), plain(number));
    }
    place.does(&format!("bulla encrypt --in-place {folder}"));
}

/// Every file opens for Alice and holds what it held; the number that Bob opens no more.
fn without_bob(place: &Place, folder: &str) -> usize {
    let mut count = 0;
    for number in 0..FILES {
        let name = format!("{folder}/{number:03}.yaml");
        assert_eq!(place.does(&format!("bulla decrypt {name}")), plain(number), "{name}");
        count += usize::from(!place.read(&name).contains(&Keys::shared().bob));
    }
    count
}

fn names(place: &Place, folder: &str) -> Vec<String> {
    place.does(&format!("ls -A {folder}")).lines().map(str::to_owned).collect()
}

#[test]
fn a_rotation_that_is_killed_or_interrupted_goes_on_where_it_was() {
    let expected: Vec<String> = (0..FILES).map(|number| format!("{number:03}.yaml")).collect();
    let mut stopped = 0;
    for (signal, milliseconds) in [("KILL", 15), ("INT", 30), ("KILL", 45), ("TERM", 60), ("INT", 90)] {
        let place = Place::new();
        tree(&place, "tree");
        rules(&place, &[&Keys::shared().alice]);
        let line = "exec bulla rotate tree & echo $! > pid; wait $!";
        let command = place.shell(line).env("SOPS_AGE_KEY_FILE", Keys::shared().path("alice.key"));
        let running = command.start().unwrap();
        std::thread::sleep(Duration::from_millis(milliseconds));
        if let Ok(pid) = fs::read_to_string(place.file("pid")) {
            place.run(&format!("kill -{signal} {} 2>/dev/null", pid.trim()));
        }
        running.finish(Duration::from_mins(1)).unwrap();
        assert_eq!(names(&place, "tree"), expected, "nothing is left beside the files");
        let done = without_bob(&place, "tree");
        stopped += usize::from(done < FILES);
        let check = place.run("bulla rotate --check tree");
        assert_eq!(check.code(), Some(i32::from(done < FILES)), "{}", check.stderr_text());
        let rest = place.does("bulla rotate --json tree");
        let report: serde_json::Value = serde_json::from_str(&rest).unwrap();
        let rotated = report.as_array().unwrap().iter().filter(|file| file["action"] == "rotated").count();
        assert_eq!(rotated, FILES - done, "what was done is passed over");
        assert_eq!(without_bob(&place, "tree"), FILES);
        place.does("bulla rotate --check tree");
        assert_eq!(names(&place, "tree"), expected);
    }
    assert!(stopped > 0, "no rotation was stopped in time");
}

#[test]
fn on_a_terminal_it_tells_how_far_it_is_and_elsewhere_nothing() {
    let place = Place::new();
    // Each takes longer than the last: there is something to tell.
    tree(&place, "tree");
    rules(&place, &[&Keys::shared().alice]);
    for number in 0..FILES {
        let large: Vec<_> = (0..2_000).map(|key| format!("key-{key}: value {number}-{key}\n")).collect();
        place.write(&format!("tree/{number:03}.yaml"), large.concat());
    }
    let elsewhere = place.run("bulla encrypt --in-place tree");
    assert_eq!(elsewhere.stderr_text(), format!("{FILES} files encrypted\n"));
    // `script` gives it a terminal, and writes what it shows there.
    let line = "script --quiet --return --command 'bulla rotate --all tree' /dev/null";
    let shown = place.run(line);
    assert_eq!(shown.code(), Some(0), "{}", shown.stdout_text());
    let text = shown.stdout_text();
    assert!(text.contains(&format!("of {FILES} files")), "{text:?}");
    let last = text.rsplit("\r\u{1b}[K").next().unwrap();
    assert!(last.contains(&format!("{FILES} files rotated")), "the line is gone before the end is told: {last:?}");
}

#[test]
fn a_full_disk_ends_a_rotation_with_every_file_whole() {
    let place = Place::new();
    fs::create_dir(place.file("disk")).unwrap();
    if place.run("mount -t tmpfs -o size=2m tmpfs disk").code() != Some(0) {
        // Only who may mount can make a disk that is full.
        return;
    }
    tree(&place, "disk");
    rules(&place, &[&Keys::shared().alice]);
    // What is free is less than a file needs.
    place.run("dd if=/dev/zero of=disk/.filler bs=4096 2>/dev/null");
    let finished = place.run("bulla rotate disk");
    let done = without_bob(&place, "disk");
    let left = names(&place, "disk");
    fs::remove_file(place.file("disk/.filler")).unwrap();
    let after = place.run("bulla rotate disk");
    let finally = without_bob(&place, "disk");
    place.does("umount disk");
    assert_eq!(finished.code(), Some(3), "{}", finished.stderr_text());
    assert!(finished.stderr_text().contains("the file is as it was; free some space"), "{}", finished.stderr_text());
    assert!(done < FILES);
    assert_eq!(left.len(), FILES + 1, "{left:?}");
    assert_eq!((after.code(), finally), (Some(0), FILES), "{}", after.stderr_text());
}

#[test]
fn what_is_read_only_is_told_and_the_rest_is_done() {
    let place = Place::new();
    let keys = Keys::shared();
    rules(&place, &[&keys.alice, &keys.bob]);
    for name in ["open/a.yaml", "closed/a.yaml"] {
        place.write(name, "a: x\n");
    }
    place.does("bulla encrypt --in-place open closed");
    rules(&place, &[&keys.alice]);
    let before = place.read("closed/a.yaml");
    let mode = |path: &str, mode| fs::set_permissions(place.file(path), Permissions::from_mode(mode)).unwrap();
    for path in ["", "open"] {
        mode(path, 0o777);
    }
    if fs::metadata("/proc/self").unwrap().uid() == 0 {
        std::os::unix::fs::chown(place.file("open/a.yaml"), Some(65534), Some(65534)).unwrap();
    }
    mode("closed", 0o555);
    mode("closed/a.yaml", 0o444);
    let finished = crate::mishaps::as_anybody(&place, "SOPS_AGE_KEY_FILE=$KEYS/alice.key bulla rotate open closed");
    mode("closed", 0o755);
    assert_eq!(finished.code(), Some(3), "{}", finished.stderr_text());
    let told = finished.stderr_text();
    assert!(told.contains("closed/a.yaml") && told.contains("read-only"), "{told}");
    assert_eq!(place.read("closed/a.yaml"), before);
    assert!(!place.read("open/a.yaml").contains(&keys.bob), "{told}");
}
