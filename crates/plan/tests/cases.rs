//! One case for each decision of the planner, told as small stories.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use common::{candidate, image_id, patch, request, target};
use jiff::Timestamp;
use patchyard_plan::lint::Severity;
use patchyard_plan::{
    Candidate, PatchFilter, PlanRequest, Planned, Restoration, RestoreRequest, TagPolicy, Timing,
    keeps_image_out, lint, plan, restore,
};
use patchyard_types::{
    Arch, Assessment, Budget, Change, Data, Digest, Health, HostId, ImageUpdate, LeftOutReason, Manager,
    Method, Millis, Mount, MountKind, NotAssessed, Order, PackageChange, PendingPatch, PendingStatus, Plan,
    PublishedPort, Quarantine, QuarantineId, Reboot, Refusal, RolloutId, RunId, SavedVolume, Settings,
    Snapshot, SnapshotId, TargetKind, TargetState, Unsaved, WritableLayer,
};

fn ssl() -> PendingPatch {
    patch("libssl3", "3.0.22")
}

fn shop(number: usize) -> Candidate {
    candidate(target("web01", "shop", number, "nginx"), vec![ssl()])
}

fn names(plan: &Plan) -> Vec<&str> {
    plan.decisions.actions.iter().map(|a| a.name.as_str()).collect()
}

fn waves(plan: &Plan) -> Vec<Vec<&str>> {
    let name = |index: &usize| plan.decisions.actions[*index].name.as_str();
    plan.decisions.waves.iter().map(|wave| wave.0.iter().map(name).collect()).collect()
}

fn packages(planned: &Planned) -> Vec<String> {
    let [action] = &planned.plan.decisions.actions[..] else { panic!("{planned:#?}") };
    planned.plan.patch_set(action).unwrap().versions()
}

/// The reason and the words for the only target, which is left out.
fn left_out(candidate: Candidate) -> (LeftOutReason, String) {
    left_out_of(&request(vec![candidate]))
}

fn left_out_of(request: &PlanRequest) -> (LeftOutReason, String) {
    let planned = plan(request);
    let [left_out] = &planned.plan.about.left_out[..] else { panic!("{planned:#?}") };
    assert!(planned.plan.decisions.actions.is_empty());
    (left_out.reason, left_out.detail.clone())
}

#[test]
fn one_at_a_time_per_service_by_their_natural_names() {
    let planned = plan(&request(vec![shop(10), shop(2), shop(1)]));
    assert_eq!(waves(&planned.plan), [["shop-1"], ["shop-2"], ["shop-10"]]);
    let [set] = planned.plan.decisions.patch_sets.values().collect::<Vec<_>>()[..] else { panic!() };
    assert_eq!(set.versions(), ["libssl3=3.0.22"]);
}

#[test]
fn after_the_first_attempt_services_go_side_by_side() {
    let candidates = ["blog", "shop", "wiki"]
        .iter()
        .flat_map(|service| (1..=2).map(|n| candidate(target("web01", service, n, "nginx"), vec![ssl()])))
        .collect();
    let planned = plan(&request(candidates));
    assert_eq!(
        waves(&planned.plan),
        [vec!["blog-1"], vec!["blog-2", "shop-1", "wiki-1"], vec!["shop-2", "wiki-2"]]
    );
}

#[test]
fn a_larger_budget_counts_the_whole_service_and_the_most_careful_target() {
    let with = |budget: Budget, careful: Budget| {
        let mut candidates: Vec<_> = (1..=9).map(shop).collect();
        candidates.iter_mut().for_each(|c| c.settings.max_unavailable = budget);
        candidates[4].settings.max_unavailable = careful;
        let mut request = request(candidates);
        // Not selected, but part of the service: twelve in all.
        request.others = (10..=12).map(|n| target("web01", "shop", n, "other")).collect();
        let sizes: Vec<_> = plan(&request).plan.decisions.waves.iter().map(|w| w.0.len()).collect();
        sizes
    };
    assert_eq!(with(Budget::Percent(25), Budget::Percent(25)), [1, 3, 3, 2]);
    assert_eq!(with(Budget::Percent(25), Budget::Count(2)), [1, 2, 2, 2, 2]);
}

