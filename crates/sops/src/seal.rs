//! Encrypting the values of a document that has its metadata already: the one way in which ciphertext comes into a file.
//!
//! ```text
//! Plan ─ jobs: leaves to encrypt ─┬─ unchanged since before: its old text
//!                                 └─ new: nonce, AES-GCM, and its spelling where the place would not give it back
//!      ─ MAC over the values, at the same time ─ edits ─ bytes ─ read again and compared with the plan
//! ```
//! Invariant: no nonce is used for two values. An old text is taken over once at most, for the same value under the same path.

mod texts;
mod verify;

use bulla_crypto::{Mac, MacDigest, OutlineDigest, ValueCipher, ValueKind};
use bulla_doc::{Document, Edits, Tree};
use bulla_wipe::Wiping;
use rand_core::CryptoRng;

use crate::before::Before;
use crate::metadata::{self, LastModified, NewMetadata};
use crate::outline::Outliner;
use crate::path::{MOST_PLACES, Place};
use crate::selector::{Selector, SelectorKind};
use crate::subtree::tree_of;
use crate::value::{self, Scratch, UnsupportedValue};
use crate::walk::{IsCommentItem, Leaf, Plan, Role, TooMuch};
use texts::{Jobs, Texts};
use verify::Fault;

/// Documents up to this size are read again after encryption whatever they hold.
const ALWAYS_VERIFIED: usize = 64 << 10;

/// What was encrypted, and what was not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Values that are encrypted.
    pub encrypted: usize,
    /// Values that are not, though they could be: null and empty texts never are, and do not count.
    pub plain: usize,
    /// Lines of comments that are encrypted.
    pub encrypted_comments: usize,
    /// Aliases that became copies of what they stood for, because it is encrypted.
    pub expanded_aliases: usize,
    /// Aliases in unencrypted parts that stood for something encrypted: its copies are plain text now. The first hundred.
    pub plain_copies: Vec<Place>,
}

/// Why values could not be encrypted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// A value that no encrypted file can hold.
    #[error("the value at {place} is {reason}")]
    Unsupported {
        /// Where it is.
        place: Place,
        /// What it is.
        reason: UnsupportedValue,
    },
    /// An encrypted comment would match the rule for unencrypted values, and the file could not be decrypted.
    #[error("`{kind}` matches the encrypted form of the comment at {place}: choose an expression that no `ENC[…]` can match", kind = SelectorKind::UnencryptedCommentRegex)]
    MisleadingComment {
        /// Where the comment is.
        place: Place,
    },
    /// The result would be read with a value or comment in another place, and could not be decrypted.
    #[error(
        "what is at {place} would be found elsewhere once it is encrypted: put comments on lines of their own, and write out aliases"
    )]
    Moved {
        /// Where it is now.
        place: Place,
    },
    /// The result would not be read at all.
    #[error("the document could not be read again once it is encrypted; this is a fault of bulla")]
    Unreadable,
    /// The document takes more than it may.
    #[error(transparent)]
    TooMuch(#[from] TooMuch),
}

/// How the values of a document are encrypted.
pub(crate) struct Seal<'a> {
    pub(crate) cipher: &'a ValueCipher,
    pub(crate) selector: &'a Selector,
    pub(crate) mac_only_encrypted: bool,
    pub(crate) last_modified: LastModified,
    /// Which items of lists are comments that are encrypted already.
    pub(crate) is_comment_item: IsCommentItem<'a>,
    /// The file as it was before it was edited, whose texts are taken over for what did not change.
    pub(crate) before: Option<&'a Before<'a>>,
    /// The metadata that is to be added; `None` if the document has it already.
    pub(crate) new_metadata: Option<&'a NewMetadata<'a>>,
    /// Does the last value end in a line break only because the metadata stands behind it?
    pub(crate) cut_last_break: bool,
    /// Of a binary file: what the one value of the document is, which can hold texts only.
    pub(crate) binary: Option<&'a [u8]>,
}

