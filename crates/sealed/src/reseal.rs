//! The items of SealedSecrets in a file, sealed again for another key, in place.
//!
//! ```text
//! file ─ each item ─ key ring opens it ─ opened by the wanted key? ─┬─ yes: stays
//!                                                                   └─ no:  sealed with the wanted key ─ edit
//! ```
//! Scope, name and namespace stay, so the label does, too; comments, order and format of the file stay. Either every item that has to be
//! is sealed again, or nothing is.

use bulla_crypto::PublicKey;
use bulla_doc::{Document, Edits, Kind, Node, Value};
use bulla_wipe::Wiping;
use rand_core::CryptoRng;

use crate::key_ring::{Hint, KeyRing};
use crate::merge::{MergeError, annotations_of, mistyped, node_at, text_at};
use crate::scope::Scope;
use crate::seal::seal_item;
use crate::unseal::{ItemError, ItemOpener, Place};

/// What became of a file.
#[derive(Debug, Default)]
pub struct Resealed {
    /// The whole file; `None` if there was nothing to do.
    pub bytes: Option<Wiping<Vec<u8>>>,
    /// Items that are sealed for the wanted key now, as paths: `shop/db spec.encryptedData.password`.
    pub resealed: Vec<String>,
    /// How many items were sealed for it before.
    pub current: usize,
}

/// Why nothing was sealed again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResealError {
    /// A field is not what it should be.
    #[error(transparent)]
    Field(#[from] MergeError),
    /// Items that do not open.
    #[error("{} of the items in the file cannot be opened{}", .0.len(), list(.0))]
    Items(Vec<(String, ItemError)>),
}

fn list(items: &[(String, ItemError)]) -> String {
    items.iter().fold(String::new(), |text, (item, error)| format!("{text}\n  {item}: {error}"))
}

/// Seals every item of every SealedSecret of `file`, also those in lists, for the holder of the private key of `key`, unless it is
/// sealed for that one. `ring` opens them; to tell what is current, it has the private key of `key`, too.
///
/// # Errors
/// [`ResealError`]; there is no new file then.
pub fn reseal(
    file: &Document,
    ring: &KeyRing,
    key: &PublicKey,
    rng: &mut dyn CryptoRng,
) -> Result<Resealed, ResealError> {
    let mut edits = Edits::new(file);
    let mut done = Resealed::default();
    let mut failed = Vec::new();
    for object in objects(file) {
        let name = text_at(object, &["metadata", "name"])?.ok_or_else(|| mistyped("metadata.name", "a name"))?;
        let namespace = text_at(object, &["metadata", "namespace"])?.unwrap_or_default();
        let scope = Scope::of(Some(&annotations_of(object)?));
        let place = Place { scope, namespace, name };
        let mut opener = ItemOpener::new(ring.opener(&Hint::default()), place);
        for (field, item) in items(object)? {
            let path = format!("{namespace}/{name} {field}");
            let Some(text) = item.as_str() else { return Err(mistyped(&path, "a string").into()) };
            if item.is_alias() || item.is_expanded() {
                return Err(mistyped(&path, "no alias").into());
            }
            match opener.open(text) {
                Ok((_, opened_by)) if opened_by.fingerprint() == key.fingerprint() => done.current += 1,
                Ok((value, _)) => {
                    let sealed = seal_item(value.expose_secret(), key, scope, namespace, name, rng);
                    edits.set_value(item, &Value::text(&sealed));
                    done.resealed.push(path);
                }
                Err(error) => failed.push((path, error)),
            }
        }
    }
    if !failed.is_empty() {
        return Err(ResealError::Items(failed));
    }
    done.bytes = (!done.resealed.is_empty()).then(|| edits.apply());
    Ok(done)
}

/// The SealedSecrets of a file, also those in lists.
fn objects(file: &Document) -> Vec<Node<'_>> {
    let is_sealed = |node: &Node<'_>| node.get("kind").and_then(Node::as_str) == Some("SealedSecret");
    let mut found = Vec::new();
    for branch in file.branches() {
        if is_sealed(&branch) {
            found.push(branch);
        } else if let Some(items) = branch.get("items").filter(|items| items.kind() == Kind::Sequence) {
            found.extend(items.children().filter(|item| item.kind() == Kind::Mapping).filter(is_sealed));
        }
    }
    found
}

