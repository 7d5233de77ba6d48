//! A file as it was before an edit: the texts of its values, to be taken over for what did not change.
//!
//! A value is the same if path, type and text are. Paths have no indices, so of equal items of a list the first goes to the first, and
//! each at most once: two values never share a nonce. (SOPS looks nonces up by path and value and gives equal items the same.)

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash as _, Hasher as _, RandomState};

use bulla_crypto::ValueKind;

use crate::decrypt::Opened;
use crate::value::{self, Scratch};
use crate::walk::Role;

/// The encrypted leaves of an opened file, by what they hold.
pub(crate) struct Before<'a> {
    opened: &'a Opened<'a>,
    /// Numbers of leaves by the hash of path, type and text.
    by_content: HashMap<u64, Vec<u32>>,
    hasher: RandomState,
    /// Items of lists that are comments: their numbers, by their encrypted texts.
    comment_items: HashMap<&'a str, usize>,
}

impl<'a> Before<'a> {
    pub(crate) fn new(opened: &'a Opened<'a>) -> Self {
        let mut before =
            Self { opened, by_content: HashMap::new(), hasher: RandomState::new(), comment_items: HashMap::new() };
        let (mut path, mut scratch) = (Vec::new(), Scratch::default());
        for (number, leaf) in opened.plan.leaves.iter().enumerate() {
            if leaf.role == Role::CommentItem {
                before.comment_items.extend(leaf.node.as_str().map(|text| (text, number)));
            }
            // A copy has no text of its own.
            if leaf.node.is_expanded() || leaf.node.is_alias() {
                continue;
            }
            let Some((kind, _)) = opened.opened(number) else { continue };
            let value = opened.value(number);
            let Ok(text) = value::text(&value, &mut scratch) else { continue };
            opened.plan.path_of(leaf, &mut path);
            let content = before.hash(&path, kind, text);
            before.by_content.entry(content).or_default().push(number as u32);
        }
        before
    }

    /// For [`Before::take`]: no leaf is taken yet.
    pub(crate) fn nothing_taken(&self) -> Vec<bool> {
        vec![false; self.opened.plan.leaves.len()]
    }

    /// The number of the first leaf with this content that is not taken yet.
    pub(crate) fn take(&self, path: &[u8], kind: ValueKind, text: &[u8], taken: &mut [bool]) -> Option<u32> {
        let candidates = self.by_content.get(&self.hash(path, kind, text))?;
        let found =
            candidates.iter().copied().find(|number| !taken[*number as usize] && self.is(*number, path, kind, text));
        if let Some(number) = found {
            taken[number as usize] = true;
        }
        found
    }

    /// The encrypted text of a leaf.
    pub(crate) fn text(&self, number: u32) -> &str {
        self.opened.plan.leaves[number as usize].text().unwrap_or_default()
    }

    /// How the leaf was spelt there, if it is a value and its text is still `text`.
    pub(crate) fn spelling(&self, number: u32, text: &str) -> Option<Cow<'a, str>> {
        let leaf = &self.opened.plan.leaves[number as usize];
        (leaf.role == Role::Value && leaf.text() == Some(text)).then(|| leaf.node.spelling())
    }

    /// Was this text an item of a list that is an encrypted comment?
    pub(crate) fn is_comment_item(&self, text: &str) -> bool {
        self.comment_items.contains_key(text)
    }

    /// What was encrypted in such an item.
    pub(crate) fn comment_item(&self, text: &str) -> Option<&[u8]> {
        self.opened.opened(*self.comment_items.get(text)?).map(|(_, text)| text)
    }

    fn is(&self, number: u32, path: &[u8], kind: ValueKind, text: &[u8]) -> bool {
        let leaf = &self.opened.plan.leaves[number as usize];
        let (mut own_path, mut scratch) = (Vec::new(), Scratch::default());
        self.opened.plan.path_of(leaf, &mut own_path);
        let value = self.opened.value(number as usize);
        own_path == path
            && self.opened.opened(number as usize).is_some_and(|(own_kind, _)| own_kind == kind)
            && value::text(&value, &mut scratch) == Ok(text)
    }

    /// Keyed by chance, so that it tells nothing about a value.
    fn hash(&self, path: &[u8], kind: ValueKind, text: &[u8]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        path.hash(&mut hasher);
        kind.hash(&mut hasher);
        text.hash(&mut hasher);
        hasher.finish()
    }
}
