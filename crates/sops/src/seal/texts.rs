//! The texts of encrypted leaves, `ENC[…]` each, made in chunks.

use bulla_crypto::{EncryptedValue, ValueCipher, ValueKind};
use rand_core::CryptoRng;

use crate::before::Before;
use crate::chunks::{CHUNK, in_chunks};
use crate::spelling;
use crate::value::{self, Scratch};
use crate::walk::{Plan, Role};

/// A leaf that is to be encrypted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Job {
    /// Its number in the plan.
    pub(super) leaf: u32,
    /// The same value in the file as it was before: its number there.
    pub(super) old: Option<u32>,
    /// Does its place not tell how it is spelt?
    is_spelt: bool,
    /// Its nonces start here: one for a new value, one for a spelling.
    nonce: u32,
}

/// All jobs of a plan in order, and the nonces for them.
#[derive(Debug)]
pub(super) struct Jobs {
    list: Vec<Job>,
    nonces: Vec<[u8; 32]>,
}

impl Jobs {
    pub(super) fn new(plan: &Plan<'_>, before: Option<&Before<'_>>, rng: &mut (dyn CryptoRng + Send)) -> Self {
        let leaves: Vec<u32> = (0..plan.leaves.len() as u32).filter(|leaf| is_job(plan, *leaf as usize)).collect();
        let is_spelt = in_chunks(&leaves, |_, leaves| {
            leaves.iter().map(|leaf| is_spelt(plan, *leaf as usize)).collect::<Vec<_>>()
        });
        let mut reuse = before.map(Reuse::new);
        let mut count = 0;
        let mut list = Vec::with_capacity(leaves.len());
        for (leaf, is_spelt) in leaves.into_iter().zip(is_spelt.into_iter().flatten()) {
            let old = reuse.as_mut().and_then(|reuse| reuse.find(plan, leaf as usize));
            list.push(Job { leaf, old, is_spelt, nonce: count });
            count += u32::from(old.is_none()) + u32::from(is_spelt);
        }
        let mut nonces = vec![[0; 32]; count as usize];
        for nonce in &mut nonces {
            rng.fill_bytes(nonce);
        }
        Self { list, nonces }
    }

    /// Is it worth it to use several cores?
    pub(super) fn are_many(&self) -> bool {
        self.list.len() > CHUNK
    }
}

/// Is there something to encrypt? Comments in what an alias stands for are lost when it is written out.
fn is_job(plan: &Plan<'_>, leaf: usize) -> bool {
    let leaf = &plan.leaves[leaf];
    leaf.encrypted
        && match leaf.role {
            Role::Value => leaf.node.as_str() != Some(""),
            Role::Comment => !leaf.node.comment().is_empty() && !leaf.node.is_expanded(),
            Role::CommentItem => false,
        }
}

fn is_spelt(plan: &Plan<'_>, leaf: usize) -> bool {
    let leaf = &plan.leaves[leaf];
    let in_place = leaf.role == Role::Value && !leaf.node.is_expanded() && !leaf.node.is_alias();
    in_place && !leaf.node.restores(&plan.value(leaf))
}

/// Finds what did not change.
struct Reuse<'b> {
    before: &'b Before<'b>,
    taken: Vec<bool>,
    path: Vec<u8>,
    scratch: Scratch,
}

impl<'b> Reuse<'b> {
    fn new(before: &'b Before<'b>) -> Self {
        Self { before, taken: before.nothing_taken(), path: Vec::new(), scratch: Scratch::default() }
    }

    fn find(&mut self, plan: &Plan<'_>, leaf: usize) -> Option<u32> {
        let leaf = &plan.leaves[leaf];
        plan.path_of(leaf, &mut self.path);
        if leaf.role == Role::Comment {
            let text = leaf.node.comment().as_bytes();
            return self.before.take(&self.path, ValueKind::Comment, text, &mut self.taken);
        }
        let value = plan.value(leaf);
        let kind = value::kind(&value)?;
        let text = value::text(&value, &mut self.scratch).ok()?;
        self.before.take(&self.path, kind, text, &mut self.taken)
    }
}

/// What became of the jobs.
#[derive(Debug)]
pub(super) struct Texts {
    jobs: Vec<Job>,
    chunks: Vec<Chunk>,
}

