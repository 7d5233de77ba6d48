//! What happens to files when something goes wrong: the old one is whole, and nothing else is left.

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::time::Duration;

use bulla_testkit::process::{Finished, Program};

use crate::fixture::{Keys, PASSPHRASE, Place};

/// A document of about this many bytes.
fn document(bytes: usize) -> String {
    let mut text = String::from("values:\n");
    let mut number = 0;
    while text.len() < bytes {
        let _ = writeln!(text, "    key-{number}: value {number} # comment");
        number += 1;
    }
    text
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// Runs a line as a user who is not root, whoever runs the tests.
pub(crate) fn as_anybody(place: &Place, line: &str) -> Finished {
    if !is_root() {
        return place.run(line);
    }
    let all = Permissions::from_mode(0o755);
    fs::set_permissions(place.root(), all.clone()).unwrap();
    fs::set_permissions(Keys::shared().directory(), all).unwrap();
    let key = Keys::shared().path("alice.key");
    fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
    place.run(&format!("setpriv --reuid=65534 --regid=65534 --clear-groups sh -c '{line}'"))
}

#[test]
fn a_full_disk_leaves_the_old_file() {
    let place = Place::new();
    fs::create_dir(place.file("disk")).unwrap();
    let mounted = place.run("mount -t tmpfs -o size=96k tmpfs disk").code() == Some(0);
    if !mounted {
        // Without the right to mount, a limit on the size of files has to do; it ends the program.
        let plain = document(60_000);
        place.write("a.yaml", &plain);
        let finished = place.run("ulimit -f 32; exec bulla encrypt --in-place --age $ALICE a.yaml");
        assert_ne!(finished.code(), Some(0));
        assert_eq!(place.read("a.yaml"), plain);
        assert_eq!(place.names(), ["a.yaml", "disk"]);
        return;
    }
    let plain = document(60_000);
    place.write("disk/a.yaml", &plain);
    let finished = place.run("bulla encrypt --in-place --age $ALICE disk/a.yaml");
    let after = place.read("disk/a.yaml");
    let names = place.run("ls -A disk").stdout_text();
    let new = place.run("bulla encrypt --age $ALICE disk/a.yaml --output disk/b.yaml; ls -A disk");
    place.does("umount disk");
    assert_eq!(finished.code(), Some(3), "{}", finished.stderr_text());
    assert!(finished.stderr_text().contains("the file is as it was; free some space"), "{}", finished.stderr_text());
    assert_eq!(after, plain);
    assert_eq!(names, "a.yaml\n");
    assert_eq!(new.stdout_text(), "a.yaml\n");
}

#[test]
fn standard_output_that_takes_nothing_is_an_error() {
    let place = Place::new();
    place.write("a.yaml", "a: x\n");
    let finished = place.run("bulla encrypt --age $ALICE a.yaml >/dev/full");
    assert_eq!(finished.code(), Some(3));
    assert!(finished.stderr_text().starts_with("error: a.yaml: standard output: "), "{}", finished.stderr_text());
}

#[test]
fn what_is_read_only_is_not_written() {
    let place = Place::new();
    for folder in ["open", "closed"] {
        place.write(&format!("{folder}/a.yaml"), "a: x\n");
    }
    let mode = |path: &str, mode| fs::set_permissions(place.file(path), Permissions::from_mode(mode)).unwrap();
    mode("open", 0o777);
    mode("open/a.yaml", 0o444);
    mode("closed/a.yaml", 0o666);
    mode("closed", 0o555);
    for (path, message) in [("open/a.yaml", "is read-only"), ("closed/a.yaml", "cannot create a file beside it")] {
        let finished = as_anybody(&place, &format!("bulla encrypt --in-place --age $ALICE {path}"));
        assert_eq!(finished.code(), Some(3), "{}", finished.stderr_text());
        assert!(finished.stderr_text().contains(message), "{}", finished.stderr_text());
        assert_eq!(place.read(path), "a: x\n");
    }
    // Its own file in a directory of its own can be written, core dumps and `/proc` forbidden or not.
    place.write("open/b.yaml", "a: x\n");
    if is_root() {
        std::os::unix::fs::chown(place.file("open/b.yaml"), Some(65534), Some(65534)).unwrap();
    }
    let finished = as_anybody(&place, "bulla encrypt --in-place --age $ALICE open/b.yaml");
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr_text());
    assert!(place.read("open/b.yaml").contains("ENC["));
    mode("open/a.yaml", 0o000);
    let finished = as_anybody(&place, "bulla encrypt --in-place --age $ALICE open/a.yaml");
    assert_eq!(finished.code(), Some(2), "{}", finished.stderr_text());
    mode("closed", 0o755);
}

