//! One file a command. Each has its options, and a function that reads from top to bottom what the command does.

pub(crate) mod cert;
pub(crate) mod change;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod controller;
pub(crate) mod decrypt;
pub(crate) mod edit;
pub(crate) mod encrypt;
pub(crate) mod exec;
pub(crate) mod get;
pub(crate) mod keygen;
pub(crate) mod keyservice;
pub(crate) mod opened;
pub(crate) mod reseal;
pub(crate) mod rotate;
pub(crate) mod seal;
pub(crate) mod set;
pub(crate) mod status;
pub(crate) mod unseal;
pub(crate) mod unset;
pub(crate) mod verify;
pub(crate) mod version;
