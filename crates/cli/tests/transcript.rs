//! Transcripts: text files with commands and all they print, walked. `UPDATE_TRANSCRIPTS=1 cargo test -p bulla` writes what is printed now;
//! read the difference before it is committed.
//!
//! ```text
//! # prose
//! needs peers                 the real programs are found, and the transcript is left out where they are
//! secret hunter2              neither this nor its base64 may ever be on standard error
//! file app.yaml               the lines that follow with `|` are its content
//! | password: hunter2
//! $ bulla encrypt app.yaml    a line for `sh`, with Alice's identity in SOPS_AGE_KEY_FILE
//! | …                         its standard output
//! ! …                         its standard error
//! ? 111                       its exit code, if not 0
//! ```
//!
//! What differs from run to run is replaced by words in brackets, see [`settle`].

use std::fmt::Write as _;

use bulla_testkit::peers;
use bulla_testkit::vectors::{File, files};

use crate::fixture::{Keys, Place};

#[test]
fn every_transcript_is_what_happens() {
    let transcripts = files("crates/cli/tests/transcripts");
    assert!(transcripts.len() >= 12, "transcripts went missing: {} left", transcripts.len());
    let update = std::env::var_os("UPDATE_TRANSCRIPTS").is_some();
    let failures: Vec<String> = std::thread::scope(|scope| {
        let check = |transcript: &File| check(transcript, update);
        let threads: Vec<_> = transcripts.iter().map(|transcript| scope.spawn(move || check(transcript))).collect();
        threads.into_iter().filter_map(|thread| thread.join().unwrap().err()).collect()
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn check(transcript: &File, update: bool) -> Result<(), String> {
    let expected = std::fs::read_to_string(&transcript.path).unwrap();
    let Some(actual) = play(&expected, &transcript.name)? else { return Ok(()) };
    if actual == expected {
        return Ok(());
    }
    if update {
        std::fs::write(&transcript.path, actual).unwrap();
        return Ok(());
    }
    let line = expected.lines().zip(actual.lines()).take_while(|(expected, actual)| expected == actual).count();
    let from = |text: &str| text.lines().skip(line.saturating_sub(3)).take(12).collect::<Vec<_>>().join("\n");
    Err(format!(
        "{} differs from line {} on\n--- expected\n{}\n--- found\n{}\n(UPDATE_TRANSCRIPTS=1 writes what is found)",
        transcript.name,
        line + 1,
        from(&expected),
        from(&actual)
    ))
}

/// The transcript with what is printed now; `None` if it is left out.
fn play(text: &str, name: &str) -> Result<Option<String>, String> {
    let mut place = Place::new();
    let mut secrets: Vec<&str> = Vec::new();
    let mut out = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(command) = line.strip_prefix("$ ") {
            while lines.next_if(|line| ["|", "!", "?"].iter().any(|mark| line.starts_with(mark))).is_some() {}
            let _ = writeln!(out, "{line}");
            run(command, &place, &secrets, &mut out).map_err(|error| format!("{name}: {command}: {error}"))?;
            continue;
        }
        let _ = writeln!(out, "{line}");
        if let Some(file) = line.strip_prefix("file ") {
            let mut content = String::new();
            while let Some(line) = lines.next_if(|line| line.starts_with('|')) {
                let _ = writeln!(out, "{line}");
                let line = line.strip_prefix("| ").or(line.strip_prefix('|')).unwrap_or_default();
                let _ = writeln!(content, "{line}");
            }
            let content = content.replace("$ALICE", &Keys::shared().alice).replace("$BOB", &Keys::shared().bob);
            place.write(file, content);
        } else if let Some(secret) = line.strip_prefix("secret ") {
            secrets.push(secret);
        } else if line == "needs peers" {
            if peers::left_out() {
                return Ok(None);
            }
            place = place.with_program(&peers::sops()).with_program(&peers::kubeseal());
        } else if !(line.is_empty() || line.starts_with('#')) {
            return Err(format!("{name}: not a line of a transcript: {line}"));
        }
    }
    Ok(Some(out))
}

fn run(command: &str, place: &Place, secrets: &[&str], out: &mut String) -> Result<(), String> {
    let finished = place.run(command);
    let (stdout, stderr) = (finished.stdout_text(), finished.stderr_text());
    for secret in secrets {
        let encoded = bulla_crypto::encoding::encode(secret.as_bytes());
        if stderr.contains(secret) || stderr.contains(&encoded) {
            return Err("a secret is on standard error".to_owned());
        }
    }
    for (mark, text) in [("|", stdout), ("!", stderr)] {
        for line in settle(&text, place).lines() {
            let _ = writeln!(out, "{}", format!("{mark} {line}").trim_end());
        }
    }
    match finished.code() {
        Some(0) => {}
        Some(code) => drop(writeln!(out, "? {code}")),
        None => drop(writeln!(out, "? {}", finished.status)),
    }
    Ok(())
}

/// Replaces what differs from run to run.
fn settle(text: &str, place: &Place) -> String {
    let keys = Keys::shared();
    let text = text
        .replace(&place.path().display().to_string(), "[HERE]")
        .replace(&place.root().display().to_string(), "[ROOT]")
        .replace(&keys.directory().display().to_string(), "[KEYS]")
        .replace(&keys.alice, "[ALICE]")
        .replace(&keys.bob, "[BOB]");
    let mut settled = String::new();
    let mut in_armor = false;
    for line in text.lines() {
        let line = &armor_on_one_line(line);
        if line.contains("-----END ") {
            in_armor = false;
        }
        if !in_armor {
            let _ = writeln!(settled, "{}", settle_line(line));
        }
        if line.contains("-----BEGIN ") && !line.contains("-----END ") {
            in_armor = true;
        }
    }
    settled
}

/// An armored text in a JSON string, without what is in it.
fn armor_on_one_line(line: &str) -> String {
    match (line.find("FILE-----\\n"), line.find("\\n-----END ")) {
        (Some(begin), Some(end)) if begin < end => format!("{}…{}", &line[..begin + 11], &line[end..]),
        _ => line.to_owned(),
    }
}

fn settle_line(line: &str) -> String {
    let mut settled = String::new();
    let mut rest = line;
    while let Some(start) = rest.find("ENC[AES256_GCM,") {
        let (before, encrypted) = rest.split_at(start);
        let end = encrypted.find(']').map_or(encrypted.len(), |end| end + 1);
        let kind = encrypted[..end].rsplit("type:").next().unwrap_or_default().trim_end_matches(']');
        settled.push_str(before);
        let _ = write!(settled, "ENC[{kind}]");
        rest = &encrypted[end..];
        if let Some(spelling) = rest.strip_prefix('~') {
            settled.push('~');
            rest = spelling.trim_start_matches(is_base64);
        }
    }
    settled.push_str(rest);
    settle_words(&without_hash(&settled))
}

/// The name of a recovery file, which has the hash of a path in it.
fn without_hash(line: &str) -> String {
    const PLACE: &str = "/bulla/edits/";
    let Some(start) = line.find(PLACE) else { return line.to_owned() };
    let name = &line[start + PLACE.len()..];
    match name.find('-').and_then(|dash| Some((dash, name.get(dash + 1..dash + 17)?))) {
        Some((_, hash)) if hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => line.replace(hash, "[HASH]"),
        _ => line.to_owned(),
    }
}

/// Times, fingerprints, keys and long base64.
fn settle_words(line: &str) -> String {
    let mut words = Vec::new();
    for word in line.split(' ') {
        let bare = word.trim_matches(['"', ',', '`', '(', ')']);
        let replacement = if is_time(bare) {
            "[TIME]"
        } else if bare.starts_with("AGE-SECRET-KEY-") {
            "[IDENTITY]"
        } else if bare.starts_with("SHA256:") {
            "[FINGERPRINT]"
        } else if bare.starts_with("age1") && bare.len() > 50 {
            "[RECIPIENT]"
        } else if bare.len() > 100 && bare.chars().all(is_base64) {
            "[BASE64]"
        } else {
            bare
        };
        words.push(word.replace(bare, replacement));
    }
    words.join(" ")
}

fn is_base64(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '+' | '/' | '=')
}

/// `2026-01-02T03:04:05Z`, with fractions or without.
fn is_time(word: &str) -> bool {
    let form = word.bytes().zip(b"0000-00-00T00:00:00".iter());
    word.len() >= 20
        && word.ends_with('Z')
        && form.into_iter().all(|(found, form)| if *form == b'0' { found.is_ascii_digit() } else { found == *form })
}