#[test]
fn under_the_name_sops_a_file_that_cannot_be_replaced_is_written_over() {
    let place = Place::new();
    place.write("closed/a.yaml", "a: x\n");
    let mode = |path: &str, mode| fs::set_permissions(place.file(path), Permissions::from_mode(mode)).unwrap();
    mode("closed/a.yaml", 0o666);
    mode("closed", 0o555);
    let inode = fs::metadata(place.file("closed/a.yaml")).unwrap().ino();
    for (line, found) in [
        ("bulla sops encrypt --in-place --age $ALICE closed/a.yaml", "ENC["),
        ("bulla sops set closed/a.yaml \"[\\\"a\\\"]\" \"\\\"y\\\"\"", "ENC["),
        ("SOPS_AGE_KEY_FILE=$KEYS/alice.key bulla sops decrypt --in-place closed/a.yaml", "a: \"y\"\n"),
    ] {
        let finished = as_anybody(&place, line);
        assert_eq!(finished.code(), Some(0), "{line}: {}", finished.stderr_text());
        let now = place.read("closed/a.yaml");
        assert!(now.contains(found) && now.starts_with("a: "), "{line}: {now}");
        assert_eq!(fs::metadata(place.file("closed/a.yaml")).unwrap().ino(), inode);
    }
    mode("closed", 0o755);
    assert_eq!(place.names(), ["closed"]);

    // A single file that is mounted, as into a container.
    place.write("a.yaml", "a: x\n");
    if place.run("mount --bind a.yaml a.yaml").code() != Some(0) {
        return;
    }
    let own = place.run("bulla encrypt --in-place --age $ALICE a.yaml");
    let before = place.read("a.yaml");
    let as_sops = place.run("bulla sops encrypt --in-place --age $ALICE a.yaml");
    let after = place.read("a.yaml");
    place.does("umount a.yaml");
    assert_eq!(own.code(), Some(3));
    assert!(own.stderr_text().contains("mount its directory"), "{}", own.stderr_text());
    assert_eq!(before, "a: x\n");
    assert_eq!(as_sops.code(), Some(0), "{}", as_sops.stderr_text());
    assert!(after.contains("ENC["), "{after}");
    assert_eq!(place.names(), ["a.yaml", "closed"]);
}

#[test]
fn no_name_in_a_file_steers_the_terminal_or_looks_like_a_line_of_ours() {
    let place = Place::new();
    place.write("a.yaml", "a: x\n");
    place.does("bulla encrypt --in-place --age $ALICE a.yaml");
    let hostile = r#""age1\e]0;pwn\a\u009b\u202e\nGroup 2\n  PLAIN      faked""#;
    let file = place.read("a.yaml").replace(&Keys::shared().alice, hostile);
    assert!(file.contains(hostile));
    place.write("a.yaml", &file);
    place.write(".sops.yaml", format!("creation_rules: [{{age: {}}}]\n", Keys::shared().alice));
    for line in [
        "bulla status a.yaml",
        "bulla status --json a.yaml",
        "bulla verify a.yaml",
        "bulla rotate --plan a.yaml",
        "bulla rotate --plan --json a.yaml",
        "SOPS_AGE_KEY_FILE=$KEYS/bob.key bulla decrypt a.yaml",
        "SOPS_AGE_KEY_FILE=$KEYS/bob.key bulla sops decrypt a.yaml",
        "echo n | bulla sops updatekeys a.yaml",
    ] {
        let finished = place.run(line);
        let said = finished.stdout_text() + &finished.stderr_text();
        assert!(said.contains("pwn"), "{line}: {said}");
        let steers = |character: char| (character.is_control() && character != '\n') || character == '\u{202e}';
        assert!(!said.contains(steers), "{line}: {said:?}");
        let faked = said.lines().any(|line| line.starts_with("Group 2") || line.trim().starts_with("PLAIN"));
        assert!(!faked, "{line}: {said}");
    }
}

