//! What a text is: nothing, encrypted, a reference to something that is filled in elsewhere, public, or literal.
//!
//! Only a literal can be a secret. Whether it is one is decided by its place, and outside of Secrets by the name of its key
//! and by [`shape`]. Nothing here keeps or shows a text.

use bulla_crypto::{EncryptedValue, ValueKind, encoding};
use bulla_wipe::Wiping;

use crate::name::Promise;

/// How an encrypted value of SOPS begins.
pub(crate) const ENCRYPTED: &str = "ENC[";

/// What a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// No text at all.
    Empty,
    /// Encrypted, by SOPS or by Ansible. Whether it is whole is another question.
    Encrypted,
    /// Filled in elsewhere, or to be replaced by a person.
    Placeholder,
    /// Certificates and nothing else.
    Public,
    /// Anything else.
    Literal,
}

/// What `text` is.
pub(crate) fn class(text: &str) -> Class {
    let text = text.trim();
    if text.is_empty() {
        Class::Empty
    } else if text.starts_with(ENCRYPTED) || text.starts_with("$ANSIBLE_VAULT;") {
        Class::Encrypted
    } else if is_reference(text) || is_dummy(text) {
        Class::Placeholder
    } else if is_public(text) {
        Class::Public
    } else {
        Class::Literal
    }
}

/// [`class`] of a value in base64, as `data` of a Secret holds it. What does not decode is plain text in the wrong place.
pub(crate) fn class_of_base64(text: &str) -> Class {
    let outer = class(text);
    if outer != Class::Literal {
        return outer;
    }
    decode(text).and_then(|bytes| bytes.into_text().ok()).map_or(Class::Literal, |text| class(&text))
}

/// The bytes that `text` is the base64 of.
pub(crate) fn decode(text: &str) -> Option<Wiping<Vec<u8>>> {
    encoding::decode_go(text.trim().as_bytes()).ok().map(Wiping::new)
}

/// Ways to say that another program puts the value in.
fn is_reference(text: &str) -> bool {
    const PREFIXES: &[&str] = &[
        "ref+",
        "secretref+",
        "vault:",
        "op://",
        "arn:aws:secretsmanager:",
        "arn:aws:ssm:",
        "awssm://",
        "gcpsm://",
        "azurekeyvault://",
        "secret://",
        "bao:",
        "keepass://",
        "bws://",
        "env://",
        "secrets://",
    ];
    let encloses =
        |open: &str, close: &str| text.find(open).is_some_and(|start| text[start + open.len()..].contains(close));
    let is_whole = |open: &str, close: &str| {
        text.len() > open.len() + close.len()
            && text.starts_with(open)
            && text.ends_with(close)
            && !text[open.len()..text.len() - close.len()].contains(char::is_whitespace)
    };
    PREFIXES.iter().any(|prefix| text.starts_with(prefix))
        || encloses("{{", "}}")
        || encloses("${", "}")
        || encloses("$(", ")")
        || encloses("<path:", ">")
        || encloses("<%", "%>")
        || encloses("[[", "]]")
        || (text.starts_with('<') && text.ends_with('>') && !text.contains('\n'))
        || is_whole("__", "__")
        || is_whole("@@", "@@")
        || is_whole("%", "%")
        || text.strip_prefix('$').is_some_and(|name| {
            !name.is_empty()
                && name.bytes().all(|byte| byte == b'_' || byte.is_ascii_uppercase() || byte.is_ascii_digit())
        })
}

/// Whole texts that mean nothing, by their letters.
const WHOLE: &[&str] = &[
    "placeholder",
    "todo",
    "tbd",
    "fixme",
    "redacted",
    "dummy",
    "example",
    "none",
    "null",
    "na",
    "unset",
    "masked",
    "changeit",
    "encrypted",
    "sealed",
];

/// How a text begins that asks to be replaced.
const STARTS: &[&str] = &[
    "changeme",
    "replaceme",
    "replacewith",
    "replacethis",
    "tobereplaced",
    "yoursecret",
    "your",
    "insert",
    "putyour",
    "enteryour",
    "setme",
    "fillme",
    "fillin",
    "addyour",
    "pleasechange",
];

