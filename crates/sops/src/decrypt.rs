//! Decrypting a file: every value under its path, then the MAC over all of them, and only then anything at all.
//!
//! ```text
//! bytes ─ EncryptedFile ─ data_key ─ open ─ Opened ─ to_plain ─ bytes without `sops`, each value in its place
//! ```
//! Comments are not part of the MAC: SOPS never hashes them when it encrypts, and its 3.13.2, which did when it decrypted, could not
//! read its own files. In a file that was written here, the MAC's nonce covers them (see [`crate::outline`]). In others, a comment that does not decrypt stays as it is, as older versions left them plain; a value that does not is an
//! error. Source: sops 3.13.3 `sops.go` (`Decrypt`), `cmd/sops/common/common.go` (`DecryptTree`).

use std::ops::Range;

use bulla_crypto::{
    Coverage, DataKey, EncryptedValue, Mac, OutlineDigest, SecretBytes, ValueCipher, ValueError, ValueKind,
};
use bulla_doc::{Document, Edits, Format, ParseError, Scalar, Tree, Value};
use bulla_wipe::Wiping;

use crate::binary;
use crate::chunks::{CHUNK, in_chunks};
use crate::file::EncryptedFile;
use crate::keyring::{DataKeyError, KeyRing};
use crate::metadata::MetadataError;
use crate::outline::Outliner;
use crate::path::{MOST_PLACES, Place};
use crate::spelling;
use crate::subtree::tree_of;
use crate::value::{self, MismatchedType, Scratch, UnsupportedValue};
use crate::walk::{Leaf, Plan, Role, TYPED_COMMENT_ITEMS, TooMuch, last_text};

/// Why a file could not be read as an encrypted one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// It is no document of its format.
    #[error("cannot read the document")]
    Parse(#[from] ParseError),
    /// It is not encrypted, or its metadata is broken.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
}

/// Why an encrypted document could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecryptError {
    /// It is not an encrypted document.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The data key could not be had.
    #[error(transparent)]
    DataKey(#[from] DataKeyError),
    /// A value did not open: it was edited, or moved here from another path.
    #[error("cannot decrypt the value at {place}")]
    Value {
        /// Where it is.
        place: Place,
        /// What is wrong with it.
        source: ValueFault,
    },
    /// A value that no encrypted file can hold.
    #[error("the value at {place} is {reason}")]
    Unsupported {
        /// Where it is.
        place: Place,
        /// What it is.
        reason: UnsupportedValue,
    },
    /// The file has no MAC, so nothing tells whether it was changed.
    #[error(
        "the file has no MAC: its `sops` entry lacks `mac`, so nothing tells whether the values are those that were encrypted"
    )]
    MissingMac,
    /// The MAC did not open.
    #[error(
        "cannot decrypt the MAC: `mac` or `lastmodified` of the `sops` entry was changed, or they are from different versions of the file"
    )]
    Mac {
        /// What is wrong with it.
        source: ValueError,
    },
    /// The data key is right, yet a value was added, removed, moved or changed after encryption.
    #[error(
        "MAC mismatch: the document was changed after it was encrypted; a plain value was edited, or values were added, removed or \
         put in another order, by hand or by a merge"
    )]
    MacMismatch,
    /// The values are those that were encrypted, and what stands around them is not.
    #[error(
        "the document was changed after it was encrypted: its values are the same, but a key, a type, a null, something empty, where one \
         value ends and the next begins, or the rule for what is encrypted is not"
    )]
    Structure,
    /// All is as it was but the comments.
    #[error("the comments were changed after the file was encrypted: one is another, moved, new or gone")]
    Comments,
    /// As [`DecryptError::Comments`], and one of them is encrypted and does not open.
    #[error("the comments were changed after the file was encrypted: the one at {place} does not open")]
    Comment {
        /// Where it is.
        place: Place,
    },
    /// It was not a binary file.
    #[error(
        "the file holds no text `data` at its top, so it is no binary file: it was encrypted as JSON, or from another format"
    )]
    NoData,
    /// The document takes more than it may.
    #[error(transparent)]
    TooMuch(#[from] TooMuch),
}

impl From<MetadataError> for DecryptError {
    fn from(error: MetadataError) -> Self {
        Self::Read(error.into())
    }
}

