//! Selecting: names, selectors, and which patches are wanted.

use patchyard_app::select::Selection;
use patchyard_app::{Error, Kind, Meant, PatchFilter, PlanRequest, ScanRequest, discover, what_is_meant};
use patchyard_contract::Clock;
use patchyard_provider_sim::Behaviour;
use patchyard_types::{Change, Digest, Method, PackageChange, PendingPatch, Plan, RolloutEnd};

use crate::yard::Yard;

fn named(names: &[&str]) -> Selection {
    Selection { names: names.iter().map(ToString::to_string).collect(), ..Selection::default() }
}

/// Packages of a plan's only patch set.
fn packages(plan: &Plan) -> Vec<&PackageChange> {
    let mut sets = plan.decisions.patch_sets.values();
    let (Some(set), None) = (sets.next(), sets.next()) else { panic!("one patch set: {plan:?}") };
    let Change::Packages(packages) = &set.change else { panic!("packages: {plan:?}") };
    packages.iter().collect()
}

/// Targets with a patch from a security suite, and another one that brings in a new package.
fn with_two_patches() -> Yard {
    let yard = Yard::new();
    for id in yard.add("shop", 2) {
        let mut world = yard.world(0);
        let pending = &mut world.targets.get_mut(&id).unwrap().pending;
        let tool = PendingPatch {
            package: "tool".into(),
            candidate: "1.5".into(),
            security: false,
            sha256: Some(Digest::of_bytes(b"tool")),
            ..pending[0].clone()
        };
        let data = PendingPatch { package: "tool-data".into(), installed: None, ..tool.clone() };
        pending.extend([tool, data]);
    }
    yard
}

#[tokio::test(start_paused = true)]
async fn of_two_names_the_one_that_does_not_exist_is_named() {
    let yard = Yard::new();
    yard.add("shop", 2);
    let selection = named(&["shop-1", "shpo-2"]);
    let scan = ScanRequest { selection: selection.clone(), ..ScanRequest::default() };
    let plan = PlanRequest { selection: selection.clone(), ..PlanRequest::default() };
    for error in [
        discover(&yard.context, &selection).await.err().unwrap(),
        yard.scan(&scan).await.err().unwrap(),
        yard.plan(&plan).await.err().unwrap(),
    ] {
        assert!(matches!(error, Error::NoSuchTarget(_)), "{error}");
        assert_eq!(error.kind(), Kind::Input);
        assert_eq!(error.to_string(), "no target is called 'shpo-2'; did you mean 'shop-2'?");
    }
}

#[tokio::test(start_paused = true)]
async fn a_selection_narrows_the_plan_but_not_the_size_of_the_service() {
    let yard = Yard::new();
    yard.add("shop", 4);
    yard.add("db", 1);
    let selection = Selection {
        names: vec!["shop-*".into()],
        selectors: vec!["service=shop".parse().unwrap()],
        exclude: vec!["shop-3".into()],
    };
    let request = PlanRequest { selection, ..PlanRequest::default() };
    let planned = yard.plan(&request).await.unwrap().plan;
    let names: Vec<_> = planned.decisions.actions.iter().map(|action| action.name.as_str()).collect();
    assert_eq!(names, ["shop-1", "shop-2", "shop-4"]);
    assert_eq!(planned.about.considered, 3);
}

#[tokio::test(start_paused = true)]
async fn security_only_narrows_scan_and_plan_and_leaves_the_rest_pending() {
    let yard = with_two_patches();
    let patches = PatchFilter { security_only: true, ..PatchFilter::default() };
    let scan = ScanRequest { patches: patches.clone(), ..ScanRequest::default() };
    for scanned in yard.scan(&scan).await.unwrap().targets {
        assert_eq!(scanned.available().map(|p| p.package.as_str()).collect::<Vec<_>>(), ["web"]);
    }
    let request = PlanRequest { patches, ..PlanRequest::default() };
    let planned = yard.plan(&request).await.unwrap().plan;
    assert_eq!(packages(&planned).iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["web"]);
    assert_eq!(yard.apply(&planned).await.end, RolloutEnd::Succeeded);

    let again = yard.plan(&request).await.unwrap();
    assert!(again.plan.decisions.actions.is_empty() && !again.any_pending);
    assert_eq!(again.filtered_out, ["shop-1", "shop-2"]);
}

