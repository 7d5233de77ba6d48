//! The texts of encrypted leaves, `ENC[…]` each, made in chunks.

use std::borrow::Cow;

use bulla_crypto::{EncryptedValue, ValueCipher, ValueKind};
use bulla_doc::Value;
use rand::rngs::StdRng;
use rand_core::{CryptoRng, Rng as _, SeedableRng as _};

use crate::before::Before;
use crate::chunks::{CHUNK, in_chunks};
use crate::spelling;
use crate::value::{self, Scratch};
use crate::walk::{Leaf, Plan, Role};

/// A leaf that is to be encrypted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Job {
    /// Its number in the plan.
    pub(super) leaf: u32,
    /// The same value in the file as it was before: its number there.
    pub(super) old: Option<u32>,
}

/// All jobs of a plan in order, and where the nonces of each chunk come from.
#[derive(Debug)]
pub(super) struct Jobs {
    list: Vec<Job>,
    seeds: Vec<[u8; 32]>,
}

impl Jobs {
    pub(super) fn new(plan: &Plan<'_>, before: Option<&Before<'_>>, rng: &mut (dyn CryptoRng + Send)) -> Self {
        let mut reuse = before.map(Reuse::new);
        let leaves = (0..plan.leaves.len()).filter(|leaf| is_job(plan, *leaf));
        let job = |leaf| Job { leaf: leaf as u32, old: reuse.as_mut().and_then(|reuse| reuse.find(plan, leaf)) };
        let list: Vec<Job> = leaves.map(job).collect();
        let mut seeds = vec![[0; 32]; list.len().div_ceil(CHUNK)];
        rng.fill_bytes(seeds.as_flattened_mut());
        Self { list, seeds }
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

/// Does its place not tell how it is spelt?
fn is_spelt(leaf: &Leaf<'_>, value: &Value<'_>) -> bool {
    let in_place = leaf.role == Role::Value && !leaf.node.is_expanded() && !leaf.node.is_alias();
    in_place && !leaf.node.restores(value)
}

fn nonce(rng: &mut StdRng) -> [u8; 32] {
    let mut nonce = [0; 32];
    rng.fill_bytes(&mut nonce);
    nonce
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
        let writer = TextWriter { plan, cipher, before };
        let chunks = in_chunks(&jobs.list, |first, list| {
            // A generator of its own for each chunk, so that they need not wait for each other.
            writer.write_all(list, &mut StdRng::from_seed(jobs.seeds[first / CHUNK]))
        });
        Self { jobs: jobs.list, chunks }
    }

    /// Every job with its text.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Job, &str)> {
        self.jobs.chunks(CHUNK).zip(&self.chunks).flat_map(|(jobs, chunk)| jobs.iter().zip(chunk.texts()))
    }

    /// The text of the leaf of this number, if it is encrypted.
    pub(super) fn of(&self, leaf: usize) -> Option<&str> {
        let number = self.jobs.binary_search_by_key(&(leaf as u32), |job| job.leaf).ok()?;
        Some(self.text(number))
    }

    fn text(&self, job: usize) -> &str {
        self.chunks[job / CHUNK].text(job % CHUNK)
    }
}

impl Chunk {
    fn text(&self, place: usize) -> &str {
        let start = if place == 0 { 0 } else { self.ends[place - 1] };
        &self.text[start as usize..self.ends[place] as usize]
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        (0..self.ends.len()).map(|place| self.text(place))
    }
}

/// Writes the texts of jobs.
struct TextWriter<'a, 'd> {
    plan: &'a Plan<'d>,
    cipher: &'a ValueCipher,
    before: Option<&'a Before<'a>>,
}

impl TextWriter<'_, '_> {
    fn write_all(&self, jobs: &[Job], rng: &mut StdRng) -> Chunk {
        let (mut path, mut scratch) = (Vec::new(), Scratch::default());
        let (mut out, mut ends) = (Vec::new(), Vec::with_capacity(jobs.len()));
        for job in jobs {
            let leaf = &self.plan.leaves[job.leaf as usize];
            self.plan.path_of(leaf, &mut path);
            match (job.old, self.before) {
                (Some(old), Some(before)) => self.write_old(job, before.text(old), &path, rng, &mut out),
                _ => self.write_new(job, &path, &mut scratch, rng, &mut out),
            }
            ends.push(out.len() as u32);
        }
        // Base64 and the words around it are ASCII; so was what is taken over, or it would not have opened.
        let text = String::from_utf8(out).unwrap_or_default();
        Chunk { text, ends }
    }

    fn write_new(&self, job: &Job, path: &[u8], scratch: &mut Scratch, rng: &mut StdRng, out: &mut Vec<u8>) {
        let leaf = &self.plan.leaves[job.leaf as usize];
        let nonce = &nonce(rng);
        if leaf.role == Role::Comment {
            let text = leaf.node.comment().as_bytes();
            self.cipher.encrypt_into(text, ValueKind::Comment, path, nonce, out);
            if let Some(spelling) = leaf.node.comment_spelling() {
                spelling::append(self.cipher, &spelling, path, &self::nonce(rng), out);
            }
            return;
        }
        let value = self.plan.value(leaf);
        // What has no text was refused, with its place, by the MAC's pass.
        let (Some(kind), Ok(text)) = (value::kind(&value), value::text(&value, scratch)) else { return };
        self.cipher.encrypt_into(text, kind, path, nonce, out);
        if !self.plan.is_binary() && is_spelt(leaf, &value) {
            spelling::append(self.cipher, &leaf.node.spelling(), path, &self::nonce(rng), out);
        }
    }

    /// Takes over `old`; only the spelling beside it may be another now.
    fn write_old(&self, job: &Job, old: &str, path: &[u8], rng: &mut StdRng, out: &mut Vec<u8>) {
        let leaf = &self.plan.leaves[job.leaf as usize];
        let rest = EncryptedValue::parse(old).map_or("", |value| value.rest);
        out.extend_from_slice(&old.as_bytes()[..old.len() - rest.len()]);
        let spelling = match leaf.role {
            Role::Comment => leaf.node.comment_spelling().map(Cow::Owned),
            _ if self.plan.is_binary() => None,
            _ => is_spelt(leaf, &self.plan.value(leaf)).then(|| leaf.node.spelling()),
        };
        let Some(spelling) = spelling else {
            if !spelling::is_spelling(rest) {
                out.extend_from_slice(rest.as_bytes());
            }
            return;
        };
        let same =
            spelling::open(self.cipher, rest, path).is_some_and(|old| old.expose_secret() == spelling.as_bytes());
        if same {
            out.extend_from_slice(rest.as_bytes());
        } else {
            spelling::append(self.cipher, &spelling, path, &nonce(rng), out);
        }
    }
}
