//! Reports with something in every field, and with nothing where there may be nothing; as documents.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use patchyard_app::config::ConfigError;
use patchyard_app::doctor::{Finding, Severity};
use patchyard_app::gc::{Collection, Fate};
use patchyard_app::rollouts::{LastRun, Phase};
use patchyard_app::snapshots::Pruned;
use patchyard_app::{
    Asked, AuditHead, AuditReport, Error, Fleet, Host, Kind, Known, Leftover, Past, PlanReport,
    ProviderError, RollbackReport, RolloutReport, RunReport, ScanReport, Scanned, Setting, Unreachable,
    WhyReport,
};
use patchyard_contract::suite::sample::{actor, at, events, host, plan, snapshot};
use patchyard_provider_sim::{SimClock, SimProvider, World};
use patchyard_types::{
    Arch, Assessment, Budget, Change, Check, CheckKind, Dependent, Digest, Event, EventBody, Health, HostId,
    HostManager, Image, ImageUpdate, InstalledPackage, Inventory, LedgerEvent, LeftOut, LeftOutReason, Loss,
    Manager, Method, Millis, Mount, MountKind, NotAssessed, OsRelease, PackageManager, PendingPatch,
    PendingStatus, Plan, PublishedPort, Quarantine, QuarantineId, Refusal, Request, RolloutEnd, RolloutId,
    RunEnd, RunId, Settings, StartingState, Stream, Target, TargetId, TargetKind, TargetState, Trap, Unsaved,
};
use serde_json::Value;

use super::read;
use crate::json::*;

/// What environment variables and check commands hold; it must appear in no document.
pub const SECRET: &str = "hunter2";

/// Every kind of document, with the name of its schema file, in several states.
pub fn documents() -> Vec<(&'static str, Value)> {
    let mut all = vec![
        ("discover", read(&DiscoverDocument::from(&fleet()))),
        ("discover", read(&DiscoverDocument::from(&nothing()))),
        ("scan", read(&ScanDocument::from(&scan(known())))),
        ("scan", read(&ScanDocument::from(&scan(vec![unknown()])))),
        ("scan", read(&ScanDocument::from(&scan(Vec::new())))),
        ("audit", read(&AuditDocument::from(&AuditReport { head: head(), broken: None }))),
        ("audit", read(&AuditDocument::from(&AuditReport { head: head(), broken: Some("entry 3".into()) }))),
        ("config-check", read(&ConfigCheckDocument::new(None))),
        ("config-check", read(&ConfigCheckDocument::new(Some(Path::new("/etc/patchyard.yaml"))))),
        ("config-explain", read(&ConfigExplainDocument::new(None, &[setting()]))),
        ("log", read(&log(&all_events()))),
        ("log", read(&log(&[]))),
        ("snapshots", read(&SnapshotsDocument::listed(&[snapshot(run(0))]))),
        ("gc", read(&GcDocument::new(&collection(), false))),
    ];
    all.extend(whys().iter().map(|report| ("why", read(&WhyDocument::from(report)))));
    all.extend(plans());
    all.extend(rollouts());
    all.extend(histories());
    all.extend(pruned());
    all.extend(quarantines());
    all.extend(findings());
    all.extend(requests());
    all.extend(errors());
    let names = Names::of_plan(RolloutId(1), &plan("shop"));
    all.extend(all_events().iter().map(|event| ("event", read(&EventLine::new(&names, event)))));
    let targets = fleet().targets;
    let document = read(&DiscoverDocument::from(&Fleet { targets, ..nothing() }));
    all.extend(document["targets"].as_array().unwrap().iter().map(|target| ("target", target.clone())));
    all
}

fn run(action: usize) -> RunId {
    RunId { rollout: RolloutId(1), action }
}

fn head() -> AuditHead {
    AuditHead { entries: 17, hash: Digest::of_bytes(b"head") }
}

fn setting() -> Setting {
    Setting { key: "defaults.method".into(), value: "layer".into(), origin: "line 7".into() }
}

fn nothing() -> Fleet {
    Fleet { hosts: Vec::new(), unreachable: Vec::new(), asleep: Vec::new(), targets: Vec::new() }
}

fn fleet() -> Fleet {
    let states = [
        TargetState::Running,
        TargetState::Paused,
        TargetState::Restarting,
        TargetState::Created,
        TargetState::Exited,
        TargetState::Dead,
    ];
    let healths = [Health::None, Health::Starting, Health::Healthy, Health::Unhealthy];
    let targets = states.into_iter().zip(healths.into_iter().cycle()).map(|(state, health)| Target {
        state,
        health,
        ..if health == Health::None { bare() } else { target() }
    });
    Fleet {
        hosts: vec![sim_host()],
        unreachable: vec![silent()],
        asleep: Vec::new(),
        targets: targets.collect(),
    }
}

