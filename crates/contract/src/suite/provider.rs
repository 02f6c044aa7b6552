//! What every provider does: the steps of a run, one by one, back and forth, on a real target.
//!
//! A [`Yard`] lends a fresh target and a good plan for it. Each function below is one behaviour;
//! [`provider_suite!`](crate::provider_suite) makes a test of each, on a yard of its own.

use std::sync::Arc;

use async_trait::async_trait;
use patchyard_types::{
    Direction, FailureKind, Order, Plan, Probe, Step, StepError, Subject, SwapStep, TargetState,
};

use super::hand::Hand;
use crate::{Ask, Provider};

/// A place with one healthy target and a good patch for it.
#[async_trait]
pub trait Yard: Send + Sync {
    /// The provider.
    fn provider(&self) -> Arc<dyn Provider>;

    /// A plan whose first action patches the target and drains it by a command. Stop-first it carries its
    /// writable layer, which holds data, and restores its volumes, of which it has some.
    fn plan(&self) -> Arc<Plan>;

    /// What serves under the target's name now: its handle and its version.
    async fn serving(&self) -> Option<String>;

    /// Everything of the target on the host that a run could leave behind: containers and snapshots,
    /// no images, in a stable order and with the state of each.
    async fn objects(&self) -> Vec<String>;

    /// Whether something is held by the step of that name. It is not where nobody revives what was stopped: then the
    /// step is done already.
    fn holds(&self) -> bool {
        true
    }

    /// Somebody else changes the target's configuration by recreating it.
    async fn meddle(&self);
}

/// Makes tests of what every provider does. The arguments are the attribute of an asynchronous test, and an expression
/// whose future makes a new [`Yard`](crate::suite::provider::Yard); `start-first` before them adds what is true of one whose
/// plan says so.
#[macro_export]
macro_rules! provider_suite {
    (start-first $test:meta, $yard:expr) => {
        $crate::provider_suite! { $test, $yard }
        $crate::provider_suite! { $test, $yard; somebody_serves_at_any_time }
    };
    ($test:meta, $yard:expr) => {
        $crate::provider_suite! { $test, $yard;
            every_step_in_order_patches_and_the_probe_knows
            from_every_step_the_way_back_restores_what_was
            undo_tolerates_that_there_is_nothing_to_undo
            every_step_looks_before_it_acts
            a_target_changed_since_planning_is_refused
            reading_changes_nothing
            original_and_replacement_are_seen_apart
        }
    };
    ($test:meta, $yard:expr; $($behaviour:ident)*) => {$(
        #[$test]
        async fn $behaviour() {
            $crate::suite::provider::$behaviour(&$yard.await).await;
        }
    )*};
}

/// In which order the yard's plan swaps.
fn order(yard: &dyn Yard) -> Order {
    yard.plan().decisions.actions[0].order
}

/// The steps that are effects of a provider. The yard's plan has every step of its order; it goes back to no
/// snapshot that could fill volumes.
fn effects(yard: &dyn Yard) -> impl DoubleEndedIterator<Item = SwapStep> + use<> {
    let all = SwapStep::in_order(order(yard)).iter().copied();
    all.filter(|step| !matches!(step, SwapStep::Verify | SwapStep::Fill))
}

/// Steps that the world can be asked about; preflight only looks, and drain and save begin anew.
fn can_be_probed(step: SwapStep) -> bool {
    !matches!(step, SwapStep::Preflight | SwapStep::Drain | SwapStep::Save)
}

fn by_hand(yard: &dyn Yard) -> Hand {
    Hand::new(yard.provider(), yard.plan(), 1)
}

/// Which steps have an undo that is an effect.
fn can_be_undone(step: SwapStep) -> bool {
    use SwapStep::{Create, Drain, Hold, Rename, Save, Snapshot, Start, Stop};
    matches!(step, Create | Drain | Stop | Hold | Save | Rename | Start | Snapshot)
}