/// What a person writes where they mean nothing.
fn is_dummy(text: &str) -> bool {
    if text.len() > 60 {
        return false;
    }
    let one = text.as_bytes()[0];
    if matches!(one, b'x' | b'X' | b'*' | b'.' | b'-' | b'_') && text.bytes().all(|byte| byte == one) {
        return true;
    }
    // `p-XXXX`, `LICENSE_HERE`, `{ ACCOUNT_JSON_HERE }`, and what Flux shows in place of a value that SOPS encrypted.
    let bare = text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '{' | '}'));
    if text.contains("XXXX") || bare.ends_with("_HERE") || text.contains("**SOPS**") {
        return true;
    }
    if text.len() > 4 && text.starts_with("**") && text.ends_with("**") && text.contains(' ') {
        return true;
    }
    let letters: String = text.chars().filter(|c| c.is_alphanumeric()).map(|c| c.to_ascii_lowercase()).collect();
    // `your` and `insert` need a separator: `yourself1` is a bad password and no placeholder.
    let is_phrase = text.contains(['-', '_', ' ']);
    WHOLE.contains(&letters.as_str())
        || STARTS.iter().any(|start| letters.starts_with(start) && (is_phrase || !matches!(*start, "your" | "insert")))
}

/// Certificates and public keys are for everybody.
fn is_public(text: &str) -> bool {
    text.starts_with("-----BEGIN ")
        && !text.contains("PRIVATE KEY")
        && (text.contains("-----BEGIN CERTIFICATE") || text.contains("-----BEGIN PUBLIC KEY"))
        && text.lines().filter(|line| !line.trim().is_empty()).all(|line| {
            let line = line.trim();
            line.starts_with("-----") || line.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte))
        })
}

/// Tokens that say whose they are: their beginning, how much follows at least, what they are.
const TOKENS: &[(&str, usize, &str)] = &[
    ("AKIA", 16, "an AWS access key"),
    ("ASIA", 16, "an AWS access key"),
    ("ghp_", 36, "a GitHub token"),
    ("gho_", 36, "a GitHub token"),
    ("ghs_", 36, "a GitHub token"),
    ("github_pat_", 40, "a GitHub token"),
    ("glpat-", 20, "a GitLab token"),
    ("xoxb-", 20, "a Slack token"),
    ("xoxp-", 20, "a Slack token"),
    ("sk_live_", 20, "a Stripe key"),
    ("AIza", 35, "a Google API key"),
    ("hvs.", 24, "a Vault token"),
    ("npm_", 36, "an npm token"),
    ("SG.", 40, "a SendGrid key"),
    ("dop_v1_", 40, "a DigitalOcean token"),
    ("AGE-SECRET-KEY-", 40, "an age identity"),
];

/// What a text is by its own looks, wherever it stands.
pub(crate) fn shape(text: &str) -> Option<&'static str> {
    let text = text.trim();
    if text.len() < 12 || class(text) != Class::Literal {
        return None;
    }
    if has_private_key(text.as_bytes()) {
        return Some("a private key");
    }
    let is_token = |(prefix, length, _): &&(&str, usize, &str)| {
        text.strip_prefix(prefix).is_some_and(|rest| {
            rest.len() >= *length && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
        })
    };
    if let Some((.., name)) = TOKENS.iter().find(is_token) {
        return Some(name);
    }
    if text.starts_with("eyJ") && text.split('.').count() == 3 && text.split('.').all(|part| part.len() > 10) {
        return Some("a JSON web token");
    }
    url_password(text).then_some("a URL with a password")
}

/// `scheme://user:password@host`, the password literal.
fn url_password(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    if scheme.is_empty() || scheme.len() > 40 || !scheme.bytes().all(is_scheme) {
        return false;
    }
    let authority = &rest[..rest.find(['/', '?', '#', ' ', '\n']).unwrap_or(rest.len())];
    let Some((user, _)) = authority.rsplit_once('@') else { return false };
    user.split_once(':').is_some_and(|(_, password)| class(password) == Class::Literal)
}

/// Is there a private key in PEM that no passphrase protects?
pub(crate) fn has_private_key(bytes: &[u8]) -> bool {
    private_key(bytes).is_some()
}

/// Where the first private key in PEM begins that no passphrase protects.
pub(crate) fn private_key(bytes: &[u8]) -> Option<usize> {
    const MARK: &[u8] = b"PRIVATE KEY-----";
    for found in memchr::memmem::find_iter(bytes, MARK) {
        let line = bytes[..found].iter().rposition(|&byte| byte == b'\n').map_or(0, |place| place + 1);
        let head = &bytes[line..found];
        let Some(begin) = memchr::memmem::find(head, b"-----BEGIN ") else { continue };
        let after = &bytes[found + MARK.len()..];
        let after = &after[..after.len().min(4000)];
        let is_protected = memchr::memmem::find(head, b"ENCRYPTED").is_some()
            || memchr::memmem::find(&after[..after.len().min(200)], b"ENCRYPTED").is_some()
            || (head.ends_with(b"OPENSSH ") && is_protected_by_openssh(after));
        // A mention is no key: the base64 of the shortest one has more than 40 digits.
        let digits = after.iter().take_while(|&&byte| byte != b'-').filter(|byte| byte.is_ascii_alphanumeric()).count();
        if !is_protected && digits > 40 {
            return Some(line + begin);
        }
    }
    None
}

