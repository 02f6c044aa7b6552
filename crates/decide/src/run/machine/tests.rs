//! A machine's patch, told as little stories.

use patchyard_types::{
    Action, Direction, FailureKind, MachineStep, Method, Probe, Reboot, RunEnd, RunEvent, Step, TargetKind,
};

use crate::run::tests_support::{Story, action};
use crate::run::{RunCommand, steps};

fn machine(reboot: Reboot) -> Action {
    Action { kind: TargetKind::Host, method: Method::Packages, reboot, ..action() }
}

fn story(reboot: Reboot) -> Story {
    Story::of(machine(reboot))
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
        let mut story = story(reboot);
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
        let mut story = story(Reboot::AsNeeded);
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
        let mut story = story(Reboot::Never);
        story.up_to(step);
        story.fail(step, kind);
        assert_eq!(story.end(), (end, false), "{step}");
    }
}

#[test]
fn an_installation_whose_outcome_is_lost_is_asked_about() {
    let mut story = story(Reboot::Never);
    story.up_to(MachineStep::Install);
    let (step, direction) = (story.intend(MachineStep::Install, Direction::Do), Direction::Do);
    story.tell(RunEvent::Lost { step, direction, reason: "killed".into(), host_away: false });
    assert_eq!(story.next(), RunCommand::Probe { step, direction });
    story.tell(RunEvent::Probed { step, direction, probe: Probe::NotDone });
    story.succeed(MachineStep::Install, Direction::Do);
    story.succeed(MachineStep::Verify, Direction::Do);
}
