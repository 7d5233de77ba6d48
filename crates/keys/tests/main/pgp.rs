//! Keys of OpenPGP with the real gpg, and the real SOPS on the other side.

use std::sync::Arc;
use std::sync::LazyLock;

use bulla_crypto::SecretBytes;
use bulla_keys::pgp::{Gpg, GpgError, HeldBack, PgpKey, PgpKeyName, Unusable};
use bulla_keys::{MasterKey as _, UnwrapError, WrapError, WrappedKey};
use bulla_testkit::gnupg::{Home, SOPS_KEYS, pinentry};
use bulla_testkit::needs_peers;
use tokio::runtime::Runtime;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

fn now<T>(future: impl Future<Output = T>) -> T {
    RUNTIME.block_on(future)
}

/// gpg with the keys of `home`, and no terminal.
fn gpg(home: &Home) -> Arc<Gpg> {
    Arc::new(Gpg::new("gpg", [("GNUPGHOME", home.path().as_os_str()), ("GPG_TTY", "".as_ref())]))
}

fn key(fingerprint: &str, gpg: &Arc<Gpg>) -> PgpKey {
    PgpKey::new(PgpKeyName { fingerprint: fingerprint.to_owned() }, Arc::clone(gpg))
}

fn data_key() -> SecretBytes {
    SecretBytes::new((0..32).collect())
}

fn wrap_error(key: &PgpKey) -> GpgError {
    match now(key.wrap(&data_key())) {
        Err(WrapError::Gpg(error)) => error,
        other => panic!("another outcome: {other:?}"),
    }
}

fn unwrap_error(key: &PgpKey, wrapped: &WrappedKey) -> GpgError {
    match now(key.unwrap(wrapped)) {
        Err(UnwrapError::Gpg(error)) => error,
        other => panic!("another outcome: {other:?}"),
    }
}

/// Has `home` a key with the passphrase `a passphrase`, and what is wrapped for it.
fn locked(home: &Home) -> (String, WrappedKey) {
    let fingerprint = home.generate("locked@example.org", &["future-default", "default", "never"], "a passphrase");
    let wrapped = now(key(&fingerprint, &gpg(home)).wrap(&data_key())).unwrap();
    home.forget();
    (fingerprint, wrapped)
}

#[test]
fn what_a_key_wraps_it_unwraps_and_gpg_does_too() {
    needs_peers!();
    let home = Home::of_sops();
    let gpg = gpg(&home);
    let blanks = "FBC7 B9E2 A4F9 289A C0C1  D484 3D16 CEE4 A273 81B4";
    let subkey = "71D962851765394F76DB9CFC25294A17CD90507F!";
    for fingerprint in [SOPS_KEYS[0], SOPS_KEYS[1], blanks, subkey, "3d16cee4a27381b4"] {
        let key = key(fingerprint, &gpg);
        let wrapped = now(key.wrap(&data_key())).unwrap();
        assert!(wrapped.as_str().starts_with("-----BEGIN PGP MESSAGE-----\n"), "{fingerprint}");
        assert!(wrapped.as_str().ends_with("\n-----END PGP MESSAGE-----"), "{fingerprint}");
        let opened = home.gpg(["-d"]).stdin(wrapped.as_str()).run().unwrap().success();
        assert_eq!(opened.stdout, data_key().expose_secret(), "{fingerprint}");
        assert_eq!(now(key.unwrap(&wrapped)).unwrap().unwrap().expose_secret(), data_key().expose_secret());
        // A share of a data key has a byte more.
        let share = SecretBytes::new(vec![7; 33]);
        let wrapped = now(key.wrap(&share)).unwrap();
        assert_eq!(now(key.unwrap(&wrapped)).unwrap().unwrap().expose_secret(), share.expose_secret());
    }
}

#[test]
fn a_key_that_cannot_be_encrypted_to_has_its_reason() {
    needs_peers!();
    let home = Home::of_sops();
    let expired = home.generate("old@example.org", &["rsa2048", "default", "seconds=1"], "");
    let signing = home.generate("signs@example.org", &["ed25519", "sign", "never"], "");
    std::thread::sleep(std::time::Duration::from_secs(2));
    let gpg = gpg(&home);
    for (fingerprint, expected) in [
        ("AAAAB9E2A4F9289AC0C1D4843D16CEE4A27381B4", Unusable::NotThere),
        (expired.as_str(), Unusable::Expired),
        (signing.as_str(), Unusable::SignsOnly),
    ] {
        assert_eq!(wrap_error(&key(fingerprint, &gpg)), GpgError::CannotBeUsed(expected));
    }
    assert!(matches!(wrap_error(&key("--homedir", &gpg)), GpgError::Name(_)));
    let nowhere = Arc::new(Gpg::new("/nowhere/gpg", [("", ""); 0]));
    let error = wrap_error(&key(SOPS_KEYS[0], &nowhere));
    assert_eq!(error.to_string(), "`/nowhere/gpg` is not installed, or not in PATH");
}

