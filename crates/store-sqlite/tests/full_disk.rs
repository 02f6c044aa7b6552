//! A full disk: what has begun is written to its end, nothing is written by halves.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use patchyard_contract::suite::sample::{at, events, plan};
use patchyard_contract::{Append, Store, StoreError};
use patchyard_store_sqlite::SqliteStore;
use patchyard_types::{RolloutId, Stream};

mod disk;
use disk::Disk;

const STREAM: Stream = Stream::Ledger;

/// One of each event, all in one batch.
async fn append(store: &SqliteStore) -> Result<u64, StoreError> {
    let bodies = events(RolloutId(1)).into_iter().map(|(_, body)| body).collect();
    let stored = store.append(at(0), vec![Append { stream: STREAM, expected: None, bodies }]).await?;
    Ok(stored.last().unwrap().seq)
}

#[test]
fn the_reserve_is_spent_on_what_has_begun() {
    let Some(disk) = Disk::mount(24 << 20) else { return };
    let dir = disk.path().join("state");
    patchyard_contract::suite::run(async {
        let store = SqliteStore::open(&dir).unwrap();
        append(&store).await.unwrap();
        assert!(!store.is_low());
        disk.fill();

        // Nothing below depends on the room that the filler left in the last page.
        let mut last = 0;
        for _ in 0..20 {
            last = append(&store).await.unwrap();
        }
        assert!(store.is_low());
        assert!(SqliteStore::open(&dir).unwrap().is_low(), "every process knows");
        assert_eq!(store.read(STREAM, 0).await.unwrap().len() as u64, last);
        assert_eq!(store.audit_verify(None).await.unwrap().broken, None);
    });
}

#[test]
fn without_the_reserve_nothing_is_written_by_halves_and_room_heals_it() {
    let Some(disk) = Disk::mount(24 << 20) else { return };
    let dir = disk.path().join("state");
    patchyard_contract::suite::run(async {
        let store = SqliteStore::open(&dir).unwrap();
        disk.fill();
        let mut last = 0;
        let error = loop {
            match append(&store).await {
                Ok(seq) => last = seq,
                Err(error) => break error,
            }
            if store.is_low() {
                disk.fill();
            }
        };
        assert!(matches!(error, StoreError::NoSpace { .. }), "{error}");
        assert!(error.to_string().contains("patchyard resume"), "{error}");
        assert_eq!(store.read(STREAM, 0).await.unwrap().len() as u64, last);
        assert_eq!(store.audit_verify(None).await.unwrap().broken, None);

        disk.clear();
        let healed = SqliteStore::open(&dir).unwrap();
        assert!(!healed.is_low() && !store.is_low());
        append(&healed).await.unwrap();
        append(&store).await.unwrap();
        assert_eq!(store.audit_verify(None).await.unwrap().broken, None);
    });
}

#[test]
fn a_state_on_a_full_disk_can_be_opened_locked_and_gone_on_with() {
    let Some(disk) = Disk::mount(24 << 20) else { return };
    let dir = disk.path().join("state");
    patchyard_contract::suite::run(async {
        let store = SqliteStore::open(&dir).unwrap();
        let last = append(&store).await.unwrap();
        drop(store);
        disk.fill();

        let store = SqliteStore::open(&dir).unwrap();
        let _lock = store.lock("rollout/R1", "the one that resumes").unwrap();
        assert_eq!(store.read(STREAM, 0).await.unwrap().len() as u64, last);
        append(&store).await.unwrap();
        assert!(store.is_low());
    });
}

#[test]
fn a_plan_does_not_use_the_reserve() {
    let Some(disk) = Disk::mount(24 << 20) else { return };
    let dir = disk.path().join("state");
    patchyard_contract::suite::run(async {
        let store = SqliteStore::open(&dir).unwrap();
        disk.fill();
        let error = loop {
            // The write-ahead log may have a page left.
            let mut plan = plan("shop/web/1");
            plan.about.notes = vec!["x".repeat(100_000)];
            if let Err(error) = store.save_plan(&plan).await {
                break error;
            }
        };
        assert!(matches!(error, StoreError::NoSpace { .. }), "{error}");
        assert!(!store.is_low());
    });
}

#[test]
fn a_disk_that_is_full_from_the_start_is_named() {
    let Some(disk) = Disk::mount(4 << 20) else { return };
    disk.fill();
    let error = SqliteStore::open(&disk.path().join("state")).err().unwrap();
    assert!(matches!(error, StoreError::NoSpace { .. }), "{error}");
}

#[test]
fn a_small_disk_has_no_reserve() {
    let Some(disk) = Disk::mount(6 << 20) else { return };
    let store = SqliteStore::open(&disk.path().join("state")).unwrap();
    assert!(store.is_low());
}