#[test]
fn what_is_left_out_says_why_and_what_to_do() {
    let mut one = shop(1);
    one.excluded = true;
    assert_eq!(left_out(one).0, LeftOutReason::Excluded);

    let mut one = shop(1);
    let reason = NotAssessed {
        at: Timestamp::UNIX_EPOCH,
        reason: "no package manager".into(),
        hint: "try --method image".into(),
    };
    one.assessment = Assessment::NotAssessed(reason);
    assert_eq!(left_out(one), (LeftOutReason::NotAssessed, "no package manager: try --method image".into()));

    let mut one = shop(1);
    one.starting = None;
    assert_eq!(left_out(one).0, LeftOutReason::NotAssessed);

    for (state, health) in [
        (TargetState::Exited, Health::None),
        (TargetState::Paused, Health::None),
        (TargetState::Restarting, Health::None),
        (TargetState::Running, Health::Unhealthy),
    ] {
        let mut one = shop(1);
        (one.target.state, one.target.health) = (state, health);
        assert_eq!(left_out(one).0, LeftOutReason::Unhealthy, "{state:?} {health:?}");
    }

    let mut one = shop(1);
    one.unsaved.paths = ["/d", "/c", "/b\x1b[2J", "/a"].map(str::to_owned).to_vec();
    let (reason, detail) = left_out(one);
    assert_eq!(reason, LeftOutReason::WritableLayer);
    assert!(detail.contains("/a, /b\\u{1b}[2J, /c and 1 more"), "{detail}");

    let mut one = shop(1);
    one.settings.writable_layer = WritableLayer::Carry;
    one.unsaved = Unsaved { paths: vec!["/a".into()], cannot_carry: Some("it has deleted /b".into()) };
    let (reason, detail) = left_out(one);
    assert_eq!(reason, LeftOutReason::WritableLayer);
    assert!(detail.contains("/a; it cannot be carried: it has deleted /b"), "{detail}");

    let mut one = shop(1);
    one.settings.max_layer = 999;
    assert_eq!(left_out(one).0, LeftOutReason::TooLarge);

    let unpinned = PendingPatch { sha256: None, ..ssl() };
    let (reason, detail) = left_out(candidate(target("web01", "shop", 1, "nginx"), vec![unpinned]));
    assert_eq!(reason, LeftOutReason::Unsolvable);
    assert!(detail.contains("SHA-256") && detail.contains("libssl3"), "{detail}");

    let twin = request(vec![shop(1), Candidate { excluded: true, ..shop(1) }]);
    let planned = plan(&twin);
    assert!(planned.plan.decisions.actions.is_empty());
    assert!(planned.plan.about.left_out.iter().all(|l| l.reason == LeftOutReason::Refused));
    assert_eq!(planned.plan.about.left_out.len(), 2);
}

#[test]
fn a_plan_says_what_becomes_of_data_in_the_writable_layer() {
    let planned = |choice, cannot_carry: Option<&str>| {
        let mut one = shop(1);
        one.settings.writable_layer = choice;
        one.unsaved = Unsaved { paths: vec!["/a".into()], cannot_carry: cannot_carry.map(str::to_owned) };
        plan(&request(vec![one])).plan
    };
    let loss = |plan: &Plan| {
        let action = &plan.decisions.actions[0];
        let mut losses = action.losses.iter().filter(|loss| loss.kind == "writable_layer");
        (action.writable_layer, losses.next().unwrap().detail.clone())
    };
    let carried = planned(WritableLayer::Carry, None);
    let (choice, detail) = loss(&carried);
    assert!(
        choice == WritableLayer::Carry && detail.contains("/a") && detail.contains("carried"),
        "{detail}"
    );
    // What cannot be carried can still be given up.
    let discarded = planned(WritableLayer::Discard, Some("it has deleted /b"));
    let (choice, detail) = loss(&discarded);
    assert!(choice == WritableLayer::Discard && detail.contains("LOST"), "{detail}");
    assert_ne!(carried.digest(), discarded.digest());

    // What is written until the stop counts too.
    let mut none = shop(1);
    none.settings.writable_layer = WritableLayer::Carry;
    let action = plan(&request(vec![none])).plan.decisions.actions.remove(0);
    assert_eq!(action.writable_layer, WritableLayer::Carry);
    assert!(action.losses.iter().all(|loss| loss.kind != "writable_layer"));
}

fn volume(name: &str) -> Mount {
    let destination = format!("/{name}");
    Mount { kind: MountKind::Volume, source: name.into(), destination, writable: true }
}

/// A database with one volume, whose data is to be restored.
fn restored(number: usize) -> Candidate {
    let mut one = candidate(target("web01", "db", number, "postgres"), vec![ssl()]);
    one.target.mounts = vec![volume(&format!("data-{number}"))];
    one.settings.data = Data::Restore;
    one
}

#[test]
fn a_plan_says_what_becomes_of_data_in_volumes() {
    let plan_of = |one: Candidate| plan(&request(vec![one])).plan;
    let losses = |plan: &Plan| {
        let losses = &plan.decisions.actions[0].losses;
        losses.iter().filter(|loss| loss.detail.contains("data-1")).cloned().collect::<Vec<_>>()
    };
    let restoring = plan_of(restored(1));
    assert_eq!(restoring.decisions.actions[0].data, Data::Restore);
    let [loss] = &losses(&restoring)[..] else { panic!("{restoring:#?}") };
    assert!(loss.kind == "data" && loss.detail.contains("LOST"), "{loss:?}");

    let mut kept = restored(1);
    kept.settings.data = Data::Keep;
    let keeping = plan_of(kept);
    assert_eq!(keeping.decisions.actions[0].data, Data::Keep);
    assert_eq!(losses(&keeping)[0].kind, "volume");
    assert_ne!(keeping.digest(), restoring.digest());

    // Without a volume that it writes to there is nothing to restore.
    let mut none = restored(1);
    none.target.mounts[0].writable = false;
    assert_eq!(plan_of(none).decisions.actions[0].data, Data::Keep);
}

