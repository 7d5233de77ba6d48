//! Random values: characters of an alphabet, each as likely as any other.

use std::str::FromStr;

use bulla_crypto::SecretBytes;
use rand::Rng;

/// Characters that a value is made of. ASCII, each once, two at least.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Alphabet(Vec<u8>);

impl FromStr for Alphabet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let range = |from: u8, to: u8| (from..=to).collect::<Vec<u8>>();
        let characters = match text {
            "alphanumeric" => [range(b'0', b'9'), range(b'A', b'Z'), range(b'a', b'z')].concat(),
            "digits" => range(b'0', b'9'),
            "hex" => b"0123456789abcdef".to_vec(),
            "printable" => range(b'!', b'~'),
            text => text.as_bytes().to_vec(),
        };
        if characters.len() < 2 || !characters.iter().all(|byte| matches!(byte, b' '..=b'~')) {
            return Err("an alphabet has two characters at least, all of them ASCII and printable".to_owned());
        }
        let mut seen = [false; 128];
        // One that stands there twice would come twice as often.
        if characters.iter().any(|byte| std::mem::replace(&mut seen[usize::from(*byte)], true)) {
            return Err("a character stands twice in the alphabet".to_owned());
        }
        Ok(Self(characters))
    }
}

impl Alphabet {
    /// So many characters, all of them from `rng`.
    pub(crate) fn generate(&self, length: usize, rng: &mut impl Rng) -> SecretBytes {
        let count = self.0.len();
        // Bytes from here on would make the first characters likelier than the others.
        let limit = 256 - 256 % count;
        let mut value = Vec::with_capacity(length);
        while value.len() < length {
            let mut byte = [0];
            rng.fill_bytes(&mut byte);
            if usize::from(byte[0]) < limit {
                value.push(self.0[usize::from(byte[0]) % count]);
            }
        }
        SecretBytes::new(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    #[test]
    fn every_character_is_as_likely_as_any_other() {
        let mut rng = StdRng::seed_from_u64(3);
        for (name, count) in [("alphanumeric", 62), ("digits", 10), ("hex", 16), ("printable", 94), ("ab-", 3)] {
            let alphabet: Alphabet = name.parse().unwrap();
            assert_eq!(alphabet.0.len(), count, "{name}");
            let value = alphabet.generate(count * 1000, &mut rng);
            let mut found = [0; 128];
            value.expose_secret().iter().for_each(|byte| found[usize::from(*byte)] += 1);
            for character in &alphabet.0 {
                let found = found[usize::from(*character)];
                assert!((800..1200).contains(&found), "{name}: {found} of {character}");
            }
        }
    }

    #[test]
    fn what_is_no_alphabet_is_refused() {
        for text in ["", "a", "aa", "abca", "aä", "a\n"] {
            assert!(text.parse::<Alphabet>().is_err(), "{text:?}");
        }
    }
}
