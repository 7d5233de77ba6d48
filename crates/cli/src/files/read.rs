//! Reading: whole, into a buffer that wipes itself and leaves no copy behind when it grows.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use bulla_wipe::Wiping;

use crate::error::CommandError;
use crate::exit::Exit;
use crate::files::Selected;

/// Files longer than this are refused: offsets into a document are 32 bits wide.
const LONGEST: u64 = u32::MAX as u64;

/// Where bytes came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    Stdin,
    File(PathBuf),
}

impl Origin {
    /// The file, if it is one.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::Stdin => None,
            Self::File(path) => Some(path),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdin => f.write_str("standard input"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// What was read, and from where.
pub(crate) struct Source {
    pub(crate) origin: Origin,
    pub(crate) bytes: Wiping<Vec<u8>>,
}

/// Reads the whole file.
///
/// # Errors
/// [`Exit::NoFile`] if there is none, as SOPS; [`Exit::Input`] otherwise.
pub(crate) fn read_file(path: &Path) -> Result<Source, CommandError> {
    let bytes = read_bytes(path).map_err(|error| {
        let exit = if error.kind() == io::ErrorKind::NotFound { Exit::NoFile } else { Exit::Input };
        let hint = hint(&error, path);
        let failed = CommandError::new(exit, CannotRead(error)).at(path.display());
        hint.into_iter().fold(failed, CommandError::hint)
    })?;
    Ok(Source { origin: Origin::File(path.to_path_buf()), bytes })
}

/// Reads a file, or standard input.
///
/// # Errors
/// As [`read_file`].
pub(crate) fn read_selected(selected: &Selected) -> Result<Source, CommandError> {
    selected.origin.path().map_or_else(read_stdin, read_file)
}

/// Reads standard input to its end.
fn read_stdin() -> Result<Source, CommandError> {
    let bytes = read_all(io::stdin().lock(), 0)
        .map_err(|error| CommandError::new(Exit::Input, CannotRead(error)).at(Origin::Stdin))?;
    Ok(Source { origin: Origin::Stdin, bytes })
}

#[derive(Debug, thiserror::Error)]
#[error("cannot be read")]
struct CannotRead(#[source] io::Error);

fn hint(error: &io::Error, path: &Path) -> Option<String> {
    match error.kind() {
        io::ErrorKind::NotFound if path.is_symlink() => {
            Some("it is a symbolic link whose target does not exist".to_owned())
        }
        io::ErrorKind::PermissionDenied => Some("its permissions do not let this user read it".to_owned()),
        _ => None,
    }
}

/// The content of a file.
pub(crate) fn read_bytes(path: &Path) -> io::Result<Wiping<Vec<u8>>> {
    if fs::metadata(path)?.is_dir() {
        return Err(io::Error::from(io::ErrorKind::IsADirectory));
    }
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    read_all(file, length)
}

/// Reads to the end, leaving no copy behind. `expected` is a guess of the length.
pub(crate) fn read_all(mut reader: impl Read, expected: u64) -> io::Result<Wiping<Vec<u8>>> {
    let too_long = || io::Error::new(io::ErrorKind::FileTooLarge, "longer than 4 GiB");
    if expected > LONGEST {
        return Err(too_long());
    }
    // One byte more than expected: the end is seen without growing.
    let mut buffer = Wiping::new(vec![0; (expected as usize + 1).max(8 << 10)]);
    let mut length = 0;
    loop {
        if length == buffer.len() {
            if length as u64 > LONGEST {
                return Err(too_long());
            }
            // Growing in place may leave the old bytes behind; a buffer that is dropped is wiped.
            let mut larger = Wiping::new(vec![0; length * 2]);
            larger[..length].copy_from_slice(&buffer);
            buffer = larger;
        }
        match reader.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    buffer.truncate(length);
    Ok(buffer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_read_whatever_was_expected() {
        for length in [0, 1, 8191, 8192, 8193, 100_000_usize] {
            let content: Vec<u8> = (0..length).map(|index| (index % 251) as u8).collect();
            for expected in [0, 1, length as u64, 200_000] {
                assert_eq!(*read_all(&content[..], expected).unwrap(), content, "{length} bytes, {expected} expected");
            }
        }
    }

    #[test]
    fn a_file_that_is_missing_or_no_file_has_its_exit_code() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(read_file(&directory.path().join("none")).err().unwrap().exit(), Exit::NoFile);
        assert_eq!(read_file(directory.path()).err().unwrap().exit(), Exit::Input);
    }
}
