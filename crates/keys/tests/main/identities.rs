//! How sources are read, in which order they are used, and what is said of them when nothing fits.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use bulla_keys::age::{
    AgeIdentities, AgeKey, GeneratedIdentity, IdentityKind, IdentitySource, KeyKind, NoPrompt, SourceContent,
    encrypt_identity_file, generate_identity,
};
use bulla_keys::{MasterKey as _, UnwrapError, WrappedKey};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use bulla_testkit::vectors::vectors;

use crate::person::Person;
use crate::vectors::sections;
use crate::{age_source, identities, secret};

static OURS: LazyLock<GeneratedIdentity> = LazyLock::new(|| identity(1));
static OTHER: LazyLock<GeneratedIdentity> = LazyLock::new(|| identity(2));

fn identity(seed: u64) -> GeneratedIdentity {
    generate_identity(KeyKind::X25519, &mut StdRng::seed_from_u64(seed))
}

fn text(identity: &GeneratedIdentity) -> String {
    String::from_utf8(identity.secret.expose_secret().to_vec()).unwrap()
}

/// A data key wrapped for [`OURS`].
fn wrapped() -> WrappedKey {
    AgeKey::new(&OURS.recipient, Arc::new(AgeIdentities::none())).wrap_blocking(&secret([5; 32])).unwrap()
}

/// Whether the sources open it, or what is said.
fn unwrap(sources: Vec<IdentitySource>) -> Result<bool, String> {
    let key = AgeKey::new(&OURS.recipient, identities(sources));
    match key.unwrap_blocking(&wrapped()) {
        Ok(Some(secret)) => {
            assert_eq!(secret.expose_secret(), [5; 32]);
            Ok(true)
        }
        Ok(None) => Ok(false),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn lines_are_read_as_sops_reads_them() {
    let (ours, other) = (text(&OURS), text(&OTHER));
    let several = IdentityKind::Age { several_per_line: true };
    let one = IdentityKind::Age { several_per_line: false };
    let unknown = "unknown identity type: expected `AGE-SECRET-KEY-1…`, `AGE-SECRET-KEY-PQ-1…` or `AGE-PLUGIN-…`";
    let damaged = "a damaged identity: its checksum or its length is wrong";
    let line = |number: u32, what: &str| Err(format!("no identity fits: `the source`: line {number}: {what}"));
    for (kind, content, expected) in [
        (one, format!("{ours}\n"), Ok(true)),
        (one, ours.clone(), Ok(true)),
        (one, format!("# comment\r\n\r\n{other}\r\n{ours}\r\n"), Ok(true)),
        (one, other.clone(), Ok(false)),
        (one, format!(" {ours}"), line(1, unknown)),
        (one, format!("{ours} "), line(1, damaged)),
        (one, format!("{other} {ours}"), line(1, damaged)),
        (one, format!("\n{ours}\n # comment\n"), line(3, unknown)),
        (one, ours.to_lowercase(), line(1, unknown)),
        (one, format!("{ours}\n{}", OURS.recipient), line(2, unknown)),
        (one, format!("{ours}\nssh-ed25519 AAAA"), line(2, unknown)),
        (one, ours.replacen('Q', "P", 1), line(1, damaged)),
        (one, "\u{feff}".to_owned() + &ours, line(1, unknown)),
        (several, format!("{other} {ours}"), Ok(true)),
        (several, format!("  {other}\t{ours}  \n\n# comment"), Ok(true)),
        (several, format!("{ours} # comment"), line(1, unknown)),
        (one, String::new(), Err("no identity fits: `the source`: no identity in it".to_owned())),
        (one, "# only a comment\n".to_owned(), Err("no identity fits: `the source`: no identity in it".to_owned())),
    ] {
        let source =
            IdentitySource { name: "the source".to_owned(), kind, content: SourceContent::Found(secret(&content)) };
        // The text of an identity is never in a message.
        assert_eq!(unwrap(vec![source]), expected, "{kind:?} {content:?}");
    }
}

#[test]
fn bad_sources_matter_only_if_nothing_fits() {
    let bad = || {
        vec![
            IdentitySource {
                name: "SOPS_AGE_KEY".to_owned(),
                kind: IdentityKind::Age { several_per_line: true },
                content: SourceContent::Absent("not set".to_owned()),
            },
            IdentitySource {
                name: "SOPS_AGE_KEY_FILE".to_owned(),
                kind: IdentityKind::Age { several_per_line: false },
                content: SourceContent::Unreadable("permission denied".to_owned()),
            },
            age_source("keys.txt", "nonsense"),
        ]
    };
    let mut sources = bad();
    sources.push(age_source("good.txt", text(&OURS)));
    assert_eq!(unwrap(sources), Ok(true));

    let mut sources = bad();
    sources.push(age_source("other.txt", text(&OTHER)));
    let error = unwrap(sources).unwrap_err();
    let expected = format!(
        "no identity fits: `SOPS_AGE_KEY`: not set; `SOPS_AGE_KEY_FILE`: permission denied; `keys.txt`: line 1: unknown \
         identity type: expected `AGE-SECRET-KEY-1…`, `AGE-SECRET-KEY-PQ-1…` or `AGE-PLUGIN-…`; `other.txt`: 1 identity, for {}",
        OTHER.recipient
    );
    assert_eq!(error, expected);
}

#[tokio::test]
async fn healthy_sources_that_do_not_fit_are_no_error_but_are_named() {
    let key = AgeKey::new(&OURS.recipient, identities(vec![age_source("other.txt", text(&OTHER))]));
    assert!(key.unwrap(&wrapped()).await.unwrap().is_none());
    let tried: Vec<String> = key.tried().iter().map(ToString::to_string).collect();
    assert_eq!(tried, [format!("`other.txt`: 1 identity, for {}", OTHER.recipient)]);
    assert_eq!(key.name().id().to_string(), format!("age {}", OURS.recipient));

    let nothing = AgeKey::new(&OURS.recipient, Arc::new(AgeIdentities::none()));
    assert!(matches!(nothing.unwrap(&wrapped()).await, Err(UnwrapError::NoIdentity(tried)) if tried.is_empty()));
}

#[test]
fn a_command_is_run_once_per_recipient_and_only_if_needed() {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    let deferred = || IdentitySource {
        name: "SOPS_AGE_KEY_CMD".to_owned(),
        kind: IdentityKind::Age { several_per_line: false },
        content: SourceContent::Deferred(Arc::new(|recipient| {
            RUNS.fetch_add(1, Ordering::Relaxed);
            if recipient == OURS.recipient { Ok(secret(text(&OURS))) } else { Err("exit status 1".to_owned()) }
        })),
    };
    assert_eq!(unwrap(vec![deferred(), age_source("keys.txt", text(&OURS))]), Ok(true));
    assert_eq!(RUNS.load(Ordering::Relaxed), 0, "the file fits, so the command does not run");

    let identities = identities(vec![deferred()]);
    let ours = AgeKey::new(&OURS.recipient, Arc::clone(&identities));
    let other = AgeKey::new(&OTHER.recipient, Arc::clone(&identities));
    for _ in 0..3 {
        assert!(ours.unwrap_blocking(&wrapped()).unwrap().is_some());
    }
    assert_eq!(RUNS.load(Ordering::Relaxed), 1);
    let error = other.unwrap_blocking(&wrapped()).unwrap_err();
    assert!(error.to_string().contains("`SOPS_AGE_KEY_CMD`: exit status 1"), "{error}");
    assert_eq!(RUNS.load(Ordering::Relaxed), 2);
}

#[test]
fn an_identity_file_with_a_passphrase_is_asked_for_last_and_once() {
    let [ours, other] = ["locked_file", "locked_file_other"].map(vector);
    let wrapped = WrappedKey::new(ours["enc"].clone());
    let locked = |name, vector: &BTreeMap<String, String>| age_source(name, &vector["age keys"]);

    let person = Arc::new(Person::answering(Some("correct horse")));
    let sources = vec![locked("locked.txt", &other), age_source("keys.txt", text(&OURS))];
    let key = AgeKey::new("", Arc::new(AgeIdentities::new(sources, Arc::clone(&person) as _)));
    assert!(key.unwrap_blocking(&self::wrapped()).unwrap().is_some());
    assert_eq!(person.asked(), [""; 0], "a file without a passphrase fits, though it comes later");

    let sources = vec![locked("other.txt", &other), locked("ours.txt", &ours)];
    let identities = Arc::new(AgeIdentities::new(sources, Arc::clone(&person) as _));
    // Many at once: who comes second waits for the answer.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let key = AgeKey::new("", Arc::clone(&identities));
                assert!(key.unwrap_blocking(&wrapped).unwrap().is_some());
            });
        }
    });
    assert_eq!(person.asked(), ["file other.txt (1)", "file ours.txt (1)"]);
}

