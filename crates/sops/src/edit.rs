//! Changing an encrypted file in its place, with the data key that it has: values set, inserted, removed, or a whole text from an
//! editor. Whatever did not change keeps its bytes; MAC and date are new.
//!
//! ```text
//! Opened ─ values restored, metadata kept ─ change ─┐
//!                                                   ├─ seal: old ciphertext where value and path are the same ─ bytes
//! plain text from an editor ─ old metadata appended ─┘
//! ```
//! Comments that SOPS left as items of a list stay so under a change, and become comments in an edited text. The `version` stays, as
//! it does under `sops set`; only the two fields of the metadata that must change do.

use std::fmt;

use bulla_crypto::ValueKind;
use bulla_doc::{DEPTH_LIMIT, Document, EditError as RemoveError, Edits, Format, Kind, Node, ParseError, Scalar, Tree};
use bulla_wipe::Wiping;
use rand_core::CryptoRng;

use crate::before::Before;
use crate::binary;
use crate::decrypt::Opened;
use crate::metadata::{LastModified, entry_of};
use crate::path::{Found, KeyPath, PathStep, Place, is_item};
use crate::seal::{Seal, SealError, Summary};
use crate::value::{self, MismatchedType};
use crate::walk::{IsCommentItem, NO_COMMENT_ITEMS, lacks_last_break, last_text};

/// A change of one place.
#[derive(Debug)]
pub enum Change {
    /// Sets what is at the path. Keys on the way that do not exist are made, and an index may be that behind the last item.
    Set {
        /// Where.
        path: KeyPath,
        /// To what.
        value: NewValue,
    },
    /// Adds an entry whose key is new, or an item before the one that has the index now.
    Insert {
        /// Where it will be.
        path: KeyPath,
        /// What it is.
        value: Tree,
    },
    /// Removes what is at the path.
    Remove {
        /// Where.
        path: KeyPath,
    },
}

/// What a value is set to. `Debug` shows no text.
pub enum NewValue {
    /// A value of its own type, or a container.
    Tree(Tree),
    /// A text for a value of the type that is there now, in SOPS' spelling: `42`, `true`, a date. A string where nothing is there.
    Text(Wiping<String>),
}

impl fmt::Debug for NewValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tree(tree) => f.debug_tuple("Tree").field(tree).finish(),
            Self::Text(_) => f.write_str("Text(..)"),
        }
    }
}

/// A file that was edited.
#[derive(Debug)]
#[non_exhaustive]
pub struct Edited {
    /// The file.
    pub bytes: Wiping<Vec<u8>>,
    /// What is encrypted now; `None` if nothing changed, and the bytes are those that were there.
    pub summary: Option<Summary>,
}

