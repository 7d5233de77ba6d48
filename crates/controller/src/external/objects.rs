//! The API server, as far as ExternalSecrets need it: statuses, finalizers, events, what stores refer to.

use bulla_api::external_secret::{self, StoreKind};
use bulla_api::secret_store;
use bulla_crypto::SecretBytes;
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, Request};
use kube::{Api, Client, Resource as _};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::event::{self, About};
use crate::name::ObjectName;
use crate::secrets::{ApiError, FIELD_MANAGER, answer};

/// How upstream calls itself in events.
const COMPONENT: &str = "external-secrets";

/// The resource of a kind of this group.
pub(crate) fn resource(kind: &str, plural: &str) -> ApiResource {
    ApiResource {
        group: external_secret::GROUP.to_owned(),
        version: external_secret::VERSION.to_owned(),
        api_version: external_secret::API_VERSION.to_owned(),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    }
}

/// The resource of ExternalSecrets.
pub(crate) fn external_secrets() -> ApiResource {
    resource(external_secret::KIND, external_secret::PLURAL)
}

/// The resource of stores of `kind`.
pub(crate) fn stores(kind: StoreKind) -> ApiResource {
    let plural = match kind {
        StoreKind::Namespaced => secret_store::PLURAL,
        StoreKind::Cluster => secret_store::CLUSTER_PLURAL,
    };
    resource(kind.as_str(), plural)
}

/// The API server.
#[derive(Clone)]
pub(crate) struct Objects {
    client: Client,
}

impl Objects {
    /// As `client` may see it.
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    fn api(&self, resource: &ApiResource, namespace: Option<&str>) -> Api<DynamicObject> {
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, resource),
            None => Api::all_with(self.client.clone(), resource),
        }
    }

    /// Changes the status of an object of this group, if it still has this resource version.
    pub(crate) async fn patch_status(
        &self,
        resource: &ApiResource,
        metadata: &ObjectMeta,
        status: &Value,
    ) -> Result<(), ApiError> {
        let patch = json!({"metadata": {"resourceVersion": metadata.resource_version}, "status": status});
        let name = metadata.name.as_deref().unwrap_or_default();
        let api = self.api(resource, metadata.namespace.as_deref());
        answer(api.patch_status(name, &patch_parameters(), &Patch::Merge(patch))).await.map(drop)
    }

    /// Takes a finalizer away from an ExternalSecret.
    pub(crate) async fn remove_finalizer(&self, metadata: &ObjectMeta, finalizer: &str) -> Result<(), ApiError> {
        let others: Vec<_> = metadata.finalizers.iter().flatten().filter(|it| *it != finalizer).collect();
        let patch = json!({"metadata": {"resourceVersion": metadata.resource_version, "finalizers": others}});
        let name = metadata.name.as_deref().unwrap_or_default();
        let api = self.api(&external_secrets(), metadata.namespace.as_deref());
        answer(api.patch_metadata(name, &patch_parameters(), &Patch::Merge(patch))).await.map(drop)
    }

    /// Says something about an object of this group; whether that was possible.
    pub(crate) async fn tell(
        &self,
        kind: &'static str,
        metadata: &ObjectMeta,
        (warning, reason, message): (bool, &str, &str),
        now: Timestamp,
    ) -> bool {
        let about = About { api_version: external_secret::API_VERSION, kind, component: COMPONENT, metadata };
        let event = about.event(if warning { "Warning" } else { "Normal" }, reason, message, now);
        event::write(&self.client, &event).await
    }

    /// One entry of a ConfigMap; `None` if there is none.
    pub(crate) async fn config_map(&self, name: &ObjectName, key: &str) -> Result<Option<Vec<u8>>, ApiError> {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), &name.namespace);
        match answer(api.get(&name.name)).await {
            Ok(map) => Ok(map
                .data
                .and_then(|mut data| data.remove(key))
                .map(String::into_bytes)
                .or_else(|| map.binary_data.and_then(|mut data| data.remove(key)).map(|bytes| bytes.0))),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The metadata of a service account; `None` if there is none.
    pub(crate) async fn service_account(&self, name: &ObjectName) -> Result<Option<ObjectMeta>, ApiError> {
        let api: Api<ServiceAccount> = Api::namespaced(self.client.clone(), &name.namespace);
        match answer(api.get_metadata(&name.name)).await {
            Ok(account) => Ok(Some(account.metadata)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The metadata of a namespace.
    pub(crate) async fn namespace(&self, name: &str) -> Result<ObjectMeta, ApiError> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        answer(api.get_metadata(name)).await.map(|namespace| namespace.metadata)
    }

    /// A new token of a service account for these audiences (the API server itself, if there are none), and how long it is valid.
    pub(crate) async fn token(
        &self,
        name: &ObjectName,
        audiences: Vec<String>,
        seconds: i64,
    ) -> Result<(SecretBytes, Timestamp), ApiError> {
        let request = TokenRequest {
            spec: Some(TokenRequestSpec {
                audiences: Some(audiences),
                expiration_seconds: Some(seconds),
                ..TokenRequestSpec::default()
            }),
            ..TokenRequest::default()
        };
        let body = serde_json::to_vec(&request).map_err(|_| ApiError::Unreadable)?;
        let path = ServiceAccount::url_path(&(), Some(&name.namespace));
        let request = Request::new(path)
            .create_subresource("token", &name.name, &PostParams::default(), body)
            .map_err(|error| ApiError::Unreachable(error.to_string()))?;
        let text = Zeroizing::new(answer(self.client.request_text(request)).await?);
        let mut granted: TokenRequest = serde_json::from_str(&text).map_err(|_| ApiError::Unreadable)?;
        let status = granted.status.take().ok_or(ApiError::Unreadable)?;
        let token = SecretBytes::new(status.token.unwrap_or_default().into_bytes());
        let until = status.expiration_timestamp.ok_or(ApiError::Unreadable)?;
        Ok((token, until.0))
    }

    /// Whether the API server has the kinds of this group.
    pub(crate) async fn has_kinds(&self) -> Result<bool, ApiError> {
        match answer(self.client.list_api_group_resources(external_secret::API_VERSION)).await {
            Ok(list) => Ok(list.resources.iter().any(|resource| resource.name == external_secret::PLURAL)),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The object of this group as it is now; `None` if it is gone.
    pub(crate) async fn read(
        &self,
        resource: &ApiResource,
        name: &ObjectName,
    ) -> Result<Option<DynamicObject>, ApiError> {
        let namespace = Some(name.namespace.as_str()).filter(|namespace| !namespace.is_empty());
        match answer(self.api(resource, namespace).get(&name.name)).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn patch_parameters() -> PatchParams {
    PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() }
}
