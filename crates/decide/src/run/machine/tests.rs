//! A machine's patch, told as little stories.

use jiff::Timestamp;
use patchyard_types::{
    Action, Direction, Event, EventBody, Failure, FailureKind, MachineStep, Method, Probe, Reboot, Record,
    RolloutId, RunEnd, RunEvent, RunId, Step, Stream, TargetKind,
};

use crate::run::tests_support::{action, no_baseline};
use crate::run::{Mode, RunCommand, RunState, decide, steps};

fn machine(reboot: Reboot) -> Action {
    Action { kind: TargetKind::Host, method: Method::Packages, reboot, ..action() }
}

/// A run that is told what happens and asked what comes next.
struct Story {
    state: RunState,
    action: Action,
    seq: u64,
}

impl Story {
    fn new(reboot: Reboot) -> Self {
        let mut story = Self { state: RunState::default(), action: machine(reboot), seq: 0 };
        story.tell(RunEvent::Started { target: story.action.target.clone() });
        story
    }

    fn tell(&mut self, body: RunEvent) {
        self.seq += 1;
        let (run, at) = (RunId { rollout: RolloutId(1), action: 0 }, Timestamp::UNIX_EPOCH);
        self.state.apply(&Event { stream: Stream::Run(run), seq: self.seq, at, body: EventBody::Run(body) });
    }

    fn next(&self) -> RunCommand {
        decide(&self.state, &self.action, Mode::Go)
    }

    fn intend(&mut self, step: MachineStep, direction: Direction) -> Step {
        match self.next() {
            RunCommand::Perform { step: Step::Machine(next), direction: way, .. } => {
                assert_eq!((next, way), (step, direction));
            }
            other => panic!("expected {step}, got {other:?}"),
        }
        let step = Step::Machine(step);
        self.tell(RunEvent::Intended { step, direction });
        step
    }

    fn succeed(&mut self, step: MachineStep, direction: Direction) {
        let record = match step {
            MachineStep::Preflight => Record::Preflighted { baseline: no_baseline(), dependents: Vec::new() },
            MachineStep::Verify => Record::Verified { first_good: Timestamp::UNIX_EPOCH },
            _ => Record::Nothing,
        };
        let step = self.intend(step, direction);
        self.tell(RunEvent::Succeeded { step, direction, record });
    }

    fn up_to(&mut self, step: MachineStep) {
        for done in MachineStep::ALL.into_iter().take_while(|done| *done != step) {
            self.succeed(done, Direction::Do);
        }
    }

    fn fail(&mut self, step: MachineStep, kind: FailureKind) {
        let step = self.intend(step, Direction::Do);
        let failure = Failure::new(kind, "it broke");
        self.tell(RunEvent::Failed { step, direction: Direction::Do, failure });
    }

    fn end(&self) -> (RunEnd, bool) {
        match self.next() {
            RunCommand::End { end, quarantine, .. } => (end, quarantine),
            other => panic!("expected the end, got {other:?}"),
        }
    }
}

#[test]
fn a_good_patch_goes_through_its_own_steps_and_is_restarted_as_the_plan_says() {
    use MachineStep::{Install, Preflight, Prepare, Restart, Snapshot, Verify};
    for (reboot, expected) in [
        (Reboot::Never, vec![Prepare, Preflight, Install, Verify, Snapshot]),
        (Reboot::ServicesOnly, vec![Prepare, Preflight, Install, Restart, Verify, Snapshot]),
        (Reboot::AsNeeded, MachineStep::ALL.to_vec()),
        (Reboot::Always, MachineStep::ALL.to_vec()),
    ] {
        let all: Vec<_> = steps(&machine(reboot)).collect();
        assert_eq!(all, expected.iter().copied().map(Step::Machine).collect::<Vec<_>>(), "{reboot}");
        let mut story = Story::new(reboot);
        for step in expected {
            story.succeed(step, Direction::Do);
        }
        assert_eq!(story.end(), (RunEnd::Succeeded, false));
    }
}

#[test]
fn packages_that_fail_are_taken_back_and_blamed_and_a_machine_that_is_full_is_not() {
    for (step, kind, blamed) in [
        (MachineStep::Install, FailureKind::PackageManager, true),
        (MachineStep::Install, FailureKind::Timeout, true),
        (MachineStep::Install, FailureKind::NoSpace, false),
        (MachineStep::Restart, FailureKind::Check, true),
        (MachineStep::Reboot, FailureKind::Timeout, true),
        (MachineStep::Verify, FailureKind::Check, true),
        (MachineStep::Snapshot, FailureKind::Host, false),
    ] {
        let mut story = Story::new(Reboot::AsNeeded);
        story.up_to(step);
        story.fail(step, kind);
        story.succeed(MachineStep::Install, Direction::Undo);
        story.succeed(MachineStep::Preflight, Direction::Undo);
        assert_eq!(story.end(), (RunEnd::RolledBack, blamed), "{step} {kind:?}");
    }
}

#[test]
fn a_machine_without_a_way_back_is_left_alone() {
    for (step, kind, end) in [
        (MachineStep::Prepare, FailureKind::Refused, RunEnd::Failed),
        (MachineStep::Preflight, FailureKind::Precondition, RunEnd::Skipped),
    ] {
        let mut story = Story::new(Reboot::Never);
        story.up_to(step);
        story.fail(step, kind);
        assert_eq!(story.end(), (end, false), "{step}");
    }
}

#[test]
fn an_installation_whose_outcome_is_lost_is_asked_about() {
    let mut story = Story::new(Reboot::Never);
    story.up_to(MachineStep::Install);
    let (step, direction) = (story.intend(MachineStep::Install, Direction::Do), Direction::Do);
    story.tell(RunEvent::Lost { step, direction, reason: "killed".into(), host_away: false });
    assert_eq!(story.next(), RunCommand::Probe { step, direction });
    story.tell(RunEvent::Probed { step, direction, probe: Probe::NotDone });
    story.succeed(MachineStep::Install, Direction::Do);
    story.succeed(MachineStep::Verify, Direction::Do);
}
