//! `bulla unset`

use std::path::PathBuf;

use bulla_sops::{Change, KeyPath};

use crate::commands::change::{ChangeArgs, change};
use crate::context::Context;
use crate::error::CommandError;

/// Remove values of an encrypted file, in place
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  bulla unset shop.yaml '[\"db\"][\"old-password\"]'
  bulla unset shop.yaml '[\"users\"][2]' '[\"users\"][1]'      one after the other")]
pub(crate) struct UnsetArgs {
    /// Encrypted file
    file: PathBuf,

    /// What: keys in quotes and indices, each in brackets
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,

    #[command(flatten)]
    change: ChangeArgs,
}

pub(crate) fn unset(cx: &Context, args: &UnsetArgs) -> Result<(), CommandError> {
    let paths = args.paths.iter().map(|path| path.parse::<KeyPath>()).collect::<Result<Vec<_>, _>>()?;
    let changes: Vec<Change> = paths.into_iter().map(|path| Change::Remove { path }).collect();
    change(cx, &args.file, &args.change, changes)
}
