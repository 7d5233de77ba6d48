//! The files below docs/examples, every one of them: what is encrypted opens with the example keys, which lie with the tests and not beside
//! what they open; what kustomize builds is built; Argo CD's and Flux' own objects have the shape that docs/gitops.md tells.
//!
//! Their definitions are not at hand, so of those two kinds only the structure is looked at. The page applies the rest to a real API server.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use bulla_doc::{Document, Format, Node};
use bulla_testkit::{needs_peers, peers, workspace};

use crate::fixture::Place;

fn examples() -> PathBuf {
    workspace().join("docs/examples")
}

/// Every file below docs/examples, by its path from there.
fn files() -> BTreeMap<String, String> {
    let (mut folders, mut files) = (vec![examples()], BTreeMap::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(examples()).unwrap().display().to_string();
                files.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    files
}

fn key(name: &str) -> String {
    workspace().join("crates/cli/tests/documents/keys").join(name).display().to_string()
}

#[test]
fn every_example_is_encrypted_or_sealed_and_opens_with_its_key() {
    needs_peers!();
    let place = Place::new().with_program(&peers::sops()).with_program(&peers::kubectl());
    let from = examples().display().to_string();
    place.does(&format!("cp -r {from}/. ."));
    let (age, sealing) = (key("example.agekey"), key("sealing.key"));
    let (mut encrypted, mut sealed, mut built) = (0, 0, 0);
    for (name, text) in files() {
        if text.contains("\nsops:\n") {
            encrypted += 1;
            let ours = place.does(&format!("SOPS_AGE_KEY_FILE={age} bulla decrypt '{name}'"));
            let theirs = place.does(&format!("SOPS_AGE_KEY_FILE={age} sops decrypt '{name}'"));
            assert!(!ours.contains("ENC[") && !theirs.contains("ENC["), "{name}");
        } else if text.contains("\nkind: SealedSecret") && !text.contains("{{") {
            sealed += 1;
            let opened = place.does(&format!("bulla unseal --private-key {sealing} '{name}'"));
            assert!(opened.contains("kind: Secret") && opened.contains("data:"), "{name}");
        }
        if let Some(folder) = name.strip_suffix("/kustomization.yaml") {
            built += 1;
            let made = place.does(&format!("kubectl kustomize {folder}"));
            assert!(made.contains("kind: "), "{name}");
        }
    }
    assert!(encrypted >= 4 && sealed >= 4 && built >= 5, "{encrypted} encrypted, {sealed} sealed, {built} built");
    assert_eq!(place.does("bulla check --no-ignore --strict ."), "", "nothing in it is plain");
    place.does(&format!("cd flux && SOPS_AGE_KEY_FILE={age} bulla rotate --check ."));
    place.does(&format!("cd kustomize && SOPS_AGE_KEY_FILE={age} bulla rotate --check ."));
}

#[test]
fn the_engines_own_objects_have_the_fields_that_count() {
    let files = files();
    for (name, version, kind, paths) in [
        (
            "flux/clusters/production/shop.yaml",
            "kustomize.toolkit.fluxcd.io/v1",
            "Kustomization",
            [
                "spec interval",
                "spec path",
                "spec prune",
                "spec sourceRef name",
                "spec decryption provider",
                "spec decryption secretRef name",
                "spec healthChecks",
            ],
        ),
        (
            "argocd/application.yaml",
            "argoproj.io/v1alpha1",
            "Application",
            [
                "spec project",
                "spec source repoURL",
                "spec source path",
                "spec source targetRevision",
                "spec destination server",
                "spec destination namespace",
                "spec syncPolicy automated",
            ],
        ),
    ] {
        let document = Document::parse(files[name].as_bytes(), Format::Yaml).unwrap();
        let top = document.branches().next().unwrap();
        let text = |key: &str| top.get(key).and_then(Node::as_str).unwrap_or_default().to_owned();
        assert_eq!((text("apiVersion").as_str(), text("kind").as_str()), (version, kind), "{name}");
        for path in paths {
            let found = path.split(' ').try_fold(top, Node::get);
            assert!(found.is_some(), "{name}: {path}");
        }
    }
    // What they lead to is there.
    assert!(
        files.contains_key("flux/apps/shop/kustomization.yaml") && files.contains_key("argocd/shop/kustomization.yaml")
    );
}
