//! What every store does, one function a behaviour; [`store_suite!`](crate::store_suite) makes
//! tests of them.

use std::sync::Arc;

use patchyard_types::{Digest, Event, EventBody, Plan, RolloutId, RunId, Stream};

use super::sample::{at, events, plan, request};
use crate::{Append, AuditHead, Store, StoreError};

/// How the suite gets at an implementation: one state, empty at first, that can be opened several
/// times, as several processes do.
pub trait Fixture {
    /// Opens the state. What one opened store writes, the others read.
    fn open(&self) -> Arc<dyn Store>;
}

/// Makes a `#[test]` of every behaviour of a store. The argument is an expression that makes a new
/// [`Fixture`](crate::suite::store::Fixture).
#[macro_export]
macro_rules! store_suite {
    ($fixture:expr) => {
        $crate::store_suite! { $fixture;
            an_event_of_every_kind_is_read_back_as_written
            reading_starts_behind_a_sequence_number
            a_writer_who_is_not_up_to_date_is_refused
            a_batch_is_written_whole_or_not_at_all
            a_batch_may_name_a_stream_twice
            expecting_nothing_appends_behind_whatever_is_there
            writers_at_the_same_time_lose_nothing
            of_two_writers_with_the_same_expectation_one_wins
            rollouts_are_listed_by_number
            a_plan_is_found_under_its_digest
            a_plan_kept_again_changes_only_what_is_said_about_it
            plans_are_found_by_their_first_digits_newest_first
            an_answer_is_remembered_until_it_is_replaced
            what_is_old_and_not_kept_is_forgotten
            a_lock_has_one_holder_who_is_named
            locks_of_different_names_do_not_disturb_each_other
            a_lock_is_free_again_once_dropped
            the_audit_log_grows_and_holds
            a_head_that_was_printed_is_found_again
            a_head_of_another_log_is_noticed
        }
    };
    ($fixture:expr; $($behaviour:ident)*) => {$(
        #[test]
        fn $behaviour() {
            $crate::suite::run($crate::suite::store::$behaviour(&$fixture));
        }
    )*};
}

const ROLLOUT: RolloutId = RolloutId(1);
const STREAM: Stream = Stream::Rollout(ROLLOUT);
const RUN: Stream = Stream::Run(RunId { rollout: ROLLOUT, action: 2 });

fn append(stream: Stream, expected: Option<u64>, whys: &[&str]) -> Append {
    Append { stream, expected, bodies: whys.iter().map(|why| request(why)).collect() }
}

async fn bodies(store: &dyn Store, stream: Stream) -> Vec<EventBody> {
    store.read(stream, 0).await.unwrap().into_iter().map(|event| event.body).collect()
}

fn whys(texts: &[&str]) -> Vec<EventBody> {
    texts.iter().map(|why| request(why)).collect()
}

/// # Panics
/// When the store does not.
pub async fn an_event_of_every_kind_is_read_back_as_written(fixture: &impl Fixture) {
    let (store, reader) = (fixture.open(), fixture.open());
    let mut expected: Vec<Event> = Vec::new();
    for (index, (stream, body)) in (0_i64..).zip(events(ROLLOUT)) {
        // Odd milliseconds, and none at all: both must survive.
        let at = at(index * 7);
        let seq = expected.iter().filter(|event| event.stream == stream).count() as u64;
        let batch = vec![Append { stream, expected: Some(seq), bodies: vec![body.clone()] }];
        let event = Event { stream, seq: seq + 1, at, body };
        assert_eq!(store.append(at, batch).await.unwrap(), std::slice::from_ref(&event));
        expected.push(event);
    }
    for stream in [Stream::Ledger, STREAM, Stream::Run(RunId { rollout: ROLLOUT, action: 0 })] {
        let of_stream: Vec<_> = expected.iter().filter(|e| e.stream == stream).cloned().collect();
        assert!(!of_stream.is_empty());
        assert_eq!(reader.read(stream, 0).await.unwrap(), of_stream);
    }
}

