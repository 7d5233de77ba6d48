//! JSON → [`SecretStore`], with what is not supported named.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use serde::Deserialize as _;
use serde_json::Value;

use super::{
    Aws, AwsAuth, AwsJwt, AwsSecretRef, CaKind, CaProvider, Fake, FakeItem, Kubernetes, KubernetesAuth,
    KubernetesCertificate, KubernetesServer, KubernetesToken, KvVersion, NamespaceCondition, Provider,
    SecretKeySelector, SecretStore, SecretStoreSpec, SecretStoreStatus, ServiceAccountSelector, Vault, VaultAppRole,
    VaultAuth, VaultJwt, VaultKubernetes, VaultServiceAccountToken,
};
use crate::duration;
use crate::external_secret::{StoreKind, conditions_of};
use crate::fields::{DecodeError, Fields, mismatch, present};

type Unsupported = Vec<String>;

impl SecretStore {
    /// Reads `spec` and `status` out of `data`, the rest of an object whose metadata is known already.
    ///
    /// A `status` that cannot be read counts as absent.
    ///
    /// # Errors
    /// [`DecodeError`] for the first field that is missing or of another type or value than documented. What is well-formed and not
    /// supported is no error: see [`SecretStore::unsupported`].
    pub fn decode(kind: StoreKind, metadata: ObjectMeta, data: &Value) -> Result<Self, DecodeError> {
        let spec = present(data.get("spec")).ok_or_else(|| DecodeError::Missing { field: "spec".to_owned() })?;
        let mut unsupported = Vec::new();
        let spec = spec_of(Fields::new("spec", spec)?, &mut unsupported)?;
        let status = data.get("status").map(SecretStoreStatus::from_json).unwrap_or_default();
        Ok(Self { kind, metadata, spec, status, unsupported })
    }
}

impl SecretStoreStatus {
    /// Reads a `status`. What has another shape is left out.
    pub fn from_json(status: &Value) -> Self {
        let capabilities = status.get("capabilities").and_then(Value::as_str).map(str::to_owned);
        let observed_generation = status.get("observedGeneration").and_then(Value::as_i64);
        Self { conditions: conditions_of(status), capabilities, observed_generation }
    }
}

fn spec_of(mut fields: Fields, unsupported: &mut Unsupported) -> Result<SecretStoreSpec, DecodeError> {
    let refresh_interval = match fields.value("refreshInterval") {
        None => None,
        Some(value) => {
            let seconds = value.as_i64().map(|seconds| seconds.saturating_mul(1_000_000_000));
            let nanoseconds = seconds.or_else(|| match value.as_str()? {
                "" => Some(0),
                text => duration::parse(text),
            });
            let nanoseconds = nanoseconds.ok_or_else(|| DecodeError::Value {
                field: fields.path("refreshInterval"),
                expected: "seconds or a duration, such as `300` or `5m`",
            })?;
            u64::try_from(nanoseconds).ok().filter(|it| *it > 0).map(std::time::Duration::from_nanos)
        }
    };
    let provider = match fields.object("provider")? {
        Some(provider) => provider_of(provider, unsupported)?,
        None => return Err(DecodeError::Missing { field: fields.path("provider") }),
    };
    let spec = SecretStoreSpec {
        controller: fields.text("controller")?.unwrap_or_default(),
        provider,
        conditions: fields
            .objects("conditions")?
            .into_iter()
            .map(|condition| condition_of(condition, unsupported))
            .collect::<Result<_, _>>()?,
        refresh_interval,
    };
    // Every store retries by its own rule; see docs/external.md.
    let _ = fields.value("retrySettings");
    fields.rest(unsupported);
    Ok(spec)
}

fn condition_of(mut fields: Fields, unsupported: &mut Unsupported) -> Result<NamespaceCondition, DecodeError> {
    let selector = fields.value("namespaceSelector");
    let condition = NamespaceCondition {
        namespace_selector: selector
            .map(|value| {
                LabelSelector::deserialize(value).map_err(|_| DecodeError::Value {
                    field: fields.path("namespaceSelector"),
                    expected: "a label selector",
                })
            })
            .transpose()?,
        namespaces: fields.list_of_strings("namespaces")?,
        namespace_regexes: fields.list_of_strings("namespaceRegexes")?,
    };
    fields.rest(unsupported);
    Ok(condition)
}

