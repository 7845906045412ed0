//! A listening address as it is written in a configuration file, and the socket bound to it.
//!
//! A socket that a service manager handed over (`LISTEN_FDS`, sd_listen_fds(3)) is taken before one is
//! bound, when it has the configured address. A Unix socket left behind by a dead process is replaced;
//! one that somebody answers on never is. This module does not accept connections.

use std::fmt;
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::IntoRawFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use listenfd::ListenFd;
use policy::document;
use serde::{Deserialize, Deserializer};

/// Where to listen: `unix:/run/gitward/authd.sock`, `127.0.0.1:9180` or `[::1]:9180`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// A Unix socket at an absolute path.
    Unix(PathBuf),
    /// A TCP address.
    Tcp(SocketAddr),
}

/// A bound, listening socket.
#[derive(Debug)]
pub enum Listener {
    /// Bound to a path.
    Unix(UnixListener),
    /// Bound to an address.
    Tcp(TcpListener),
}

/// A listening address that is written in no known form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid listening address {0:?}: expected unix:/absolute/path, 127.0.0.1:9180 or [::1]:9180")]
pub struct InvalidListen(String);

/// Why a listening address could not be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The directory of the Unix socket is not there.
    #[error("cannot listen on {listen}: the directory {} does not exist", directory.display())]
    NoDirectory {
        /// The address asked for.
        listen: Listen,
        /// The directory that is missing.
        directory: PathBuf,
    },
    /// Another process answers on the Unix socket.
    #[error("cannot listen on {0}: another process is listening there")]
    InUse(Listen),
    /// A file that is not a socket has the name of the Unix socket.
    #[error("cannot listen on {0}: there is a file of that name that is not a socket")]
    NotASocket(Listen),
    /// The system refused.
    #[error("cannot listen on {listen}")]
    Bind {
        /// The address asked for.
        listen: Listen,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

// === impl Listen ===

impl Listen {
    /// Returns the inherited socket with this address, or binds a new one.
    pub fn bind(&self) -> Result<Listener, BindError> {
        if let Some(inherited) = self.take_inherited() {
            return Ok(inherited);
        }
        match self {
            Self::Unix(path) => self.bind_unix(path).map(Listener::Unix),
            Self::Tcp(address) => {
                TcpListener::bind(address).map(Listener::Tcp).map_err(|source| self.refused(source))
            }
        }
    }

    fn bind_unix(&self, path: &Path) -> Result<UnixListener, BindError> {
        self.clear_stale(path)?;
        let listener = UnixListener::bind(path).map_err(|source| self.refused(source))?;
        // Between these two calls the process's umask holds, and connecting needs the write bit, which
        // no usual umask gives to others. Changing the umask instead would race with other threads.
        fs::set_permissions(path, fs::Permissions::from_mode(SOCKET_MODE))
            .map_err(|source| self.refused(source))?;
        Ok(listener)
    }

    /// Removes the socket of a process that is gone, and nothing else.
    fn clear_stale(&self, path: &Path) -> Result<(), BindError> {
        let metadata = match fs::symlink_metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return self.directory_exists(path),
            Err(source) => return Err(self.refused(source)),
        };
        if !metadata.file_type().is_socket() {
            return Err(BindError::NotASocket(self.clone()));
        }
        match UnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                fs::remove_file(path).map_err(|source| self.refused(source))
            }
            Ok(_) => Err(BindError::InUse(self.clone())),
            Err(source) => Err(self.refused(source)),
        }
    }

    fn directory_exists(&self, path: &Path) -> Result<(), BindError> {
        let directory = path.parent().unwrap_or_else(|| Path::new("/"));
        if directory.is_dir() {
            return Ok(());
        }
        Err(BindError::NoDirectory { listen: self.clone(), directory: directory.to_owned() })
    }

    fn take_inherited(&self) -> Option<Listener> {
        let mut inherited = ListenFd::from_env();
        (0..inherited.len()).find_map(|index| self.take_if_ours(&mut inherited, index))
    }

    /// A socket with another address is let go without closing it: it is for another listener.
    fn take_if_ours(&self, inherited: &mut ListenFd, index: usize) -> Option<Listener> {
        match self {
            Self::Unix(path) => {
                let socket = inherited.take_unix_listener(index).ok().flatten()?;
                if socket.local_addr().is_ok_and(|address| address.as_pathname() == Some(path)) {
                    return Some(Listener::Unix(socket));
                }
                let _still_open = socket.into_raw_fd();
            }
            Self::Tcp(wanted) => {
                let socket = inherited.take_tcp_listener(index).ok().flatten()?;
                if socket.local_addr().is_ok_and(|address| address == *wanted) {
                    return Some(Listener::Tcp(socket));
                }
                let _still_open = socket.into_raw_fd();
            }
        }
        None
    }

    fn refused(&self, source: io::Error) -> BindError {
        BindError::Bind { listen: self.clone(), source }
    }
}