#[test]
fn mode_owner_and_link_stay() {
    let place = Place::new();
    place.write("real/a.yaml", "a: x\n");
    symlink("real/a.yaml", place.file("link.yaml")).unwrap();
    fs::set_permissions(place.file("real/a.yaml"), Permissions::from_mode(0o640)).unwrap();
    if is_root() {
        std::os::unix::fs::chown(place.file("real/a.yaml"), Some(65534), Some(65534)).unwrap();
    }
    let before = fs::metadata(place.file("real/a.yaml")).unwrap();
    place.does("bulla encrypt --in-place --age $ALICE link.yaml");
    let after = fs::metadata(place.file("real/a.yaml")).unwrap();
    assert!(place.file("link.yaml").is_symlink());
    assert!(place.read("real/a.yaml").contains("ENC["));
    assert_eq!((after.mode(), after.uid(), after.gid()), (before.mode(), before.uid(), before.gid()));
    assert_eq!(place.names(), ["link.yaml", "real"]);
}

#[test]
fn a_file_with_another_name_is_told() {
    let place = Place::new();
    place.write("a.yaml", "a: x\n");
    fs::hard_link(place.file("a.yaml"), place.file("b.yaml")).unwrap();
    let finished = place.run("bulla encrypt --in-place --age $ALICE a.yaml");
    assert!(finished.stderr_text().contains("warning: a.yaml: the file has other names"), "{}", finished.stderr_text());
}

#[test]
fn a_killed_command_leaves_the_old_file_or_the_new_one_and_nothing_else() {
    let place = Place::new();
    let plain = document(200_000);
    let (mut old, mut new) = (0, 0);
    for round in 0..24 {
        place.write("a.yaml", &plain);
        let command = place.shell("exec bulla encrypt --in-place --age $ALICE a.yaml & echo $! > pid; wait $!");
        let running = command.start().unwrap();
        std::thread::sleep(Duration::from_millis(10 + 17 * round));
        if let Ok(pid) = fs::read_to_string(place.file("pid")) {
            place.run(&format!("kill -9 {} 2>/dev/null", pid.trim()));
        }
        running.finish(Duration::from_mins(1)).unwrap();
        let _ = fs::remove_file(place.file("pid"));
        if place.read("a.yaml") == plain {
            old += 1;
        } else {
            new += 1;
            assert_eq!(place.does("bulla decrypt a.yaml"), plain);
        }
        assert_eq!(place.names(), ["a.yaml"]);
    }
    assert!(old > 0, "no command was killed in time; {new} ended before");
}

#[test]
fn an_interrupted_edit_leaves_no_plaintext() {
    for (signal, code) in [("TERM", 143), ("HUP", 129)] {
        let place = Place::new();
        place.write("a.yaml", "a: x\n");
        place.does("bulla encrypt --in-place --age $ALICE a.yaml");
        let before = place.read("a.yaml");
        // The editor says where the plaintext is and who runs it, and waits.
        place.write("editor", "echo \"$1\" > place; echo $$ > editor-pid; echo $PPID > pid; exec sleep 60\n");
        let running =
            place.shell("EDITOR='sh ./editor' SOPS_AGE_KEY_FILE=$KEYS/alice.key bulla edit a.yaml").start().unwrap();
        let pid = bulla_testkit::control_plane::wait_for("the editor to start", Duration::from_secs(30), || {
            fs::read_to_string(place.file("pid")).ok().filter(|pid| pid.ends_with('\n'))
        });
        let plaintext = place.read("place");
        assert_eq!(fs::read_to_string(plaintext.trim()).unwrap(), "a: x\n");
        place.does(&format!("kill -{signal} {}", pid.trim()));
        let finished = running.finish(Duration::from_secs(30));
        place.run("kill $(cat editor-pid)");
        assert_eq!(finished.unwrap().code(), Some(code));
        assert!(!Path::new(plaintext.trim()).parent().unwrap().exists());
        assert_eq!(place.read("a.yaml"), before);
    }
}

