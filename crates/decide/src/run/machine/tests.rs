//! A machine's patch, told as little stories.

use patchyard_types::{
    Action, Direction, FailureKind, MachineStep, Method, Probe, Reboot, Record, RunEnd, RunEvent,
    SnapshotPolicy, Step, TargetKind,
};

use crate::run::tests_support::{Story, action};
use crate::run::{RunCommand, steps};

fn machine(reboot: Reboot) -> Action {
    Action { kind: TargetKind::Host, method: Method::Packages, reboot, ..action() }
}

/// Of a machine whose disks are saved first.
fn saved(reboot: Reboot) -> Story {
    Story::of(Action { snapshot: SnapshotPolicy::Required, ..machine(reboot) })
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
        (Reboot::AsNeeded, vec![Prepare, Preflight, Install, Restart, MachineStep::Reboot, Verify, Snapshot]),
        (Reboot::Always, vec![Prepare, Preflight, Install, Restart, MachineStep::Reboot, Verify, Snapshot]),
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
        (MachineStep::Install, FailureKind::Check, true),
        (MachineStep::Install, FailureKind::Host, false),
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

#[test]
fn disks_are_saved_before_packages_are_changed() {
    let mut story = saved(Reboot::Always);
    for step in MachineStep::ALL {
        story.succeed(step, Direction::Do);
    }
    assert_eq!(story.end(), (RunEnd::Succeeded, false));
}

#[test]
fn a_machine_whose_disks_cannot_be_saved_is_left_alone() {
    let mut story = saved(Reboot::Never);
    story.up_to(MachineStep::Save);
    story.fail(MachineStep::Save, FailureKind::NoSpace);
    story.succeed(MachineStep::Save, Direction::Undo);
    assert_eq!(story.end(), (RunEnd::Failed, false));
}

#[test]
fn packages_are_put_back_first_and_the_snapshot_goes_then() {
    let mut story = saved(Reboot::Never);
    story.up_to(MachineStep::Verify);
    story.fail(MachineStep::Verify, FailureKind::Check);
    // One that may yet go well is tried again.
    story.fail_to(MachineStep::Install, Direction::Undo, FailureKind::PackageManager);
    for step in [MachineStep::Install, MachineStep::Save, MachineStep::Preflight] {
        story.succeed(step, Direction::Undo);
    }
    assert_eq!(story.end(), (RunEnd::RolledBack, true));
}

#[test]
fn where_packages_cannot_be_put_back_the_disks_are() {
    for (kind, tries) in
        [(FailureKind::PackageManager, 3), (FailureKind::Check, 1), (FailureKind::Timeout, 1)]
    {
        let mut story = saved(Reboot::Never);
        story.up_to(MachineStep::Install);
        story.fail(MachineStep::Install, FailureKind::PackageManager);
        for _ in 0..tries {
            story.fail_to(MachineStep::Install, Direction::Undo, kind);
        }
        story.succeed(MachineStep::Save, Direction::Undo);
        story.succeed(MachineStep::Preflight, Direction::Undo);
        let RunCommand::End { end, reason: Some(reason), quarantine } = story.next() else {
            panic!("{kind:?}")
        };
        assert_eq!((end, quarantine), (RunEnd::RolledBack, true), "{kind:?}");
        assert!(reason.contains("its disks went back"), "{reason}");
    }
}

/// Rolled back as far as its plan said, and no further.
#[test]
fn what_was_not_kept_is_told_of_when_the_rest_was_put_back() {
    for (record, told) in [(Record::Nothing, true), (Record::NotBegun, false)] {
        let mut story = story(Reboot::Never);
        let step = story.intend(MachineStep::Prepare, Direction::Do);
        let kept = Record::Kept { back: Vec::new(), missing: vec!["web 1.0".into()], automatic: Vec::new() };
        story.tell(RunEvent::Succeeded { step, direction: Direction::Do, record: kept });
        story.succeed(MachineStep::Preflight, Direction::Do);
        story.fail(MachineStep::Install, FailureKind::PackageManager);
        let step = story.intend(MachineStep::Install, Direction::Undo);
        story.tell(RunEvent::Succeeded { step, direction: Direction::Undo, record });
        story.succeed(MachineStep::Preflight, Direction::Undo);
        let RunCommand::End { reason: Some(reason), .. } = story.next() else { panic!("no end") };
        assert_eq!(reason.contains("not put back: web 1.0"), told, "{reason}");
    }
}

#[test]
fn without_a_snapshot_a_person_is_called() {
    let mut story = story(Reboot::Never);
    story.up_to(MachineStep::Install);
    story.fail(MachineStep::Install, FailureKind::PackageManager);
    for _ in 0..3 {
        story.fail_to(MachineStep::Install, Direction::Undo, FailureKind::Check);
    }
    assert!(matches!(story.next(), RunCommand::CallPerson { .. }));
}