fn sim_host() -> Host {
    let world = Arc::new(Mutex::new(World::new(1, host())));
    let provider = Arc::new(SimProvider::new(world, Arc::new(SimClock::new())));
    Host {
        name: "web01".into(),
        description: "Docker 20.10 on web01".into(),
        is_machine: false,
        managers: vec![HostManager::UnattendedUpgrades],
        provider,
    }
}

fn silent() -> Unreachable {
    let error = ProviderError::Unreachable { host: "web02".into(), reason: "connection refused".into() };
    Unreachable { name: "web02".into(), error }
}

fn target() -> Target {
    let kinds = [MountKind::Volume, MountKind::Bind, MountKind::Tmpfs, MountKind::Other];
    Target {
        id: TargetId::new("docker", &host(), "shop/web/1"),
        name: "shop-web-1".into(),
        provider: "docker".into(),
        host: host(),
        host_name: "web01".into(),
        service: "shop".into(),
        project: Some("shop".into()),
        environment: Some("production".into()),
        labels: BTreeMap::from([("com.example.\u{202e}note".into(), "a\u{1b}[31m \"quoted\"".into())]),
        object: "c0ffee".into(),
        image: Image {
            reference: "shop:1".into(),
            id: "sha256:1111".into(),
            digest: Some("sha256:2222".into()),
            base: Some("sha256:0000".into()),
        },
        state: TargetState::Running,
        health: Health::Healthy,
        os: Some(OsRelease {
            id: "debian".into(),
            version_id: "12".into(),
            pretty_name: "Debian GNU/Linux 12 (bookworm)".into(),
        }),
        mounts: kinds
            .map(|kind| Mount { kind, source: "data".into(), destination: "/data".into(), writable: true })
            .into(),
        networks: vec!["front".into()],
        ports: vec![PublishedPort {
            host_ip: "0.0.0.0".into(),
            host_port: 8080,
            port: 80,
            protocol: "tcp".into(),
            ephemeral: true,
        }],
        depends_on: vec!["db".into()],
        lives_in: Vec::new(),
        managers: vec![
            Manager::Compose("shop".into()),
            Manager::Watchtower("watchtower".into()),
            Manager::Systemd("shop.service".into()),
            Manager::Swarm("shop".into()),
        ],
        refusals: vec![Refusal { code: "auto_remove".into(), message: "it was started with --rm".into() }],
        alone: Vec::new(),
        kind: TargetKind::Container,
        traps: vec![Trap { code: "monitor".into(), message: "its update counts as good too early".into() }],
        disk_snapshots: patchyard_types::DiskSnapshots::Refused("its disk vdb is a block device".into()),
        config: Digest::of_bytes(b"config"),
    }
}

/// A container without anything that a container can be without.
fn bare() -> Target {
    Target {
        id: TargetId::new("docker", &host(), "legacy"),
        name: "legacy".into(),
        project: None,
        environment: None,
        labels: BTreeMap::new(),
        image: Image { reference: "legacy".into(), id: "sha256:3333".into(), digest: None, base: None },
        os: None,
        mounts: Vec::new(),
        networks: Vec::new(),
        ports: Vec::new(),
        depends_on: Vec::new(),
        lives_in: Vec::new(),
        managers: Vec::new(),
        refusals: Vec::new(),
        alone: Vec::new(),
        ..target()
    }
}

/// An assessed target with a pending patch of every status.
pub fn known() -> Vec<Known> {
    let statuses = [
        PendingStatus::Available,
        PendingStatus::Held,
        PendingStatus::Phased,
        PendingStatus::KeptBack,
        PendingStatus::Removal,
    ];
    let patch = |status| PendingPatch {
        package: "postfix".into(),
        arch: Arch("amd64".into()),
        installed: Some("3.7.10-0+deb12u1".into()),
        candidate: if status == PendingStatus::Removal { String::new() } else { "3.7.11-0+deb12u2".into() },
        security: true,
        origin: "Debian-Security:12/stable-security".into(),
        status,
        size: 1_500_000,
        sha256: Some(Digest::of_bytes(b"postfix")),
        why: if status == PendingStatus::KeptBack { "needs exim4 removed".into() } else { String::new() },
    };
    let new =
        PendingPatch { installed: None, security: false, sha256: None, ..patch(PendingStatus::Available) };
    let pending = statuses.into_iter().map(patch).chain([new]).collect();
    vec![Known {
        target: target(),
        inventory: Ok(Inventory {
            os: None,
            package_manager: Some(PackageManager::Apt),
            packages: [InstalledPackage {
                name: "postfix".into(),
                arch: Arch("amd64".into()),
                version: "3.7.10-0+deb12u1".into(),
                source: None,
                held: false,
            }]
            .into(),
            sources: None,
            starting: StartingState {
                platform: "linux/amd64".into(),
                image: "sha256:1111".into(),
                packages: None,
            },
        }),
        assessment: Assessment::Assessed { at: at(0), pending },
        narrowed: false,
        image_update: Ok(Some(ImageUpdate {
            reference: "shop:1".into(),
            from: Some("sha256:2222".into()),
            to: "sha256:4444".into(),
        })),
    }]
}

