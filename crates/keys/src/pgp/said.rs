//! What gpg said: its lines for programs, and what they mean.
//!
//! ```text
//! [GNUPG:] ENC_TO 25294A17CD90507F 1 0          a key that the message is encrypted to
//! [GNUPG:] NO_SECKEY 25294A17CD90507F           which is not there
//! [GNUPG:] ERROR pkdecrypt_failed 83886179      or did not do it: the lower 16 bits are libgpg-error's number
//! [GNUPG:] INV_RECP 1 FINGERPRINT               a key that cannot be encrypted to: 1 not found, 5 expired, …
//! gpg: public key decryption failed: …          a line for people, in their language
//! ```
//! Source: GnuPG `doc/DETAILS`, libgpg-error `err-codes.h.in`.

use super::error::{GpgError, HeldBack, Unusable};
use super::run::Ended;
use crate::UnwrapError;

/// So many characters of its own words are repeated.
const LONGEST_WORDS: usize = 400;

/// Why it did not encrypt.
pub(super) fn of_wrapping(ended: &Ended) -> GpgError {
    let Some(reason) = of(ended, "INV_RECP").last() else { return otherwise(ended) };
    GpgError::CannotBeUsed(match reason.split(' ').next().unwrap_or_default() {
        "1" => Unusable::NotThere,
        "2" => Unusable::Ambiguous,
        "3" => Unusable::SignsOnly,
        "4" => Unusable::Revoked,
        "5" => Unusable::Expired,
        "13" => Unusable::Disabled,
        // Mostly 0, which is none of them.
        _ => Unusable::Unknown,
    })
}

/// Why it did not decrypt.
pub(super) fn of_unwrapping(ended: &Ended) -> Result<GpgError, UnwrapError> {
    let failures = of(ended, "ERROR").filter_map(|line| line.strip_prefix("pkdecrypt_failed "));
    let code = failures.filter_map(|code| code.split(' ').next()?.parse::<u32>().ok()).last();
    if let Some(code) = code {
        return Ok(of_code(code & 0xFFFF, ended));
    }
    if of(ended, "NO_SECKEY").next().is_some() {
        // gpg says the same where it could not ask its agent. In other languages it is called so, too.
        if let Some(line) = words(ended).find(|line| line.to_lowercase().contains("agent")) {
            return Ok(GpgError::NoAgent { reason: line.to_owned() });
        }
        let of = of(ended, "ENC_TO").filter_map(|line| line.split(' ').next()).map(str::to_owned).collect();
        return Ok(GpgError::NoSecretKey { of, why: HeldBack::Unknown });
    }
    if of(ended, "DECRYPTION_KEY").next().is_some() || of(ended, "BADMDC").next().is_some() {
        return Err(UnwrapError::Damaged);
    }
    if of(ended, "NODATA").next().is_some()
        || of(ended, "ENC_TO").next().is_none() && of(ended, "BEGIN_DECRYPTION").next().is_some()
    {
        return Err(UnwrapError::Malformed("it is no whole OpenPGP message for a key".to_owned()));
    }
    Ok(otherwise(ended))
}

/// What a number of libgpg-error means here.
fn of_code(code: u32, ended: &Ended) -> GpgError {
    match code {
        // BAD_PASSPHRASE
        11 => GpgError::WrongPassphrase,
        // TIMEOUT
        62 => GpgError::NotAnswered,
        // NO_AGENT, AGENT
        77 | 78 => GpgError::NoAgent { reason: last_words(ended) },
        // NO_PINENTRY, PINENTRY
        85 | 86 => GpgError::NoPinentry,
        // BAD_PIN; CARD, CARD_RESET, CARD_REMOVED, INV_CARD, CARD_NOT_PRESENT, NO_PKCS15_APP, NOT_CONFIRMED is none; NO_SCDAEMON; PIN_BLOCKED
        87 | 108..=113 | 119 | 130 => GpgError::Card { reason: last_words(ended) },
        // CANCELED, FULLY_CANCELED
        99 | 198 => GpgError::Cancelled,
        // ENOTTY, as the system's errors are numbered there
        32870 => GpgError::NoTerminal,
        _ => otherwise(ended),
    }
}

fn otherwise(ended: &Ended) -> GpgError {
    GpgError::Failed { status: ended.status.clone(), said: all_words(ended) }
}

/// What follows `keyword` in the lines for programs.
fn of<'a>(ended: &'a Ended, keyword: &'a str) -> impl Iterator<Item = &'a str> {
    let lines = ended.said.lines().filter_map(|line| line.strip_prefix("[GNUPG:] "));
    lines.filter_map(move |line| {
        let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
        (first == keyword).then_some(rest.trim())
    })
}

/// The lines for people, but for those that may hold a session key.
fn words(ended: &Ended) -> impl Iterator<Item = &str> {
    let lines = ended.said.lines().filter(|line| !line.starts_with("[GNUPG:]")).map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.contains("session key"));
    lines.map(|line| line.strip_prefix("gpg: ").unwrap_or(line))
}

