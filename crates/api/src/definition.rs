//! Types → `CustomResourceDefinition`: what `deploy/crds/` holds.
//!
//! Accepts exactly what upstream's CRD accepts, save for one optional field that upstream does not have,
//! `status.conditions[].observedGeneration`. No defaults: the API server adds nothing to what a GitOps engine applied.

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

use crate::sealed_secret::{GROUP, KIND, PLURAL, SealedSecretSpec, SealedSecretStatus, VERSION};

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
