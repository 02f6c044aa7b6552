//! The state is private to its owner. Alone in its program, because the umask is the process's.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use patchyard_contract::suite::sample::{at, request};
use patchyard_contract::{Append, Store};
use patchyard_store_sqlite::{DATABASE, SqliteStore};
use patchyard_types::Stream;

fn files(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir)
        .unwrap()
        .flat_map(|entry| {
            let path = entry.unwrap().path();
            if path.is_dir() { files(&path).into_iter().chain([path]).collect() } else { vec![path] }
        })
        .collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn directories_are_0700_and_files_0600_whatever_the_umask() {
    rustix::process::umask(rustix::fs::Mode::empty());
    let outer = tempfile::tempdir().unwrap();
    let dir = outer.path().join("not/yet/there");
    patchyard_contract::suite::run(async {
        let store = SqliteStore::open(&dir).unwrap();
        let bodies = vec![request("a")];
        store.append(at(0), vec![Append { stream: Stream::Ledger, expected: None, bodies }]).await.unwrap();
        let _lock = store.lock("rollout/R1", "me").unwrap();
        let found = files(&dir);
        for name in [DATABASE, "patchyard.db-wal", "patchyard.db-shm", "reserve", "locks"] {
            assert!(found.contains(&dir.join(name)), "{name} is not in {found:?}");
        }
        for path in found.iter().chain([&dir, &outer.path().join("not")]) {
            let expected = if path.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(mode(path), expected, "{}", path.display());
        }
    });
    assert_eq!(files(&dir.join("locks")), [dir.join("locks/migrate")], "a lock leaves no file behind");

    // Somebody copied it back with the wrong mode.
    fs::set_permissions(dir.join(DATABASE), fs::Permissions::from_mode(0o644)).unwrap();
    drop(SqliteStore::open(&dir).unwrap());
    assert_eq!(mode(&dir.join(DATABASE)), 0o600);
}
