//! `bulla unset`

use std::path::PathBuf;

use bulla_sops::Change;

use crate::app::Failure;
use crate::commands::change::{ChangeArgs, change};
use crate::context::Context;
use crate::key_path::PathText;

/// Remove values of encrypted files, in place
///
/// In a directory, files that do not have all of them are passed over.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  bulla unset shop.yaml db.old-password
  bulla unset shop.yaml users[2] users[1]      one after the other
  bulla unset 'secrets/*.yaml' db.old-password")]
pub(crate) struct UnsetArgs {
    /// Encrypted file; a pattern or a directory for several
    file: PathBuf,

    /// What: keys and indices, such as `db.hosts[0]`, or as SOPS writes them
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,

    #[command(flatten)]
    change: ChangeArgs,
}

pub(crate) fn unset(cx: &Context, args: &UnsetArgs) -> Result<(), Failure> {
    let paths = args.paths.iter().map(|path| path.parse()).collect::<Result<Vec<PathText>, _>>()?;
    let remove = |_: &_, paths: Vec<_>| Ok(paths.into_iter().map(|path| Change::Remove { path }).collect());
    change(cx, &args.file, &args.change, &paths, remove)
}
