//! What exists upstream and is not executed here, each with the reason.

use crate::error::Refusal;
use crate::options::Language;

const CLOCK: &[&str] = &[
    "ago",
    "date",
    "date_in_zone",
    "date_modify",
    "dateInZone",
    "dateModify",
    "htmlDate",
    "htmlDateInZone",
    "must_date_modify",
    "mustDateModify",
    "now",
];

const RANDOMNESS: &[&str] = &[
    "bcrypt",
    "buildCustomCert",
    "encryptAES",
    "genCA",
    "genCAWithKey",
    "genPrivateKey",
    "genSelfSignedCert",
    "genSelfSignedCertWithKey",
    "genSignedCert",
    "genSignedCertWithKey",
    "htpasswd",
    "randAlpha",
    "randAlphaNum",
    "randAscii",
    "randBytes",
    "randInt",
    "randNumeric",
    "shuffle",
    "uuidv4",
];

const ENVIRONMENT: &[&str] = &["env", "expandenv"];

const NETWORK: &[&str] = &["getHostByName"];

const NOT_IMPLEMENTED: &[&str] = &[
    "add1f",
    "addf",
    "camelcase",
    "decryptAES",
    "derivePassword",
    "divf",
    "duration",
    "durationRound",
    "kebabcase",
    "mulf",
    "mustToDate",
    "semver",
    "semverCompare",
    "snakecase",
    "subf",
    "swapcase",
    "toDate",
    "unixEpoch",
];

/// Those of External Secrets itself.
const EXTERNAL_SECRETS: &[&str] = &[
    "certSANs",
    "filterCertChain",
    "filterPEM",
    "fullPemToPkcs12",
    "fullPemToPkcs12Pass",
    "jwkPrivateKeyPem",
    "jwkPublicKeyPem",
    "pemToPkcs12",
    "pemToPkcs12Pass",
    "pemTruststoreToPKCS12",
    "pemTruststoreToPKCS12Pass",
    "pkcs12cert",
    "pkcs12certPass",
    "pkcs12key",
    "pkcs12keyPass",
    "rsaDecrypt",
];

/// The name and why it is refused, if it is.
pub(crate) fn find(name: &str, language: Language) -> Option<(&'static str, Refusal)> {
    let own = if language == Language::ExternalSecrets { EXTERNAL_SECRETS } else { &[] };
    let tables = [
        (CLOCK, Refusal::Clock),
        (RANDOMNESS, Refusal::Randomness),
        (ENVIRONMENT, Refusal::Environment),
        (NETWORK, Refusal::Network),
        (NOT_IMPLEMENTED, Refusal::NotImplemented),
        (own, Refusal::NotImplemented),
    ];
    if language == Language::Go {
        return None;
    }
    tables.into_iter().find_map(|(names, because)| {
        let known = names.iter().find(|known| **known == name)?;
        Some((*known, because))
    })
}
