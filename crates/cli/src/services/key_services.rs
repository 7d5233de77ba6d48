//! Key services: who else may use keys for a command.

use std::sync::Arc;

use bulla_keys::KeySources;
use bulla_keys::service::{KeyService, ServiceAddress, ServiceAddressError};
use bulla_services::Surroundings;

use super::{random, runtime};
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;

/// Who uses the keys of a file: this program, and others that have them.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct KeyServiceArgs {
    /// Key service to ask for what cannot be done here: unix:///PATH or tcp://HOST:PORT; repeatable
    #[arg(long, value_name = "URL", value_delimiter = ',', env = "SOPS_KEYSERVICE", hide_env_values = true)]
    keyservice: Vec<String>,

    /// Whether keys are used here, before key services are asked
    #[arg(
        long,
        value_name = "BOOL",
        default_value = "true",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = parse_bool,
        env = "SOPS_ENABLE_LOCAL_KEYSERVICE",
        hide_env_values = true
    )]
    enable_local_keyservice: bool,
}

/// Nothing but this program.
impl Default for KeyServiceArgs {
    fn default() -> Self {
        Self { keyservice: Vec::new(), enable_local_keyservice: true }
    }
}

impl KeyServiceArgs {
    /// These addresses, and whether keys are used here.
    pub(crate) fn new(keyservice: Vec<String>, enable_local_keyservice: bool) -> Self {
        Self { keyservice, enable_local_keyservice }
    }

    /// These services, beside what `sources` has here.
    ///
    /// # Errors
    /// [`Exit::Usage`] for an address that is none.
    pub(crate) fn join<'a>(&self, mut sources: KeySources<'a>, cx: &Context) -> Result<KeySources<'a>, CommandError> {
        let named = self.keyservice.iter().map(|address| address.trim()).filter(|address| !address.is_empty());
        let services = named.map(|address| {
            let address: ServiceAddress = address.parse()?;
            let surroundings = Surroundings::new(runtime, random(cx));
            if cx.is_quiet() || !cx.stderr_is_terminal() {
                return Ok(KeyService::new(address, surroundings));
            }
            Ok(KeyService::telling(address, surroundings, |address| {
                Context::new(false)
                    .status(format_args!("Waiting for the key service {address}, which may be asking somebody"));
            }))
        });
        sources.services = Arc::new(services.collect::<Result<_, ServiceAddressError>>()?);
        sources.is_here = self.enable_local_keyservice;
        Ok(sources)
    }
}

impl From<ServiceAddressError> for CommandError {
    fn from(error: ServiceAddressError) -> Self {
        Self::new(Exit::Usage, error)
    }
}

/// As Go reads it; an empty variable says nothing.
pub(super) fn parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" | "" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err("expected `true` or `false`".to_owned()),
    }
}
