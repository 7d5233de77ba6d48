//! Keeps secrets in memory from ending in a core dump, or before the eyes of another process of the same user.

/// No core dumps, and on Linux no `ptrace` and no `/proc/PID/mem` for other processes of the same user.
///
/// A system that refuses is no reason to stop: it is a second line of defence.
pub(crate) fn forbid_dumps() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}
