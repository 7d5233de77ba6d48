//! Reading an encrypted document again, to see that everything is where the plan has it.
//!
//! Encryption changes how long lines are and how many a value takes, and where a comment belongs can depend on that. SOPS will read
//! the result; what it would find under another path it could not decrypt.

use bulla_crypto::{OutlineDigest, ValueKind};
use bulla_doc::{Document, Node};

use super::Seal;
use super::texts::Texts;
use crate::outline::Outliner;
use crate::value::{self, Scratch};
use crate::walk::{Leaf, Plan, Role, TYPED_COMMENT_ITEMS};

/// Something that is not where it should be.
pub(super) enum Fault<'d> {
    /// This leaf of the plan.
    Leaf(Node<'d>),
    /// The result is no document, or has more in it.
    Whole,
}

/// Compares `bytes`, which `plan` became with `texts`, with it. Gives the outline of what they will be read as.
pub(super) fn verify<'d>(
    bytes: &[u8],
    document: &Document,
    plan: &Plan<'d>,
    texts: &Texts,
    seal: &Seal<'_>,
) -> Result<OutlineDigest, Fault<'d>> {
    let result = Document::parse(bytes, document.format()).map_err(|_| Fault::Whole)?;
    let found = Plan::new(&result, seal.selector, TYPED_COMMENT_ITEMS).map_err(|_| Fault::Whole)?;
    let mut found_leaves = found.leaves.iter();
    let mut outliner = Outliner::new(&result, seal.selector, seal.mac_only_encrypted);
    let mut scratch = Scratch::default();
    let mut written_out = plan.aliases.iter().filter(|alias| plan.is_alias_encrypted(alias)).peekable();

    let (mut path, mut found_path) = (Vec::new(), Vec::new());
    for (number, leaf) in plan.leaves.iter().enumerate() {
        // Comments in what an alias stood for are gone.
        while written_out.peek().is_some_and(|alias| alias.leaves.end <= number) {
            written_out.next();
        }
        if leaf.role == Role::Comment && written_out.peek().is_some_and(|alias| alias.leaves.contains(&number)) {
            continue;
        }
        let found_leaf = found_leaves.next().ok_or(Fault::Leaf(leaf.node))?;
        plan.path_of(leaf, &mut path);
        found.path_of(found_leaf, &mut found_path);
        let same_place = path == found_path && leaf.role == found_leaf.role && leaf.encrypted == found_leaf.encrypted;
        if !same_place || !has_content(found_leaf, leaf, texts.of(number)) {
            return Err(Fault::Leaf(leaf.node));
        }
        if leaf.role == Role::Value {
            let value = plan.value(leaf);
            let length = value::text(&value, &mut scratch).map_or(0, <[u8]>::len);
            outliner.value(found_leaf, value::kind(&value).unwrap_or(ValueKind::Str), length);
        } else {
            outliner.comment(found_leaf, seal.comment(leaf));
        }
    }
    outliner.end(&result, &found.leaves, true);
    if found_leaves.next().is_some() { Err(Fault::Whole) } else { Ok(outliner.finish()) }
}

/// Is `found` the encrypted `text`, or the same as `leaf` if that was not encrypted?
fn has_content(found: &Leaf<'_>, leaf: &Leaf<'_>, text: Option<&str>) -> bool {
    match (leaf.role, text) {
        (_, Some(text)) => found.text() == Some(text),
        (Role::Comment, None) => found.node.comment() == leaf.node.comment(),
        (_, None) => {
            let (left, right) = (found.node.value(), leaf.node.value());
            let (mut left_scratch, mut right_scratch) = (Scratch::default(), Scratch::default());
            let left_text = value::text(&left, &mut left_scratch);
            value::kind(&left) == value::kind(&right) && left_text == value::text(&right, &mut right_scratch)
        }
    }
}
