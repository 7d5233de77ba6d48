//! The real age, age-keygen and sops, both ways.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use bulla_crypto::{DataKey, EncryptedValue, Mac, ValueCipher, ValueKind};
use bulla_keys::WrappedKey;
use bulla_keys::age::{
    AgeIdentities, AgeKey, KeyKind, RecipientError, check_recipient, encrypt_identity_file, generate_identity,
};
use bulla_testkit::peers;
use bulla_testkit::process::Program;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tempfile::TempDir;

use crate::{age_source, identities, secret, ssh_source};

/// A recipient, the file with its identity, and that as our source.
struct Pair {
    recipient: String,
    file: std::path::PathBuf,
    ssh: bool,
}

impl Pair {
    fn identities(&self) -> Arc<AgeIdentities> {
        let content = fs::read(&self.file).unwrap();
        let source = if self.ssh { ssh_source("file", content) } else { age_source("file", content) };
        identities(vec![source])
    }
}

/// One pair of each kind: age's own made by age-keygen, and those of SSH by ssh-keygen.
fn pairs(folder: &Path) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for (name, flags) in [("x25519", &[][..]), ("pq", &["-pq"])] {
        let file = folder.join(name);
        let _made = Program::new(peers::age_keygen()).args(flags).arg("-o").arg(&file).run().unwrap().success();
        let recipient = Program::new(peers::age_keygen()).arg("-y").arg(&file).run().unwrap().success();
        let recipient = recipient.stdout_text().trim().to_owned();
        pairs.push(Pair { recipient, file, ssh: false });
    }
    for (name, flags) in [
        ("ed25519", &["-t", "ed25519"][..]),
        ("rsa2048", &["-t", "rsa", "-b", "2048"]),
        ("rsa3072", &["-t", "rsa", "-b", "3072"]),
    ] {
        let file = folder.join(name);
        let keygen = Program::new("ssh-keygen").args(["-q", "-N", "", "-C", "me@example.org"]).args(flags);
        let _made = keygen.arg("-f").arg(&file).run().unwrap().success();
        let recipient = fs::read_to_string(folder.join(format!("{name}.pub"))).unwrap().trim().to_owned();
        pairs.push(Pair { recipient, file, ssh: true });
    }
    pairs
}

#[test]
fn age_opens_ours_and_we_open_its() {
    bulla_testkit::needs_peers!();
    let folder = TempDir::new().unwrap();
    for Pair { recipient, file, ssh } in &pairs(folder.path()) {
        let pair = Pair { recipient: recipient.clone(), file: file.clone(), ssh: *ssh };
        let key = AgeKey::new(recipient, pair.identities());
        for length in [0, 33, 4096] {
            let plain: Vec<u8> = (0..=255).cycle().take(length).collect();
            let wrapped = key.wrap_blocking(&secret(&plain)).unwrap();
            assert!(wrapped.as_str().ends_with("-----END AGE ENCRYPTED FILE-----\n"));
            assert_eq!(key.unwrap_blocking(&wrapped).unwrap().unwrap().expose_secret(), plain);
            let opened = Program::new(peers::age()).arg("-d").arg("-i").arg(file).stdin(wrapped.as_str()).run();
            assert_eq!(opened.unwrap().success().stdout, plain, "{recipient}");

            let encrypted = Program::new(peers::age()).args(["-a", "-r", recipient]).stdin(plain.clone()).run();
            let wrapped = WrappedKey::new(encrypted.unwrap().success().stdout_text());
            assert_eq!(key.unwrap_blocking(&wrapped).unwrap().unwrap().expose_secret(), plain, "{recipient}");
        }
        assert!(key.unwrap_blocking(&WrappedKey::new("")).is_err());
    }
}

