//! Real manifests: the YAML and JSON files in the modules that the peers are built from (Kubernetes, SOPS, Sealed Secrets,
//! and what they use), each content once, none larger than 256 KiB.

use crate::peers;
use crate::vectors::{File, files};

/// All of them, sorted by name; a name begins with the module's.
///
/// # Panics
/// If the set `corpus` has not been built, or is much smaller than it should be.
pub fn manifests() -> Vec<File> {
    let found = files(peers::folder(peers::Set::Corpus).join("manifests"));
    assert!(found.len() > 3000, "manifests went missing: {} left", found.len());
    found
}

/// Real Helm charts with their values, and what lies beside them: manifests, test data, keys. Sorted by name; a name begins with the
/// module's.
///
/// # Panics
/// If the set `charts` has not been built, or is much smaller than it should be.
pub fn charts() -> Vec<File> {
    let found = files(peers::folder(peers::Set::Charts).join("files"));
    assert!(found.len() > 1400, "charts went missing: {} left", found.len());
    found
}

/// Those of [`manifests`] that are YAML by their name.
pub fn yaml() -> Vec<File> {
    let is_yaml =
        |file: &File| file.path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    manifests().into_iter().filter(is_yaml).collect()
}
