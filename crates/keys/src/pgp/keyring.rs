//! What gpg's keyring has of a key: asked when something failed, to say why, and which secret keys there are.
//!
//! ```text
//! gpg --batch --with-colons --list-keys FP          pub:e:2048:1:749EF6D02769C300:CREATED:EXPIRES::u:::sc:
//! gpg --batch --with-colons --list-secret-keys FP   ssb:u:255:18:9060AFB2C090184C:CREATED::::::e:::+:
//!      validity ┘                  id ┘                                  capabilities ┘     └ `+`, `#`, or a card's number
//! ```
//! Source: GnuPG `doc/DETAILS`, "Format of the colon listings".

use bulla_wipe::Wiping;

use super::Gpg;
use super::error::{GpgError, HeldBack, Unusable};

/// Longest listing of one key in bytes; thousands of signatures fit, and are not listed.
const LONGEST: usize = 1 << 20;

/// Why gpg does not encrypt to the key.
pub(super) async fn why_unusable(gpg: &Gpg, fingerprint: &str) -> GpgError {
    let listing = list(gpg, "--list-keys", fingerprint).await.unwrap_or_default();
    GpgError::CannotBeUsed(unusable(&listing))
}

/// Why a message that is encrypted to the keys `of` is not opened by the key of this fingerprint.
pub(super) async fn why_no_secret_key(gpg: &Gpg, fingerprint: &str, of: Vec<String>) -> GpgError {
    let why = match list(gpg, "--list-secret-keys", fingerprint).await {
        Some(listing) => held_back(&listing, &of),
        None if list(gpg, "--list-keys", fingerprint).await.is_some() => HeldBack::PublicOnly,
        None => HeldBack::Unknown,
    };
    GpgError::NoSecretKey { of, why }
}

/// The fingerprints of all secret keys and their subkeys, those on cards included. None if gpg does not tell.
pub(super) async fn secret_fingerprints(gpg: &Gpg) -> Vec<String> {
    // Without it, versions before 2.1 tell the fingerprints of keys only.
    let arguments = ["--batch", "--with-colons", "--fingerprint", "--fingerprint", "--list-secret-keys"];
    let listing = listing(gpg, arguments.map(str::to_owned).to_vec()).await.unwrap_or_default();
    fingerprints(&listing)
}

fn fingerprints(listing: &str) -> Vec<String> {
    Record::all(listing, &["fpr"]).map(|record| record.field(10).to_ascii_uppercase()).collect()
}

/// A listing of one key; `None` if there is nothing.
async fn list(gpg: &Gpg, what: &str, fingerprint: &str) -> Option<String> {
    // The `!` of a subkey leaves it alone in the listing.
    let fingerprint = fingerprint.trim_end_matches('!');
    listing(gpg, ["--batch", "--with-colons", what, fingerprint].map(str::to_owned).to_vec()).await
}

async fn listing(gpg: &Gpg, arguments: Vec<String>) -> Option<String> {
    let ended = gpg.run(arguments, Wiping::default(), LONGEST).await.ok()?;
    let listing = String::from_utf8_lossy(&ended.output).into_owned();
    (ended.succeeded && !listing.is_empty()).then_some(listing)
}

/// One line of a listing.
struct Record<'a>(Vec<&'a str>);

impl<'a> Record<'a> {
    fn all(listing: &'a str, kinds: &'a [&str]) -> impl Iterator<Item = Self> {
        let records = listing.lines().map(|line| Self(line.split(':').collect()));
        records.filter(move |record| kinds.contains(&record.field(1)))
    }

    /// A field, counted from one as GnuPG does.
    fn field(&self, number: usize) -> &'a str {
        self.0.get(number - 1).copied().unwrap_or_default()
    }
}