#[test]
fn data_that_could_not_be_put_back_as_a_whole_leaves_its_target_out() {
    let folder = |writable| Mount { kind: MountKind::Bind, writable, ..volume("srv") };
    let mut one = restored(1);
    one.target.mounts.push(folder(true));
    let (reason, detail) = left_out(one);
    assert_eq!(reason, LeftOutReason::Refused);
    assert!(detail.contains("folder of the host") && detail.contains("data: keep"), "{detail}");
    let mut one = restored(1);
    one.target.mounts.push(folder(false));
    assert_eq!(plan(&request(vec![one])).plan.decisions.actions.len(), 1);

    // A neighbour that runs, on the same host, selected or not.
    let neighbour = |state, host| {
        let mut neighbour = target(host, "report", 1, "report");
        (neighbour.mounts, neighbour.state) = (vec![volume("data-1")], state);
        let mut request = request(vec![restored(1)]);
        request.others = vec![neighbour];
        plan(&request).plan
    };
    let shared = neighbour(TargetState::Running, "web01");
    assert!(shared.decisions.actions.is_empty());
    let detail = &shared.about.left_out[0].detail;
    assert!(detail.contains("report-1 uses volume data-1, too"), "{detail}");
    assert_eq!(neighbour(TargetState::Exited, "web01").decisions.actions.len(), 1);
    assert_eq!(neighbour(TargetState::Running, "web02").decisions.actions.len(), 1);
}

#[test]
fn a_rollback_gives_volumes_back_what_the_snapshot_keeps_of_them() {
    let all = [restored(1)];
    let mut request = rollback(&all);
    let saved = SavedVolume { volume: "data-1".into(), copy: "patchyard-x-r12.1-save-0".into(), size: 1 };
    request.restorations[0].snapshot.volumes = vec![saved];
    // By the snapshot, whatever the configuration says by now.
    request.restorations[0].settings.data = Data::Keep;
    let planned = restore(&request).plan;
    let action = &planned.decisions.actions[0];
    assert_eq!(action.data, Data::Restore);
    let loss = action.losses.iter().find(|loss| loss.kind == "data").unwrap();
    assert!(loss.detail.contains("data-1") && loss.detail.contains("LOST"), "{loss:?}");

    request.keep_data = true;
    assert_eq!(restore(&request).plan.decisions.actions[0].data, Data::Keep);
    request.keep_data = false;
    request.targets[0].mounts.clear();
    let planned = restore(&request).plan;
    assert!(planned.decisions.actions.is_empty());
    assert!(planned.about.left_out[0].detail.contains("--data keep"), "{:?}", planned.about.left_out);
}

/// A replica that is to be started first.
fn started_first(number: usize) -> Candidate {
    let mut one = candidate(target("web01", "shop", number, "nginx"), vec![ssl()]);
    one.settings.order = Order::StartFirst;
    one.settings.drain.wait = Millis::from_secs(5);
    one
}

#[test]
fn a_plan_says_whose_new_container_is_started_first_and_expects_no_gap() {
    let first = plan(&request(vec![started_first(1)])).plan;
    let action = &first.decisions.actions[0];
    assert_eq!((action.order, action.drain.wait), (Order::StartFirst, Millis::from_secs(5)));
    assert_eq!(first.about.estimate.longest_gap, Millis(0));
    assert!(lint(&first).is_empty());
    let is_told = |plan: &Plan| plan.about.notes.iter().any(|note| note.starts_with("shop-1: the only one"));
    assert!(is_told(&first));
    assert!(
        !is_told(&plan(&request(vec![started_first(1), started_first(2)])).plan),
        "a replica answers meanwhile"
    );

    let mut one = started_first(1);
    one.settings.order = Order::StopFirst;
    let last = plan(&request(vec![one])).plan;
    assert!(last.about.estimate.longest_gap > Millis(0));
    assert_ne!(last.digest(), first.digest());
}

