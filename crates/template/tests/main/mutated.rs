//! Templates that are cut and put together from those of the vectors end, one way or the other.

use std::fs;
use std::path::Path;

use bulla_template::{Limits, Options, Template};

use crate::vectors::data;

/// A million take half a minute.
const ROUNDS: usize = 50_000;

/// The same numbers in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound.max(1) as u64).unwrap()
    }
}

#[test]
fn no_template_ends_the_program() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/cases");
    let mut all = Vec::new();
    for file in fs::read_dir(folder).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        all.extend(text.split("\n---\n").map(|template| template.as_bytes().to_vec()));
    }
    // The order of a folder is not the same everywhere.
    all.sort();
    let words = all.iter().flat_map(|template| template.split(|byte| b" {}()".contains(byte)).map(<[u8]>::to_vec));
    let mut words: Vec<Vec<u8>> = words.collect();
    words.sort();
    words.dedup();
    let data = data();
    let mut numbers = Numbers(0x2545_f491_4f6c_dd1d);
    let limits = Limits { steps: 20_000, memory: 1 << 20, output: 1 << 20, ..Limits::default() };
    let (mut read, mut executed) = (0, 0);
    for _ in 0..ROUNDS {
        let mut template = all[numbers.below(all.len())].clone();
        for _ in 0..=numbers.below(3) {
            let place = numbers.below(template.len() + 1);
            let end = (place + numbers.below(8)).min(template.len());
            match numbers.below(6) {
                0 => drop(template.drain(place..end)),
                1 => template.insert(place, b"{}()|.$ \"`'-\\%\n\xff0"[numbers.below(17)]),
                2 => {
                    let other = &all[numbers.below(all.len())];
                    let from = numbers.below(other.len());
                    drop(template.splice(place..end, other[from..].iter().copied()));
                }
                _ => {
                    // A word becomes another one: most of these are read.
                    let is_end = |byte: &u8| b" {}()".contains(byte);
                    let start = template[..place].iter().rposition(is_end).map_or(0, |start| start + 1);
                    let end = template[place..].iter().position(is_end).map_or(template.len(), |end| place + end);
                    drop(template.splice(start..end, words[numbers.below(words.len())].iter().copied()));
                }
            }
        }
        let options = Options { limits, ..Options::external_secrets() };
        let Ok(parsed) = Template::parse("case", &template, options) else {
            continue;
        };
        read += 1;
        executed += usize::from(parsed.execute(&data).is_ok());
    }
    assert!(read > ROUNDS / 10 && executed > ROUNDS / 30, "most say nothing: {read} read, {executed} executed");
}
