//! One identity, whatever its kind, and the files that identities stand in: lines of them, or the same encrypted with a passphrase.

use std::io::{self, BufReader, Read as _};

use age::armor::{ArmoredReadError, ArmoredReader};
use age::{DecryptError, Decryptor};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bulla_crypto::SecretBytes;
use zeroize::Zeroizing;

use super::prompt::secret_string;
use super::{post_quantum, ssh};

/// Largest exponent of scrypt's work that is accepted, as in age: 2^22 takes a minute and 4 GiB.
pub(super) const LARGEST_WORK: u8 = 22;
/// What is said of a broken armor.
pub(super) const ARMOR: &str = "the armor is damaged or cut";

/// An identity that can be used as it is.
pub(super) enum Identity {
    X25519(age::x25519::Identity),
    PostQuantum(Box<post_quantum::Identity>),
    Ssh(Box<ssh::Identity>),
    Plugin(age::plugin::Identity),
}

impl Identity {
    /// Its recipient, where that is known.
    pub(super) fn recipient(&self) -> Option<String> {
        match self {
            Self::X25519(identity) => Some(identity.to_public().to_string()),
            Self::PostQuantum(identity) => Some(identity.recipient().to_string()),
            Self::Ssh(identity) => {
                let recipient = identity.recipient();
                Some(format!("{} {}", recipient.name(), STANDARD.encode(recipient.wire())))
            }
            Self::Plugin(_) => None,
        }
    }

    /// Short enough for a message.
    fn described(&self) -> String {
        match self {
            Self::X25519(identity) => identity.to_public().to_string(),
            Self::PostQuantum(identity) => {
                let recipient = identity.recipient().to_string();
                format!("{}…", &recipient[..24])
            }
            Self::Ssh(identity) => identity.recipient().to_string(),
            Self::Plugin(identity) => format!("a key of `age-plugin-{}`", identity.plugin()),
        }
    }
}

/// Short enough for a message, all together.
pub(super) fn described(identities: &[Identity]) -> String {
    match identities {
        [] => "no identity in it".to_owned(),
        [one] => format!("1 identity, for {}", one.described()),
        several => {
            let each: Vec<String> = several.iter().map(Identity::described).collect();
            format!("{} identities, for {}", several.len(), each.join(", "))
        }
    }
}

/// What is wrong with an identity file. The line, never its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum ParseError {
    #[error("line {0}: unknown identity type: expected `AGE-SECRET-KEY-1…`, `AGE-SECRET-KEY-PQ-1…` or `AGE-PLUGIN-…`")]
    UnknownType(usize),
    #[error("line {0}: a damaged identity: its checksum or its length is wrong")]
    Damaged(usize),
}

/// Parses lines of identities. One that is not ends it all, as in SOPS.
pub(super) fn parse(text: &SecretBytes, several_per_line: bool) -> Result<Vec<Identity>, ParseError> {
    let mut identities = Vec::new();
    for (index, line) in text.expose_secret().split(|byte| *byte == b'\n').enumerate() {
        let number = index + 1;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let line = std::str::from_utf8(line).map_err(|_| ParseError::UnknownType(number))?;
        if several_per_line {
            for word in line.split_whitespace() {
                identities.push(parse_one(word, number)?);
            }
        } else {
            identities.push(parse_one(line, number)?);
        }
    }
    Ok(identities)
}

fn parse_one(text: &str, line: usize) -> Result<Identity, ParseError> {
    let damaged = ParseError::Damaged(line);
    if text.starts_with("AGE-PLUGIN-") {
        text.parse().map(Identity::Plugin).map_err(|_| damaged)
    } else if text.starts_with("AGE-SECRET-KEY-PQ-1") {
        let identity = post_quantum::Identity::parse(text).map_err(|_| damaged)?;
        Ok(Identity::PostQuantum(Box::new(identity)))
    } else if text.starts_with("AGE-SECRET-KEY-1") {
        text.parse().map(Identity::X25519).map_err(|_| damaged)
    } else {
        Err(ParseError::UnknownType(line))
    }
}

/// Whether it is encrypted, by its first bytes, as SOPS decides it.
pub(super) fn is_age_file(content: &SecretBytes) -> bool {
    let content = content.expose_secret();
    content.starts_with(b"age-encryption") || content.starts_with(b"-----BEGIN AGE")
}

/// Decrypts an identity file. The error is `None` for a wrong passphrase, else why no passphrase helps.
pub(super) fn open_file(file: &SecretBytes, passphrase: &SecretBytes) -> Result<Vec<Identity>, Option<String>> {
    let why = |error: &DecryptError| Some(reason(error));
    let decryptor = Decryptor::new_buffered(reader(file.expose_secret())).map_err(|error| why(&error))?;
    if !decryptor.is_scrypt() {
        return Err(Some("encrypted, but not with a passphrase".to_owned()));
    }
    let mut identity = age::scrypt::Identity::new(secret_string(passphrase).ok_or(None)?);
    identity.set_max_work_factor(LARGEST_WORK);
    let mut stream = match decryptor.decrypt(std::iter::once(&identity as &dyn age::Identity)) {
        Ok(stream) => stream,
        Err(DecryptError::DecryptionFailed | DecryptError::NoMatchingKeys | DecryptError::KeyDecryptionFailed) => {
            return Err(None);
        }
        Err(error) => return Err(why(&error)),
    };
    let mut text = Zeroizing::new(Vec::with_capacity(file.len() + 64));
    stream.read_to_end(&mut text).map_err(|_| Some("the encrypted identity file is damaged".to_owned()))?;
    match parse(&text.into(), false) {
        Ok(identities) if identities.is_empty() => Err(Some("no identity in it".to_owned())),
        Ok(identities) => Ok(identities),
        Err(error) => Err(Some(error.to_string())),
    }
}

/// Reads a file of age, armored or not. White space before the armor is skipped, as Go does and the `age` crate does not.
pub(super) fn reader(file: &[u8]) -> ArmoredReader<BufReader<&[u8]>> {
    let trimmed = file.trim_ascii_start();
    ArmoredReader::new(if trimmed.starts_with(b"-----BEGIN") { trimmed } else { file })
}

/// An error of the `age` crate in our words: its own are whole paragraphs, in the user's language.
pub(super) fn reason(error: &DecryptError) -> String {
    match error {
        DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed => "decryption failed".to_owned(),
        DecryptError::ExcessiveWork { required, .. } => {
            format!("its passphrase asks for too much work: 2^{required}, more than 2^{LARGEST_WORK}")
        }
        DecryptError::InvalidHeader => "the header is not one of age".to_owned(),
        DecryptError::InvalidMac => "the header was changed".to_owned(),
        DecryptError::Io(error) if is_armor(error) => ARMOR.to_owned(),
        DecryptError::Io(_) => "not an age file, or cut".to_owned(),
        DecryptError::NoMatchingKeys => "no key fits".to_owned(),
        DecryptError::UnknownFormat => "an unknown version of age".to_owned(),
        // The messages of plugins.
        other => other.to_string(),
    }
}

/// Whether the armor is at fault, and not what is in it.
pub(super) fn is_armor(error: &io::Error) -> bool {
    error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<ArmoredReadError>)
}
