//! The way back: rollbacks by hand, snapshots and how long they stay, what others put back, leftovers.

use patchyard_app::config::Retention;
use patchyard_app::gc::{Extent, Fate, collect};
use patchyard_app::select::Selection;
use patchyard_app::settings::Overrides;
use patchyard_app::{Kind, PlanRequest, ScanRequest, begin, history, plan_rollback, snapshots};
use patchyard_contract::{Append, Clock, PackageCache};
use patchyard_provider_sim::{Behaviour, Interference, SimObject, base_image};
use patchyard_types::{
    Arch, Digest, Direction, EventBody, LedgerEvent, MachineStep, Method, Millis, PackageChange, Record,
    RolloutEnd, RolloutEvent, RunEnd, RunEvent, RunId, Snapshot, SnapshotId, Step, Stream, SwapStep,
};

use crate::yard::Yard;

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

#[tokio::test(start_paused = true)]
async fn a_rollout_is_taken_back_by_a_rollout_of_its_own() {
    let yard = Yard::new();
    yard.add("shop", 2);
    yard.add_with("mail", 1, Behaviour::CrashesAtStart);
    let first = yard.apply_all().await;
    assert_eq!(first.end, RolloutEnd::Partly);
    let patched = yard.image("shop-1");

    let subject = names(&[&first.report.id.to_string()]);
    let back = plan_rollback(&yard.context, &subject, &Overrides::default()).await.unwrap();
    let actions = &back.plan.decisions.actions;
    assert_eq!(actions.iter().map(|a| a.name.as_str()).collect::<Vec<_>>(), ["shop-1", "shop-2"]);
    assert!(actions.iter().all(|action| action.method == Method::Restore));
    assert_eq!(back.plan.about.undoes, Some(first.report.id));
    let second = yard.apply(&back.plan).await;
    assert_eq!((second.end, second.report.undoes), (RolloutEnd::Succeeded, Some(first.report.id)));
    yard.assert_well();
    for name in ["shop-1", "shop-2", "mail-1"] {
        assert!(!yard.is_patched(name), "{name}");
    }

    let past = history(&yard.context, &[], 10).await.unwrap();
    assert_eq!(past.iter().map(|past| past.undoes).collect::<Vec<_>>(), [Some(first.report.id), None]);
    let again = plan_rollback(&yard.context, &subject, &Overrides::default()).await.unwrap();
    assert!(again.plan.decisions.actions.is_empty(), "everything is as it was already");
    assert_eq!(again.plan.about.up_to_date, ["shop-1", "shop-2"]);

    // And forward again: the rollback kept what it replaced.
    let subject = names(&[&format!("{}.1", second.report.id)]);
    let forward = plan_rollback(&yard.context, &subject, &Overrides::default()).await.unwrap();
    assert_eq!(yard.apply(&forward.plan).await.end, RolloutEnd::Succeeded);
    assert_eq!(yard.image("shop-1"), patched);
    assert!(!yard.is_patched("shop-2"));
}

#[tokio::test(start_paused = true)]
async fn a_target_that_was_put_back_is_not_put_forward_by_going_back_again() {
    let yard = Yard::new();
    yard.add("shop", 1);
    yard.apply_all().await;
    let subject = names(&["shop-1"]);
    let back = || async { plan_rollback(&yard.context, &subject, &Overrides::default()).await.unwrap().plan };
    assert_eq!(yard.apply(&back().await).await.end, RolloutEnd::Succeeded);
    assert!(!yard.is_patched("shop-1"));
    let again = back().await;
    assert!(again.decisions.actions.is_empty());
    assert_eq!(again.about.notes, ["shop-1 was put back already; patchyard rollback R2.1 undoes that"]);

    let scan = yard.scan(&ScanRequest::default()).await.unwrap();
    assert_eq!(scan.targets[0].taken_back.map(|rollout| rollout.to_string()).as_deref(), Some("R2"));
    let planned = yard.plan_all().await.plan;
    assert_eq!(planned.about.notes, ["rolled back by hand, and patched again by this plan: shop-1 by R2"]);
    yard.apply(&planned).await;
    assert_eq!(
        yard.apply(&back().await).await.end,
        RolloutEnd::Succeeded,
        "the patch of R3 can be taken back"
    );
    assert!(!yard.is_patched("shop-1"));
}

