//! Whoever changes the log behind our back is noticed, and the words say which entry.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use patchyard_contract::suite::sample::{at, plan, request};
use patchyard_contract::{Append, AuditHead, Store, StoreError};
use patchyard_store_sqlite::{DATABASE, SqliteStore};
use patchyard_types::{RolloutId, RunId, Stream};
use rusqlite::Connection;

const ROLLOUT: Stream = Stream::Rollout(RolloutId(1));
const RUN: Stream = Stream::Run(RunId { rollout: RolloutId(1), action: 0 });

/// Six entries, by turns of a rollout and its run; then `tamper`, then an audit.
fn audit(tamper: &str) -> Option<String> {
    audit_with_head(tamper, |_| None)
}

fn audit_with_head(tamper: &str, expected: impl Fn(AuditHead) -> Option<AuditHead>) -> Option<String> {
    let dir = tempfile::tempdir().unwrap();
    let mut broken = None;
    patchyard_contract::suite::run(async {
        let store = SqliteStore::open(dir.path()).unwrap();
        for number in 0..3 {
            let batch = [ROLLOUT, RUN].map(|stream| Append {
                stream,
                expected: Some(number),
                bodies: vec![request(&number.to_string())],
            });
            store.append(at(0), batch.into()).await.unwrap();
        }
        let head = store.audit_head().await.unwrap();
        assert_eq!(store.audit_verify(Some(head)).await.unwrap().broken, None, "before");
        let connection = Connection::open(dir.path().join(DATABASE)).unwrap();
        connection.execute_batch(tamper).unwrap();
        assert!(connection.total_changes() > 0, "{tamper}");
        broken = store.audit_verify(expected(head)).await.unwrap().broken;
    });
    broken
}

fn assert_words(broken: Option<String>, words: &[&str]) {
    let broken = broken.unwrap_or_else(|| panic!("not noticed; expected {words:?}"));
    for word in words {
        assert!(broken.contains(word), "{word:?} is missing in: {broken}");
    }
}

#[test]
fn an_edited_body() {
    let broken = audit("update event set body = replace(body, 'pause', 'abort') where position = 3");
    assert_words(broken, &["entry 3", "event 2 of rollout/R1", "does not match"]);
}

#[test]
fn an_edited_column_of_any_kind() {
    for column in ["at = '2026-11-01T00:00:00.001Z'", "stream = 'run/R1.2'", "seq = 9", "schema_version = 0"]
    {
        let broken = audit(&format!("update event set {column} where position = 4"));
        assert_words(broken, &["entry 4", "does not match"]);
    }
}

#[test]
fn an_edited_hash() {
    let broken =
        audit("update event set chain = (select chain from event where position = 1) where position = 5");
    assert_words(broken, &["entry 5", "does not match"]);
    assert_words(audit("update event set chain = upper(chain) where position = 6"), &["entry 6"]);
}

#[test]
fn a_deleted_entry() {
    assert_words(audit("delete from event where position = 2"), &["entry 2 is missing", "entry 3"]);
    assert_words(audit("delete from event where position = 1"), &["entry 1 is missing"]);
    let closed = "delete from event where position = 2;
                  update event set position = position - 1 where position > 2;";
    assert_words(audit(closed), &["entry 2", "does not match"]);
}

#[test]
fn an_entry_put_in() {
    let at_the_end = "insert into event select 7, stream, 9, schema_version, at, body, chain from event where position = 6";
    assert_words(audit(at_the_end), &["entry 7", "event 9 of run/R1.1", "does not match"]);
    let in_front = "insert into event select 0, stream, 9, schema_version, at, body, chain from event where position = 6";
    assert_words(audit(in_front), &["entry 0", "put in"]);
    let below = "insert into event select -5, stream, 9, schema_version, at, body, chain from event where position = 6";
    assert_words(audit(below), &["put in"]);
}

#[test]
fn two_entries_swapped() {
    let swap = "update event set position = -1 where position = 3;
                update event set position = 3 where position = 4;
                update event set position = 4 where position = -1;";
    assert_words(audit(swap), &["entry 3", "does not match"]);
    let places_in_the_stream = "update event set seq = -1 where position = 1;
                                update event set seq = 1 where position = 3;
                                update event set seq = 2 where position = 1;";
    assert_words(audit(places_in_the_stream), &["entry 1", "does not match"]);
}

#[test]
fn a_truncated_log_against_a_printed_head() {
    let cut = "delete from event where position > 4";
    assert_eq!(audit(cut), None, "the rest holds in itself: only a printed head can tell");
    assert_words(audit_with_head(cut, Some), &["ends with entry 4", "were 6", "truncated"]);
    assert_words(audit_with_head("delete from event", Some), &["ends with entry 0", "truncated"]);
}

#[test]
fn a_missing_event_is_not_folded_over() {
    let dir = tempfile::tempdir().unwrap();
    patchyard_contract::suite::run(async {
        let store = SqliteStore::open(dir.path()).unwrap();
        let bodies = vec![request("a"), request("b"), request("c")];
        store.append(at(0), vec![Append { stream: RUN, expected: None, bodies }]).await.unwrap();
        let connection = Connection::open(dir.path().join(DATABASE)).unwrap();
        connection.execute("delete from event where seq = 2", []).unwrap();
        let error = store.read(RUN, 0).await.unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("event 2 of run/R1.1 is missing"), "{error}");
    });
}

#[test]
fn an_edited_plan() {
    let dir = tempfile::tempdir().unwrap();
    patchyard_contract::suite::run(async {
        let store = SqliteStore::open(dir.path()).unwrap();
        let plan = plan("shop/web/1");
        store.save_plan(&plan).await.unwrap();
        let connection = Connection::open(dir.path().join(DATABASE)).unwrap();
        let edit = "update plan set decisions = replace(decisions, 'deb12u2', 'deb12u9')";
        assert_eq!(connection.execute(edit, []).unwrap(), 1);
        let error = store.load_plan(&plan.digest()).await.unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains(&plan.digest().short(12)), "{error}");
    });
}
