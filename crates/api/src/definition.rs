//! Types → `CustomResourceDefinition`: what `deploy/crds/` holds.
//!
//! SealedSecret: accepts exactly what upstream's CRD accepts, save for one optional field that upstream does not have,
//! `status.conditions[].observedGeneration`. No defaults: the API server adds nothing to what a GitOps engine applied.
//!
//! The kinds of External Secrets: both versions are served, `v1` is stored, and both have upstream's defaults of `v1`. Fields that are not
//! supported are kept, so that the controller can name them; what is described is checked. Providers that are missing here are not
//! described, which makes the definition of a store a twelfth of upstream's.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceColumnDefinition, CustomResourceDefinition, CustomResourceDefinitionNames,
    CustomResourceDefinitionSpec, CustomResourceDefinitionVersion, CustomResourceSubresourceStatus,
    CustomResourceSubresources, CustomResourceValidation, JSONSchemaProps,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::schema::StructuralSchemaRewriter;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use crate::external_secret::{self, ExternalSecretSpec, ExternalSecretStatus};
use crate::sealed_secret::{GROUP, KIND, PLURAL, SealedSecretSpec, SealedSecretStatus, VERSION};
use crate::secret_store::{self, SecretStoreSpec, SecretStoreStatus};

/// The CRD of SealedSecret, `sealedsecrets.bitnami.com`.
pub fn sealed_secret() -> CustomResourceDefinition {
    CustomResourceDefinition {
        metadata: ObjectMeta { name: Some(format!("{PLURAL}.{GROUP}")), ..ObjectMeta::default() },
        spec: CustomResourceDefinitionSpec {
            group: GROUP.to_owned(),
            names: CustomResourceDefinitionNames {
                kind: KIND.to_owned(),
                list_kind: Some(format!("{KIND}List")),
                plural: PLURAL.to_owned(),
                singular: Some("sealedsecret".to_owned()),
                ..CustomResourceDefinitionNames::default()
            },
            scope: "Namespaced".to_owned(),
            versions: vec![CustomResourceDefinitionVersion {
                name: VERSION.to_owned(),
                served: true,
                storage: true,
                additional_printer_columns: Some(vec![
                    column("Status", "string", ".status.conditions[0].message"),
                    column("Synced", "string", ".status.conditions[0].status"),
                    column("Age", "date", ".metadata.creationTimestamp"),
                ]),
                schema: Some(CustomResourceValidation { open_api_v3_schema: Some(sealed_secret_schema()) }),
                subresources: Some(CustomResourceSubresources {
                    status: Some(CustomResourceSubresourceStatus(json!({}))),
                    ..CustomResourceSubresources::default()
                }),
                ..CustomResourceDefinitionVersion::default()
            }],
            ..CustomResourceDefinitionSpec::default()
        },
        ..CustomResourceDefinition::default()
    }
}

/// The CRD of ExternalSecret, `externalsecrets.external-secrets.io`.
pub fn external_secret() -> CustomResourceDefinition {
    let mut spec = schema_of::<ExternalSecretSpec>();
    keep_unknown(&mut spec);
    for (path, value) in [
        ("/refreshInterval", json!("1h0m0s")),
        ("/target", json!({"creationPolicy": "Owner", "deletionPolicy": "Retain"})),
        ("/target/properties/creationPolicy", json!("Owner")),
        ("/target/properties/deletionPolicy", json!("Retain")),
        ("/target/properties/template/properties/engineVersion", json!("v2")),
        ("/target/properties/template/properties/mergePolicy", json!("Replace")),
    ] {
        if let Some(field) = spec.pointer_mut(&format!("/properties{path}")) {
            field["default"] = value;
        }
    }
    let columns = [
        column("StoreType", "string", ".spec.secretStoreRef.kind"),
        column("Store", "string", ".spec.secretStoreRef.name"),
        column("Refresh Interval", "string", ".spec.refreshInterval"),
        column("Status", "string", ".status.conditions[?(@.type==\"Ready\")].reason"),
        column("Ready", "string", ".status.conditions[?(@.type==\"Ready\")].status"),
        column("Last Sync", "date", ".status.refreshTime"),
    ];
    definition_of_group(
        Names { kind: external_secret::KIND, plural: external_secret::PLURAL, singular: "externalsecret", short: "es" },
        "Namespaced",
        "Which values of an external store become which Secret. It holds references only, so it may lie in Git.",
        &columns,
        &spec,
        &schema_of::<ExternalSecretStatus>(),
    )
}

/// The CRD of SecretStore, `secretstores.external-secrets.io`.
pub fn secret_store() -> CustomResourceDefinition {
    let names = Names { kind: "SecretStore", plural: secret_store::PLURAL, singular: "secretstore", short: "ss" };
    store(
        names,
        "Namespaced",
        "Where the ExternalSecrets of a namespace take their values from, and with whose credentials.",
    )
}

/// The CRD of ClusterSecretStore, `clustersecretstores.external-secrets.io`.
pub fn cluster_secret_store() -> CustomResourceDefinition {
    let names = Names {
        kind: "ClusterSecretStore",
        plural: secret_store::CLUSTER_PLURAL,
        singular: "clustersecretstore",
        short: "css",
    };
    store(
        names,
        "Cluster",
        "Where ExternalSecrets of all namespaces take their values from, and with whose credentials.",
    )
}