/// Starts an edit whose editor saves `text` (a line for sh in which `$1` is the file) and waits. Gives the process and where the plaintext is.
fn waiting_edit(place: &Place, save: &str) -> (bulla_testkit::process::Running, String, String) {
    place.write("a.yaml", "a: hunter2-planted\nb: y\n");
    place.does("bulla encrypt --in-place --age $ALICE a.yaml");
    place.write(
        "editor",
        format!("{save}; echo $$ > editor-pid; echo \"$1\" > place; echo $PPID > pid; exec sleep 60\n"),
    );
    let running =
        place.shell("EDITOR='sh ./editor' SOPS_AGE_KEY_FILE=$KEYS/alice.key bulla edit a.yaml").start().unwrap();
    let pid = bulla_testkit::control_plane::wait_for("the editor to start", Duration::from_secs(30), || {
        fs::read_to_string(place.file("pid")).ok().filter(|pid| pid.ends_with('\n'))
    });
    (running, pid.trim().to_owned(), place.read("place").trim().to_owned())
}

#[test]
fn an_edit_that_is_killed_leaves_no_plaintext_and_loses_nothing_that_was_saved() {
    // Ourselves, then the editor, then both.
    for who in ["$(cat pid)", "$(cat editor-pid)", "$(cat pid) $(cat editor-pid)"] {
        let place = Place::new();
        let (running, _, plaintext) = waiting_edit(&place, "sed -i s/hunter2-planted/hunter3-planted/ \"$1\"");
        let edits = place.root().join("home/.local/state/bulla/edits");
        bulla_testkit::control_plane::wait_for("the save to be kept", Duration::from_secs(30), || {
            fs::read_dir(&edits).ok()?.flatten().find(|entry| entry.path().extension().is_some_and(|end| end == "json"))
        });
        let limits = place.does("cat /proc/$(cat pid)/limits");
        let cores = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert_eq!(cores.split_whitespace().nth(4), Some("0"), "{cores}");
        place.does(&format!("kill -9 {who}"));
        running.finish(Duration::from_secs(30)).unwrap();
        place.run("kill -9 $(cat editor-pid)");
        let directory = Path::new(&plaintext).parent().unwrap().to_path_buf();
        bulla_testkit::control_plane::wait_for("the plaintext to go", Duration::from_secs(30), || {
            (!directory.exists()).then_some(())
        });
        let left = place.run("grep -rl hunter. \"$HOME\" \"$TMPDIR\" a.yaml /dev/shm").stdout_text();
        assert_eq!(left, "", "{who}");
        // The file is as it was, and the work is there for the next edit.
        assert_eq!(place.does("bulla decrypt a.yaml"), "a: hunter2-planted\nb: y\n");
        place.does("EDITOR='sed -i s/y/z/' bulla edit --recover a.yaml");
        assert_eq!(place.does("bulla decrypt a.yaml"), "a: hunter3-planted\nb: z\n", "{who}");
        assert_eq!(fs::read_dir(&edits).unwrap().count(), 0);
    }
}

