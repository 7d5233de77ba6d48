//! What the tests prove against: the real programs, a real control plane, real documents.
//!
//! ```text
//! build.sh ── Go module proxy ──▶ cache ──▶ peers    sops, age, kubeseal, kubectl, …: where the programs are
//!                                       ├─▶ oracle   go-yaml, SOPS' trees, Go's regular expressions and JSON, GJSON, one answer a line
//!                                       ├─▶ sealing  the hybrid encryption of Sealed Secrets, likewise
//!                                       ├─▶ vault    HashiCorp Vault, in memory
//!             └── PyPI ────────────────▶├─▶ moto     AWS' KMS, Secrets Manager, SSM, STS and IAM, in memory
//!                                       ├─▶ clouds   Google's and Huawei's KMS, Azure Key Vault, likewise
//!                                       └─▶ corpus   real manifests
//! the system's gpg ────────────────────▶ gnupg      a keyring and an agent of a test
//! control-plane.sh ─────────────▶ control_plane      etcd, kube-apiserver, the controllers; a namespace a test
//! mutate  variants of a text, from a seed            process  a program run and measured
//! vectors cases in a directory, walked              server   HTTP that answers what a test tells it
//! authority  certificates of a test                 proxy    leads to one server, and remembers who asked for which
//! ```
//!
//! Everything here ends the test with a panic that says what to do when a peer is missing: a test never passes because
//! there was nothing to compare with. Only `BULLA_WITHOUT_PEERS=1` leaves those tests out ([`needs_peers!`]).

pub mod authority;
pub mod clouds;
pub mod control_plane;
pub mod corpus;
pub mod gnupg;
pub mod moto;
pub mod mutate;
pub mod oracle;
pub mod peers;
pub mod process;
pub mod proxy;
mod running;
pub mod sealing;
pub mod server;
pub mod vault;
pub mod vectors;

mod base64_text;
mod lines;

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

/// The root of this checkout.
#[expect(clippy::missing_panics_doc, reason = "it cannot")]
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the crate lies two folders below it").to_path_buf()
}

/// A TCP port of the loopback address that nothing listens on now.
///
/// Another process may take it before the caller does; whoever can should listen on port 0 instead.
///
/// # Panics
/// If the machine has no free port.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port on the loopback address");
    listener.local_addr().expect("a listener that is bound has an address").port()
}

/// Tells the reader of a test's output that the test was left out, and why.
#[expect(clippy::print_stderr, reason = "the output of tests is what it is for")]
fn say_left_out(reason: &str) {
    let thread = std::thread::current();
    eprintln!("skipped: {}: {reason}", thread.name().unwrap_or("a test"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_is_where_the_peers_are_described() {
        assert!(workspace().join("tests/peers/build.sh").is_file());
    }

    #[test]
    fn a_free_port_can_be_listened_on() {
        TcpListener::bind((Ipv4Addr::LOCALHOST, free_port())).unwrap();
    }
}
