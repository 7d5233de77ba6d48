//! The services that hold keys: how a command reaches them, and with which credentials. All of it comes from the environment, and is
//! said where it is read: [`vault`], [`aws`], [`gcp`], [`azure`], [`huawei`], what is published into
//! [`buckets`], what these need of the machine [`outside`], and [`gpg`].
//! Nothing of it is read before a key of that service is met.

mod aws;
mod azure;
mod buckets;
mod gcp;
mod gpg;
mod huawei;
mod key_services;
mod outside;
mod vault;

use std::io;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use bulla_keys::age::AgeIdentities;
use bulla_keys::{DecryptionOrder, KeySources};
use rand::Rng as _;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::context::Context;

pub(crate) use buckets::{Bucket, Buckets};
pub(crate) use gpg::gpg;
pub(crate) use key_services::KeyServiceArgs;
use key_services::parse_bool;
pub(crate) use vault::vault_client;

/// The means of this command to use keys of every kind, with these identities of age. No service is met before a key of it is.
pub(crate) fn key_sources(cx: &Context, age: Arc<AgeIdentities>) -> KeySources<'_> {
    KeySources {
        age,
        vault: LazyLock::new(Box::new(|| vault::vault(cx))),
        kms: LazyLock::new(Box::new(|| aws::kms(cx))),
        gcp: LazyLock::new(Box::new(|| gcp::kms(cx))),
        azure: LazyLock::new(Box::new(|| azure::key_vault(cx))),
        huawei: LazyLock::new(Box::new(|| huawei::kms(cx))),
        pgp: LazyLock::new(Box::new(|| gpg(cx))),
        memory: Arc::default(),
        order: DecryptionOrder::default(),
        is_here: true,
        services: Arc::default(),
    }
}

/// What spreads retries.
fn random(cx: &Context) -> impl Fn() -> u32 + Send + Sync + use<> {
    let rng = cx.rng().ok().map(Mutex::new);
    move || match &rng {
        // A panic elsewhere leaves the generator as good as it was.
        Some(rng) => rng.lock().unwrap_or_else(PoisonError::into_inner).next_u32(),
        // It only spreads retries.
        None => 0,
    }
}

/// The runtime that carries all calls of the process. It is started with the first one.
fn runtime() -> io::Result<Handle> {
    static RUNTIME: Mutex<Option<Runtime>> = Mutex::new(None);
    let mut runtime = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(runtime) = &*runtime {
        return Ok(runtime.handle().clone());
    }
    // One thread: who waits for an answer waits elsewhere.
    let started = Builder::new_multi_thread().worker_threads(1).thread_name("services").enable_all().build()?;
    Ok(runtime.insert(started).handle().clone())
}

/// A variable, which is text or an error.
fn text(cx: &Context, name: &str) -> Result<Option<String>, String> {
    let value = cx.variable(name).map(std::ffi::OsString::into_string).transpose();
    value.map_err(|_| format!("`{name}` is not UTF-8 text"))
}