fn provider_of(mut fields: Fields, unsupported: &mut Unsupported) -> Result<Provider, DecodeError> {
    let names = fields.names();
    let [name] = names[..] else {
        return Err(DecodeError::Value { field: "spec.provider".to_owned(), expected: "exactly one provider" });
    };
    let provider = match name {
        "aws" => {
            fields.object("aws")?.map(|it| aws_of(it, unsupported)).transpose()?.map(|it| Provider::Aws(Box::new(it)))
        }
        "vault" => fields
            .object("vault")?
            .map(|it| vault_of(it, unsupported))
            .transpose()?
            .map(|it| Provider::Vault(Box::new(it))),
        "kubernetes" => {
            let read = fields.object("kubernetes")?.map(|it| kubernetes_of(it, unsupported)).transpose()?;
            read.map(|it| Provider::Kubernetes(Box::new(it)))
        }
        "fake" => fields.object("fake")?.map(|it| fake_of(it, unsupported)).transpose()?.map(Provider::Fake),
        _ => None,
    };
    Ok(provider.unwrap_or_else(|| {
        unsupported.push(fields.path(name));
        Provider::Unsupported(name.to_owned())
    }))
}

fn secret_key_of(
    fields: Option<Fields>,
    unsupported: &mut Unsupported,
) -> Result<Option<SecretKeySelector>, DecodeError> {
    let Some(mut fields) = fields else { return Ok(None) };
    let selector = SecretKeySelector {
        name: fields.needed_text("name")?,
        key: fields.text("key")?.unwrap_or_default(),
        namespace: fields.filled_text("namespace")?,
    };
    fields.rest(unsupported);
    Ok(Some(selector))
}

/// A selector that has to be there.
fn needed_secret_key_of(
    fields: &mut Fields,
    name: &'static str,
    unsupported: &mut Unsupported,
) -> Result<SecretKeySelector, DecodeError> {
    let selector = secret_key_of(fields.object(name)?, unsupported)?;
    selector.ok_or_else(|| DecodeError::Missing { field: fields.path(name) })
}

fn service_account_of(
    fields: Option<Fields>,
    unsupported: &mut Unsupported,
) -> Result<Option<ServiceAccountSelector>, DecodeError> {
    let Some(mut fields) = fields else { return Ok(None) };
    let selector = ServiceAccountSelector {
        name: fields.needed_text("name")?,
        namespace: fields.filled_text("namespace")?,
        audiences: fields.list_of_strings("audiences")?,
    };
    fields.rest(unsupported);
    Ok(Some(selector))
}

fn ca_provider_of(fields: Option<Fields>, unsupported: &mut Unsupported) -> Result<Option<CaProvider>, DecodeError> {
    let Some(mut fields) = fields else { return Ok(None) };
    let kinds = [("Secret", CaKind::Secret), ("ConfigMap", CaKind::ConfigMap)];
    let kind = fields.word("type", &kinds, "`Secret` or `ConfigMap`")?;
    let provider = CaProvider {
        kind: kind.ok_or_else(|| DecodeError::Missing { field: fields.path("type") })?,
        name: fields.needed_text("name")?,
        key: fields.text("key")?.unwrap_or_default(),
        namespace: fields.filled_text("namespace")?,
    };
    fields.rest(unsupported);
    Ok(Some(provider))
}

