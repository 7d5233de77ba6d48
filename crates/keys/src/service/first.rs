//! One key, used here or by a key service: whoever does it first.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bulla_crypto::SecretBytes;

use super::client::KeyService;
use crate::memory::Memory;
use crate::{KeyName, MasterKey, Tried, UnwrapError, WrapError, WrappedKey};

/// A key that is used here, if it can be, and else by the first key service that can.
#[derive(Debug)]
pub struct FirstOf {
    here: Option<Box<dyn MasterKey>>,
    there: Box<dyn MasterKey>,
}

/// A key that key services use: the first that can.
#[derive(Debug)]
struct There {
    name: KeyName,
    services: Arc<Vec<Arc<KeyService>>>,
}

/// Nobody used the key, and why.
#[derive(Debug)]
pub struct NobodyDid<E> {
    /// Why not here; `None` if that was not tried, or it was wrapped for another key.
    pub here: Option<Box<E>>,
    /// Why no service did, in their order.
    pub services: Vec<Tried>,
}

impl FirstOf {
    /// The key of this name, by `here` and then by each of `services`. What they unwrapped is remembered.
    pub fn new(
        name: &KeyName,
        here: Option<Box<dyn MasterKey>>,
        services: &Arc<Vec<Arc<KeyService>>>,
        memory: &Arc<Memory>,
    ) -> Self {
        Self { here, there: memory.of(There { name: name.clone(), services: Arc::clone(services) }) }
    }
}

impl<E: fmt::Display> fmt::Display for NobodyDid<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(here) = &self.here {
            write!(f, "here: {here}")?;
        }
        for (index, Tried { place, outcome }) in self.services.iter().enumerate() {
            let between = if index == 0 && self.here.is_none() { "" } else { "; " };
            write!(f, "{between}the key service {place}: {outcome}")?;
        }
        Ok(())
    }
}

#[async_trait]
impl MasterKey for FirstOf {
    /// As it is known here: a key of Azure whose name has no version has one once it wrapped.
    fn name(&self) -> KeyName {
        self.here.as_ref().map_or_else(|| self.there.name(), |here| here.name())
    }

    async fn wrap(&self, secret: &SecretBytes) -> Result<WrappedKey, WrapError> {
        let here = match &self.here {
            None => None,
            Some(here) => match here.wrap(secret).await {
                Err(error) => Some(Box::new(error)),
                done => return done,
            },
        };
        match self.there.wrap(secret).await {
            Err(WrapError::Nobody(NobodyDid { services, .. })) => Err(WrapError::Nobody(NobodyDid { here, services })),
            outcome => outcome,
        }
    }

    async fn unwrap(&self, wrapped: &WrappedKey) -> Result<Option<SecretBytes>, UnwrapError> {
        let here = match &self.here {
            None => None,
            Some(here) => match here.unwrap(wrapped).await {
                Ok(None) => None,
                Err(error) => Some(Box::new(error)),
                done => return done,
            },
        };
        match self.there.unwrap(wrapped).await {
            Err(UnwrapError::Nobody(NobodyDid { services, .. })) => {
                Err(UnwrapError::Nobody(NobodyDid { here, services }))
            }
            outcome => outcome,
        }
    }

    async fn unwrap_quietly(&self, wrapped: &WrappedKey) -> Result<Option<SecretBytes>, UnwrapError> {
        match &self.here {
            None => Ok(None),
            Some(here) => here.unwrap_quietly(wrapped).await,
        }
    }

    fn started(&self) -> usize {
        self.here.as_ref().map_or(0, |here| here.started()) + self.there.started()
    }

    async fn is_likely(&self) -> bool {
        match &self.here {
            None => false,
            Some(here) => here.is_likely().await,
        }
    }

    fn tried(&self) -> Vec<Tried> {
        self.here.as_ref().map(|here| here.tried()).unwrap_or_default()
    }
}

#[async_trait]
impl MasterKey for There {
    fn name(&self) -> KeyName {
        self.name.clone()
    }

    async fn wrap(&self, secret: &SecretBytes) -> Result<WrappedKey, WrapError> {
        let mut services = Vec::new();
        for service in &*self.services {
            match service.wrap(&self.name, secret).await {
                Ok(wrapped) => return Ok(wrapped),
                Err(error) => services.push(error.tried(service.address())),
            }
        }
        Err(WrapError::Nobody(NobodyDid { here: None, services }))
    }

    async fn unwrap(&self, wrapped: &WrappedKey) -> Result<Option<SecretBytes>, UnwrapError> {
        let mut services = Vec::new();
        for service in &*self.services {
            match service.unwrap(&self.name, wrapped).await {
                Ok(secret) => return Ok(Some(secret)),
                Err(error) => services.push(error.tried(service.address())),
            }
        }
        Err(UnwrapError::Nobody(NobodyDid { here: None, services }))
    }
}