#[test]
fn of_two_who_edit_a_file_neither_loses_anything() {
    let place = Place::new();
    place.write("a.yaml", "a: x\nb: y\n");
    place.does("bulla encrypt --in-place --age $ALICE a.yaml");
    place.write("slow", "sed -i s/x/slow/ \"$1\"; touch started; until test -e go; do sleep 0.02; done\n");
    let slow = place.shell("EDITOR='sh ./slow' SOPS_AGE_KEY_FILE=$KEYS/alice.key bulla edit a.yaml").start().unwrap();
    bulla_testkit::control_plane::wait_for("the first editor", Duration::from_secs(30), || {
        let edits = fs::read_dir(place.root().join("home/.local/state/bulla/edits")).ok()?;
        (place.file("started").exists() && edits.count() == 2).then_some(())
    });
    // Nothing of the first is offered to the second, which may keep something itself.
    let quick = place.run("EDITOR='sed -i s/y/quick/' bulla edit a.yaml");
    assert_eq!((quick.code(), quick.stderr_text().as_str()), (Some(0), ""));
    place.write("go", "");
    let slow = slow.finish(Duration::from_secs(30)).unwrap();
    assert_eq!(slow.code(), Some(211), "{}", slow.stderr_text());
    assert!(slow.stderr_text().contains("`bulla edit --recover a.yaml` goes on with it"), "{}", slow.stderr_text());
    assert_eq!(place.does("bulla decrypt a.yaml"), "a: x\nb: quick\n");
    place.does("EDITOR='sed -i s/y$/both/' bulla edit --recover a.yaml");
    assert_eq!(place.does("bulla decrypt a.yaml"), "a: slow\nb: both\n");
    assert_eq!(fs::read_dir(place.root().join("home/.local/state/bulla/edits")).unwrap().count(), 0);
}

#[test]
fn an_edit_is_kept_when_its_file_cannot_be_written() {
    let place = Place::new();
    place.write("a.yaml", "a: hunter2-planted\n");
    place.does("bulla encrypt --in-place --age $ALICE a.yaml");
    let finished =
        place.run("EDITOR='sh -c \"sed -i s/hunter2/hunter3/ $0; rm a.yaml; mkdir a.yaml\"' bulla edit a.yaml");
    assert_eq!(finished.code(), Some(3), "{}", finished.stderr_text());
    assert!(finished.stderr_text().contains("what was saved is kept, encrypted, in"), "{}", finished.stderr_text());
    let text = place.does("bulla decrypt --extract '[\"text\"]' $HOME/.local/state/bulla/edits/*.json");
    assert_eq!(text, "a: hunter3-planted\n");
}

#[test]
fn an_invalid_edit_ends_where_nobody_is_there_to_correct_it() {
    let place = Place::new();
    place.write("a.yaml", "a: x\n");
    place.does("bulla encrypt --in-place --age $ALICE a.yaml");
    // A terminal whose input ends at once: the editor is started once and not for ever.
    let line = "script --quiet --return --command \"EDITOR='sh ./editor' bulla edit a.yaml\" /dev/null < /dev/null";
    place.write("editor", "echo run >> runs; echo 'a: [' > \"$1\"\n");
    let finished = place.shell(line).env("SOPS_AGE_KEY_FILE", Keys::shared().path("alice.key")).run().unwrap();
    assert_eq!(finished.code(), Some(2), "{}", finished.stdout_text());
    assert_eq!(place.read("runs"), "run\n");
    let line = "script --quiet --return --command \"EDITOR='sh ./editor' bulla edit --recover a.yaml\" /dev/null";
    let command = place.shell(line).env("SOPS_AGE_KEY_FILE", Keys::shared().path("alice.key")).stdin("\nq\n");
    let finished = command.run().unwrap();
    assert_eq!(finished.code(), Some(2), "{}", finished.stdout_text());
    assert_eq!(place.read("runs"), "run\nrun\nrun\n");
    assert_eq!(fs::read_dir(place.root().join("home/.local/state/bulla/edits")).unwrap().count(), 0);
}