/// Does this key in OpenSSH's own form name a cipher? `openssh-key-v1`, a zero, the length and name of the cipher: `none` without one.
/// Source: OpenSSH `PROTOCOL.key`.
fn is_protected_by_openssh(body: &[u8]) -> bool {
    const MAGIC: &[u8] = b"openssh-key-v1\0";
    let digits: String =
        body.iter().filter(|byte| !byte.is_ascii_whitespace()).take(32).map(|&byte| char::from(byte)).collect();
    let Some(start) = decode(&digits) else { return false };
    // 24 bytes: the magic, 4 bytes of length, and the beginning of the name.
    start.strip_prefix(MAGIC).and_then(|rest| rest.get(4..8)).is_some_and(|name| name != b"none")
}

/// Is `text` a credential, under a key that promises one?
pub(crate) fn keeps(promise: Promise, text: &str) -> bool {
    let text = text.trim();
    if class(text) != Class::Literal
        || text.starts_with(['/', '~'])
        || text.starts_with("./")
        || text.starts_with("file:")
    {
        return false;
    }
    if matches!(text.to_ascii_lowercase().as_str(), "true" | "false" | "yes" | "no" | "on" | "off") {
        return false;
    }
    if text.contains("://") {
        return url_password(text);
    }
    // A sentence describes a credential.
    let words = text.split_whitespace().count();
    match promise {
        Promise::Password => words < 6,
        Promise::Random => words == 1 && text.len() >= 8 && !is_named(text),
    }
}

/// Could it be the name of an object or of a key in it: words in small letters, with signs between them?
fn is_named(text: &str) -> bool {
    text.split(['-', '_', '.', '/', ':', '@']).all(|part| {
        let word = part.trim_end_matches(|character: char| character.is_ascii_digit());
        let has_case = word.bytes().skip(1).any(|byte| byte.is_ascii_uppercase());
        let is_word = word.bytes().all(|byte| byte.is_ascii_lowercase());
        let is_shout = word.bytes().all(|byte| byte.is_ascii_uppercase());
        let is_camel =
            has_case && word.len() < 30 && word.bytes().all(|byte| byte.is_ascii_alphabetic()) && has_syllables(word);
        part.len() - word.len() <= 3 && word.len() <= 24 && (is_word || is_shout || is_camel)
    })
}

/// Are there humps of some length, as in `clientSecretKey`?
fn has_syllables(word: &str) -> bool {
    let humps = 1 + word.bytes().skip(1).filter(u8::is_ascii_uppercase).count();
    word.len() / humps >= 4
}

