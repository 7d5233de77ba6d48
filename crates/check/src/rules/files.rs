//! KS009: files that hold credentials whatever project they lie in: `.env`, `.npmrc`, `.netrc`, kubeconfigs, private keys, the
//! configuration of docker.

use bulla_yaml::Position;

use crate::context::Context;
use crate::lines::Lines;
use crate::name::promise;
use crate::place::Place;
use crate::rule::Rule;
use crate::text::Text;
use crate::value::{Class, class, keeps, private_key, shape};

/// A line `NAME=VALUE`.
pub(crate) struct Assignment<'b> {
    pub(crate) name: &'b str,
    /// Without quotes.
    pub(crate) value: &'b str,
    /// Where the value begins.
    pub(crate) start: usize,
}

/// The assignments of a file; none if it is no text.
pub(crate) fn assignments(bytes: &[u8]) -> impl Iterator<Item = Assignment<'_>> {
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    text.lines().filter_map(move |line| {
        let trimmed = line.trim_start();
        let trimmed = trimmed.strip_prefix("export ").unwrap_or(trimmed);
        if trimmed.starts_with(['#', ';']) {
            return None;
        }
        let (name, value) = trimmed.split_once('=')?;
        let value = value.trim();
        let mark = value.chars().next().filter(|mark| matches!(mark, '"' | '\''));
        let value = match mark {
            Some(mark) => value[1..].split(mark).next().unwrap_or_default(),
            None => value.split(" #").next().unwrap_or_default().trim_end(),
        };
        let start = value.as_ptr() as usize - text.as_ptr() as usize;
        Some(Assignment { name: name.trim(), value, start })
    })
}

/// Is the file, or a value in it, encrypted: by SOPS, age, OpenPGP, Ansible, git-crypt?
pub(crate) fn is_encrypted(bytes: &[u8]) -> bool {
    const ANYWHERE: &[&[u8]] = &[b"ENC[AES256_GCM,", b"sops_mac="];
    const STARTS: &[&[u8]] = &[
        b"-----BEGIN AGE ENCRYPTED FILE-----",
        b"age-encryption.org/",
        b"-----BEGIN PGP MESSAGE-----",
        b"$ANSIBLE_VAULT;",
        b"\0GITCRYPT\0",
    ];
    STARTS.iter().any(|start| bytes.starts_with(start))
        || ANYWHERE.iter().any(|mark| memchr::memmem::find(bytes, mark).is_some())
}

/// Looks at a file by its name.
pub(crate) fn check(cx: &mut Context<'_>, bytes: &[u8]) {
    if is_encrypted(bytes) {
        return;
    }
    let name = cx.file.rsplit('/').next().unwrap_or(cx.file).to_ascii_lowercase();
    if is_dotenv(&name) {
        credentials_of(cx, bytes, "environment file", |line| {
            shape(line.value).is_some() || promise(line.name).is_some_and(|promise| keeps(promise, line.value))
        });
    } else if matches!(name.as_str(), ".npmrc" | ".yarnrc" | ".pypirc") {
        credentials_of(cx, bytes, "configuration of a package registry", |line| {
            let key = line.name.rsplit(':').next().unwrap_or(line.name);
            matches!(key, "_authToken" | "_auth" | "_password" | "password") && class(line.value) == Class::Literal
        });
    } else if matches!(name.as_str(), ".netrc" | "_netrc") {
        netrc(cx, bytes);
    } else if matches!(name.as_str(), ".git-credentials" | ".pgpass") {
        lines(cx, bytes, "file of credentials", |line| {
            shape(line).is_some() || line.split(':').nth(4).is_some_and(|word| class(word) == Class::Literal)
        });
    }
    pem(cx, bytes);
}

/// `.env`, `.env.production`, `production.env`; `.env.example` is documentation.
fn is_dotenv(name: &str) -> bool {
    const EXAMPLES: &[&str] =
        &["example", "sample", "template", "tmpl", "tpl", "dist", "defaults", "default", "schema", "enc"];
    let is_one = name == ".env" || name.starts_with(".env.") || name.ends_with(".env");
    is_one && !name.split(['.', '-', '_']).any(|part| EXAMPLES.contains(&part))
}

