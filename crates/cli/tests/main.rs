//! The program as its users meet it: transcripts of commands, what happens to files when something goes wrong, and the cluster asked as
//! `kubeseal` asks it, and keys of Vault.

mod check_ci;
mod check_fix;
mod check_git;
mod fixture;
mod interop;
mod mishaps;
mod transcript;
mod vault;