#[tokio::test(start_paused = true)]
async fn a_second_patch_carries_over_what_the_first_one_brought() {
    let yard = with_two_patches();
    let patches = PatchFilter { security_only: true, ..PatchFilter::default() };
    let first = yard.plan(&PlanRequest { patches, ..PlanRequest::default() }).await.unwrap().plan;
    yard.apply(&first).await;

    let second = yard.plan_all().await.plan;
    let changes: Vec<_> =
        packages(&second).iter().map(|p| (p.name.as_str(), p.from.as_deref(), p.to.as_deref())).collect();
    let new = ("tool-data", None, Some("1.5"));
    assert_eq!(changes, [("tool", Some("1"), Some("1.5")), new, ("web", Some("1"), Some("2"))]);
    assert_eq!(yard.apply(&second).await.end, RolloutEnd::Succeeded);
    assert_eq!(yard.plan_all().await.plan.about.up_to_date, ["shop-1", "shop-2"]);
    yard.assert_well();
}

#[tokio::test(start_paused = true)]
async fn a_package_that_nobody_has_pending_is_filtered_out_and_no_error() {
    let yard = with_two_patches();
    let patches = PatchFilter { packages: vec!["no-such-*".into()], ..PatchFilter::default() };
    let planned = yard.plan(&PlanRequest { patches, ..PlanRequest::default() }).await.unwrap();
    assert!(planned.plan.decisions.actions.is_empty());
    assert_eq!(planned.filtered_out, ["shop-1", "shop-2"]);
}

#[tokio::test(start_paused = true)]
async fn a_scan_tells_what_a_plan_would_leave_out() {
    let yard = Yard::new();
    let ids = yard.add("shop", 3);
    for (id, label, value) in
        [(&ids[0], "io.patchyard.exclude", "true"), (&ids[1], "io.patchyard.verify-for", "soon")]
    {
        let mut world = yard.world(0);
        world.targets.get_mut(id).unwrap().labels.insert(label.into(), value.into());
    }
    let report = yard.scan(&ScanRequest::default()).await.unwrap();
    let told: Vec<_> = report.targets.iter().map(|scanned| scanned.known.target.refusals.len()).collect();
    assert_eq!(told, [1, 1, 0]);
    // A plan for the method `image` would not look at them, for their images are up to date; a label that
    // cannot be read is told before it is in the way.
    let report = yard.scan(&ScanRequest { method: Some(Method::Image), ..Default::default() }).await.unwrap();
    let told = report.targets.iter().flat_map(|scanned| &scanned.known.target.refusals);
    assert_eq!(told.map(|refusal| refusal.code.as_str()).collect::<Vec<_>>(), ["bad_label"]);
    let left_out = yard.plan_all().await.plan.about.left_out;
    assert_eq!(left_out.len(), 2, "{left_out:?}");
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_a_plan_and_a_target_is_an_error_that_names_both_ways_to_say_it() {
    let yard = Yard::new();
    yard.add("shop", 1);
    let digest = yard.plan_all().await.plan.digest();
    let name = digest.short(6);
    let meant = || what_is_meant(&yard.context, std::slice::from_ref(&name));
    assert!(matches!(meant().await.unwrap(), Meant::Plan(plan) if plan.digest() == digest));

    yard.world(0).add("shop", &name, Behaviour::Good, yard.clock.now());
    let Err(error) = meant().await else { panic!("it could be both") };
    assert_eq!((error.kind(), error.to_string()), (Kind::Input, format!("'{name}' is a plan and a target")));
    let hint = format!("write --plan {} for the plan, or host/{name} for the target", digest.short(12));
    assert_eq!(error.hint(), Some(hint));
}
