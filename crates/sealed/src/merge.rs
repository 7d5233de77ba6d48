//! A Secret's values into a SealedSecret that lies in a file, in place.
//!
//! Comments, order and format of the file stay, and so does every item that is not given. Sealing cannot be undone
//! without the private key, so an item that is given gets new ciphertext even if its value is the old one.
//! Unlike `kubeseal --merge-into` (sealed-secrets 0.38.4 `pkg/kubeseal`) it seals for the scope that the file says, and
//! refuses to mix two: such an object could never be opened as a whole.

use std::collections::BTreeMap;

use bulla_crypto::PublicKey;
use bulla_doc::{Document, Edits, Kind, Node, Scalar, Tree, Value as Leaf};
use bulla_wipe::Wiping;
use rand_core::CryptoRng;
use serde_json::Value;

use crate::scope::Scope;
use crate::seal::{SealError, optional_string, seal_item, secret_manifest, template_metadata_of, values_of};

/// What became of a file.
#[derive(Debug)]
pub struct Merged {
    /// The whole file.
    pub bytes: Wiping<Vec<u8>>,
    /// Items that were there before, in the order of their names.
    pub replaced: Vec<String>,
    /// Items that are new.
    pub added: Vec<String>,
}

/// Why nothing was merged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MergeError {
    /// The Secret could not be read.
    #[error(transparent)]
    Secret(#[from] SealError),
    /// There is no SealedSecret in the file, or none of this name.
    #[error("no SealedSecret{} in the file", .0.as_deref().map_or(String::new(), |name| format!(" named `{name}`")))]
    NoSealedSecret(Option<String>),
    /// There are several, and the Secret does not say which one it means.
    #[error("{0} SealedSecrets in the file; the Secret must have the name of one of them")]
    Ambiguous(usize),
    /// The Secret is another one than the SealedSecret in the file.
    #[error("the Secret's {field} is `{found}`, that of the SealedSecret in the file `{expected}`")]
    Mismatch {
        /// `name`, `namespace`, `type` or `scope`.
        field: &'static str,
        /// What the Secret or the command line says.
        found: String,
        /// What the file says.
        expected: String,
    },
    /// A field of the SealedSecret is not what it should be.
    #[error("`{field}` of the SealedSecret: expected {expected}")]
    Type {
        /// Path of the field.
        field: String,
        /// What belongs there.
        expected: &'static str,
    },
}

/// Seals every value of `secret`, a manifest in JSON, into the SealedSecret of `file`. `scope` is the one that was asked for.
///
/// Labels and annotations of the Secret are added to the template or replaced there; nothing is removed.
///
/// # Errors
/// [`MergeError`]; there is no new file then.
pub fn merge(
    file: &Document,
    secret: &Value,
    key: &PublicKey,
    scope: Option<Scope>,
    rng: &mut dyn CryptoRng,
) -> Result<Merged, MergeError> {
    let manifest = secret_manifest(secret)?;
    let values = values_of(manifest)?;
    if values.is_empty() {
        return Err(SealError::Empty.into());
    }
    let metadata = template_metadata_of(manifest.get("metadata"))?;
    let target = find(file, metadata.name.as_deref())?;

    let name = text_at(target, &["metadata", "name"])?.ok_or_else(|| mistyped("metadata.name", "a name"))?;
    let namespace = text_at(target, &["metadata", "namespace"])?.unwrap_or_default();
    let annotations = annotations_of(target)?;
    let expected = Scope::of(Some(&annotations));
    let asked = scope.or_else(|| {
        let of_secret = Scope::of(Some(&metadata.annotations));
        (of_secret != Scope::Strict).then_some(of_secret)
    });
    agree("scope", asked.map(Scope::as_str), expected.as_str())?;
    if expected != Scope::ClusterWide {
        agree("namespace", metadata.namespace.as_deref().filter(|namespace| !namespace.is_empty()), namespace)?;
    }
    let kind = optional_string("type", manifest.get("type"))?.filter(|kind| !kind.is_empty());
    let kind_in_file = text_at(target, &["spec", "template", "type"])?.filter(|kind| !kind.is_empty());
    agree("type", kind.as_deref(), kind_in_file.unwrap_or("Opaque"))?;

    let mut edits = Edits::new(file);
    let sealed: BTreeMap<_, _> = values
        .iter()
        .map(|(item, value)| (item.as_str(), seal_item(value.expose_secret(), key, expected, namespace, name, rng)))
        .collect();
    let (replaced, added) = put(&mut edits, target, &["spec", "encryptedData"], &sealed)?;
    let own = [expected.annotation()];
    let template_annotations: BTreeMap<_, _> = metadata
        .annotations
        .iter()
        .filter(|(annotation, _)| !own.contains(&Some(annotation.as_str())))
        .map(|(annotation, text)| (annotation.as_str(), text.clone()))
        .collect();
    let labels: BTreeMap<_, _> = metadata.labels.iter().map(|(label, text)| (label.as_str(), text.clone())).collect();
    put(&mut edits, target, &["spec", "template", "metadata", "annotations"], &template_annotations)?;
    put(&mut edits, target, &["spec", "template", "metadata", "labels"], &labels)?;
    Ok(Merged { bytes: edits.apply(), replaced, added })
}

