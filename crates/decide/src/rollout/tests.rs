//! A rollout's decisions, told as little stories.

use std::collections::BTreeMap;

use jiff::Timestamp;
use patchyard_types::{
    About, Actor, Arch, Budget, Change, Decisions, Digest, Estimate, Event, EventBody, PackageChange,
    PatchSet, Plan, Quarantine, QuarantineId, Request, RolloutEnd, RolloutEvent, RolloutId, RunEnd,
    StartingState, Stream, TagMove, Wave,
};

use super::{RolloutCommand, RolloutState, decide};
use crate::run::tests_support::action;

fn patch_set(version: &str) -> PatchSet {
    PatchSet {
        from: StartingState { platform: "linux/amd64".into(), image: "image".into(), packages: None },
        change: Change::Packages(vec![PackageChange {
            name: "web".into(),
            arch: Arch("amd64".into()),
            from: Some("1".into()),
            to: Some(version.into()),
            sha256: Some(Digest::of_bytes(version.as_bytes())),
            security: true,
            size: 1,
        }]),
    }
}

/// A plan of one wave for each `(service, version)`, tolerating one failure.
fn plan(targets: &[(&str, &str)]) -> Plan {
    let sets: BTreeMap<_, _> = targets.iter().map(|(_, v)| (patch_set(v).id(), patch_set(v))).collect();
    let actions = targets.iter().enumerate().map(|(n, (service, version))| {
        let mut action = action();
        action.name = format!("{service}-{n}");
        action.service = (*service).into();
        action.patch_set = patch_set(version).id();
        action
    });
    let actions: Vec<_> = actions.collect();
    let tags = vec![TagMove {
        host: actions[0].host.clone(),
        reference: "shop:1".into(),
        from: "image".into(),
        patch_set: actions[0].patch_set,
        image: None,
        after: (0..actions.len()).filter(|n| actions[*n].patch_set == actions[0].patch_set).collect(),
    }];
    Plan {
        decisions: Decisions {
            version: 1,
            patch_sets: sets,
            waves: (0..actions.len()).map(|n| Wave(vec![n])).collect(),
            actions,
            tags,
            max_failures: Budget::Count(1),
        },
        about: About {
            author: "test".into(),
            created_at: Timestamp::UNIX_EPOCH,
            undoes: None,
            considered: 0,
            left_out: vec![],
            up_to_date: vec![],
            estimate: Estimate::default(),
            notes: vec![],
        },
    }
}

struct Story {
    plan: Plan,
    state: RolloutState,
}

impl Story {
    fn new(targets: &[(&str, &str)]) -> Self {
        let plan = plan(targets);
        Self { state: RolloutState::new(&plan), plan }
    }

    fn tell(&mut self, body: RolloutEvent) {
        let seq = self.state.seq + 1;
        let at = Timestamp::from_second(1_700_000_000).unwrap();
        let stream = Stream::Rollout(RolloutId(1));
        self.state.apply(&Event { stream, seq, at, body: EventBody::Rollout(body) });
    }

    fn ends(&mut self, action: usize, end: RunEnd) {
        self.tell(RolloutEvent::RunEnded { action, end, reason: None, quarantined: false });
    }

    fn asks(&mut self, request: Request) {
        self.tell(RolloutEvent::Requested { request, by: Actor("me".into()), why: "test".into() });
    }

    fn next(&self) -> Vec<RolloutCommand> {
        decide(&self.state, &self.plan, &[], true)
    }

    fn skipped_because(&self) -> String {
        match &self.next()[..] {
            [RolloutCommand::Skip { reason, .. }] => reason.clone(),
            other => panic!("expected a skip, got {other:?}"),
        }
    }
}

#[test]
fn waves_go_one_after_the_other() {
    let mut story = Story::new(&[("shop", "2"), ("shop", "2")]);
    assert_eq!(story.next(), [RolloutCommand::Start { action: 0 }]);
    story.tell(RolloutEvent::RunStarted { action: 0 });
    assert_eq!(story.next(), []);
    story.ends(0, RunEnd::Succeeded);
    assert_eq!(story.next(), [RolloutCommand::Start { action: 1 }]);
    story.ends(1, RunEnd::Succeeded);
    assert_eq!(story.next(), [RolloutCommand::MoveTag { tag: 0 }]);
    story.tell(RolloutEvent::TagSettled { tag: 0, left: None });
    assert_eq!(story.next(), [RolloutCommand::End { end: RolloutEnd::Succeeded }]);
}

#[test]
fn a_failure_stops_its_service_and_its_patch_set_and_nobody_else() {
    let mut story = Story::new(&[("mail", "bad"), ("mail", "other"), ("shop", "bad"), ("db", "good")]);
    story.ends(0, RunEnd::RolledBack);
    assert!(story.skipped_because().contains("same service"));
    story.ends(1, RunEnd::Skipped);
    assert!(story.skipped_because().contains("same patch set"));
    story.ends(2, RunEnd::Skipped);
    assert_eq!(story.next(), [RolloutCommand::Start { action: 3 }]);
    story.ends(3, RunEnd::Succeeded);
    assert!(matches!(&story.next()[0], RolloutCommand::LeaveTag { tag: 0, .. }));
}

