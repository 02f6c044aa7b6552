//! The state directory: private to its owner, with the secrets that outlive a process.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::Error;
use crate::environment::Environment;

/// A file that only our own directories hold.
const MARK: &str = "key";

/// The state directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateDir(PathBuf);

impl StateDir {
    /// Finds the directory and makes it if it is missing: 0700.
    ///
    /// # Errors
    /// When it cannot be made or is not private.
    pub fn open(asked: Option<PathBuf>, environment: &Environment) -> Result<Self, Error> {
        let path = match asked.or_else(|| environment.state_dir()) {
            Some(path) => path,
            None => {
                return Err(Error::input(
                    "there is no place for the state: neither $HOME nor $XDG_STATE_HOME is set",
                    "name one with --state DIR",
                ));
            }
        };
        make_private(&path)?;
        Ok(Self(path))
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Where packages are kept.
    #[must_use]
    pub fn cache(&self) -> PathBuf {
        self.0.join("cache")
    }

    /// Where drivers in the background write what they would have said.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn logs(&self) -> Result<PathBuf, Error> {
        let path = self.0.join("logs");
        make_private(&path)?;
        Ok(path)
    }

    /// The key of keyed digests: 32 random bytes, made once, 0600. Digests of environment values
    /// cannot be guessed without it.
    ///
    /// # Errors
    /// When it cannot be made or read.
    pub fn key(&self) -> Result<[u8; 32], Error> {
        let path = self.0.join("key");
        let fail = |source| Error::StateDir { path: path.clone(), source };
        for _ in 0..2 {
            match File::open(&path) {
                Ok(mut file) => {
                    let mut key = [0; 32];
                    file.read_exact(&mut key).map_err(fail)?;
                    return Ok(key);
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    make_key(&self.0, &path).map_err(fail)?;
                }
                Err(error) => return Err(fail(error)),
            }
        }
        Err(fail(std::io::ErrorKind::NotFound.into()))
    }
}

/// Writes a new key beside its place and links it there: whoever is first wins, and nobody ever
/// reads half a key.
fn make_key(dir: &Path, place: &Path) -> std::io::Result<()> {
    let mut key = [0; 32];
    let mut filled = 0;
    while filled < key.len() {
        filled += rustix::rand::getrandom(&mut key[filled..], rustix::rand::GetRandomFlags::empty())?;
    }
    let scratch = dir.join(format!("key.{}", std::process::id()));
    let made = (|| {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&scratch)?;
        file.write_all(&key)?;
        file.sync_all()?;
        match std::fs::hard_link(&scratch, place) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    })();
    let _ = std::fs::remove_file(&scratch);
    made
}

fn make_private(path: &Path) -> Result<(), Error> {
    let fail = |source| Error::StateDir { path: path.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(fail)?;
    let mut permissions = std::fs::metadata(path).map_err(fail)?.permissions();
    if permissions.mode() & 0o077 == 0 {
        return Ok(());
    }
    // Somebody made it beforehand, open to others. An empty one, or one of ours, is closed; anything
    // else is somebody else's, and closing it could break their things.
    let mut entries = std::fs::read_dir(path).map_err(fail)?;
    if entries.next().is_some() && !path.join(MARK).exists() {
        return Err(Error::input(
            format!("{} is open to others and holds other things", path.display()),
            "name an empty or new directory with --state DIR",
        ));
    }
    permissions.set_mode(0o700);
    std::fs::set_permissions(path, permissions).map_err(fail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(root: bool) -> Environment {
        Environment {
            root,
            home: Some("/home/ops".into()),
            config_home: None,
            state_home: None,
            working_dir: "/".into(),
            actor: patchyard_types::Actor("ops@web".into()),
        }
    }

    #[test]
    fn root_and_others_have_their_places() {
        assert_eq!(environment(true).state_dir(), Some("/var/lib/patchyard".into()));
        assert_eq!(environment(false).state_dir(), Some("/home/ops/.local/state/patchyard".into()));
    }

    #[test]
    fn the_directory_is_private_and_the_key_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/state");
        let state = StateDir::open(Some(path.clone()), &environment(false)).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o700);
        let key = state.key().unwrap();
        assert_ne!(key, [0; 32]);
        assert_eq!(state.key().unwrap(), key);
        assert_eq!(mode(&path.join("key")), 0o600);
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 1, "no scratch file stays");
    }

    #[test]
    fn a_directory_of_somebody_else_is_not_closed() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::write(dir.path().join("theirs"), "").unwrap();
        let asked = || Some(dir.path().to_owned());
        let error = StateDir::open(asked(), &environment(false)).unwrap_err();
        assert!(error.to_string().ends_with("is open to others and holds other things"));
        assert_eq!(std::fs::metadata(dir.path()).unwrap().permissions().mode() & 0o777, 0o755);
        std::fs::remove_file(dir.path().join("theirs")).unwrap();
        StateDir::open(asked(), &environment(false)).unwrap();
        assert_eq!(std::fs::metadata(dir.path()).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_file_in_its_place_is_explained() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        std::fs::write(&path, "").unwrap();
        let error = StateDir::open(Some(path), &environment(false)).unwrap_err();
        assert_eq!(error.kind(), crate::Kind::Input);
        assert!(error.hint().unwrap().contains("--state"));
    }
}
