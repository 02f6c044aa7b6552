//! Opening the state: the directory, the database file, its format and its migrations.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use patchyard_contract::StoreError;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use crate::error::Place;
use crate::locks;
use crate::reserve::{Reserve, WAL_PAGES};

/// What was added to the database, in order; the format is how many of them it has.
const MIGRATIONS: &[&str] = &[include_str!("../migrations/0001_first.sql")];

/// The format this version writes.
#[allow(clippy::cast_possible_truncation, reason = "there will not be four billion migrations")]
pub const FORMAT: u32 = MIGRATIONS.len() as u32;

/// Marks the file as ours: `PYrd`.
const APPLICATION_ID: u32 = 0x5059_7264;

/// How long a process waits for others that write; their transactions take milliseconds.
const BUSY: Duration = Duration::from_secs(10);

/// Prepares the directory and opens the database in it, creating or migrating what has to be.
pub fn open(place: &Place, reserve: &Reserve) -> Result<Connection, StoreError> {
    prepare_dir(place)?;
    match open_database(place) {
        // Reading, too, needs a little room for the write-ahead log's index.
        Err(StoreError::NoSpace { .. }) if reserve.spend() => open_database(place),
        opened => opened,
    }
}

/// Where the locks are.
pub fn locks_dir(place: &Place) -> std::path::PathBuf {
    place.dir.join("locks")
}

fn prepare_dir(place: &Place) -> Result<(), StoreError> {
    let dir = &place.dir;
    create_private_dir(dir).map_err(|error| place.io(dir, &error))?;
    let mode = fs::metadata(dir).map_err(|error| place.io(dir, &error))?.permissions().mode();
    if mode & 0o002 != 0 {
        return Err(place.unusable(
            dir,
            "everybody may write to this directory: give the state one of its own with --state DIR or PATCHYARD_STATE",
        ));
    }
    let locks = locks_dir(place);
    create_private_dir(&locks).map_err(|error| place.io(&locks, &error))
}

fn create_private_dir(dir: &Path) -> io::Result<()> {
    if fs::metadata(dir).is_ok_and(|found| found.is_dir()) {
        return Ok(());
    }
    match DirBuilder::new().recursive(true).mode(0o700).create(dir) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(ErrorKind::NotADirectory.into()),
        created => created,
    }
}

fn open_database(place: &Place) -> Result<Connection, StoreError> {
    create_private_file(&place.database).map_err(|error| place.io(&place.database, &error))?;
    let sql = |error| place.sql(error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(&place.database, flags).map_err(sql)?;
    connection.busy_timeout(BUSY).map_err(sql)?;
    let found = connection.transaction().map_err(sql).and_then(|snapshot| format(place, &snapshot))?;
    if found < FORMAT {
        migrate(place, &mut connection)?;
    }
    // FULL: what was appended is on the disk before the effect it announces takes place.
    connection.pragma_update(None, "synchronous", "FULL").map_err(sql)?;
    connection.pragma_update(None, "wal_autocheckpoint", WAL_PAGES).map_err(sql)?;
    Ok(connection)
}

/// SQLite gives its side files the mode of the database, so that this one decides for all. Once it
/// exists it is never opened here: closing it would let go of SQLite's own locks on it.
fn create_private_file(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(found) if found.permissions().mode() & 0o077 != 0 => {
            fs::set_permissions(path, Permissions::from_mode(0o600))
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
                _ => Ok(()),
            }
        }
        Err(error) => Err(error),
    }
}

/// The format of the database; 0 for one that is still empty. In one transaction, because another
/// process may be creating it between two looks.
fn format(place: &Place, snapshot: &Transaction<'_>) -> Result<u32, StoreError> {
    let pragma = |name| snapshot.pragma_query_value(None, name, |row| row.get::<_, u32>(0));
    let (format, application) = (
        pragma("user_version").map_err(|e| place.sql(e))?,
        pragma("application_id").map_err(|e| place.sql(e))?,
    );
    let is_new = || snapshot.query_row("select count(*) = 0 from sqlite_schema", [], |row| row.get(0));
    let is_ours = match (application, format) {
        (APPLICATION_ID, _) => true,
        (0, 0) => is_new().map_err(|e| place.sql(e))?,
        _ => false,
    };
    if !is_ours {
        return Err(place.unusable(
            &place.database,
            "it is a database of another program: choose another directory with --state DIR or PATCHYARD_STATE",
        ));
    }
    if format > FORMAT {
        let what = format!("the state at {}", place.database.display());
        return Err(StoreError::Newer { what, found: format, known: FORMAT });
    }
    Ok(format)
}

/// Brings the database to today's format. One process at a time; the others wait and find it done.
fn migrate(place: &Place, connection: &mut Connection) -> Result<(), StoreError> {
    let sql = |error| place.sql(error);
    let locks = locks_dir(place);
    let alone = locks::wait(&locks, "migrate").map_err(|error| place.io(&locks, &error))?;
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0)).map_err(sql)?;
    if mode != "wal" {
        return Err(place.unusable(
            &place.database,
            "this file system cannot share memory between processes (a network file system?): choose a local directory with --state DIR or PATCHYARD_STATE",
        ));
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sql)?;
    let done = format(place, &transaction)?;
    for migration in MIGRATIONS.iter().skip(done as usize) {
        transaction.execute_batch(migration).map_err(sql)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(sql)?;
    transaction.pragma_update(None, "user_version", FORMAT).map_err(sql)?;
    transaction.commit().map_err(sql)?;
    drop(alone);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_append_is_on_the_disk_when_it_returns() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place { dir: dir.path().to_owned(), database: dir.path().join(crate::DATABASE) };
        for opened in ["created", "found"] {
            let connection = open(&place, &Reserve::new(dir.path())).unwrap();
            let synchronous: i64 =
                connection.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap();
            assert_eq!(synchronous, 2, "FULL, {opened}");
            let journal: String =
                connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
            assert_eq!(journal, "wal", "{opened}");
        }
    }
}
