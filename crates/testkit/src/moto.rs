//! AWS in memory, on loopback: KMS, Secrets Manager, SSM, STS and IAM by moto. One for all tests of a process, or one of its own for a
//! test that counts calls, or breaks something.
//!
//! ```no_run
//! use bulla_testkit::moto::{Fault, Moto};
//! let moto = Moto::start();
//! let arn = moto.key("us-east-1");
//! moto.fail(&Fault { action: Some("kms:Decrypt"), times: Some(2), code: "ThrottlingException", ..Fault::default() });
//! // … AWS_ENDPOINT_URL is `moto.address()`, and any access key is good …
//! assert_eq!(moto.count("kms:Decrypt"), 3);
//! ```
//! It ends with the process that started it: its standard input closes then. Source: `tests/peers/moto`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::peers::Set;
use crate::running::Running;

/// The account that everything is in.
pub const ACCOUNT: &str = "123456789012";

/// A running moto.
#[derive(Debug)]
pub struct Moto {
    _server: Running,
    address: String,
}

#[derive(Debug, Deserialize)]
struct Ready {
    http: String,
}

/// A call that was made.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Call {
    /// What was asked for: `kms:Decrypt`.
    pub action: String,
    /// Of which region.
    pub region: String,
    /// Whose access key signed it.
    pub access_key: String,
    /// The key, secret or role that it was about, as the call names it.
    pub resource: Option<String>,
    /// What a call of S3 tells of an object, in the names of CGI.
    #[serde(default)]
    pub told: BTreeMap<String, String>,
}

/// What is in a bucket of S3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// What it holds.
    pub content: String,
    /// What is kept about it, by name: type, checksum, what its owner said.
    pub about: Vec<(String, String)>,
}

/// A user of IAM, or a role that was assumed.
#[derive(Debug, Clone)]
pub struct AccessKey {
    /// `AWS_ACCESS_KEY_ID`
    pub id: String,
    /// `AWS_SECRET_ACCESS_KEY`
    pub secret: String,
}

/// How calls are to fail. What is `None` matches everything.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Fault<'a> {
    /// Calls of this action: `kms:Decrypt`.
    pub action: Option<&'a str>,
    /// Calls to this region.
    pub region: Option<&'a str>,
    /// Calls about this key, secret or role, as the call names it.
    pub resource: Option<&'a str>,
    /// How many of them; all, if `None`.
    pub times: Option<u32>,
    /// The status of the answer; 400, if `None`.
    pub status: Option<u16>,
    /// The error of AWS: `ThrottlingException`. If it is empty, the call works, but for the delay.
    pub code: &'a str,
    /// What it says.
    pub message: &'a str,
    /// How long it takes before, in seconds.
    pub delay: f64,
}

