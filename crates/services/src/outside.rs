//! What the credentials of the clouds need of the outside beside the network. Handed in: libraries read no clock and no file.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use bulla_crypto::SecretBytes;

use crate::ServiceError;

/// The time, files that credentials name, and programs that give tokens out.
pub trait Outside: fmt::Debug + Send + Sync {
    /// The time, which signatures and signed tokens hold.
    fn now(&self) -> SystemTime;

    /// What is in a file that credentials name: a token that somebody renews.
    ///
    /// # Errors
    /// Why it cannot be read, without its content.
    fn read(&self, path: &str) -> Result<SecretBytes, String>;

    /// What a program prints that knows who is logged in: `az`.
    ///
    /// # Errors
    /// Why there is nothing: it is not there, it failed, and what it says of that.
    fn run(&self, program: &str, arguments: &[&str]) -> Result<SecretBytes, String>;
}

/// Seconds since 1970.
pub(crate) fn seconds(outside: &dyn Outside) -> u64 {
    outside.now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Reads or runs where waiting is no obstacle to others.
pub(crate) async fn blocking<T: Send + 'static>(
    outside: &Arc<dyn Outside>,
    work: impl FnOnce(&dyn Outside) -> T + Send + 'static,
) -> Result<T, ServiceError> {
    let outside = Arc::clone(outside);
    match tokio::task::spawn_blocking(move || work(&*outside)).await {
        Ok(outcome) => Ok(outcome),
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(ServiceError::Settings("the runtime was stopped".to_owned())),
    }
}
