//! `sops --version`: the version of SOPS that this program does as, in the form that other programs read, and whose program it is.
//!
//! The real one asks the network by default whether there is a newer one; this one never does.

use std::fmt::Write as _;

use super::{FORMAT_VERSION, Outcome, Run};

pub(super) fn version(run: &Run<'_>) -> Outcome {
    let mut text = format!("sops {FORMAT_VERSION}\n");
    if !run.global.is("disable-version-check") || run.global.is("check-for-updates") {
        let _ = writeln!(
            text,
            "[info] this is bulla {}, which does as sops {FORMAT_VERSION} does; it asks nobody for a newer version",
            env!("CARGO_PKG_VERSION")
        );
    }
    run.print(text.as_bytes())
}
