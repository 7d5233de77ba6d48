//! What the tests of the clouds have in common: a machine that is none, and what an outcome was.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use bulla_crypto::SecretBytes;
use bulla_keys::{MasterKey, UnwrapError, WrapError, WrappedKey};
use bulla_services::{Limits, Outside, ServiceError, Surroundings};
use tokio::runtime::Runtime;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

pub(crate) fn now<T>(future: impl Future<Output = T>) -> T {
    RUNTIME.block_on(future)
}

pub(crate) fn surroundings() -> Surroundings {
    Surroundings::new(|| Ok(RUNTIME.handle().clone()), || 0)
}

/// Waits that no test notices.
pub(crate) fn quick() -> Limits {
    Limits { first_wait: Duration::from_millis(2), ..Limits::default() }
}

/// A machine with these files and programs.
#[derive(Debug, Default)]
pub(crate) struct Machine {
    pub(crate) files: HashMap<String, String>,
    pub(crate) programs: HashMap<String, String>,
}

impl Machine {
    pub(crate) fn with_file(path: &str, content: &str) -> Arc<Self> {
        Arc::new(Self { files: HashMap::from([(path.to_owned(), content.to_owned())]), ..Self::default() })
    }
}

impl Outside for Machine {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn read(&self, path: &str) -> Result<SecretBytes, String> {
        let content = self.files.get(path).ok_or("not there")?;
        Ok(SecretBytes::new(content.as_bytes().to_vec()))
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Result<SecretBytes, String> {
        let printed = self.programs.get(program).ok_or("not there")?;
        assert!(arguments.iter().any(|argument| argument.starts_with("https://")), "{arguments:?}");
        Ok(SecretBytes::new(printed.as_bytes().to_vec()))
    }
}

pub(crate) fn data_key() -> SecretBytes {
    SecretBytes::new((0..32).collect())
}

/// Wraps and unwraps with the key.
#[track_caller]
pub(crate) fn round_trip(key: &dyn MasterKey) -> WrappedKey {
    let wrapped = now(key.wrap(&data_key())).unwrap();
    assert_eq!(now(key.unwrap(&wrapped)).unwrap().unwrap().expose_secret(), data_key().expose_secret());
    wrapped
}

#[track_caller]
pub(crate) fn wrap_error(key: &dyn MasterKey) -> ServiceError {
    match now(key.wrap(&data_key())) {
        Err(WrapError::Service(error)) => *error,
        other => panic!("another outcome: {other:?}"),
    }
}

#[track_caller]
pub(crate) fn unwrap_error(key: &dyn MasterKey, wrapped: &str) -> ServiceError {
    match now(key.unwrap(&WrappedKey::new(wrapped))) {
        Err(UnwrapError::Service(error)) => *error,
        other => panic!("another outcome: {other:?}"),
    }
}

/// What a server may send that is no answer, with a name for the message.
pub(crate) fn hostile_answers() -> Vec<(&'static str, u16, String)> {
    let deep = format!("{{\"x\":{}", "[".repeat(200_000));
    let huge = format!("{{\"x\":\"{}\"}}", "hunter2 ".repeat(200_000));
    vec![
        ("nothing", 200, String::new()),
        ("no JSON", 200, "hunter2".to_owned()),
        ("another answer", 200, r#"{"access_token":"hunter2","key":{"kid":"hunter2"}}"#.to_owned()),
        (
            "another type",
            200,
            r#"{"plaintext":["hunter2"],"ciphertext":{},"value":7,"plain_text":[],"cipher_text":1}"#.to_owned(),
        ),
        ("no base64", 200, r#"{"plaintext":"hunter2!","value":"hunter2!","plain_text":"hunter2!"}"#.to_owned()),
        ("bytes that are no text", 200, "{\"plaintext\":\"\u{0}\u{fffd}\"}".to_owned()),
        ("deep", 200, deep),
        ("too long", 200, huge.clone()),
        ("too long an error", 400, huge),
        ("an error that is none", 400, r#"{"error":[{"message":7}]}"#.to_owned()),
        ("a redirect", 302, "hunter2".to_owned()),
    ]
}
