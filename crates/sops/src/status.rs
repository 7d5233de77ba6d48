//! What can be told about a file without any key.

use bulla_crypto::EncryptedValue;
use bulla_doc::{Document, Format};
use bulla_wipe::Wiping;

use crate::binary;
use crate::decrypt::ReadError;
use crate::metadata::{Metadata, MetadataError, has_metadata};
use crate::path::{MOST_PLACES, Place};
use crate::walk::{Leaf, Plan, Role, TYPED_COMMENT_ITEMS, TooMuch};

/// What is known about an encrypted file.
#[derive(Debug)]
#[non_exhaustive]
pub struct Status {
    /// What its `sops` entry says: the keys ([`Metadata::keys`]), the rule, the date. Not authenticated.
    pub metadata: Metadata,
    /// Values that have the form of encrypted ones, as the rule says.
    pub encrypted: usize,
    /// Values that are plain text, and encrypted by the rule. The file cannot be decrypted with them in it. The first hundred.
    pub plain: Vec<Place>,
    /// How many of them there are.
    pub plain_count: usize,
    /// Lines of comments that are plain text, and encrypted by the rule. Old versions of SOPS left them so. The first hundred.
    pub plain_comments: Vec<Place>,
    /// Values that are plain text as the rule says.
    pub unselected: usize,
}

/// Why nothing can be told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StatusError {
    /// The file is no document, or its `sops` entry is broken.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The document takes more than it may.
    #[error(transparent)]
    TooMuch(#[from] TooMuch),
}

/// Looks at a file; `None` if it is not encrypted.
///
/// # Errors
/// [`StatusError`]
pub fn status(bytes: &[u8], format: Format) -> Result<Option<Status>, StatusError> {
    let document = match format {
        Format::Binary => match binary::read(Wiping::new(bytes.to_vec())) {
            Err(ReadError::Metadata(MetadataError::NotEncrypted)) => return Ok(None),
            document => document?,
        },
        _ => Document::parse(bytes, format).map_err(ReadError::from)?,
    };
    let metadata = match Metadata::read(&document) {
        // A later document may have the entry; without the first one's it is broken.
        Err(MetadataError::NotEncrypted) if !has_metadata(&document) => return Ok(None),
        metadata => metadata.map_err(ReadError::from)?,
    };
    let plan = Plan::new(&document, &metadata.selector, TYPED_COMMENT_ITEMS)?;
    let mut status =
        Status { metadata, encrypted: 0, plain: Vec::new(), plain_count: 0, plain_comments: Vec::new(), unselected: 0 };
    for leaf in &plan.leaves {
        match (leaf.role, leaf.encrypted) {
            _ if is_empty(leaf) => {}
            (Role::Comment, false) => {}
            (Role::Value | Role::CommentItem, false) => status.unselected += 1,
            (Role::Comment, true) if EncryptedValue::parse(leaf.node.comment()).is_some() => {}
            (Role::Comment, true) => add(&mut status.plain_comments, leaf, &document),
            (Role::Value | Role::CommentItem, true) if leaf.node.as_str().and_then(EncryptedValue::parse).is_some() => {
                status.encrypted += usize::from(leaf.role == Role::Value);
            }
            (Role::Value | Role::CommentItem, true) => {
                status.plain_count += 1;
                add(&mut status.plain, leaf, &document);
            }
        }
    }
    Ok(Some(status))
}

fn add(places: &mut Vec<Place>, leaf: &Leaf<'_>, document: &Document) {
    if places.len() < MOST_PLACES {
        places.push(Place::of(leaf.node, document));
    }
}

/// Empty texts and comments are never encrypted.
fn is_empty(leaf: &Leaf<'_>) -> bool {
    match leaf.role {
        Role::Comment => leaf.node.comment().is_empty(),
        Role::Value | Role::CommentItem => leaf.node.as_str() == Some(""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const METADATA: &str = "sops:
    age: [{recipient: age1x, enc: x}]
    lastmodified: '2026-01-02T03:04:05Z'
    version: 3.13.3
    encrypted_regex: ^data$
";

    #[test]
    fn what_is_still_plain_is_named() {
        let enc = "ENC[AES256_GCM,data:YQ==,iv:YQ==,tag:YQ==,type:str]";
        let text = format!(
            "name: x\ndata:\n    # plain\n    #{enc}\n    a: {enc}\n    b: hunter2\n    c: 7\n    d: ''\n    e: null\n    l:\n        - {enc}\n        - y\n{METADATA}"
        );
        let status = status(text.as_bytes(), Format::Yaml).unwrap().unwrap();
        let plain: Vec<_> = status.plain.iter().map(ToString::to_string).collect();
        assert_eq!(
            plain,
            [
                "`[\"data\"][\"b\"]` (line 6, column 5)",
                "`[\"data\"][\"c\"]` (line 7, column 5)",
                "`[\"data\"][\"l\"][1]` (line 12, column 11)"
            ]
        );
        let comments: Vec<_> = status.plain_comments.iter().map(|place| place.path.to_string()).collect();
        assert_eq!(comments, ["[\"data\"]"]);
        assert_eq!((status.encrypted, status.unselected), (2, 1));
        let keys: Vec<_> = status.metadata.keys().map(|key| key.id().to_string()).collect();
        assert_eq!(keys, ["age age1x"]);
    }

    #[test]
    fn a_file_without_metadata_is_not_encrypted_and_one_with_broken_metadata_is_an_error() {
        assert!(status(b"a: 1\n", Format::Yaml).unwrap().is_none());
        assert!(status(b"{\"a\": 1}", Format::Json).unwrap().is_none());
        assert!(status(b"a: 1\nsops: 7\n", Format::Yaml).is_err());
        assert!(status(format!("a: 1\n---\n{METADATA}").as_bytes(), Format::Yaml).is_err());
        assert!(status(b"a: [", Format::Yaml).is_err());
    }

    #[test]
    fn an_expression_in_a_file_neither_grows_nor_searches_without_bound() {
        let with = |expression: &str, keys: usize| {
            let keys = (0..keys).map(|number| format!("service_{number}_password: x\n")).collect::<Vec<_>>().concat();
            format!("{keys}{}", METADATA.replace("^data$", expression))
        };
        for large in [".?".repeat(20_000) + "zz$", "'[\\pL\\pN]{1000}'".to_owned()] {
            let error = status(with(&large, 1).as_bytes(), Format::Yaml).unwrap_err();
            let StatusError::Read(ReadError::Metadata(error @ MetadataError::Selector { .. })) = error else {
                panic!("{error:?}")
            };
            assert_eq!(error.to_string(), "line 2, column 1: the `sops` entry does not say what is encrypted");
        }
        let error = status(with("'(.?){500}\\Bzz'", 10_000).as_bytes(), Format::Yaml).unwrap_err();
        let message = error.to_string();
        assert!(message.starts_with("`encrypted_regex` is no expression that can be searched for"), "{message}");
        assert!(message.contains("given up at `[\"service_"), "{message}");
        // A list of names, and many keys that are not in it.
        let names = (0..500).map(|number| format!("service_{number}_token|")).collect::<Vec<_>>().concat();
        let found = status(with(&format!("^({names}x)$"), 10_000).as_bytes(), Format::Yaml).unwrap().unwrap();
        assert_eq!((found.unselected, found.plain_count), (10_000, 0));
    }
}