/// Every row: what stands against two at once, and what is said about it.
#[test]
fn what_cannot_be_two_at_once_is_left_out_and_told_what_to_do() {
    type Row = (fn(&mut Candidate), &'static str);
    let table: [Row; 3] = [
        (|one| one.settings.data = Data::Restore, "data: keep"),
        (
            |one| {
                one.settings.writable_layer = WritableLayer::Carry;
                one.unsaved.paths = vec!["/srv/file".into()];
            },
            "writable_layer: discard",
        ),
        (
            |one| {
                let message = "there is one port 80".into();
                one.target.alone = vec![Refusal { code: "published_port".into(), message }];
            },
            "there is one port 80",
        ),
    ];
    for (change, advice) in table {
        let mut one = started_first(1);
        change(&mut one);
        let (reason, detail) = left_out(one.clone());
        assert_eq!(reason, LeftOutReason::Refused);
        assert!(detail.contains(advice) && detail.contains("order: stop-first"), "{detail}");
        one.settings.order = Order::StopFirst;
        assert_eq!(plan(&request(vec![one])).plan.decisions.actions.len(), 1, "{advice}");
    }

    // Nothing to carry is nothing that only a stopped container could give.
    let mut one = started_first(1);
    one.settings.writable_layer = WritableLayer::Carry;
    let planned = plan(&request(vec![one])).plan;
    assert_eq!(planned.decisions.actions[0].writable_layer, WritableLayer::LeaveOut);
}

#[test]
fn a_rollback_is_started_first_where_the_patch_would_be() {
    let all = [started_first(1)];
    let mut request = rollback(&all);
    request.restorations[0].settings.order = Order::StartFirst;
    assert_eq!(restore(&request).plan.decisions.actions[0].order, Order::StartFirst);
    let saved = SavedVolume { volume: "data-1".into(), copy: "patchyard-x-r12.1-save-0".into(), size: 1 };
    request.restorations[0].snapshot.volumes = vec![saved];
    request.targets[0].mounts = vec![volume("data-1")];
    let planned = restore(&request).plan;
    assert!(planned.decisions.actions.is_empty());
    assert!(planned.about.left_out[0].detail.contains("data: restore"), "{:?}", planned.about.left_out);
    request.restorations[0].snapshot.volumes.clear();
    request.targets[0].alone = vec![Refusal { code: "x".into(), message: "one only".into() }];
    assert!(restore(&request).plan.about.left_out[0].detail.contains("one only"));
}

#[test]
fn a_plan_that_wants_of_a_running_container_what_only_a_stopped_one_can_give_is_refused() {
    let good = plan(&request(vec![started_first(1)])).plan;
    let with = |change: fn(&mut patchyard_types::Action)| {
        let mut plan = good.clone();
        change(&mut plan.decisions.actions[0]);
        lint(&plan)
    };
    for change in [
        (|action| action.data = Data::Restore) as fn(&mut patchyard_types::Action),
        |action| action.writable_layer = WritableLayer::Carry,
        |action| action.drain.command = vec![String::new()],
        |action| action.drain.command = vec!["a".into(), "b\0".into()],
    ] {
        assert_eq!(with(change).len(), 1);
    }
}

#[test]
fn nonsense_from_a_target_never_reaches_a_plan() {
    for nonsense in [
        PendingPatch { package: "$(reboot)".into(), ..ssl() },
        PendingPatch { candidate: "-oDpkg::Pre-Invoke=x".into(), ..ssl() },
        PendingPatch { arch: Arch("amd64 x".into()), ..ssl() },
        PendingPatch { installed: Some("3.0.22".into()), ..ssl() },
        PendingPatch { candidate: "9.9".into(), ..ssl() },
    ] {
        let pending = vec![ssl(), nonsense.clone()];
        let (reason, _) = left_out(candidate(target("web01", "shop", 1, "nginx"), pending));
        assert_eq!(reason, LeftOutReason::NotAssessed, "{nonsense:?}");
    }
}

#[test]
fn the_solvers_words_reach_the_person() {
    let kept = PendingPatch {
        status: PendingStatus::KeptBack,
        why: "shop : Depends: no-such-lib but it is not installable".into(),
        ..patch("shop", "2.0")
    };
    let held = PendingPatch { status: PendingStatus::Held, ..patch("bash", "5.3") };
    let all = vec![kept.clone(), held];
    let (reason, detail) = left_out(candidate(target("web01", "shop", 1, "nginx"), all));
    assert_eq!(reason, LeftOutReason::Unsolvable);
    assert!(detail.contains("on hold: bash") && detail.contains("no-such-lib"), "{detail}");

    // What can be installed is, and the rest is said.
    let planned = plan(&request(vec![candidate(target("web01", "shop", 1, "nginx"), vec![ssl(), kept])]));
    assert_eq!(packages(&planned), ["libssl3=3.0.22"]);
    assert!(
        planned.plan.about.notes[0].contains("left pending: kept back: shop"),
        "{:?}",
        planned.plan.about
    );
}

#[test]
fn a_removal_needs_permission() {
    let removal = PendingPatch {
        status: PendingStatus::Removal,
        candidate: String::new(),
        sha256: None,
        ..patch("rival", "")
    };
    let mut one = candidate(target("web01", "shop", 1, "nginx"), vec![ssl(), removal]);
    let (reason, detail) = left_out(one.clone());
    assert_eq!(reason, LeftOutReason::Unsolvable);
    assert!(detail.contains("rival") && detail.contains("--allow-remove"), "{detail}");
    one.settings.allow_remove = true;
    let planned = plan(&request(vec![one]));
    assert_eq!(packages(&planned), ["libssl3=3.0.22", "rival=removed"]);
    assert_eq!(lint(&planned.plan), vec![]);
}

#[test]
fn a_filter_takes_what_it_names_and_what_comes_in_with_it() {
    let bugfix = PendingPatch { security: false, ..patch("tzdata", "2026f") };
    let new = PendingPatch { installed: None, security: false, ..patch("linux-image-6.1.0-56", "6.1.192") };
    let one = candidate(target("web01", "shop", 1, "nginx"), vec![ssl(), bugfix.clone(), new]);
    let with = |filter: PatchFilter| plan(&PlanRequest { filter, ..request(vec![one.clone()]) });

    assert_eq!(packages(&with(PatchFilter::default())).len(), 3);
    let security = with(PatchFilter { security_only: true, ..PatchFilter::default() });
    assert_eq!(packages(&security), ["libssl3=3.0.22", "linux-image-6.1.0-56=6.1.192"]);
    let named = with(PatchFilter { packages: vec!["tz*".into()], ..PatchFilter::default() });
    assert_eq!(packages(&named), ["linux-image-6.1.0-56=6.1.192", "tzdata=2026f"]);
    let nothing = with(PatchFilter { packages: vec!["bash".into()], ..PatchFilter::default() });
    assert_eq!(nothing.filtered_out, ["shop-1"]);
    assert!(nothing.plan.about.up_to_date.is_empty(), "pending is not up to date");

    // Wanted, but not to be had, is not the same as not wanted.
    let kept = PendingPatch { status: PendingStatus::KeptBack, ..ssl() };
    let only = PlanRequest {
        filter: PatchFilter { security_only: true, ..PatchFilter::default() },
        ..request(vec![candidate(target("web01", "shop", 1, "nginx"), vec![kept, bugfix])])
    };
    assert_eq!(left_out_of(&only).0, LeftOutReason::Unsolvable);
}

#[test]
fn quarantine_is_stricter_where_it_happened() {
    let entry = Quarantine {
        patch_set: Digest::of_bytes(b"x"),
        versions: vec!["libssl3=3.0.22".into(), "postfix=3.7.11".into()],
        files: std::collections::BTreeMap::new(),
        service: "mail".into(),
        run: RunId { rollout: RolloutId(4), action: 1 },
        at: Timestamp::UNIX_EPOCH,
        reason: ":25 stopped listening".into(),
    };
    let with = |service: &str, pending: Vec<PendingPatch>| {
        let mut request = request(vec![candidate(target("web01", service, 1, "debian"), pending)]);
        request.quarantine = vec![(QuarantineId(3), entry.clone())];
        request
    };
    let postfix = || patch("postfix", "3.7.11");
    // Where it failed one suspect is enough; elsewhere only the whole set is kept out.
    let (reason, detail) = left_out_of(&with("mail", vec![ssl()]));
    assert_eq!(reason, LeftOutReason::Quarantined);
    assert!(detail.contains("quarantine release Q3") && detail.contains(":25 stopped"), "{detail}");
    assert_eq!(plan(&with("shop", vec![ssl()])).plan.decisions.actions.len(), 1);
    assert_eq!(left_out_of(&with("shop", vec![ssl(), postfix()])).0, LeftOutReason::Quarantined);
    // A later version is another version.
    assert_eq!(plan(&with("mail", vec![patch("postfix", "3.7.12")])).plan.decisions.actions.len(), 1);
}

#[test]
fn a_newer_image_that_failed_is_known_again() {
    let update = ImageUpdate { reference: "nginx:1".into(), from: None, to: image_id("newer") };
    let entry = |id: u64, version: String| {
        let entry = Quarantine {
            patch_set: Digest::of_bytes(b"x"),
            versions: vec![version],
            files: std::collections::BTreeMap::new(),
            service: "shop".into(),
            run: RunId { rollout: RolloutId(4), action: 1 },
            at: Timestamp::UNIX_EPOCH,
            reason: "HTTP 500".into(),
        };
        (QuarantineId(id), entry)
    };
    let entries = [
        entry(1, format!("nginx:1@{}", image_id("old"))),
        entry(2, format!("nginx:1@{}", image_id("newer"))),
    ];
    let starting = shop(1).starting.unwrap();
    let kept_out =
        |known: usize| keeps_image_out(&entries[..known], "shop", &starting, &update).map(|(id, _)| id.0);
    assert_eq!((kept_out(1), kept_out(2)), (None, Some(2)));
}

#[test]
fn a_second_patch_starts_from_the_base_and_carries_the_first_one_over() {
    let carried = |name: &str, to: &str| PackageChange {
        name: name.into(),
        arch: Arch("amd64".into()),
        from: Some("0.9".into()),
        to: Some(to.into()),
        sha256: Some(Digest::of_bytes(to.as_bytes())),
        security: true,
        size: 1,
    };
    let mut one = shop(1);
    one.target.image.base = Some(image_id("base"));
    assert_eq!(left_out(one.clone()).0, LeftOutReason::NotAssessed, "what it would lose is not known");

    one.carried = Some(vec![carried("libssl3", "3.0.21"), carried("zlib1g", "1.2")]);
    let planned = plan(&request(vec![one]));
    assert_eq!(packages(&planned), ["libssl3=3.0.22", "zlib1g=1.2"]);
    let action = &planned.plan.decisions.actions[0];
    let Change::Packages(all) = &planned.plan.patch_set(action).unwrap().change else { panic!() };
    assert_eq!(all[0].from.as_deref(), Some("0.9"), "the version in the base");
    assert_eq!(action.expected.base, Some(image_id("base")));
    assert_eq!(lint(&planned.plan), vec![]);
}

#[test]
fn method_image_follows_the_registry_and_not_the_packages() {
    let update = ImageUpdate { reference: "nginx:1".into(), from: None, to: image_id("newer") };
    let image = |answer: Result<Option<ImageUpdate>, NotAssessed>| {
        let mut one = shop(1);
        one.settings.method = Method::Image;
        one.assessment = Assessment::NotAssessed(NotAssessed {
            at: Timestamp::UNIX_EPOCH,
            reason: "no package manager".into(),
            hint: String::new(),
        });
        one.image_update = answer;
        one
    };
    let planned = plan(&request(vec![image(Ok(Some(update.clone())))]));
    assert_eq!(packages(&planned), [format!("nginx:1@{}", image_id("newer"))]);
    assert_eq!(planned.plan.decisions.actions[0].method, Method::Image);
    assert_eq!(lint(&planned.plan), vec![]);

    assert_eq!(plan(&request(vec![image(Ok(None))])).plan.about.up_to_date, ["shop-1"]);
    let silent = NotAssessed {
        at: Timestamp::UNIX_EPOCH,
        reason: "the registry does not answer".into(),
        hint: String::new(),
    };
    assert_eq!(left_out(image(Err(silent))).0, LeftOutReason::NotAssessed, "unknown is not up to date");
    let bad = ImageUpdate { to: "latest; rm".into(), ..update };
    assert_eq!(left_out(image(Ok(Some(bad)))).0, LeftOutReason::NotAssessed);
}

#[test]
fn a_tag_moves_only_with_everybody_who_runs_its_image() {
    let all = request(vec![shop(1), shop(2)]);
    let planned = plan(&all);
    let [tag] = &planned.plan.decisions.tags[..] else { panic!("{planned:#?}") };
    assert_eq!((tag.reference.as_str(), &tag.from), ("nginx:1", &image_id("nginx")));
    assert_eq!((&tag.after[..], &tag.image), (&[0, 1][..], &None));

    let tags = |request: &PlanRequest| plan(request).plan.decisions.tags.len();
    assert_eq!(tags(&PlanRequest { tags: TagPolicy::Keep, ..all.clone() }), 0);
    // Left out, not selected, or patched otherwise: the tag stays, and the plan says so.
    let mut some = all.clone();
    some.candidates[1].excluded = true;
    assert_eq!(tags(&some), 0);
    assert!(plan(&some).plan.about.notes.iter().any(|note| note.contains("nginx:1 stays")));
    let others = vec![target("web01", "else", 1, "nginx")];
    assert_eq!(tags(&PlanRequest { others, ..all.clone() }), 0);
    let mut differ = all.clone();
    differ.candidates[1].starting.as_mut().unwrap().packages = None;
    assert_eq!(tags(&differ), 0);
    // Who has ended has no use for the image it had, unless it is to be left alone.
    let mut ended = target("web01", "migrate", 1, "nginx");
    ended.state = TargetState::Exited;
    let with_ended = PlanRequest { others: vec![ended.clone()], ..all.clone() };
    assert_eq!(tags(&with_ended), 1);
    assert!(
        plan(&with_ended).plan.about.notes.iter().any(|note| note.contains("migrate-1 gets the patched"))
    );
    let mut excluded = all.clone();
    excluded.candidates.push(Candidate { excluded: true, ..candidate(ended, vec![]) });
    assert_eq!(tags(&excluded), 0);
    // Another host has a tag of its own.
    let mut elsewhere = all.clone();
    elsewhere.candidates[1].target.host = HostId::new("web02");
    assert_eq!(tags(&elsewhere), 2);
    // A digest names one image for ever, and no command takes the other two for a name.
    for reference in [format!("nginx@{}", image_id("nginx")), "nginx\u{1b}[2J:1".into(), "-nginx:1".into()] {
        let mut pinned = all.clone();
        for one in &mut pinned.candidates {
            one.target.image.reference.clone_from(&reference);
        }
        let planned = plan(&pinned);
        assert!(planned.plan.decisions.tags.is_empty());
        assert!(planned.plan.about.notes.iter().any(|note| note.contains("cannot move")));
        assert!(lint(&planned.plan).is_empty(), "{reference}: {:?}", lint(&planned.plan));
    }
}

#[test]
fn losses_checks_estimates_and_others_who_act_are_stated() {
    let mut one = shop(1);
    one.target.mounts = vec![
        Mount {
            kind: MountKind::Volume,
            source: "data".into(),
            destination: "/var/lib/db".into(),
            writable: true,
        },
        Mount {
            kind: MountKind::Bind,
            source: "/etc/ro".into(),
            destination: "/etc/ro".into(),
            writable: false,
        },
    ];
    let port = |host_port, ephemeral| PublishedPort {
        host_ip: "127.0.0.1".into(),
        host_port,
        port: 80,
        protocol: "tcp".into(),
        ephemeral,
    };
    one.target.ports = vec![port(8080, false), port(32768, true)];
    one.target.managers = vec![Manager::Watchtower("tower".into()), Manager::Compose("demo".into())];
    let mut request = request(vec![one, shop(2)]);
    request.timings.insert(
        Method::Layer,
        Timing { prepare: Millis::from_secs(10), swap: Millis::from_secs(2), gap: Millis(900) },
    );
    let plan = plan(&request).plan;
    let losses: Vec<_> = plan.decisions.actions[0].losses.iter().map(|loss| loss.kind.as_str()).collect();
    assert_eq!(losses, ["logs", "port", "volume"]);
    assert_eq!(plan.about.notes, ["Watchtower (tower) acts on shop-1 too"]);
    // One build, then two swaps one after the other, 30 s of checks each.
    let estimate = plan.about.estimate;
    assert_eq!(
        (estimate.builds, estimate.total, estimate.longest_gap),
        (1, Millis::from_secs(74), Millis(900))
    );
}

#[test]
fn a_machine_that_may_be_started_anew_is_given_a_minute_for_it() {
    let gap = |reboot| {
        let mut machine = shop(1);
        machine.target.kind = TargetKind::Host;
        (machine.settings.method, machine.settings.reboot) = (Method::Packages, reboot);
        let plan = plan(&request(vec![machine])).plan;
        assert_eq!(plan.decisions.actions.len(), 1);
        plan.about.estimate.longest_gap
    };
    for reboot in [Reboot::Always, Reboot::AsNeeded] {
        assert_eq!(gap(reboot), Millis::from_secs(60), "{reboot}");
    }
    for reboot in [Reboot::ServicesOnly, Reboot::Never] {
        assert_eq!(gap(reboot), Millis(1200), "{reboot}");
    }
}

fn snapshot(of: &Candidate, number: usize) -> Snapshot {
    let target = &of.target;
    Snapshot {
        id: SnapshotId(format!("R12.{number}")),
        target: target.id.clone(),
        name: target.name.clone(),
        service: target.service.clone(),
        host: target.host.clone(),
        run: RunId { rollout: RolloutId(12), action: number - 1 },
        at: Timestamp::UNIX_EPOCH,
        image: image_id("before"),
        base_image: image_id("before"),
        reference: target.image.reference.clone(),
        own_layer: false,
        tags: Vec::new(),
        volumes: Vec::new(),
        packages: Vec::new(),
        disks: None,
        size: 0,
        lost: Vec::new(),
    }
}

fn rollback(of: &[Candidate]) -> RestoreRequest {
    RestoreRequest {
        restorations: (1..)
            .zip(of)
            .map(|(n, c)| Restoration {
                snapshot: snapshot(c, n),
                settings: Settings::default(),
                dependents: c.dependents.clone(),
            })
            .collect(),
        targets: of.iter().map(|c| c.target.clone()).collect(),
        undoes: Some(RolloutId(12)),
        keep_data: false,
        tags: TagPolicy::Move,
        timings: [].into(),
        author: "somebody".into(),
        at: Timestamp::UNIX_EPOCH,
    }
}

#[test]
fn a_rollback_is_a_plan_with_the_same_budgets() {
    let mut all = [shop(2), shop(1), candidate(target("web01", "db", 1, "postgres"), vec![])];
    // Being ill is a reason to go back, not to stay.
    all[0].target.health = Health::Unhealthy;
    let mut request = rollback(&all);
    let planned = restore(&request);
    let plan = &planned.plan;
    assert_eq!(waves(plan), [vec!["db-1", "shop-1"], vec!["shop-2"]]);
    assert_eq!(plan.about.undoes, Some(RolloutId(12)));
    assert!(plan.decisions.actions.iter().all(|a| a.method == Method::Restore));
    assert_eq!(lint(plan), vec![]);
    // Both tags go back to the base, each after all of its own.
    let tags: Vec<_> = plan.decisions.tags.iter().map(|t| (t.reference.as_str(), t.after.clone())).collect();
    assert_eq!(tags, [("nginx:1", vec![1, 2]), ("postgres:1", vec![0])]);
    assert!(plan.decisions.tags.iter().all(|t| t.image == Some(image_id("before"))));

    request.restorations.reverse();
    request.targets.reverse();
    assert_eq!(restore(&request).plan.digest(), plan.digest());
}

#[test]
fn a_rollback_of_some_leaves_the_tag_and_says_what_it_cannot_do() {
    let all = [shop(1), shop(2)];
    let mut some = rollback(&all);
    some.restorations.pop();
    assert!(restore(&some).plan.decisions.tags.is_empty(), "somebody still runs what the tag names");
    some.targets[1].state = TargetState::Exited;
    assert_eq!(restore(&some).plan.decisions.tags.len(), 1, "who has ended holds no tag");

    let mut gone = rollback(&all);
    gone.targets.pop();
    gone.targets[0].image.id = image_id("before");
    let planned = restore(&gone);
    assert!(planned.plan.decisions.actions.is_empty());
    assert_eq!(planned.plan.about.up_to_date, ["shop-1"]);
    assert!(planned.plan.about.left_out[0].detail.contains("does not exist any more"));
}

#[test]
fn the_linter_finds_what_is_wrong() {
    type Damage = (&'static str, fn(&mut Plan));
    let damages: [Damage; 21] = [
        ("format 9", |p| p.decisions.version = 9),
        ("which does not exist", |p| p.decisions.waves[0].0.push(99)),
        ("is in 2 waves", |p| p.decisions.waves[1].0.push(0)),
        ("is in 0 waves", |p| drop(p.decisions.waves.pop())),
        ("is empty", |p| p.decisions.waves.push(patchyard_types::Wave(vec![]))),
        ("at once", |p| {
            let last = p.decisions.waves.pop().unwrap();
            p.decisions.waves.last_mut().unwrap().0.extend(last.0);
        }),
        ("tried first on 2", |p| {
            let second = p.decisions.waves.remove(1);
            p.decisions.waves[0].0.extend(second.0);
            p.decisions.actions.iter_mut().for_each(|a| a.max_unavailable = 9);
        }),
        ("not in the plan", |p| p.decisions.patch_sets.clear()),
        ("not what its digest says", |p| packages_of(p)[0].size = 1),
        ("not sorted", |p| packages_of(p).reverse()),
        ("not pinned", |p| packages_of(p)[0].sha256 = None),
        ("is none", |p| packages_of(p)[0].name = "a;b".into()),
        ("does not change", |p| packages_of(p)[0].from = packages_of(p)[0].to.clone()),
        ("changes nothing", |p| packages_of(p).clear()),
        ("in the plan already", |p| p.decisions.actions[1].target = p.decisions.actions[0].target.clone()),
        ("method image", |p| p.decisions.actions[0].method = Method::Image),
        ("max_layer", |p| p.decisions.actions[0].max_layer = 1),
        ("must be", |p| p.decisions.actions[0].expected.image.clear()),
        ("budget of nothing", |p| p.decisions.actions[0].max_unavailable = 0),
        ("timeout of nothing", |p| p.decisions.actions[0].timeouts.check = Millis(0)),
        ("nothing to do with it", |p| p.decisions.tags[0].after = vec![7]),
    ];
    let pending = || vec![patch("bash", "5.3"), ssl()];
    let fleet = (1..=3).map(|n| candidate(target("web01", "shop", n, "nginx"), pending())).collect();
    let good = plan(&request(fleet)).plan;
    assert_eq!(lint(&good), vec![]);
    assert_eq!(names(&good).len(), 3);
    for (expected, damage) in damages {
        let mut bad = good.clone();
        damage(&mut bad);
        let findings = lint(&bad);
        assert!(
            findings.iter().any(|f| f.severity == Severity::Error && f.to_string().contains(expected)),
            "'{expected}' in {findings:#?}"
        );
    }
}

fn packages_of(plan: &mut Plan) -> &mut Vec<PackageChange> {
    match &mut plan.decisions.patch_sets.values_mut().next().unwrap().change {
        Change::Packages(packages) => packages,
        other => panic!("{other:?}"),
    }
}