/// A target about which nobody knows anything.
pub fn unknown() -> Known {
    let why = |hint: &str| NotAssessed { at: at(0), reason: "no package manager".into(), hint: hint.into() };
    Known {
        target: bare(),
        inventory: Err(why("")),
        assessment: Assessment::NotAssessed(why("try --method image")),
        narrowed: false,
        image_update: Err(why("")),
    }
}

/// A scan that found these.
pub fn scan(known: Vec<Known>) -> ScanReport {
    let scanned = |known: Known| {
        let assessed = matches!(known.assessment, Assessment::Assessed { .. });
        Scanned {
            method: Method::Layer,
            reverted: assessed.then(last_run),
            taken_back: assessed.then_some(RolloutId(3)),
            quarantined: assessed.then(quarantine),
            known,
        }
    };
    ScanReport {
        at: at(0),
        hosts: vec![sim_host()],
        unreachable: Vec::new(),
        targets: known.into_iter().map(scanned).collect(),
        unwanted: 0,
    }
}

fn last_run() -> LastRun {
    let packages = match &plan("shop").patch_set(&plan("shop").decisions.actions[0]).unwrap().change {
        Change::Packages(packages) => packages.clone(),
        _ => panic!("the sample's first action is one of packages"),
    };
    LastRun {
        run: run(0),
        method: Method::Layer,
        end: RunEnd::Succeeded,
        at: Some(at(90)),
        packages,
        in_effect: vec![run(0)],
        took_back: false,
    }
}

fn whys() -> [WhyReport; 2] {
    let kind = CheckKind::Command { argv: vec!["check".into(), format!("--password={SECRET}")] };
    let known = known().remove(0);
    [
        WhyReport {
            settings: Settings {
                checks: vec![Check { name: "ready".into(), kind }],
                max_unavailable: Budget::Percent(25),
                ..Settings::default()
            },
            excluded: true,
            ignored_labels: vec!["io.patchyard.verify-for"],
            cannot_restore: Some("/srv is a folder of the host".into()),
            dependents: vec!["side".into()],
            in_the_way: Some("side is stopped".into()),
            cannot_start_first: Some("it publishes ports".into()),
            unsaved: Ok(Unsaved { paths: vec!["/srv/\u{9b}2J".into()], cannot_carry: None }),
            quarantine: vec![quarantine()],
            last: Some(last_run()),
            reverted: true,
            known,
        },
        WhyReport {
            settings: Settings::default(),
            excluded: false,
            ignored_labels: Vec::new(),
            cannot_restore: None,
            dependents: Vec::new(),
            in_the_way: None,
            cannot_start_first: None,
            unsaved: Err("it is gone".into()),
            quarantine: Vec::new(),
            last: Some(LastRun { at: None, ..last_run() }),
            reverted: false,
            known: unknown(),
        },
    ]
}

fn plans() -> Vec<(&'static str, Value)> {
    let empty = PlanReport {
        plan: Plan { decisions: none_of(plan("shop")).decisions, ..plan("shop") },
        waits: Vec::new(),
        filtered_out: vec!["cache-1".into()],
        unreachable: vec![silent()],
        any_pending: true,
        any_unknown: false,
        reverted: vec!["mail-1".into()],
    };
    let rollback = RollbackReport { plan: every_method(), fleet: fleet() };
    vec![
        ("plan", read(&PlanDocument::from(&every_method()))),
        ("plan", read(&PlanDocument::from(&empty))),
        ("plan", read(&PlanDocument::from(&rollback))),
    ]
}

fn none_of(mut plan: Plan) -> Plan {
    plan.decisions.actions.clear();
    plan.decisions.waves.clear();
    plan.decisions.tags.clear();
    plan
}