impl Seal<'_> {
    /// Encrypts the values of `document` and puts date and MAC into its metadata.
    pub(crate) fn apply(
        &self,
        document: &Document,
        rng: &mut (dyn CryptoRng + Send),
    ) -> Result<(Wiping<Vec<u8>>, Summary), SealError> {
        let mut plan = Plan::new(document, self.selector, self.is_comment_item)?;
        if self.cut_last_break {
            plan.cut_last_break();
        }
        if let Some(bytes) = self.binary {
            plan.set_binary(bytes);
        }
        let jobs = Jobs::new(&plan, self.before, rng);
        let hash = || self.mac(&plan, document);
        let (mac, texts) = if jobs.are_many() {
            rayon::join(hash, || Texts::encrypt(&plan, jobs, self.before, self.cipher))
        } else {
            (hash(), Texts::encrypt(&plan, jobs, self.before, self.cipher))
        };
        let (mac_digest, outline) = mac?;
        let mut nonce = [0; 32];
        rng.fill_bytes(&mut nonce);
        let mac = self.encrypt_mac(&mac_digest, Some(&outline), nonce);
        self.check_comments(&plan, &texts, document)?;

        let summary = Summary::new(&plan, document);
        let is_exposed = self.is_exposed(&plan, document);
        if !is_exposed && !cfg!(debug_assertions) {
            return Ok((self.edits(document, &plan, &texts, &mac, false).apply(), summary));
        }
        // First with the spelling that unchanged values had, then, if that does not fit where they are now, without.
        let attempts: &[bool] = if self.before.is_some() { &[true, false] } else { &[false] };
        let mut fault = Fault::Whole;
        for &as_before in attempts {
            let bytes = self.edits(document, &plan, &texts, &mac, as_before).apply();
            match verify::verify(&bytes, document, &plan, &texts, self) {
                Ok(found) if found == outline => return Ok((bytes, summary)),
                // Its values and comments are where they were, so it opens; what else it says cannot be covered.
                Ok(_) => {
                    let mac = self.encrypt_mac(&mac_digest, None, nonce);
                    return Ok((self.edits(document, &plan, &texts, &mac, as_before).apply(), summary));
                }
                Err(found) => fault = found,
            }
        }
        debug_assert!(
            is_exposed || document.text().len() <= ALWAYS_VERIFIED,
            "a document that was held to be safe is not"
        );
        Err(match fault {
            Fault::Leaf(node) => SealError::Moved { place: Place::of(node, document) },
            Fault::Whole => SealError::Unreadable,
        })
    }

    /// `nonce` is random. Where there is an outline, it becomes one that covers it.
    fn encrypt_mac(&self, mac: &MacDigest, outline: Option<&OutlineDigest>, nonce: [u8; 32]) -> String {
        let (mac, date) = (mac.expose_secret(), self.last_modified.additional_data());
        let nonce = match (outline, nonce.first_chunk()) {
            (Some(outline), Some(salt)) => self.cipher.covering_nonce(outline, mac, date.as_bytes(), *salt),
            _ => nonce,
        };
        self.cipher.encrypt(mac, ValueKind::Str, date.as_bytes(), &nonce)
    }

    /// The MAC, and the outline of what it leaves out.
    fn mac(&self, plan: &Plan<'_>, document: &Document) -> Result<(MacDigest, OutlineDigest), SealError> {
        let mut mac = if self.mac_only_encrypted { Mac::only_encrypted() } else { Mac::new() };
        let mut outliner = Outliner::new(document, self.selector, self.mac_only_encrypted);
        let mut scratch = Scratch::default();
        for leaf in &plan.leaves {
            if leaf.role != Role::Value {
                outliner.comment(leaf, self.comment(leaf));
                continue;
            }
            let value = plan.value(leaf);
            let text = value::text(&value, &mut scratch)
                .map_err(|reason| SealError::Unsupported { place: Place::of(leaf.node, document), reason })?;
            if leaf.encrypted || !self.mac_only_encrypted {
                mac.update(text);
            }
            outliner.value(leaf, value::kind(&value).unwrap_or(ValueKind::Str), text.len());
        }
        outliner.end(document, &plan.leaves, self.new_metadata.is_none());
        Ok((mac.finish(), outliner.finish()))
    }

    /// The text of a comment, also of one that is encrypted already.
    fn comment<'t>(&'t self, leaf: &Leaf<'t>) -> &'t [u8] {
        let item = leaf.node.as_str().filter(|_| leaf.role == Role::CommentItem);
        let opened = item.and_then(|text| self.before?.comment_item(text));
        opened.unwrap_or(leaf.text().unwrap_or_default().as_bytes())
    }

    fn check_comments(&self, plan: &Plan<'_>, texts: &Texts, document: &Document) -> Result<(), SealError> {
        if self.selector.kind() != SelectorKind::UnencryptedCommentRegex {
            return Ok(());
        }
        let mut matcher = self.selector.matcher();
        for (job, text) in texts.iter() {
            let leaf = &plan.leaves[job.leaf as usize];
            if leaf.role != Role::Comment {
                continue;
            }
            let place = || Place::of(leaf.node, document);
            match matcher.is_misled_by(text) {
                Ok(false) => {}
                Ok(true) => return Err(SealError::MisleadingComment { place: place() }),
                Err(_) => {
                    return Err(TooMuch::Matching { kind: self.selector.kind(), place: place() }.into());
                }
            }
        }
        Ok(())
    }

    fn edits<'d>(
        &self,
        document: &'d Document,
        plan: &Plan<'d>,
        texts: &'d Texts,
        mac: &'d str,
        as_before: bool,
    ) -> Edits<'d> {
        let mut edits = Edits::new(document);
        for (job, text) in texts.iter() {
            let leaf = &plan.leaves[job.leaf as usize];
            if leaf.node.is_expanded() || leaf.node.is_alias() {
                continue;
            }
            let old = job.old.filter(|_| as_before).and_then(|old| self.before?.spelling(old, text));
            match old {
                _ if leaf.role == Role::Comment => edits.set_comment(leaf.node, text),
                Some(spelling) => edits.set_spelling(leaf.node, &spelling),
                None => edits.set_encrypted(leaf.node, text),
            }
        }
        for alias in plan.aliases.iter().filter(|alias| plan.is_alias_encrypted(alias)) {
            let tree = tree_of(alias.node, plan, &mut |leaf| texts.of(leaf).map(Tree::string), None);
            edits.set_tree(alias.node, &tree);
        }
        match self.new_metadata {
            None => metadata::update(&mut edits, document, mac, self.last_modified),
            Some(metadata) => {
                let tree = metadata.to_tree(mac);
                for branch in document.branches() {
                    edits.append(branch, document.format().metadata_key(), &tree);
                }
            }
        }
        edits
    }

    /// Must the result be read again, because something in it might be found elsewhere than it is now?
    ///
    /// Comments could: where they belong depends on the lines around them. But a value on one line stays on one line, so where comments
    /// have lines of their own nothing can happen to them. Reading a large document again takes longer than encrypting it.
    fn is_exposed(&self, plan: &Plan<'_>, document: &Document) -> bool {
        let has_comments = || {
            plan.has_comments()
                && plan.leaves.iter().any(|leaf| match leaf.role {
                    Role::Comment => leaf.node.is_inline(),
                    Role::Value => {
                        leaf.encrypted && leaf.node.spelling().bytes().any(|byte| matches!(byte, b'\n' | b'\r'))
                    }
                    Role::CommentItem => true,
                })
        };
        document.text().len() <= ALWAYS_VERIFIED || self.before.is_some() || !plan.aliases.is_empty() || has_comments()
    }
}

