//! Sample values with every field filled, for the suites: an event of every kind, and a plan.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use patchyard_types::{
    About, Action, Actor, Arch, Baseline, Budget, Change, Check, CheckKind, Data, Decisions, Digest,
    Direction, Drain, Estimate, EventBody, Expected, Failure, FailureKind, HostId, HttpAnswer, LedgerEvent,
    LeftOut, LeftOutReason, Loss, MachineStep, Method, Millis, Order, PackageChange, PatchSet, PersonVerdict,
    Plan, Probe, Protocol, Quarantine, QuarantineId, Record, Request, RolloutEnd, RolloutEvent, RolloutId,
    RunEnd, RunEvent, RunId, ServiceStep, Snapshot, SnapshotId, Socket, StartingState, Step, Stream,
    SwapStep, TagMove, TargetId, TargetKind, Timeouts, Wave, WritableLayer,
};

/// A moment: so many milliseconds after the first of November 2026.
#[must_use]
pub fn at(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(1_793_491_200_000 + millis).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// A person.
#[must_use]
pub fn actor() -> Actor {
    Actor("anna@web01".to_owned())
}

/// A request, with words that a store must not trip over.
#[must_use]
pub fn request(why: &str) -> EventBody {
    EventBody::Rollout(RolloutEvent::Requested {
        request: Request::Pause,
        by: actor(),
        why: format!("{why}: 'quotes', \"double\", \u{1b}[31m, NUL \u{0}, ünïcödé"),
    })
}

/// The host of every sample.
#[must_use]
pub fn host() -> HostId {
    HostId::new("ABCD:EFGH")
}

/// A snapshot that a run has taken.
#[must_use]
pub fn snapshot(run: RunId) -> Snapshot {
    Snapshot {
        id: SnapshotId(run.to_string()),
        target: TargetId::new("docker", &host(), "shop/web/1"),
        name: "shop-web-1".to_owned(),
        service: "shop".to_owned(),
        host: host(),
        run,
        at: at(90),
        image: "sha256:1111".to_owned(),
        base_image: "sha256:0000".to_owned(),
        reference: "shop:1".to_owned(),
        own_layer: true,
        tags: vec!["patchyard/snapshot:r1.1".to_owned()],
        volumes: Vec::new(),
        packages: Vec::new(),
        disks: None,
        size: 4096,
        lost: vec!["docker logs".to_owned()],
    }
}

/// An event of every kind there is, with the stream it belongs to, for rollout `rollout`.
#[must_use]
pub fn events(rollout: RolloutId) -> Vec<(Stream, EventBody)> {
    let run = RunId { rollout, action: 0 };
    let mut all: Vec<(Stream, EventBody)> = Vec::new();
    all.extend(ledger_events(run).map(|e| (Stream::Ledger, EventBody::Ledger(e))));
    all.extend(rollout_events().map(|e| (Stream::Rollout(rollout), EventBody::Rollout(e))));
    all.extend(run_events(run).map(|e| (Stream::Run(run), EventBody::Run(e))));
    all
}

fn ledger_events(run: RunId) -> impl Iterator<Item = LedgerEvent> {
    let plan = plan("sample");
    let quarantine = Quarantine {
        patch_set: plan.decisions.actions[0].patch_set,
        versions: vec!["postfix=3.7.11-0+deb12u2".to_owned()],
        files: std::collections::BTreeMap::new(),
        service: "mail".to_owned(),
        run,
        at: at(80),
        reason: ":25 stopped listening after 20 s".to_owned(),
    };
    let snapshot = SnapshotId(run.to_string());
    [
        LedgerEvent::Planned { plan: plan.digest(), by: actor() },
        LedgerEvent::Quarantined { quarantine },
        LedgerEvent::Released { id: QuarantineId(2), by: actor(), reason: "fixed upstream".to_owned() },
        LedgerEvent::PruneIntended { snapshot: snapshot.clone() },
        LedgerEvent::Pruned { snapshot, reason: "retention".to_owned() },
    ]
    .into_iter()
}

fn rollout_events() -> impl Iterator<Item = RolloutEvent> {
    [
        RolloutEvent::Started { plan: plan("sample").digest(), by: actor() },
        RolloutEvent::Driven { controller: "0123456789abcdef".to_owned() },
        RolloutEvent::RunStarted { action: 0 },
        RolloutEvent::Requested { request: Request::Pause, by: actor(), why: "signal".to_owned() },
        RolloutEvent::Acknowledged { requests: 1 },
        RolloutEvent::Paused,
        RolloutEvent::Requested { request: Request::Resume, by: actor(), why: "lunch is over".to_owned() },
        RolloutEvent::Requested { request: Request::Abort, by: actor(), why: String::new() },
        RolloutEvent::RunEnded {
            action: 0,
            end: RunEnd::RolledBack,
            reason: Some("unhealthy".to_owned()),
            quarantined: true,
        },
        RolloutEvent::TagIntended { tag: 0 },
        RolloutEvent::TagSettled { tag: 0, left: None },
        RolloutEvent::TagSettled { tag: 1, left: Some("somebody else moved it".to_owned()) },
    ]
    .into_iter()
    .chain(
        [
            RolloutEnd::Succeeded,
            RolloutEnd::Partly,
            RolloutEnd::RolledBack,
            RolloutEnd::Aborted,
            RolloutEnd::NeedsAttention,
        ]
        .map(|end| RolloutEvent::Ended { end }),
    )
}

fn run_events(run: RunId) -> impl Iterator<Item = RunEvent> {
    let steps = SwapStep::ALL.map(Step::Swap);
    let step = steps[0];
    let failure = Failure::new(FailureKind::Check, "HTTP 500 on :8080/");
    let started = [RunEvent::Started { target: TargetId::new("docker", &host(), "shop/web/1") }];
    let done = steps.into_iter().zip(records(run)).flat_map(|(step, record)| {
        let direction = Direction::Do;
        [RunEvent::Intended { step, direction }, RunEvent::Succeeded { step, direction, record }]
    });
    let trouble = [
        RunEvent::Failed { step, direction: Direction::Do, failure: failure.clone() },
        RunEvent::Lost {
            step,
            direction: Direction::Undo,
            reason: "connection reset".to_owned(),
            host_away: true,
        },
        RunEvent::AbortRequested,
        RunEvent::AttentionNeeded { reason: "look at shop-web-1".to_owned() },
        RunEvent::Resolved { verdict: PersonVerdict::Done, by: actor(), reason: "by hand".to_owned() },
        RunEvent::Resolved { verdict: PersonVerdict::Undo, by: actor(), reason: "rather not".to_owned() },
        RunEvent::Resolved { verdict: PersonVerdict::Close, by: actor(), reason: "removed".to_owned() },
    ];
    let of_service = ServiceStep::ALL.into_iter().flat_map(|step| {
        let (step, direction) = (Step::Service(step), Direction::Do);
        let record = Record::Found { last_update: Some("2026-01-01T00:00:00Z".to_owned()) };
        [RunEvent::Intended { step, direction }, RunEvent::Succeeded { step, direction, record }]
    });
    let of_machine = MachineStep::ALL.into_iter().flat_map(move |step| {
        let (step, direction) = (Step::Machine(step), Direction::Do);
        let record = match step {
            Step::Machine(MachineStep::Prepare) => Record::Kept {
                back: vec![package()],
                missing: vec!["postfix 3.7.9".to_owned()],
                automatic: vec!["libssl3:amd64".to_owned()],
            },
            _ => Record::Restarted {
                services: vec!["postfix.service".to_owned()],
                reboot: vec!["kernel 6.1.0-10-amd64 is installed, 6.1.0-9-amd64 runs".to_owned()],
                boot_id: "b00t".to_owned(),
            },
        };
        [RunEvent::Intended { step, direction }, RunEvent::Succeeded { step, direction, record }]
    });
    let probed = [
        Probe::Done { record: Record::Nothing },
        Probe::NotDone,
        Probe::Failed { failure },
        Probe::CannotTell { reason: "two containers claim the name".to_owned() },
    ]
    .map(|probe| RunEvent::Probed { step, direction: Direction::Do, probe });
    let ends =
        [RunEnd::Succeeded, RunEnd::RolledBack, RunEnd::Failed, RunEnd::Skipped, RunEnd::NeedsAttention]
            .map(|end| RunEvent::Ended { end, reason: None, quarantined: false });
    started
        .into_iter()
        .chain(done)
        .chain(of_service)
        .chain(of_machine)
        .chain(trouble)
        .chain(probed)
        .chain(ends)
}

/// What the steps leave on record, in their order.
fn records(run: RunId) -> [Record; 11] {
    let baseline = Baseline {
        listening: BTreeSet::from([Socket { protocol: Protocol::Tcp, port: 8080, loopback: false }]),
        processes: BTreeSet::from(["nginx".to_owned()]),
        http: BTreeMap::from([
            (8080, HttpAnswer::Status { status: 200, took: Millis(12) }),
            (25, HttpAnswer::NotHttp),
            (26, HttpAnswer::Silent),
        ]),
        parts: BTreeSet::from(["service nginx.service".to_owned()]),
        failed_units: Some(BTreeSet::from(["backup.service".to_owned()])),
        healthcheck: true,
    };
    [
        Record::Prepared { image: "sha256:2222".to_owned(), size: 18_000_000 },
        Record::Preflighted { baseline: baseline.clone(), dependents: vec![baseline] },
        Record::Created { object: "c0ffee".to_owned(), dependents: vec!["c0ffee2".to_owned()] },
        Record::Nothing,
        Record::Held {
            policy: "on-failure".to_owned(),
            retries: 3,
            dependents: vec![("always".to_owned(), 0)],
        },
        Record::Nothing,
        Record::Nothing,
        Record::Nothing,
        Record::Verified { first_good: at(70) },
        Record::Snapshotted { snapshot: Box::new(snapshot(run)) },
        Record::Nothing,
    ]
}

fn package() -> PackageChange {
    PackageChange {
        name: "postfix".to_owned(),
        arch: Arch("amd64".to_owned()),
        from: Some("3.7.10-0+deb12u1".to_owned()),
        to: Some("3.7.11-0+deb12u2".to_owned()),
        sha256: Some(Digest::of_bytes(b"postfix")),
        security: true,
        size: 1_500_000,
    }
}

/// A plan for one target with something in every field; equal names give equal digests.
#[must_use]
pub fn plan(name: &str) -> Plan {
    let sets = [
        Change::Packages(vec![package()]),
        Change::Image { reference: "shop:1".to_owned(), from: None, to: "sha256:3333".to_owned() },
        Change::Snapshot { snapshot: SnapshotId("R1.1".to_owned()), image: None, packages: Vec::new() },
    ]
    .map(|change| PatchSet {
        from: StartingState {
            platform: "linux/amd64".to_owned(),
            image: "sha256:0000".to_owned(),
            packages: Some(Digest::of_bytes(b"status")),
        },
        change,
    });
    let target = TargetId::new("docker", &host(), name);
    let action = Action {
        target: target.clone(),
        name: name.to_owned(),
        service: "shop".to_owned(),
        host: host(),
        kind: TargetKind::Container,
        method: Method::Layer,
        patch_set: sets[0].id(),
        expected: Expected {
            object: "c0ffee".to_owned(),
            image: "sha256:0000".to_owned(),
            config: Digest::of_bytes(b"config"),
            reference: "shop:1".to_owned(),
            base: Some("sha256:ba5e".to_owned()),
        },
        checks: checks(),
        verify_for: Millis::from_secs(30),
        timeouts: Timeouts {
            step: Millis::from_secs(1200),
            healthy: Millis::from_secs(300),
            check: Millis::from_secs(10),
        },
        max_layer: 512 << 20,
        writable_layer: WritableLayer::Carry,
        data: Data::Restore,
        order: Order::StopFirst,
        drain: Drain { command: vec!["drain".to_owned()], wait: Millis::from_secs(5) },
        reboot: patchyard_types::Reboot::ServicesOnly,
        way_back: patchyard_types::WayBack::Required,
        snapshot: patchyard_types::SnapshotPolicy::Never,
        max_unavailable: 1,
        losses: vec![Loss { kind: "volume".to_owned(), detail: "db: kept as it is".to_owned() }],
        dependents: Vec::new(),
    };
    let decisions = Decisions {
        version: 1,
        actions: vec![action],
        waves: vec![Wave(vec![0])],
        tags: vec![TagMove {
            host: host(),
            reference: "shop:1".to_owned(),
            from: "sha256:0000".to_owned(),
            patch_set: sets[0].id(),
            image: None,
            after: vec![0],
        }],
        patch_sets: sets.into_iter().map(|set| (set.id(), set)).collect(),
        max_failures: Budget::Count(3),
    };
    Plan { decisions, about: about(target) }
}

fn checks() -> Vec<Check> {
    [
        CheckKind::Http {
            port: 8080,
            path: "/health?full=1".to_owned(),
            status: Some(200),
            body: Some("ok".to_owned()),
            within: Some(Millis(500)),
        },
        CheckKind::Tcp { port: 25 },
        CheckKind::Command { argv: vec!["pg_isready".to_owned(), "-q".to_owned()] },
    ]
    .into_iter()
    .zip(["http", "smtp", "ready"])
    .map(|(kind, name)| Check { name: name.to_owned(), kind })
    .collect()
}

fn about(target: TargetId) -> About {
    About {
        author: actor().0,
        created_at: at(0),
        undoes: Some(RolloutId(7)),
        considered: 2,
        left_out: vec![LeftOut {
            target,
            name: "legacy".to_owned(),
            reason: LeftOutReason::NotAssessed,
            detail: "no package manager: try --method image".to_owned(),
        }],
        up_to_date: vec!["cache-1".to_owned()],
        estimate: Estimate { builds: 1, total: Millis::from_secs(180), longest_gap: Millis(1200) },
        notes: vec!["Watchtower acts on shop-web-1 too".to_owned()],
    }
}
