//! Programs that call `sops`, with the calls that they make; each on the real SOPS first, which proves the call, then on ours under its
//! name. And programs that read the files without calling anything: what they look for, and SOPS' library, which they are built with.

mod ansible;
mod editor;
mod files;
mod helm;

use std::os::unix::fs::symlink;

use bulla_testkit::peers;

use crate::fixture::{Place, bulla};

/// A place where `sops` is the real one, and a place where it is bulla.
fn places() -> [(&'static str, Place); 2] {
    let ours = Place::new();
    let link = ours.root().join("bin/sops");
    std::fs::create_dir(link.parent().unwrap()).unwrap();
    symlink(bulla(), &link).unwrap();
    [("sops", Place::new().with_program(&peers::sops())), ("bulla", ours.with_program(&link))].map(|(name, place)| {
        let rule = "creation_rules:\n- age: $ALICE\n".replace("$ALICE", &crate::fixture::Keys::shared().alice);
        place.write(".sops.yaml", rule);
        (name, place)
    })
}

/// The lines of a file that a change brought, but for the date, which may be the same.
fn new_lines<'t>(before: &str, after: &'t str) -> Vec<&'t str> {
    let is_new = |line: &&str| !before.contains(*line) && !line.trim_start().starts_with("lastmodified");
    after.lines().filter(is_new).collect()
}
