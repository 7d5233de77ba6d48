//! HashiCorp Vault in memory, on loopback: one for all tests of a process, or one of its own for a test that breaks it.
//!
//! ```no_run
//! use bulla_testkit::vault::Vault;
//! let vault = Vault::shared();
//! vault.write("sys/mounts/transit", r#"{"type": "transit"}"#);
//! vault.write("transit/keys/shop", "{}");
//! ```
//! It ends with the process that started it: its standard input closes then. Source: `tests/peers/vault`.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::Value;

use crate::peers;
use crate::running::Running;
use crate::server::Answer;

/// The token that may do anything.
pub const ROOT_TOKEN: &str = "root";

/// A running Vault.
#[derive(Debug)]
pub struct Vault {
    _server: Running,
    ready: Ready,
}

#[derive(Debug, Deserialize)]
struct Ready {
    http: String,
    https: String,
    certificate: String,
}

impl Vault {
    /// The one of this process. Tests share it, each with engines and policies of its own.
    pub fn shared() -> &'static Self {
        static SHARED: LazyLock<Vault> = LazyLock::new(Vault::start);
        &SHARED
    }

    /// A new one, unsealed, with nothing but KV at `secret/`.
    ///
    /// # Panics
    /// If it does not start, or the set `vault` has not been built; the message says why.
    pub fn start() -> Self {
        let (server, ready) = Running::start("vault", Command::new(peers::vault()).args(["-token", ROOT_TOKEN]));
        Self { _server: server, ready }
    }

    /// Its address, `http://127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.ready.http
    }

    /// Its address with TLS.
    pub fn encrypted_address(&self) -> &str {
        &self.ready.https
    }

    /// The certificate of that, its own authority, in PEM.
    pub fn certificate(&self) -> &str {
        &self.ready.certificate
    }

    /// Writes `body` to `path` below `/v1/`, as root; what it answers.
    ///
    /// # Panics
    /// If Vault refuses; with what it says.
    #[track_caller]
    pub fn write(&self, path: &str, body: &str) -> Value {
        let (status, answer) = self.request("POST", path, body);
        assert!((200..300).contains(&status), "POST {path}: {status}: {answer}");
        answer
    }

    /// As [`Vault::write`], and nothing if Vault refuses.
    pub fn try_write(&self, path: &str, body: &str) -> Option<Value> {
        let (status, answer) = self.request("POST", path, body);
        (200..300).contains(&status).then_some(answer)
    }

    /// What is at `path`, as root.
    ///
    /// # Panics
    /// If Vault refuses; with what it says.
    #[track_caller]
    pub fn read(&self, path: &str) -> Value {
        let (status, answer) = self.request("GET", path, "");
        assert!((200..300).contains(&status), "GET {path}: {status}: {answer}");
        answer
    }

    /// What `path` lists, as root.
    ///
    /// # Panics
    /// If Vault refuses; with what it says.
    #[track_caller]
    pub fn list(&self, path: &str) -> Value {
        let (status, answer) = self.request("LIST", path, "");
        assert!((200..300).contains(&status), "LIST {path}: {status}: {answer}");
        answer
    }

    /// Removes what is at `path`, as root.
    ///
    /// # Panics
    /// If Vault refuses; with what it says.
    #[track_caller]
    pub fn remove(&self, path: &str) {
        let (status, answer) = self.request("DELETE", path, "");
        assert!((200..300).contains(&status), "DELETE {path}: {status}: {answer}");
    }

    /// A token that may do what `policy` says (in HCL) and nothing else. `name` is that of the policy.
    ///
    /// # Panics
    /// If Vault refuses; with what it says.
    #[track_caller]
    pub fn token(&self, name: &str, policy: &str) -> String {
        let policy = serde_json::json!({ "policy": policy });
        self.write(&format!("sys/policies/acl/{name}"), &policy.to_string());
        let token = serde_json::json!({ "policies": [name], "no_default_policy": true });
        let answer = self.write("auth/token/create", &token.to_string());
        answer["auth"]["client_token"].as_str().expect("a token was made").to_owned()
    }

    /// What it answers to `request`, which a [`Server`](crate::server::Server) in between was asked: head and body, with the token that it
    /// brings.
    ///
    /// # Panics
    /// If the request is none, or Vault does not answer.
    #[track_caller]
    pub fn hand_on(&self, request: &str) -> Answer {
        let (head, body) = request.split_once("\r\n\r\n").expect("a request has a head");
        let mut lines = head.lines();
        let (method, target) = lines.next().and_then(|line| line.split_once(' ')).expect("a head has a first line");
        let path = target.split(' ').next().expect("a text has a first part").trim_start_matches("/v1/");
        let token = lines.find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("x-vault-token").then(|| value.trim())
        });
        let (status, body) = self.exchange(method, path, token.unwrap_or_default(), body);
        (status, "Content-Type: application/json\r\n".to_owned(), body)
    }

    /// One request as root.
    #[track_caller]
    fn request(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let (status, answer) = self.exchange(method, path, ROOT_TOKEN, body);
        (status, serde_json::from_str(&answer).unwrap_or_default())
    }

    /// One request, on a connection of its own.
    #[track_caller]
    fn exchange(&self, method: &str, path: &str, token: &str, body: &str) -> (u16, String) {
        let host = self.ready.http.strip_prefix("http://").expect("that is what it says");
        let mut connection = TcpStream::connect(host).expect("vault listens");
        // HTTP 1.0: the answer is not cut into chunks, and ends with the connection.
        let request = format!(
            "{method} /v1/{path} HTTP/1.0\r\nHost: {host}\r\nX-Vault-Token: {token}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        connection.write_all(request.as_bytes()).expect("vault takes a request");
        let mut answer = String::new();
        connection.read_to_string(&mut answer).expect("vault answers in text");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer}"));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("an answer has a status");
        (status, body.to_owned())
    }
}
