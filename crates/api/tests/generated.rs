//! `deploy/crds/` is what the types say. `UPDATE_CRDS=1 cargo test -p bulla-api` writes it anew.

use std::path::{Path, PathBuf};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

const HEADER: &str =
    "# Generated from crates/api by `UPDATE_CRDS=1 cargo test -p bulla-api`; edit the types instead.\n";

#[test]
fn the_definition_of_sealed_secret_is_up_to_date() {
    agrees_with("sealedsecrets.yaml", &bulla_api::definition::sealed_secret());
}

#[test]
fn the_definition_of_external_secret_is_up_to_date() {
    agrees_with("external-secrets/externalsecrets.yaml", &bulla_api::definition::external_secret());
}

#[test]
fn the_definitions_of_both_stores_are_up_to_date() {
    agrees_with("external-secrets/secretstores.yaml", &bulla_api::definition::secret_store());
    agrees_with("external-secrets/clustersecretstores.yaml", &bulla_api::definition::cluster_secret_store());
}

fn agrees_with(file: &str, definition: &CustomResourceDefinition) {
    let path = directory().join(file);
    let expected = HEADER.to_owned() + &to_yaml(definition);
    if std::env::var_os("UPDATE_CRDS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "deploy/crds/{file} is stale: run `UPDATE_CRDS=1 cargo test -p bulla-api`");
    let read_back: CustomResourceDefinition = serde_saphyr::from_str(&found).unwrap();
    assert_eq!(read_back, *definition);
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/crds")
}

fn to_yaml(definition: &CustomResourceDefinition) -> String {
    serde_saphyr::to_string(definition).unwrap()
}