/// What is wrong with an encrypted value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueFault {
    /// It is a number, boolean or date: nobody encrypted it.
    #[error("it is a plain `{0}`, and the file's rule says that it is encrypted")]
    Plain(ValueKind),
    /// The text is not an encrypted one, or does not open.
    #[error(transparent)]
    Cipher(#[from] ValueError),
    /// What was encrypted is not of the type that stands beside it.
    #[error(transparent)]
    Type(#[from] MismatchedType),
    /// A comment stands in the place of a value.
    #[error("a comment was moved into the place of a value, or the type beside the value was changed")]
    Comment,
}

/// Decrypts a file: reads it, unwraps its data key, opens it, and gives the document as it was before it was encrypted.
///
/// # Errors
/// [`DecryptError`]
pub async fn decrypt(bytes: &[u8], format: Format, ring: &dyn KeyRing) -> Result<Wiping<Vec<u8>>, DecryptError> {
    let file = EncryptedFile::read(bytes, format)?;
    let key = file.data_key(ring).await?;
    Ok(file.open(&key)?.to_plain())
}

/// How many leaves are opened before the first of them is hashed.
const BATCH: usize = 16 * CHUNK;

/// A file whose values are decrypted. They are wiped when it is dropped.
pub struct Opened<'e> {
    pub(crate) file: &'e EncryptedFile,
    pub(crate) plan: Plan<'e>,
    pub(crate) cipher: ValueCipher,
    chunks: Vec<Chunk>,
    coverage: Coverage,
}

impl std::fmt::Debug for Opened<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened").field("leaves", &self.plan.leaves.len()).finish_non_exhaustive()
    }
}

/// What became of [`CHUNK`] leaves.
#[derive(Default)]
struct Chunk {
    /// Their texts, one behind the other.
    texts: Wiping<Vec<u8>>,
    outcomes: Vec<Outcome>,
}

/// What became of a leaf. Ranges are those of its chunk's texts.
#[derive(Clone, Copy)]
enum Outcome {
    /// It is as it stands there.
    Plain,
    /// It looks like an encrypted comment, and does not open.
    Unreadable,
    Opened {
        kind: ValueKind,
        text: (u32, u32),
        spelling: Option<(u32, u32)>,
    },
}

impl<'e> Opened<'e> {
    /// Decrypts everything. The inner result is that of the MAC.
    pub(crate) fn decrypt(
        file: &'e EncryptedFile,
        key: &DataKey,
    ) -> Result<(Self, Result<(), DecryptError>), DecryptError> {
        let document = file.document();
        let plan = Plan::new(document, &file.metadata().selector, TYPED_COMMENT_ITEMS)?;
        let cipher = ValueCipher::new(key);
        if file.format() == Format::Binary && binary::data(&plan).is_none() {
            return Err(DecryptError::NoData);
        }
        let mut opened = Self { file, plan, cipher, chunks: Vec::new(), coverage: Coverage::Values };
        let only_encrypted = file.metadata().mac_only_encrypted;
        let mut mac = if only_encrypted { Mac::only_encrypted() } else { Mac::new() };
        let mut outliner = Outliner::new(document, &file.metadata().selector, only_encrypted);
        let mut first = 0;
        for (number, leaves) in opened.plan.leaves.chunks(BATCH).enumerate() {
            let opener = Opener { plan: &opened.plan, cipher: &opened.cipher, format: document.format() };
            let open = || in_chunks(leaves, |_, leaves| opener.open_all(leaves));
            // What was opened is hashed while the next is opened.
            let hash = || opened.hash(first..number * BATCH, &mut mac, &mut outliner);
            let (chunks, hashed) = if number == 0 { (open(), Ok(())) } else { rayon::join(open, hash) };
            let chunks = chunks.into_iter().collect::<Result<Vec<_>, _>>();
            let chunks = chunks
                .map_err(|(leaf, source)| DecryptError::Value { place: Place::of(leaf.node, document), source })?;
            hashed?;
            first = number * BATCH;
            opened.chunks.extend(chunks);
        }
        opened.hash(first..opened.plan.leaves.len(), &mut mac, &mut outliner)?;
        outliner.end(document, &opened.plan.leaves, true);
        let outcome = opened.compare_mac(mac, &outliner.finish());
        let outcome = outcome.map(|coverage| opened.coverage = coverage);
        Ok((opened, outcome))
    }