/// The SealedSecret that is meant: the one of this name, or else the only one.
fn find<'d>(file: &'d Document, name: Option<&str>) -> Result<Node<'d>, MergeError> {
    let is_sealed_secret = |branch: &Node<'d>| branch.get("kind").and_then(Node::as_str) == Some("SealedSecret");
    let all: Vec<_> = file.branches().filter(is_sealed_secret).collect();
    let named = |branch: &&Node<'d>| {
        let found = branch.get("metadata").and_then(|metadata| metadata.get("name")).and_then(Node::as_str);
        found.is_some() && found == name
    };
    match (all.as_slice(), all.iter().find(named)) {
        (_, Some(found)) => Ok(*found),
        ([], None) => Err(MergeError::NoSealedSecret(None)),
        ([_], None) if name.is_some_and(|name| !name.is_empty()) => {
            Err(MergeError::NoSealedSecret(name.map(str::to_owned)))
        }
        ([only], None) => Ok(*only),
        (several, None) if name.is_none() => Err(MergeError::Ambiguous(several.len())),
        _ => Err(MergeError::NoSealedSecret(name.map(str::to_owned))),
    }
}

fn agree(field: &'static str, found: Option<&str>, expected: &str) -> Result<(), MergeError> {
    match found {
        Some(found) if found != expected => {
            Err(MergeError::Mismatch { field, found: found.to_owned(), expected: expected.to_owned() })
        }
        _ => Ok(()),
    }
}

pub(crate) fn mistyped(field: &str, expected: &'static str) -> MergeError {
    MergeError::Type { field: field.to_owned(), expected }
}

/// The node at `path`, if everything on the way there is a mapping.
pub(crate) fn node_at<'d>(root: Node<'d>, path: &[&str]) -> Result<Option<Node<'d>>, MergeError> {
    let mut node = root;
    for (depth, key) in path.iter().enumerate() {
        if node.kind() != Kind::Mapping {
            return match node.value() {
                Leaf::Null if node.kind() == Kind::Scalar => Ok(None),
                _ => Err(mistyped(&path[..depth].join("."), "a mapping")),
            };
        }
        let Some(next) = node.get(key) else { return Ok(None) };
        node = next;
    }
    Ok(Some(node))
}

pub(crate) fn text_at<'d>(root: Node<'d>, path: &[&str]) -> Result<Option<&'d str>, MergeError> {
    match node_at(root, path)? {
        Some(node) if node.value() != Leaf::Null || node.kind() != Kind::Scalar => {
            node.as_str().map(Some).ok_or_else(|| mistyped(&path.join("."), "a string"))
        }
        _ => Ok(None),
    }
}

pub(crate) fn annotations_of(target: Node<'_>) -> Result<BTreeMap<String, String>, MergeError> {
    let Some(node) = node_at(target, &["metadata", "annotations"])? else { return Ok(BTreeMap::new()) };
    let text = |entry: Node<'_>| Some((entry.key()?.to_owned(), entry.as_str()?.to_owned()));
    Ok(node.children().filter_map(text).collect())
}

