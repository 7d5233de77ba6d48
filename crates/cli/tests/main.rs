//! The program as its users meet it: transcripts of commands, what happens to files when something goes wrong, and the cluster asked as
//! `kubeseal` asks it, and keys of Vault and of the clouds; as `sops`, the tests of SOPS itself and the calls of those who call it.

mod callers;
mod check_ci;
mod check_fix;
mod check_git;
mod check_masking;
mod clouds;
mod controller;
mod documents;
mod environment;
mod fixture;
mod groups;
mod hostile;
mod interop;
mod keyservice;
mod kms;
mod mishaps;
mod pgp;
mod planted;
mod publish;
mod rotate_mishaps;
mod sops;
mod together;
mod transcript;
mod unchanged;
mod upstream;
mod vault;
