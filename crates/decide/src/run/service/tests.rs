//! A service's update, told as little stories.

use patchyard_types::{
    Action, Direction, FailureKind, Method, Probe, RunEnd, RunEvent, ServiceStep, TargetKind,
};

use crate::run::RunCommand;
use crate::run::tests_support::{Story, action};

fn service() -> Action {
    Action { kind: TargetKind::Service, method: Method::Image, ..action() }
}

fn story() -> Story {
    Story::of(service())
}

/// The way back, and how it ends: how, and whether the patch is to blame.
fn goes_back(story: &mut Story) -> (RunEnd, bool) {
    story.succeed(ServiceStep::Update, Direction::Undo);
    story.succeed(ServiceStep::Preflight, Direction::Undo);
    story.end()
}

#[test]
fn a_good_update_goes_through_its_own_steps() {
    let mut story = story();
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
        let mut story = story();
        story.up_to(step);
        story.fail(step, kind);
        assert_eq!(goes_back(&mut story), (RunEnd::RolledBack, blamed), "{step} {kind:?}");
    }
}

#[test]
fn a_service_that_is_not_as_planned_is_left_alone() {
    let mut story = story();
    story.up_to(ServiceStep::Preflight);
    story.fail(ServiceStep::Preflight, FailureKind::Precondition);
    assert_eq!(story.end(), (RunEnd::Skipped, false));
}

#[test]
fn an_update_whose_outcome_is_lost_is_asked_about_and_waited_for_again() {
    let mut story = story();
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