    /// The document without metadata, every value in its place as it was before it was encrypted.
    pub fn to_plain(&self) -> Wiping<Vec<u8>> {
        if self.file.format() == Format::Binary {
            let data = binary::data(&self.plan).map(|number| self.value(number));
            return Wiping::new(match data {
                Some(Value::String(bytes)) => bytes.into_owned(),
                _ => Vec::new(),
            });
        }
        let mut edits = Edits::new(self.file.document());
        self.restore(&mut edits, false);
        bulla_doc::without_metadata(&mut edits, self.file.document().format().metadata_key());
        self.with_last_break(edits.apply())
    }

    /// Line breaks at the end of a file, behind the metadata, are easily lost or added. If an encrypted block scalar stands last now, they
    /// are part of its value: then there are as many as it was encrypted with. (Those of a plain one are part of the outline.)
    fn with_last_break(&self, plain: Wiping<Vec<u8>>) -> Wiping<Vec<u8>> {
        let last = self.plan.leaves.iter().rposition(|leaf| leaf.role == Role::Value);
        let Some((last, (_, text))) = last.and_then(|last| Some((last, self.opened(last)?))) else { return plain };
        let is_block = self.plan.leaves[last].node.spelling().starts_with(['|', '>']);
        if self.file.document().format() != Format::Yaml || (!is_block && plain.ends_with(b"\n")) {
            return plain;
        }
        let is_whole = |plain: &[u8]| {
            let document = Document::parse(plain, Format::Yaml).ok();
            document.as_ref().and_then(last_text).map(str::as_bytes) == Some(text)
        };
        if is_whole(&plain) {
            return plain;
        }
        let without_breaks = |text: &[u8]| text.len() - text.iter().rev().take_while(|&&byte| byte == b'\n').count();
        let breaks = text.len() - without_breaks(text);
        let mut whole = Wiping::new(Vec::with_capacity(plain.len() + breaks));
        whole.extend_from_slice(&plain[..without_breaks(&plain)]);
        whole.extend(std::iter::repeat_n(b'\n', breaks));
        if is_whole(&whole) { whole } else { plain }
    }

    /// Comments that look encrypted and do not open: moved here from another place, or damaged. They stay as they are. The first
    /// hundred.
    pub fn unreadable_comments(&self) -> Vec<Place> {
        let leaves = self.plan.leaves.iter().enumerate();
        let unreadable = leaves.filter(|(number, _)| matches!(self.outcome(*number), Outcome::Unreadable));
        unreadable.take(MOST_PLACES).map(|(_, leaf)| Place::of(leaf.node, self.file.document())).collect()
    }

