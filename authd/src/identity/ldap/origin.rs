//! What an LDAP directory is made from: its configuration and the files it names, read once.
//!
//! A password that others on the machine can read is refused. Two origins that are equal make the same
//! directory, so a reload that changes nothing here leaves connections and memory alone.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use daemon::files::Files;
use zeroize::Zeroizing;

use crate::config::{CacheConfig, FailuresConfig, LdapConfig};

/// Everything that decides how a directory behaves.
#[derive(Clone, PartialEq, Eq)]
pub struct Origin {
    /// The entry in `directories:`.
    pub config: LdapConfig,
    /// How long outcomes are remembered.
    pub cache: CacheConfig,
    /// How long a wrong password is.
    pub failures: FailuresConfig,
    /// The service account's password.
    pub password: Option<Zeroizing<String>>,
    /// The files that `tls:` names.
    pub tls: TlsFiles,
}

/// PEM, as read.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// `ca_file`
    pub ca: Option<Vec<u8>>,
    /// `certificate_file` and `key_file`
    pub client: Option<(Vec<u8>, Zeroizing<Vec<u8>>)>,
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OriginError {
    /// The system would not read it.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Everybody on the machine can read a secret.
    #[error("{}: can be read by everybody (mode {mode:04o}): chmod 600 it", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A password file without a password: a bind with it would be an anonymous one.
    #[error("{}: does not hold a password: one line of 1 to {MAX_PASSWORD} bytes", path.display())]
    NoPassword {
        /// The file.
        path: PathBuf,
    },
}

impl Origin {
    /// Reads the files the configuration names, and notes them in `files`.
    pub fn read(
        config: &LdapConfig,
        cache: CacheConfig,
        failures: FailuresConfig,
        files: &mut Files,
    ) -> Result<Self, OriginError> {
        let service = config.service.as_ref();
        let password = service.map(|service| password(&service.password_file, files)).transpose()?;
        let ca = config.tls.ca_file.as_deref().map(|file| read(file, files)).transpose()?;
        let client = config.tls.client.as_ref().map(|client| {
            let key = Zeroizing::new(secret(&client.key_file, files)?);
            Ok((read(&client.certificate_file, files)?, key))
        });
        let tls = TlsFiles { ca, client: client.transpose()? };
        Ok(Self { config: config.clone(), cache, failures, password, tls })
    }
}

/// The first line; editors end files with a newline that is no part of the password.
fn password(path: &Path, files: &mut Files) -> Result<Zeroizing<String>, OriginError> {
    let no_password = || OriginError::NoPassword { path: path.to_owned() };
    let bytes = Zeroizing::new(secret(path, files)?);
    let text = std::str::from_utf8(&bytes).map_err(|_| no_password())?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    match text.is_empty() || text.len() > MAX_PASSWORD || text.chars().any(char::is_control) {
        true => Err(no_password()),
        false => Ok(Zeroizing::new(text.to_owned())),
    }
}

fn secret(path: &Path, files: &mut Files) -> Result<Vec<u8>, OriginError> {
    let bytes = read(path, files)?;
    match files.mode(path).filter(|mode| mode & EVERYBODY != 0) {
        Some(mode) => Err(OriginError::Exposed { path: path.to_owned(), mode }),
        None => Ok(bytes),
    }
}

fn read(path: &Path, files: &mut Files) -> Result<Vec<u8>, OriginError> {
    files.read(path, MAX_FILE).map_err(|source| OriginError::Read { path: path.to_owned(), source })
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Origin").field("config", &self.config).finish_non_exhaustive()
    }
}

const EVERYBODY: u32 = 0o007;
const MAX_PASSWORD: usize = 1024;
const MAX_FILE: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn file(content: &[u8], mode: u32) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (directory, path)
    }

    #[test]
    fn a_password_is_one_line_without_its_end() {
        for content in [&b"secret"[..], b"secret\n", b"secret\r\n"] {
            let (_directory, path) = file(content, 0o600);
            assert_eq!(password(&path, &mut Files::default()).unwrap().as_str(), "secret");
        }
    }

    #[test]
    fn a_password_that_everybody_can_read_is_refused() {
        for mode in [0o644, 0o604, 0o602] {
            let (_directory, path) = file(b"secret", mode);
            assert!(
                matches!(password(&path, &mut Files::default()), Err(OriginError::Exposed { .. })),
                "{mode:o}"
            );
        }
        let (_directory, path) = file(b"secret", 0o440);
        assert!(
            password(&path, &mut Files::default()).is_ok(),
            "a group may share it, as Kubernetes mounts secrets"
        );
    }

    #[test]
    fn a_file_without_a_password_is_refused_because_its_bind_would_be_anonymous() {
        for content in [&b""[..], b"\n", b"a\nb", b"\xff", b"a\0"] {
            let (_directory, path) = file(content, 0o600);
            let error = password(&path, &mut Files::default()).unwrap_err().to_string();
            assert!(error.contains("does not hold a password"), "{error}");
        }
    }
}