fn aws_of(mut fields: Fields, unsupported: &mut Unsupported) -> Result<Aws, DecodeError> {
    let service = fields.needed_text("service")?;
    if service != "SecretsManager" {
        unsupported.push(format!("{}: {service}", fields.path("service")));
    }
    let auth = match fields.object("auth")? {
        None => AwsAuth::default(),
        Some(mut auth) => {
            let jwt = match auth.object("jwt")? {
                None => None,
                Some(mut jwt) => {
                    let account = service_account_of(jwt.object("serviceAccountRef")?, unsupported)?;
                    jwt.rest(unsupported);
                    Some(AwsJwt { service_account_ref: account })
                }
            };
            let secret_ref = match auth.object("secretRef")? {
                None => None,
                Some(mut keys) => {
                    let read = AwsSecretRef {
                        access_key_id: needed_secret_key_of(&mut keys, "accessKeyIDSecretRef", unsupported)?,
                        secret_access_key: needed_secret_key_of(&mut keys, "secretAccessKeySecretRef", unsupported)?,
                        session_token: secret_key_of(keys.object("sessionTokenSecretRef")?, unsupported)?,
                    };
                    keys.rest(unsupported);
                    Some(read)
                }
            };
            auth.rest(unsupported);
            AwsAuth { jwt, secret_ref }
        }
    };
    let aws = Aws {
        service,
        region: fields.needed_text("region")?,
        role: fields.text("role")?.unwrap_or_default(),
        external_id: fields.text("externalID")?.unwrap_or_default(),
        prefix: fields.text("prefix")?.unwrap_or_default(),
        auth,
    };
    // How secrets are deleted, which nothing here does.
    let _ = fields.value("secretsManager");
    fields.rest(unsupported);
    Ok(aws)
}

fn vault_of(mut fields: Fields, unsupported: &mut Unsupported) -> Result<Vault, DecodeError> {
    let versions = [("v1", KvVersion::V1), ("v2", KvVersion::V2)];
    let vault = Vault {
        server: fields.needed_text("server")?,
        path: fields.filled_text("path")?,
        version: fields.word("version", &versions, "`v1` or `v2`")?.unwrap_or_default(),
        namespace: fields.filled_text("namespace")?,
        ca_bundle: fields.filled_text("caBundle")?,
        ca_provider: ca_provider_of(fields.object("caProvider")?, unsupported)?,
        auth: fields.object("auth")?.map(|auth| vault_auth_of(auth, unsupported)).transpose()?,
    };
    fields.rest(unsupported);
    Ok(vault)
}

fn vault_auth_of(mut fields: Fields, unsupported: &mut Unsupported) -> Result<VaultAuth, DecodeError> {
    let app_role = match fields.object("appRole")? {
        None => None,
        Some(mut role) => {
            let read = VaultAppRole {
                path: role.filled_text("path")?,
                role_id: role.filled_text("roleId")?,
                role_ref: secret_key_of(role.object("roleRef")?, unsupported)?,
                secret_ref: needed_secret_key_of(&mut role, "secretRef", unsupported)?,
            };
            role.rest(unsupported);
            Some(read)
        }
    };
    let kubernetes = match fields.object("kubernetes")? {
        None => None,
        Some(mut method) => {
            let read = VaultKubernetes {
                mount_path: method.filled_text("mountPath")?,
                role: method.needed_text("role")?,
                service_account_ref: service_account_of(method.object("serviceAccountRef")?, unsupported)?,
                secret_ref: secret_key_of(method.object("secretRef")?, unsupported)?,
            };
            method.rest(unsupported);
            Some(read)
        }
    };
    let jwt = match fields.object("jwt")? {
        None => None,
        Some(mut method) => {
            let token = match method.object("kubernetesServiceAccountToken")? {
                None => None,
                Some(token) => Some(vault_token_of(token, unsupported)?),
            };
            let read = VaultJwt {
                path: method.filled_text("path")?,
                role: method.filled_text("role")?,
                secret_ref: secret_key_of(method.object("secretRef")?, unsupported)?,
                kubernetes_service_account_token: token,
            };
            method.rest(unsupported);
            Some(read)
        }
    };
    let auth = VaultAuth {
        namespace: fields.filled_text("namespace")?,
        token_secret_ref: secret_key_of(fields.object("tokenSecretRef")?, unsupported)?,
        app_role,
        kubernetes,
        jwt,
    };
    fields.rest(unsupported);
    Ok(auth)
}