fn credentials_of(cx: &mut Context<'_>, bytes: &[u8], what: &str, is_credential: impl Fn(&Assignment<'_>) -> bool) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let lines = Lines::new(text);
    for line in assignments(bytes).filter(|line| is_credential(line)) {
        let region = (lines.position(text, line.start), lines.position(text, line.start + line.value.len()));
        cx.add_at(Rule::KS009, region, format!("{what}: the value of `{}` is in plain text", line.name));
    }
}

fn lines(cx: &mut Context<'_>, bytes: &[u8], what: &str, is_credential: impl Fn(&str) -> bool) {
    for (number, line) in String::from_utf8_lossy(bytes).lines().enumerate() {
        if !line.trim_start().starts_with('#') && is_credential(line) {
            let at = |column| Position { line: number + 1, column };
            let message = format!("{what}: a password in plain text");
            cx.add_at(Rule::KS009, (at(1), at(1 + line.chars().count())), message);
        }
    }
}

/// `machine HOST login NAME password WORD`, over any number of lines.
fn netrc(cx: &mut Context<'_>, bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let lines = Lines::new(text);
    let words = text.split_ascii_whitespace().collect::<Vec<_>>();
    for pair in words.windows(2) {
        if pair[0] == "password" && class(pair[1]) == Class::Literal {
            let start = pair[1].as_ptr() as usize - text.as_ptr() as usize;
            let region = (lines.position(text, start), lines.position(text, start + pair[1].len()));
            cx.add_at(Rule::KS009, region, "netrc: a password in plain text".to_owned());
        }
    }
}

/// A file that is a private key. Whether one within another file is meant is for the rules about that file.
fn pem(cx: &mut Context<'_>, bytes: &[u8]) {
    let Some(start) = private_key(bytes) else { return };
    // Certificates and parameters may stand before it, and texts about them; a program or a document is no key file.
    let name = cx.file.rsplit('/').next().unwrap_or(cx.file);
    let is_key_file = bytes.trim_ascii_start().starts_with(b"-----BEGIN ")
        || [".pem", ".key"].iter().any(|extension| name.ends_with(extension));
    if !is_key_file {
        return;
    }
    let text = String::from_utf8_lossy(&bytes[..start]);
    let line = 1 + memchr::memchr_iter(b'\n', text.as_bytes()).count();
    let end = bytes[start..].iter().position(|&byte| byte == b'\n').unwrap_or(bytes.len() - start);
    let region = (Position { line, column: 1 }, Position { line, column: 1 + end });
    cx.add_at(Rule::KS009, region, "a private key that no passphrase protects".to_owned());
}

/// Could `path` be a configuration of docker?
pub(crate) fn is_docker_configuration(path: &str) -> bool {
    matches!(path.rsplit('/').next(), Some("config.json" | ".dockerconfigjson" | ".dockercfg"))
}

/// A kubeconfig, or the logins of docker.
pub(crate) fn check_object<'s>(cx: &mut Context<'_>, text: &Text<'s>, object: &Place<'s>) {
    let is_docker = is_docker_configuration(cx.file);
    let mut literal = |place: Option<Place<'s>>, what: &str| {
        if let Some(place) = place
            && place.text().is_some_and(|text| class(text) == Class::Literal)
        {
            let key = place.key().unwrap_or_default().to_owned();
            cx.add(Rule::KS009, text, &place, format!("{what}: the value of `{key}` is readable"));
        }
    };
    if object.text_of("kind") == Some("Config") && object.get("clusters").is_some() {
        for user in object.get("users").map(|users| users.items()).unwrap_or_default() {
            for key in ["token", "password", "client-key-data"] {
                literal(user.at(&["user", key]), "kubeconfig");
            }
        }
    }
    let auths =
        if is_docker { object.get("auths").map(|auths| auths.fields()).unwrap_or_default() } else { Vec::new() };
    for (_, login) in auths {
        for key in ["auth", "password", "identitytoken"] {
            literal(login.get(key), "docker configuration");
        }
    }
}