/// A plan with an action of each method and a target left out for each reason.
pub fn every_method() -> Plan {
    let mut plan = plan("shop");
    let first = plan.decisions.actions[0].clone();
    for (id, set) in &plan.decisions.patch_sets {
        let method = match set.change {
            Change::Packages(_) => continue,
            Change::Image { .. } => Method::Image,
            Change::Snapshot { .. } => Method::Restore,
        };
        let losses = vec![Loss { kind: "logs".into(), detail: "docker logs".into() }];
        let target = TargetId::new("docker", &host(), &method.to_string());
        plan.decisions.actions.push(patchyard_types::Action {
            target,
            method,
            patch_set: *id,
            losses,
            ..first.clone()
        });
    }
    plan.decisions.actions[0].dependents = vec![Dependent {
        target: TargetId::new("docker", &host(), "side"),
        name: "side".into(),
        service: "side".into(),
        expected: first.expected,
        checks: first.checks,
        writable_layer: patchyard_types::WritableLayer::Discard,
        max_unavailable: 1,
    }];
    let reasons = [
        LeftOutReason::NotAssessed,
        LeftOutReason::Refused,
        LeftOutReason::Unsolvable,
        LeftOutReason::Quarantined,
        LeftOutReason::WritableLayer,
        LeftOutReason::Unhealthy,
        LeftOutReason::Excluded,
        LeftOutReason::WithOwner,
        LeftOutReason::TooLarge,
    ];
    plan.about.left_out = reasons.map(left_out).into();
    plan
}

fn left_out(reason: LeftOutReason) -> LeftOut {
    LeftOut { target: bare().id, name: "legacy".into(), reason, detail: "try --method image".into() }
}

fn rollouts() -> Vec<(&'static str, Value)> {
    let phases = [
        Phase::Running,
        Phase::Paused,
        Phase::Interrupted,
        Phase::NeedsAttention,
        Phase::Ended(RolloutEnd::Succeeded),
        Phase::Ended(RolloutEnd::Partly),
        Phase::Ended(RolloutEnd::RolledBack),
        Phase::Ended(RolloutEnd::Aborted),
        Phase::Ended(RolloutEnd::NeedsAttention),
    ];
    let reports: Vec<_> = phases.into_iter().map(rollout).collect();
    let bare = RolloutReport {
        undoes: None,
        why: None,
        by: None,
        started_at: None,
        ended_at: None,
        runs: Vec::new(),
        tags_left: Vec::new(),
        left_out: Vec::new(),
        ..rollout(Phase::Running)
    };
    let mut all: Vec<_> =
        reports.iter().chain([&bare]).map(|r| ("rollout", read(&RolloutDocument::new(r, head())))).collect();
    all.push(("status", read(&StatusDocument::new(&reports, head()))));
    all.push(("status", read(&StatusDocument::new(&[], head()))));
    all
}

/// A rollout with a run that ended in each way, one under way, and one that waits.
pub fn rollout(phase: Phase) -> RolloutReport {
    let ends = [
        Some(RunEnd::Succeeded),
        Some(RunEnd::RolledBack),
        Some(RunEnd::Failed),
        Some(RunEnd::Skipped),
        Some(RunEnd::NeedsAttention),
        None,
        None,
    ];
    let runs = ends.into_iter().enumerate().map(|(action, end)| {
        let (good, bad) = (end == Some(RunEnd::Succeeded), end == Some(RunEnd::RolledBack));
        RunReport {
            run: run(action),
            target: target().id,
            name: "shop-web-1".into(),
            service: "shop".into(),
            method: Method::Layer,
            end,
            begun: action < 6,
            reason: bad.then(|| ":25 stopped listening".into()),
            quarantined: bad,
            versions: vec!["postfix=3.7.11-0+deb12u2".into()],
            gap: good.then_some(Millis(900)),
            verify_for: Millis(30_000),
            snapshot: good.then(|| snapshot(run(action))),
            reboot: good.then(|| "packages want it: dbus".to_owned()).into_iter().collect(),
        }
    });
    RolloutReport {
        id: RolloutId(1),
        plan: plan("shop").digest(),
        undoes: Some(RolloutId(7)),
        phase,
        why: Some("lunch".into()),
        by: Some(actor()),
        started_at: Some(at(10)),
        ended_at: Some(at(20)),
        runs: runs.collect(),
        tags_left: vec![("shop:1".into(), "somebody else moved it".into())],
        left_out: vec![left_out(LeftOutReason::NotAssessed)],
    }
}