fn vault_token_of(mut fields: Fields, unsupported: &mut Unsupported) -> Result<VaultServiceAccountToken, DecodeError> {
    let account = service_account_of(fields.object("serviceAccountRef")?, unsupported)?;
    let expiration = fields.value("expirationSeconds");
    let token = VaultServiceAccountToken {
        service_account_ref: account.ok_or_else(|| DecodeError::Missing { field: fields.path("serviceAccountRef") })?,
        audiences: fields.list_of_strings("audiences")?,
        expiration_seconds: expiration
            .map(|value| {
                value.as_i64().ok_or_else(|| mismatch(fields.path("expirationSeconds"), "a number of seconds", value))
            })
            .transpose()?,
    };
    fields.rest(unsupported);
    Ok(token)
}

fn kubernetes_of(mut fields: Fields, unsupported: &mut Unsupported) -> Result<Kubernetes, DecodeError> {
    let server = match fields.object("server")? {
        None => KubernetesServer::default(),
        Some(mut server) => {
            let read = KubernetesServer {
                url: server.filled_text("url")?,
                ca_bundle: server.filled_text("caBundle")?,
                ca_provider: ca_provider_of(server.object("caProvider")?, unsupported)?,
            };
            server.rest(unsupported);
            read
        }
    };
    let auth = match fields.object("auth")? {
        None => KubernetesAuth::default(),
        Some(mut auth) => {
            let cert = match auth.object("cert")? {
                None => None,
                Some(mut cert) => {
                    let read = KubernetesCertificate {
                        client_cert: needed_secret_key_of(&mut cert, "clientCert", unsupported)?,
                        client_key: needed_secret_key_of(&mut cert, "clientKey", unsupported)?,
                    };
                    cert.rest(unsupported);
                    Some(read)
                }
            };
            let token = match auth.object("token")? {
                None => None,
                Some(mut token) => {
                    let bearer = needed_secret_key_of(&mut token, "bearerToken", unsupported)?;
                    token.rest(unsupported);
                    Some(KubernetesToken { bearer_token: bearer })
                }
            };
            let account = service_account_of(auth.object("serviceAccount")?, unsupported)?;
            auth.rest(unsupported);
            KubernetesAuth { cert, token, service_account: account }
        }
    };
    let kubernetes = Kubernetes { server, auth, remote_namespace: fields.filled_text("remoteNamespace")? };
    fields.rest(unsupported);
    Ok(kubernetes)
}