impl FromStr for Listen {
    type Err = InvalidListen;

    fn from_str(text: &str) -> Result<Self, InvalidListen> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match Path::new(path).is_absolute() {
                true => Ok(Self::Unix(PathBuf::from(path))),
                false => Err(InvalidListen(text.to_owned())),
            };
        }
        text.parse().map(Self::Tcp).map_err(|_| InvalidListen(text.to_owned()))
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(address) => write!(f, "{address}"),
        }
    }
}

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        document::parsed(deserializer, str::parse)
    }
}

// === impl Listener ===

impl Listener {
    /// The address that was really bound; with port 0 asked for, the one the system chose.
    pub fn address(&self) -> io::Result<Listen> {
        match self {
            Self::Unix(socket) => {
                let address = socket.local_addr()?;
                Ok(Listen::Unix(address.as_pathname().unwrap_or_else(|| Path::new("")).to_owned()))
            }
            Self::Tcp(socket) => socket.local_addr().map(Listen::Tcp),
        }
    }
}

/// Owner and group may connect: nginx is put into the daemon's group.
const SOCKET_MODE: u32 = 0o660;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_prints_as_it_was_written() {
        for text in ["unix:/run/gitward/authd.sock", "127.0.0.1:9180", "[::1]:9180"] {
            assert_eq!(text.parse::<Listen>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn relative_socket_paths_and_bare_ports_are_refused() {
        for text in ["unix:authd.sock", "unix:", "9180", "localhost:9180", "/run/authd.sock", ""] {
            assert!(text.parse::<Listen>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_socket_is_open_to_owner_and_group_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let _listener = Listen::Unix(path.clone()).bind().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    }

    #[test]
    fn the_socket_of_a_dead_process_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let listen = Listen::Unix(directory.path().join("s"));
        drop(listen.bind().unwrap());
        assert_eq!(listen.bind().unwrap().address().unwrap(), listen);
    }

    #[test]
    fn a_socket_somebody_answers_on_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let listen = Listen::Unix(directory.path().join("s"));
        let _first = listen.bind().unwrap();
        assert!(matches!(listen.bind(), Err(BindError::InUse(_))));
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("precious");
        fs::write(&path, "data").unwrap();
        assert!(matches!(Listen::Unix(path.clone()).bind(), Err(BindError::NotASocket(_))));
        assert_eq!(fs::read(&path).unwrap(), b"data");
    }

    #[test]
    fn a_missing_directory_is_named_in_the_error() {
        let error = Listen::Unix("/nonexistent/dir/s".into()).bind().unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot listen on unix:/nonexistent/dir/s: the directory /nonexistent/dir does not exist"
        );
    }

    #[test]
    fn port_zero_becomes_the_port_the_system_chose() {
        let listener = "127.0.0.1:0".parse::<Listen>().unwrap().bind().unwrap();
        assert!(matches!(listener.address().unwrap(), Listen::Tcp(address) if address.port() != 0));
    }
}