#[test]
fn vim_leaves_nothing_of_what_it_edits_whatever_its_settings_are() {
    let place = Place::new();
    if place.run("command -v vim").code() != Some(0) {
        return; // There is none on this machine.
    }
    place.write("a.yaml", "a: hunter2-planted\n");
    place.does("bulla encrypt --in-place --age $ALICE a.yaml");
    // Whoever has these settings has every file that they edit on the disk, many times.
    let settings = "set nocompatible backup writebackup undofile swapfile updatecount=1\n\
        set directory=~/vim// backupdir=~/vim// undodir=~/vim// viminfo='100,\\\"100,n~/vim/info\n";
    fs::create_dir(place.root().join("home/vim")).unwrap();
    fs::write(place.root().join("home/.vimrc"), settings).unwrap();
    place.write("keys", "ayyp:s/hunter2/hunter3/\r:wq\r");
    place.write("typed", "yyp:s/hunter2-planted/hunter3/\r:s/a:/b:/\r:w\r:!ls -A ~/vim > listed\r\r:q\r");
    let line = "SOPS_AGE_KEY_FILE=$KEYS/alice.key EDITOR='vim -T dumb -s typed' \
        script --quiet --return --command 'bulla edit a.yaml' /dev/null";
    let finished = place.shell(line).run().unwrap();
    assert_eq!(finished.code(), Some(0), "{}", finished.stdout_text());
    assert_eq!(place.does("bulla decrypt a.yaml"), "a: hunter2-planted\nb: hunter3\n");
    assert_eq!(place.read("listed"), "");
    assert_eq!(fs::read_dir(place.root().join("home/vim")).unwrap().count(), 0);
    assert_eq!(place.run("grep -rl hunter. \"$HOME\" \"$TMPDIR\" /dev/shm").stdout_text(), "");
}

#[test]
fn a_value_is_asked_for_twice() {
    let place = Place::new();
    place.write("a.yaml", "a: x\n");
    place.does("bulla encrypt --in-place --age $ALICE a.yaml");
    let ask = |typed: &str| {
        let line = "SOPS_AGE_KEY_FILE=$KEYS/alice.key script --quiet --return --command 'bulla set a.yaml a' /dev/null";
        place.shell(line).stdin(typed).run().unwrap()
    };
    let finished = ask("hunter2-planted\nhunter3\nswordfish\nswordfish\n");
    assert_eq!(finished.code(), Some(0), "{}", finished.stdout_text());
    assert!(finished.stdout_text().contains("The two are not the same."), "{}", finished.stdout_text());
    assert_eq!(place.does("bulla decrypt a.yaml"), "a: swordfish\n");
    assert_eq!(ask("\n\n").code(), Some(100));
}

#[test]
fn a_program_runs_as_another_user_with_their_files_and_groups() {
    if !is_root() {
        return; // Only root may.
    }
    let place = Place::new();
    place.write("a.yaml", "a: hunter2-planted\n");
    place.does("bulla encrypt --in-place --age $ALICE a.yaml");
    let as_nobody = |options: &str, line: &str| {
        place.does(&format!("cd /; bulla exec --user nobody {options} {}/a.yaml -- {line}", place.path().display()))
    };
    let expected = place.does("id -u nobody; id -G nobody");
    assert_eq!(as_nobody("", "sh -c 'id -u; id -G; test \"$a\" = hunter2-planted && test $USER = nobody'"), expected);
    assert_eq!(as_nobody("--as files", "sh -c 'cat {}/a; test -O {}'"), "hunter2-planted");
    assert_eq!(as_nobody("--as document --fifo", "cat {}"), "a: hunter2-planted\n");
    assert_eq!(as_nobody("--as document --same-process", "cat {}"), "a: hunter2-planted\n");

    let credentials = "export VAULT_TOKEN=t AWS_SECRET_ACCESS_KEY=s GOOGLE_CREDENTIALS={} AWS_REGION=r; cd /;";
    let shown = "sh -c 'echo $AWS_REGION $VAULT_TOKEN $AWS_SECRET_ACCESS_KEY $GOOGLE_CREDENTIALS $SOPS_AGE_KEY_FILE'";
    let file = place.path().join("a.yaml").display().to_string();
    let ran = |command: &str| place.does(&format!("{credentials} {command}"));
    assert_eq!(ran(&format!("bulla exec --user nobody {file} -- {shown}")), "r\n");
    assert!(ran(&format!("bulla exec {file} -- {shown}")).starts_with("r t s {} /"), "our own user keeps them");
    let line = "test -n \"$SOPS_AGE_KEY_FILE\" && echo $VAULT_TOKEN";
    assert_eq!(ran(&format!("bulla sops exec-env --user nobody {file} '{line}'")), "t\n", "as sops");
}

