//! Good versions: everything is patched, one wave after the other, and afterwards there is nothing to do.

use std::collections::{BTreeMap, BTreeSet};

use patchyard_app::rollouts::Phase;
use patchyard_app::settings::Overrides;
use patchyard_app::{Outlook, PlanRequest, ScanRequest, audit, history, open_log, snapshots};
use patchyard_contract::Clock;
use patchyard_provider_sim::{Behaviour, base_image};
use patchyard_types::{Budget, Plan, Reboot, RolloutEnd, RunEnd};

use crate::yard::{Applied, Yard};

/// The most runs of each service that were under way at the same time.
fn busiest(applied: &Applied, plan: &Plan) -> BTreeMap<String, usize> {
    let (mut now, mut most) = (BTreeMap::<_, usize>::new(), BTreeMap::<String, usize>::new());
    for (action, began) in applied.recorder.runs() {
        let service = &plan.decisions.actions[action].service;
        let running = now.entry(service).or_default();
        *running = if began { *running + 1 } else { *running - 1 };
        let most = most.entry(service.clone()).or_default();
        *most = (*most).max(*running);
    }
    most
}

/// A wave begins when every run of the one before has ended.
fn assert_one_wave_after_the_other(applied: &Applied, plan: &Plan) {
    let mut ended = BTreeSet::new();
    let wave_of = |action: usize| plan.decisions.waves.iter().position(|wave| wave.0.contains(&action));
    for (action, began) in applied.recorder.runs() {
        if !began {
            ended.insert(action);
            continue;
        }
        let wave = wave_of(action).unwrap();
        let before = plan.decisions.waves[..wave].iter().flat_map(|wave| &wave.0);
        for other in before {
            assert!(ended.contains(other), "action {action} of wave {wave} began before {other} had ended");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_fleet_is_patched_in_waves_within_the_budget_of_each_service() {
    let yard = Yard::new();
    yard.add("shop", 4);
    yard.add("db", 1);
    yard.world(0).budget.insert("shop".into(), 2);
    let overrides = Overrides { max_unavailable: Some(Budget::Count(2)), ..Overrides::default() };
    let planned = yard.plan(&PlanRequest { overrides, ..PlanRequest::default() }).await.unwrap();
    assert_eq!(planned.plan.decisions.actions.len(), 5);

    let applied = yard.apply(&planned.plan).await;
    assert_eq!(applied.end, RolloutEnd::Succeeded);
    assert_one_wave_after_the_other(&applied, &planned.plan);
    let busiest = busiest(&applied, &planned.plan);
    assert_eq!(busiest["shop"], 2, "the budget is used, and never more than it");
    yard.assert_well();
    for name in ["shop-1", "shop-2", "shop-3", "shop-4", "db-1"] {
        assert!(yard.is_patched(name), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_target_at_a_time_is_the_default() {
    let yard = Yard::new();
    yard.add("shop", 3);
    let planned = yard.plan_all().await;
    let applied = yard.apply(&planned.plan).await;
    assert_eq!(busiest(&applied, &planned.plan)["shop"], 1);
    assert_one_wave_after_the_other(&applied, &planned.plan);
    yard.assert_well();
}

#[tokio::test(start_paused = true)]
async fn planning_again_gives_the_same_digest_until_something_changes() {
    let yard = Yard::new();
    yard.add("shop", 2);
    let first = yard.plan_all().await.plan.digest();
    yard.clock_on(90).await;
    assert_eq!(yard.plan_all().await.plan.digest(), first);
    yard.add("db", 1);
    assert_ne!(yard.plan_all().await.plan.digest(), first);
}

#[tokio::test(start_paused = true)]
async fn the_second_time_there_is_nothing_to_do() {
    let yard = Yard::new();
    yard.add("shop", 2);
    assert!(yard.scan(&ScanRequest::default()).await.unwrap().any_pending());
    yard.apply_all().await;

    let scan = yard.scan(&ScanRequest::default()).await.unwrap();
    assert!(!scan.any_pending() && !scan.any_unknown());
    assert!(scan.targets.iter().all(|scanned| scanned.reverted.is_none()));
    let again = yard.plan_all().await;
    assert!(again.plan.decisions.actions.is_empty() && again.plan.about.left_out.is_empty());
    assert_eq!(again.plan.about.up_to_date, ["shop-1", "shop-2"]);
    assert!(!again.any_pending && !again.any_unknown);
    let digest = again.plan.digest();
    assert!(yard.context.store.load_plan(&digest).await.unwrap().is_none(), "an empty plan is not stored");
}

#[tokio::test(start_paused = true)]
async fn what_was_done_is_told_by_report_history_log_and_snapshots() {
    let yard = Yard::new();
    yard.add("shop", 2);
    yard.add("db", 1);
    let planned = yard.plan_all().await;
    let head = audit::head(&yard.context).await.unwrap();
    let applied = yard.apply(&planned.plan).await;

    let report = &applied.report;
    assert_eq!(report.phase, Phase::Ended(RolloutEnd::Succeeded));
    assert_eq!((report.plan, report.by.as_ref()), (planned.plan.digest(), Some(&yard.context.actor)));
    assert!(report.runs.iter().all(|run| run.gap.is_some() && run.snapshot.is_some() && !run.quarantined));
    assert_eq!(report.runs[0].versions, ["web=2"]);

    let past = history(&yard.context, &[], 10).await.unwrap();
    assert_eq!(past.len(), 1);
    assert_eq!((past[0].id, past[0].count(RunEnd::Succeeded)), (report.id, 3));
    assert!(history(&yard.context, &["nobody".into()], 10).await.unwrap().is_empty());

    let of = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(snapshots::list(&yard.context, &[]).await.unwrap().len(), 3);
    let shop = snapshots::list(&yard.context, &of(&["shop-*"])).await.unwrap();
    assert_eq!(shop.len(), 2);
    assert!(shop.iter().all(|snapshot| snapshot.image == base_image("shop")));

    let mut log = open_log(&yard.context, "shop-2").await.unwrap();
    assert_eq!(log.outlook(&yard.context).await.unwrap(), Outlook::Over);
    assert_eq!(log.runs.values().collect::<Vec<_>>(), ["shop-2"]);
    assert!(!log.next(&yard.context).await.unwrap().is_empty());
    assert!(log.next(&yard.context).await.unwrap().is_empty(), "each event is told once");

    let verdict = audit::verify(&yard.context, Some(head)).await.unwrap();
    assert_eq!(verdict.broken, None);
    assert!(verdict.head.entries > head.entries);
}

/// A machine says why it should be started anew; the report tells where the plan leaves that to a person.
#[tokio::test(start_paused = true)]
async fn a_reboot_that_the_plan_does_not_do_is_told() {
    for (reboot, told) in [
        (Reboot::Never, &[][..]),
        (Reboot::ServicesOnly, &["a kernel".to_owned()][..]),
        (Reboot::AsNeeded, &[][..]),
    ] {
        let mut yard = Yard::new();
        yard.context.config.defaults.reboot = reboot;
        let now = yard.clock.now();
        yard.world(0).add_machine("db", "db01", Behaviour::Good, now);
        let applied = yard.apply_all().await;
        assert_eq!(applied.end, RolloutEnd::Succeeded, "{reboot}");
        assert_eq!(applied.report.runs[0].reboot, told, "{reboot}");
    }
}
