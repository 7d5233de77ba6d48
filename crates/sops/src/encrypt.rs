//! Encrypting a document: a new data key, wrapped for every master key, and every value that the selector names in its place.
//!
//! ```text
//! bytes ─ comments at the end? metadata appended, read again ─ Plan ─ values encrypted in place ─ MAC, metadata ─ bytes
//! ```
//! SOPS reads the file with its metadata in it, and that decides which container the last comments belong to. Where there are such, the
//! metadata goes in first, and the walk that everything goes by sees the document as SOPS will see it.

use bulla_crypto::{DataKey, ValueCipher};
use bulla_doc::{Document, Format, ParseError, Step, Tree};
use bulla_wipe::Wiping;
use rand_core::CryptoRng;

use crate::binary;
use crate::metadata::{FORMAT_VERSION, LastModified, Metadata, NewMetadata, entry_of};
use crate::path::Place;
use crate::seal::{Seal, SealError, Summary};
use crate::selector::Selector;
use crate::walk::{NO_COMMENT_ITEMS, lacks_last_break, last_text};
use crate::wrap::{Groups, WrapKeysError, wrap};

/// How a document is to be encrypted.
#[derive(Debug)]
pub struct Recipe<'a> {
    /// Who can open it, by group. Each key of one group opens it by itself; between several groups the data key is split.
    pub groups: &'a Groups<'a>,
    /// How many of several groups are needed to open it; 0 for all.
    pub threshold: usize,
    /// What is encrypted.
    pub selector: &'a Selector,
    /// Is the MAC to cover encrypted values only? Then others may be edited by hand.
    pub mac_only_encrypted: bool,
    /// What to do when the document has values, and the selector names none of them.
    pub nothing_selected: NothingSelected,
    /// The time of the change.
    pub now: jiff::Timestamp,
}

/// What to do when not a single value would be encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NothingSelected {
    /// Refuse: an encrypted file that holds nothing but plain text is the worst of failures.
    Refuse,
    /// Go on, as SOPS does.
    Allow,
}

/// An encrypted document.
#[derive(Debug)]
#[non_exhaustive]
pub struct Encrypted {
    /// The file.
    pub bytes: Wiping<Vec<u8>>,
    /// What was encrypted, and what was not.
    pub summary: Summary,
}

