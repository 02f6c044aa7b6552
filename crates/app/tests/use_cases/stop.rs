//! Stopping: pause, resume, abort, from another process than the one that drives.

use std::sync::Arc;
use std::time::Duration;

use patchyard_app::rollouts::{self, Phase, Rollout};
use patchyard_app::select::Selection;
use patchyard_app::{Asked, DriveEnd, Kind, PlanRequest, ask, begin, reach, resume};
use patchyard_contract::Clock;
use patchyard_types::{LeftOutReason, Refusal, Request, RolloutEnd, RolloutId, RunEnd};

use crate::yard::{Recorder, Yard};

/// Drives a rollout, and asks something of it once its first run has ended.
async fn drive_and_ask(yard: &Yard, rollout: RolloutId, request: Request) -> (DriveEnd, Asked) {
    let recorder: Arc<Recorder> = Arc::default();
    let asking = async {
        while !recorder.runs().iter().any(|(_, began)| !began) {
            yard.clock.sleep(Duration::from_secs(1)).await;
        }
        ask(&yard.context, rollout, request, "lunch").await.unwrap()
    };
    tokio::join!(yard.drive(rollout, &recorder), asking)
}

/// A fleet of one service, its rollout begun and paused after the first run.
async fn paused() -> (Yard, RolloutId) {
    let yard = Yard::new();
    yard.add("shop", 4);
    let planned = yard.plan_all().await;
    let rollout = yard.begin(&planned.plan).await;
    let (end, asked) = drive_and_ask(&yard, rollout, Request::Pause).await;
    assert_eq!((end, asked), (DriveEnd::Paused, Asked::Acknowledged));
    (yard, rollout)
}

#[tokio::test(start_paused = true)]
async fn a_pause_leaves_everybody_serving_and_resume_does_the_rest() {
    let (yard, rollout) = paused().await;
    yard.assert_well();
    let report = yard.report(rollout).await;
    assert_eq!((report.phase, report.why.as_deref()), (Phase::Paused, Some("lunch")));
    let done = report.runs.iter().filter(|run| run.end == Some(RunEnd::Succeeded)).count();
    assert!((1..4).contains(&done), "{done} runs of 4 were done");

    let now = yard.clock.now();
    let waiting = rollouts::only(&*yard.context.store, now, "resume", Phase::waits).await.unwrap();
    assert_eq!(waiting, rollout);
    resume(&yard.context, rollout).await.unwrap();
    assert_eq!(yard.drive(rollout, &Arc::default()).await, DriveEnd::Ended(RolloutEnd::Succeeded));
    yard.assert_well();
    let over = resume(&yard.context, rollout).await.unwrap_err();
    assert_eq!(
        (over.kind(), over.to_string()),
        (Kind::Refused, format!("{rollout} is over: there is nothing to resume"))
    );
    assert!(rollouts::open(&*yard.context.store, yard.clock.now()).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_was_paused_can_be_aborted_and_the_rest_is_skipped() {
    let (yard, rollout) = paused().await;
    assert_eq!(ask(&yard.context, rollout, Request::Abort, "enough").await.unwrap(), Asked::Resting);
    assert_eq!(yard.drive(rollout, &Arc::default()).await, DriveEnd::Ended(RolloutEnd::Aborted));
    let report = yard.report(rollout).await;
    assert!(report.runs.iter().any(|run| run.end == Some(RunEnd::Succeeded)), "what was done stays");
    assert!(report.runs.iter().any(|run| run.end == Some(RunEnd::Skipped)));
    yard.assert_well();
    assert!(!yard.is_patched("shop-4"));
    assert!(ask(&yard.context, rollout, Request::Pause, "late").await.is_err(), "it is over");
}

#[tokio::test(start_paused = true)]
async fn an_abort_while_it_is_driven_ends_it() {
    let yard = Yard::new();
    yard.add("shop", 4);
    let planned = yard.plan_all().await;
    let rollout = yard.begin(&planned.plan).await;
    let (end, asked) = drive_and_ask(&yard, rollout, Request::Abort).await;
    assert_eq!((end, asked), (DriveEnd::Ended(RolloutEnd::Aborted), Asked::Acknowledged));
    yard.assert_well();
}

#[tokio::test(start_paused = true)]
async fn what_a_paused_rollout_has_in_hand_is_refused_to_others_and_nothing_else_is() {
    let (yard, rollout) = paused().await;
    yard.add("db", 1);
    let left_out = yard.plan_all().await.plan.about.left_out;
    let [left_out] = &left_out[..] else { panic!("{left_out:?}") };
    assert_eq!((left_out.name.as_str(), left_out.reason), ("shop-2", LeftOutReason::Refused));
    assert_eq!(left_out.detail, format!("{rollout} is not finished with it: patchyard resume {rollout}"));

    // A plan that was made before is refused as a whole.
    let earlier = Rollout::read(&*yard.context.store, rollout).await.unwrap().plan;
    let fleet = reach(&yard.context).await.unwrap();
    let refused = begin(&yard.context, &fleet, &earlier).await.err().unwrap();
    assert_eq!(refused.kind(), Kind::Refused);
    assert_eq!(refused.to_string(), format!("{rollout} is not finished with shop-2"));
    assert_eq!(refused.hint(), Some(format!("patchyard resume {rollout}")));

    let selection = Selection { names: vec!["db-1".into()], ..Selection::default() };
    let planned = yard.plan(&PlanRequest { selection, ..PlanRequest::default() }).await.unwrap();
    assert_eq!(yard.apply(&planned.plan).await.end, RolloutEnd::Succeeded);
    resume(&yard.context, rollout).await.unwrap();
    assert_eq!(yard.drive(rollout, &Arc::default()).await, DriveEnd::Ended(RolloutEnd::Succeeded));
    yard.assert_well();
}

#[tokio::test(start_paused = true)]
async fn a_plan_whose_target_another_controller_has_taken_since_does_not_begin() {
    let yard = Yard::new();
    let ids = yard.add("shop", 2);
    let planned = yard.plan_all().await.plan;
    let message = "run R4.1 of controller c0ffee00 is not finished on it: resume or resolve it there";
    let foreign = Refusal { code: "foreign_run".into(), message: message.into() };
    yard.world(0).targets.get_mut(&ids[1]).unwrap().refusals.push(foreign);
    let fleet = reach(&yard.context).await.unwrap();
    let refused = begin(&yard.context, &fleet, &planned).await.err().unwrap();
    assert_eq!(
        (refused.kind(), refused.to_string()),
        (Kind::Refused, format!("shop-2 is in other hands: {message}"))
    );
    assert!(rollouts::open(&*yard.context.store, yard.clock.now()).await.unwrap().is_empty());

    yard.world(0).targets.get_mut(&ids[1]).unwrap().refusals.clear();
    assert_eq!(yard.apply(&planned).await.end, RolloutEnd::Succeeded);
}
