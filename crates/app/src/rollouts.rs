//! Read models over rollouts: what there was, what is under way, what waits for somebody.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use patchyard_contract::{Store, StoreError};
use patchyard_decide::rollout::{RolloutState, RunSlot};
use patchyard_decide::run::RunState;
use patchyard_types::{
    Action, Change, Event, EventBody, LedgerEvent, Method, PackageChange, Plan, Record, RolloutEnd,
    RolloutEvent, RolloutId, RunEnd, RunId, Snapshot, SnapshotId, Stream, TargetId, printable,
};

use crate::Error;

/// What a rollout is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// A driver is at work.
    Running,
    /// Put down on request.
    Paused,
    /// Its driver died, or gave up on a silent host.
    Interrupted,
    /// A run waits for a person's decision.
    NeedsAttention,
    /// Over.
    Ended(RolloutEnd),
}

impl Phase {
    /// Whether `resume` has something to go on with.
    #[must_use]
    pub const fn waits(self) -> bool {
        matches!(self, Self::Paused | Self::Interrupted)
    }

    /// Whether it is over for good.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Ended(_))
    }
}

/// A rollout as it is now.
pub struct Rollout {
    /// Its number.
    pub id: RolloutId,
    /// Its plan.
    pub plan: Plan,
    /// The fold of its events.
    pub state: RolloutState,
    /// What it is doing.
    pub phase: Phase,
}

impl Rollout {
    /// Reads a rollout.
    ///
    /// # Errors
    /// When there is none, its plan is gone, or the store cannot be read.
    pub async fn read(store: &dyn Store, id: RolloutId) -> Result<Self, Error> {
        let events = store.read(Stream::Rollout(id), 0).await?;
        Self::from_events(store, id, &events).await
    }

    async fn from_events(store: &dyn Store, id: RolloutId, events: &[Event]) -> Result<Self, Error> {
        let digest = events.iter().find_map(|event| match &event.body {
            EventBody::Rollout(RolloutEvent::Started { plan, .. }) => Some(*plan),
            _ => None,
        });
        let Some(digest) = digest else {
            return Err(patchyard_engine::EngineError::NoRollout { rollout: id }.into());
        };
        let Some(plan) = store.load_plan(&digest).await? else {
            return Err(patchyard_engine::EngineError::NoPlan { rollout: id }.into());
        };
        let state = RolloutState::fold(&plan, events);
        let phase = match state.ended {
            Some(RolloutEnd::NeedsAttention) => Phase::NeedsAttention,
            Some(end) => Phase::Ended(end),
            None if driven(store, id)? => Phase::Running,
            None if state.paused => Phase::Paused,
            None => Phase::Interrupted,
        };
        Ok(Self { id, plan, state, phase })
    }

    /// Whether it has begun with an action and has not ended it, or waits for a person there.
    #[must_use]
    pub fn is_in_hand(&self, action: usize) -> bool {
        match self.state.runs.get(action) {
            None | Some(RunSlot::Waiting) => false,
            Some(RunSlot::Running) => true,
            Some(RunSlot::Ended { end, .. }) => *end == RunEnd::NeedsAttention,
        }
    }

    /// Its actions with the names of their runs.
    pub fn runs(&self) -> impl Iterator<Item = (RunId, &Action)> {
        let run = |(action, planned)| (RunId { rollout: self.id, action }, planned);
        self.plan.decisions.actions.iter().enumerate().map(run)
    }
}

/// What a look at a lock writes about itself: a driver that meets it tries again.
pub(crate) const LOOK: &str = "a look at who drives it";

/// Whether somebody holds the rollout's lock.
fn driven(store: &dyn Store, id: RolloutId) -> Result<bool, StoreError> {
    match store.lock(&format!("rollout-{id}"), LOOK) {
        Ok(_guard) => Ok(false),
        Err(StoreError::Locked { .. }) => Ok(true),
        Err(error) => Err(error),
    }
}

/// A rollout in one line, read without its runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its number.
    pub id: RolloutId,
    /// What it is doing.
    pub phase: Phase,
}

/// Under this key the store remembers below which number every rollout is over for good.
const FIRST_OPEN: &str = "rollouts/first-open";

/// Every rollout that is not over, oldest first.
///
/// Every verb asks this first, so it must not grow with history: numbers below the first open one
/// are not read again.
///
/// # Errors
/// When the store cannot be read.
pub async fn open(store: &dyn Store, now: Timestamp) -> Result<Vec<Line>, Error> {
    let remembered = store.recall(FIRST_OPEN).await?;
    let known: u64 = remembered.and_then(|(_, number)| number.parse().ok()).unwrap_or(0);
    let (mut lines, mut next) = (Vec::new(), known);
    for id in store.rollouts().await?.into_iter().filter(|id| id.0 >= known) {
        let events = store.read(Stream::Rollout(id), 0).await?;
        next = id.0 + 1;
        if let Some(phase) = open_phase(store, id, &events)? {
            lines.push(Line { id, phase });
        }
    }
    let first = lines.first().map_or(next, |line| line.id.0);
    if first > known {
        store.remember(FIRST_OPEN, now, &first.to_string()).await?;
    }
    Ok(lines)
}