#[tokio::test(start_paused = true)]
async fn what_there_is_no_way_back_for_is_an_error_that_says_so() {
    let yard = Yard::new();
    yard.add("shop", 1);
    let error = |subject: &str| {
        let (context, subject) = (&yard.context, names(&[subject]));
        async move { plan_rollback(context, &subject, &Overrides::default()).await.err().unwrap() }
    };
    assert_eq!(error("R7").await.kind(), Kind::Input);
    let none = error("shop-1").await;
    assert_eq!(none.to_string(), "there is no rollout and no snapshot of a target 'shop-1'");
    let planned = yard.plan_all().await;
    let open = yard.begin(&planned.plan).await;
    assert_eq!(error(&open.to_string()).await.kind(), Kind::Refused, "it is not over");
}

#[tokio::test(start_paused = true)]
async fn what_somebody_recreates_from_the_base_is_found_and_patched_again() {
    let yard = Yard::new();
    let shop = yard.add("shop", 2);
    yard.apply_all().await;
    yard.world(0).interfere(&shop[1], Interference::Revert, yard.clock.now());

    let scan = yard.scan(&ScanRequest::default()).await.unwrap();
    let first = &scan.targets[0];
    assert_eq!(first.known.target.name, "shop-2", "what went back comes first");
    assert_eq!(first.reverted.as_ref().map(|last| last.end), Some(RunEnd::Succeeded));
    assert!(scan.targets[1].reverted.is_none());
    let planned = yard.plan_all().await;
    assert_eq!(planned.reverted, ["shop-2"]);
    let actions = &planned.plan.decisions.actions;
    assert_eq!(actions.iter().map(|a| a.name.as_str()).collect::<Vec<_>>(), ["shop-2"]);

    assert_eq!(yard.apply(&planned.plan).await.end, RolloutEnd::Succeeded);
    let scan = yard.scan(&ScanRequest::default()).await.unwrap();
    assert!(scan.targets.iter().all(|scanned| scanned.reverted.is_none()) && !scan.any_pending());
}

#[tokio::test(start_paused = true)]
async fn a_rollback_of_our_own_is_nothing_that_somebody_put_back() {
    let yard = Yard::new();
    yard.add("shop", 1);
    let first = yard.apply_all().await;
    let subject = names(&[&first.report.id.to_string()]);
    let back = plan_rollback(&yard.context, &subject, &Overrides::default()).await.unwrap();
    yard.apply(&back.plan).await;
    let scan = yard.scan(&ScanRequest::default()).await.unwrap();
    assert!(scan.targets[0].reverted.is_none() && scan.any_pending());
}

#[tokio::test(start_paused = true)]
async fn snapshots_stay_as_long_as_retention_says_and_go_when_they_are_named() {
    let mut yard = Yard::new();
    yard.context.config.retention =
        Retention { keep_for: Millis::from_secs(24 * 3600), keep_last: 0, max_size: None };
    yard.add("shop", 2);
    yard.apply_all().await;
    let fleet = yard.discover().await;
    let context = &yard.context;
    assert!(snapshots::apply_retention(context, &fleet, false).await.unwrap().is_empty(), "they are young");

    let all = snapshots::list(context, &[]).await.unwrap();
    let one = names(&[&all[0].id.0]);
    assert_eq!(snapshots::prune(context, &fleet, &one, true).await.unwrap().len(), 1);
    assert_eq!(snapshots::list(context, &[]).await.unwrap().len(), 2, "a dry run removes nothing");
    let missing = names(&[&all[0].id.0, "R9.9"]);
    let error = snapshots::prune(context, &fleet, &missing, false).await.err().unwrap();
    assert_eq!(error.to_string(), "there is no snapshot R9.9");
    assert_eq!(snapshots::list(context, &[]).await.unwrap().len(), 2, "all or none");
    snapshots::prune(context, &fleet, &one, false).await.unwrap();
    assert_eq!(snapshots::list(context, &[]).await.unwrap().len(), 1);

    yard.clock_on(25 * 3600).await;
    let gone = snapshots::apply_retention(context, &fleet, false).await.unwrap();
    assert!(gone.iter().all(|pruned| pruned.failed.is_none()) && gone.len() == 1);
    assert!(snapshots::list(context, &[]).await.unwrap().is_empty());
    assert!(yard.world(0).snapshots.is_empty());
}

