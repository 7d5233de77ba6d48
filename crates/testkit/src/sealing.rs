//! The hybrid encryption of Sealed Secrets, done by its own Go package: thousands of cases without starting kubeseal for
//! each. Source of the answers: `tests/peers/controlplane/sealing-oracle`.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::base64_text;
use crate::lines::{Lines, Refusal};
use crate::peers;

/// The running program; answers come from any number of threads.
pub struct SealingOracle(Lines);

#[derive(Serialize)]
struct Request<'a> {
    pem: &'a str,
    #[serde(with = "base64_text")]
    input: &'a [u8],
    #[serde(with = "base64_text")]
    label: &'a [u8],
}

#[derive(Deserialize)]
struct Output {
    #[serde(with = "base64_text")]
    output: Vec<u8>,
}

impl SealingOracle {
    /// The one of this process.
    ///
    /// # Panics
    /// If the set `controlplane` has not been built.
    pub fn shared() -> &'static Self {
        static ORACLE: LazyLock<SealingOracle> = LazyLock::new(|| SealingOracle(Lines::new(peers::sealing_oracle())));
        &ORACLE
    }

    /// `plaintext` sealed by `HybridEncrypt` for the first certificate of `certificate` (PEM), with `label`.
    ///
    /// # Errors
    /// The package's own.
    pub fn seal(&self, certificate: &str, plaintext: &[u8], label: &[u8]) -> Result<Vec<u8>, Refusal> {
        let request = Request { pem: certificate, input: plaintext, label };
        self.0.ask("seal", &request).map(|Output { output }| output)
    }

    /// `sealed` opened by `HybridDecrypt` with `private_key` (PEM, PKCS#1 or PKCS#8) and `label`.
    ///
    /// # Errors
    /// The package's own, which does not tell a wrong key from a wrong label.
    pub fn open(&self, private_key: &str, sealed: &[u8], label: &[u8]) -> Result<Vec<u8>, Refusal> {
        let request = Request { pem: private_key, input: sealed, label };
        self.0.ask("open", &request).map(|Output { output }| output)
    }
}
