//! Keeps secrets in memory from ending in a core dump, or before the eyes of another process of the same user.

use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The limit on core dumps as it was.
static BEFORE: OnceLock<Rlimit> = OnceLock::new();

/// No core dumps, and on Linux no `ptrace` and no `/proc/PID/mem` for other processes of the same user.
///
/// A system that refuses is no reason to stop: it is a second line of defence.
pub(crate) fn forbid_dumps() {
    let before = BEFORE.get_or_init(|| getrlimit(Resource::Core));
    // The highest value stays: a program that is started with secrets gets back what it would have had.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: before.maximum });
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}

/// The limit on core dumps as it was, for a program that is started next: its memory is its own matter. We are not dumped all the same, where
/// the system has another means for that.
pub(crate) fn restore_limit() {
    #[cfg(target_os = "linux")]
    if let Some(before) = BEFORE.get() {
        let _ = setrlimit(Resource::Core, *before);
    }
}
