//! A run's decisions, told as little stories.

use jiff::Timestamp;
use patchyard_types::{
    Action, Actor, Direction, Event, EventBody, Failure, FailureKind, Millis, PersonVerdict, Probe, Record,
    RolloutId, RunEnd, RunEvent, RunId, Step, Stream, SwapStep,
};

use super::tests_support::{action, start_first};
use super::{Mode, RunCommand, RunState, decide};

/// The steps of the stories' action.
fn all() -> Vec<SwapStep> {
    let swap = |step| match step {
        Step::Swap(step) => step,
        Step::Service(_) | Step::Machine(_) => panic!("a container has no step {step} of others'"),
    };
    super::steps(&action()).map(swap).collect()
}

/// A run that is told what happens and asked what comes next.
struct Story {
    action: Action,
    state: RunState,
    seq: u64,
}

impl Story {
    fn new() -> Self {
        Self::of(action())
    }

    fn of(action: Action) -> Self {
        let target = action.target.clone();
        let mut story = Self { action, state: RunState::default(), seq: 0 };
        story.tell(RunEvent::Started { target });
        story
    }

    fn tell(&mut self, body: RunEvent) {
        self.seq += 1;
        let run = RunId { rollout: RolloutId(1), action: 0 };
        let (seq, at) = (self.seq, at(self.seq));
        self.state.apply(&Event { stream: Stream::Run(run), seq, at, body: EventBody::Run(body) });
    }

    fn next(&self) -> RunCommand {
        decide(&self.state, &self.action, Mode::Go)
    }

    /// What it wants to perform now.
    fn wants(&self) -> (SwapStep, Direction) {
        match self.next() {
            RunCommand::Perform { step: Step::Swap(step), direction, .. } => (step, direction),
            other => panic!("expected a step, got {other:?}"),
        }
    }

    fn intend(&mut self) -> (Step, Direction) {
        let (step, direction) = self.wants();
        let step = Step::Swap(step);
        self.tell(RunEvent::Intended { step, direction });
        (step, direction)
    }

    fn succeed(&mut self) {
        let (step, direction) = self.intend();
        let record = match (step, direction) {
            (Step::Swap(SwapStep::Verify), Direction::Do) => Record::Verified { first_good: at(self.seq) },
            _ => Record::Nothing,
        };
        self.tell(RunEvent::Succeeded { step, direction, record });
    }

    fn fail(&mut self, kind: FailureKind) {
        let (step, direction) = self.intend();
        self.tell(RunEvent::Failed { step, direction, failure: Failure::new(kind, "it broke") });
    }

    /// Does everything before `step`.
    fn up_to(step: SwapStep) -> Self {
        Self::of(action()).until(step)
    }

    /// The same of another action.
    fn until(self, step: SwapStep) -> Self {
        let mut story = self;
        while story.wants() != (step, Direction::Do) {
            story.succeed();
        }
        story
    }

    /// Lets every undo succeed and returns them in order, with the end.
    fn way_back(&mut self) -> (Vec<SwapStep>, RunCommand) {
        let mut undone = Vec::new();
        loop {
            match self.next() {
                RunCommand::Perform { step: Step::Swap(step), direction: Direction::Undo, .. } => {
                    undone.push(step);
                    self.succeed();
                }
                end => return (undone, end),
            }
        }
    }
}

/// When an event is written: a second after the one before.
fn at(seq: u64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + i64::try_from(seq).unwrap()).unwrap()
}

fn ended(command: &RunCommand) -> (RunEnd, bool) {
    match command {
        RunCommand::End { end, quarantine, .. } => (*end, *quarantine),
        other => panic!("expected an end, got {other:?}"),
    }
}

#[test]
fn all_steps_in_order_then_success() {
    let mut story = Story::new();
    for step in all() {
        assert_eq!(story.wants(), (step, Direction::Do));
        story.succeed();
    }
    assert_eq!(ended(&story.next()), (RunEnd::Succeeded, false));
}

#[test]
fn a_run_saves_and_fills_volumes_only_where_its_plan_says_so() {
    use patchyard_types::{Action, Data, Method};
    let steps = |method, data| {
        let action = Action { method, data, ..action() };
        let of_data = |step: &Step| matches!(step, Step::Swap(SwapStep::Save | SwapStep::Fill));
        super::steps(&action).filter(of_data).map(|step| step.to_string()).collect::<Vec<_>>()
    };
    for method in [Method::Layer, Method::Image, Method::Restore] {
        assert!(steps(method, Data::Keep).is_empty());
    }
    assert_eq!(steps(Method::Layer, Data::Restore), ["save"]);
    assert_eq!(steps(Method::Image, Data::Restore), ["save"]);
    assert_eq!(steps(Method::Restore, Data::Restore), ["save", "fill"]);
}