#[test]
fn sops_opens_what_we_wrapped_and_we_what_it_did() {
    bulla_testkit::needs_peers!();
    let folder = TempDir::new().unwrap();
    let sops = |arguments: &[&str], pair: &Pair| {
        let variable = if pair.ssh { "SOPS_AGE_SSH_PRIVATE_KEY_FILE" } else { "SOPS_AGE_KEY_FILE" };
        let program = Program::new(peers::sops()).args(arguments).current_dir(folder.path());
        program.env("HOME", folder.path()).env(variable, &pair.file).run().unwrap().success().stdout_text()
    };
    fs::write(folder.path().join("plain.json"), r#"{"a":"value"}"#).unwrap();
    for pair in &pairs(folder.path()) {
        let encrypted = sops(&["encrypt", "--age", &pair.recipient, "plain.json"], pair);
        let document: serde_json::Value = serde_json::from_str(&encrypted).unwrap();
        let entry = &document["sops"]["age"][0];
        assert_eq!(entry["recipient"], pair.recipient, "verbatim, with the comment");
        let key = AgeKey::new(entry["recipient"].as_str().unwrap(), pair.identities());
        let data_key = key.unwrap_blocking(&WrappedKey::new(entry["enc"].as_str().unwrap())).unwrap().unwrap();
        let cipher = ValueCipher::new(&DataKey::try_from(&data_key).unwrap());
        let value = EncryptedValue::parse(document["a"].as_str().unwrap()).unwrap();
        assert_eq!(cipher.decrypt(&value, b"a:").unwrap().0.expose_secret(), b"value");

        fs::write(folder.path().join("ours.json"), our_document(&key)).unwrap();
        assert_eq!(sops(&["decrypt", "--extract", r#"["b"]"#, "ours.json"], pair), "of ours", "{}", pair.recipient);
    }
}

/// A small document, encrypted by us.
fn our_document(key: &AgeKey) -> String {
    let data_key = DataKey::generate(&mut StdRng::seed_from_u64(11));
    let cipher = ValueCipher::new(&data_key);
    let date = "2026-11-21T10:00:00Z";
    let value = cipher.encrypt(b"of ours", ValueKind::Str, b"b:", &[1; 32]);
    let mut mac = Mac::new();
    mac.update(b"of ours");
    let mac = cipher.encrypt(mac.finish().expose_secret(), ValueKind::Str, date.as_bytes(), &[2; 32]);
    let wrapped = key.wrap_blocking(&data_key.to_secret_bytes()).unwrap();
    let document = serde_json::json!({
        "b": value,
        "sops": {
            "age": [{ "recipient": key.recipient(), "enc": wrapped.as_str() }],
            "lastmodified": date, "mac": mac, "version": "3.13.3",
        },
    });
    document.to_string()
}

#[test]
fn age_keygen_knows_our_identities() {
    bulla_testkit::needs_peers!();
    for kind in [KeyKind::X25519, KeyKind::PostQuantum] {
        let ours = generate_identity(kind, &mut StdRng::seed_from_u64(3));
        check_recipient(&ours.recipient).unwrap();
        let file = ours.to_file("2026-11-21T10:00:00Z");
        let recipient =
            Program::new(peers::age_keygen()).arg("-y").stdin(file.expose_secret()).run().unwrap().success();
        assert_eq!(recipient.stdout_text().trim(), ours.recipient);

        // The same lines as age-keygen's own, but for the values.
        let flags: &[&str] = if kind == KeyKind::PostQuantum { &["-pq"] } else { &[] };
        let theirs = Program::new(peers::age_keygen()).args(flags).run().unwrap().success().stdout_text();
        let shape = |text: &str| -> Vec<(String, usize)> {
            let lines = text.lines().map(|line| (line.chars().take(12).collect(), line.len()));
            // The zone of the date makes its length.
            lines.filter(|(start, _): &(String, usize)| start != "# created: 2").collect()
        };
        assert_eq!(shape(std::str::from_utf8(file.expose_secret()).unwrap()), shape(&theirs));
        let key = AgeKey::new(&ours.recipient, identities(vec![age_source("ours", file.expose_secret())]));
        let wrapped = key.wrap_blocking(&secret([1; 32])).unwrap();
        assert!(key.unwrap_blocking(&wrapped).unwrap().is_some());
    }
}

#[test]
fn recipients_are_told_apart_and_refused_with_a_reason() {
    let ours = generate_identity(KeyKind::X25519, &mut StdRng::seed_from_u64(3)).recipient;
    let reason = |recipient: &str| -> String {
        let RecipientError { reason, .. } = check_recipient(recipient).unwrap_err();
        reason
    };
    check_recipient(&format!(" {ours}\n")).unwrap();
    let ed25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN";
    check_recipient(ed25519).unwrap();
    check_recipient(&format!("{ed25519} a comment of words")).unwrap();

    let mistyped = ours.replacen('q', "p", 1);
    assert_eq!(reason(&mistyped), "its checksum is wrong: mistyped, or cut");
    assert_eq!(reason(&ours[..40]), "its checksum is wrong: mistyped, or cut");
    assert!(reason("").starts_with("expected `age1…`"));
    assert!(reason("bob").starts_with("expected `age1…`"));
    assert!(reason("ssh-ed25519").starts_with("expected `ssh-ed25519` or `ssh-rsa`"));
    assert!(reason(&ed25519.replacen("ssh-ed25519", "ssh-rsa", 1)).starts_with("expected `ssh-ed25519` or `ssh-rsa`"));
    let dsa = "ssh-dss AAAAB3NzaC1kc3MAAAAB";
    assert_eq!(reason(dsa), "SSH keys of type `ssh-dss` cannot encrypt: `ssh-ed25519` and `ssh-rsa` can");
    let long = format!("age1{}", "q".repeat(5000));
    assert!(check_recipient(&long).unwrap_err().to_string().len() < 200);
}

#[tokio::test]
async fn the_future_does_what_the_call_does() {
    let ours = generate_identity(KeyKind::X25519, &mut StdRng::seed_from_u64(3));
    let key = AgeKey::new(&ours.recipient, identities(vec![age_source("ours", ours.secret.expose_secret())]));
    let key: Arc<dyn bulla_keys::MasterKey> = Arc::new(key);
    let wrapped = key.wrap(&secret([4; 33])).await.unwrap();
    let moved = Arc::clone(&key);
    let task = tokio::spawn(async move { moved.unwrap(&wrapped).await.unwrap().unwrap() });
    assert_eq!(task.await.unwrap().expose_secret(), [4; 33]);
    assert!(encrypt_identity_file(&secret("x"), &secret("")).is_err());
}
