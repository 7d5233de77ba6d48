//! gpg: which program it is, and the terminal that its passphrases are asked for on.
//!
//! ```text
//! SOPS_GPG_EXEC      the program, if not `gpg` of PATH
//! GNUPGHOME          gpg finds it itself
//! GPG_TTY            likewise; where it is not set, it is the terminal that we were started from
//! ```

use std::ffi::OsString;
use std::io;
use std::sync::Arc;

use bulla_keys::pgp::Gpg;

use crate::context::Context;

/// gpg, for this command.
pub(crate) fn gpg(cx: &Context) -> Arc<Gpg> {
    let program = cx.variable("SOPS_GPG_EXEC").unwrap_or_else(|| "gpg".into());
    let terminal = if cx.variable("GPG_TTY").is_none() { terminal() } else { None };
    Arc::new(Gpg::new(program, terminal.map(|terminal| ("GPG_TTY", terminal))))
}

/// The name of the terminal that one of the standard streams is: gpg's own are pipes, so it could not tell.
fn terminal() -> Option<OsString> {
    use std::os::unix::ffi::OsStringExt as _;
    let name = rustix::termios::ttyname(io::stdin(), Vec::new())
        .or_else(|_| rustix::termios::ttyname(io::stderr(), Vec::new()))
        .or_else(|_| rustix::termios::ttyname(io::stdout(), Vec::new()));
    Some(OsString::from_vec(name.ok()?.into_bytes()))
}