/// What failed, and not what followed from it.
fn last_words(ended: &Ended) -> String {
    let line =
        words(ended).filter(|line| line.contains(": ")).find(|line| line.starts_with("public key decryption failed"));
    let line = line.and_then(|line| line.split_once(": ")).map(|(_, reason)| reason.to_owned());
    line.unwrap_or_else(|| all_words(ended))
}

fn all_words(ended: &Ended) -> String {
    let words: Vec<&str> = words(ended).collect();
    words.join("; ").chars().take(LONGEST_WORDS).collect()
}

#[cfg(test)]
mod tests {
    use bulla_wipe::Wiping;

    use super::*;

    fn ended(said: &str) -> Ended {
        Ended {
            succeeded: false,
            status: "exit status: 2".to_owned(),
            output: Wiping::default(),
            said: Wiping::new(said.to_owned()),
        }
    }

    /// Where a passphrase was asked for, in the words of GnuPG 2.2.40.
    fn asked(words: &str, code: u32) -> String {
        format!(
            "[GNUPG:] ENC_TO 9060AFB2C090184C 18 0\n[GNUPG:] PINENTRY_LAUNCHED 3   \ngpg: encrypted with 255-bit ECDH key, ID \
             9060AFB2C090184C, created 2026-11-21\n      \"locked@example.org\"\ngpg: public key decryption failed: {words}\n\
             [GNUPG:] ERROR pkdecrypt_failed {code}\n[GNUPG:] BEGIN_DECRYPTION\n[GNUPG:] DECRYPTION_FAILED\n\
             gpg: decryption failed: No secret key\n[GNUPG:] END_DECRYPTION\n"
        )
    }

    #[test]
    fn a_person_who_was_asked_is_told_from_a_key_that_is_not_there() {
        for (words, code, expected) in [
            ("Operation cancelled", 83_886_179, GpgError::Cancelled),
            ("Operation cancelled", 83_886_278, GpgError::Cancelled),
            ("Bad passphrase", 67_108_875, GpgError::WrongPassphrase),
            ("No pinentry", 67_108_949, GpgError::NoPinentry),
            ("Inappropriate ioctl for device", 83_918_950, GpgError::NoTerminal),
            ("Timeout", 83_886_142, GpgError::NotAnswered),
            ("Card not present", 100_663_408, GpgError::Card { reason: "Card not present".to_owned() }),
            ("PIN blocked", 100_663_426, GpgError::Card { reason: "PIN blocked".to_owned() }),
        ] {
            let error = of_unwrapping(&ended(&asked(words, code))).unwrap();
            assert_eq!(error, expected, "{words}");
            assert!(error.is_of_a_person());
        }
        let missing = "[GNUPG:] ENC_TO 25294A17CD90507F 1 0\ngpg: encrypted with RSA key, ID 25294A17CD90507F\n\
            [GNUPG:] NO_SECKEY 25294A17CD90507F\n[GNUPG:] BEGIN_DECRYPTION\n[GNUPG:] DECRYPTION_FAILED\n\
            gpg: decryption failed: No secret key\n[GNUPG:] END_DECRYPTION\n";
        let expected = GpgError::NoSecretKey { of: vec!["25294A17CD90507F".to_owned()], why: HeldBack::Unknown };
        assert_eq!(of_unwrapping(&ended(missing)).unwrap(), expected);
        let alone = format!("gpg: can't connect to the agent: General error\n{missing}");
        let error = of_unwrapping(&ended(&alone)).unwrap().to_string();
        assert!(error.ends_with("the secret keys: can't connect to the agent: General error"), "{error}");
    }

    #[test]
    fn what_is_no_message_and_what_is_damaged_are_told_apart() {
        let none = "gpg: no valid OpenPGP data found.\n[GNUPG:] NODATA 1\n[GNUPG:] FAILURE decrypt 4294967295\n";
        assert!(matches!(of_unwrapping(&ended(none)), Err(UnwrapError::Malformed(_))));
        let damaged =
            "[GNUPG:] ENC_TO 2 1 0\n[GNUPG:] DECRYPTION_KEY A B -\n[GNUPG:] BEGIN_DECRYPTION\n[GNUPG:] BADMDC\n";
        assert!(matches!(of_unwrapping(&ended(damaged)), Err(UnwrapError::Damaged)));
    }

    #[test]
    fn a_key_that_cannot_be_encrypted_to_has_a_reason() {
        for (line, expected) in [
            ("INV_RECP 1 AAAA", "gpg has no public key of this fingerprint"),
            ("INV_RECP 4 AAAA", "the key is revoked"),
            ("INV_RECP 0 AAAA", "gpg takes the key for unusable"),
        ] {
            let said = format!("gpg: AAAA: skipped\n[GNUPG:] {line}\n[GNUPG:] FAILURE encrypt 53\n");
            assert_eq!(of_wrapping(&ended(&said)).to_string(), expected);
        }
    }

    #[test]
    fn its_own_words_are_told_where_nothing_else_is_known_and_never_a_session_key() {
        let said = "gpg: session key: '9:ABCDEF'\n[GNUPG:] SESSION_KEY 9:ABCDEF\ngpg: fatal: out of order\n";
        let error = of_unwrapping(&ended(said)).unwrap().to_string();
        assert_eq!(error, "gpg failed (exit status: 2): fatal: out of order");
    }
}