/// Doing every step patches the target, and every probe tells not done from done.
pub async fn every_step_in_order_patches_and_the_probe_knows(yard: &dyn Yard) {
    let before = yard.serving().await;
    assert!(before.is_some(), "the target serves before");
    let mut hand = by_hand(yard);
    for step in effects(yard) {
        if can_be_probed(step) {
            let probe = hand.probing(step, Direction::Do).await;
            // An image that another run has built already is there.
            let may_be_done = step == SwapStep::Prepare || step == SwapStep::Hold && !yard.holds();
            assert!(probe == Probe::NotDone || may_be_done, "before {step}: {probe:?}");
        }
        hand.doing(step).await;
        if order(yard) == Order::StartFirst {
            assert!(yard.serving().await.is_some(), "nobody serves after {step}");
        }
        if can_be_probed(step) {
            let probe = hand.probing(step, Direction::Do).await;
            let Probe::Done { record } = probe else { panic!("after {step}: {probe:?}") };
            let recorded = &hand.records[&Step::Swap(step)];
            assert_eq!(&record, recorded, "the probe of {step} knows what the step left on record");
        }
    }
    let after = yard.serving().await;
    assert!(after.is_some() && after != before, "{before:?} became {after:?}");
}

/// From wherever a run turns around, the way back leads to what was before, with nothing left.
pub async fn from_every_step_the_way_back_restores_what_was(yard: &dyn Yard) {
    let (serving, objects) = (yard.serving().await, yard.objects().await);
    let before_retire: Vec<SwapStep> = effects(yard).filter(|step| *step != SwapStep::Retire).collect();
    for reached in 1..=before_retire.len() {
        let mut hand = by_hand(yard);
        for step in &before_retire[..reached] {
            hand.doing(*step).await;
        }
        for step in before_retire[..reached].iter().rev().filter(|step| can_be_undone(**step)) {
            hand.undoing(*step).await;
            if order(yard) == Order::StartFirst {
                assert!(yard.serving().await.is_some(), "nobody serves after undoing {step}");
            }
            if can_be_probed(*step) {
                let probe = hand.probing(*step, Direction::Undo).await;
                assert!(matches!(probe, Probe::Done { .. }), "undo {step}");
            }
        }
        let turned = before_retire[reached - 1];
        assert_eq!(yard.serving().await, serving, "back from {turned}");
        assert_eq!(yard.objects().await, objects, "back from {turned}");
    }
}

/// Taking back twice, or taking back what was never done, is no mistake.
pub async fn undo_tolerates_that_there_is_nothing_to_undo(yard: &dyn Yard) {
    let (serving, objects) = (yard.serving().await, yard.objects().await);
    let mut hand = by_hand(yard);
    // Up to the step that disturbs: nothing of what follows has taken place.
    let first = match order(yard) {
        Order::StopFirst => SwapStep::Stop,
        Order::StartFirst => SwapStep::Start,
    };
    for step in effects(yard) {
        hand.doing(step).await;
        if step == first {
            break;
        }
    }
    for step in effects(yard).rev().filter(|step| can_be_undone(*step)) {
        hand.undoing(step).await;
        hand.undoing(step).await;
    }
    assert_eq!(yard.serving().await, serving);
    assert_eq!(yard.objects().await, objects);
}

/// Doing a step again after it was done changes nothing more: it looks before it acts.
pub async fn every_step_looks_before_it_acts(yard: &dyn Yard) {
    let mut hand = by_hand(yard);
    // A stop finds its target stopped and a preflight finds it changed by then: they are not repeatable.
    let repeatable = |step| !matches!(step, SwapStep::Preflight);
    for step in effects(yard) {
        hand.doing(step).await;
        if repeatable(step) {
            let objects = yard.objects().await;
            hand.doing(step).await;
            assert_eq!(yard.objects().await, objects, "{step} a second time");
        }
    }
}