#[test]
fn a_secret_key_that_is_not_there_is_told_with_what_is() {
    needs_peers!();
    let with = Home::of_sops();
    let wrapped = now(key(SOPS_KEYS[0], &gpg(&with)).wrap(&data_key())).unwrap();
    let for_third = now(key(SOPS_KEYS[2], &gpg(&with)).wrap(&data_key())).unwrap();
    let why = |home: &Home, fingerprint: &str, wrapped: &WrappedKey| match unwrap_error(
        &key(fingerprint, &gpg(home)),
        wrapped,
    ) {
        GpgError::NoSecretKey { why, .. } => why,
        other => panic!("{other}"),
    };
    assert_eq!(why(&with, SOPS_KEYS[2], &for_third), HeldBack::PublicOnly);
    assert_eq!(why(&Home::new(), SOPS_KEYS[0], &wrapped), HeldBack::Unknown);
    // The entry says the first key, and the message is for another.
    let third = HeldBack::OtherSubkeys(id_of_third(&with));
    assert_eq!(why(&with, SOPS_KEYS[0], &for_third), third);
}

/// The id of the subkey that encrypts of the key without a secret.
fn id_of_third(home: &Home) -> String {
    let subkey = home.fingerprints(SOPS_KEYS[2]).pop().unwrap();
    subkey[subkey.len() - 16..].to_owned()
}

#[test]
fn only_the_subkey_that_is_missing_is_named() {
    needs_peers!();
    let (with, without) = (Home::of_sops(), Home::new());
    let wrapped = now(key(SOPS_KEYS[0], &gpg(&with)).wrap(&data_key())).unwrap();
    // Somebody who signs with this key elsewhere: the secret of the subkey that encrypts is left out.
    let secrets = with.gpg(["--batch", "--export-secret-keys", &format!("{}!", SOPS_KEYS[0])]).run().unwrap().success();
    let public = with.gpg(["--batch", "--export", SOPS_KEYS[0]]).run().unwrap().success();
    for keys in [public.stdout, secrets.stdout] {
        let _imported = without.gpg(["--batch", "--import"]).stdin(keys).run().unwrap().success();
    }
    let error = unwrap_error(&key(SOPS_KEYS[0], &gpg(&without)), &wrapped);
    assert_eq!(
        error.to_string(),
        "gpg has secret keys of this fingerprint, but not that of the subkey 25294A17CD90507F, to which it is encrypted"
    );
}

#[test]
fn what_is_damaged_or_no_message_is_told_apart() {
    needs_peers!();
    let home = Home::of_sops();
    let key = key(SOPS_KEYS[0], &gpg(&home));
    let wrapped = now(key.wrap(&data_key())).unwrap();
    for text in ["", "vault:v1:x", &wrapped.as_str()[..300], &"x".repeat(100_000)] {
        let outcome = now(key.unwrap(&WrappedKey::new(text)));
        assert!(matches!(outcome, Err(UnwrapError::Malformed(_))), "{outcome:?}");
    }
    // One bit of the encrypted data: its checksum goes first, which gpg does not need.
    let mut lines: Vec<String> =
        wrapped.as_str().lines().map(str::to_owned).filter(|line| !line.starts_with('=')).collect();
    let last = lines.len() - 2;
    let flipped = if lines[last].starts_with('A') { "B" } else { "A" };
    lines[last].replace_range(0..1, flipped);
    let outcome = now(key.unwrap(&WrappedKey::new(lines.join("\n"))));
    assert!(matches!(outcome, Err(UnwrapError::Damaged)), "{outcome:?}");
    // What is no data key: more bytes than there can be, and none.
    let encrypt = |plain: Vec<u8>| {
        let arguments = ["--batch", "--yes", "--encrypt", "-a", "--trust-model", "always", "-r", SOPS_KEYS[0]];
        WrappedKey::new(home.gpg(arguments).stdin(plain).run().unwrap().success().stdout_text())
    };
    assert_eq!(unwrap_error(&key, &encrypt(vec![0; 1 << 20])), GpgError::TooMuch { longest: 1024 });
    assert_eq!(unwrap_error(&key, &encrypt(Vec::new())), GpgError::Nothing);
}

