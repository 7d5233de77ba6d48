//! What the client of a service needs of the outside: a runtime, and randomness.
//!
//! ```text
//! MasterKey::unwrap ─ any executor ─┐                 ┌─ the runtime of [`Surroundings`] ─ the service's client
//!                                   └─ spawned there ─┘  kept for the next call of the command
//! ```
//! Who waits for a key needs no runtime: the call is carried out on the one that [`Surroundings`] names, which is asked for with the
//! first call. So a command that meets no such key starts none.

use std::fmt;
use std::io;
use std::sync::Arc;

use tokio::runtime::Handle;

use crate::ServiceError;

/// What the client of a service needs of the outside. Handed in, since libraries draw no randomness and start no threads.
#[derive(Clone)]
pub struct Surroundings {
    runtime: Arc<dyn Fn() -> io::Result<Handle> + Send + Sync>,
    random: Arc<dyn Fn() -> u32 + Send + Sync>,
}

impl Surroundings {
    /// `runtime` names where calls are carried out, and is asked for each; `random` spreads retries, any number does.
    pub fn new(
        runtime: impl Fn() -> io::Result<Handle> + Send + Sync + 'static,
        random: impl Fn() -> u32 + Send + Sync + 'static,
    ) -> Self {
        Self { runtime: Arc::new(runtime), random: Arc::new(random) }
    }

    /// A number between 0 and 1.
    pub fn fraction(&self) -> f64 {
        f64::from(self.random()) / f64::from(u32::MAX)
    }

    /// Any number.
    pub(crate) fn random(&self) -> u32 {
        (self.random)()
    }

    /// Carries out `call` on the runtime, and waits for it wherever this is awaited.
    ///
    /// # Errors
    /// Those of the call; [`ServiceError::Settings`] if there is no runtime (any more).
    pub async fn carry_out<T: Send + 'static>(
        &self,
        call: impl Future<Output = Result<T, ServiceError>> + Send + 'static,
    ) -> Result<T, ServiceError> {
        let runtime = (self.runtime)().map_err(|error| ServiceError::Settings(format!("no runtime: {error}")))?;
        match runtime.spawn(call).await {
            Ok(outcome) => outcome,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Err(ServiceError::Settings("the runtime was stopped".to_owned())),
        }
    }
}

impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Surroundings")
    }
}