fn fake_of(mut fields: Fields, unsupported: &mut Unsupported) -> Result<Fake, DecodeError> {
    let mut data = Vec::new();
    for mut item in fields.objects("data")? {
        data.push(FakeItem {
            key: item.needed_text("key")?,
            value: item.text("value")?.unwrap_or_default(),
            version: item.text("version")?.unwrap_or_default(),
        });
        item.rest(unsupported);
    }
    let result = fields.value("validationResult");
    let validation_result = match result {
        None => 0,
        Some(value) => value
            .as_u64()
            .and_then(|number| u8::try_from(number).ok())
            .ok_or_else(|| mismatch(fields.path("validationResult"), "a number", value))?,
    };
    fields.rest(unsupported);
    Ok(Fake { data, validation_result })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn decode(spec: &Value) -> Result<SecretStore, DecodeError> {
        SecretStore::decode(StoreKind::Namespaced, ObjectMeta::default(), &json!({"spec": spec}))
    }

    #[test]
    fn the_stores_that_most_people_have_are_read_whole() {
        let key = |name: &str| json!({"name": name, "key": "k", "namespace": "n"});
        for provider in [
            json!({"vault": {"server": "https://vault", "path": "secret", "version": "v2", "caBundle": "eA==",
                "caProvider": {"type": "ConfigMap", "name": "ca", "key": "ca.crt"},
                "auth": {"tokenSecretRef": key("t")}}}),
            json!({"vault": {"server": "https://vault", "auth": {"appRole": {"path": "approle", "roleId": "r", "secretRef": key("s")}}}}),
            json!({"vault": {"server": "https://vault", "auth": {"kubernetes": {"mountPath": "kubernetes", "role": "r",
                "serviceAccountRef": {"name": "sa", "audiences": ["vault"]}}}}}),
            json!({"vault": {"server": "https://vault", "auth": {"jwt": {"path": "jwt", "role": "r",
                "kubernetesServiceAccountToken": {"serviceAccountRef": {"name": "sa"}, "audiences": ["vault"], "expirationSeconds": 600}}}}}),
            json!({"aws": {"service": "SecretsManager", "region": "eu-west-1", "role": "arn:aws:iam::1:role/r", "externalID": "x", "prefix": "p/",
                "auth": {"jwt": {"serviceAccountRef": {"name": "sa"}}}}}),
            json!({"aws": {"service": "SecretsManager", "region": "eu-west-1", "auth": {"secretRef": {
                "accessKeyIDSecretRef": key("a"), "secretAccessKeySecretRef": key("a"), "sessionTokenSecretRef": key("a")}}}}),
            json!({"kubernetes": {"remoteNamespace": "shared", "server": {"url": "https://k", "caBundle": "eA=="},
                "auth": {"serviceAccount": {"name": "sa"}}}}),
            json!({"kubernetes": {"auth": {"token": {"bearerToken": key("t")}}}}),
            json!({"fake": {"data": [{"key": "a", "value": "b", "version": "v1"}]}}),
        ] {
            let store =
                decode(&json!({"provider": provider, "refreshInterval": 60, "retrySettings": {"maxRetries": 5}}))
                    .unwrap();
            assert_eq!(store.unsupported, Vec::<String>::new(), "{provider}");
            assert_eq!(store.spec.provider.name(), provider.as_object().unwrap().keys().next().unwrap());
            assert_eq!(store.spec.refresh_interval, Some(std::time::Duration::from_mins(1)));
        }
    }

    #[test]
    fn what_is_not_supported_is_named() {
        for (provider, expected) in [
            (json!({"gcpsm": {"projectID": "p"}}), "spec.provider.gcpsm"),
            (json!({"aws": {"service": "ParameterStore", "region": "r"}}), "spec.provider.aws.service: ParameterStore"),
            (
                json!({"aws": {"service": "SecretsManager", "region": "r", "sessionTags": [{}]}}),
                "spec.provider.aws.sessionTags",
            ),
            (json!({"vault": {"server": "s", "auth": {"ldap": {}}}}), "spec.provider.vault.auth.ldap"),
            (json!({"kubernetes": {"authRef": {"name": "kubeconfig"}}}), "spec.provider.kubernetes.authRef"),
        ] {
            assert_eq!(decode(&json!({"provider": provider})).unwrap().unsupported, [expected]);
        }
    }

    #[test]
    fn an_error_names_the_field() {
        for (spec, expected) in [
            (json!({}), "`spec.provider` is missing"),
            (json!({"provider": {}}), "`spec.provider`: expected exactly one provider"),
            (json!({"provider": {"aws": {}, "fake": {}}}), "`spec.provider`: expected exactly one provider"),
            (json!({"provider": {"vault": {}}}), "`spec.provider.vault.server` is missing"),
            (
                json!({"provider": {"vault": {"server": "s", "auth": {"kubernetes": {}}}}}),
                "`spec.provider.vault.auth.kubernetes.role` is missing",
            ),
            (
                json!({"provider": {"fake": {"data": [{"key": "a", "value": 1}]}}}),
                "`spec.provider.fake.data[0].value`: expected a string, found a number",
            ),
            (
                json!({"provider": {"fake": {}}, "refreshInterval": "soon"}),
                "`spec.refreshInterval`: expected seconds or a duration, such as `300` or `5m`",
            ),
        ] {
            assert_eq!(decode(&spec).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn a_fake_value_is_not_shown() {
        let store = decode(&json!({"provider": {"fake": {"data": [{"key": "a", "value": "hunter2"}]}}})).unwrap();
        assert!(!format!("{store:?}").contains("hunter2"));
    }
}