/// # Panics
/// When the store does not.
pub async fn reading_starts_behind_a_sequence_number(fixture: &impl Fixture) {
    let store = fixture.open();
    store.append(at(0), vec![append(STREAM, None, &["a", "b", "c"])]).await.unwrap();
    let seqs = |events: Vec<Event>| -> Vec<u64> { events.iter().map(|e| e.seq).collect() };
    assert_eq!(seqs(store.read(STREAM, 1).await.unwrap()), [2, 3]);
    assert_eq!(seqs(store.read(STREAM, 3).await.unwrap()), Vec::<u64>::new());
    assert_eq!(seqs(store.read(STREAM, u64::MAX).await.unwrap()), Vec::<u64>::new());
    assert_eq!(seqs(store.read(RUN, 0).await.unwrap()), Vec::<u64>::new());
}

/// # Panics
/// When the store does not.
pub async fn a_writer_who_is_not_up_to_date_is_refused(fixture: &impl Fixture) {
    let (store, other) = (fixture.open(), fixture.open());
    store.append(at(0), vec![append(STREAM, Some(0), &["a", "b"])]).await.unwrap();
    for wrong in [0, 1, 3] {
        match other.append(at(1), vec![append(STREAM, Some(wrong), &["c"])]).await {
            Err(StoreError::Conflict { stream, expected, found }) => {
                assert_eq!((stream, expected, found), (STREAM, wrong, 2));
            }
            answer => panic!("expected a conflict, got {answer:?}"),
        }
    }
    assert_eq!(bodies(&*store, STREAM).await, whys(&["a", "b"]));
    other.append(at(1), vec![append(STREAM, Some(2), &["c"])]).await.unwrap();
}

/// # Panics
/// When the store does not.
pub async fn a_batch_is_written_whole_or_not_at_all(fixture: &impl Fixture) {
    let store = fixture.open();
    store.append(at(0), vec![append(STREAM, None, &["a"])]).await.unwrap();
    let head = store.audit_head().await.unwrap();
    let batch = vec![
        append(RUN, Some(0), &["b"]),
        append(Stream::Ledger, None, &["c"]),
        append(STREAM, Some(7), &["d"]),
    ];
    assert!(matches!(store.append(at(1), batch).await, Err(StoreError::Conflict { found: 1, .. })));
    assert_eq!(bodies(&*store, RUN).await, []);
    assert_eq!(bodies(&*store, Stream::Ledger).await, []);
    assert_eq!(store.audit_head().await.unwrap(), head);

    let batch = vec![append(RUN, Some(0), &["b"]), append(STREAM, Some(1), &["d"])];
    store.append(at(2), batch).await.unwrap();
    assert_eq!(bodies(&*store, RUN).await, whys(&["b"]));
    assert_eq!(bodies(&*store, STREAM).await, whys(&["a", "d"]));
}

/// # Panics
/// When the store does not.
pub async fn a_batch_may_name_a_stream_twice(fixture: &impl Fixture) {
    let store = fixture.open();
    let batch =
        vec![append(STREAM, Some(0), &["a"]), append(RUN, None, &["b"]), append(STREAM, Some(1), &["c"])];
    let stored = store.append(at(0), batch).await.unwrap();
    let places: Vec<_> = stored.iter().map(|event| (event.stream, event.seq)).collect();
    assert_eq!(places, [(STREAM, 1), (RUN, 1), (STREAM, 2)]);
    assert_eq!(bodies(&*store, STREAM).await, whys(&["a", "c"]));
}

