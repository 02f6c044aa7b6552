//! The vocabulary every other room speaks: plain values with serde, no input or output, no clock.
//!
//! One word for one thing; the words are those of the field (target, inventory, patch set, plan,
//! rollout, run, step, snapshot, check, quarantine).

mod assessment;
mod canonical;
mod check;
mod digest;
mod event;
mod failure;
mod id;
mod inventory;
mod patch;
mod plan;
mod quarantine;
mod settings;
mod snapshot;
mod step;
mod target;
mod text;
mod time;
mod unsaved;

pub use assessment::{Assessment, ImageUpdate, NotAssessed, PendingPatch, PendingStatus};
pub use canonical::canonical_json;
pub use check::{
    Baseline, Check, CheckAnswer, CheckKind, HttpAnswer, Observation, Protocol, Socket, Subject,
};
pub use digest::{Digest, DigestError};
pub use event::{
    Actor, Event, EventBody, LedgerEvent, PersonVerdict, Request, RolloutEnd, RolloutEvent, RunEnd, RunEvent,
    SCHEMA_VERSION, Stream,
};
pub use failure::{Failure, FailureKind, StepError};
pub use id::{HostId, IdError, ObjectName, RolloutId, RunId, TargetId};
pub use inventory::{Arch, InstalledPackage, Inventory, OsRelease, PackageManager, StartingState};
pub use patch::{Change, Method, PackageChange, PatchSet, PatchSetId};
pub use plan::{
    About, Action, Decisions, Dependent, Estimate, Expected, LeftOut, LeftOutReason, Loss, Plan, PlanDigest,
    TagMove, Wave,
};
pub use quarantine::{Quarantine, QuarantineId};
pub use settings::{
    Budget, Data, Drain, Order, Reboot, Settings, SnapshotPolicy, Timeouts, WayBack, WritableLayer,
};
pub use snapshot::{SavedDisks, SavedVolume, Snapshot, SnapshotId};
pub use step::{Direction, MachineStep, Probe, Record, ServiceStep, Step, SwapStep};
pub use target::{
    DiskSnapshots, Health, HostManager, Image, Manager, Mount, MountKind, PublishedPort, Refusal, Target,
    TargetKind, TargetState, Trap,
};
pub use text::printable;
pub use time::{Millis, ParseDurationError};
pub use unsaved::Unsaved;