#[test]
fn volumes_are_put_back_before_the_original_starts_and_saved_anew_when_nobody_knows() {
    let mut story = Story::up_to(SwapStep::Save);
    let (step, direction) = story.intend();
    story.tell(RunEvent::Lost { step, direction, reason: "killed".into(), host_away: false });
    assert_eq!(story.next(), RunCommand::Probe { step, direction });
    assert_eq!(super::rules(step).probing, super::Probing::Repeat);
    story.tell(RunEvent::Probed { step, direction, probe: Probe::NotDone });
    assert_eq!(story.wants(), (SwapStep::Save, Direction::Do));

    let mut story = Story::up_to(SwapStep::Verify);
    story.fail(FailureKind::Check);
    let (undone, _) = story.way_back();
    let at = |step| undone.iter().position(|undone| *undone == step).unwrap();
    assert!(
        at(SwapStep::Start) < at(SwapStep::Save) && at(SwapStep::Save) < at(SwapStep::Stop),
        "{undone:?}"
    );
}

#[test]
fn a_run_carries_only_where_its_plan_says_so() {
    let carries = |writable_layer| {
        let action = patchyard_types::Action { writable_layer, ..action() };
        super::steps(&action).any(|step| step == Step::Swap(SwapStep::Carry))
    };
    use patchyard_types::WritableLayer::{Carry, Discard, LeaveOut};
    assert!(carries(Carry) && !carries(Discard) && !carries(LeaveOut));
}

#[test]
fn a_run_drains_only_where_its_plan_says_so() {
    let drains = |command: &[&str], wait| {
        let command = command.iter().map(|&word| word.to_owned()).collect();
        let action = Action { drain: patchyard_types::Drain { command, wait: Millis(wait) }, ..action() };
        super::steps(&action).any(|step| step == Step::Swap(SwapStep::Drain))
    };
    assert!(drains(&["drain"], 0) && drains(&[], 1) && !drains(&[], 0));
}

#[test]
fn started_first_nothing_is_done_to_the_old_one_until_the_new_one_is_verified() {
    let steps: Vec<_> = super::steps(&start_first()).map(|step| step.to_string()).collect();
    let all = "prepare preflight create start verify rename drain stop hold snapshot retire";
    assert_eq!(steps.join(" "), all);

    // Nobody is down in between.
    let mut story = Story::of(start_first()).until(SwapStep::Retire);
    story.succeed();
    assert_eq!(ended(&story.next()), (RunEnd::Succeeded, false));
    assert_eq!(story.state.down_at, None);
    let mut stopped = Story::up_to(SwapStep::Retire);
    stopped.succeed();
    assert!(stopped.state.down_at < stopped.state.up_at && stopped.state.down_at.is_some());
}

#[test]
fn started_first_a_bad_version_goes_and_the_old_one_was_never_touched() {
    let mut story = Story::of(start_first()).until(SwapStep::Verify);
    story.fail(FailureKind::Check);
    let (undone, end) = story.way_back();
    assert_eq!(undone, [SwapStep::Start, SwapStep::Create, SwapStep::Preflight]);
    assert_eq!(ended(&end), (RunEnd::RolledBack, true));
}

/// Every step behind *verify*: the old one serves again, and is seen to, before the new one is stopped.
#[test]
fn started_first_the_new_one_serves_until_the_old_one_does() {
    use SwapStep::{Create, Drain, Hold, Preflight, Rename, Snapshot, Start, Stop};
    let back = [Snapshot, Hold, Stop, Drain, Rename, Start, Create, Preflight];
    for failed in [Rename, Drain, Stop, Hold, Snapshot] {
        let mut story = Story::of(start_first()).until(failed);
        story.fail(FailureKind::Host);
        let from = back.iter().position(|step| *step == failed).unwrap();
        let (undone, end) = story.way_back();
        assert_eq!(undone, back[from..], "{failed}");
        assert_eq!(ended(&end), (RunEnd::RolledBack, false), "{failed}");
    }
    // An old one that does not serve again: the new one stays, and keeps the name.
    let mut story = Story::of(start_first()).until(Hold);
    story.fail(FailureKind::Host);
    while story.wants() != (Rename, Direction::Undo) {
        story.succeed();
    }
    for _ in 0..super::UNDO_ATTEMPTS {
        story.fail(FailureKind::Check);
    }
    assert!(matches!(story.next(), RunCommand::CallPerson { .. }));
}

