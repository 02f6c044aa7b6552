//! Events: what has happened, written down once and folded for ever.
//!
//! Streams are rollouts, runs, and the ledger (what outlives a rollout: quarantine, snapshots).
//! Bodies only ever gain variants and optional fields; a change of meaning raises
//! [`SCHEMA_VERSION`] and upcasts the old version when it is read.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    Digest, Direction, Failure, HostId, PlanDigest, Probe, Quarantine, QuarantineId, Record, RolloutId,
    RunId, SnapshotId, Step, TargetId,
};

/// Version of the bodies that this build writes.
pub const SCHEMA_VERSION: u32 = 1;

/// A sequence of events with one decider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "stream", content = "id")]
pub enum Stream {
    /// One rollout.
    Rollout(RolloutId),
    /// One run.
    Run(RunId),
    /// What outlives rollouts.
    Ledger,
}

impl std::fmt::Display for Stream {
    /// The stream's name in the store: `rollout/R12`, `run/R12.3`, `ledger`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Rollout(id) => write!(f, "rollout/{id}"),
            Self::Run(id) => write!(f, "run/{id}"),
            Self::Ledger => f.write_str("ledger"),
        }
    }
}

/// An event as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Where it belongs.
    pub stream: Stream,
    /// Its place there, from 1.
    pub seq: u64,
    /// When it was written.
    pub at: Timestamp,
    /// What happened.
    pub body: EventBody,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventBody {
    /// To a rollout.
    Rollout(RolloutEvent),
    /// To a run.
    Run(RunEvent),
    /// To what outlives them.
    Ledger(LedgerEvent),
}

/// Who asked: a user on a machine, for the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Actor(pub String);

/// What a person can ask of a running rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Finish what is in the middle, start nothing, wait.
    Pause,
    /// Go on.
    Resume,
    /// Finish or take back what is running, start nothing, end.
    Abort,
}

/// Events of a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum RolloutEvent {
    /// It began.
    Started {
        /// The plan it carries out.
        plan: PlanDigest,
        /// Who said yes.
        by: Actor,
    },
    /// Somebody asked something of it; written by any process.
    Requested {
        /// What.
        request: Request,
        /// Who.
        by: Actor,
        /// Why: `signal`, `terminal lost`, or a person's words.
        why: String,
    },
    /// The driver has seen every request up to this number of them.
    Acknowledged {
        /// How many requests it has seen in all.
        requests: u64,
    },
    /// A run began.
    RunStarted {
        /// Index of the action.
        action: usize,
    },
    /// A run ended.
    RunEnded {
        /// Index of the action.
        action: usize,
        /// How.
        end: RunEnd,
        /// Why, where there is a reason.
        reason: Option<String>,
        /// Whether its patch set was quarantined.
        quarantined: bool,
    },
    /// A tag is about to move.
    TagIntended {
        /// Index into the plan's tags.
        tag: usize,
    },
    /// A tag has moved, or was left alone.
    TagSettled {
        /// Index into the plan's tags.
        tag: usize,
        /// Why it was left alone; `None` when it moved.
        left: Option<String>,
    },
    /// The driver put the rollout down on request; `resume` goes on.
    Paused,
    /// A driver took the rollout up: the first, or after a pause or a crash.
    Driven {
        /// Which controller.
        controller: String,
    },
    /// It ended.
    Ended {
        /// How.
        end: RolloutEnd,
    },
}

/// How a rollout can end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolloutEnd {
    /// Every run succeeded, or was skipped because its target needed nothing any more.
    Succeeded,
    /// Some succeeded, some did not.
    Partly,
    /// None succeeded and everything that was begun was taken back or changed nothing.
    RolledBack,
    /// A person ended it.
    Aborted,
    /// A person has to decide something.
    NeedsAttention,
}

impl RolloutEnd {
    /// As people say it.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Partly => "partly",
            Self::RolledBack => "rolled back",
            Self::Aborted => "aborted",
            Self::NeedsAttention => "needs attention",
        }
    }
}

/// Events of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum RunEvent {
    /// It began.
    Started {
        /// Its target.
        target: TargetId,
    },
    /// A step is about to be done or taken back: written before the effect.
    Intended {
        /// Which.
        step: Step,
        /// Do or undo.
        direction: Direction,
    },
    /// It has been done: written after the effect.
    Succeeded {
        /// Which.
        step: Step,
        /// Do or undo.
        direction: Direction,
        /// What later steps need.
        record: Record,
    },
    /// It has failed, and that is known.
    Failed {
        /// Which.
        step: Step,
        /// Do or undo.
        direction: Direction,
        /// Why.
        failure: Failure,
    },
    /// The host or the driver was gone in the middle of it: the probe has to ask.
    Lost {
        /// Which.
        step: Step,
        /// Do or undo.
        direction: Direction,
        /// What was seen.
        reason: String,
        /// The host was out of reach, rather than the driver gone.
        #[serde(default)]
        host_away: bool,
    },
    /// The probe asked the world about an intent without an outcome.
    Probed {
        /// Which.
        step: Step,
        /// Do or undo.
        direction: Direction,
        /// What it found.
        probe: Probe,
    },
    /// The rollout was aborted: take back what has not begun to disturb the service.
    AbortRequested,
    /// Nobody could tell, or the way back failed: a person has to decide.
    AttentionNeeded {
        /// Why, and what to do.
        reason: String,
    },
    /// A person decided.
    Resolved {
        /// The decision.
        verdict: PersonVerdict,
        /// Who.
        by: Actor,
        /// Why.
        reason: String,
    },
    /// It ended.
    Ended {
        /// How.
        end: RunEnd,
        /// Why, where there is a reason.
        reason: Option<String>,
        /// Whether its patch set was quarantined.
        quarantined: bool,
    },
}

/// A person's decision about a run that needs attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PersonVerdict {
    /// The step in question has been done by hand, or counts as done: go on behind it.
    Done,
    /// Take the run back.
    Undo,
    /// Leave the target as it is: nothing more is done to it, and the run is over.
    Close,
}

/// How a run can end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunEnd {
    /// Patched and verified.
    Succeeded,
    /// Taken back; serves as before.
    RolledBack,
    /// Nothing was changed, or a person closed it as it was; it counts as a failure.
    Failed,
    /// Not begun: a precondition was false, or the rollout stopped before.
    Skipped,
    /// A person has to decide.
    NeedsAttention,
}

/// Events of what outlives rollouts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum LedgerEvent {
    /// A patch set failed and is kept out from now on.
    Quarantined {
        /// What, where, why.
        quarantine: Quarantine,
    },
    /// A person released it. The id is the sequence number of the `Quarantined` event.
    Released {
        /// Which entry.
        id: QuarantineId,
        /// Who.
        by: Actor,
        /// Why.
        reason: String,
    },
    /// A snapshot is about to be removed from its host.
    PruneIntended {
        /// Which.
        snapshot: SnapshotId,
    },
    /// A snapshot is gone.
    Pruned {
        /// Which.
        snapshot: SnapshotId,
        /// Why: `retention`, `rolled back`, or a person's words.
        reason: String,
    },
    /// An object that nothing needed any more was removed from its host.
    Collected {
        /// Where it was.
        host: HostId,
        /// `container`, `image`, `tag`, `volume`, `file`.
        kind: String,
        /// Its name or id.
        name: String,
        /// Who asked.
        by: Actor,
    },
    /// A plan was stored.
    Planned {
        /// Its digest.
        plan: Digest,
        /// Who planned.
        by: Actor,
    },
}