/// # Panics
/// When the store does not.
pub async fn expecting_nothing_appends_behind_whatever_is_there(fixture: &impl Fixture) {
    let (store, other) = (fixture.open(), fixture.open());
    store.append(at(0), vec![append(STREAM, None, &["a"])]).await.unwrap();
    let stored = other.append(at(1), vec![append(STREAM, None, &["b"])]).await.unwrap();
    assert_eq!(stored[0].seq, 2);
    assert_eq!(store.append(at(2), Vec::new()).await.unwrap(), []);
    assert_eq!(bodies(&*store, STREAM).await, whys(&["a", "b"]));
}

/// # Panics
/// When the store does not.
pub async fn writers_at_the_same_time_lose_nothing(fixture: &impl Fixture) {
    const WRITERS: usize = 4;
    const EACH: usize = 20;
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let store = fixture.open();
            tokio::spawn(async move {
                for number in 0..EACH {
                    let why = format!("{writer}/{number}");
                    store.append(at(0), vec![append(STREAM, None, &[&why])]).await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let store = fixture.open();
    let written = bodies(&*store, STREAM).await;
    assert_eq!(written.len(), WRITERS * EACH);
    for writer in 0..WRITERS {
        let own: Vec<_> = (0..EACH).map(|number| request(&format!("{writer}/{number}"))).collect();
        let read: Vec<_> = written.iter().filter(|body| own.contains(body)).cloned().collect();
        assert_eq!(read, own, "each writer's events stand in its order");
    }
    assert_eq!(store.audit_verify(None).await.unwrap().broken, None);
}

/// # Panics
/// When the store does not.
pub async fn of_two_writers_with_the_same_expectation_one_wins(fixture: &impl Fixture) {
    let (one, two) = (fixture.open(), fixture.open());
    for round in 0..10 {
        let compete = |store: Arc<dyn Store>| {
            tokio::spawn(async move { store.append(at(0), vec![append(STREAM, Some(round), &["a"])]).await })
        };
        let (first, second) = (compete(Arc::clone(&one)), compete(Arc::clone(&two)));
        let answers = [first.await.unwrap(), second.await.unwrap()];
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
        assert!(
            answers
                .iter()
                .any(|a| matches!(a, Err(StoreError::Conflict { found, .. }) if *found == round + 1)),
            "{answers:?}"
        );
    }
}

/// # Panics
/// When the store does not.
pub async fn rollouts_are_listed_by_number(fixture: &impl Fixture) {
    let store = fixture.open();
    assert_eq!(store.rollouts().await.unwrap(), []);
    for number in [2, 10, 1] {
        let rollout = RolloutId(number);
        let run = Stream::Run(RunId { rollout, action: 0 });
        let batch =
            vec![append(Stream::Rollout(rollout), Some(0), &["a", "b"]), append(run, Some(0), &["c"])];
        store.append(at(0), batch).await.unwrap();
    }
    store.append(at(0), vec![append(Stream::Rollout(RolloutId(99)), None, &[])]).await.unwrap();
    store.append(at(0), vec![append(Stream::Ledger, None, &["d"])]).await.unwrap();
    assert_eq!(store.rollouts().await.unwrap(), [RolloutId(1), RolloutId(2), RolloutId(10)]);
}

/// # Panics
/// When the store does not.
pub async fn a_plan_is_found_under_its_digest(fixture: &impl Fixture) {
    let (store, reader) = (fixture.open(), fixture.open());
    let plan = plan("shop/web/1");
    assert_eq!(store.load_plan(&plan.digest()).await.unwrap(), None);
    store.save_plan(&plan).await.unwrap();
    let found = reader.load_plan(&plan.digest()).await.unwrap();
    assert_eq!(found.as_ref().map(patchyard_types::Plan::digest), Some(plan.digest()));
    assert_eq!(found, Some(plan));
}

/// # Panics
/// When the store does not.
pub async fn a_plan_kept_again_changes_only_what_is_said_about_it(fixture: &impl Fixture) {
    let store = fixture.open();
    let first = plan("shop/web/1");
    let mut second = first.clone();
    second.about.author = "bert@web01".to_owned();
    second.about.created_at = at(5);
    store.save_plan(&first).await.unwrap();
    store.save_plan(&second).await.unwrap();
    assert_eq!(store.load_plan(&first.digest()).await.unwrap(), Some(second));
    assert_eq!(store.find_plans("").await.unwrap(), [first.digest()]);
}

async fn save_plans_made_at<const N: usize>(store: &dyn Store, millis: [i64; N]) -> [Plan; N] {
    let plans = millis.map(|millis| {
        let mut plan = plan(&format!("shop/web/{millis}"));
        plan.about.created_at = at(millis);
        plan
    });
    for plan in &plans {
        store.save_plan(plan).await.unwrap();
    }
    plans
}

/// # Panics
/// When the store does not.
pub async fn plans_are_found_by_their_first_digits_newest_first(fixture: &impl Fixture) {
    let store = fixture.open();
    // Fractions of a second, so that an order by text would show.
    let plans = save_plans_made_at(&*store, [1500, 2000, 500, 1000]).await;
    let newest_first = [1, 0, 3, 2].map(|index: usize| plans[index].digest());
    assert_eq!(store.find_plans("").await.unwrap(), newest_first);
    let digest = plans[2].digest();
    assert_eq!(store.find_plans(&digest.to_string()).await.unwrap(), [digest]);
    assert_eq!(store.find_plans(&digest.to_string().to_uppercase()).await.unwrap(), [digest]);
    assert!(store.find_plans(&digest.short(6)).await.unwrap().contains(&digest));
    for nonsense in ["zz", "*", "%", "'", &format!("{digest}0")] {
        assert_eq!(store.find_plans(nonsense).await.unwrap(), [], "{nonsense}");
    }
}

/// # Panics
/// When the store does not.
pub async fn an_answer_is_remembered_until_it_is_replaced(fixture: &impl Fixture) {
    let (store, reader) = (fixture.open(), fixture.open());
    let key = "pending/it's \"odd\"";
    assert_eq!(reader.recall(key).await.unwrap(), None);
    store.remember(key, at(1), r#"{"packages":[]}"#).await.unwrap();
    assert_eq!(reader.recall(key).await.unwrap(), Some((at(1), r#"{"packages":[]}"#.to_owned())));
    store.remember(key, at(2), "null").await.unwrap();
    assert_eq!(reader.recall(key).await.unwrap(), Some((at(2), "null".to_owned())));
    assert_eq!(reader.recall("pending/another").await.unwrap(), None);
}

/// # Panics
/// When the store does not.
pub async fn what_is_old_and_not_kept_is_forgotten(fixture: &impl Fixture) {
    let store = fixture.open();
    let plans = save_plans_made_at(&*store, [500, 1000, 2000]).await;
    store.remember("old", at(1999), "1").await.unwrap();
    store.remember("young", at(2000), "2").await.unwrap();
    let [old, kept, young] = [0, 1, 2].map(|index: usize| plans[index].digest());
    assert_eq!(store.forget(at(2000), &[kept].into()).await.unwrap(), 1);
    assert_eq!(store.find_plans("").await.unwrap(), [young, kept]);
    assert_eq!(store.load_plan(&old).await.unwrap(), None);
    assert_eq!(store.recall("old").await.unwrap(), None);
    assert_eq!(store.recall("young").await.unwrap(), Some((at(2000), "2".to_owned())));
    assert_eq!(store.forget(at(2000), &[kept].into()).await.unwrap(), 0);
}

/// # Panics
/// When the store does not.
pub async fn a_lock_has_one_holder_who_is_named(fixture: &impl Fixture) {
    let (store, other) = (fixture.open(), fixture.open());
    let held = store.lock("rollout/R1", "process 4711 (patchyard apply)").unwrap();
    for asking in [&store, &other] {
        match asking.lock("rollout/R1", "process 4712 (patchyard resume)") {
            Err(StoreError::Locked { name, holder }) => {
                assert_eq!(
                    (name.as_str(), holder.as_str()),
                    ("rollout/R1", "process 4711 (patchyard apply)")
                );
            }
            Err(error) => panic!("expected a lock that is taken, got {error}"),
            Ok(_) => panic!("two holders of one lock"),
        }
    }
    drop(held);
}

/// # Panics
/// When the store does not.
pub async fn locks_of_different_names_do_not_disturb_each_other(fixture: &impl Fixture) {
    let store = fixture.open();
    let long = "target/".to_owned() + &"x".repeat(300);
    let names =
        ["a", "a/b", "a_b", "a-b", "A", "../a", "..", "", "docker:ABCD/täst", &long, &(long.clone() + "y")];
    let held: Vec<_> = names.iter().map(|name| store.lock(name, "me").unwrap()).collect();
    for name in names {
        assert!(matches!(store.lock(name, "me"), Err(StoreError::Locked { .. })), "{name}");
    }
    drop(held);
}

/// # Panics
/// When the store does not.
pub async fn a_lock_is_free_again_once_dropped(fixture: &impl Fixture) {
    let (store, other) = (fixture.open(), fixture.open());
    for round in 0..3 {
        let first = store.lock("rollout/R1", "first").unwrap();
        drop(first);
        let second = other.lock("rollout/R1", "second").unwrap();
        match store.lock("rollout/R1", "first") {
            Err(StoreError::Locked { holder, .. }) => assert_eq!(holder, "second", "in round {round}"),
            Err(error) => panic!("expected a lock that is taken, got {error}"),
            Ok(_) => panic!("two holders of one lock"),
        }
        drop(second);
    }
}

/// # Panics
/// When the store does not.
pub async fn the_audit_log_grows_and_holds(fixture: &impl Fixture) {
    let (store, other) = (fixture.open(), fixture.open());
    assert_eq!(store.audit_head().await.unwrap(), AuditHead::START);
    let mut heads = vec![AuditHead::START];
    for round in 1..=3 {
        let batch = vec![append(STREAM, None, &["a"]), append(RUN, None, &["b"])];
        store.append(at(0), batch).await.unwrap();
        let head = other.audit_head().await.unwrap();
        assert_eq!(head.entries, round * 2);
        assert!(!heads.iter().any(|earlier| earlier.hash == head.hash));
        heads.push(head);
    }
    let report = store.audit_verify(None).await.unwrap();
    assert_eq!((Some(&report.head), report.broken), (heads.last(), None));
}

/// # Panics
/// When the store does not.
pub async fn a_head_that_was_printed_is_found_again(fixture: &impl Fixture) {
    let store = fixture.open();
    for _ in 0..3 {
        let printed = store.audit_head().await.unwrap();
        store.append(at(0), vec![append(STREAM, None, &["a", "b"])]).await.unwrap();
        assert_eq!(store.audit_verify(Some(printed)).await.unwrap().broken, None);
        let newest = store.audit_head().await.unwrap();
        assert_eq!(store.audit_verify(Some(newest)).await.unwrap().broken, None);
    }
}

/// # Panics
/// When the store does not.
pub async fn a_head_of_another_log_is_noticed(fixture: &impl Fixture) {
    let store = fixture.open();
    store.append(at(0), vec![append(STREAM, None, &["a", "b"])]).await.unwrap();
    let head = store.audit_head().await.unwrap();
    for (entries, word) in [(0, "rewritten"), (1, "rewritten"), (2, "rewritten"), (3, "truncated")] {
        let foreign = AuditHead { entries, hash: Digest::of_bytes(b"another log") };
        let words = store.audit_verify(Some(foreign)).await.unwrap().broken.unwrap();
        assert!(words.contains(word), "{entries}: {words}");
    }
    let truncated = AuditHead { entries: 5, ..head };
    let words = store.audit_verify(Some(truncated)).await.unwrap().broken.unwrap();
    assert!(words.contains("entry 2") && words.contains('5'), "{words}");
}