/// A target that a rollout has begun with and is not over with: it is that rollout's until then.
#[derive(Debug, Clone)]
pub struct InHand {
    /// The rollout.
    pub rollout: RolloutId,
    /// What that is doing.
    pub phase: Phase,
    /// The target's name in its plan.
    pub name: String,
}

impl InHand {
    /// Why nobody else may do anything with the target.
    #[must_use]
    pub fn refusal(&self) -> Error {
        let message = format!("{} is not finished with {}", self.rollout, printable(&self.name, 80));
        Error::refused(message, what_next(self.rollout, self.phase))
    }
}

/// The targets that open rollouts have in hand.
///
/// # Errors
/// When the store fails.
pub async fn in_hand(store: &dyn Store, now: Timestamp) -> Result<BTreeMap<TargetId, InHand>, Error> {
    let mut held = BTreeMap::new();
    for Line { id, phase } in open(store, now).await? {
        let rollout = Rollout::read(store, id).await?;
        for (_, action) in rollout.runs().filter(|(run, _)| rollout.is_in_hand(run.action)) {
            let own = (&action.target, &action.name);
            let theirs = action.dependents.iter().map(|other| (&other.target, &other.name));
            for (target, name) in std::iter::once(own).chain(theirs) {
                held.insert(target.clone(), InHand { rollout: id, phase, name: name.clone() });
            }
        }
    }
    Ok(held)
}

/// What a rollout is doing, unless it is over.
fn open_phase(store: &dyn Store, id: RolloutId, events: &[Event]) -> Result<Option<Phase>, StoreError> {
    let (mut paused, mut ended) = (false, None);
    for event in events {
        let EventBody::Rollout(body) = &event.body else { continue };
        match body {
            RolloutEvent::Ended { end } => ended = Some(*end),
            // A run that a person resolved runs again, and so does its rollout.
            RolloutEvent::RunStarted { .. } => ended = None,
            RolloutEvent::Paused => paused = true,
            RolloutEvent::Driven { .. } => paused = false,
            _ => {}
        }
    }
    Ok(match ended {
        Some(RolloutEnd::NeedsAttention) => Some(Phase::NeedsAttention),
        Some(_) => None,
        None if driven(store, id)? => Some(Phase::Running),
        None if paused => Some(Phase::Paused),
        None => Some(Phase::Interrupted),
    })
}

/// The command that goes on with a rollout, or shows it.
#[must_use]
pub fn what_next(id: RolloutId, phase: Phase) -> String {
    match phase {
        Phase::Paused | Phase::Interrupted => format!("patchyard resume {id}"),
        Phase::NeedsAttention | Phase::Running => format!("patchyard status {id}"),
        Phase::Ended(_) => format!("patchyard log {id}"),
    }
}

/// Why this cannot be done with a rollout that there is.
#[must_use]
pub fn nothing_to(what: &str, id: RolloutId, phase: Phase) -> Error {
    let state = match phase {
        Phase::Running => "is under way in another process",
        Phase::Paused => "is paused",
        Phase::Interrupted => "was interrupted",
        Phase::NeedsAttention => "waits for a decision",
        Phase::Ended(_) => "is over",
    };
    Error::refused(format!("{id} {state}: there is nothing to {what}"), what_next(id, phase))
}

/// The rollout that is meant when none is named: the only one that fits.
///
/// # Errors
/// When none fits, or several do.
pub async fn only(
    store: &dyn Store,
    now: Timestamp,
    what: &str,
    fits: impl Fn(Phase) -> bool,
) -> Result<RolloutId, Error> {
    let (fitting, others): (Vec<_>, Vec<_>) =
        open(store, now).await?.into_iter().partition(|line| fits(line.phase));
    match &fitting[..] {
        [one] => Ok(one.id),
        [] => Err(match others.first() {
            Some(other) => nothing_to(what, other.id, other.phase),
            None => Error::input(format!("there is no rollout to {what}"), "patchyard history"),
        }),
        several => {
            let names: Vec<_> = several.iter().map(|line| line.id.to_string()).collect();
            Err(Error::input(format!("several rollouts are open: {}; name one", names.join(", ")), ""))
        }
    }
}

/// A run's state.
///
/// # Errors
/// When the store cannot be read.
pub async fn run(store: &dyn Store, id: RunId) -> Result<RunState, Error> {
    Ok(RunState::fold(&store.read(Stream::Run(id), 0).await?))
}