#[test]
fn a_passphrase_is_asked_for_once_however_many_files_there_are() {
    needs_peers!();
    let home = Home::new();
    let (fingerprint, _) = locked(&home);
    home.ask(&pinentry("\"D a passphrase\"\nOK"));
    let gpg = gpg(&home);
    let wrapped: Vec<WrappedKey> = (0..8).map(|_| now(key(&fingerprint, &gpg).wrap(&data_key())).unwrap()).collect();
    let unwrapped = wrapped.into_iter().map(|wrapped| {
        let key = key(&fingerprint, &gpg);
        RUNTIME.spawn(async move { key.unwrap(&wrapped).await.map(Option::unwrap) })
    });
    for unwrapped in unwrapped.collect::<Vec<_>>() {
        assert_eq!(now(unwrapped).unwrap().unwrap().expose_secret(), data_key().expose_secret());
    }
    assert_eq!(std::fs::read_to_string(home.path().join("asked")).unwrap().lines().count(), 1);
}

#[test]
fn a_person_who_gives_no_passphrase_is_not_asked_again() {
    needs_peers!();
    let home = Home::new();
    let (fingerprint, wrapped) = locked(&home);
    for (answer, times, expected) in [
        ("ERR 83886179 Operation cancelled", 1, GpgError::Cancelled),
        ("ERR 83918950 Inappropriate ioctl for device", 1, GpgError::NoTerminal),
        ("\"D wrong\"\nOK", 3, GpgError::WrongPassphrase),
    ] {
        home.ask(&pinentry(answer));
        let _ = std::fs::remove_file(home.path().join("asked"));
        let gpg = gpg(&home);
        for _ in 0..3 {
            assert_eq!(unwrap_error(&key(&fingerprint, &gpg), &wrapped), expected);
        }
        // The agent itself asks again after a wrong one.
        assert_eq!(std::fs::read_to_string(home.path().join("asked")).unwrap().lines().count(), times, "{expected}");
    }
    std::fs::write(home.path().join("gpg-agent.conf"), "pinentry-program /nowhere/pinentry\n").unwrap();
    home.forget();
    assert_eq!(unwrap_error(&key(&fingerprint, &gpg(&home)), &wrapped), GpgError::NoPinentry);
    // The system's own, without a terminal: what users meet.
    std::fs::write(home.path().join("gpg-agent.conf"), "").unwrap();
    home.forget();
    let error = unwrap_error(&key(&fingerprint, &gpg(&home)), &wrapped);
    assert!(matches!(error, GpgError::NoTerminal | GpgError::NoPinentry), "{error}");
}

#[test]
fn an_agent_that_cannot_be_reached_is_told_from_a_key_that_is_not_there() {
    needs_peers!();
    let home = Home::of_sops();
    let wrapped = now(key(SOPS_KEYS[0], &gpg(&home)).wrap(&data_key())).unwrap();
    home.forget();
    std::fs::write(home.path().join("gpg.conf"), "agent-program /nowhere/gpg-agent\n").unwrap();
    let error = unwrap_error(&key(SOPS_KEYS[0], &gpg(&home)), &wrapped);
    assert!(matches!(error, GpgError::NoAgent { .. }), "{error}");
}

#[test]
fn the_keyrings_of_older_versions_are_read_by_gpg_itself() {
    needs_peers!();
    let home = Home::of_sops();
    let wrapped = now(key(SOPS_KEYS[0], &gpg(&home)).wrap(&data_key())).unwrap();
    // As version 2.0 and before left them: two files of packets, and nothing else.
    let old = Home::new();
    for (arguments, file) in
        [(["--batch", "--export"], "pubring.gpg"), (["--batch", "--export-secret-keys"], "secring.gpg")]
    {
        let exported = home.gpg(arguments).run().unwrap().success();
        std::fs::write(old.path().join(file), exported.stdout).unwrap();
    }
    let _ = std::fs::remove_file(old.path().join("pubring.kbx"));
    let key = key(SOPS_KEYS[0], &gpg(&old));
    assert_eq!(now(key.unwrap(&wrapped)).unwrap().unwrap().expose_secret(), data_key().expose_secret());
    assert!(now(key.wrap(&data_key())).is_ok());
}
