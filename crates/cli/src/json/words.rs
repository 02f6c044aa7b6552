//! The words that documents have for the vocabulary's values: written out here, so that renaming
//! something inside changes no document, and a new value cannot be forgotten.

use patchyard_app::Kind;
use patchyard_app::doctor::Severity;
use patchyard_app::rollouts::Phase;
use patchyard_types::{
    Direction, FailureKind, Health, LeftOutReason, MachineStep, Method, MountKind, PendingStatus,
    PersonVerdict, Probe, Request, RolloutEnd, RunEnd, ServiceStep, Step, SwapStep, TargetKind, TargetState,
};

pub const fn method(method: Method) -> &'static str {
    match method {
        Method::Layer => "layer",
        Method::Image => "image",
        Method::Packages => "packages",
        Method::Restore => "restore",
    }
}

pub const fn step(step: Step) -> &'static str {
    let step = match step {
        Step::Swap(step) => step,
        Step::Service(step) => return service_step(step),
        Step::Machine(step) => return machine_step(step),
    };
    match step {
        SwapStep::Prepare => "prepare",
        SwapStep::Preflight => "preflight",
        SwapStep::Create => "create",
        SwapStep::Drain => "drain",
        SwapStep::Stop => "stop",
        SwapStep::Hold => "hold",
        SwapStep::Save => "save",
        SwapStep::Fill => "fill",
        SwapStep::Carry => "carry",
        SwapStep::Rename => "rename",
        SwapStep::Start => "start",
        SwapStep::Verify => "verify",
        SwapStep::Snapshot => "snapshot",
        SwapStep::Retire => "retire",
    }
}

const fn service_step(step: ServiceStep) -> &'static str {
    match step {
        ServiceStep::Prepare => "prepare",
        ServiceStep::Preflight => "preflight",
        ServiceStep::Update => "update",
        ServiceStep::Verify => "verify",
        ServiceStep::Snapshot => "snapshot",
    }
}

const fn machine_step(step: MachineStep) -> &'static str {
    match step {
        MachineStep::Prepare => "prepare",
        MachineStep::Preflight => "preflight",
        MachineStep::Save => "save",
        MachineStep::Install => "install",
        MachineStep::Restart => "restart",
        MachineStep::Reboot => "reboot",
        MachineStep::Verify => "verify",
        MachineStep::Snapshot => "snapshot",
    }
}

pub const fn target_kind(kind: TargetKind) -> &'static str {
    match kind {
        TargetKind::Container => "container",
        TargetKind::Service => "service",
        TargetKind::Host => "host",
    }
}

pub const fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Do => "do",
        Direction::Undo => "undo",
    }
}

pub const fn failure(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::Check => "check",
        FailureKind::PackageManager => "package_manager",
        FailureKind::Refused => "refused",
        FailureKind::Timeout => "timeout",
        FailureKind::Precondition => "precondition",
        FailureKind::NoSpace => "no_space",
        FailureKind::Host => "host",
    }
}

pub const fn probe(probe: &Probe) -> &'static str {
    match probe {
        Probe::Done { .. } => "done",
        Probe::NotDone => "not_done",
        Probe::Failed { .. } => "failed",
        Probe::CannotTell { .. } => "cannot_tell",
    }
}

pub const fn verdict(verdict: PersonVerdict) -> &'static str {
    match verdict {
        PersonVerdict::Done => "done",
        PersonVerdict::Undo => "undo",
        PersonVerdict::Close => "close",
    }
}

pub const fn request(request: Request) -> &'static str {
    match request {
        Request::Pause => "pause",
        Request::Resume => "resume",
        Request::Abort => "abort",
    }
}

pub const fn run_end(end: RunEnd) -> &'static str {
    match end {
        RunEnd::Succeeded => "succeeded",
        RunEnd::RolledBack => "rolled_back",
        RunEnd::Failed => "failed",
        RunEnd::Skipped => "skipped",
        RunEnd::NeedsAttention => "needs_attention",
    }
}

pub const fn rollout_end(end: RolloutEnd) -> &'static str {
    match end {
        RolloutEnd::Succeeded => "succeeded",
        RolloutEnd::Partly => "partly",
        RolloutEnd::RolledBack => "rolled_back",
        RolloutEnd::Aborted => "aborted",
        RolloutEnd::NeedsAttention => "needs_attention",
    }
}

pub const fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Running => "running",
        Phase::Paused => "paused",
        Phase::Interrupted => "interrupted",
        Phase::NeedsAttention => "needs_attention",
        Phase::Ended(end) => rollout_end(end),
    }
}

pub const fn target_state(state: TargetState) -> &'static str {
    match state {
        TargetState::Running => "running",
        TargetState::Paused => "paused",
        TargetState::Restarting => "restarting",
        TargetState::Created => "created",
        TargetState::Exited => "exited",
        TargetState::Dead => "dead",
    }
}

pub const fn health(health: Health) -> &'static str {
    match health {
        Health::None => "none",
        Health::Starting => "starting",
        Health::Healthy => "healthy",
        Health::Unhealthy => "unhealthy",
    }
}

pub const fn mount_kind(kind: MountKind) -> &'static str {
    match kind {
        MountKind::Volume => "volume",
        MountKind::Bind => "bind",
        MountKind::Tmpfs => "tmpfs",
        MountKind::Other => "other",
    }
}

pub const fn pending_status(status: PendingStatus) -> &'static str {
    match status {
        PendingStatus::Available => "available",
        PendingStatus::Held => "held",
        PendingStatus::Phased => "phased",
        PendingStatus::KeptBack => "kept_back",
        PendingStatus::Removal => "removal",
    }
}

pub const fn left_out(reason: LeftOutReason) -> &'static str {
    match reason {
        LeftOutReason::NotAssessed => "not_assessed",
        LeftOutReason::Refused => "refused",
        LeftOutReason::Unsolvable => "unsolvable",
        LeftOutReason::Quarantined => "quarantined",
        LeftOutReason::WritableLayer => "writable_layer",
        LeftOutReason::Unhealthy => "unhealthy",
        LeftOutReason::Excluded => "excluded",
        LeftOutReason::WithOwner => "with_owner",
        LeftOutReason::TooLarge => "too_large",
    }
}

pub const fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Input => "input",
        Kind::Unreachable => "unreachable",
        Kind::Refused => "refused",
        Kind::Internal => "internal",
    }
}

pub const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Good => "good",
        Severity::Warning => "warning",
        Severity::Bad => "bad",
    }
}