/// Why a file could not be edited.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// There is nothing at the path.
    #[error("there is nothing at `{path}`")]
    NotFound {
        /// The path as far as it does not exist.
        path: KeyPath,
    },
    /// There is something at the path.
    #[error("there is something at {0} already")]
    Exists(Place),
    /// The path goes into something that is not what its next step needs.
    #[error("{place} is {found}, so nothing can be found {wanted} in it")]
    NotAContainer {
        /// Where.
        place: Place,
        /// What is there.
        found: &'static str,
        /// What the step would need.
        wanted: &'static str,
    },
    /// The index is beyond the place behind the last item.
    #[error("the list at {place} has {length} items")]
    OutOfRange {
        /// Where.
        place: Place,
        /// How many items it has.
        length: usize,
    },
    /// The path leads to the metadata, or to the whole document.
    #[error("`{path}` is not a value of the document")]
    Reserved {
        /// The path.
        path: KeyPath,
    },
    /// It lies in what an alias stands for.
    #[error("{0} lies in an alias: change what the alias stands for, or replace the alias as a whole")]
    InAlias(Place),
    /// The text is none of the type that is there.
    #[error("the value at {place} is of another type than the text")]
    Type {
        /// Where.
        place: Place,
        /// The type.
        source: MismatchedType,
    },
    /// It cannot be removed from the text.
    #[error("cannot remove {place}")]
    Remove {
        /// Where.
        place: Place,
        /// Why.
        source: RemoveError,
    },
    /// The format has no way to write it.
    #[error("cannot write `{path}`")]
    Unwritable {
        /// Where it was to be.
        path: KeyPath,
        /// Why.
        source: RemoveError,
    },
    /// The edited text is no document.
    #[error("cannot read the edited document")]
    Parse(#[from] ParseError),
    /// The edited text is empty.
    #[error("the edited document is empty")]
    Empty,
    /// The edited text has an entry `sops` at its top.
    #[error("the edited document has an entry `sops` at {0}, where the metadata goes")]
    Metadata(Place),
    /// The values cannot be encrypted.
    #[error(transparent)]
    Seal(#[from] SealError),
}

impl Opened<'_> {
    /// Makes `changes`, one after the other.
    ///
    /// # Errors
    /// [`EditError`]
    pub fn change(
        &self,
        changes: Vec<Change>,
        now: jiff::Timestamp,
        rng: &mut (dyn CryptoRng + Send),
    ) -> Result<Edited, EditError> {
        if self.file.format() == Format::Binary {
            return self.change_binary(changes, now, rng);
        }
        let start = self.restored()?;
        let mut changed = None;
        for change in changes {
            let bytes = change.apply(changed.as_ref().unwrap_or(&start))?;
            changed = Some(Document::parse(&bytes, start.format())?);
        }
        let Some(document) = changed.filter(|changed| changed.text() != start.text()) else {
            return Ok(self.unchanged());
        };
        // The last value is what it was, whatever comes to stand last.
        let cut_last_break = loses_last_break(&start) && last_text(&start) == last_text(&document);
        let before = Before::new(self);
        self.seal(&document, None, &before, &|text| before.is_comment_item(text), cut_last_break, now, rng)
    }

    /// Seals the document as it is once more: nothing but the date and the MAC is new.
    ///
    /// # Errors
    /// [`EditError`]
    pub fn renew(&self, now: jiff::Timestamp, rng: &mut (dyn CryptoRng + Send)) -> Result<Edited, EditError> {
        let before = Before::new(self);
        if self.file.format() == Format::Binary {
            let plain = self.to_plain();
            let document = binary::with_place(self.file.document(), &plain)?;
            return self.seal(&document, Some(&plain), &before, NO_COMMENT_ITEMS, false, now, rng);
        }
        let document = self.restored()?;
        self.seal(&document, None, &before, &|text| before.is_comment_item(text), loses_last_break(&document), now, rng)
    }

    /// The document with its values decrypted and its metadata in it.
    fn restored(&self) -> Result<Document, EditError> {
        let mut edits = Edits::new(self.file.document());
        self.restore(&mut edits, true);
        Ok(Document::parse(&edits.apply(), self.file.document().format())?)
    }

    /// Encrypts `plain`, the decrypted document as somebody edited it. What did not change keeps its ciphertext.
    ///
    /// # Errors
    /// [`EditError`]
    pub fn update(
        &self,
        plain: &[u8],
        now: jiff::Timestamp,
        rng: &mut (dyn CryptoRng + Send),
    ) -> Result<Edited, EditError> {
        if *self.to_plain() == *plain {
            return Ok(self.unchanged());
        }
        if self.file.format() == Format::Binary {
            let document = binary::with_place(self.file.document(), plain)?;
            return self.seal(&document, Some(plain), &Before::new(self), NO_COMMENT_ITEMS, false, now, rng);
        }
        let document = Document::parse(plain, self.file.document().format())?;
        if document.branches().len() == 0 {
            return Err(EditError::Empty);
        }
        if let Some(entry) = entry_of(&document) {
            return Err(EditError::Metadata(Place::of(entry, &document)));
        }
        let document = bulla_doc::with_metadata_of(&document, self.file.document(), document.format().metadata_key())?;
        let cut_last_break = loses_last_break(&document);
        self.seal(&document, None, &Before::new(self), NO_COMMENT_ITEMS, cut_last_break, now, rng)
    }

    /// The one value can be set, and nothing else.
    fn change_binary(
        &self,
        changes: Vec<Change>,
        now: jiff::Timestamp,
        rng: &mut (dyn CryptoRng + Send),
    ) -> Result<Edited, EditError> {
        let mut plain = None;
        for change in changes {
            plain = Some(match change {
                Change::Set { path, value } if path == binary::path() => match value {
                    NewValue::Text(text) => text.into_bytes(),
                    NewValue::Tree(Tree::Scalar(Scalar::String(bytes))) => bytes,
                    NewValue::Tree(_) => return Err(binary::refused(path)),
                },
                Change::Set { path, .. } | Change::Insert { path, .. } | Change::Remove { path } => {
                    return Err(binary::refused(path));
                }
            });
        }
        match plain {
            Some(plain) => self.update(&plain, now, rng),
            None => Ok(self.unchanged()),
        }
    }

    fn unchanged(&self) -> Edited {
        Edited { bytes: self.file.document().to_bytes(), summary: None }
    }

    #[expect(clippy::too_many_arguments, reason = "they are what a change and an edited text differ in")]
    fn seal(
        &self,
        document: &Document,
        binary: Option<&[u8]>,
        before: &Before<'_>,
        is_comment_item: IsCommentItem<'_>,
        cut_last_break: bool,
        now: jiff::Timestamp,
        rng: &mut (dyn CryptoRng + Send),
    ) -> Result<Edited, EditError> {
        let metadata = self.file.metadata();
        let seal = Seal {
            cipher: &self.cipher,
            selector: &metadata.selector,
            mac_only_encrypted: metadata.mac_only_encrypted,
            last_modified: LastModified::from(now),
            is_comment_item,
            before: Some(before),
            new_metadata: None,
            cut_last_break,
            binary,
        };
        let (bytes, summary) = seal.apply(document, rng)?;
        Ok(Edited { bytes, summary: Some(summary) })
    }
}

