//! `sops updatekeys`: files get the keys of their rule. The data key stays, as there: who is taken off opens what is written later, too.
//! `bulla rotate` makes a new one.

use std::fmt::Write as _;
use std::io::BufRead as _;
use std::path::Path;

use bulla_keys::KeySources;
use bulla_sops::danger::{Dates, wrap_data_key_again};
use bulla_sops::rules::RuleError;
use bulla_sops::{GroupDifference, KeyGroups};

use crate::files::replace_or_overwrite;
use crate::shown::one_line;
use crate::wait::block_on;

use super::failure::{Failure, code};
use super::file::{Target, absolute_of, read_encrypted, read_file, sources};
use super::go::Level;
use super::recipe::{master_keys, no_rule, without_data_key};
use super::rules::{Configuration, required};
use super::{Outcome, Run, report};

pub(super) fn updatekeys(run: &Run<'_>) -> Outcome {
    let configuration = required(run)?;
    let files = run.arguments();
    if files.is_empty() {
        return Err(Failure::new(code::NO_FILE, "Error: no file specified"));
    }
    let ring = sources(run)?;
    let mut failed = 0;
    for name in files {
        match update(run, &configuration, &absolute_of(name)?, &ring) {
            Err(failure) if files.len() == 1 => return Err(failure),
            Err(failure) => {
                run.log(Level::Error, failure.message(), &[]);
                failed += 1;
            }
            Ok(()) => {}
        }
    }
    if failed > 0 {
        return Err(Failure::new(code::FAILED, format!("failed updating {failed} key(s)")));
    }
    Ok(())
}

fn update(run: &Run<'_>, configuration: &Configuration, path: &Path, ring: &KeySources<'_>) -> Outcome {
    let shown = one_line(&path.display().to_string());
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(Failure::new(code::FAILED, format!("stat {shown}: no such file or directory")));
        }
        Err(error) => return Err(Failure::new(code::FAILED, format!("stat {shown}: {error}"))),
        Ok(metadata) if metadata.is_dir() => {
            return Err(Failure::new(code::FAILED, "can't operate on a directory"));
        }
        Ok(_) => {}
    }
    let target = Target::of(run, Some(path.to_path_buf()))?;
    tell(run, &format!("Syncing keys for file {shown}"));
    let bytes = read_file(path)?;
    let file = read_encrypted(bytes.clone(), target.input)?;
    let wanted = match configuration.rules.rule_for(path) {
        Ok(rule) => rule.key_groups(&[]),
        Err(RuleError::NoRules) => {
            let config = configuration.path.display();
            return Err(Failure::new(
                code::FAILED,
                format!("The config file {config} does not contain any creation rule"),
            ));
        }
        Err(error) => return Err(no_rule(error, &configuration.path)),
    };
    let current = KeyGroups::of(file.metadata());
    let threshold = current.threshold.min(wanted.groups.len());
    let differences = current.differences(&wanted);
    if differences.iter().all(GroupDifference::is_none) && threshold == current.threshold {
        tell(run, &format!("File {shown} already up to date"));
        return Ok(());
    }
    let changes = format!(
        "The following changes will be made to the file's groups:\n{}{}",
        threshold_lines(current.threshold, threshold),
        lines(&differences)
    );
    run.print(changes.as_bytes())?;
    if !run.flags.is("yes") && !is_confirmed(run, "Is this okay? (y/n):")? {
        tell(run, &format!("File {shown} left unchanged"));
        return Ok(());
    }
    let key = block_on(file.data_key(ring)).map_err(report::failure)?;
    let wanted = KeyGroups { threshold, ..wanted };
    let keys = master_keys(ring, &wanted, None)?;
    let mut rng = run.cx.rng().map_err(Failure::from)?;
    let moment = (run.cx.now(), Dates::Renew);
    let again =
        block_on(wrap_data_key_again(&file, &key, &keys.by_group(), threshold, moment, &mut rng)).map_err(|error| {
            let failure = without_data_key(error);
            let reason = failure.message().replace("Could not generate data key: ", "");
            failure.saying(format!("error updating one or more master keys: {reason}"))
        })?;
    replace_or_overwrite(path, &bytes, &again)
        .map_err(|error| Failure::of(code::FAILED, "could not open file for writing", error))?;
    tell(run, &format!("File {shown} synced with new keys"));
    Ok(())
}

/// A line as Go's own logger writes it.
fn tell(run: &Run<'_>, message: &str) {
    run.cx.say(&format!("{} {message}\n", run.cx.now().strftime("%Y/%m/%d %H:%M:%S")));
}

/// How groups of keys change, in the lines of sops.
pub(super) fn lines(differences: &[GroupDifference]) -> String {
    let mut text = String::new();
    for (index, difference) in differences.iter().enumerate() {
        let _ = writeln!(text, "Group {}", index + 1);
        for (mark, keys) in [("   ", &difference.common), ("+++", &difference.added), ("---", &difference.removed)] {
            for key in keys {
                let _ = writeln!(text, "{mark} {}", one_line(&key.name));
            }
        }
    }
    text
}

fn threshold_lines(before: usize, after: usize) -> String {
    if before > 0 && before == after {
        return format!("shamir_threshold: {after}\n");
    }
    let added = if after > 0 { format!("+++ shamir_threshold: {after}\n") } else { String::new() };
    let removed = if before > 0 { format!("--- shamir_threshold: {before}\n") } else { String::new() };
    added + &removed
}

/// Asks on standard output until standard input says `y` or `n`.
///
/// # Errors
/// If it ends, or a line is none of one word.
pub(super) fn is_confirmed(run: &Run<'_>, question: &str) -> Result<bool, Failure> {
    let mut lines = std::io::stdin().lock();
    loop {
        run.print(question.as_bytes())?;
        let mut line = String::new();
        let read = lines.read_line(&mut line);
        let mut words = line.split_whitespace();
        match (read, words.next(), words.next()) {
            (Ok(0) | Err(_), ..) => return Err(Failure::new(code::FAILED, "EOF")),
            (Ok(_), None, _) => return Err(Failure::new(code::FAILED, "unexpected newline")),
            (Ok(_), Some(_), Some(_)) => return Err(Failure::new(code::FAILED, "expected newline")),
            (Ok(_), Some("y"), None) => return Ok(true),
            (Ok(_), Some("n"), None) => return Ok(false),
            (Ok(_), Some(_), None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use bulla_keys::{KeyId, Source};

    use super::*;

    #[test]
    fn changes_are_told_in_the_lines_of_sops() {
        let key = |name: &str| KeyId { source: Source::Age, name: name.to_owned() };
        let differences = [
            GroupDifference { common: vec![key("a")], added: vec![key("b")], removed: vec![key("c")] },
            GroupDifference::default(),
        ];
        assert_eq!(lines(&differences), "Group 1\n    a\n+++ b\n--- c\nGroup 2\n");
        for (before, after, expected) in
            [(0, 0, ""), (2, 2, "shamir_threshold: 2\n"), (3, 2, "+++ shamir_threshold: 2\n--- shamir_threshold: 3\n")]
        {
            assert_eq!(threshold_lines(before, after), expected);
        }
    }
}