    /// Puts every value back in its place. With `keep_items`, comments that are items of lists stay encrypted items.
    pub(crate) fn restore<'o>(&'o self, edits: &mut Edits<'o>, keep_items: bool) {
        for (number, leaf) in self.plan.leaves.iter().enumerate() {
            let Outcome::Opened { spelling, .. } = self.outcome(number) else { continue };
            if leaf.node.is_expanded() || leaf.node.is_alias() {
                continue;
            }
            match leaf.role {
                Role::Comment => match spelling {
                    Some(range) => edits.set_comment_spelling(leaf.node, self.spelling(number, range)),
                    None => edits.set_comment(leaf.node, std::str::from_utf8(self.text(number)).unwrap_or_default()),
                },
                Role::CommentItem if keep_items => {}
                Role::CommentItem => {
                    let text = std::str::from_utf8(self.text(number)).unwrap_or_default();
                    // It fails in an alias only, and what lies there was passed over.
                    let _ = edits.set_item_comment(leaf.node, text);
                }
                Role::Value => match spelling {
                    Some(range) if self.ends_as_spelt(number, range) => {
                        edits.set_spelling(leaf.node, self.spelling(number, range));
                    }
                    _ => edits.restore_value(leaf.node, &self.value(number)),
                },
            }
        }
        for alias in &self.plan.aliases {
            if self.plan.is_alias_different(alias) {
                edits.set_tree(alias.node, &self.tree_of(alias.node));
            }
        }
    }

    /// Are there as many empty lines behind the value as when it was encrypted? To a block that keeps them (`|+`) they belong.
    fn ends_as_spelt(&self, number: usize, spelling: (u32, u32)) -> bool {
        let node = self.plan.leaves[number].node;
        let header = self.spelling(number, spelling).lines().next().unwrap_or_default();
        if !(header.starts_with(['|', '>']) && header.contains('+') && node.spelling().starts_with(['|', '>'])) {
            return true;
        }
        let breaks = |text: &[u8]| text.iter().rev().take_while(|&&byte| byte == b'\n').count();
        let (was, is) = (breaks(self.text(number)), node.as_str().map(str::as_bytes).map_or(0, breaks));
        // The line break that the file's end does not have was the metadata's, and goes with it.
        was == is || (was + 1 == is && !self.file.document().text().ends_with('\n'))
    }

    fn tree_of(&self, node: bulla_doc::Node<'e>) -> Tree {
        tree_of(node, &self.plan, &mut |number| Some(Tree::Scalar(Scalar::from(&self.value(number)))), None)
    }

    fn outcome(&self, number: usize) -> Outcome {
        self.chunks[number / CHUNK].outcomes[number % CHUNK]
    }

    /// The value of a leaf, decrypted where it was encrypted.
    pub(crate) fn value(&self, number: usize) -> Value<'_> {
        match self.outcome(number) {
            // That it reads was seen when it was opened.
            Outcome::Opened { kind, .. } => value::read(kind, self.text(number)).unwrap_or(Value::Null),
            Outcome::Plain | Outcome::Unreadable => self.plan.leaves[number].node.value(),
        }
    }

    /// The type and decrypted text of a leaf that was encrypted.
    pub(crate) fn opened(&self, number: usize) -> Option<(ValueKind, &[u8])> {
        match self.outcome(number) {
            Outcome::Opened { kind, .. } => Some((kind, self.text(number))),
            Outcome::Plain | Outcome::Unreadable => None,
        }
    }

    fn text(&self, number: usize) -> &[u8] {
        match self.outcome(number) {
            Outcome::Opened { text: (start, end), .. } => {
                &self.chunks[number / CHUNK].texts[start as usize..end as usize]
            }
            Outcome::Plain | Outcome::Unreadable => &[],
        }
    }

    fn spelling(&self, number: usize, (start, end): (u32, u32)) -> &str {
        std::str::from_utf8(&self.chunks[number / CHUNK].texts[start as usize..end as usize]).unwrap_or_default()
    }

    /// What the MAC covers, if it matched.
    pub fn coverage(&self) -> Coverage {
        self.coverage
    }

    /// Is everything as it was, as far as the MAC covers it?
    pub(crate) fn check_coverage(&self) -> Result<(), DecryptError> {
        match self.coverage {
            Coverage::Values | Coverage::Whole => Ok(()),
            Coverage::OtherValues => Err(DecryptError::Structure),
            Coverage::OtherComments => Err(match self.unreadable_comments().into_iter().next() {
                Some(place) => DecryptError::Comment { place },
                None => DecryptError::Comments,
            }),
        }
    }

    /// Adds `leaves` to the MAC, and what it leaves out of them to the outline.
    fn hash(&self, leaves: Range<usize>, mac: &mut Mac, outliner: &mut Outliner<'e>) -> Result<(), DecryptError> {
        let only_encrypted = self.file.metadata().mac_only_encrypted;
        let mut scratch = Scratch::default();
        for number in leaves {
            let leaf = &self.plan.leaves[number];
            if only_encrypted && !leaf.encrypted {
                continue;
            }
            if leaf.role != Role::Value {
                let text = self.opened(number).map_or(leaf.text().unwrap_or_default().as_bytes(), |(_, text)| text);
                outliner.comment(leaf, text);
                continue;
            }
            let value = self.value(number);
            let text = value::text(&value, &mut scratch).map_err(|reason| {
                let place = Place::of(leaf.node, self.file.document());
                DecryptError::Unsupported { place, reason }
            })?;
            mac.update(text);
            outliner.value(leaf, value::kind(&value).unwrap_or(ValueKind::Str), text.len());
        }
        Ok(())
    }

    fn compare_mac(&self, mac: Mac, outline: &OutlineDigest) -> Result<Coverage, DecryptError> {
        let metadata = self.file.metadata();
        let stored = metadata.mac.as_deref().ok_or(DecryptError::MissingMac)?;
        let date = metadata.last_modified.additional_data();
        let unreadable = |source| DecryptError::Mac { source };
        let stored = EncryptedValue::try_from(stored).map_err(unreadable)?;
        let (opened, _) = self.cipher.decrypt(&stored, date.as_bytes()).map_err(unreadable)?;
        if !mac.finish().matches(opened.expose_secret()) {
            return Err(DecryptError::MacMismatch);
        }
        Ok(self.cipher.coverage(&stored, outline, opened.expose_secret(), date.as_bytes()))
    }
}

/// Opens leaves, chunk by chunk.
struct Opener<'a, 'e> {
    plan: &'a Plan<'e>,
    cipher: &'a ValueCipher,
    format: Format,
}