/// The sections of a vector.
fn vector(name: &str) -> BTreeMap<String, String> {
    let vectors = vectors("tests/vectors/keys/unwrap");
    let vector = vectors.iter().find(|vector| vector.name == name).unwrap();
    sections(std::str::from_utf8(&vector.body).unwrap())
}

#[test]
fn our_identity_file_with_a_passphrase_is_read_binary_too() {
    let armored = encrypt_identity_file(&secret(text(&OURS)), &secret("correct horse")).unwrap();
    assert!(armored.starts_with("-----BEGIN AGE ENCRYPTED FILE-----\n") && armored.ends_with("-----\n"));
    let digits: String = armored.lines().filter(|line| !line.starts_with('-')).collect();
    let binary = bulla_crypto::encoding::decode_go(digits.as_bytes()).unwrap();
    let person = Arc::new(Person::answering(Some("correct horse")));
    let identities = AgeIdentities::new(vec![age_source("keys.txt", binary)], person);
    assert!(AgeKey::new("", Arc::new(identities)).unwrap_blocking(&wrapped()).unwrap().is_some());
}

#[test]
fn no_message_shows_a_secret() {
    let sources = vec![age_source("keys.txt", text(&OURS)), age_source("bad.txt", text(&OURS) + "X")];
    let identities = AgeIdentities::new(sources, Arc::new(NoPrompt));
    let key = AgeKey::new(&text(&OURS), Arc::new(identities));
    let error = key.wrap_blocking(&secret([5; 32])).unwrap_err();
    for shown in [format!("{:?}", OURS.secret), error.to_string(), format!("{error:?}"), format!("{:?}", *OURS)] {
        assert!(!shown.contains("AGE-SECRET-KEY-1"), "{shown}");
    }
    assert_eq!(
        error.to_string(),
        "`AGE-…` is not an age recipient: it is an identity, a secret; its recipient starts with `age1`"
    );
    assert!(!format!("{:?}", key.tried()).contains("SECRET-KEY-1G"));
}

#[test]
fn recipients_of_ready_identities_are_known() {
    let locked = &vector("locked_file")["age keys"];
    let sources = vec![age_source("a", text(&OURS)), age_source("b", locked)];
    assert_eq!(identities(sources).recipients(), std::slice::from_ref(&OURS.recipient));
}