#[test]
fn started_first_an_abort_or_a_pause_is_heeded_before_the_new_one_starts() {
    for step in SwapStep::START_FIRST {
        let story = Story::of(start_first()).until(step);
        let rests = decide(&story.state, &story.action, Mode::Pause) == RunCommand::Rest;
        let before = [SwapStep::Prepare, SwapStep::Preflight, SwapStep::Create, SwapStep::Start];
        assert_eq!(rests, before.contains(&step), "{step}");
    }
    let mut early = Story::of(start_first()).until(SwapStep::Start);
    early.tell(RunEvent::AbortRequested);
    let (undone, end) = early.way_back();
    assert_eq!((undone, ended(&end)), (vec![SwapStep::Create], (RunEnd::Skipped, false)));
}

#[test]
fn a_failure_before_the_stop_changes_nothing_and_is_a_failure() {
    let mut story = Story::up_to(SwapStep::Prepare);
    story.fail(FailureKind::PackageManager);
    let (undone, end) = story.way_back();
    assert!(undone.is_empty());
    assert_eq!(ended(&end), (RunEnd::Failed, true));
}

#[test]
fn a_changed_target_is_skipped_and_nobody_is_blamed() {
    let mut story = Story::up_to(SwapStep::Preflight);
    story.fail(FailureKind::Precondition);
    assert_eq!(ended(&story.way_back().1), (RunEnd::Skipped, false));
}

#[test]
fn a_failed_check_goes_back_in_reverse_order_and_confirms_at_the_end() {
    let mut story = Story::up_to(SwapStep::Verify);
    story.fail(FailureKind::Check);
    let (undone, end) = story.way_back();
    use SwapStep::{Create, Drain, Hold, Preflight, Rename, Save, Start, Stop};
    assert_eq!(undone, [Start, Rename, Save, Hold, Stop, Drain, Create, Preflight]);
    assert_eq!(ended(&end), (RunEnd::RolledBack, true));
}

#[test]
fn a_check_that_fails_after_the_host_has_been_away_goes_back_without_blaming_the_patch() {
    let mut story = Story::up_to(SwapStep::Verify);
    let (step, direction) = story.intend();
    story.tell(RunEvent::Lost { step, direction, reason: "the engine has stopped".into(), host_away: true });
    story.tell(RunEvent::Probed { step, direction, probe: Probe::NotDone });
    story.fail(FailureKind::Check);
    assert_eq!(ended(&story.way_back().1), (RunEnd::RolledBack, false));
}

#[test]
fn a_check_that_fails_after_the_driver_has_died_blames_the_patch() {
    let mut story = Story::up_to(SwapStep::Verify);
    let (step, direction) = story.intend();
    let lost = RunEvent::Lost { step, direction, reason: "the driver stopped".into(), host_away: false };
    story.tell(lost);
    story.tell(RunEvent::Probed { step, direction, probe: Probe::NotDone });
    story.fail(FailureKind::Check);
    assert_eq!(ended(&story.way_back().1), (RunEnd::RolledBack, true));
}

#[test]
fn a_full_disk_goes_back_without_blaming_the_patch() {
    for step in all().into_iter().filter(|s| *s != SwapStep::Retire) {
        let mut story = Story::up_to(step);
        story.fail(FailureKind::NoSpace);
        let (end, quarantine) = ended(&story.way_back().1);
        assert_ne!(end, RunEnd::Succeeded, "{step}");
        assert!(!quarantine, "{step}");
    }
}

#[test]
fn the_failed_step_itself_is_taken_back_too() {
    let mut story = Story::up_to(SwapStep::Stop);
    story.fail(FailureKind::Timeout);
    let (undone, end) = story.way_back();
    assert_eq!(undone, [SwapStep::Stop, SwapStep::Drain, SwapStep::Create, SwapStep::Preflight]);
    assert_eq!(ended(&end), (RunEnd::RolledBack, false));
}

