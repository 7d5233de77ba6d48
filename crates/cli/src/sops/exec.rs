//! `sops exec-env` and `sops exec-file`: a line for the shell, with what is decrypted in its environment or in a file.

use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use bulla_crypto::SecretBytes;
use bulla_doc::{Document, Kind, Value};
use bulla_sops::KeyPath;

use crate::child::{Ended, Handover, Launch, User};
use crate::editing::OnDisk;

use super::failure::{Failure, code};
use super::file::{Target, open, read_encrypted, sources};
use super::go::float;
use super::{Outcome, Run, decrypt};

/// The name of the file if none is given.
const NAME: &str = "tmp-file";

/// What a child has that a signal ended; the shell takes it for -1.
const KILLED: u8 = 255;

/// `sops exec-env`
pub(super) fn env(run: &Run<'_>) -> Outcome {
    let (target, line) = target_and_line(run)?;
    let ring = sources(run)?;
    if run.flags.is("background") {
        warn_of_background(run, "exec-env");
        if run.flags.is("same-process") {
            return Err(Failure::new(
                code::CONFLICT,
                "Error: The --same-process flag cannot be used with --background",
            ));
        }
    }
    let file = read_encrypted(target.read()?, target.input)?;
    let plain = open(run, &file, &ring)?.to_plain();
    let document = Document::parse_owned(plain, target.input).map_err(|error| Failure::of(code::FAILED, "", error))?;
    let launch = Launch {
        words: shell(line.clone()),
        environment: variables(&document)?,
        pristine: run.flags.is("pristine"),
        user: user(run)?,
        // As sops: whoever relies on it finds it.
        withholds: false,
    };
    drop(document);
    if run.flags.is("same-process") {
        return Err(Failure::from(launch.replace()).with_code(code::FAILED));
    }
    start(run, &launch)
}

/// `sops exec-file`
pub(super) fn file(run: &Run<'_>) -> Outcome {
    let (target, line) = target_and_line(run)?;
    let ring = sources(run)?;
    let plain = decrypt::plain(run, &target, target.read()?, &KeyPath::default(), &ring)?;
    if run.flags.is("background") {
        warn_of_background(run, "exec-file");
    }
    let given = run.flags.raw("filename");
    let name = if given.is_empty() { PathBuf::from(NAME) } else { PathBuf::from(given) };
    let is_name = matches!(name.components().collect::<Vec<_>>()[..], [Component::Normal(_)]);
    if !is_name {
        return Err(Failure::new(code::FAILED, "The provided filename is not a local path."));
    }
    let user = user(run)?;
    let handover = if run.flags.is("no-fifo") {
        Handover::files(run.cx, &[(name, plain)], user.as_ref(), OnDisk::Allow)
    } else {
        Handover::fifo(&name, plain, user.as_ref())
    };
    let handover = handover.map_err(|error| Failure::from(error).with_code(code::FAILED))?;
    let line = with_path(line, handover.path());
    let launch = Launch { words: shell(line), environment: Vec::new(), pristine: false, user, withholds: false };
    start(run, &launch)
}

fn target_and_line<'a>(run: &'a Run<'_>) -> Result<(Target, &'a OsString), Failure> {
    let [name, line] = run.arguments() else {
        return Err(Failure::new(code::FAILED, "error: missing file to decrypt"));
    };
    Ok((Target::of(run, Some(PathBuf::from(name)))?, line))
}

fn warn_of_background(run: &Run<'_>, command: &str) {
    run.warn(&format!("{command}'s --background option is deprecated and will be removed in a future version of sops"));
}

fn shell(line: OsString) -> Vec<OsString> {
    vec!["/bin/sh".into(), "-c".into(), line]
}

fn user(run: &Run<'_>) -> Result<Option<User>, Failure> {
    let name = run.flags.text("user");
    if name.is_empty() {
        return Ok(None);
    }
    User::find(&name).map(Some).map_err(|error| Failure::from(error).with_code(code::FAILED))
}

