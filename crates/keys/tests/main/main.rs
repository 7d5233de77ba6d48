//! Keys against the real programs: vectors that age, sops and ssh-keygen made, the programs themselves both ways, a plugin,
//! and a real Vault.

mod azure;
mod clouds;
mod garbage;
mod gcp;
mod huawei;
mod identities;
mod interop;
mod person;
mod pgp;
mod plugin;
mod service;
mod vault;
mod vectors;

use std::sync::Arc;

use bulla_crypto::SecretBytes;
use bulla_keys::age::{AgeIdentities, IdentityKind, IdentitySource, NoPrompt, SourceContent};

/// A secret of this text.
fn secret(text: impl AsRef<[u8]>) -> SecretBytes {
    SecretBytes::new(text.as_ref().to_vec())
}

/// A source with lines of identities.
fn age_source(name: &str, text: impl AsRef<[u8]>) -> IdentitySource {
    let kind = IdentityKind::Age { several_per_line: false };
    IdentitySource { name: name.to_owned(), kind, content: SourceContent::Found(secret(text)) }
}

/// A source with a private key of SSH.
fn ssh_source(name: &str, text: impl AsRef<[u8]>) -> IdentitySource {
    let kind = IdentityKind::Ssh { may_ask: true };
    IdentitySource { name: name.to_owned(), kind, content: SourceContent::Found(secret(text)) }
}

/// Identities, with nobody to ask.
fn identities(sources: Vec<IdentitySource>) -> Arc<AgeIdentities> {
    Arc::new(AgeIdentities::new(sources, Arc::new(NoPrompt)))
}
