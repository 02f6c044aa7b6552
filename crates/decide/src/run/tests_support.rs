//! Values the tests of this crate share.

use jiff::Timestamp;
use patchyard_types::{
    Action, Data, Digest, Direction, Drain, Event, EventBody, Expected, Failure, FailureKind, HostId,
    MachineStep, Method, Millis, Order, Record, RolloutId, RunEnd, RunEvent, RunId, SavedDisks, Settings,
    Step, Stream, TargetId, TargetKind, WritableLayer,
};

use super::{Mode, RunCommand, RunState, decide, steps};

/// The same, and the new container is started first.
pub(crate) fn start_first() -> Action {
    let (data, writable_layer) = (Data::Keep, WritableLayer::LeaveOut);
    Action { order: Order::StartFirst, data, writable_layer, ..action() }
}

/// An action with the default settings.
pub(crate) fn action() -> Action {
    let defaults = Settings::default();
    let host = HostId::new("host");
    Action {
        target: TargetId::new("sim", &host, "shop-1"),
        name: "shop-1".into(),
        service: "shop".into(),
        host,
        kind: TargetKind::Container,
        method: Method::Layer,
        patch_set: Digest::of_bytes(b"patch set"),
        expected: Expected {
            object: "old".into(),
            image: "image".into(),
            config: Digest::of_bytes(b"config"),
            reference: "shop:1".into(),
            base: None,
        },
        checks: Vec::new(),
        verify_for: Millis::from_secs(30),
        timeouts: defaults.timeouts,
        max_layer: defaults.max_layer,
        writable_layer: WritableLayer::Carry,
        data: Data::Restore,
        order: Order::StopFirst,
        drain: Drain { command: vec!["drain".into()], wait: Millis::from_secs(5) },
        reboot: patchyard_types::Reboot::ServicesOnly,
        way_back: patchyard_types::WayBack::Required,
        snapshot: patchyard_types::SnapshotPolicy::Never,
        max_unavailable: 1,
        losses: Vec::new(),
        dependents: Vec::new(),
    }
}

/// A baseline in which nothing was stable.
pub(crate) fn no_baseline() -> patchyard_types::Baseline {
    patchyard_types::Baseline {
        listening: std::collections::BTreeSet::new(),
        processes: std::collections::BTreeSet::new(),
        http: std::collections::BTreeMap::new(),
        parts: std::collections::BTreeSet::new(),
        failed_units: Some(std::collections::BTreeSet::new()),
        healthcheck: false,
    }
}

/// A run of an action that is told what happens and asked what comes next.
pub(crate) struct Story {
    state: RunState,
    action: Action,
    seq: u64,
}

impl Story {
    pub fn of(action: Action) -> Self {
        let mut story = Self { state: RunState::default(), action, seq: 0 };
        story.tell(RunEvent::Started { target: story.action.target.clone() });
        story
    }

    pub fn tell(&mut self, body: RunEvent) {
        self.seq += 1;
        let (run, at) = (RunId { rollout: RolloutId(1), action: 0 }, Timestamp::UNIX_EPOCH);
        self.state.apply(&Event { stream: Stream::Run(run), seq: self.seq, at, body: EventBody::Run(body) });
    }

    pub fn next(&self) -> RunCommand {
        decide(&self.state, &self.action, Mode::Go)
    }

    pub fn intend(&mut self, step: impl Into<Step>, direction: Direction) -> Step {
        let step = step.into();
        match self.next() {
            RunCommand::Perform { step: next, direction: way, .. } => {
                assert_eq!((next, way), (step, direction));
            }
            other => panic!("expected {step}, got {other:?}"),
        }
        self.tell(RunEvent::Intended { step, direction });
        step
    }

    pub fn succeed(&mut self, step: impl Into<Step>, direction: Direction) {
        let step = step.into();
        let record = if step.is_preflight() {
            Record::Preflighted { baseline: no_baseline(), dependents: Vec::new() }
        } else if step.is_verify() {
            Record::Verified { first_good: Timestamp::UNIX_EPOCH }
        } else if step == Step::Machine(MachineStep::Save) {
            let (disks, left_out) = (vec!["vda".into()], Vec::new());
            Record::DisksSaved { disks: SavedDisks { name: "saved".into(), disks, left_out } }
        } else {
            Record::Nothing
        };
        self.intend(step, direction);
        self.tell(RunEvent::Succeeded { step, direction, record });
    }

    pub fn up_to(&mut self, step: impl Into<Step>) {
        let step = step.into();
        for done in steps(&self.action).take_while(|done| *done != step).collect::<Vec<_>>() {
            self.succeed(done, Direction::Do);
        }
    }

    pub fn fail(&mut self, step: impl Into<Step>, kind: FailureKind) {
        self.fail_to(step, Direction::Do, kind);
    }

    pub fn fail_to(&mut self, step: impl Into<Step>, direction: Direction, kind: FailureKind) {
        let step = self.intend(step, direction);
        let failure = Failure::new(kind, "it broke");
        self.tell(RunEvent::Failed { step, direction, failure });
    }

    /// How it ended, and whether the patch is to blame.
    pub fn end(&self) -> (RunEnd, bool) {
        match self.next() {
            RunCommand::End { end, quarantine, .. } => (end, quarantine),
            other => panic!("expected the end, got {other:?}"),
        }
    }
}
