//! `sops publish`: files go where a rule of `destination_rules` says. Vault gets the values, a bucket the encrypted file.
//!
//! ```text
//! FILE or what is below a directory ─ rule ─┬─ vault_path: decrypted, merged into one object ─ the same there already? ─ written
//!                                           └─ s3_bucket, gcs_bucket: as it is, or encrypted again for whom `recreation_rule` names
//! ```
//! Source: sops 3.13.3 `cmd/sops/subcommand/publish`, `publish`.

mod bucket;
mod vault;

use std::path::{Path, PathBuf};

use bulla_doc::{Document, Tree};
use bulla_keys::KeySources;
use bulla_sops::EncryptedFile;
use bulla_sops::rules::{Destination, DestinationRule, RuleError};
use bulla_wipe::Wiping;

use crate::error::CommandError;
use crate::services::{Bucket, Buckets};
use crate::shown::one_line;

use super::failure::{Failure, code};
use super::file::{Target, absolute_of, open, read_encrypted, read_file, sources, warn_of_more};
use super::rules::{Configuration, required};
use super::updatekeys::is_confirmed;
use super::{Outcome, Run};

pub(super) fn publish(run: &Run<'_>) -> Outcome {
    let configuration = required(run)?;
    let Some(name) = run.arguments().first() else {
        return Err(Failure::new(code::NO_FILE, "Error: no file specified"));
    };
    warn_of_more(run);
    let root = Path::new(name);
    let metadata = std::fs::metadata(root).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            Failure::new(code::FAILED, format!("stat {}: no such file or directory", root.display()))
        }
        _ => Failure::new(code::FAILED, format!("stat {}: {error}", root.display())),
    })?;
    if metadata.is_dir() && !run.flags.is("recursive") {
        return Err(Failure::fatal("can't operate on a directory without --recursive flag."));
    }
    let publisher = Publisher { run, configuration, root, ring: sources(run)?, buckets: Buckets::new(run.cx) };
    files_below(root)?.iter().try_for_each(|file| publisher.publish(file))
}

/// The file, or every file below the directory, in the order of their names. Links are not followed.
fn files_below(root: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |error: std::io::Error| Failure::new(code::FAILED, format!("{}: {error}", root.display()));
    let mut waiting = vec![root.to_path_buf()];
    let mut files = Vec::new();
    while let Some(path) = waiting.pop() {
        let is_directory = if path == root {
            std::fs::metadata(&path).map_err(failed)?.is_dir()
        } else {
            std::fs::symlink_metadata(&path).map_err(failed)?.is_dir()
        };
        if !is_directory {
            files.push(path);
            continue;
        }
        let entries = std::fs::read_dir(&path).map_err(failed)?;
        let mut inside =
            entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>().map_err(failed)?;
        inside.sort();
        waiting.extend(inside.into_iter().rev());
    }
    Ok(files)
}

/// What all files of a run have in common.
struct Publisher<'a> {
    run: &'a Run<'a>,
    configuration: Configuration,
    /// What was named: a file, or the directory that it lies below.
    root: &'a Path,
    ring: KeySources<'a>,
    buckets: Buckets<'a>,
}

/// What goes where.
enum Upload {
    Secret { address: String, secret: vault::Secret },
    Object { bucket: Bucket, key: String, content: Wiping<Vec<u8>> },
}

impl Publisher<'_> {
    fn publish(&self, path: &Path) -> Outcome {
        let run = self.run;
        let rule = self.rule_for(path)?;
        let Some(destination) = &rule.destination else {
            return Err(Failure::new(code::FAILED, "no destination configured for this file"));
        };
        let name = self.name_there(rule, path)?;
        let target = Target::of(run, Some(path.to_path_buf()))?;
        let bytes = read_file(path)?;
        let file = read_encrypted(bytes.clone(), target.input)?;
        let (place, upload) = self.prepare(rule, destination, &name, &target, (&file, bytes))?;
        let absolute = absolute_of(path.as_os_str())?;
        let question = format!("uploading {} to {place} ? (y/n): ", one_line(&absolute.display().to_string()));
        if !run.flags.is("yes") && !is_confirmed(run, &question)? {
            let message = format!("Publication of {} canceled", absolute.display());
            if run.flags.is("recursive") {
                return run.print(format!("{message}\n").as_bytes());
            }
            return Err(Failure::new(code::FAILED, message));
        }
        match upload {
            Upload::Secret { address, secret } => vault::upload(run, &address, &secret),
            Upload::Object { bucket, key, content } => self
                .buckets
                .put(&bucket, &key, content)
                .map_err(|error| Failure::of(code::FAILED, &place, CommandError::of_bucket(error, &bucket))),
        }
    }

    fn rule_for(&self, path: &Path) -> Result<&DestinationRule, Failure> {
        let failed = |error: RuleError| CommandError::from(error).at(self.configuration.path.display());
        self.configuration.rules.destination_for(&path.to_string_lossy()).map_err(|error| match error {
            RuleError::NoDestination { .. } => {
                let words = "error loading config: no matching destination found in config";
                Failure::above(code::FAILED, words, failed(error))
            }
            error => Failure::of(code::FAILED, "error loading config", failed(error)),
        })
    }

    /// What is uploaded, and where that is, in the words of sops.
    fn prepare(
        &self,
        rule: &DestinationRule,
        destination: &Destination,
        name: &str,
        target: &Target,
        (file, bytes): (&EncryptedFile, Wiping<Vec<u8>>),
    ) -> Result<(String, Upload), Failure> {
        let bucket = match destination {
            Destination::S3 { bucket, prefix } => (Bucket::S3(bucket.clone()), prefix),
            Destination::Gcs { bucket, prefix } => (Bucket::Gcs(bucket.clone()), prefix),
            Destination::Vault { address, path, mount, version } => {
                let plain = open(self.run, file, &self.ring)?.to_plain();
                let document = Document::parse_owned(plain, target.input);
                let document = document.map_err(|error| Failure::of(code::FAILED, "", error))?;
                let data: Tree = vault::merged(&document)?;
                let address = if address.is_empty() { vault::server(self.run) } else { address.clone() };
                let has_versions = *version == 2;
                let path = format!("{mount}{}{path}{name}", if has_versions { "data/" } else { "" });
                let place = format!("{address}/v1/{path}");
                let secret = vault::Secret { path, has_versions, data };
                return Ok((place, Upload::Secret { address, secret }));
            }
        };
        let (bucket, prefix) = bucket;
        let content = bucket::content(self.run, rule, (file, bytes), target, &self.ring)?;
        Ok((destination.place(name), Upload::Object { bucket, key: format!("{prefix}{name}"), content }))
    }

    /// What the file is called there: its name, or its path below the directory that was named.
    fn name_there(&self, rule: &DestinationRule, path: &Path) -> Result<String, Failure> {
        let mut name = if self.run.flags.is("recursive") && path != self.root {
            path.strip_prefix(self.root).unwrap_or(path).to_path_buf()
        } else {
            PathBuf::from(path.file_name().unwrap_or_default())
        };
        if self.run.flags.is("omit-extensions") || rule.omit_extensions {
            name.set_extension("");
        }
        let text = name.to_string_lossy().into_owned();
        if text.split('/').any(|part| part == "..") {
            return Err(Failure::new(
                code::FAILED,
                format!("{}: its name would lead out of the destination", path.display()),
            ));
        }
        Ok(text)
    }
}