impl Summary {
    fn new(plan: &Plan<'_>, document: &Document) -> Self {
        let mut summary = Summary::default();
        for leaf in &plan.leaves {
            match (leaf.role, leaf.encrypted) {
                (Role::Value, _) if leaf.node.as_str() == Some("") => {}
                (Role::Value, true) => summary.encrypted += 1,
                (Role::Value, false) => summary.plain += 1,
                (Role::Comment, true) if !leaf.node.comment().is_empty() => summary.encrypted_comments += 1,
                (Role::CommentItem, _) => summary.encrypted_comments += 1,
                (Role::Comment, _) => {}
            }
        }
        for alias in plan.aliases.iter().filter(|alias| plan.is_alias_encrypted(alias)) {
            summary.expanded_aliases += 1;
            let is_plain = plan.is_alias_different(alias) && has_plain_value(plan, alias);
            if is_plain && summary.plain_copies.len() < MOST_PLACES {
                summary.plain_copies.push(Place::of(alias.node, document));
            }
        }
        summary
    }
}

fn has_plain_value(plan: &Plan<'_>, alias: &crate::walk::Alias<'_>) -> bool {
    plan.leaves[alias.leaves.clone()].iter().any(|leaf| leaf.role == Role::Value && !leaf.encrypted)
}