#[tokio::test(start_paused = true)]
async fn no_rollout_begins_where_snapshots_take_more_room_than_they_may() {
    let mut yard = Yard::new();
    yard.add("shop", 2);
    let subject = |name: &str| Selection { names: names(&[name]), ..Selection::default() };
    let of = |name: &str| PlanRequest { selection: subject(name), ..PlanRequest::default() };
    yard.apply(&yard.plan(&of("shop-1")).await.unwrap().plan).await;
    let taken = snapshots::list(&yard.context, &[]).await.unwrap()[0].size;
    let plan = yard.plan(&of("shop-2")).await.unwrap().plan;
    let fleet = yard.discover().await;
    yard.context.config.retention.max_size = Some(taken - 1);
    let error = begin(&yard.context, &fleet, &plan).await.unwrap_err();
    assert!(error.to_string().contains("the snapshots of shop-1 take"), "{error}");
    assert_eq!(
        snapshots::list(&yard.context, &[]).await.unwrap().len(),
        1,
        "the only one of its target stays"
    );
    let back = plan_rollback(&yard.context, &names(&["shop-1"]), &Overrides::default()).await.unwrap();
    yard.apply(&back.plan).await;
    yard.context.config.retention.max_size = Some(2 * taken);
    begin(&yard.context, &fleet, &plan).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_target_whose_only_run_was_closed_by_a_person_is_not_passed_over_in_silence() {
    let yard = Yard::new();
    let ids = yard.add("shop", 2);
    let only = |name: &str| Selection { names: names(&[name]), ..Selection::default() };
    let of = |name: &str| PlanRequest { selection: only(name), ..PlanRequest::default() };
    yard.apply(&yard.plan(&of("shop-1")).await.unwrap().plan).await;
    let rollout = yard.begin(&yard.plan(&of("shop-2")).await.unwrap().plan).await;
    let run = RunId { rollout, action: 0 };
    let taken = snapshots::list(&yard.context, &[]).await.unwrap().remove(0);
    let (id, name) = (SnapshotId(run.to_string()), "shop-2".to_owned());
    let snapshot = Snapshot { id, run, name, target: ids[1].clone(), ..taken };
    let record = Record::Snapshotted { snapshot: Box::new(snapshot) };
    let (step, direction) = (Step::Swap(SwapStep::Snapshot), Direction::Do);
    let ended = |stream, bodies| Append { stream, expected: None, bodies };
    let failed = RunEnd::Failed;
    let batch = vec![
        ended(Stream::Run(run), vec![EventBody::Run(RunEvent::Succeeded { step, direction, record })]),
        ended(
            Stream::Rollout(rollout),
            [
                RolloutEvent::RunStarted { action: 0 },
                RolloutEvent::RunEnded { action: 0, end: failed, reason: None, quarantined: false },
                RolloutEvent::Ended { end: RolloutEnd::Partly },
            ]
            .map(EventBody::Rollout)
            .into(),
        ),
    ];
    yard.context.store.append(yard.context.clock.now(), batch).await.unwrap();

    let back = plan_rollback(&yard.context, &names(&["shop-*"]), &Overrides::default()).await.unwrap().plan;
    assert_eq!(back.decisions.actions.iter().map(|a| a.name.as_str()).collect::<Vec<_>>(), ["shop-1"]);
    let [left_out] = &back.about.left_out[..] else { panic!("{:?}", back.about) };
    assert!(
        left_out.name == "shop-2" && left_out.detail.contains(&format!("patchyard rollback {run} ")),
        "{left_out:?}"
    );
}

/// As after a crash: the intent to remove it is all there is.
async fn begin_to_remove(yard: &Yard, snapshot: &SnapshotId) {
    let intended = LedgerEvent::PruneIntended { snapshot: snapshot.clone() };
    let bodies = vec![EventBody::Ledger(intended)];
    let append = Append { stream: Stream::Ledger, expected: None, bodies };
    yard.context.store.append(yard.context.clock.now(), vec![append]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_is_half_removed_is_no_way_back_and_is_removed_by_whoever_comes_next() {
    let yard = Yard::new();
    yard.add("shop", 2);
    yard.apply_all().await;
    let (fleet, context) = (yard.discover().await, &yard.context);
    let all = snapshots::list(context, &[]).await.unwrap();

    begin_to_remove(&yard, &all[0].id).await;
    assert_eq!(snapshots::list(context, &[]).await.unwrap(), all[1..]);
    let ended = snapshots::apply_retention(context, &fleet, false).await.unwrap();
    assert_eq!(ended.iter().map(|pruned| &pruned.snapshot).collect::<Vec<_>>(), [&all[0]]);
    assert!(snapshots::apply_retention(context, &fleet, false).await.unwrap().is_empty(), "it has ended");

    begin_to_remove(&yard, &all[1].id).await;
    collect(context, &fleet, Extent::Look).await.unwrap();
    assert_eq!(yard.world(0).snapshots.len(), 1, "it was only looked for");
    collect(context, &fleet, Extent::WithoutVolumes).await.unwrap();
    assert!(yard.world(0).snapshots.is_empty());
    assert!(snapshots::apply_retention(context, &fleet, false).await.unwrap().is_empty(), "it has ended");
}

#[tokio::test(start_paused = true)]
async fn gc_removes_what_nothing_needs_and_leaves_what_an_open_rollout_does() {
    let yard = Yard::new();
    yard.add("shop", 1);
    yard.apply_all().await;
    let stray = SimObject {
        name: "patchyard-R9.1-new-shop-1".into(),
        image: base_image("shop"),
        config: Digest::of_bytes(b"stray"),
        held: false,
        started: None,
        starts: 0,
        behaviour: Behaviour::Good,
        run: "R9.1".parse().ok(),
        written: 0,
        carried: None,
        left: None,
        lives_in: None,
        told: 0,
        restarts: 0,
    };
    yard.world(0).objects.insert("stray".into(), stray);
    let fleet = yard.discover().await;

    let seen = collect(&yard.context, &fleet, Extent::Look).await.unwrap();
    assert_eq!(seen.leftovers.iter().map(|(_, _, fate)| fate).collect::<Vec<_>>(), [&Fate::Found]);
    assert!(yard.world(0).objects.contains_key("stray"));
    let swept = collect(&yard.context, &fleet, Extent::WithoutVolumes).await.unwrap();
    assert_eq!(swept.leftovers.iter().map(|(_, _, fate)| fate).collect::<Vec<_>>(), [&Fate::Removed]);
    assert!(!yard.world(0).objects.contains_key("stray"));
    assert!(collect(&yard.context, &fleet, Extent::Everything).await.unwrap().leftovers.is_empty());
    yard.assert_well();
    assert_eq!(snapshots::list(&yard.context, &[]).await.unwrap().len(), 1, "a snapshot is no leftover");
}

/// What a machine would go back to is in no plan, and in no snapshot before the end.
#[tokio::test(start_paused = true)]
async fn what_an_open_rollout_would_go_back_to_stays_in_the_cache() {
    let yard = Yard::new();
    yard.add("shop", 1);
    let run = RunId { rollout: yard.begin(&yard.plan_all().await.plan).await, action: 0 };
    let cache = &yard.context.cache;
    let old = |bytes: &[u8]| {
        let (scratch, digest) = (cache.scratch().unwrap(), Digest::of_bytes(bytes));
        std::fs::write(&scratch, bytes).unwrap();
        let place = cache.keep(&scratch, &digest).unwrap();
        std::fs::File::open(place).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        digest
    };
    let (previous, stray) = (old(b"the previous version"), old(b"a stray one"));
    let back = PackageChange {
        name: "web".into(),
        arch: Arch("amd64".into()),
        from: Some("2".into()),
        to: Some("1".into()),
        sha256: Some(previous),
        security: false,
        size: 20,
    };
    let record = Record::Kept { back: vec![back], missing: Vec::new(), automatic: Vec::new() };
    let (step, direction) = (Step::Machine(MachineStep::Prepare), Direction::Do);
    let bodies = vec![EventBody::Run(RunEvent::Succeeded { step, direction, record })];
    let append = Append { stream: Stream::Run(run), expected: None, bodies };
    yard.context.store.append(yard.clock.now(), vec![append]).await.unwrap();

    let fleet = yard.discover().await;
    assert_eq!(collect(&yard.context, &fleet, Extent::WithoutVolumes).await.unwrap().cache.files, 1);
    assert!(cache.find(&previous).is_some());
    assert!(cache.find(&stray).is_none());
}

#[tokio::test(start_paused = true)]
async fn plans_nobody_carried_out_go_after_a_month_and_those_of_rollouts_stay() {
    let yard = Yard::new();
    yard.add("shop", 1);
    let done = yard.plan_all().await.plan;
    yard.apply(&done).await;
    yard.add("db", 1);
    let idle = yard.plan_all().await.plan;
    yard.clock_on(31 * 24 * 3600).await;
    let fleet = yard.discover().await;
    assert_eq!(collect(&yard.context, &fleet, Extent::WithoutVolumes).await.unwrap().plans, 1);
    let store = &yard.context.store;
    assert!(store.load_plan(&idle.digest()).await.unwrap().is_none());
    assert!(store.load_plan(&done.digest()).await.unwrap().is_some());
    assert_eq!(history(&yard.context, &[], 1).await.unwrap().len(), 1);
}