fn store(names: Names, scope: &str, description: &str) -> CustomResourceDefinition {
    let mut spec = schema_of::<SecretStoreSpec>();
    if let Some(provider) = spec.pointer_mut("/properties/provider") {
        provider["minProperties"] = json!(1);
        provider["maxProperties"] = json!(1);
    }
    if let Some(properties) = spec.get_mut("properties") {
        properties["refreshInterval"] = json!({
            "description": "How often the store is looked at: seconds, or a duration such as `5m`.",
            "x-kubernetes-int-or-string": true,
            "anyOf": [{"type": "integer"}, {"type": "string"}],
        });
    }
    keep_unknown(&mut spec);
    let columns = [
        column("Age", "date", ".metadata.creationTimestamp"),
        column("Status", "string", ".status.conditions[?(@.type==\"Ready\")].reason"),
        column("Capabilities", "string", ".status.capabilities"),
        column("Ready", "string", ".status.conditions[?(@.type==\"Ready\")].status"),
    ];
    definition_of_group(names, scope, description, &columns, &spec, &schema_of::<SecretStoreStatus>())
}

#[derive(Clone, Copy)]
struct Names {
    kind: &'static str,
    plural: &'static str,
    singular: &'static str,
    short: &'static str,
}

/// A definition in the group of External Secrets, with both versions.
fn definition_of_group(
    names: Names,
    scope: &str,
    description: &str,
    columns: &[CustomResourceColumnDefinition],
    spec: &Value,
    status: &Value,
) -> CustomResourceDefinition {
    let kind = names.kind;
    let version = |name: &str, storage: bool| {
        let schema = json!({
            "description": description,
            "type": "object",
            "properties": {
                "apiVersion": {"type": "string", "description": format!("Group and version of this object: `{}/{name}`.", external_secret::GROUP)},
                "kind": {"type": "string", "description": format!("Kind of this object: `{kind}`.")},
                "metadata": {"type": "object"},
                "spec": spec,
                "status": status,
            },
        });
        CustomResourceDefinitionVersion {
            name: name.to_owned(),
            served: true,
            storage,
            additional_printer_columns: Some(columns.to_vec()),
            // Built of the types above and of constants: a test reads the result back, so this cannot fail at run time.
            schema: Some(CustomResourceValidation {
                open_api_v3_schema: Some(
                    serde_json::from_value(schema).expect("a schema made of our own types is a schema"),
                ),
            }),
            subresources: Some(CustomResourceSubresources {
                status: Some(CustomResourceSubresourceStatus(json!({}))),
                ..CustomResourceSubresources::default()
            }),
            ..CustomResourceDefinitionVersion::default()
        }
    };
    CustomResourceDefinition {
        metadata: ObjectMeta {
            name: Some(format!("{}.{}", names.plural, external_secret::GROUP)),
            labels: Some([("external-secrets.io/component".to_owned(), "controller".to_owned())].into()),
            ..ObjectMeta::default()
        },
        spec: CustomResourceDefinitionSpec {
            group: external_secret::GROUP.to_owned(),
            names: CustomResourceDefinitionNames {
                kind: kind.to_owned(),
                list_kind: Some(format!("{kind}List")),
                plural: names.plural.to_owned(),
                singular: Some(names.singular.to_owned()),
                short_names: Some(vec![names.short.to_owned()]),
                categories: Some(vec!["external-secrets".to_owned()]),
            },
            scope: scope.to_owned(),
            versions: vec![version(external_secret::VERSION, true), version(external_secret::OLD_VERSION, false)],
            ..CustomResourceDefinitionSpec::default()
        },
        ..CustomResourceDefinition::default()
    }
}

/// Lets every object in `schema` keep fields that it does not describe.
fn keep_unknown(schema: &mut Value) {
    let Some(fields) = schema.as_object_mut() else { return };
    if let Some(properties) = fields.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(keep_unknown);
        fields.insert("x-kubernetes-preserve-unknown-fields".to_owned(), json!(true));
    }
    if let Some(items) = fields.get_mut("items") {
        keep_unknown(items);
    }
}

fn column(name: &str, kind: &str, path: &str) -> CustomResourceColumnDefinition {
    CustomResourceColumnDefinition {
        name: name.to_owned(),
        type_: kind.to_owned(),
        json_path: path.to_owned(),
        ..CustomResourceColumnDefinition::default()
    }
}

fn sealed_secret_schema() -> JSONSchemaProps {
    let schema = json!({
        "description": "A Secret whose values are encrypted with the public key of a controller, one by one, so that it may lie in Git.",
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": "Group and version of this object: `bitnami.com/v1alpha1`."},
            "kind": {"type": "string", "description": "Kind of this object: `SealedSecret`."},
            "metadata": {"type": "object"},
            "spec": schema_of::<SealedSecretSpec>(),
            "status": schema_of::<SealedSecretStatus>(),
        },
    });
    // Built of the types above and of constants: a test reads the result back, so this cannot fail at run time.
    serde_json::from_value(schema).expect("a schema made of our own types is a schema")
}

/// Schema of `T` in the form that the API server takes, without what it would act upon or what only repeats Rust's names.
fn schema_of<T: JsonSchema>() -> Value {
    let mut settings = SchemaSettings::openapi3().with_transform(StructuralSchemaRewriter);
    settings.inline_subschemas = true;
    settings.meta_schema = None;
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    strip(&mut schema);
    schema
}

fn strip(schema: &mut Value) {
    let Some(fields) = schema.as_object_mut() else { return };
    for name in ["title", "default"] {
        fields.remove(name);
    }
    if let Some(Value::String(description)) = fields.get_mut("description") {
        // Line breaks of the source code mean nothing to a reader of the CRD.
        *description = description.replace('\n', " ");
    }
    if let Some(properties) = fields.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(strip);
    }
    for name in ["items", "additionalProperties"] {
        if let Some(inner) = fields.get_mut(name) {
            strip(inner);
        }
    }
}