/// Runs it; its exit code is ours.
fn start(run: &Run<'_>, launch: &Launch) -> Outcome {
    let failed = |error| Failure::from(error).with_code(code::FAILED);
    if run.flags.is("background") {
        return launch.background().map(drop).map_err(failed);
    }
    match launch.run().map_err(failed)? {
        Ended::Code(0) => Ok(()),
        Ended::Code(code) => Err(Failure::new(code, format!("exit status {code}"))),
        Ended::Signal(number) => Err(Failure::new(KILLED, format!("signal: {number}"))),
    }
}

/// The line with the path in the place of each `{}`.
fn with_path(line: &OsString, path: &Path) -> OsString {
    let text = line.to_string_lossy();
    OsString::from(text.replace("{}", &path.to_string_lossy()))
}

/// The values at the top of the first document, as variables.
fn variables(document: &Document) -> Result<Vec<(OsString, SecretBytes)>, Failure> {
    let mut variables = Vec::new();
    let Some(top) = document.branches().next() else { return Ok(variables) };
    for entry in top.children() {
        let Some(key) = entry.key() else { continue };
        if entry.kind() != Kind::Scalar {
            return Err(Failure::new(
                code::FAILED,
                format!("cannot use complex value in environment; offending key {key}"),
            ));
        }
        if key.contains('=') {
            return Err(Failure::new(code::FAILED, format!("cannot use keys with '=' in environment: {key}")));
        }
        let value = SecretBytes::new(text_of(&entry.value()));
        if key.contains('\0') || value.expose_secret().contains(&0) {
            let key = key.replace('\0', "\\0");
            return Err(Failure::new(
                code::FAILED,
                format!("cannot use a zero byte in environment; offending key {key}"),
            ));
        }
        variables.push((OsString::from(key), value));
    }
    Ok(variables)
}

/// A value as Go prints it.
fn text_of(value: &Value<'_>) -> Vec<u8> {
    match value {
        Value::Null => b"<nil>".to_vec(),
        Value::Bool(value) => value.to_string().into_bytes(),
        Value::Int(value) => value.to_string().into_bytes(),
        Value::Unsigned(value) => value.to_string().into_bytes(),
        Value::Float(value) => float(*value).into_bytes(),
        Value::Time(time) => without_fraction(&time.to_string()).into_bytes(),
        Value::String(text) => text.to_vec(),
    }
}

/// A time in whole seconds.
fn without_fraction(time: &str) -> String {
    let Some(point) = time.find('.') else { return time.to_owned() };
    let digits = time[point + 1..].bytes().take_while(u8::is_ascii_digit).count();
    format!("{}{}", &time[..point], &time[point + 1 + digits..])
}

#[cfg(test)]
mod tests {
    use bulla_doc::Format;

    use super::*;

    #[test]
    fn values_are_spelt_as_go_spells_them() {
        let text = "s: a b\ni: 0x10\nf: 1.0\ng: 1e100\nb: true\nn: null\nt: 2024-01-02T03:04:05.5Z\n";
        let document = Document::parse(text.as_bytes(), Format::Yaml).unwrap();
        let shown: Vec<String> = variables(&document)
            .unwrap()
            .iter()
            .map(|(name, value)| {
                format!("{}={}", name.to_string_lossy(), String::from_utf8_lossy(value.expose_secret()))
            })
            .collect();
        assert_eq!(shown, ["s=a b", "i=16", "f=1.0", "g=1E+100", "b=true", "n=<nil>", "t=2024-01-02T03:04:05Z"]);
    }

    #[test]
    fn what_is_no_variable_is_named() {
        for (text, message) in [
            ("a: {b: c}", "cannot use complex value in environment; offending key a"),
            ("a: []", "cannot use complex value in environment; offending key a"),
            ("a=b: c", "cannot use keys with '=' in environment: a=b"),
            ("a: b\nc: \"d\\0e\"", "cannot use a zero byte in environment; offending key c"),
            ("\"a\\0b\": c", "cannot use a zero byte in environment; offending key a\\0b"),
        ] {
            let document = Document::parse(text.as_bytes(), Format::Yaml).unwrap();
            assert_eq!(variables(&document).unwrap_err().message(), message);
        }
    }
}
