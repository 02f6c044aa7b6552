//! What is not known is never nothing.

use std::time::Duration;

use jiff::SignedDuration;
use patchyard_app::select::Selection;
use patchyard_app::{Error, Kind, PlanRequest, ScanRequest, begin, discover, reach};
use patchyard_contract::Clock;
use patchyard_types::{Assessment, LeftOutReason, Millis, RolloutEnd};

use crate::yard::Yard;

/// The host does not answer for so long.
fn silence(yard: &Yard, host: usize, seconds: i64) {
    let until = yard.clock.now() + SignedDuration::from_secs(seconds);
    yard.world(host).silent_until = Some(until);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_does_not_answer_is_told_and_the_other_one_is_patched() {
    let yard = Yard::with_hosts(&["sim-1", "sim-2"]);
    yard.add("shop", 1);
    yard.world(1).add("db", "db-1", patchyard_provider_sim::Behaviour::Good, yard.clock.now());
    silence(&yard, 1, 3600);
    let scan = yard.scan(&ScanRequest::default()).await.unwrap();
    assert_eq!(scan.unreachable.iter().map(|host| host.name.as_str()).collect::<Vec<_>>(), ["sim-2"]);
    assert!(scan.any_unknown());

    let planned = yard.plan_all().await;
    assert!(planned.any_unknown && planned.unreachable.len() == 1);
    assert_eq!(yard.apply(&planned.plan).await.end, RolloutEnd::Succeeded);
    let scan = yard.scan(&ScanRequest::default()).await.unwrap();
    assert!(!scan.any_pending() && scan.any_unknown(), "nothing known to be pending is not nothing pending");
}

#[tokio::test(start_paused = true)]
async fn hosts_that_all_stay_silent_are_an_error_and_not_an_empty_fleet() {
    let mut yard = Yard::new();
    yard.add("shop", 1);
    silence(&yard, 0, 3600);
    yard.add_dead_host("sim-9");
    for error in [
        yard.scan(&ScanRequest::default()).await.err().unwrap(),
        yard.plan(&PlanRequest::default()).await.err().unwrap(),
    ] {
        assert_eq!(error.kind(), Kind::Unreachable, "{error}");
        assert_eq!(error.hint().as_deref(), Some("patchyard doctor"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_that_a_silent_host_could_have_is_no_slip() {
    let mut yard = Yard::new();
    yard.add("shop", 1);
    yard.add_dead_host("sim-9");
    let selection = Selection { names: vec!["db-1".into()], ..Selection::default() };
    let error = discover(&yard.context, &selection).await.err().unwrap();
    assert!(matches!(error, Error::Host(_)), "{error}");
    assert!(error.to_string().contains("sim-9"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_plan_for_a_host_that_has_gone_silent_does_not_begin() {
    let mut yard = Yard::new();
    yard.add("shop", 1);
    let planned = yard.plan_all().await.plan;
    yard.forget_hosts();
    yard.add_dead_host("sim-1");
    let error = reach(&yard.context).await.err().unwrap();
    assert_eq!(error.kind(), Kind::Unreachable);
    yard.add_living_host("sim-2");
    let fleet = reach(&yard.context).await.unwrap();
    let error = begin(&yard.context, &fleet, &planned).await.err().unwrap();
    assert_eq!(error.kind(), Kind::Unreachable, "{error}");
    assert!(error.to_string().contains("sim-1"), "{error}");
    assert!(yard.context.store.rollouts().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_target_that_cannot_be_asked_is_not_assessed_and_left_out_with_the_reason() {
    let yard = Yard::new();
    yard.add("shop", 1);
    let legacy = yard.add("legacy", 1);
    yard.world(0).targets.get_mut(&legacy[0]).unwrap().mute = Some("its repository is gone".into());
    let scan = yard.scan(&ScanRequest::default()).await.unwrap();
    let unknown = scan.targets.iter().find(|scanned| scanned.known.target.name == "legacy-1").unwrap();
    let Assessment::NotAssessed(why) = &unknown.known.assessment else { panic!("nobody knows") };
    assert_eq!(why.reason, "its repository is gone");
    assert!(scan.any_unknown() && scan.any_pending());

    let planned = yard.plan_all().await;
    assert!(planned.any_unknown);
    let [left_out] = &planned.plan.about.left_out[..] else { panic!("{:?}", planned.plan.about) };
    assert_eq!((left_out.name.as_str(), left_out.reason), ("legacy-1", LeftOutReason::NotAssessed));
    assert_eq!(left_out.detail, "its repository is gone");
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_reused_while_it_is_young_and_a_refusal_never() {
    let yard = Yard::new();
    let shop = yard.add("shop", 1);
    let mute = |reason: Option<&str>| {
        yard.world(0).targets.get_mut(&shop[0]).unwrap().mute = reason.map(str::to_owned);
    };
    let hour = ScanRequest { max_age: Millis::from_secs(3600), ..ScanRequest::default() };
    mute(Some("no network"));
    assert!(yard.scan(&hour).await.unwrap().any_unknown());
    mute(None);
    assert!(!yard.scan(&hour).await.unwrap().any_unknown(), "a refusal is not remembered");
    mute(Some("no network"));
    assert!(!yard.scan(&hour).await.unwrap().any_unknown(), "a young answer is good enough");
    let now = ScanRequest { max_age: Millis(0), ..ScanRequest::default() };
    assert!(yard.scan(&now).await.unwrap().any_unknown(), "--refresh asks again");
    yard.clock.sleep(Duration::from_secs(3601)).await;
    assert!(yard.scan(&hour).await.unwrap().any_unknown(), "an old answer is not");
}

#[tokio::test(start_paused = true)]
async fn two_ways_to_one_host_are_one_host() {
    let mut yard = Yard::new();
    yard.add("shop", 2);
    yard.add_route("the-same", 0);
    let fleet = yard.discover().await;
    assert_eq!((fleet.hosts.len(), fleet.targets.len(), fleet.unreachable.len()), (1, 2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_host_and_its_copy_are_told_and_left_alone_both() {
    let mut yard = Yard::with_hosts(&["web01", "db01"]);
    yard.add("shop", 1);
    yard.world(1).add("db", "db-1", patchyard_provider_sim::Behaviour::Good, yard.clock.now());
    yard.add_copy("web02", 0);
    let fleet = yard.discover().await;
    assert_eq!(fleet.hosts.iter().map(|host| host.name.as_str()).collect::<Vec<_>>(), ["db01"]);
    let told: Vec<_> = fleet.unreachable.iter().map(|host| host.error.to_string()).collect();
    assert!(told[0].starts_with("web01 and web02 bear the same id"), "{told:?}");
    assert!(told[1].starts_with("web02 and web01 bear the same id"), "{told:?}");

    let mut yard = Yard::new();
    yard.add_copy("web02", 0);
    let error = reach(&yard.context).await.err().unwrap();
    assert_eq!(error.kind(), Kind::Refused, "{error}");
    assert!(error.hint().unwrap().contains("an id of its own"));
}
