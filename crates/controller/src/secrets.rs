//! Secrets over the API, whole: reading one and writing one.
//!
//! Not kube's typed client: where a response cannot be read it logs the text, and a Secret's text is its values. Here the text is wiped,
//! read or not. (What is sent is handed to the HTTP library and ends in buffers that cannot be wiped from here.)

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, GetParams, PostParams, Preconditions};
use kube::core::{PartialObjectMeta, Request, Status};
use kube::{Client, Resource as _};
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::name::ObjectName;
use crate::plan::Plaintext;

/// The name under which the API server notes what this controller writes.
pub const FIELD_MANAGER: &str = "bulla-controller";
/// Longest wait for one answer. The API server itself gives up after a minute.
pub(crate) const LIMIT: Duration = Duration::from_secs(70);

/// Why a request did not succeed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// The API server says no.
    #[error("{}", .0.message)]
    Status(Box<Status>),
    /// It says something that cannot be read.
    #[error("the API server's answer cannot be read")]
    Unreadable,
    /// It says nothing.
    #[error("the API server cannot be reached: {0}")]
    Unreachable(String),
}

impl ApiError {
    /// There is no such object.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Status(status) if status.is_not_found())
    }

    /// Somebody else was faster: the object exists already, or was changed since it was read.
    pub fn is_race(&self) -> bool {
        matches!(self, Self::Status(status) if status.is_conflict() || status.is_already_exists())
    }

    /// What was sent is not valid, and will not be later.
    pub fn is_permanent(&self) -> bool {
        matches!(self, Self::Status(status) if status.is_invalid() || status.code == 413)
    }
}

impl From<kube::Error> for ApiError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::Status(status),
            kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) => Self::Unreadable,
            error => Self::Unreachable(chain(&error)),
        }
    }
}

/// An error with all its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Many errors repeat their cause in their own words.
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// Waits for an answer, within the limit.
pub(crate) async fn answer<T>(request: impl Future<Output = Result<T, kube::Error>>) -> Result<T, ApiError> {
    match tokio::time::timeout(LIMIT, request).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(ApiError::Unreachable("no answer in time".to_owned())),
    }
}

/// Secrets of all namespaces. Cheap to clone.
#[derive(Clone)]
pub struct Secrets {
    client: Client,
    manager: String,
}

impl Secrets {
    /// Secrets as `client` may see them.
    pub fn new(client: Client) -> Self {
        Self { client, manager: FIELD_MANAGER.to_owned() }
    }

    /// The same, under another name in the API server's account of who manages which field.
    pub(crate) fn managed_by(&self, manager: String) -> Self {
        Self { client: self.client.clone(), manager }
    }

    /// The Secret of this name; `None` if there is none.
    ///
    /// # Errors
    /// [`ApiError`]
    pub async fn get(&self, name: &ObjectName) -> Result<Option<Plaintext>, ApiError> {
        let request = resource(&name.namespace).get(&name.name, &GetParams::default());
        match self.send::<Secret>(request).await {
            Ok(secret) => Ok(Some(Plaintext::new(secret))),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Creates `secret` and returns the metadata it got.
    ///
    /// # Errors
    /// [`ApiError`]; [`ApiError::is_race`] if it exists already.
    pub async fn create(&self, namespace: &str, secret: &Secret) -> Result<ObjectMeta, ApiError> {
        let body = serde_json::to_vec(secret).map_err(|_| ApiError::Unreadable)?;
        let request = resource(namespace).create(&self.parameters(), body).map(metadata_only);
        Ok(self.send::<PartialObjectMeta<Secret>>(request).await?.metadata)
    }

    /// Replaces the Secret by `secret`, if it still has the resource version that `secret` has.
    ///
    /// # Errors
    /// [`ApiError`]; [`ApiError::is_race`] if it was changed meanwhile.
    pub async fn replace(&self, secret: &Secret) -> Result<ObjectMeta, ApiError> {
        let name = ObjectName::of(&secret.metadata);
        let body = serde_json::to_vec(secret).map_err(|_| ApiError::Unreadable)?;
        let request = resource(&name.namespace).replace(&name.name, &self.parameters(), body).map(metadata_only);
        Ok(self.send::<PartialObjectMeta<Secret>>(request).await?.metadata)
    }

    /// Deletes the Secret, if it is still the one with this metadata and was not changed since. That it is gone already is no error.
    ///
    /// # Errors
    /// [`ApiError`]; [`ApiError::is_race`] if it was changed meanwhile.
    pub async fn delete(&self, name: &ObjectName, metadata: &ObjectMeta) -> Result<(), ApiError> {
        let preconditions =
            Preconditions { uid: metadata.uid.clone(), resource_version: metadata.resource_version.clone() };
        let parameters = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        let request = resource(&name.namespace).delete(&name.name, &parameters);
        let request = request.map_err(|error| ApiError::Unreachable(error.to_string()))?;
        match answer(self.client.request_text(metadata_only(request))).await.map(Zeroizing::new) {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn parameters(&self) -> PostParams {
        PostParams { field_manager: Some(self.manager.clone()), ..PostParams::default() }
    }

    async fn send<T: DeserializeOwned>(
        &self,
        request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<T, ApiError> {
        let request = request.map_err(|error| ApiError::Unreachable(error.to_string()))?;
        let text = Zeroizing::new(answer(self.client.request_text(request)).await?);
        serde_json::from_str(&text).map_err(|_| ApiError::Unreadable)
    }
}

/// Asks for the metadata of what was written and not for all of it: less to write, to read and to wipe.
pub(crate) fn metadata_only(mut request: http::Request<Vec<u8>>) -> http::Request<Vec<u8>> {
    const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1, application/json";
    request.headers_mut().insert(http::header::ACCEPT, http::HeaderValue::from_static(METADATA));
    request
}

pub(crate) fn parameters() -> PostParams {
    PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() }
}

fn resource(namespace: &str) -> Request {
    Request::new(Secret::url_path(&(), Some(namespace)))
}