/// What is wrong with an encrypted value of SOPS, by its form alone.
pub(crate) fn encrypted_fault(text: &str) -> Option<&'static str> {
    let text = text.trim_end_matches('\n');
    let Some(value) = EncryptedValue::parse(text) else {
        return Some("it has not the form `ENC[AES256_GCM,data:…,iv:…,tag:…,type:…]`");
    };
    let length = |part: &str| encoding::decode_go(part.as_bytes()).ok().map(|bytes| bytes.len());
    if length(value.data).is_none() {
        return Some("its data is not base64");
    }
    match length(value.iv) {
        None => return Some("its nonce is not base64"),
        Some(0) => return Some("its nonce is empty"),
        // SOPS writes 32 bytes and reads any number; the oldest files have 12.
        Some(12 | 32) => {}
        Some(_) => return Some("its nonce has not 32 bytes"),
    }
    match length(value.tag) {
        Some(16) => {}
        None => return Some("its tag is not base64"),
        Some(_) => return Some("its tag has not 16 bytes"),
    }
    value.type_name.parse::<ValueKind>().is_err().then_some("its type is none that SOPS knows")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_and_dummies_are_no_literals() {
        for text in [
            "${DB_PASSWORD}",
            "$(DB_PASSWORD)",
            "$DB_PASSWORD",
            "{{ .Values.password }}",
            "<path:kv/data/db#password>",
            "<your password>",
            "ref+vault://kv/db#/password",
            "vault:secret/data/db#password",
            "CHANGE_ME",
            "changeme",
            "xxxxx",
            "****",
            "REPLACE_WITH_TOKEN",
            "your-password-here",
            "TODO",
            "__DB_PASSWORD__",
            "op://vault/item/field",
            "postgres://user:${PASSWORD}@db",
            "p-XXXX",
            "LICENSE_HERE",
            "{\n  SERVICE_ACCOUNT_JSON_HERE\n}\n",
            "**SOPS**",
            "{\"mask\":\"**SOPS**\"}",
            "**access token goes here**",
        ] {
            assert_eq!(class(text), Class::Placeholder, "{text}");
        }
        for text in [
            "hunter2",
            "1234",
            "yourself1",
            "x",
            "pa$$word",
            "a-b_c",
            "$ecret",
            "**hunter2**",
            "there",
            "xxxx1",
            "XXX1",
        ] {
            let expected = if text == "x" { Class::Placeholder } else { Class::Literal };
            assert_eq!(class(text), expected, "{text}");
        }
        assert_eq!(class("  \n"), Class::Empty);
        assert_eq!(class_of_base64("Y2hhbmdlbWU="), Class::Placeholder);
        assert_eq!(class_of_base64("aHVudGVyMg=="), Class::Literal);
        assert_eq!(class_of_base64("not base64!"), Class::Literal);
        assert_eq!(class("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"), Class::Public);
    }

    #[test]
    fn shapes_are_known_without_their_key() {
        assert_eq!(shape("postgres://app:hunter2@db:5432/app"), Some("a URL with a password"));
        assert_eq!(shape("postgres://app@db:5432/app"), None);
        assert_eq!(shape("https://example.org/a:b@c"), None);
        assert_eq!(shape(&format!("ghp_{}", "a1B2".repeat(9))), Some("a GitHub token"));
        assert_eq!(shape("just a sentence"), None);
        let key = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", "MIIE".repeat(16));
        assert!(has_private_key(key.as_bytes()));
        let key = key.replace("BEGIN PRIVATE", "BEGIN ENCRYPTED PRIVATE");
        assert!(!has_private_key(key.as_bytes()));
        let openssh = |cipher: &str| {
            let body = [b"openssh-key-v1\0\0\0\0", &[cipher.len() as u8][..], cipher.as_bytes(), &[7; 90]].concat();
            format!(
                "-----BEGIN OPENSSH PRIVATE KEY-----\n{}\n-----END OPENSSH PRIVATE KEY-----\n",
                encoding::encode(&body)
            )
        };
        assert!(has_private_key(openssh("none").as_bytes()) && !has_private_key(openssh("aes256-ctr").as_bytes()));
        assert!(!has_private_key(b"starts with -----BEGIN PRIVATE KEY----- and goes on"));
    }

    #[test]
    fn names_are_not_random() {
        for text in [
            "my-app-secret",
            "api-token",
            "clientSecret",
            "vault-token-v2",
            "API_TOKEN",
            "db.password",
            "postgres-password",
        ] {
            assert!(!keeps(Promise::Random, text), "{text}");
        }
        for text in ["8f3a9c2d1e7b", "Zk3vQ9xPq2", "tok-8f3a9c2d1e", "sUpErSeCrEtKeY"] {
            assert!(keeps(Promise::Random, text), "{text}");
        }
        assert!(keeps(Promise::Password, "hunter2") && keeps(Promise::Password, "1234"));
        assert!(!keeps(Promise::Password, "/run/secrets/password") && !keeps(Promise::Password, "true"));
    }

    #[test]
    fn encrypted_values_are_looked_at_by_their_form() {
        let value = |data: &str, iv: usize, tag: usize, kind: &str| {
            let part = |length| encoding::encode(&vec![7; length]);
            format!("ENC[AES256_GCM,data:{data},iv:{},tag:{},type:{kind}]", part(iv), part(tag))
        };
        assert_eq!(encrypted_fault(&value("YQ==", 32, 16, "str")), None);
        for (text, part) in [
            (value("YQ=", 32, 16, "str"), "data"),
            (value("YQ==", 31, 16, "str"), "nonce"),
            (value("YQ==", 32, 15, "str"), "tag"),
            (value("YQ==", 32, 16, "string"), "type"),
            ("ENC[AES256_GCM,data:YQ==]".to_owned(), "form"),
        ] {
            assert!(encrypted_fault(&text).unwrap().contains(part), "{part}");
        }
    }
}