#[test]
fn a_failure_stops_who_shares_a_service_through_a_dependent() {
    let mut story = Story::new(&[("mail", "bad"), ("shop", "other"), ("db", "good")]);
    let dependent = |service: &str| patchyard_types::Dependent {
        target: patchyard_types::TargetId::new("sim", &patchyard_types::HostId::new("h"), service),
        name: format!("{service}-side"),
        service: service.into(),
        expected: action().expected,
        checks: vec![],
        writable_layer: patchyard_types::WritableLayer::LeaveOut,
        max_unavailable: 1,
    };
    story.plan.decisions.actions[0].dependents = vec![dependent("proxy")];
    story.plan.decisions.actions[1].dependents = vec![dependent("proxy")];
    story.ends(0, RunEnd::RolledBack);
    assert!(story.skipped_because().contains("same service"));
    story.ends(1, RunEnd::Skipped);
    assert_eq!(story.next(), [RolloutCommand::Start { action: 2 }]);
}

#[test]
fn more_failures_than_tolerated_stop_everything() {
    let mut story = Story::new(&[("a", "1"), ("b", "2"), ("c", "3")]);
    story.ends(0, RunEnd::RolledBack);
    story.ends(1, RunEnd::Failed);
    assert!(story.skipped_because().contains("2 runs failed, 1 are tolerated"));
}

#[test]
fn what_went_into_quarantine_since_the_plan_is_not_started() {
    let story = Story::new(&[("shop", "2")]);
    let entry = |service: &str, versions: &[&str]| Quarantine {
        patch_set: Digest::of_bytes(b"x"),
        versions: versions.iter().map(|v| (*v).to_owned()).collect(),
        files: std::collections::BTreeMap::new(),
        service: service.into(),
        run: "R9.1".parse().unwrap(),
        at: Timestamp::UNIX_EPOCH,
        reason: "bad".into(),
    };
    let starts = |q| {
        decide(&story.state, &story.plan, &[(QuarantineId(1), q)], true)
            == [RolloutCommand::Start { action: 0 }]
    };
    assert!(!starts(entry("shop", &["web=2", "lib=7"])), "on its own service every version is a suspect");
    assert!(starts(entry("mail", &["web=2", "lib=7"])), "elsewhere only the whole set is");
    assert!(!starts(entry("mail", &["web=2"])));
}

#[test]
fn a_pause_starts_nothing_and_a_resume_goes_on() {
    let mut story = Story::new(&[("shop", "2")]);
    story.asks(Request::Pause);
    assert_eq!(story.next(), [RolloutCommand::Acknowledge { requests: 1 }, RolloutCommand::Pause]);
    story.tell(RolloutEvent::Acknowledged { requests: 1 });
    story.tell(RolloutEvent::Paused);
    assert_eq!(story.next(), []);
    story.asks(Request::Resume);
    story.tell(RolloutEvent::Acknowledged { requests: 2 });
    assert_eq!(story.next(), [RolloutCommand::Start { action: 0 }]);
}

#[test]
fn an_abort_is_final_and_skips_what_waits() {
    let mut story = Story::new(&[("shop", "2"), ("db", "3")]);
    story.ends(0, RunEnd::Succeeded);
    story.asks(Request::Abort);
    story.asks(Request::Resume);
    story.tell(RolloutEvent::Acknowledged { requests: 2 });
    assert!(story.skipped_because().contains("aborted"));
    story.ends(1, RunEnd::Skipped);
    story.tell(RolloutEvent::TagSettled { tag: 0, left: None });
    assert_eq!(story.next(), [RolloutCommand::End { end: RolloutEnd::Aborted }]);
}

#[test]
fn the_end_says_the_worst_that_happened() {
    for (ends, expected) in [
        (&[RunEnd::Succeeded, RunEnd::Succeeded][..], RolloutEnd::Succeeded),
        (&[RunEnd::Succeeded, RunEnd::RolledBack], RolloutEnd::Partly),
        (&[RunEnd::Succeeded, RunEnd::Skipped], RolloutEnd::Partly),
        (&[RunEnd::RolledBack, RunEnd::Skipped], RolloutEnd::RolledBack),
        (&[RunEnd::Succeeded, RunEnd::NeedsAttention], RolloutEnd::NeedsAttention),
    ] {
        let mut story = Story::new(&[("a", "1"), ("b", "2")]);
        for (action, end) in ends.iter().enumerate() {
            story.ends(action, *end);
        }
        story.tell(RolloutEvent::TagSettled { tag: 0, left: None });
        assert_eq!(story.next(), [RolloutCommand::End { end: expected }], "{ends:?}");
    }
}
