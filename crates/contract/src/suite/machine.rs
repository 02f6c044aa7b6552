//! What every provider of machines does: the steps of a patch in place, one by one, back and forth.
//!
//! A [`Yard`] lends a fresh machine and a good plan for it. Each function below is one behaviour;
//! [`machine_suite!`](crate::machine_suite) makes a test of each, on a yard of its own.

use std::sync::Arc;

use async_trait::async_trait;
use patchyard_types::{
    Direction, FailureKind, MachineStep, Plan, Probe, Record, Step, StepError, Subject, TargetState,
};

use super::hand::Hand;
use crate::{Ask, Provider};

/// A place with one healthy machine and a good patch for it.
#[async_trait]
pub trait Yard: Send + Sync {
    /// The provider.
    fn provider(&self) -> Arc<dyn Provider>;

    /// A plan whose first action patches the machine, and restarts what runs on replaced files.
    fn plan(&self) -> Arc<Plan>;

    /// The packages that the machine has, with their versions; what was left in the middle is told.
    async fn packages(&self) -> Vec<String>;

    /// Somebody else changes a package that the plan changes.
    async fn meddle(&self);
}

/// Makes tests of what every provider of machines does. The arguments are the attribute of an asynchronous test, and an
/// expression whose future makes a new [`Yard`](crate::suite::machine::Yard).
#[macro_export]
macro_rules! machine_suite {
    ($test:meta, $yard:expr) => {
        $crate::machine_suite! { $test, $yard;
            every_step_in_order_patches_and_the_probe_knows
            from_every_step_the_way_back_restores_what_was
            undo_tolerates_that_there_is_nothing_to_undo
            every_step_looks_before_it_acts
            what_the_snapshot_keeps_leads_back
            a_machine_changed_since_planning_is_refused
            reading_changes_nothing
        }
    };
    ($test:meta, $yard:expr; $($behaviour:ident)*) => {$(
        #[$test]
        async fn $behaviour() {
            $crate::suite::machine::$behaviour(&$yard.await).await;
        }
    )*};
}

/// The steps that are effects of a provider, without the reboot, which not every yard survives.
const EFFECTS: [MachineStep; 5] = [
    MachineStep::Prepare,
    MachineStep::Preflight,
    MachineStep::Install,
    MachineStep::Restart,
    MachineStep::Snapshot,
];

fn by_hand(yard: &dyn Yard, rollout: u64) -> Hand {
    Hand::new(yard.provider(), yard.plan(), rollout)
}

/// Doing every step patches the machine, and the probe of what changes it tells not done from done.
pub async fn every_step_in_order_patches_and_the_probe_knows(yard: &dyn Yard) {
    let before = yard.packages().await;
    let mut hand = by_hand(yard, 1);
    for step in EFFECTS {
        if step == MachineStep::Install {
            assert_eq!(hand.probing(step, Direction::Do).await, Probe::NotDone, "before {step}");
        }
        hand.doing(step).await;
        if step == MachineStep::Install {
            let probe = hand.probing(step, Direction::Do).await;
            assert_eq!(probe, Probe::Done { record: Record::Nothing }, "after {step}");
        }
    }
    assert_ne!(yard.packages().await, before);
    let call = hand.call(MachineStep::Verify, Direction::Do);
    let look = yard.provider().observe(&call, Subject::Replacement).await;
    let look = look.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(look.state, TargetState::Running);
}

/// From wherever a run turns around, the way back leads to the packages that were there before.
pub async fn from_every_step_the_way_back_restores_what_was(yard: &dyn Yard) {
    let before = yard.packages().await;
    for reached in 3..=EFFECTS.len() {
        let mut hand = by_hand(yard, reached as u64);
        for step in &EFFECTS[..reached] {
            hand.doing(*step).await;
        }
        hand.undoing(MachineStep::Install).await;
        let probe = hand.probing(MachineStep::Install, Direction::Undo).await;
        assert!(matches!(probe, Probe::Done { .. }), "{probe:?}");
        assert_eq!(yard.packages().await, before, "back from {}", EFFECTS[reached - 1]);
    }
}