/// The texts of [`CHUNK`] jobs, one behind the other.
#[derive(Debug, Default)]
struct Chunk {
    text: String,
    ends: Vec<u32>,
}

impl Texts {
    pub(super) fn encrypt(plan: &Plan<'_>, jobs: Jobs, before: Option<&Before<'_>>, cipher: &ValueCipher) -> Self {
        let writer = TextWriter { plan, cipher, before, nonces: &jobs.nonces };
        let chunks = in_chunks(&jobs.list, |_, jobs| writer.write_all(jobs));
        Self { jobs: jobs.list, chunks }
    }

    /// Every job with its text.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Job, &str)> {
        self.jobs.iter().enumerate().map(|(number, job)| (job, self.text(number)))
    }

    /// The text of the leaf of this number, if it is encrypted.
    pub(super) fn of(&self, leaf: usize) -> Option<&str> {
        let number = self.jobs.binary_search_by_key(&(leaf as u32), |job| job.leaf).ok()?;
        Some(self.text(number))
    }

    fn text(&self, job: usize) -> &str {
        let chunk = &self.chunks[job / CHUNK];
        let place = job % CHUNK;
        let start = if place == 0 { 0 } else { chunk.ends[place - 1] };
        &chunk.text[start as usize..chunk.ends[place] as usize]
    }
}

/// Writes the texts of jobs.
struct TextWriter<'a, 'd> {
    plan: &'a Plan<'d>,
    cipher: &'a ValueCipher,
    before: Option<&'a Before<'a>>,
    nonces: &'a [[u8; 32]],
}

impl TextWriter<'_, '_> {
    fn write_all(&self, jobs: &[Job]) -> Chunk {
        let (mut path, mut scratch) = (Vec::new(), Scratch::default());
        let (mut out, mut ends) = (Vec::new(), Vec::with_capacity(jobs.len()));
        for job in jobs {
            let leaf = &self.plan.leaves[job.leaf as usize];
            self.plan.path_of(leaf, &mut path);
            match (job.old, self.before) {
                (Some(old), Some(before)) => self.write_old(job, before.text(old), &path, &mut out),
                _ => self.write_new(job, &path, &mut scratch, &mut out),
            }
            ends.push(out.len() as u32);
        }
        // Base64 and the words around it are ASCII; so was what is taken over, or it would not have opened.
        let text = String::from_utf8(out).unwrap_or_default();
        Chunk { text, ends }
    }

    fn write_new(&self, job: &Job, path: &[u8], scratch: &mut Scratch, out: &mut Vec<u8>) {
        let leaf = &self.plan.leaves[job.leaf as usize];
        let nonce = &self.nonces[job.nonce as usize];
        if leaf.role == Role::Comment {
            let text = leaf.node.comment().as_bytes();
            return self.cipher.encrypt_into(text, ValueKind::Comment, path, nonce, out);
        }
        let value = self.plan.value(leaf);
        // What has no text was refused, with its place, by the MAC's pass.
        let (Some(kind), Ok(text)) = (value::kind(&value), value::text(&value, scratch)) else { return };
        self.cipher.encrypt_into(text, kind, path, nonce, out);
        if job.is_spelt {
            let nonce = &self.nonces[job.nonce as usize + 1];
            spelling::append(self.cipher, &leaf.node.spelling(), path, nonce, out);
        }
    }

    /// Takes over `old`; only the spelling beside it may be another now.
    fn write_old(&self, job: &Job, old: &str, path: &[u8], out: &mut Vec<u8>) {
        let rest = EncryptedValue::parse(old).map_or("", |value| value.rest);
        out.extend_from_slice(&old.as_bytes()[..old.len() - rest.len()]);
        if !job.is_spelt {
            if !spelling::is_spelling(rest) {
                out.extend_from_slice(rest.as_bytes());
            }
            return;
        }
        let spelling = self.plan.leaves[job.leaf as usize].node.spelling();
        let same =
            spelling::open(self.cipher, rest, path).is_some_and(|old| old.expose_secret() == spelling.as_bytes());
        if same {
            out.extend_from_slice(rest.as_bytes());
        } else {
            spelling::append(self.cipher, &spelling, path, &self.nonces[job.nonce as usize], out);
        }
    }
}