/// A target that somebody changed after planning is refused before anything is done to it.
pub async fn a_target_changed_since_planning_is_refused(yard: &dyn Yard) {
    yard.meddle().await;
    let (serving, objects) = (yard.serving().await, yard.objects().await);
    let mut hand = by_hand(yard);
    hand.doing(SwapStep::Prepare).await;
    match hand.try_to(SwapStep::Preflight, Direction::Do).await {
        Err(StepError::Failed(failure)) => assert_eq!(failure.kind, FailureKind::Precondition, "{failure}"),
        other => panic!("expected a refusal, got {other:?}"),
    }
    assert_eq!(yard.serving().await, serving);
    assert_eq!(yard.objects().await, objects);
}

/// Discovery, inventory and asking what is pending leave the host as it was, once the questions are over.
pub async fn reading_changes_nothing(yard: &dyn Yard) {
    let (serving, objects) = (yard.serving().await, yard.objects().await);
    let provider = yard.provider();
    let wanted = yard.plan().decisions.actions[0].target.clone();
    let first = provider.discover().await.unwrap_or_else(|error| panic!("{error}"));
    let target = first.iter().find(|target| target.id == wanted);
    let target = target.unwrap_or_else(|| panic!("{wanted} is not among the targets"));
    let inventory = provider.inventory(target).await.unwrap_or_else(|error| panic!("{error}"));
    let pending = provider.pending(target, &inventory, &Ask::default()).await;
    let pending = pending.unwrap_or_else(|error| panic!("{error}"));
    assert!(!pending.is_empty(), "a patch is pending");
    let again = provider.discover().await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(first.iter().find(|t| t.id == wanted), again.iter().find(|t| t.id == wanted));
    provider.settle().await;
    assert_eq!(yard.serving().await, serving);
    assert_eq!(yard.objects().await, objects);
}

/// Started first, the replacement serves before anything is done to the original: neither is the original touched
/// without it, nor is it taken back without the original.
pub async fn somebody_serves_at_any_time(yard: &dyn Yard) {
    assert_eq!(order(yard), Order::StartFirst);
    let refused = |outcome: Result<(), StepError>, what: &str| match outcome {
        Err(StepError::Failed(failure)) => assert_eq!(failure.kind, FailureKind::Host, "{what}: {failure}"),
        other => panic!("{what}: expected a refusal, got {other:?}"),
    };
    let before = yard.serving().await;
    let mut hand = by_hand(yard);
    for step in [SwapStep::Prepare, SwapStep::Preflight, SwapStep::Create] {
        hand.doing(step).await;
    }
    for step in [SwapStep::Drain, SwapStep::Stop] {
        refused(hand.try_to(step, Direction::Do).await, "without a replacement");
    }
    assert_eq!(yard.serving().await, before);
    for step in [SwapStep::Start, SwapStep::Rename, SwapStep::Drain, SwapStep::Stop] {
        hand.doing(step).await;
    }
    let after = yard.serving().await;
    assert!(after.is_some() && after != before, "{before:?} became {after:?}");
    refused(hand.try_to(SwapStep::Start, Direction::Undo).await, "without the original");
    assert_eq!(yard.serving().await, after);
    for step in [SwapStep::Stop, SwapStep::Drain, SwapStep::Rename, SwapStep::Start, SwapStep::Create] {
        hand.undoing(step).await;
    }
    assert_eq!(yard.serving().await, before);
}

/// Both subjects can be looked at: the original serves before, the replacement after.
pub async fn original_and_replacement_are_seen_apart(yard: &dyn Yard) {
    let mut hand = by_hand(yard);
    let look = async |hand: &Hand, subject| {
        let call = hand.call(SwapStep::Verify, Direction::Do);
        yard.provider().observe(&call, subject).await
    };
    let original = look(&hand, Subject::Original).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(original.state, TargetState::Running);
    for step in effects(yard).take_while(|step| *step != SwapStep::Snapshot) {
        hand.doing(step).await;
    }
    let original = look(&hand, Subject::Original).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(original.state, TargetState::Exited);
    let replacement = look(&hand, Subject::Replacement).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(replacement.state, TargetState::Running);
}