/// Puts `texts` into the mapping at `path`, which is made if it is not there. The names of those that were replaced, and
/// of those that are new, come back.
fn put<'d>(
    edits: &mut Edits<'d>,
    root: Node<'d>,
    path: &[&str],
    texts: &BTreeMap<&str, String>,
) -> Result<(Vec<String>, Vec<String>), MergeError> {
    let (mut replaced, mut added) = (Vec::new(), Vec::new());
    if texts.is_empty() {
        return Ok((replaced, added));
    }
    let tree = || Tree::mapping(texts.iter().map(|(key, text)| (*key, Tree::string(text))));
    let everything = || texts.keys().map(|&key| key.to_owned()).collect();
    // Everything on the way that is missing comes with the first that is.
    for depth in 1..=path.len() {
        let inner = |from: usize| path[from..].iter().rev().fold(tree(), |tree, key| Tree::mapping([(*key, tree)]));
        match node_at(root, &path[..depth])? {
            None => {
                let parent = node_at(root, &path[..depth - 1])?.unwrap_or(root);
                edits.append(parent, path[depth - 1], &inner(depth));
                return Ok((replaced, everything()));
            }
            Some(node) if node.is_alias() || node.is_expanded() => {
                return Err(mistyped(&path[..depth].join("."), "no alias"));
            }
            Some(node) if node.kind() == Kind::Mapping && node.children().next().is_none() => {
                edits.set_tree(node, &inner(depth));
                return Ok((replaced, everything()));
            }
            Some(node) if node.kind() == Kind::Scalar && node.value() == Leaf::Null => {
                edits.set_tree(node, &inner(depth));
                return Ok((replaced, everything()));
            }
            Some(_) => {}
        }
    }
    let Some(mapping) = node_at(root, path)?.filter(|node| node.kind() == Kind::Mapping) else {
        return Err(mistyped(&path.join("."), "a mapping"));
    };
    for (&key, text) in texts {
        match mapping.get(key) {
            Some(entry) if entry.kind() != Kind::Scalar => {
                return Err(mistyped(&format!("{}.{key}", path.join(".")), "a string"));
            }
            Some(entry) if entry.as_str() == Some(text) => {}
            Some(entry) if entry.is_alias() => edits.set_tree(entry, &Tree::string(text)),
            Some(entry) => edits.set_value(entry, &Scalar::String(text.as_bytes().to_vec().into()).as_value()),
            None => edits.append(mapping, key, &Tree::string(text)),
        }
        if mapping.get(key).is_some() { &mut replaced } else { &mut added }.push(key.to_owned());
    }
    Ok((replaced, added))
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use bulla_crypto::{PrivateKey, encoding, hybrid};
    use bulla_doc::Format;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;
    use serde_json::json;

    use super::*;

    static KEY: LazyLock<PrivateKey> = LazyLock::new(|| PrivateKey::generate(2048).unwrap());

    const FILE: &str = "\
# our database
apiVersion: bitnami.com/v1alpha1
kind: SealedSecret
metadata:
  name: db   # the name
  namespace: shop
spec:
  encryptedData:
    user: 'old-user'
    # changed every month
    password: >-
      old-pass
      word
  template:
    metadata:
      labels: {app: shop}
---
kind: ConfigMap
";

    fn secret(name: &str) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": name, "namespace": "shop", "labels": {"app": "shop", "tier": "data"}},
            "stringData": {"password": "hunter2", "token": "t"},
        })
    }

    fn merged(
        file: &str,
        format: Format,
        secret: &Value,
        scope: Option<Scope>,
    ) -> Result<(String, Merged), MergeError> {
        let document = Document::parse(file.as_bytes(), format).unwrap();
        let merged = merge(&document, secret, KEY.public_key(), scope, &mut StdRng::seed_from_u64(1))?;
        let text = String::from_utf8(merged.bytes.to_vec()).unwrap();
        Document::parse(text.as_bytes(), format).unwrap();
        Ok((text, merged))
    }

    fn opened(text: &str, format: Format, item: &str, label: &[u8]) -> Vec<u8> {
        let document = Document::parse(text.as_bytes(), format).unwrap();
        let branch = document.branches().next().unwrap();
        let node = node_at(branch, &["spec", "encryptedData", item]).unwrap().unwrap();
        let bytes = encoding::decode_go(node.as_str().unwrap().as_bytes()).unwrap();
        hybrid::open(&KEY, &bytes, label).unwrap().expose_secret().to_vec()
    }

    #[test]
    fn only_the_lines_of_given_items_change() {
        let (text, merged) = merged(FILE, Format::Yaml, &secret("db"), None).unwrap();
        assert_eq!((merged.replaced, merged.added), (vec!["password".to_owned()], vec!["token".to_owned()]));
        assert_eq!(opened(&text, Format::Yaml, "password", b"shop/db"), b"hunter2");
        assert_eq!(opened(&text, Format::Yaml, "token", b"shop/db"), b"t");
        let changed = |line: &&str| !FILE.lines().any(|old| old == *line);
        let lines: Vec<_> = text.lines().filter(changed).collect();
        // The password's block, the new item, the new label.
        assert!(matches!(lines[..], [password, token, labels]
            if password.starts_with("      A") && token.starts_with("    token: A") && labels.starts_with("      labels")));
        assert!(text.contains("    user: 'old-user'\n    # changed every month\n    password: >-\n      A"), "{text}");
        assert!(text.contains("labels: {app: shop, tier: \"data\"}\n---\nkind: ConfigMap\n"), "{text}");
    }

    #[test]
    fn json_is_merged_in_place_too() {
        let file = "{\"kind\": \"SealedSecret\", \"metadata\": {\"name\": \"db\", \"namespace\": \"shop\"},\n \"spec\": {\"encryptedData\": {}}}\n";
        let (text, merged) = merged(file, Format::Json, &secret("db"), None).unwrap();
        assert_eq!(merged.added, ["password", "token"]);
        assert_eq!(opened(&text, Format::Json, "password", b"shop/db"), b"hunter2");
        assert!(text.starts_with(file.split("{}").next().unwrap()), "{text}");
    }

    #[test]
    fn what_is_missing_on_the_way_is_made() {
        for spec in ["spec:\n", "spec: {}\n", "", "spec:\n  encryptedData:\n", "spec:\n  encryptedData: null\n"] {
            let file = format!("kind: SealedSecret\nmetadata: {{name: db, namespace: shop}}\n{spec}");
            let result = merged(
                &file,
                Format::Yaml,
                &json!({
                    "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"}, "stringData": {"a": "1", "b": "2"},
                }),
                None,
            );
            let (text, _) = result.unwrap_or_else(|error| panic!("{file}: {error}"));
            assert_eq!(opened(&text, Format::Yaml, "b", b"shop/db"), b"2", "{text}");
        }
    }

    #[test]
    fn the_file_decides_the_scope_and_another_is_refused() {
        let file = FILE.replace(
            "  namespace: shop\n",
            "  namespace: shop\n  annotations: {sealedsecrets.bitnami.com/namespace-wide: \"true\"}\n",
        );
        let (text, _) = merged(&file, Format::Yaml, &secret("db"), None).unwrap();
        assert_eq!(opened(&text, Format::Yaml, "token", b"shop"), b"t");
        let error = merged(&file, Format::Yaml, &secret("db"), Some(Scope::Strict)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the Secret's scope is `strict`, that of the SealedSecret in the file `namespace-wide`"
        );
    }

    #[test]
    fn another_secret_is_refused() {
        let mut other = secret("db");
        other["metadata"]["namespace"] = json!("pay");
        let mut typed = secret("db");
        typed["type"] = json!("kubernetes.io/tls");
        let unnamed = json!({"apiVersion": "v1", "kind": "Secret", "stringData": {"a": "b"}});
        for (file, secret, message) in [
            (FILE, secret("web"), "no SealedSecret named `web` in the file"),
            (FILE, other, "the Secret's namespace is `pay`, that of the SealedSecret in the file `shop`"),
            (FILE, typed, "the Secret's type is `kubernetes.io/tls`, that of the SealedSecret in the file `Opaque`"),
            ("kind: Secret\n", secret("db"), "no SealedSecret in the file"),
            (
                "kind: SealedSecret\n---\nkind: SealedSecret\n",
                unnamed,
                "2 SealedSecrets in the file; the Secret must have the name of one of them",
            ),
            (
                "kind: SealedSecret\nmetadata: {name: db}\nspec: {encryptedData: [a]}\n",
                json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"}, "stringData": {"a": "b"}}),
                "`spec.encryptedData` of the SealedSecret: expected a mapping",
            ),
        ] {
            assert_eq!(merged(file, Format::Yaml, &secret, None).unwrap_err().to_string(), message);
        }
    }
}
