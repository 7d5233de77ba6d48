//! Completion of command lines: the scripts, and the answers to what they ask with `--generate-bash-completion`.

use std::ffi::OsString;

use super::flags::Flag;
use super::help::dashed;
use super::table::Command;
use super::{Outcome, Run};

/// What the scripts put at the end of a line that is to be completed.
pub(super) const ASKED: &str = "--generate-bash-completion";

const BASH: &str = r#"# bash: source <(sops completion bash)
_sops_complete() {
    local word="${COMP_WORDS[COMP_CWORD]}"
    local line=("${COMP_WORDS[@]:0:COMP_CWORD}")
    [[ $word == -* ]] && line+=("$word")
    COMPREPLY=($(compgen -W "$("${line[@]}" --generate-bash-completion 2>/dev/null)" -- "$word"))
}
complete -o bashdefault -o default -F _sops_complete sops
"#;

const ZSH: &str = r#"#compdef sops
# zsh: source <(sops completion zsh)
_sops_complete() {
    local -a found line
    line=("${words[@]:0:$((CURRENT - 1))}")
    [[ "${words[CURRENT]}" == -* ]] && line+=("${words[CURRENT]}")
    found=("${(@f)$(_CLI_ZSH_AUTOCOMPLETE_HACK=1 "${line[@]}" --generate-bash-completion 2>/dev/null)}")
    if [[ -n "${found[1]}" ]]; then
        _describe 'values' found
    else
        _files
    fi
}
compdef _sops_complete sops
"#;

/// `sops completion bash`
pub(super) fn bash(run: &Run<'_>) -> Outcome {
    run.print(BASH.as_bytes())
}

/// `sops completion zsh`
pub(super) fn zsh(run: &Run<'_>) -> Outcome {
    run.print(ZSH.as_bytes())
}

/// What could follow. `line` is the whole command line without what asks; `flags` are those that could stand here, `commands` likewise.
pub(super) fn suggestions(line: &[OsString], flags: &[Flag], commands: &[(&str, &str)], with_help: bool) -> String {
    let mut text = String::new();
    if let Some(last) = line.last().and_then(|last| last.to_str()).filter(|last| last.starts_with('-')) {
        let begun = last.strip_prefix("--").or_else(|| last.strip_prefix('-')).unwrap_or_default();
        for flag in flags {
            let is_there = flag.names.iter().any(|name| line.iter().any(|word| *word == *dashed(name)));
            for name in flag.names {
                let fits = name.starts_with(begun) && *name != begun && !(last.starts_with("--") && name.len() == 1);
                if fits && !is_there {
                    text.push_str(&dashed(name));
                    text.push('\n');
                }
            }
        }
        return text;
    }
    for (name, help) in commands {
        text.push_str(name);
        if with_help {
            text.push(':');
            text.push_str(help);
        }
        text.push('\n');
    }
    text
}

/// The names of commands, with what they do.
pub(super) fn names(commands: &'static [Command]) -> Vec<(&'static str, &'static str)> {
    let help = "list the commands, or show the help of one";
    let commands = commands.iter().map(|command| (command.name, command.help));
    commands.chain([("help", help), ("h", help)]).collect()
}