/// Does the last value lose a line break when the metadata behind it is taken away? Only in a file that ends without one.
fn loses_last_break(document: &Document) -> bool {
    if document.format() != Format::Yaml || document.text().ends_with(['\n', '\r']) {
        return false;
    }
    let Some(text) = last_text(document) else { return false };
    let mut edits = Edits::new(document);
    bulla_doc::without_metadata(&mut edits, document.format().metadata_key());
    let plain = Document::parse(&edits.apply(), document.format());
    plain.is_ok_and(|plain| lacks_last_break(&plain, text.as_bytes()))
}

impl Change {
    /// The document with this change, still plain.
    fn apply(self, document: &Document) -> Result<Wiping<Vec<u8>>, EditError> {
        let (Self::Set { path, .. } | Self::Insert { path, .. } | Self::Remove { path }) = &self;
        if !matches!(path.steps.first(), Some(PathStep::Key(key)) if !is_reserved(key, document.format())) {
            return Err(EditError::Reserved { path: path.clone() });
        }
        let mut edits = Edits::new(document);
        let found = path.find(document);
        let levels = match &self {
            Self::Set { value: NewValue::Tree(value), .. } | Self::Insert { value, .. } => value.depth(),
            Self::Set { .. } | Self::Remove { .. } => 0,
        };
        // What is there may be deeper. But what is made anew is indented by its depth.
        let is_made = levels > 0 || (found.is_err() && !matches!(self, Self::Remove { .. }));
        if is_made && path.steps.len() + levels > DEPTH_LIMIT {
            return Err(EditError::Unwritable { path: path.clone(), source: RemoveError::Depth });
        }
        match self {
            Self::Set { path, value } => match found {
                Ok(node) => set(&mut edits, document, node, value)?,
                Err(found) => make(&mut edits, document, &path, found, value.into_tree())?,
            },
            Self::Insert { path, value } => match found {
                Ok(node) => insert(&mut edits, document, node, &value)?,
                Err(found) if found.steps + 1 < path.steps.len() => return Err(not_found(path, found)),
                Err(found) => make(&mut edits, document, &path, found, value)?,
            },
            Self::Remove { path } => {
                let node = found.map_err(|found| not_found(path, found))?;
                edits.remove(node).map_err(|source| EditError::Remove { place: Place::of(node, document), source })?;
            }
        }
        Ok(edits.apply())
    }
}

/// Is this a key of the metadata?
fn is_reserved(key: &str, format: Format) -> bool {
    key == format.metadata_key() || (format == Format::Dotenv && key.starts_with(format.metadata_key()))
}

impl NewValue {
    /// The value where nothing is there yet.
    fn into_tree(self) -> Tree {
        match self {
            Self::Tree(tree) => tree,
            Self::Text(text) => Tree::string(&text),
        }
    }
}

fn not_found(mut path: KeyPath, found: Found<'_>) -> EditError {
    path.steps.truncate(found.steps + 1);
    EditError::NotFound { path }
}

/// Gives what is there another value.
fn set<'d>(edits: &mut Edits<'d>, document: &'d Document, node: Node<'d>, value: NewValue) -> Result<(), EditError> {
    if node.is_expanded() {
        return Err(EditError::InAlias(Place::of(node, document)));
    }
    let tree = match value {
        NewValue::Tree(tree) => tree,
        NewValue::Text(text) => {
            let kind = value::kind(&node.value()).unwrap_or(ValueKind::Str);
            let value = value::read(kind, text.as_bytes());
            let value = value.map_err(|source| EditError::Type { place: Place::of(node, document), source })?;
            Tree::Scalar(Scalar::from(&value))
        }
    };
    let container = node.parent().unwrap_or(node);
    accept(edits, document, container, node.key(), &tree)?;
    match &tree {
        Tree::Scalar(scalar) if node.kind() == Kind::Scalar && !node.is_alias() => {
            if node.value() != scalar.as_value() {
                edits.set_value(node, &scalar.as_value());
            }
        }
        _ => edits.set_tree(node, &tree),
    }
    Ok(())
}

