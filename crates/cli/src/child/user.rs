//! Another user, for a program that is to run as them: from `/etc/passwd` and `/etc/group`, with all their groups.

use std::ffi::CStr;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;

use rustix::fs::{AtFlags, Gid, Uid};

use crate::error::CommandError;
use crate::exit::Exit;

/// A user of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    /// What they are called.
    pub(crate) name: String,
    /// Where they are at home.
    pub(crate) home: PathBuf,
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
}

impl User {
    /// The user of this name.
    ///
    /// # Errors
    /// [`Exit::Usage`] if there is none.
    pub(crate) fn find(name: &str) -> Result<Self, CommandError> {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        Self::read(name, &read("/etc/passwd"), &read("/etc/group")).ok_or_else(|| {
            CommandError::new(Exit::Usage, format!("there is no user `{name}` in `/etc/passwd`"))
                .hint("users of a directory service are not looked for")
        })
    }

    fn read(name: &str, users: &str, groups: &str) -> Option<Self> {
        let fields = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let found = fields.into_iter().find(|fields| fields.len() >= 6 && fields[0] == name)?;
        let (uid, gid) = (found[2].parse().ok()?, found[3].parse().ok()?);
        let mut all = vec![gid];
        for line in groups.lines() {
            let fields: Vec<&str> = line.split(':').collect();
            if let [_, _, number, members] = fields[..]
                && members.split(',').any(|member| member == name)
                && let Ok(number) = number.parse()
                && !all.contains(&number)
            {
                all.push(number);
            }
        }
        Some(Self { name: name.to_owned(), home: found[5].into(), uid, gid, groups: all })
    }

    /// Makes them the owner of what has this name in a directory; of a link, of the link.
    pub(crate) fn give(&self, directory: impl AsFd, name: &CStr) -> io::Result<()> {
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        Ok(rustix::fs::chownat(directory, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Makes them the owner of what is open.
    pub(crate) fn give_opened(&self, opened: impl AsFd) -> io::Result<()> {
        Ok(rustix::fs::fchown(opened, Some(Uid::from_raw(self.uid)), Some(Gid::from_raw(self.gid)))?)
    }

    /// Does `start` with their rights, or with ours if there is no `user`. What is started keeps them; we keep ours.
    ///
    /// # Errors
    /// [`Exit::Failed`] if we may not.
    pub(crate) fn take_on<T: Send>(user: Option<&Self>, start: impl FnOnce() -> T + Send) -> Result<T, CommandError> {
        let Some(user) = user else { return Ok(start()) };
        // On Linux rights belong to the thread, and a process that it starts gets them.
        let started = std::thread::scope(|scope| {
            let thread = scope.spawn(|| user.assume().map(|()| start()));
            thread.join()
        });
        match started {
            Ok(Ok(started)) => Ok(started),
            Ok(Err(error)) => {
                Err(CommandError::new(Exit::Failed, format!("cannot run a program as `{}`: {error}", user.name))
                    .hint("only root may"))
            }
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    #[cfg(target_os = "linux")]
    fn assume(&self) -> io::Result<()> {
        use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
        let groups: Vec<_> = self.groups.iter().map(|group| Gid::from_raw(*group)).collect();
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        set_thread_groups(&groups)?;
        set_thread_res_gid(gid, gid, gid)?;
        Ok(set_thread_res_uid(uid, uid, uid)?)
    }

    #[cfg(not(target_os = "linux"))]
    #[expect(clippy::unused_self, reason = "rights belong to threads on Linux only")]
    fn assume(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn a_user_is_found_with_all_groups() {
        let users = "admin:x:0:0:admin:/srv:/bin/sh\nweb:x:33:34:web:/var/www:/usr/sbin/nologin\nbroken\n";
        let groups = "admin:x:0:\nweb:x:34:web\nadm:x:4:syslog,web\nssl:x:110:web\nothers:x:5:webby\n";
        let user = User::read("web", users, groups).unwrap();
        assert_eq!((user.uid, user.gid, user.groups), (33, 34, vec![34, 4, 110]));
        assert_eq!(user.home, Path::new("/var/www"));
        assert_eq!(User::read("nobody", users, groups), None);
    }
}