/// Why a document was not encrypted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncryptError {
    /// It is no document of its format.
    #[error("cannot read the document")]
    Parse(#[from] ParseError),
    /// There is nothing in it.
    #[error("the file is empty: it must hold at least one document")]
    Empty,
    /// It has an entry `sops` at its top.
    #[error("the file is encrypted already: it has an entry `sops` at {0}; to change it, edit it or set values in it")]
    AlreadyEncrypted(Place),
    /// The data key could not be wrapped for all who are to have it.
    #[error(transparent)]
    Keys(#[from] WrapKeysError),
    /// The file would be plain text with a `sops` entry.
    #[error("`{kind}: {text}` selects none of the document's {plain} values: all of it would stay plain text", kind = .selector.kind(), text = .selector.text())]
    NothingSelected {
        /// The rule.
        selector: Box<Selector>,
        /// How many values there are.
        plain: usize,
    },
    /// The values cannot be encrypted.
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// Encrypts `plain` with a new data key.
///
/// Whatever is not encrypted keeps its bytes; decrypting gives `plain` again, byte for byte, but for aliases of what is encrypted:
/// they become copies, as SOPS needs them. `rng` gives the data key and the nonces, none of which is used twice.
///
/// # Errors
/// [`EncryptError`]
pub async fn encrypt(
    plain: &[u8],
    format: Format,
    recipe: &Recipe<'_>,
    rng: &mut (dyn CryptoRng + Send),
) -> Result<Encrypted, EncryptError> {
    encrypt_plain(Wiping::new(plain.to_vec()), (format, None), recipe, None, Vec::new(), rng).await
}

/// Encrypts any bytes as one value. The JSON around it is indented by `indent` blanks; by a tab if nothing is said.
///
/// # Errors
/// [`EncryptError`]
pub async fn encrypt_binary(
    plain: &[u8],
    indent: Option<usize>,
    recipe: &Recipe<'_>,
    rng: &mut (dyn CryptoRng + Send),
) -> Result<Encrypted, EncryptError> {
    // All of it is encrypted, whatever the recipe says.
    let selector = &Selector::default();
    let recipe = Recipe { selector, mac_only_encrypted: false, ..*recipe };
    encrypt_bytes(plain, indent, &recipe, None, Vec::new(), rng).await
}

async fn encrypt_bytes(
    plain: &[u8],
    indent: Option<usize>,
    recipe: &Recipe<'_>,
    before: Option<&Metadata>,
    others: Vec<(String, Tree)>,
    rng: &mut (dyn CryptoRng + Send),
) -> Result<Encrypted, EncryptError> {
    let document = Document::parse(binary::empty(indent).as_bytes(), Format::Json)?;
    let document = binary::with_place(&document, plain)?;
    encrypt_document(document, Some(plain), recipe, before, others, rng).await
}

/// Encrypts a plain file. `before` is the metadata that it had: its version and the dates of its keys stay. `others` are fields that only
/// other programs know. A binary file is wrapped in JSON that is indented by `binary_indent` blanks, or a tab.
pub(crate) async fn encrypt_plain(
    plain: Wiping<Vec<u8>>,
    (format, binary_indent): (Format, Option<usize>),
    recipe: &Recipe<'_>,
    before: Option<&Metadata>,
    others: Vec<(String, Tree)>,
    rng: &mut (dyn CryptoRng + Send),
) -> Result<Encrypted, EncryptError> {
    if format == Format::Binary {
        // One value, all of it encrypted, whatever the recipe says.
        let selector = &Selector::default();
        let recipe = Recipe { selector, mac_only_encrypted: false, ..*recipe };
        return encrypt_bytes(&plain, binary_indent, &recipe, before, others, rng).await;
    }
    encrypt_document(Document::parse_owned(plain, format)?, None, recipe, before, others, rng).await
}

async fn encrypt_document(
    document: Document,
    binary: Option<&[u8]>,
    recipe: &Recipe<'_>,
    before: Option<&Metadata>,
    others: Vec<(String, Tree)>,
    rng: &mut (dyn CryptoRng + Send),
) -> Result<Encrypted, EncryptError> {
    check(&document)?;
    let data_key = DataKey::generate(rng);
    let last_modified = LastModified::from(recipe.now);
    let mut keys = wrap(&data_key, recipe.groups, recipe.threshold, last_modified, rng).await?;
    if let Some(before) = before {
        keys.keep_dates(before);
    }
    let metadata = NewMetadata {
        keys: &keys,
        selector: binary.is_none().then_some(recipe.selector),
        mac_only_encrypted: recipe.mac_only_encrypted,
        last_modified,
        version: before.map_or(FORMAT_VERSION, |before| before.version.as_str()),
        others: &others,
    };
    let seal = Seal {
        cipher: &ValueCipher::new(&data_key),
        selector: recipe.selector,
        mac_only_encrypted: recipe.mac_only_encrypted,
        last_modified,
        is_comment_item: NO_COMMENT_ITEMS,
        before: None,
        new_metadata: Some(&metadata),
        cut_last_break: false,
        binary,
    };
    let (bytes, summary) = seal_new(&seal, document, rng)?;
    if summary.encrypted == 0 && summary.plain > 0 && recipe.nothing_selected == NothingSelected::Refuse {
        let selector = Box::new(recipe.selector.clone());
        return Err(EncryptError::NothingSelected { selector, plain: summary.plain });
    }
    Ok(Encrypted { bytes, summary })
}

/// What stands as `mac` until the values are encrypted.
const NO_MAC_YET: &str = "ENC[]";

/// Encrypts the values of a document that has no metadata yet.
fn seal_new(
    seal: &Seal<'_>,
    document: Document,
    rng: &mut (dyn CryptoRng + Send),
) -> Result<(Wiping<Vec<u8>>, Summary), EncryptError> {
    let ends_in_line = document.format() != Format::Yaml || document.text().ends_with(['\n', '\r']);
    let is_yaml = document.format() == Format::Yaml;
    let Some(metadata) = seal.new_metadata.filter(|_| !ends_in_line || (is_yaml && has_last_comments(&document)))
    else {
        return Ok(seal.apply(&document, rng)?);
    };
    // The metadata behind the last comments decides where they belong, so it must be there before anything is decided.
    let with_metadata =
        bulla_doc::with_metadata(&document, document.format().metadata_key(), &metadata.to_tree(NO_MAC_YET))?;
    let cut_last_break = last_text(&with_metadata).is_some_and(|text| lacks_last_break(&document, text.as_bytes()));
    drop(document);
    Ok(Seal { new_metadata: None, cut_last_break, ..*seal }.apply(&with_metadata, rng)?)
}

/// May there be comments behind the last value of some branch, or on its line? Those before a last value that has no characters go-yaml
/// loses, until something follows.
fn has_last_comments(document: &Document) -> bool {
    document.branches().any(|branch| {
        let (mut is_last, mut is_inline) = (false, false);
        for step in branch.walk() {
            match step {
                Step::Comment(comment) => {
                    is_inline |= comment.is_inline();
                    is_last = true;
                }
                Step::Leaf(leaf) if leaf.spelling().is_empty() => is_last = true,
                // An inline comment stands before its value here, and behind it in the text.
                Step::Enter(_) | Step::Leaf(_) => is_last = std::mem::take(&mut is_inline),
                Step::Leave(_) => {}
            }
        }
        is_last
    })
}

fn check(document: &Document) -> Result<(), EncryptError> {
    if document.branches().len() == 0 {
        return Err(EncryptError::Empty);
    }
    if let Some(entry) = entry_of(document) {
        return Err(EncryptError::AlreadyEncrypted(Place::of(entry, document)));
    }
    Ok(())
}