/// Snapshots that can be gone back to, newest first: one whose removal has begun may be half gone.
///
/// # Errors
/// When the store cannot be read.
pub async fn snapshots(store: &dyn Store) -> Result<Vec<Snapshot>, Error> {
    let removals = Removals::read(store).await?;
    taken(store, |id| !removals.begun.contains(id)).await
}

/// Snapshots whose removal has begun and, as far as anybody knows, has not ended, newest first.
///
/// # Errors
/// When the store cannot be read.
pub async fn half_removed(store: &dyn Store) -> Result<Vec<Snapshot>, Error> {
    let removals = Removals::read(store).await?;
    taken(store, |id| removals.begun.contains(id) && !removals.ended.contains(id)).await
}

/// What the ledger says about the removal of snapshots.
#[derive(Default)]
struct Removals {
    begun: BTreeSet<SnapshotId>,
    ended: BTreeSet<SnapshotId>,
}

impl Removals {
    async fn read(store: &dyn Store) -> Result<Self, Error> {
        let mut removals = Self::default();
        for event in store.read(Stream::Ledger, 0).await? {
            match event.body {
                EventBody::Ledger(LedgerEvent::PruneIntended { snapshot }) => {
                    removals.begun.insert(snapshot);
                }
                EventBody::Ledger(LedgerEvent::Pruned { snapshot, .. }) => {
                    removals.ended.insert(snapshot);
                }
                _ => {}
            }
        }
        Ok(removals)
    }
}

/// The snapshot that a run has taken, if it has.
pub(crate) fn snapshot_in(state: &RunState) -> Option<&Snapshot> {
    state.records.values().find_map(|record| match record {
        Record::Snapshotted { snapshot } => Some(&**snapshot),
        _ => None,
    })
}

/// The snapshots that runs have taken, as far as they are wanted, newest first.
async fn taken(store: &dyn Store, is_wanted: impl Fn(&SnapshotId) -> bool) -> Result<Vec<Snapshot>, Error> {
    let mut taken = Vec::new();
    for id in store.rollouts().await?.into_iter().rev() {
        let Ok(rollout) = Rollout::read(store, id).await else { continue };
        for (run_id, _) in rollout.runs() {
            let state = run(store, run_id).await?;
            if let Some(snapshot) = snapshot_in(&state)
                && is_wanted(&snapshot.id)
            {
                taken.push(snapshot.clone());
            }
        }
    }
    taken.sort_by(|a, b| b.at.cmp(&a.at).then_with(|| a.id.cmp(&b.id)));
    Ok(taken)
}

/// What happened to a target last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastRun {
    /// The run.
    pub run: RunId,
    /// How it was patched.
    pub method: Method,
    /// How it ended.
    pub end: RunEnd,
    /// When its rollout ended.
    pub at: Option<Timestamp>,
    /// The packages it changed, for method `layer`.
    pub packages: Vec<PackageChange>,
    /// The runs whose patches are in effect, oldest first: what was put back is not among them.
    pub in_effect: Vec<RunId>,
    /// It was a rollback by hand, and took patches back rather than bringing some again.
    pub took_back: bool,
}

/// The last run of each target that succeeded, over all rollouts.
///
/// # Errors
/// When the store cannot be read.
pub async fn last_successes(store: &dyn Store) -> Result<BTreeMap<TargetId, LastRun>, Error> {
    let mut found: BTreeMap<TargetId, LastRun> = BTreeMap::new();
    // What was in effect on its target before a run: what its snapshot leads back to.
    let mut before: BTreeMap<String, Vec<RunId>> = BTreeMap::new();
    for id in store.rollouts().await? {
        let Ok(rollout) = Rollout::read(store, id).await else { continue };
        for (run, action) in rollout.runs() {
            if rollout.state.runs.get(run.action).and_then(RunSlot::end) != Some(RunEnd::Succeeded) {
                continue;
            }
            let old = found.remove(&action.target).map(|last| last.in_effect).unwrap_or_default();
            before.insert(run.to_string(), old.clone());
            let (mut packages, mut in_effect) = (Vec::new(), old.clone());
            match rollout.plan.patch_set(action).map(|set| &set.change) {
                Some(Change::Snapshot { snapshot, .. }) => {
                    in_effect = before.get(&snapshot.0).cloned().unwrap_or_default();
                }
                Some(Change::Packages(changes)) => packages.clone_from(changes),
                Some(Change::Image { .. }) | None => {}
            }
            if action.method != Method::Restore {
                in_effect.push(run);
            }
            let last = LastRun {
                run,
                method: action.method,
                end: RunEnd::Succeeded,
                at: rollout.state.ended_at,
                packages,
                took_back: action.method == Method::Restore && in_effect.len() < old.len(),
                in_effect,
            };
            found.insert(action.target.clone(), last);
        }
    }
    Ok(found)
}
