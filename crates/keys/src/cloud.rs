//! What the keys of Google, Huawei and Azure have in common: one client a command, and where credentials were looked for.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use bulla_services::{ServiceError, Surroundings};

use crate::Tried;

/// A cloud, as one command uses it.
pub(crate) struct Cloud<C> {
    client: Result<Arc<C>, ServiceError>,
    surroundings: Surroundings,
    /// Where credentials were looked for, if there were none.
    tried: Mutex<Vec<Tried>>,
}

impl<C> Cloud<C> {
    /// `connect` makes the client of `settings`, which are those of the command, or why they cannot be used: that is told by every call.
    pub(crate) fn new<S>(
        settings: Result<S, String>,
        surroundings: Surroundings,
        connect: impl FnOnce(S, Surroundings) -> Result<C, ServiceError>,
    ) -> Self {
        let client =
            settings.map_err(ServiceError::Settings).and_then(|settings| connect(settings, surroundings.clone()));
        Self { client: client.map(Arc::new), surroundings, tried: Mutex::default() }
    }

    /// The client, or why there is none.
    pub(crate) fn client(&self) -> Result<Arc<C>, ServiceError> {
        self.client.clone()
    }

    /// Carries out a call where calls are carried out.
    pub(crate) async fn carry_out<T: Send + 'static>(
        &self,
        call: impl Future<Output = Result<T, ServiceError>> + Send + 'static,
    ) -> Result<T, ServiceError> {
        let outcome = self.surroundings.carry_out(call).await;
        if let Err(ServiceError::NoCredentials { tried, .. }) = &outcome {
            // A panic elsewhere leaves at worst an older list.
            self.tried.lock().unwrap_or_else(PoisonError::into_inner).clone_from(tried);
        }
        outcome
    }

    /// Where credentials were looked for, if there were none.
    pub(crate) fn tried(&self) -> Vec<Tried> {
        self.tried.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl<C: fmt::Debug> fmt::Debug for Cloud<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cloud").field("client", &self.client).finish_non_exhaustive()
    }
}
