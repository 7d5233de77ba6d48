//! Google Cloud KMS and Storage, Azure Key Vault and Huawei Cloud KMS in memory, on loopback. One for all tests of a process, or one of its own for a
//! test that counts calls, or breaks something.
//!
//! ```no_run
//! use bulla_testkit::clouds::{Clouds, Fault};
//! let clouds = Clouds::start();
//! let shop = clouds.google("shop@p.iam.gserviceaccount.com", &["encrypt", "decrypt"]);
//! clouds.fail(&Fault { action: Some("google:decrypt"), times: Some(2), status: Some(429), ..Fault::default() });
//! // … SOPS_GCP_KMS_ENDPOINT is `clouds.address()`, GOOGLE_OAUTH_ACCESS_TOKEN is `shop["token"]` …
//! assert_eq!(clouds.count("google:decrypt"), 3);
//! ```
//! No emulator of these can be had where moto comes from, so it is our own, made of the clouds' documents; it checks every token and
//! signature, and the real SOPS is let in by it, with the clouds' own SDKs. It ends with the process that started it. Source:
//! `tests/peers/clouds`.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::peers::Set;
use crate::running::Running;

/// The stand-in, running.
#[derive(Debug)]
pub struct Clouds {
    _server: Running,
    ready: Ready,
}

#[derive(Debug, Deserialize)]
struct Ready {
    http: String,
    proxy: String,
    authority: String,
}

/// A call that was made.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Call {
    /// What was asked for: `google:decrypt`.
    pub action: Option<String>,
    /// Who asked, if they were known.
    pub principal: Option<String>,
    /// The key that it was about.
    pub resource: Option<String>,
    /// The status of the answer.
    pub status: u16,
}

/// What was put into a bucket of Google Cloud Storage.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Object {
    /// The bucket.
    pub bucket: String,
    /// Its name there.
    pub name: String,
    /// What is in it.
    pub content: String,
    /// Its type: `text/plain; charset=utf-8`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The names of what was said about it.
    pub about: Vec<String>,
    /// How often it was put there.
    pub uploads: u32,
}

/// How calls are to fail.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Fault<'a> {
    /// Calls of this action: `google:decrypt`; all, if `None`.
    pub action: Option<&'a str>,
    /// How many of them; all, if `None`.
    pub times: Option<u32>,
    /// The status of the answer; if `None`, the call works, but for the delay.
    pub status: Option<u16>,
    /// The answer.
    pub body: &'a str,
    /// How long it takes before, in seconds.
    pub delay: f64,
}

impl Clouds {
    /// The one of this process. Tests share it, each with callers and keys of its own; none of them makes it fail for others.
    pub fn shared() -> &'static Self {
        static SHARED: LazyLock<Clouds> = LazyLock::new(Clouds::start);
        &SHARED
    }

    /// A new one, with nothing in it.
    ///
    /// # Panics
    /// If it does not start, or the set `clouds` has not been built; the message says why.
    pub fn start() -> Self {
        let (server, ready) = Running::script("the clouds", Set::Clouds);
        Self { _server: server, ready }
    }

    /// Its address without TLS, `http://127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.ready.http
    }

    /// Who wants to reach it by the hosts' real names: lines for a shell that set the proxy, and the authority of its certificate.
    pub fn by_name(&self) -> String {
        let Ready { proxy, authority, .. } = &self.ready;
        format!("export HTTPS_PROXY={proxy} SSL_CERT_FILE={authority};")
    }

    /// The proxy that leads every host to it, `http://127.0.0.1:PORT`.
    pub fn proxy(&self) -> &str {
        &self.ready.proxy
    }

    /// Where the certificate of its authority is.
    pub fn authority_path(&self) -> &str {
        &self.ready.authority
    }

    /// The certificate of its authority, in PEM.
    ///
    /// # Panics
    /// If it is not there.
    pub fn authority(&self) -> Vec<u8> {
        std::fs::read(&self.ready.authority).expect("it was written before the start")
    }

    /// What is in this bucket of Google Cloud Storage.
    ///
    /// # Panics
    /// If there is no answer.
    #[track_caller]
    pub fn objects(&self, bucket: &str) -> Vec<Object> {
        let answer = self.request("GET", "/_testkit/objects", "");
        let all: Vec<Object> = serde_json::from_str(&answer).expect("the objects are a list");
        all.into_iter().filter(|object| object.bucket == bucket).collect()
    }

    /// Lets somebody in to Google Cloud who may do this (`encrypt`, `decrypt`, `impersonate`; `create`, `delete` for objects); gives credentials of each kind: `token`,
    /// `subject_token`, `service_account`, `authorized_user`.
    #[track_caller]
    pub fn google(&self, email: &str, may: &[&str]) -> Value {
        self.let_in("google", &json!({"email": email, "may": may}))
    }

    /// Lets somebody in to `cloud`, by what its part of the stand-in takes.
    ///
    /// # Panics
    /// If it refuses.
    #[track_caller]
    pub fn let_in(&self, cloud: &str, who: &Value) -> Value {
        let answer = self.request("POST", &format!("/_testkit/{cloud}"), &who.to_string());
        serde_json::from_str(&answer).expect("the answer is JSON")
    }

    /// Makes calls fail.
    #[track_caller]
    pub fn fail(&self, fault: &Fault<'_>) {
        self.request("POST", "/_testkit/faults", &json!(fault).to_string());
    }

    /// No call fails any more, but by itself.
    #[track_caller]
    pub fn mend(&self) {
        self.request("DELETE", "/_testkit/faults", "");
    }

    /// The calls so far.
    ///
    /// # Panics
    /// If there is no answer.
    #[track_caller]
    pub fn calls(&self) -> Vec<Call> {
        serde_json::from_str(&self.request("GET", "/_testkit/calls", "")).expect("the calls are a list")
    }

    /// How many calls of this action (`google:decrypt`) there were.
    #[track_caller]
    pub fn count(&self, action: &str) -> usize {
        self.calls().iter().filter(|call| call.action.as_deref() == Some(action)).count()
    }

    /// Forgets the calls so far.
    #[track_caller]
    pub fn forget_calls(&self) {
        self.request("DELETE", "/_testkit/calls", "");
    }

    /// One request, on a connection of its own.
    #[track_caller]
    fn request(&self, method: &str, path: &str, body: &str) -> String {
        let host = self.ready.http.strip_prefix("http://").expect("that is what it says");
        let mut connection = TcpStream::connect(host).expect("it listens");
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        connection.write_all(format!("{head}{body}").as_bytes()).expect("it takes a request");
        let mut answer = String::new();
        connection.read_to_string(&mut answer).expect("it answers in text");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer}"));
        let status = head.split(' ').nth(1).unwrap_or_default();
        assert!(status.starts_with('2'), "{method} {path}: {answer}");
        body.to_owned()
    }
}