#[test]
fn what_another_user_puts_in_the_place_of_their_directory_stays_as_it_is() {
    if !is_root() {
        return; // Only root may.
    }
    let place = Place::new();
    place.write("a.yaml", "a: hunter2-planted\n");
    place.does("bulla encrypt --in-place --age $ALICE a.yaml");
    let victim = place.root().join("victim");
    fs::create_dir(&victim).unwrap();
    fs::write(victim.join("file"), "stays").unwrap();
    for options in ["", "--fifo"] {
        let swap = format!("d=$(dirname {{}}); echo $d && mv $d $d.away && ln -s {} $d", victim.display());
        let file = place.path().join("a.yaml");
        let line = format!(
            "cd /; export TMPDIR=/tmp; bulla exec --as document {options} --user nobody {} -- sh -c '{swap}'",
            file.display()
        );
        let directory = place.does(&line);
        let directory = Path::new(directory.trim());
        assert_eq!(fs::read(victim.join("file")).unwrap(), b"stays");
        assert!(!directory.is_symlink(), "the link itself goes");
        let away = directory.with_extension("tmp.away");
        assert_eq!(fs::read_dir(&away).unwrap().count(), 0, "the plaintext is gone from where it was moved to");
        fs::remove_dir(away).unwrap();
    }
}

#[test]
fn signals_go_to_the_program_that_runs_and_nothing_stays() {
    for (signal, code) in [("TERM", 42), ("INT", 43), ("HUP", 44), ("USR1", 45)] {
        let place = Place::new();
        place.write("a.yaml", "a: hunter2-planted\n");
        place.does("bulla encrypt --in-place --age $ALICE a.yaml");
        place.write(
            "program",
            "trap 'exit 42' TERM; trap 'exit 43' INT; trap 'exit 44' HUP; trap 'exit 45' USR1\n\
             echo \"$1\" > place; echo $PPID > pid; while :; do sleep 0.05; done\n",
        );
        let line = "SOPS_AGE_KEY_FILE=$KEYS/alice.key bulla exec --as document a.yaml -- sh ./program {}";
        let running = place.shell(line).start().unwrap();
        let pid = bulla_testkit::control_plane::wait_for("the program to start", Duration::from_secs(30), || {
            fs::read_to_string(place.file("pid")).ok().filter(|pid| pid.ends_with('\n'))
        });
        let file = place.read("place");
        assert_eq!(fs::read_to_string(file.trim()).unwrap(), "a: hunter2-planted\n");
        place.does(&format!("kill -{signal} {}", pid.trim()));
        assert_eq!(running.finish(Duration::from_secs(30)).unwrap().code(), Some(code), "{signal}");
        assert!(!Path::new(file.trim()).parent().unwrap().exists());
    }
}

#[test]
fn an_interrupt_of_the_terminal_reaches_the_program_once() {
    let place = Place::new();
    place.write("a.yaml", "a: hunter2-planted\n");
    place.does("bulla encrypt --in-place --age $ALICE a.yaml");
    place.write(
        "program",
        "trap 'echo int >> interrupts' INT\ntouch started\nuntil test -e interrupts; do sleep 0.05; done\nsleep 0.5\nexit 9\n",
    );
    let line = "(until test -e started; do sleep 0.05; done; printf '\\003'; sleep 2) | SOPS_AGE_KEY_FILE=$KEYS/alice.key \
        script --quiet --return --command 'exec bulla exec a.yaml -- sh ./program' /dev/null";
    let finished = place.shell(line).run().unwrap();
    assert_eq!(finished.code(), Some(9), "{}{}", finished.stdout_text(), finished.stderr_text());
    assert_eq!(place.read("interrupts"), "int\n");
}

