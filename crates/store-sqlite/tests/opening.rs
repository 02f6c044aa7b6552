//! Opening: formats, and places where no state can be.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use patchyard_contract::suite::sample::{at, request};
use patchyard_contract::{Append, Store, StoreError};
use patchyard_store_sqlite::{DATABASE, SqliteStore};
use patchyard_types::Stream;
use rusqlite::Connection;

mod disk;

fn error(dir: &Path) -> StoreError {
    match SqliteStore::open(dir) {
        Err(error) => error,
        Ok(_) => panic!("{} was opened", dir.display()),
    }
}

async fn append(store: &SqliteStore, why: &str) -> Result<u64, StoreError> {
    let append = Append { stream: Stream::Ledger, expected: None, bodies: vec![request(why)] };
    store.append(at(0), vec![append]).await.map(|stored| stored[0].seq)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn the_controller_keeps_its_name() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let name = SqliteStore::open(dir.path()).unwrap().controller().to_owned();
    assert!(name.len() == 16 && name.bytes().all(|b| b.is_ascii_hexdigit()), "{name}");
    assert_eq!(SqliteStore::open(dir.path()).unwrap().controller(), name);
    assert_ne!(SqliteStore::open(other.path()).unwrap().controller(), name);
}

#[test]
fn many_open_a_new_state_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let names: Vec<_> = std::thread::scope(|scope| {
        let opening: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| SqliteStore::open(dir.path()).unwrap().controller().to_owned()))
            .collect();
        opening.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(names.iter().all(|name| *name == names[0]), "{names:?}");
}

#[test]
fn a_newer_database_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(SqliteStore::open(dir.path()).unwrap());
    let connection = Connection::open(dir.path().join(DATABASE)).unwrap();
    connection.pragma_update(None, "user_version", 77).unwrap();
    drop(connection);
    let before = fs::read(dir.path().join(DATABASE)).unwrap();
    let error = error(dir.path());
    assert!(matches!(error, StoreError::Newer { found: 77, .. }), "{error}");
    assert_eq!(fs::read(dir.path().join(DATABASE)).unwrap(), before, "it was left alone");
}

#[test]
fn a_newer_event_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    patchyard_contract::suite::run(async {
        let store = SqliteStore::open(dir.path()).unwrap();
        append(&store, "a").await.unwrap();
        append(&store, "b").await.unwrap();
        let connection = Connection::open(dir.path().join(DATABASE)).unwrap();
        connection
            .execute("update event set schema_version = 9, body = '{\"new\":1}' where seq = 2", [])
            .unwrap();
        let error = store.read(Stream::Ledger, 0).await.unwrap_err();
        assert!(matches!(error, StoreError::Newer { found: 9, .. }), "{error}");
        assert!(error.to_string().contains("event 2 of ledger"), "{error}");
    });
}

#[test]
fn another_programs_database_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(DATABASE);
    Connection::open(&path).unwrap().execute_batch("create table recipe (name text)").unwrap();
    assert!(error(dir.path()).to_string().contains("another program"));
    fs::write(&path, "just a text, and long enough that it could be a header of a database").unwrap();
    assert!(error(dir.path()).to_string().contains("choose another directory"));
}

#[test]
fn a_database_that_was_written_over_is_told_as_damage() {
    let dir = tempfile::tempdir().unwrap();
    drop(SqliteStore::open(dir.path()).unwrap());
    fs::write(dir.path().join(DATABASE), "what somebody has written over it, long enough to be a header")
        .unwrap();
    let said = error(dir.path()).to_string();
    assert!(said.contains("from a backup") && !said.contains("another directory"), "{said}");
}

#[test]
fn a_file_in_the_place_of_the_directory_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("state");
    fs::write(&file, "").unwrap();
    for path in [file.clone(), file.join("below")] {
        let error = error(&path);
        assert!(matches!(error, StoreError::Unusable { .. }), "{error}");
        assert!(error.to_string().contains("file where a directory should be"), "{error}");
        assert!(error.to_string().contains("--state"), "{error}");
    }
}

#[test]
fn a_directory_that_everybody_may_write_to_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    assert!(error(dir.path()).to_string().contains("everybody may write"));
    assert_eq!(mode(dir.path()), 0o1777, "it was left alone");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    if rustix::process::geteuid().is_root() {
        // Root may write everywhere but to a read-only file system.
        let Some(disk) = disk::Disk::mount(2 << 20) else { return };
        disk.make_read_only();
        let error = error(&disk.path().join("state"));
        assert!(error.to_string().contains("read-only") && error.to_string().contains("--state"), "{error}");
    } else {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o500)).unwrap();
        let error = error(&dir.path().join("state"));
        assert!(error.to_string().contains("permission denied"), "{error}");
    }
}

#[test]
fn a_state_on_a_file_system_that_became_read_only_is_named() {
    let Some(disk) = disk::Disk::mount(16 << 20) else { return };
    let dir = disk.path().join("state");
    drop(SqliteStore::open(&dir).unwrap());
    disk.make_read_only();
    let error = error(&dir);
    assert!(matches!(error, StoreError::Unusable { .. }), "{error}");
    assert!(error.to_string().contains("--state"), "{error}");
}
