//! `bulla completions`

use clap_complete::Shell;

use crate::app;
use crate::context::Context;
use crate::error::CommandError;

/// Print the completion script of a shell
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  bulla completions bash > ~/.local/share/bash-completion/completions/bulla
  bulla completions zsh > ~/.zfunc/_bulla
  bulla completions fish > ~/.config/fish/completions/bulla.fish")]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

pub(crate) fn completions(cx: &Context, args: &CompletionsArgs) -> Result<(), CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut app::command_line(), "bulla", &mut script);
    cx.print(&script)
}
