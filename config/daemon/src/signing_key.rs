//! The file with the 32 random bytes that authd signs decisions with and backend-runner verifies them by.
//!
//! Whichever daemon starts first creates it, readable by its owner alone. When the file is replaced, the
//! new key is used from the next request on; a replacement that cannot be used is reported and the last
//! good key stays. The bytes are never logged or shown.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use policy::decision::SigningKey;

use crate::files::{self, Stamp};

/// A signing key file that is read again when it is replaced.
#[derive(Debug)]
pub struct KeyFile {
    path: PathBuf,
    key: ArcSwap<SigningKey>,
    opened: Instant,
    /// When the file was looked at last, in milliseconds after it was opened: what requests read without a lock.
    checked: AtomicU64,
    seen: Mutex<Stamp>,
}

/// Why a signing key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read.
    #[error("cannot read the signing key {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file cannot be made.
    #[error("cannot create the signing key {}", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Others may read the file.
    #[error("the signing key {} can be read by others (mode {mode:04o}): chmod 600 it", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file does not hold a key.
    #[error("the signing key {} does not hold exactly {KEY_LENGTH} bytes: delete it and a new one is made", path.display())]
    Length {
        /// The file.
        path: PathBuf,
    },
}

/// Reads the signing key, or makes a new one when there is no such file.
pub fn load_or_create(path: &Path) -> Result<SigningKey, KeyError> {
    open_or_create(path).and_then(|file| read(path, file)).map(|(key, _)| key)
}

// === impl KeyFile ===

impl KeyFile {
    /// Reads the signing key, or makes a new one when there is no such file.
    pub fn open(path: &Path) -> Result<Self, KeyError> {
        let (key, identity) = open_or_create(path).and_then(|file| read(path, file))?;
        Ok(Self {
            path: path.to_owned(),
            key: ArcSwap::from_pointee(key),
            opened: Instant::now(),
            checked: AtomicU64::new(0),
            seen: Mutex::new(identity),
        })
    }

    /// The file this key is read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The key to use now. Looks at the file at most once a second.
    pub fn current(&self) -> Arc<SigningKey> {
        self.refresh(CHECK_INTERVAL);
        self.key.load_full()
    }

    /// The key to use now, looking at the file at once: a decision failed to verify, so it may be new.
    pub fn recheck(&self) -> Arc<SigningKey> {
        self.refresh(Duration::ZERO);
        self.key.load_full()
    }

    /// Looks at the file at once, and says why a replacement cannot be used. The last good key stays then.
    pub fn reload(&self) -> Result<(), KeyError> {
        if let Err(source) = fs::metadata(&self.path) {
            return Err(self.unreadable(source));
        }
        self.read_if_replaced(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A poisoned lock holds only when the file was looked at last, which is never half written.
    fn refresh(&self, interval: Duration) {
        if self.opened.elapsed().saturating_sub(self.checked()) < interval {
            return;
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if self.opened.elapsed().saturating_sub(self.checked()) < interval {
            return;
        }
        if let Err(error) = self.read_if_replaced(&mut seen) {
            tracing::error!(error = error.to_string(), "the new signing key cannot be used");
        }
    }

    /// A file that is gone is no replacement: the last good key stays without a word.
    fn read_if_replaced(&self, seen: &mut Stamp) -> Result<(), KeyError> {
        let now = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.checked.store(now, Ordering::Relaxed);
        if Stamp::of(&self.path).is_none_or(|now| now == *seen) {
            return Ok(());
        }
        let file = files::open(&self.path).map_err(|source| self.unreadable(source))?;
        let (key, identity) = read(&self.path, file)?;
        *seen = identity;
        self.key.store(Arc::new(key));
        tracing::info!("signing key replaced");
        Ok(())
    }

    fn checked(&self) -> Duration {
        Duration::from_millis(self.checked.load(Ordering::Relaxed))
    }

    fn unreadable(&self, source: io::Error) -> KeyError {
        KeyError::Read { path: self.path.clone(), source }
    }
}

fn open_or_create(path: &Path) -> Result<File, KeyError> {
    let read_error = |source| KeyError::Read { path: path.to_owned(), source };
    match files::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create(path).map_err(|source| KeyError::Create { path: path.to_owned(), source })?;
            files::open(path).map_err(read_error)
        }
        opened => opened.map_err(read_error),
    }
}

/// Mode, length and content are taken from the one open file, so that it cannot change in between.
fn read(path: &Path, mut file: File) -> Result<(SigningKey, Stamp), KeyError> {
    let read_error = |source| KeyError::Read { path: path.to_owned(), source };
    let metadata = file.metadata().map_err(read_error)?;
    if is_exposed(metadata.mode(), metadata.uid(), rustix::process::geteuid().as_raw()) {
        return Err(KeyError::Exposed { path: path.to_owned(), mode: metadata.mode() & 0o7777 });
    }
    let mut bytes = Vec::with_capacity(KEY_LENGTH + 1);
    Read::by_ref(&mut file).take(KEY_LENGTH as u64 + 1).read_to_end(&mut bytes).map_err(read_error)?;
    let bytes = bytes.try_into().map_err(|_| KeyError::Length { path: path.to_owned() })?;
    Ok((SigningKey::from_bytes(bytes), Stamp::new(&metadata)))
}

/// Nobody but its owner may touch a key of ours. One that root owns and lends us through our group is no more exposed: that is how
/// a Kubernetes Secret is mounted for a process that is not root.
fn is_exposed(mode: u32, owner: u32, us: u32) -> bool {
    let lent = owner == 0 && us != 0;
    mode & if lent { OTHERS & !GROUP_READ } else { OTHERS } != 0
}

/// Writes a whole key under a name of its own, then links it to the real one: nobody ever reads half a
/// key, and of two daemons that start at once the slower finds the name taken and uses the other's key.
fn create(path: &Path) -> io::Result<()> {
    let mut key = [0; KEY_LENGTH];
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    let suffix = getrandom::u32().map_err(io::Error::other)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".new-{}-{suffix:08x}", std::process::id()));
    let temporary = path.with_file_name(name);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    let linked =
        file.write_all(&key).and_then(|()| file.sync_all()).and_then(|()| fs::hard_link(&temporary, path));
    fs::remove_file(&temporary)?;
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    }
}

