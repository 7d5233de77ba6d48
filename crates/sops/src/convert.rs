//! From one format to another: a document as trees, decrypted or plain, printed as SOPS prints the other format.
//!
//! ```text
//! Opened ─ trees ─ emit ─▶ plain document of another format         (the MAC was checked when it was opened)
//! plain document ─ convert ─▶ plain document of another format ─ encrypt ─▶ encrypted document of that format
//! ```
//! What is encrypted in another format is read again first: where the other format would give back another text, such as a backslash and an
//! `n` in dotenv, it is refused.

use bulla_doc::{Document, Format, Item, Layout, Node, ParseError, Scalar, Tree, Value, WriteError};
use bulla_wipe::Wiping;

use crate::decrypt::Opened;
use crate::path::{KeyPath, Place};
use crate::selector::Selector;
use crate::subtree::{Comments, is_too_deep, tree_of};
use crate::walk::{NO_COMMENT_ITEMS, Plan, Role, TooMuch};

/// Why a document could not be converted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// It is no document of its format.
    #[error("cannot read the document")]
    Parse(#[from] ParseError),
    /// The other format has no room for it.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// It would be read back as something else.
    #[error("the value at {place} would be read back from {format} as another: there is no way to write it")]
    Changed {
        /// Where it is.
        place: Place,
        /// The other format.
        format: Format,
    },
    /// It nests too deeply.
    #[error("the document nests deeper than 1,000 levels, which cannot be printed anew")]
    TooDeep,
    /// The document takes more than it may.
    #[error(transparent)]
    TooMuch(#[from] TooMuch),
}

/// A plain document of format `from` as one of format `to`, as SOPS prints it.
///
/// Comments stay where the other format has room for them. Printing the same format anew gives another layout.
///
/// # Errors
/// [`ConvertError`]
pub fn convert(plain: &[u8], from: Format, to: Format, layout: &Layout) -> Result<Wiping<Vec<u8>>, ConvertError> {
    let document = Document::parse(plain, from)?;
    let converted = bulla_doc::emit(&trees_of(&document)?, to, layout)?;
    check(&document, &Document::parse(&converted, to)?)?;
    Ok(converted)
}

impl Opened<'_> {
    /// The document decrypted, as one of format `to`, as SOPS prints it.
    ///
    /// # Errors
    /// [`ConvertError`]
    pub fn emit(&self, to: Format, layout: &Layout) -> Result<Wiping<Vec<u8>>, ConvertError> {
        Ok(bulla_doc::emit(&self.trees()?, to, layout)?)
    }

    /// What is at `path` by itself, as `--extract` prints it in format `to`; `None` if there is nothing.
    ///
    /// # Errors
    /// [`ConvertError`]
    pub fn emit_part(
        &self,
        path: &KeyPath,
        to: Format,
        layout: &Layout,
    ) -> Result<Option<Wiping<Vec<u8>>>, ConvertError> {
        let Ok(node) = path.find(self.file.document()) else { return Ok(None) };
        let tree =
            tree_with_comments(node, &self.plan, &mut |number| self.value(number), &|number| self.comment(number))?;
        Ok(Some(bulla_doc::emit_value(&tree, to, layout)?))
    }

    /// Every document of the file, decrypted, with its comments, and without the metadata.
    ///
    /// # Errors
    /// [`ConvertError::TooDeep`]
    pub fn trees(&self) -> Result<Vec<Tree>, ConvertError> {
        let document = self.file.document();
        let metadata = document.format().metadata_key();
        let trees = document.branches().map(|branch| {
            let mut tree = tree_with_comments(branch, &self.plan, &mut |number| self.value(number), &|number| {
                self.comment(number)
            })?;
            if let Tree::Mapping(items) = &mut tree {
                items.retain(|item| !matches!(item, Item::Entry { key, .. } if key == metadata));
            }
            Ok(tree)
        });
        trees.collect()
    }

    /// The text of a comment, and whether it still is on the line of a value: SOPS forgets that of those that it decrypts.
    fn comment(&self, number: usize) -> (String, bool) {
        let leaf = &self.plan.leaves[number];
        match self.opened(number) {
            Some((_, text)) => (String::from_utf8_lossy(text).into_owned(), false),
            None => (leaf.text().unwrap_or_default().to_owned(), leaf.node.is_inline()),
        }
    }
}

/// The documents of a plain file.
fn trees_of(document: &Document) -> Result<Vec<Tree>, ConvertError> {
    let plan = Plan::new(document, &Selector::default(), NO_COMMENT_ITEMS)?;
    let comment = |number: usize| {
        let leaf = &plan.leaves[number];
        (leaf.node.comment().to_owned(), leaf.node.is_inline())
    };
    let trees = document
        .branches()
        .map(|branch| tree_with_comments(branch, &plan, &mut |number| plan.leaves[number].node.value(), &comment));
    trees.collect()
}

/// The content of `node` with its comments. `value` and `comment` say what a leaf is, by its number in `plan`.
fn tree_with_comments<'d, 'v>(
    node: Node<'d>,
    plan: &Plan<'d>,
    value: &mut dyn FnMut(usize) -> Value<'v>,
    comment: &Comments<'_>,
) -> Result<Tree, ConvertError> {
    if is_too_deep(node) {
        return Err(ConvertError::TooDeep);
    }
    Ok(tree_of(node, plan, &mut |number| Some(Tree::Scalar(Scalar::from(&value(number)))), Some(comment)))
}

/// Sees that every value of `document` is read back from `converted`.
fn check(document: &Document, converted: &Document) -> Result<(), ConvertError> {
    let format = converted.format();
    let leaves = |document| Plan::new(document, &Selector::default(), NO_COMMENT_ITEMS);
    let (before, after) = (leaves(document)?, leaves(converted)?);
    let values = |leaf: &&crate::walk::Leaf<'_>| leaf.role == Role::Value;
    if format == Format::Binary {
        return Ok(());
    }
    let mut after = after.leaves.iter().filter(values);
    for leaf in before.leaves.iter().filter(values) {
        let fits = match (leaf.node.value(), after.next().map(|leaf| leaf.node.value())) {
            (Value::String(text), Some(found)) => found == Value::String(text),
            // What is no text is spelt as the other format spells it.
            (_, found) => found.is_some(),
        };
        if !fits {
            return Err(ConvertError::Changed { place: Place::of(leaf.node, document), format });
        }
    }
    Ok(())
}