fn histories() -> Vec<(&'static str, Value)> {
    let past = |by, time: Option<Timestamp>, undoes| Past {
        id: RolloutId(1),
        plan: plan("shop").digest(),
        undoes,
        phase: Phase::Interrupted,
        started_at: time,
        ended_at: time,
        by,
        ends: vec![Some(RunEnd::Succeeded), Some(RunEnd::RolledBack), None],
    };
    let full = past(Some(actor()), Some(at(1)), Some(RolloutId(7)));
    vec![
        ("history", read(&HistoryDocument::from(&[full, past(None, None, None)][..]))),
        ("history", read(&HistoryDocument::from(&[][..]))),
    ]
}

fn pruned() -> Vec<(&'static str, Value)> {
    let pruned = |failed| Pruned { snapshot: snapshot(run(0)), failed };
    let both = [pruned(None), pruned(Some("its host is out of reach".into()))];
    vec![("snapshots", read(&SnapshotsDocument::pruned(&both, true)))]
}

fn quarantine() -> (QuarantineId, Quarantine) {
    let entry = Quarantine {
        patch_set: Digest::of_bytes(b"set"),
        files: std::collections::BTreeMap::new(),
        versions: vec!["postfix=3.7.11-0+deb12u2".into()],
        service: "mail".into(),
        run: run(0),
        at: at(80),
        reason: ":25 stopped listening after 20 s".into(),
    };
    (QuarantineId(3), entry)
}

fn quarantines() -> Vec<(&'static str, Value)> {
    vec![
        ("quarantine", read(&QuarantineDocument::listed(&[quarantine()]))),
        ("quarantine", read(&QuarantineDocument::released(&[quarantine()]))),
    ]
}

fn collection() -> Collection {
    let leftover = |run, size| Leftover { kind: "container".into(), name: "patchyard-1".into(), run, size };
    Collection {
        leftovers: vec![
            ("web01".into(), leftover(Some(run(0)), 4096), Fate::Removed),
            ("web01".into(), leftover(None, 0), Fate::Failed("it is in use".into())),
        ],
        cache: Default::default(),
        plans: 1,
        failed: vec![("web02".into(), "connection refused".into())],
    }
}

fn findings() -> Vec<(&'static str, Value)> {
    let finding = |severity, hint: &str, kind| Finding {
        severity,
        about: "host",
        text: "Docker 20.10 on web01: 12 containers".into(),
        hint: hint.into(),
        kind,
    };
    let findings = [
        finding(Severity::Good, "", None),
        finding(Severity::Warning, "patchyard gc", None),
        finding(Severity::Bad, "patchyard doctor", Some(Kind::Internal)),
        finding(Severity::Bad, "", Some(Kind::Refused)),
    ];
    vec![("doctor", read(&DoctorDocument::from(&findings[..])))]
}

fn requests() -> Vec<(&'static str, Value)> {
    let asked = [
        (Request::Pause, Asked::Acknowledged),
        (Request::Abort, Asked::Resting),
        (Request::Resume, Asked::Silent),
    ];
    asked
        .map(|(request, asked)| ("request", read(&RequestDocument::new(RolloutId(1), request, asked))))
        .into()
}

fn errors() -> Vec<(&'static str, Value)> {
    let config = ConfigError { path: "patchyard.yaml".into(), at: Some((3, 5)), message: "bad".into() };
    let source = std::io::Error::other("read-only file system");
    let errors = [
        Error::Config(config),
        Error::StateDir { path: "/var/lib/patchyard".into(), source },
        Error::Host(silent().error),
        Error::refused("R1 is not over", "patchyard status R1"),
        Error::Broken("a target was lost".into()),
    ];
    let usage = ErrorDocument::usage("unexpected argument", Some("patchyard help".into()));
    let mut all: Vec<_> = errors.iter().map(|error| ("error", read(&ErrorDocument::from(error)))).collect();
    all.push(("error", read(&usage)));
    all
}

fn log(events: &[Event]) -> LogDocument {
    let runs = BTreeMap::from([(run(0), "shop-web-1".to_owned())]);
    LogDocument::of(RolloutId(1), &runs, &[RunId { rollout: RolloutId(7), action: 0 }], events)
}

/// An event of every kind there is.
pub fn all_events() -> Vec<Event> {
    let collected = LedgerEvent::Collected {
        host: HostId::new("h1"),
        kind: "container".into(),
        name: "patchyard-1".into(),
        by: actor(),
    };
    let mut all = events(RolloutId(1));
    all.push((Stream::Ledger, EventBody::Ledger(collected)));
    let event = |(seq, (stream, body))| Event { stream, seq, at: at(1), body };
    (1..).zip(all).map(event).collect()
}
