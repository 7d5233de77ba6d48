//! `bulla unset`

use std::path::PathBuf;

use bulla_sops::Change;

use crate::commands::change::{ChangeArgs, change};
use crate::context::Context;
use crate::error::CommandError;
use crate::key_path::PathText;

/// Remove values of an encrypted file, in place
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  bulla unset shop.yaml db.old-password
  bulla unset shop.yaml users[2] users[1]      one after the other")]
pub(crate) struct UnsetArgs {
    /// Encrypted file
    file: PathBuf,

    /// What: keys and indices, such as `db.hosts[0]`, or as SOPS writes them
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,

    #[command(flatten)]
    change: ChangeArgs,
}

pub(crate) fn unset(cx: &Context, args: &UnsetArgs) -> Result<(), CommandError> {
    let paths = args.paths.iter().map(|path| path.parse()).collect::<Result<Vec<PathText>, _>>()?;
    let remove = |_: &_, paths: Vec<_>| Ok(paths.into_iter().map(|path| Change::Remove { path }).collect());
    change(cx, &args.file, &args.change, &paths, remove)
}
