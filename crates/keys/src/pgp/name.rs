//! Which OpenPGP key: its fingerprint.

use crate::one_line::OneLine;

/// A key, by its fingerprint as it is spelt; one that ends in `!` names that very subkey.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PgpKeyName {
    /// Hexadecimal digits, in any case.
    pub fingerprint: String,
}

/// Why a text names no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not the fingerprint of an OpenPGP key: {reason}", OneLine(fingerprint))]
pub struct PgpNameError {
    /// The text, shortened.
    pub fingerprint: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// Digits of the fingerprints of OpenPGP's versions 4, and 5 and 6.
const LENGTHS: [usize; 2] = [40, 64];

impl PgpKeyName {
    /// Reads a fingerprint as `--pgp` and rules have it; blanks within it go, as in SOPS.
    ///
    /// # Errors
    /// [`PgpNameError`]
    pub fn from_argument(text: &str) -> Result<Self, PgpNameError> {
        let name = Self { fingerprint: text.replace(' ', "") };
        name.check()?;
        Ok(name)
    }

    /// Whether it can be given to gpg: it becomes an argument there, so nothing but a fingerprint passes.
    ///
    /// Shorter ids name a key as well, until somebody makes another with the same id; SOPS takes them, and so gpg is asked for them.
    ///
    /// # Errors
    /// [`PgpNameError`]
    pub fn check(&self) -> Result<(), PgpNameError> {
        let refuse = |reason| PgpNameError { fingerprint: self.fingerprint.chars().take(100).collect(), reason };
        let digits = self.fingerprint.strip_suffix('!').unwrap_or(&self.fingerprint);
        let digits = digits.strip_prefix("0x").unwrap_or(digits);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(refuse("it has other characters than hexadecimal digits"));
        }
        if !LENGTHS.contains(&digits.len()) && !matches!(digits.len(), 8 | 16) {
            return Err(refuse(
                "it does not have 40 digits; `gpg --list-keys --with-colons` prints it in a line `fpr`",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_digits_becomes_an_argument() {
        let full = "FBC7B9E2A4F9289AC0C1D4843D16CEE4A27381B4";
        for good in [full, "FBC7 B9E2 A4F9 289A C0C1  D484 3D16 CEE4 A273 81B4", "3D16CEE4A27381B4", "A27381B4"] {
            assert!(PgpKeyName::from_argument(good).is_ok(), "{good}");
        }
        assert_eq!(PgpKeyName::from_argument(&format!("{full}!")).unwrap().fingerprint, format!("{full}!"));
        for bad in
            ["", "!", "--homedir", "me@example.com", "FBC7", &full[1..], "FBC7B9E2A4F9289AC0C1D4843D16CEE4A27381BG"]
        {
            assert!(PgpKeyName::from_argument(bad).is_err(), "{bad}");
        }
    }
}