#[test]
fn of_many_commands_that_change_a_file_none_is_lost_silently() {
    let place = Place::new();
    place.write("a.yaml", "start: x\n");
    place.does("bulla encrypt --in-place --age $ALICE a.yaml");
    let codes: Vec<(usize, Option<i32>)> = std::thread::scope(|scope| {
        let set = |number| place.run(&format!("printf {number} | bulla set a.yaml '[\"key{number}\"]'")).code();
        let writers: Vec<_> = (0..8).map(|number| scope.spawn(move || (number, set(number)))).collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    let plain = place.does("bulla decrypt a.yaml");
    for (number, code) in &codes {
        assert!(matches!(code, Some(0 | 211)), "{codes:?}");
        assert_eq!(plain.contains(&format!("key{number}:")), *code == Some(0), "{codes:?}\n{plain}");
    }
    assert!(codes.iter().any(|(_, code)| *code == Some(0)));
    assert_eq!(place.names(), ["a.yaml"]);
}

#[test]
fn four_megabytes_come_back_to_the_byte() {
    let place = Place::new();
    let plain = document(4 << 20);
    place.write("a.yaml", &plain);
    let encrypt = place.shell("bulla encrypt --in-place --age $ALICE a.yaml").time_limit(Duration::from_mins(5));
    assert_eq!(encrypt.run().unwrap().code(), Some(0));
    assert!(!place.read("a.yaml").contains(": value"));
    let decrypt = place.shell("SOPS_AGE_KEY_FILE=$KEYS/alice.key bulla decrypt --in-place a.yaml");
    assert_eq!(decrypt.time_limit(Duration::from_mins(5)).run().unwrap().code(), Some(0));
    assert!(place.read("a.yaml") == plain);
}

#[test]
fn a_tree_of_files_is_done_in_order_and_failures_do_not_stop_it() {
    let place = Place::new();
    for number in 0..60 {
        let content = if number % 20 == 7 { "a: [\n".to_owned() } else { format!("a: value {number}\n") };
        place.write(&format!("tree/{number:02}.yaml"), content);
    }
    let finished = place.run("bulla encrypt --in-place --age $ALICE tree");
    assert_eq!(finished.code(), Some(2));
    let errors: Vec<String> = finished.stderr_text().lines().map(str::to_owned).collect();
    for (error, number) in errors.iter().zip([7, 27, 47]) {
        assert!(error.starts_with(&format!("error: tree/{number:02}.yaml: line 2")), "{error}");
    }
    assert_eq!(errors[3..], ["57 files encrypted, 3 failed"]);
    let finished = place.run("bulla decrypt --in-place tree");
    assert_eq!(finished.stderr_text(), "57 files decrypted, 3 passed over\n");
    assert_eq!(place.read("tree/59.yaml"), "a: value 59\n");
}

#[test]
fn a_passphrase_is_asked_for_on_the_terminal_only() {
    let place = Place::new();
    place.write("a.yaml", "a: x\n");
    place.does("bulla encrypt --in-place --age $ALICE a.yaml");
    // `script` gives it a terminal, and writes what it reads there.
    let line =
        "script --quiet --return --command 'SOPS_AGE_KEY_FILE=$KEYS/locked.key bulla decrypt a.yaml > plain' /dev/null";
    let command: Program = place.shell(line).stdin(format!("{PASSPHRASE}\n"));
    let finished = command.run().unwrap();
    assert_eq!(finished.code(), Some(0), "{}{}", finished.stdout_text(), finished.stderr_text());
    assert_eq!(place.read("plain"), "a: x\n");
    assert!(finished.stdout_text().contains("Passphrase of the identity file"), "{}", finished.stdout_text());
    assert!(!place.read("plain").contains(PASSPHRASE));
}