/// Taking back twice, or taking back what was never done, is no mistake.
pub async fn undo_tolerates_that_there_is_nothing_to_undo(yard: &dyn Yard) {
    let before = yard.packages().await;
    let mut hand = by_hand(yard, 1);
    for step in [MachineStep::Prepare, MachineStep::Preflight] {
        hand.doing(step).await;
    }
    // Whoever hears that it was not begun puts no disks back.
    let not_begun = Probe::Done { record: Record::NotBegun };
    assert_eq!(hand.probing(MachineStep::Install, Direction::Undo).await, not_begun);
    hand.undoing(MachineStep::Install).await;
    assert_eq!(yard.packages().await, before);
    let mut hand = by_hand(yard, 2);
    for step in [MachineStep::Prepare, MachineStep::Preflight, MachineStep::Install] {
        hand.doing(step).await;
    }
    hand.undoing(MachineStep::Install).await;
    hand.undoing(MachineStep::Install).await;
    assert_eq!(yard.packages().await, before);
}

/// Doing a step again after it was done changes nothing more.
pub async fn every_step_looks_before_it_acts(yard: &dyn Yard) {
    let mut hand = by_hand(yard, 1);
    for step in EFFECTS {
        hand.doing(step).await;
        // A preflight finds the machine changed after the installation, and is not repeated then.
        let packages = yard.packages().await;
        hand.doing(step).await;
        assert_eq!(yard.packages().await, packages, "{step} a second time");
    }
}

/// A manual rollback is a plan of its own, to what the snapshot keeps; it can be taken back itself.
pub async fn what_the_snapshot_keeps_leads_back(yard: &dyn Yard) {
    let before = yard.packages().await;
    let mut hand = by_hand(yard, 1);
    for step in EFFECTS {
        hand.doing(step).await;
    }
    let patched = yard.packages().await;
    let record = hand.records.remove(&Step::Machine(MachineStep::Snapshot));
    let Some(Record::Snapshotted { snapshot }) = record else { panic!("no snapshot: {record:?}") };
    let mut plan = (*yard.plan()).clone();
    let action = &mut plan.decisions.actions[0];
    let mut set = plan.decisions.patch_sets[&action.patch_set].clone();
    set.change = patchyard_types::Change::Snapshot {
        snapshot: snapshot.id.clone(),
        image: None,
        packages: snapshot.packages.clone(),
    };
    action.patch_set = set.id();
    action.method = patchyard_types::Method::Restore;
    plan.decisions.patch_sets.insert(set.id(), set);
    let mut back = Hand { plan: Arc::new(plan), ..by_hand(yard, 2) };
    for step in EFFECTS {
        back.doing(step).await;
    }
    assert_eq!(yard.packages().await, before);
    back.undoing(MachineStep::Install).await;
    assert_eq!(yard.packages().await, patched);
}

/// A machine that somebody changed after planning is refused before anything is done to it.
pub async fn a_machine_changed_since_planning_is_refused(yard: &dyn Yard) {
    yard.meddle().await;
    let before = yard.packages().await;
    let mut hand = by_hand(yard, 1);
    // Where there is nothing to keep any more, it may be refused this early.
    if hand.try_to(MachineStep::Prepare, Direction::Do).await.is_ok() {
        match hand.try_to(MachineStep::Preflight, Direction::Do).await {
            Err(StepError::Failed(failure)) => {
                assert_eq!(failure.kind, FailureKind::Precondition, "{failure}");
            }
            other => panic!("expected a refusal, got {other:?}"),
        }
    }
    assert_eq!(yard.packages().await, before);
}

/// Discovery, inventory and asking what is pending leave the machine's packages as they were.
pub async fn reading_changes_nothing(yard: &dyn Yard) {
    let before = yard.packages().await;
    let provider = yard.provider();
    let wanted = yard.plan().decisions.actions[0].target.clone();
    let first = provider.discover().await.unwrap_or_else(|error| panic!("{error}"));
    let target = first.iter().find(|target| target.id == wanted);
    let target = target.unwrap_or_else(|| panic!("{wanted} is not among the targets"));
    let inventory = provider.inventory(target).await.unwrap_or_else(|error| panic!("{error}"));
    let pending = provider.pending(target, &inventory, &Ask::default()).await;
    assert!(!pending.unwrap_or_else(|error| panic!("{error}")).is_empty(), "a patch is pending");
    let again = provider.discover().await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(first, again);
    assert_eq!(yard.packages().await, before);
}
