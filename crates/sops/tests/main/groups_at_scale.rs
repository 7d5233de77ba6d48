//! Generated documents for generated groups of people, both ways: who opens a file with one program opens it with the other.

use std::sync::Arc;

use bulla_doc::Format;
use bulla_keys::MasterKey;
use bulla_keys::age::AgeKey;
use bulla_sops::{NothingSelected, Recipe};
use bulla_testkit::mutate::Random;
use bulla_testkit::needs_peers;
use bulla_testkit::oracle::{NamedSelector, Oracle, WholeFile};
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use crate::at_scale::{document, rule};
use crate::groups::{PEOPLE, draw, opens, recipient, ring_of};
use crate::support::{essence, moment, name_of, now, random, ring, trees};

/// A document, who may open it, and whether these people may.
struct Case {
    plain: Vec<u8>,
    format: Format,
    groups: Vec<Vec<usize>>,
    threshold: usize,
    people: Vec<usize>,
    seed: u64,
}

impl Case {
    fn new(seed: u64, format: Format) -> Self {
        let mut random = Random::new(seed);
        let (groups, threshold) = draw(&mut random);
        let people = (0..PEOPLE.len()).filter(|_| random.once_in(2)).collect();
        let mut plain = document(seed, format);
        // What becomes of the missing line break of a last block is listed in `docs/differences.md`.
        if !plain.ends_with(b"\n") {
            plain.push(b'\n');
        }
        Self { plain, format, groups, threshold, people, seed }
    }

    fn encrypt(&self) -> Option<Vec<u8>> {
        let rule = rule(self.seed);
        let key = |person: &usize| AgeKey::new(recipient(*person), ring());
        let keys: Vec<Vec<AgeKey>> = self.groups.iter().map(|group| group.iter().map(key).collect()).collect();
        let groups: Vec<Vec<&dyn MasterKey>> =
            keys.iter().map(|group| group.iter().map(|key| key as &dyn MasterKey).collect()).collect();
        let recipe = Recipe {
            groups: &groups,
            threshold: self.threshold,
            selector: &rule.selector(),
            mac_only_encrypted: rule.mac_only_encrypted,
            nothing_selected: NothingSelected::Allow,
            now: moment(),
        };
        let encrypted = now(bulla_sops::encrypt(&self.plain, self.format, &recipe, &mut random(self.seed)));
        encrypted.ok().map(|encrypted| encrypted.bytes.to_vec())
    }

    fn encrypt_by_sops(&self) -> Option<Vec<u8>> {
        let rule = rule(self.seed);
        let groups: Vec<Vec<String>> = self
            .groups
            .iter()
            .map(|group| group.iter().map(|person| recipient(*person).to_owned()).collect())
            .collect();
        let selector = rule.selector.as_ref();
        let file = WholeFile {
            groups: &groups,
            threshold: u32::try_from(self.threshold).unwrap(),
            selector: selector.map(|(kind, pattern)| NamedSelector { selector: kind.as_str(), pattern }),
            mac_only_encrypted: rule.mac_only_encrypted,
            ..WholeFile::new(&self.plain, name_of(self.format))
        };
        Oracle::shared().sops_encrypt(&file).ok()
    }

    /// Opens `file` with both; what is wrong, if something is.
    fn open(&self, file: &[u8]) -> Result<(), String> {
        let identities: Vec<&str> = self.people.iter().map(|person| PEOPLE[*person].0).collect();
        let identities = identities.join("\n");
        let request = WholeFile { identities: &identities, ..WholeFile::new(file, name_of(self.format)) };
        let theirs = Oracle::shared().sops_open(&request);
        let ring = Arc::clone(&ring_of(&self.people));
        let ours = now(bulla_sops::decrypt(file, self.format, &ring));
        if !opens(&self.groups, self.threshold, &self.people) {
            return match (ours.is_err(), theirs.is_err()) {
                (true, true) => Ok(()),
                opened => Err(format!("too few people, and it was opened: {opened:?}")),
            };
        }
        let (values, _) = essence(trees(&self.plain, self.format));
        let ours = ours.map_err(|error| format!("bulla does not open it: {error}"))?;
        let theirs = theirs.map_err(|error| format!("SOPS does not open it: {error}"))?;
        for (by, found) in [("bulla", trees(&ours, self.format)), ("SOPS", theirs)] {
            let found = essence(found).0;
            if found != values {
                let file = String::from_utf8_lossy(file);
                return Err(format!("{by} reads {found:?}, and it was {values:?}\n{file}"));
            }
        }
        Ok(())
    }
}

#[test]
fn documents_of_every_format_for_groups_of_people_go_both_ways() {
    needs_peers!();
    let cases = (50_000..50_400_u64).into_par_iter().flat_map(|seed| {
        let formats = FORMATS.into_par_iter().filter(move |format| **format == Format::Yaml || seed.is_multiple_of(4));
        formats.map(move |format| Case::new(seed, *format))
    });
    let outcomes: Vec<Result<usize, String>> = cases
        .map(|case| {
            // What only one of them takes is at_scale's matter; so is what SOPS cannot open itself.
            let (Some(ours), Some(theirs)) = (case.encrypt(), case.encrypt_by_sops()) else { return Ok(0) };
            let context = |by: &str, reason: String| {
                let Case { format, groups, threshold, people, seed, .. } = &case;
                format!("seed {seed}, {format:?}, {groups:?}, {threshold} of them, {people:?}, by {by}: {reason}")
            };
            case.open(&ours).map_err(|reason| context("bulla", reason))?;
            match case.open(&theirs) {
                Err(reason) if reason.starts_with("SOPS does not") && reason.contains("MAC") => Ok(0),
                outcome => outcome.map(|()| 1).map_err(|reason| context("SOPS", reason)),
            }
        })
        .collect();
    let differences: Vec<&String> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
    assert!(differences.is_empty(), "{}: {differences:#?}", differences.len());
    let done: usize = outcomes.iter().flatten().sum();
    assert!(done > 350, "{done} documents only");
}

/// The formats.
const FORMATS: &[Format] = &[Format::Yaml, Format::Json, Format::Dotenv, Format::Ini, Format::Binary];