const KEY_LENGTH: usize = 32;

/// Permission bits of everybody but the owner.
const OTHERS: u32 = 0o077;
const GROUP_READ: u32 = 0o040;

/// A stat is cheap, but not so cheap that every request should make one.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn key_path() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("signing.key");
        (directory, path)
    }

    fn replace(path: &Path, key: &[u8]) {
        let new = path.with_extension("next");
        fs::write(&new, key).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).unwrap();
        fs::rename(new, path).unwrap();
    }

    #[test]
    fn a_missing_key_is_made_for_its_owner_alone() {
        let (directory, path) = key_path();
        load_or_create(&path).unwrap();
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!((metadata.mode() & 0o777, metadata.len()), (0o600, 32));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing else is left behind");
    }

    #[test]
    fn daemons_that_start_at_once_agree_on_one_key() {
        let (_directory, path) = key_path();
        let files = std::thread::scope(|scope| {
            let daemons: Vec<_> = (0..16)
                .map(|_| scope.spawn(|| load_or_create(&path).map(|_| fs::read(&path).unwrap()).unwrap()))
                .collect();
            daemons.into_iter().map(|daemon| daemon.join().unwrap()).collect::<Vec<_>>()
        });
        assert!(files.iter().all(|file| *file == files[0]));
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let (_directory, path) = key_path();
        for mode in [0o640, 0o604, 0o620, 0o644] {
            fs::write(&path, [7; 32]).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert!(matches!(load_or_create(&path), Err(KeyError::Exposed { .. })), "{mode:o}");
        }
    }

    #[test]
    fn a_key_that_root_lends_to_our_group_is_not_exposed() {
        let (root, us) = (0, 65532);
        for (mode, owner, exposed) in [
            (0o440, root, false),
            (0o640, root, false),
            (0o460, root, true),
            (0o444, root, true),
            (0o440, us, true),
            (0o400, us, false),
        ] {
            assert_eq!(is_exposed(mode, owner, us), exposed, "{mode:o} of {owner}");
        }
        assert!(is_exposed(0o440, root, root), "root itself has no use for a group");
    }

    #[test]
    fn a_key_of_the_wrong_length_is_refused_and_left_alone() {
        let (_directory, path) = key_path();
        for length in [0, 31, 33, 64] {
            replace(&path, &vec![7; length]);
            assert!(matches!(load_or_create(&path), Err(KeyError::Length { .. })), "{length}");
            assert_eq!(fs::metadata(&path).unwrap().len(), length as u64);
        }
    }

    #[test]
    fn a_replaced_key_is_used_and_a_bad_replacement_is_not() {
        let (_directory, path) = key_path();
        let file = KeyFile::open(&path).unwrap();
        let first = file.recheck();
        assert!(Arc::ptr_eq(&first, &file.recheck()), "an unchanged file is not read again");

        replace(&path, &[9; 32]);
        let second = file.recheck();
        assert!(!Arc::ptr_eq(&first, &second));

        replace(&path, b"short");
        assert!(Arc::ptr_eq(&second, &file.recheck()));

        fs::remove_file(&path).unwrap();
        assert!(Arc::ptr_eq(&second, &file.recheck()));
    }

    #[test]
    fn a_missing_directory_is_an_error_that_names_the_file() {
        let error = load_or_create(Path::new("/nonexistent/signing.key")).unwrap_err();
        assert_eq!(error.to_string(), "cannot create the signing key /nonexistent/signing.key");
    }
}
