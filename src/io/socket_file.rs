//! The file by which a listening Unix socket is found.
//!
//! Rules: a file that nobody listens on any more is what a process that was killed has left, and is
//! replaced; one that somebody listens on, and anything that is no socket, is left alone. At the end
//! only what is still ours is removed: a successor may have taken the path over.

use std::fs::{self, Metadata};
use std::io::ErrorKind as Io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::net::SocketAddrUnix;

use super::dial::{attempt_unix, words};

/// How often a path may change under us before we give up.
const MOST_TRIES: usize = 4;

/// Made by [`SocketFile::bind`], removed when dropped.
#[derive(Debug)]
pub(super) struct SocketFile {
    /// Absolute: the host may change its working directory.
    path: PathBuf,
    identity: Identity,
}

/// Device and inode, which tell a file from another of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity(u64, u64);

impl SocketFile {
    /// Binds `socket` to `path`, which `address` is. Its mode is left to the umask. Errors are words.
    pub(super) fn bind(
        socket: &OwnedFd,
        path: &Path,
        address: &SocketAddrUnix,
    ) -> Result<SocketFile, String> {
        let path = std::path::absolute(path).map_err(|error| error.to_string())?;
        for _ in 0..MOST_TRIES {
            match rustix::net::bind(socket, address) {
                Ok(()) => return SocketFile::made_at(path),
                Err(Errno::ADDRINUSE) => remove_if_stale(&path, address)?,
                Err(errno) => return Err(words(errno)),
            }
        }
        Err("others take the path again and again".into())
    }

    fn made_at(path: PathBuf) -> Result<SocketFile, String> {
        match fs::symlink_metadata(&path) {
            Ok(found) => Ok(SocketFile { path, identity: identity(&found) }),
            Err(error) => Err(format!("the new socket is gone: {}", error.kind())),
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if is_still(&self.path, self.identity) {
            // Without the right to remove it, the file stays: the next one to listen replaces it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Makes room at `path`, or says why it must not.
fn remove_if_stale(path: &Path, address: &SocketAddrUnix) -> Result<(), String> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => identity(&found),
        Ok(_) => return Err("there is a file that is no socket".into()),
        Err(error) if error.kind() == Io::NotFound => return Ok(()),
        Err(error) => return Err(error.kind().to_string()),
    };
    match attempt_unix(address) {
        // A socket of a process that runs would have taken us, or said that its queue is full.
        Err(Errno::CONNREFUSED) => {}
        Err(Errno::NOENT) => return Ok(()),
        Ok(_) | Err(Errno::AGAIN | Errno::PROTOTYPE) => return Err("already in use".into()),
        Err(errno) => return Err(format!("already in use, perhaps: {}", words(errno))),
    }
    // Somebody else may have replaced it since.
    match is_still(path, found).then(|| fs::remove_file(path)) {
        Some(Err(error)) if error.kind() != Io::NotFound => {
            Err(format!("cannot remove what was left there: {}", error.kind()))
        }
        _ => Ok(()),
    }
}

fn identity(found: &Metadata) -> Identity {
    Identity(found.dev(), found.ino())
}

fn is_still(path: &Path, expected: Identity) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| identity(&found) == expected)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::io::listen::Listener;
    use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

    fn folder() -> (tempfile::TempDir, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.sock").to_str().unwrap().to_owned();
        (folder, path)
    }

    /// Why nobody can listen there.
    fn refusal(path: &str) -> String {
        let error = Listener::bind(&format!("unix:{path}")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        let start = format!("cannot listen on unix:{path}: ");
        error.message().strip_prefix(&start).unwrap().to_owned()
    }

    #[test]
    fn a_file_that_nobody_listens_on_any_more_is_replaced() {
        let (_folder, path) = folder();
        drop(UnixListener::bind(&path).unwrap());
        assert!(Path::new(&path).exists(), "std leaves the file, as a killed process does");
        let listener = Listener::bind(&format!("unix:{path}")).unwrap();
        UnixStream::connect(&path).unwrap();
        drop(listener);
        assert!(!Path::new(&path).exists());
    }

    #[test]
    fn a_socket_that_is_listened_on_is_left_alone() {
        let (_folder, path) = folder();
        let live = UnixListener::bind(&path).unwrap();
        assert_eq!(refusal(&path), "already in use");
        // Also when its queue is full.
        rustix::net::listen(&live, 0).unwrap();
        while attempt_unix(&SocketAddrUnix::new(path.as_str()).unwrap()).is_ok() {}
        assert_eq!(refusal(&path), "already in use");
        assert!(Path::new(&path).exists());
    }

    #[test]
    fn a_datagram_socket_that_is_in_use_is_left_alone() {
        let (_folder, path) = folder();
        let _live = UnixDatagram::bind(&path).unwrap();
        assert_eq!(refusal(&path), "already in use");
    }

    #[test]
    fn what_is_no_socket_is_left_alone() {
        let (folder, path) = folder();
        fs::write(&path, "precious").unwrap();
        assert_eq!(refusal(&path), "there is a file that is no socket");
        assert_eq!(fs::read(&path).unwrap(), b"precious");
        // Nor is a link to a stale socket ours to remove.
        let (stale, link) = (folder.path().join("stale"), folder.path().join("link"));
        drop(UnixListener::bind(&stale).unwrap());
        std::os::unix::fs::symlink(&stale, &link).unwrap();
        assert_eq!(refusal(link.to_str().unwrap()), "there is a file that is no socket");
        assert!(stale.exists() && link.exists());
    }

    #[test]
    fn a_successors_file_is_not_removed() {
        let (folder, path) = folder();
        let first = Listener::bind(&format!("unix:{path}")).unwrap();
        fs::rename(&path, folder.path().join("old")).unwrap();
        let _successor = Listener::bind(&format!("unix:{path}")).unwrap();
        drop(first);
        UnixStream::connect(&path).unwrap();
    }
}
