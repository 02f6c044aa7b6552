//! Bad versions: taken back, quarantined, left out until somebody releases them.

use patchyard_app::quarantine;
use patchyard_app::settings::Overrides;
use patchyard_app::{PlanRequest, rollouts::Phase};
use patchyard_provider_sim::Behaviour;
use patchyard_types::{Budget, LeftOutReason, RolloutEnd, RunEnd};

use crate::yard::Yard;

#[tokio::test(start_paused = true)]
async fn a_bad_version_is_taken_back_and_the_rest_of_its_service_left_alone() {
    let yard = Yard::new();
    yard.add_with("mail", 2, Behaviour::CrashesAfter(20));
    yard.add("shop", 2);
    let applied = yard.apply_all().await;

    assert_eq!(applied.end, RolloutEnd::Partly);
    let (end, reason) = applied.run("mail-1");
    assert_eq!(end, RunEnd::RolledBack);
    assert!(!reason.is_empty(), "it says what failed");
    let (end, reason) = applied.run("mail-2");
    assert_eq!(end, RunEnd::Skipped);
    assert!(reason.contains("mail-1"), "{reason}");
    assert_eq!(applied.run("shop-1").0, RunEnd::Succeeded);
    assert_eq!(applied.run("shop-2").0, RunEnd::Succeeded);
    let quarantined = applied.report.runs.iter().filter(|run| run.quarantined);
    assert_eq!(quarantined.map(|run| run.name.as_str()).collect::<Vec<_>>(), ["mail-1"]);
    yard.assert_well();
    assert!(!yard.is_patched("mail-1") && !yard.is_patched("mail-2"));
}

#[tokio::test(start_paused = true)]
async fn what_is_in_quarantine_is_left_out_with_the_reason_and_taken_after_its_release() {
    let yard = Yard::new();
    let mail = yard.add_with("mail", 1, Behaviour::Http500);
    yard.apply_all().await;
    let entries = quarantine::list(&yard.context).await.unwrap();
    let [(id, entry)] = &entries[..] else { panic!("one entry: {entries:?}") };
    assert_eq!((entry.service.as_str(), &entry.versions[..]), ("mail", &["web=2".to_owned()][..]));

    let planned = yard.plan_all().await;
    assert!(planned.plan.decisions.actions.is_empty() && planned.any_pending);
    let [left_out] = &planned.plan.about.left_out[..] else { panic!("{:?}", planned.plan.about) };
    assert_eq!(left_out.reason, LeftOutReason::Quarantined);
    assert!(left_out.detail.contains("web=2"), "{}", left_out.detail);

    let release = |name: String| {
        let context = &yard.context;
        async move { quarantine::release(context, &[name], "the configuration was wrong").await }
    };
    let unknown = release("Q99".into()).await.unwrap_err();
    assert_eq!(unknown.to_string(), "there is no quarantine entry Q99");
    assert_eq!(quarantine::list(&yard.context).await.unwrap().len(), 1, "nothing was released by mistake");
    release(id.to_string()).await.unwrap();
    assert!(quarantine::list(&yard.context).await.unwrap().is_empty());
    assert!(release(id.to_string()).await.is_err(), "an entry is released once");

    yard.world(0).targets.get_mut(&mail[0]).unwrap().patched = Behaviour::Good;
    assert_eq!(yard.apply_all().await.end, RolloutEnd::Succeeded);
    yard.assert_well();
}

#[tokio::test(start_paused = true)]
async fn more_failures_than_are_tolerated_stop_the_rollout() {
    let yard = Yard::new();
    for service in ["a", "b", "c", "d"] {
        yard.add_with(service, 1, Behaviour::CrashesAtStart);
    }
    let one_by_one =
        Overrides { max_failures: Some(Budget::Count(1)), max_parallel: Some(1), ..Overrides::default() };
    let planned = yard.plan(&PlanRequest { overrides: one_by_one, ..PlanRequest::default() }).await.unwrap();
    let applied = yard.apply(&planned.plan).await;
    assert_eq!(applied.end, RolloutEnd::RolledBack);
    assert_eq!(applied.report.phase, Phase::Ended(RolloutEnd::RolledBack));
    let ends: Vec<_> = ["a-1", "b-1", "c-1", "d-1"].map(|name| applied.run(name).0).into();
    use RunEnd::{RolledBack, Skipped};
    assert_eq!(ends, [RolledBack, RolledBack, Skipped, Skipped]);
    assert!(applied.run("c-1").1.contains("2 runs failed, 1 are tolerated"), "{}", applied.run("c-1").1);
    yard.assert_well();
}

#[tokio::test(start_paused = true)]
async fn a_target_whose_own_check_is_bad_beforehand_is_skipped_and_not_touched() {
    let yard = Yard::new();
    let shop = yard.add("shop", 1);
    {
        let mut world = yard.world(0);
        let label = ("io.patchyard.check.http".to_owned(), "8080/health".to_owned());
        world.targets.get_mut(&shop[0]).unwrap().labels.extend([label]);
        world.objects.values_mut().for_each(|object| object.behaviour = Behaviour::Http500);
    }
    let before = yard.world(0).objects.clone();
    let applied = yard.apply_all().await;
    let (end, reason) = applied.run("shop-1");
    assert_eq!(end, RunEnd::Skipped);
    assert!(reason.contains("check 'label http :8080/health'"), "{reason}");
    assert_eq!(yard.world(0).objects, before);
    assert!(quarantine::list(&yard.context).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_plan_made_before_the_quarantine_does_not_get_around_it() {
    let yard = Yard::new();
    yard.add_with("mail", 1, Behaviour::CrashesAtStart);
    let planned = yard.plan_all().await;
    yard.apply(&planned.plan).await;
    let again = yard.apply(&planned.plan).await;
    let (end, reason) = again.run("mail-1");
    assert_eq!(end, RunEnd::Skipped);
    assert!(reason.contains("quarantine"), "{reason}");
    yard.assert_well();
}
