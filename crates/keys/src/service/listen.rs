//! Where a key service listens: a port, or a socket that is its owner's alone.
//!
//! ```text
//! a folder that nobody else may enter ─ bind ─ mode 0600 ─ rename to where it is asked for      so it is never open to others
//! what was there: a socket that nobody listens on any more is replaced; anything else is left, and an error
//! ```

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, UnixListener};

use super::address::ServiceAddress;

/// A place where a key service listens. A socket file is removed when this is dropped.
#[derive(Debug)]
pub struct Listener(pub(super) Kind);

#[derive(Debug)]
pub(super) enum Kind {
    Tcp(TcpListener),
    Unix(UnixListener, #[expect(dead_code, reason = "it removes the file when it goes")] SocketFile),
}

/// The file of a socket, as long as it is ours.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// Device and number of the file.
    identity: (u64, u64),
}

/// Why it cannot be listened there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// The system refuses.
    #[error("cannot listen on {address}: {source}")]
    System {
        /// Where.
        address: ServiceAddress,
        /// Why not.
        source: io::Error,
    },
    /// Another program does.
    #[error("cannot listen on {0}: another program listens there")]
    Taken(ServiceAddress),
    /// There is a file, and no socket.
    #[error("cannot listen on {0}: there is a file that is no socket")]
    NoSocket(ServiceAddress),
}

impl Listener {
    /// Listens on `address`, within a runtime.
    ///
    /// # Errors
    /// [`ListenError`]
    pub async fn bind(address: &ServiceAddress) -> Result<Self, ListenError> {
        let failed = |source: io::Error| ListenError::System { address: address.clone(), source };
        match address {
            ServiceAddress::Tcp(port) => match TcpListener::bind(port).await {
                Ok(listener) => Ok(Self(Kind::Tcp(listener))),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(ListenError::Taken(address.clone())),
                Err(error) => Err(failed(error)),
            },
            ServiceAddress::Unix(path) => {
                match fs::symlink_metadata(path) {
                    Ok(found) if !found.file_type().is_socket() => return Err(ListenError::NoSocket(address.clone())),
                    Ok(_) if UnixStream::connect(path).is_ok() => return Err(ListenError::Taken(address.clone())),
                    _ => {}
                }
                let (listener, file) = bind_alone(path).map_err(failed)?;
                Ok(Self(Kind::Unix(listener, file)))
            }
        }
    }

    /// The address of the port; the one that the system chose, if it was to.
    pub fn port(&self) -> Option<SocketAddr> {
        match &self.0 {
            Kind::Tcp(listener) => listener.local_addr().ok(),
            Kind::Unix(..) => None,
        }
    }
}

fn bind_alone(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Short, since the path of a socket must be; of this process, since two may start at once.
    let own = folder.join(format!(".k{}", std::process::id()));
    fs::DirBuilder::new().mode(0o700).create(&own)?;
    let bound = (|| {
        let temporary = own.join("s");
        let listener = UnixListener::bind(&temporary)?;
        fs::set_permissions(&temporary, fs::Permissions::from_mode(0o600))?;
        let found = fs::symlink_metadata(&temporary)?;
        fs::rename(&temporary, path)?;
        Ok((listener, SocketFile { path: path.to_path_buf(), identity: (found.dev(), found.ino()) }))
    })();
    // What went wrong before is told; what is left in it is nothing but a socket.
    let _ = fs::remove_dir_all(&own);
    bound
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = fs::symlink_metadata(&self.path).is_ok_and(|found| (found.dev(), found.ino()) == self.identity);
        if is_ours {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unix(path: &Path) -> ServiceAddress {
        ServiceAddress::Unix(path.to_path_buf())
    }

    #[tokio::test]
    async fn a_socket_is_its_owners_alone_and_goes_with_its_listener() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.sock");
        let listener = Listener::bind(&unix(&path)).await.unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(Listener::bind(&unix(&path)).await, Err(ListenError::Taken(_))));
        drop(listener);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn what_somebody_left_is_replaced_and_what_is_no_socket_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let first = Listener::bind(&unix(&path)).await.unwrap();
        // Somebody else's, in its place: not ours to remove.
        fs::remove_file(&path).unwrap();
        let _other = std::os::unix::net::UnixListener::bind(&path).unwrap();
        drop(first);
        assert!(path.exists());
        let file = folder.path().join("file");
        fs::write(&file, "kept").unwrap();
        assert!(matches!(Listener::bind(&unix(&file)).await, Err(ListenError::NoSocket(_))));
        assert_eq!(fs::read(&file).unwrap(), b"kept");
    }
}