impl<'e> Opener<'_, 'e> {
    fn open_all(&self, leaves: &[Leaf<'e>]) -> Result<Chunk, (Leaf<'e>, ValueFault)> {
        let mut chunk = Chunk::default();
        let (mut path, mut plaintext) = (Vec::new(), SecretBytes::default());
        for leaf in leaves {
            let outcome = if leaf.encrypted {
                self.plan.path_of(leaf, &mut path);
                self.open_one(leaf, &path, &mut plaintext, &mut chunk.texts).map_err(|fault| (*leaf, fault))?
            } else {
                Outcome::Plain
            };
            chunk.outcomes.push(outcome);
        }
        Ok(chunk)
    }

    fn open_one(
        &self,
        leaf: &Leaf<'e>,
        path: &[u8],
        plaintext: &mut SecretBytes,
        texts: &mut Wiping<Vec<u8>>,
    ) -> Result<Outcome, ValueFault> {
        if leaf.role == Role::Comment {
            let Some(value) = EncryptedValue::parse(leaf.node.comment()) else { return Ok(Outcome::Plain) };
            // Another comment below it would be lost with it.
            let is_whole = !value.rest.contains('\n');
            return Ok(match self.cipher.decrypt_into(&value, path, plaintext) {
                Ok(_) if is_whole && is_comment(plaintext.expose_secret(), self.format) => {
                    let spelling = spelling::open(self.cipher, value.rest, path);
                    let text = append(texts, plaintext.expose_secret());
                    let read = std::str::from_utf8(plaintext.expose_secret()).unwrap_or_default();
                    let spelling = spelling.filter(|spelling| {
                        let spelling = std::str::from_utf8(spelling.expose_secret());
                        self.format == Format::Ini
                            && spelling.is_ok_and(|spelling| bulla_doc::comment_reads(spelling, read))
                    });
                    let spelling = spelling.map(|spelling| append(texts, spelling.expose_secret()));
                    Outcome::Opened { kind: ValueKind::Comment, text, spelling }
                }
                _ => Outcome::Unreadable,
            });
        }
        let Some(text) = leaf.text() else {
            let value = leaf.node.value();
            return match value {
                // Bytes that are no text, in base64: nothing that was encrypted looks so.
                Value::String(_) => Err(ValueError::NotEncrypted.into()),
                _ => Err(ValueFault::Plain(value::kind(&value).unwrap_or(ValueKind::Str))),
            };
        };
        if leaf.node.as_str() == Some("") {
            return Ok(Outcome::Plain);
        }
        let value = EncryptedValue::try_from(text)?;
        let kind = self.cipher.decrypt_into(&value, path, plaintext)?;
        if leaf.role == Role::CommentItem {
            if !is_comment(plaintext.expose_secret(), self.format) {
                return Err(ValueFault::Comment);
            }
        } else if kind == ValueKind::Comment {
            return Err(ValueFault::Comment);
        }
        let read = value::read(kind, plaintext.expose_secret())?;
        let spelling = spelling::open(self.cipher, value.rest, path).filter(|spelling| {
            let spelling = std::str::from_utf8(spelling.expose_secret());
            spelling.is_ok_and(|spelling| bulla_doc::reads_as(spelling, &read, self.format))
        });
        let text = append(texts, plaintext.expose_secret());
        let spelling = spelling.map(|spelling| append(texts, spelling.expose_secret()));
        Ok(Outcome::Opened { kind, text, spelling })
    }
}

/// Appends `bytes`, and wipes the old room where a larger one is taken.
fn append(texts: &mut Wiping<Vec<u8>>, bytes: &[u8]) -> (u32, u32) {
    if texts.capacity() - texts.len() < bytes.len() {
        let mut larger = Vec::with_capacity((2 * texts.len() + bytes.len()).max(CHUNK * 16));
        larger.extend_from_slice(texts);
        *texts = Wiping::new(larger);
    }
    let start = texts.len() as u32;
    texts.extend_from_slice(bytes);
    (start, texts.len() as u32)
}

/// Can this text stand behind a `#`? What cannot was never a comment. A comment of INI may have several lines.
fn is_comment(text: &[u8], format: Format) -> bool {
    let breaks: &[char] = match format {
        Format::Ini => &[],
        Format::Dotenv => &['\n'],
        Format::Yaml | Format::Json | Format::Binary => &['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'],
    };
    std::str::from_utf8(text).is_ok_and(|text| !text.contains(breaks))
}