/// Sees that the file can hold `tree` in `container`.
fn accept(
    edits: &Edits<'_>,
    document: &Document,
    container: Node<'_>,
    key: Option<&str>,
    tree: &Tree,
) -> Result<(), EditError> {
    edits.accepts(container, key, tree).map_err(|source| {
        let mut path = KeyPath::of(container, document);
        path.steps.extend(key.map(|key| PathStep::Key(key.to_owned())));
        EditError::Unwritable { path, source }
    })
}

/// The containers that `steps` lead into, with `tree` in the innermost.
fn tree_at(steps: &[PathStep], tree: Tree) -> Tree {
    steps.iter().rev().fold(tree, |tree, step| match step {
        PathStep::Key(key) => Tree::mapping([(key.as_str(), tree)]),
        PathStep::Index(_) => Tree::sequence([tree]),
    })
}

/// Puts an item before another one.
fn insert<'d>(edits: &mut Edits<'d>, document: &'d Document, node: Node<'d>, tree: &Tree) -> Result<(), EditError> {
    if node.key().is_some() {
        return Err(EditError::Exists(Place::of(node, document)));
    }
    if node.is_expanded() {
        return Err(EditError::InAlias(Place::of(node, document)));
    }
    edits.insert_before(node, None, tree);
    Ok(())
}

/// Makes what does not exist yet: the rest of the path with `tree` at its end.
fn make<'d>(
    edits: &mut Edits<'d>,
    document: &'d Document,
    path: &KeyPath,
    found: Found<'d>,
    tree: Tree,
) -> Result<(), EditError> {
    let Some((node, (first, rest))) = found.node.zip(path.steps[found.steps..].split_first()) else {
        return Err(not_found(path.clone(), found));
    };
    let tree = tree_at(rest, tree);
    let place = || Place::of(node, document);
    if let PathStep::Key(key) = first
        && node.kind() == Kind::Mapping
    {
        accept(edits, document, node, Some(key), &tree)?;
    }
    if node.is_expanded() || node.is_alias() {
        return Err(EditError::InAlias(place()));
    }
    match (node.kind(), first) {
        // New values come before the metadata, wherever that is.
        (Kind::Mapping, PathStep::Key(key)) => {
            match node.get(document.format().metadata_key()).filter(|_| node.parent().is_none()) {
                Some(metadata) => edits.insert_before(metadata, Some(key), &tree),
                None => edits.append(node, key, &tree),
            }
        }
        (Kind::Sequence, PathStep::Index(index)) => {
            let length = node.children().filter(|item| is_item(*item)).count();
            if *index > length {
                return Err(EditError::OutOfRange { place: place(), length });
            }
            edits.append_item(node, &tree);
        }
        (kind, step) => {
            let found = match kind {
                Kind::Mapping => "a mapping",
                Kind::Sequence => "a list",
                Kind::Scalar | Kind::Comment => "a single value",
            };
            let wanted = if matches!(step, PathStep::Key(_)) { "by a key" } else { "by an index" };
            return Err(EditError::NotAContainer { place: place(), found, wanted });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_anew_is_not_deeper_than_the_limit() {
        let tree = |levels: usize| (0..levels).fold(Tree::string("x"), |tree, _| Tree::mapping([("k", tree)]));
        let path = |levels: usize| KeyPath { branch: 0, steps: vec![PathStep::Key("a".to_owned()); levels] };
        for (format, text) in [(Format::Yaml, "a:\n    b: 1\n"), (Format::Json, "{\"a\": {\"b\": 1}}")] {
            let document = Document::parse(text.as_bytes(), format).unwrap();
            for (steps, levels, fits) in [(1, 999, true), (1, 1_000, false), (500, 501, false), (1_001, 0, false)] {
                let change = Change::Set { path: path(steps), value: NewValue::Tree(tree(levels)) };
                let applied = change.apply(&document);
                let is_refused = matches!(applied, Err(EditError::Unwritable { source: RemoveError::Depth, .. }));
                assert_eq!((applied.is_ok(), is_refused), (fits, !fits), "{format:?} {steps} {levels}");
            }
        }
    }
}
