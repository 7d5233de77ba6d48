//! Why the data key could not be had, in the form of sops: every group, every key, and why each did not work.
//!
//! ```text
//! Failed to get the data key required to decrypt the SOPS file.
//!
//! Group 0: FAILED
//!   age1…: FAILED
//!     - | no identity here fits it
//!
//! Recovery failed because …
//! ```

use bulla_sops::{DataKeyError, GroupOutcome, KeyFailure};

use crate::shown::one_line;

use super::failure::{Failure, code};
use super::go::wrapped;

const HEAD: &str = "Failed to get the data key required to decrypt the SOPS file.";

/// Wide enough for a reason, and for the paragraph at the end.
const REASON: usize = 60;
const PARAGRAPH: usize = 75;

/// The data key could not be had.
pub(super) fn failure(error: DataKeyError) -> Failure {
    let (groups, trailer) = match &error {
        DataKeyError::NoKey { failures, .. } => (
            vec![group(0, failures)],
            "Recovery failed because no master key was able to decrypt the file. In order for SOPS to recover the file, at least one \
             key has to be successful, but none were."
                .to_owned(),
        ),
        DataKeyError::TooFewShares { needed, groups, .. } => {
            let opened = groups.iter().filter(|group| group.opened.is_some()).count();
            let group = |(number, outcome): (usize, &GroupOutcome)| match &outcome.opened {
                Some(_) => format!("Group {number}: SUCCESS"),
                None => group(number, &outcome.failures),
            };
            let trailer = format!(
                "Recovery failed because the file was encrypted with a Shamir threshold of {needed}, but only {opened} part(s) were \
                 successfully recovered, one for each successful key group. In order for SOPS to recover the file, at least {needed} \
                 groups have to be successful. In order for a group to be successful, decryption has to succeed with any of the keys \
                 in that key group."
            );
            (groups.iter().enumerate().map(group).collect(), trailer)
        }
        DataKeyError::Shares(_) => {
            return Failure::above(code::DATA_KEY, "could not get data key from shamir parts", error);
        }
        _ => return Failure::above(code::DATA_KEY, HEAD, error),
    };
    let text = format!("{HEAD}\n\n{}\n\n{}", groups.join("\n\n"), wrapped(&trailer, PARAGRAPH));
    Failure::below(code::DATA_KEY, text, error)
}

/// One group that did not give the data key, or its share.
fn group(number: usize, failures: &[KeyFailure]) -> String {
    let keys: Vec<String> = failures.iter().map(key).collect();
    format!("Group {number}: FAILED\n{}", keys.join("\n\n"))
}

fn key(failure: &KeyFailure) -> String {
    let reason = wrapped(&failure.reason.to_string(), REASON).replace('\n', "\n      | ");
    format!("  {}: FAILED\n    - | {reason}", one_line(&failure.id.name))
}