impl Moto {
    /// The one of this process. Tests share it, each with keys and secrets of its own; none of them makes it fail for others.
    pub fn shared() -> &'static Self {
        static SHARED: LazyLock<Moto> = LazyLock::new(Moto::start);
        &SHARED
    }

    /// A new one, with nothing in it.
    ///
    /// # Panics
    /// If it does not start, or the set `moto` has not been built; the message says why.
    pub fn start() -> Self {
        let (server, Ready { http }) = Running::script("moto", Set::Moto);
        Self { _server: server, address: http }
    }

    /// Its address, `http://127.0.0.1:PORT`: what `AWS_ENDPOINT_URL` is to be.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Makes a key of KMS, and gives its ARN.
    #[track_caller]
    pub fn key(&self, region: &str) -> String {
        text(&self.json(region, "kms", "TrentService.CreateKey", &json!({}))["KeyMetadata"]["Arn"])
    }

    /// Makes a multi-Region key with a replica in each of `others`, and gives the ARN of the first.
    ///
    /// # Panics
    /// If moto refuses; with what it says.
    #[track_caller]
    pub fn multi_region_key(&self, region: &str, others: &[&str]) -> String {
        let made = self.json(region, "kms", "TrentService.CreateKey", &json!({"MultiRegion": true}));
        let key = &made["KeyMetadata"];
        for other in others {
            let replica = json!({"KeyId": key["KeyId"], "ReplicaRegion": other});
            self.json(region, "kms", "TrentService.ReplicateKey", &replica);
        }
        text(&key["Arn"])
    }

    /// Gives the key with this ARN another name, without `alias/`, and gives the ARN of that.
    ///
    /// # Panics
    /// If moto refuses; with what it says.
    #[track_caller]
    pub fn alias(&self, arn: &str, name: &str) -> String {
        let region = arn.split(':').nth(3).expect("an ARN has a region");
        let alias = json!({"AliasName": format!("alias/{name}"), "TargetKeyId": arn});
        self.json(region, "kms", "TrentService.CreateAlias", &alias);
        format!("arn:aws:kms:{region}:{ACCOUNT}:alias/{name}")
    }

    /// Makes a secret of Secrets Manager, and gives its ARN.
    #[track_caller]
    pub fn secret(&self, region: &str, name: &str, value: &str) -> String {
        let secret = json!({"Name": name, "SecretString": value});
        text(&self.json(region, "secretsmanager", "secretsmanager.CreateSecret", &secret)["ARN"])
    }

    /// Makes a bucket of S3.
    #[track_caller]
    pub fn bucket(&self, name: &str) {
        self.request("PUT", &format!("/{name}"), &[("Authorization", &authorization("us-east-1", "s3"))], "");
    }

    /// What `bucket` has under `key`, which is escaped for a URI.
    #[track_caller]
    pub fn object(&self, bucket: &str, key: &str) -> Object {
        let headers = [("Authorization", &*authorization("us-east-1", "s3")), ("X-Amz-Checksum-Mode", "ENABLED")];
        let (head, content) = self.exchange("GET", &format!("/{bucket}/{key}"), &headers, "");
        let is_kept = |name: &str| {
            name == "content-type"
                || name == "content-encoding"
                || name == "cache-control"
                || name.starts_with("x-amz-")
        };
        let mut about: Vec<(String, String)> = head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .filter(|(name, _)| is_kept(name))
            // Another one for each request.
            .filter(|(name, _)| !name.starts_with("x-amz-request") && name != "x-amz-id-2")
            .collect();
        about.sort();
        Object { content, about }
    }

    /// Makes a user of IAM who may do what `policy` says (in JSON) and nothing else. Whether that counts, see [`Moto::enforce`].
    #[track_caller]
    pub fn user(&self, name: &str, policy: &Value) -> AccessKey {
        self.query("iam", &[("Action", "CreateUser"), ("UserName", name)]);
        let policy = policy.to_string();
        self.query(
            "iam",
            &[("Action", "PutUserPolicy"), ("UserName", name), ("PolicyName", "policy"), ("PolicyDocument", &policy)],
        );
        let made = self.query("iam", &[("Action", "CreateAccessKey"), ("UserName", name)]);
        AccessKey { id: element(&made, "AccessKeyId"), secret: element(&made, "SecretAccessKey") }
    }

    /// Makes a role of IAM that everybody in the account may assume, and that may do what `policy` says; gives its ARN.
    #[track_caller]
    pub fn role(&self, name: &str, policy: &Value) -> String {
        let trust = json!({
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
        });
        let (trust, policy) = (trust.to_string(), policy.to_string());
        let made =
            self.query("iam", &[("Action", "CreateRole"), ("RoleName", name), ("AssumeRolePolicyDocument", &trust)]);
        self.query(
            "iam",
            &[("Action", "PutRolePolicy"), ("RoleName", name), ("PolicyName", "policy"), ("PolicyDocument", &policy)],
        );
        element(&made, "Arn")
    }

    /// From now on signatures are checked, and who may do what. Nothing can be made by this kit after that.
    #[track_caller]
    pub fn enforce(&self) {
        self.request("POST", "/moto-api/reset-auth", &[], "0");
    }

    /// Makes calls fail.
    #[track_caller]
    pub fn fail(&self, fault: &Fault<'_>) {
        self.request("POST", "/_testkit/faults", &[], &json!(fault).to_string());
    }

    /// No call fails any more, but by itself.
    #[track_caller]
    pub fn mend(&self) {
        self.request("DELETE", "/_testkit/faults", &[], "");
    }

    /// The calls so far, those of this kit included.
    ///
    /// # Panics
    /// If there is no answer.
    #[track_caller]
    pub fn calls(&self) -> Vec<Call> {
        let answer = self.request("GET", "/_testkit/calls", &[], "");
        serde_json::from_str(&answer).expect("the calls are a list")
    }

    /// How many calls of this action (`kms:Decrypt`) there were.
    #[track_caller]
    pub fn count(&self, action: &str) -> usize {
        self.calls().iter().filter(|call| call.action == action).count()
    }

    /// Forgets the calls so far.
    #[track_caller]
    pub fn forget_calls(&self) {
        self.request("DELETE", "/_testkit/calls", &[], "");
    }

    /// A call of a service that speaks JSON, and what it answers: `moto.json("us-east-1", "ssm", "AmazonSSM.PutParameter", …)`.
    ///
    /// # Panics
    /// If moto refuses; with what it says.
    #[track_caller]
    pub fn json(&self, region: &str, service: &str, target: &str, body: &Value) -> Value {
        let headers = [
            ("X-Amz-Target", target),
            ("Content-Type", "application/x-amz-json-1.1"),
            ("Authorization", &authorization(region, service)),
        ];
        let answer = self.request("POST", "/", &headers, &body.to_string());
        if answer.is_empty() { Value::Null } else { serde_json::from_str(&answer).expect("the answer is JSON") }
    }

    /// A call of a service that speaks XML, and what it answers.
    #[track_caller]
    fn query(&self, service: &str, fields: &[(&str, &str)]) -> String {
        let mut body = String::new();
        for (name, text) in fields {
            let _ = write!(body, "{}{name}=", if body.is_empty() { "" } else { "&" });
            for byte in text.bytes() {
                let _ = write!(body, "%{byte:02X}");
            }
        }
        let headers = [
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Authorization", &authorization("us-east-1", service)),
        ];
        self.request("POST", "/", &headers, &body)
    }

    /// One request, on a connection of its own.
    #[track_caller]
    fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> String {
        self.exchange(method, path, headers, body).1
    }

    /// The same, and what stands above the answer.
    #[track_caller]
    fn exchange(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> (String, String) {
        let host = self.address.strip_prefix("http://").expect("that is what it says");
        let mut connection = TcpStream::connect(host).expect("moto listens");
        // HTTP 1.0: the answer is not cut into chunks, and ends with the connection.
        let mut head = format!("{method} {path} HTTP/1.0\r\nHost: {host}\r\nContent-Length: {}\r\n", body.len());
        for (name, text) in headers {
            let _ = write!(head, "{name}: {text}\r\n");
        }
        connection.write_all(format!("{head}\r\n{body}").as_bytes()).expect("moto takes a request");
        let mut answer = String::new();
        connection.read_to_string(&mut answer).expect("moto answers in text");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer}"));
        let status = head.split(' ').nth(1).unwrap_or_default();
        assert!(status.starts_with('2'), "{method} {path}: {answer}");
        (head.to_owned(), body.to_owned())
    }
}

