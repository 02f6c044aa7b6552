//! A service's update, told as little stories.

use jiff::Timestamp;
use patchyard_types::{
    Action, Direction, Event, EventBody, Failure, FailureKind, Method, Probe, Record, RolloutId, RunEnd,
    RunEvent, RunId, ServiceStep, Step, Stream, TargetKind,
};

use crate::run::tests_support::{action, no_baseline};
use crate::run::{Mode, RunCommand, RunState, decide};

fn service() -> Action {
    Action { kind: TargetKind::Service, method: Method::Image, ..action() }
}

/// A run that is told what happens and asked what comes next.
struct Story {
    state: RunState,
    seq: u64,
}

impl Story {
    fn new() -> Self {
        let mut story = Self { state: RunState::default(), seq: 0 };
        story.tell(RunEvent::Started { target: service().target });
        story
    }

    fn tell(&mut self, body: RunEvent) {
        self.seq += 1;
        let (run, at) = (RunId { rollout: RolloutId(1), action: 0 }, Timestamp::UNIX_EPOCH);
        self.state.apply(&Event { stream: Stream::Run(run), seq: self.seq, at, body: EventBody::Run(body) });
    }

    fn next(&self) -> RunCommand {
        decide(&self.state, &service(), Mode::Go)
    }

    fn intend(&mut self, step: ServiceStep, direction: Direction) -> Step {
        match self.next() {
            RunCommand::Perform { step: Step::Service(next), direction: way, .. } => {
                assert_eq!((next, way), (step, direction));
            }
            other => panic!("expected {step}, got {other:?}"),
        }
        let step = Step::Service(step);
        self.tell(RunEvent::Intended { step, direction });
        step
    }

    fn succeed(&mut self, step: ServiceStep, direction: Direction) {
        let record = match step {
            ServiceStep::Preflight => Record::Preflighted { baseline: no_baseline(), dependents: Vec::new() },
            ServiceStep::Verify => Record::Verified { first_good: Timestamp::UNIX_EPOCH },
            _ => Record::Nothing,
        };
        let step = self.intend(step, direction);
        self.tell(RunEvent::Succeeded { step, direction, record });
    }

    fn up_to(&mut self, step: ServiceStep) {
        for done in ServiceStep::ALL.into_iter().take_while(|done| *done != step) {
            self.succeed(done, Direction::Do);
        }
    }

    fn fail(&mut self, step: ServiceStep, kind: FailureKind) {
        let step = self.intend(step, Direction::Do);
        let failure = Failure::new(kind, "it crashed");
        self.tell(RunEvent::Failed { step, direction: Direction::Do, failure });
    }

    /// The way back, and how it ends: how, and whether the patch is to blame.
    fn goes_back(&mut self) -> (RunEnd, bool) {
        self.succeed(ServiceStep::Update, Direction::Undo);
        self.succeed(ServiceStep::Preflight, Direction::Undo);
        self.end()
    }

    fn end(&self) -> (RunEnd, bool) {
        match self.next() {
            RunCommand::End { end, quarantine, .. } => (end, quarantine),
            other => panic!("expected the end, got {other:?}"),
        }
    }
}

#[test]
fn a_good_update_goes_through_its_own_steps() {
    let mut story = Story::new();
    for step in ServiceStep::ALL {
        story.succeed(step, Direction::Do);
    }
    assert_eq!(story.end(), (RunEnd::Succeeded, false));
}

#[test]
fn a_bad_image_is_taken_back_and_blamed_and_a_node_that_has_no_room_is_not() {
    for (step, kind, blamed) in [
        (ServiceStep::Update, FailureKind::Check, true),
        (ServiceStep::Update, FailureKind::Host, false),
        (ServiceStep::Update, FailureKind::Timeout, false),
        (ServiceStep::Verify, FailureKind::Check, true),
    ] {
        let mut story = Story::new();
        story.up_to(step);
        story.fail(step, kind);
        assert_eq!(story.goes_back(), (RunEnd::RolledBack, blamed), "{step} {kind:?}");
    }
}

#[test]
fn a_service_that_is_not_as_planned_is_left_alone() {
    let mut story = Story::new();
    story.up_to(ServiceStep::Preflight);
    story.fail(ServiceStep::Preflight, FailureKind::Precondition);
    assert_eq!(story.end(), (RunEnd::Skipped, false));
}

#[test]
fn an_update_whose_outcome_is_lost_is_asked_about_and_waited_for_again() {
    let mut story = Story::new();
    story.up_to(ServiceStep::Update);
    let (step, direction) = (story.intend(ServiceStep::Update, Direction::Do), Direction::Do);
    let lost = |step| RunEvent::Lost { step, direction, reason: "killed".into(), host_away: false };
    story.tell(lost(step));
    assert_eq!(story.next(), RunCommand::Probe { step, direction });
    story.tell(RunEvent::Probed { step, direction, probe: Probe::NotDone });
    story.intend(ServiceStep::Update, Direction::Do);
    story.tell(lost(step));
    let reason = "it has a third image".to_owned();
    story.tell(RunEvent::Probed { step, direction, probe: Probe::CannotTell { reason } });
    assert!(matches!(story.next(), RunCommand::CallPerson { .. }), "{:?}", story.next());
}
