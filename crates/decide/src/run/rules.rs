//! What is known about every step without looking at a run: its time, its undo, whom it blames.

use std::collections::BTreeMap;

use patchyard_types::{
    Action, Data, FailureKind, MachineStep, Method, Millis, Reboot, Record, ServiceStep, SnapshotPolicy,
    Step, SwapStep, TargetKind, WritableLayer,
};

use super::{machine, service, swap};

/// The rules of one step, together in one file a step.
#[derive(Clone, Copy)]
pub struct StepRules {
    /// Something is done to what serves: from here on the run finishes or goes all the way back.
    pub disturbs: bool,
    /// May be dropped in the middle on pause and abort, because nothing but time is lost.
    pub interruptible: bool,
    /// How an unknown outcome is found out.
    pub probing: Probing,
    /// How it is taken back.
    pub undo: Undo,
    /// How often it is tried again after a failure, instead of turning the run around. Only for
    /// steps behind the point of no return.
    pub retries: u32,
    /// Limit of doing it.
    pub timeout: fn(&Action) -> Millis,
    /// Limit of taking it back.
    pub undo_timeout: fn(&Action) -> Millis,
    /// Whether this kind of failure in this step speaks against the patch set.
    pub blames_patch: fn(Method, FailureKind) -> bool,
}

/// How an unknown outcome is found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probing {
    /// The provider asks the world.
    AskTheWorld,
    /// Nobody needs to be asked: doing it again is right, because it only looks, or begins anew.
    Repeat,
}

/// How a step is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undo {
    /// There is nothing to take back.
    Nothing,
    /// By an effect of the provider.
    Effect,
    /// By an effect of the provider. Where that fails for good, and the disks were saved before, they go back instead.
    EffectOrDisks,
    /// By an effect of the provider; started first, the original has to serve as before by then.
    ConfirmedEffect,
    /// By confirming that the target serves as before, if anything behind this step has disturbed it.
    Confirm,
    /// Not at all: behind the point of no return.
    Never,
}

/// The rules of a step.
#[must_use]
pub const fn rules(step: Step) -> StepRules {
    match step {
        Step::Swap(step) => match step {
            SwapStep::Prepare => swap::prepare::RULES,
            SwapStep::Preflight => swap::preflight::RULES,
            SwapStep::Create => swap::create::RULES,
            SwapStep::Drain => swap::drain::RULES,
            SwapStep::Stop => swap::stop::RULES,
            SwapStep::Hold => swap::hold::RULES,
            SwapStep::Save => swap::save::RULES,
            SwapStep::Fill => swap::fill::RULES,
            SwapStep::Carry => swap::carry::RULES,
            SwapStep::Rename => swap::rename::RULES,
            SwapStep::Start => swap::start::RULES,
            SwapStep::Verify => swap::verify::RULES,
            SwapStep::Snapshot => swap::snapshot::RULES,
            SwapStep::Retire => swap::retire::RULES,
        },
        Step::Service(step) => match step {
            ServiceStep::Prepare => service::prepare::RULES,
            ServiceStep::Preflight => service::preflight::RULES,
            ServiceStep::Update => service::update::RULES,
            ServiceStep::Verify => service::verify::RULES,
            ServiceStep::Snapshot => service::snapshot::RULES,
        },
        Step::Machine(step) => match step {
            MachineStep::Prepare => machine::prepare::RULES,
            MachineStep::Preflight => machine::preflight::RULES,
            MachineStep::Save => machine::save::RULES,
            MachineStep::Install => machine::install::RULES,
            MachineStep::Restart => machine::restart::RULES,
            MachineStep::Reboot => machine::reboot::RULES,
            MachineStep::Verify => machine::verify::RULES,
            MachineStep::Snapshot => machine::snapshot::RULES,
        },
    }
}

/// Whether a step that cannot be taken back, or helps nothing when it is, has the disks to go back to instead.
#[must_use]
pub fn has_another_way_back(step: Step, records: &BTreeMap<Step, Record>) -> bool {
    let saved = records.get(&Step::Machine(MachineStep::Save));
    rules(step).undo == Undo::EffectOrDisks && matches!(saved, Some(Record::DisksSaved { .. }))
}

/// The steps of an action, in order.
pub fn steps(action: &Action) -> impl DoubleEndedIterator<Item = Step> + use<> {
    let carries = action.writable_layer == WritableLayer::Carry;
    let saves = action.data == Data::Restore;
    let fills = saves && action.method == Method::Restore;
    let drains = !action.drain.is_nothing();
    let is_wanted = move |step: &SwapStep| match step {
        SwapStep::Drain => drains,
        SwapStep::Save => saves,
        SwapStep::Fill => fills,
        SwapStep::Carry => carries,
        _ => true,
    };
    let (reboot, snapshot) = (action.reboot, action.snapshot);
    let is_wanted_of_a_machine = move |step: &MachineStep| match step {
        MachineStep::Save => snapshot == SnapshotPolicy::Required,
        MachineStep::Restart => reboot != Reboot::Never,
        MachineStep::Reboot => matches!(reboot, Reboot::AsNeeded | Reboot::Always),
        _ => true,
    };
    let (swap, service, machine): (&[SwapStep], &[ServiceStep], &[MachineStep]) = match action.kind {
        TargetKind::Container => (SwapStep::in_order(action.order), &[], &[]),
        TargetKind::Service => (&[], &ServiceStep::ALL, &[]),
        TargetKind::Host => (&[], &[], &MachineStep::ALL),
    };
    let swap = swap.iter().copied().filter(is_wanted).map(Step::Swap);
    let machine = machine.iter().copied().filter(is_wanted_of_a_machine).map(Step::Machine);
    swap.chain(service.iter().copied().map(Step::Service)).chain(machine)
}

/// Blames nothing: a failure here says something about the host, not about the patch.
pub(super) const fn blames_nothing(_: Method, _: FailureKind) -> bool {
    false
}

/// Enough for one call to an engine that is alive, with the disk of a busy host; for each dependent again.
pub(super) const fn one_call(action: &Action) -> Millis {
    each(action, Millis::from_secs(60))
}

/// The configured limit of a step; for each dependent again.
pub(super) const fn configured(action: &Action) -> Millis {
    each(action, action.timeouts.step)
}

/// A step does its work on the target and on its dependents, one after the other.
const fn each(action: &Action, limit: Millis) -> Millis {
    Millis(limit.0.saturating_mul(1 + action.dependents.len() as u64))
}