fn unusable(listing: &str) -> Unusable {
    let Some(key) = Record::all(listing, &["pub"]).next() else { return Unusable::NotThere };
    let capabilities = key.field(12);
    match key.field(2) {
        "e" => return Unusable::Expired,
        "r" => return Unusable::Revoked,
        _ if capabilities.contains('D') => return Unusable::Disabled,
        _ => {}
    }
    let for_encrypting = Record::all(listing, &["sub"]).filter(|subkey| subkey.field(12).contains('e'));
    let over: Vec<bool> = for_encrypting.map(|subkey| matches!(subkey.field(2), "e" | "r")).collect();
    if over.is_empty() && !capabilities.contains('e') {
        Unusable::SignsOnly
    } else if !over.is_empty() && over.iter().all(|is_over| *is_over) {
        Unusable::SubkeysExpired
    } else {
        Unusable::Unknown
    }
}

fn held_back(listing: &str, of: &[String]) -> HeldBack {
    let asked: Vec<Record<'_>> =
        Record::all(listing, &["sec", "ssb"]).filter(|key| of.iter().any(|id| id == key.field(5))).collect();
    let place = |key: &Record<'_>| key.field(15).to_owned();
    match asked.iter().map(place).find(|place| !matches!(place.as_str(), "" | "+" | "#")) {
        Some(serial) => HeldBack::OnCard(serial),
        None => HeldBack::OtherSubkeys(of.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_cannot_be_used_is_seen_in_its_listing() {
        for (listing, expected) in [
            ("pub:e:2048:1:749EF6D02769C300:1795299829:1795299830::u:::sc::::::23::0:\n", Unusable::Expired),
            ("pub:r:2048:1:749EF6D02769C300:1795299829:::u:::sc::::::23::0:\n", Unusable::Revoked),
            ("pub:u:2048:1:749EF6D02769C300:1795299829:::u:::scESCD::::::23::0:\n", Unusable::Disabled),
            ("pub:u:255:22:D5F6D5361F3F69FA:1795299829:::u:::scSC:::::ed25519:::0:\n", Unusable::SignsOnly),
            (
                "pub:u:255:22:A:1:::u:::scSC:::::ed25519:::0:\nsub:e:255:18:B:1:2:::::e:::::cv25519::\n",
                Unusable::SubkeysExpired,
            ),
            (
                "pub:u:255:22:A:1:::u:::scSC:::::ed25519:::0:\nsub:u:255:18:B:1:2:::::e:::::cv25519::\n",
                Unusable::Unknown,
            ),
            ("", Unusable::NotThere),
        ] {
            assert_eq!(unusable(listing), expected, "{listing}");
        }
    }

    #[test]
    fn the_fingerprints_of_keys_and_subkeys_are_listed() {
        let listing = "sec:-:2048:1:3D16CEE4A27381B4:1567113565:::-:::scESC:::+:::23::0:\n\
            fpr:::::::::FBC7B9E2A4F9289AC0C1D4843D16CEE4A27381B4:\nuid:-::::1567113565::0::a:b::::::::::0:\n\
            ssb:-:2048:1:25294A17CD90507F:1567113565::::::e:::+:::23:\n\
            fpr:::::::::71D962851765394F76DB9CFC25294A17CD90507F:\n";
        let expected = ["FBC7B9E2A4F9289AC0C1D4843D16CEE4A27381B4", "71D962851765394F76DB9CFC25294A17CD90507F"];
        assert_eq!(fingerprints(listing), expected);
    }

    #[test]
    fn a_secret_key_that_is_elsewhere_is_seen_in_the_listing() {
        let of = ["25294A17CD90507F".to_owned()];
        let listing = |place: &str| {
            format!(
                "sec:-:2048:1:3D16CEE4A27381B4:1567113565:::-:::scESC:::+:::23::0:\nssb:-:2048:1:25294A17CD90507F:1567113565::::::e:::{place}:::23:\n"
            )
        };
        assert_eq!(
            held_back(&listing("D2760001240100000006123456780000"), &of),
            HeldBack::OnCard("D2760001240100000006123456780000".to_owned())
        );
        assert_eq!(held_back(&listing("#"), &of), HeldBack::OtherSubkeys("25294A17CD90507F".to_owned()));
        let other = ["0000000000000000".to_owned()];
        assert_eq!(held_back(&listing("+"), &other), HeldBack::OtherSubkeys("0000000000000000".to_owned()));
    }
}
