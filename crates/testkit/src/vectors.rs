//! Cases that lie in a directory, one file each. Directories are walked: there is no list of names to forget one in.

use std::fs;
use std::path::{Path, PathBuf};

/// One case: `name: value` lines, an empty line, and the body.
///
/// ```text
/// expect: mac mismatch
/// comment: the last digit of the MAC was changed
/// made by: sops 3.13.3: sops encrypt --age age1… plain.yaml
///
/// a: ENC[AES256_GCM,…]
/// ```
///
/// C2SP's age vectors are written so, too.
#[derive(Clone, Debug)]
pub struct Vector {
    /// The file's path below the directory.
    pub name: String,
    /// The lines before the first empty one, in order.
    pub headers: Vec<(String, String)>,
    /// All after the first empty line.
    pub body: Vec<u8>,
}

impl Vector {
    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut named = self.headers.iter().filter(|(header, _)| header == name);
        named.next().map(|(_, value)| value.as_str())
    }

    /// All headers of this name, in order.
    pub fn headers_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    fn parse(name: String, content: &[u8]) -> Self {
        let mut headers = Vec::new();
        let mut rest = content;
        loop {
            let end = rest.iter().position(|&byte| byte == b'\n');
            let end = end.unwrap_or_else(|| panic!("{name}: the headers do not end with an empty line"));
            let line = String::from_utf8_lossy(&rest[..end]);
            rest = &rest[end + 1..];
            if line.is_empty() {
                return Self { name, headers, body: rest.to_vec() };
            }
            let (header, value) = line.split_once(": ").unwrap_or_else(|| panic!("{name}: not a header: {line:?}"));
            headers.push((header.to_owned(), value.to_owned()));
        }
    }
}

/// Every vector below `directory`, which is relative to the root of the checkout (or absolute), sorted by name.
///
/// # Panics
/// If there is none, or a file is not a vector.
pub fn vectors(directory: impl AsRef<Path>) -> Vec<Vector> {
    let parse = |File { name, path }: File| {
        let content = fs::read(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        Vector::parse(name, &content)
    };
    files(directory).into_iter().map(parse).collect()
}

/// A file found by [`files`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct File {
    /// Its path below the directory, with `/`.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
}

/// Every file below `directory`, which is relative to the root of the checkout (or absolute), sorted by name. Names that
/// begin with a dot are left out.
///
/// # Panics
/// If there is none.
pub fn files(directory: impl AsRef<Path>) -> Vec<File> {
    let directory = crate::workspace().join(directory);
    let mut found = Vec::new();
    collect(&directory, "", &mut found);
    assert!(!found.is_empty(), "no files in {}", directory.display());
    found.sort();
    found
}

fn collect(directory: &Path, prefix: &str, found: &mut Vec<File>) {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    for entry in entries {
        let entry = entry.unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        let file_name = entry.file_name();
        let file_name =
            file_name.to_str().unwrap_or_else(|| panic!("a name that is not UTF-8 in {}", directory.display()));
        if file_name.starts_with('.') {
            continue;
        }
        let path = entry.path();
        if path.is_dir() {
            collect(&path, &format!("{prefix}{file_name}/"), found);
        } else {
            found.push(File { name: format!("{prefix}{file_name}"), path });
        }
    }
}

/// Test data of others that lies beside the checkout (`../shared/data/NAME`), where it is there. Says so for the calling
/// test where it is not; `BULLA_SHARED_DATA` names another folder than `../shared/data`.
pub fn shared_data(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("BULLA_SHARED_DATA")
        .map_or_else(|| crate::workspace().join("../shared/data"), PathBuf::from)
        .join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    crate::say_left_out(&format!("no test data `{name}` beside the checkout"));
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_is_its_headers_and_its_body() {
        let vector =
            Vector::parse("case".to_owned(), b"expect: no key\nidentity: a\nidentity: b: c\n\nbody: 1\n\nrest");
        assert_eq!(vector.header("expect"), Some("no key"));
        assert_eq!(vector.headers_named("identity").collect::<Vec<_>>(), ["a", "b: c"]);
        assert_eq!(vector.header("comment"), None);
        assert_eq!(vector.body, b"body: 1\n\nrest");
    }

    #[test]
    fn files_are_found_at_every_depth_in_order() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("b/c")).unwrap();
        for name in ["b/c/d", "z", "a", ".hidden"] {
            fs::write(directory.path().join(name), name).unwrap();
        }
        let names: Vec<String> = files(directory.path()).into_iter().map(|file| file.name).collect();
        assert_eq!(names, ["a", "b/c/d", "z"]);
    }

    #[test]
    #[should_panic(expected = "no files in")]
    fn an_empty_directory_is_a_failure() {
        files(tempfile::tempdir().unwrap().path());
    }

    #[test]
    fn the_age_vectors_are_vectors() {
        let Some(folder) = shared_data("age-vectors") else {
            return;
        };
        let vectors = vectors(folder);
        assert!(vectors.len() > 90, "only {} vectors", vectors.len());
        assert!(vectors.iter().all(|vector| vector.header("expect").is_some()));
    }
}