/// Who asks, of which region and service. Signatures are not looked at until [`Moto::enforce`].
fn authorization(region: &str, service: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=testkit/20260101/{region}/{service}/aws4_request, SignedHeaders=host, Signature=x"
    )
}

#[track_caller]
fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("expected a text, got {value}")).to_owned()
}

/// The text of the first element of this name.
#[track_caller]
fn element(xml: &str, name: &str) -> String {
    let found = xml.split_once(&format!("<{name}>")).and_then(|(_, rest)| rest.split_once("</"));
    found.unwrap_or_else(|| panic!("there is no {name} in {xml}")).0.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::needs_peers;

    fn decrypt(moto: &Moto, arn: &str, wrapped: &Value) -> Value {
        let region = arn.split(':').nth(3).unwrap();
        moto.json(region, "kms", "TrentService.Decrypt", &json!({"KeyId": arn, "CiphertextBlob": wrapped}))
    }

    #[test]
    fn a_key_opens_what_it_wrapped_by_every_name_and_in_every_region_it_has() {
        needs_peers!();
        let moto = Moto::shared();
        let arn = moto.multi_region_key("us-east-1", &["eu-west-1"]);
        assert!(arn.starts_with("arn:aws:kms:us-east-1:123456789012:key/mrk-"), "{arn}");
        let alias = moto.alias(&arn, "shop");
        let plain = json!({"KeyId": alias, "Plaintext": "aGVsbG8="});
        let wrapped = moto.json("us-east-1", "kms", "TrentService.Encrypt", &plain)["CiphertextBlob"].take();
        for name in [&arn, &alias, &arn.replace("us-east-1", "eu-west-1")] {
            assert_eq!(decrypt(moto, name, &wrapped)["Plaintext"], "aGVsbG8=", "{name}");
        }
        let secret = moto.secret("eu-west-1", "prod/db", "{\"password\": \"hunter2\"}");
        let got = json!({"SecretId": secret});
        let got = moto.json("eu-west-1", "secretsmanager", "secretsmanager.GetSecretValue", &got);
        assert_eq!(got["SecretString"], "{\"password\": \"hunter2\"}");
    }

    #[test]
    fn calls_are_counted_and_fail_where_they_are_told_to() {
        needs_peers!();
        let moto = Moto::start();
        let arn = moto.key("us-east-1");
        moto.forget_calls();
        let describe =
            || moto.json("us-east-1", "kms", "TrentService.DescribeKey", &json!({"KeyId": arn}))["KeyMetadata"].take();
        assert_eq!(describe()["Arn"], arn);
        let call = Call {
            action: "kms:DescribeKey".to_owned(),
            region: "us-east-1".to_owned(),
            access_key: "testkit".to_owned(),
            resource: Some(arn.clone()),
            told: BTreeMap::new(),
        };
        assert_eq!(moto.calls(), [call]);
        let fault =
            Fault { action: Some("kms:DescribeKey"), times: Some(1), code: "ThrottlingException", ..Fault::default() };
        moto.fail(&fault);
        moto.fail(&Fault { region: Some("eu-west-1"), ..fault });
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(describe)).unwrap_err();
        assert_eq!(describe()["Arn"], arn);
        assert_eq!(moto.count("kms:DescribeKey"), 3);
        moto.mend();
        moto.forget_calls();
        assert!(moto.calls().is_empty());
    }

    #[test]
    fn users_and_roles_can_be_made_before_permissions_count() {
        needs_peers!();
        let moto = Moto::start();
        let policy = json!({
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": "kms:Encrypt", "Resource": "*"}],
        });
        let user = moto.user("shop", &policy);
        assert!(user.id.starts_with("AKIA") && user.secret.len() > 30, "{user:?}");
        assert_eq!(moto.role("opener", &policy), format!("arn:aws:iam::{ACCOUNT}:role/opener"));
        moto.enforce();
        std::panic::catch_unwind(|| Moto::key(&moto, "us-east-1")).unwrap_err();
    }
}