#[test]
fn an_unknown_outcome_is_probed_never_repeated_blindly() {
    for step in all() {
        let mut story = Story::up_to(step);
        let (step, direction) = story.intend();
        assert_eq!(story.next(), RunCommand::Probe { step, direction });
        story.tell(RunEvent::Probed { step, direction, probe: Probe::Done { record: Record::Nothing } });
        assert_ne!(story.next(), RunCommand::Probe { step, direction });
        match story.next() {
            RunCommand::Perform { step: next, .. } => assert!(next > step),
            RunCommand::End { .. } => assert_eq!(step, Step::Swap(SwapStep::Retire)),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_the_probe_calls_not_done_is_done_again_but_not_for_ever() {
    let mut story = Story::up_to(SwapStep::Create);
    for _ in 0..super::ATTEMPTS {
        let (step, direction) = story.intend();
        story.tell(RunEvent::Probed { step, direction, probe: Probe::NotDone });
    }
    assert_eq!(story.wants(), (SwapStep::Create, Direction::Undo));
    assert_eq!(ended(&story.way_back().1), (RunEnd::Failed, false));
}

#[test]
fn when_the_probe_cannot_tell_a_person_decides() {
    let lost = || {
        let mut story = Story::up_to(SwapStep::Rename);
        let (step, direction) = story.intend();
        let probe = Probe::CannotTell { reason: "both are gone".into() };
        story.tell(RunEvent::Probed { step, direction, probe });
        let RunCommand::CallPerson { reason } = story.next() else { panic!() };
        assert!(reason.contains("both are gone") && reason.contains("resolve"));
        story.tell(RunEvent::AttentionNeeded { reason });
        assert_eq!(story.next(), RunCommand::AwaitPerson);
        story
    };
    let resolve = |mut story: Story, verdict| {
        story.tell(RunEvent::Resolved { verdict, by: Actor("me".into()), reason: "looked".into() });
        story
    };
    assert_eq!(resolve(lost(), PersonVerdict::Done).wants(), (SwapStep::Start, Direction::Do));
    assert_eq!(resolve(lost(), PersonVerdict::Undo).wants(), (SwapStep::Rename, Direction::Undo));
    assert_eq!(ended(&resolve(lost(), PersonVerdict::Close).next()), (RunEnd::Failed, false));
}

/// A failed check, and a way back that cannot be gone: a person was called.
fn stuck_on_the_way_back() -> Story {
    let mut story = Story::up_to(SwapStep::Verify);
    story.fail(FailureKind::Check);
    for _ in 0..super::UNDO_ATTEMPTS {
        story.fail(FailureKind::Host);
    }
    let RunCommand::CallPerson { reason } = story.next() else { panic!() };
    story.tell(RunEvent::AttentionNeeded { reason });
    story
}

#[test]
fn a_run_that_a_person_closes_still_blames_the_patch_that_failed() {
    let mut story = stuck_on_the_way_back();
    let (verdict, by) = (PersonVerdict::Close, Actor("me".into()));
    story.tell(RunEvent::Resolved { verdict, by, reason: "made anew by hand".into() });
    let end = story.next();
    assert_eq!(ended(&end), (RunEnd::Failed, true));
    let RunCommand::End { reason: Some(reason), .. } = end else { panic!() };
    assert!(reason.contains("made anew by hand"), "{reason}");
}

#[test]
fn an_undo_that_keeps_failing_calls_a_person_and_can_be_tried_again() {
    let mut story = stuck_on_the_way_back();
    story.tell(RunEvent::Resolved {
        verdict: PersonVerdict::Undo,
        by: Actor("me".into()),
        reason: String::new(),
    });
    assert_eq!(story.wants(), (SwapStep::Start, Direction::Undo));
    assert_eq!(ended(&story.way_back().1), (RunEnd::RolledBack, true));
}

#[test]
fn an_old_container_that_cannot_be_removed_is_tried_again_then_a_person_is_called() {
    let mut story = Story::up_to(SwapStep::Retire);
    for _ in 0..4 {
        story.fail(FailureKind::Host);
    }
    assert!(matches!(story.next(), RunCommand::CallPerson { .. }));
}

#[test]
fn a_pause_holds_a_run_only_while_its_service_is_undisturbed() {
    for step in all() {
        let story = Story::up_to(step);
        let command = decide(&story.state, &action(), Mode::Pause);
        let undisturbed = step <= SwapStep::Drain;
        assert_eq!(command == RunCommand::Rest, undisturbed, "{step}");
    }
}

#[test]
fn an_abort_takes_an_undisturbed_run_back_and_lets_a_disturbed_one_finish() {
    let mut early = Story::up_to(SwapStep::Drain);
    early.tell(RunEvent::AbortRequested);
    let (undone, end) = early.way_back();
    assert_eq!(undone, [SwapStep::Create]);
    assert_eq!(ended(&end), (RunEnd::Skipped, false));

    let mut late = Story::up_to(SwapStep::Start);
    late.tell(RunEvent::AbortRequested);
    assert_eq!(late.wants(), (SwapStep::Start, Direction::Do));
}

#[test]
fn a_pull_that_times_out_speaks_of_the_network_a_build_that_does_of_the_packages() {
    use patchyard_types::Method;
    let blames = super::rules(Step::Swap(SwapStep::Prepare)).blames_patch;
    assert!(blames(Method::Layer, FailureKind::Timeout));
    assert!(!blames(Method::Image, FailureKind::Timeout));
}

#[test]
fn tries_wait_longer_each_time() {
    let waits: Vec<Millis> = (0..6).map(super::backoff).collect();
    assert_eq!(waits, [0, 1, 2, 4, 8, 8].map(Millis::from_secs));
}