/// Everything that is sealed in one, with its field. In old files `spec.data` is the Secret as a whole.
fn items(object: Node<'_>) -> Result<Vec<(String, Node<'_>)>, ResealError> {
    let mut items = Vec::new();
    if let Some(mapping) = node_at(object, &["spec", "encryptedData"])? {
        let entries = mapping.children().filter_map(|entry| Some((entry.key()?, entry)));
        items.extend(entries.map(|(key, entry)| (format!("spec.encryptedData.{key}"), entry)));
    }
    if items.is_empty()
        && let Some(whole) = node_at(object, &["spec", "data"])?.filter(|whole| whole.as_str().is_some())
    {
        items.push(("spec.data".to_owned(), whole));
    }
    Ok(items)
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use bulla_crypto::PrivateKey;
    use bulla_doc::Format;
    use jiff::Timestamp;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;
    use crate::certificate::CertificateError;
    use crate::key_ring::{KeyOrder, SealingKey};

    static OLD: LazyLock<PrivateKey> = LazyLock::new(|| PrivateKey::generate(2048).unwrap());
    static NEW: LazyLock<PrivateKey> = LazyLock::new(|| PrivateKey::generate(2048).unwrap());

    fn copy(key: &PrivateKey) -> PrivateKey {
        PrivateKey::from_pkcs8_der(key.to_pkcs8_der().expose_secret()).unwrap()
    }

    fn ring(keys: &[&PrivateKey]) -> KeyRing {
        let mut ring = KeyRing::new(KeyOrder::default());
        for (number, key) in keys.iter().enumerate() {
            let name = format!("key {number}");
            ring.insert(SealingKey::new(&name, Timestamp::UNIX_EPOCH, copy(key), Err(CertificateError::Absent)));
        }
        ring
    }

    fn sealed(value: &str, key: &PrivateKey, scope: Scope) -> String {
        seal_item(value.as_bytes(), key.public_key(), scope, "shop", "db", &mut StdRng::seed_from_u64(1))
    }

    fn file(password: &str, user: &str) -> String {
        format!(
            "# ours\nkind: SealedSecret\nmetadata: {{name: db, namespace: shop}}   # place\nspec:\n  encryptedData:\n    \
             # for the pool\n    password: {password}\n    user: '{user}'\n"
        )
    }

    fn open(document: &str, item: &str, key: &PrivateKey) -> Vec<u8> {
        let document = Document::parse(document.as_bytes(), Format::Yaml).unwrap();
        let object = document.branches().next().unwrap();
        let node = node_at(object, &["spec", "encryptedData", item]).unwrap().unwrap();
        let ring = ring(&[key]);
        let place = Place { scope: Scope::Strict, namespace: "shop", name: "db" };
        let mut opener = ItemOpener::new(ring.opener(&Hint::default()), place);
        opener.open(node.as_str().unwrap()).unwrap().0.expose_secret().to_vec()
    }

    fn run(text: &str, keys: &[&PrivateKey]) -> Result<Resealed, ResealError> {
        let document = Document::parse(text.as_bytes(), Format::Yaml).unwrap();
        reseal(&document, &ring(keys), NEW.public_key(), &mut StdRng::seed_from_u64(2))
    }

    #[test]
    fn what_is_old_is_sealed_again_and_all_else_stays() {
        let (old, new) = (sealed("one", &OLD, Scope::Strict), sealed("two", &NEW, Scope::Strict));
        let before = file(&old, &new);
        let done = run(&before, &[&OLD, &NEW]).unwrap();
        assert_eq!((done.resealed, done.current), (vec!["shop/db spec.encryptedData.password".to_owned()], 1));
        let after = String::from_utf8(done.bytes.unwrap().to_vec()).unwrap();
        assert_eq!(open(&after, "password", &NEW), b"one");
        let again = open(&after, "user", &NEW);
        assert_eq!(again, b"two");
        let password = after.lines().find_map(|line| line.trim().strip_prefix("password: ")).unwrap();
        assert_eq!(after, file(password, &new), "another byte changed");
        let nothing = run(&after, &[&OLD, &NEW]).unwrap();
        assert!(nothing.bytes.is_none() && nothing.current == 2);
    }

    #[test]
    fn one_item_that_does_not_open_keeps_the_file_as_it_is() {
        let text = file(&sealed("one", &OLD, Scope::Strict), &sealed("two", &OLD, Scope::ClusterWide));
        let Err(ResealError::Items(items)) = run(&text, &[&OLD]) else { panic!("it opened") };
        assert_eq!(items.len(), 1);
        assert_eq!(items[0].0, "shop/db spec.encryptedData.user");
        let message = ResealError::Items(items).to_string();
        assert!(message.contains("sealed with scope cluster-wide"), "{message}");
    }

    #[test]
    fn lists_and_streams_and_whole_secrets_are_done_too() {
        let item = sealed("one", &OLD, Scope::Strict);
        let text = format!(
            "kind: List\nitems:\n- kind: SealedSecret\n  metadata: {{name: db, namespace: shop}}\n  spec: {{encryptedData: {{a: \
             {item}}}}}\n---\nkind: ConfigMap\ndata: {{a: b}}\n---\nkind: SealedSecret\nmetadata: {{name: db, namespace: shop}}\n\
             spec: {{data: {item}}}\n"
        );
        let done = run(&text, &[&OLD]).unwrap();
        assert_eq!(done.resealed, ["shop/db spec.encryptedData.a", "shop/db spec.data"]);
    }

    #[test]
    fn what_is_no_string_is_named() {
        let error =
            run("kind: SealedSecret\nmetadata: {name: a}\nspec: {encryptedData: {k: 1}}\n", &[&OLD]).unwrap_err();
        assert_eq!(error.to_string(), "`/a spec.encryptedData.k` of the SealedSecret: expected a string");
    }
}
