//! The documents that are measured, the same on every machine: from a fixed seed, written straight to a file.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// A configuration of `sections` top-level keys with `entries` values each, most of them strings.
///
/// `width` is the length of a string in characters; it decides the size of the file.
pub(crate) fn configuration(path: &Path, sections: usize, entries: usize, width: usize) -> io::Result<()> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut out = BufWriter::new(File::create(path)?);
    for section in 0..sections {
        if section % 10 == 0 {
            writeln!(out, "# from the service catalogue, part {}", section / 10)?;
        }
        writeln!(out, "service-{section:06}:")?;
        for entry in 0..entries {
            write!(out, "    entry-{entry:02}: ")?;
            match random.below(20) {
                0 => writeln!(out, "{}", random.below(60_000) + 1)?,
                1 => writeln!(out, "{}", random.below(2) == 0)?,
                2 => writeln!(out, "{}.5", random.below(1000))?,
                3 => writeln!(out, "\"{}\"", random.text(width))?,
                _ => writeln!(out, "{}", random.text(width))?,
            }
        }
    }
    out.flush()
}

/// A Secret of three items.
pub(crate) fn secret(path: &Path) -> io::Result<()> {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let mut out = File::create(path)?;
    write!(
        out,
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: database\n  namespace: shop\ntype: Opaque\nstringData:\n  \
         username: shop\n  password: {}\n  url: postgres://shop:{}@database.shop.svc:5432/shop\n",
        random.text(24),
        random.text(24)
    )
}

/// Xorshift: the numbers need not be good, only always the same.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// Letters and digits that start with a letter and that no YAML reader takes for a number or a word of its own.
    pub(crate) fn text(&mut self, width: usize) -> String {
        const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
        let mut text = String::from("s");
        while text.len() < width {
            text.push(char::from(ALPHABET[usize::try_from(self.below(32)).unwrap_or(0)]));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_arguments_write_the_same_bytes_of_about_the_size_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("first"), folder.path().join("second"));
        configuration(&first, 400, 50, 35).unwrap();
        configuration(&second, 400, 50, 35).unwrap();
        let bytes = std::fs::read(&first).unwrap();
        assert_eq!(bytes, std::fs::read(&second).unwrap());
        assert!((900_000..1_100_000).contains(&bytes.len()), "{} bytes", bytes.len());
    }
}
