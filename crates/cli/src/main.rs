//! The program `bulla`: Secrets in Git, for developers, CI and the cluster.
//!
//! ```text
//! app          the command line; one file a command in `commands/`
//! sops         the command line of SOPS, under its name
//! context      what the outside gives: environment, clock, randomness, standard streams
//! files        read whole, written whole or not at all, walked
//! batch        one command over many files, in parallel, reported in order
//! identities   what files are opened with: the private keys of age, from where SOPS looks for them, and the services
//! services     those that hold keys, gpg and key services, as the environment has them
//! sealing_keys the private keys of Sealed Secrets, from files
//! recipients   who may read a new file: `--age`, or the first rule that matches in `.sops.yaml`
//! value        the value that `set` and `seal --raw` take
//! key_path     what is at a path of a document
//! git          what Git ignores, and what it would commit
//! manifest     Kubernetes manifests: YAML or JSON streams ⇄ JSON values
//! value        the one value that `set` and `seal --raw` take
//! cluster      the controller, through the API server's service proxy
//! editing      a person's editor, plaintext in memory, what was saved kept encrypted
//! child        programs that are run with secrets, in their environment or as files
//! secret_data  the `data` of Kubernetes Secrets as text
//! terminal     questions to a person          cleanup     what a signal must not leave behind
//! error, exit  from an error of a library to `error:`, cause, `hint:` and the exit code
//! ```
//!
//! Data goes to standard output and everything else to standard error. Invariant: no message holds a secret.

mod app;
mod batch;
mod calls;
mod child;
mod cleanup;
mod cluster;
mod commands;
mod context;
mod editing;
mod error;
mod exit;
mod files;
mod git;
mod hardening;
mod identities;
mod key_path;
mod manifest;
mod private_directory;
mod progress;
mod recipients;
mod sealing_keys;
mod secret_data;
mod services;
mod shown;
mod sops;
mod terminal;
mod value;
mod wait;
mod words;

use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    match arguments.as_slice() {
        [program, arguments @ ..] if sops::is_its_name(program) => sops::run(arguments),
        [_, command, arguments @ ..] if command == sops::NAME => sops::run(arguments),
        _ => app::run(),
    }
}
