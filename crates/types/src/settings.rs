//! Settings: what the configuration, labels and flags decide for one target.

use serde::{Deserialize, Serialize};

use crate::{Check, Method, Millis};

/// A number or a share of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Budget {
    /// So many.
    Count(u32),
    /// Percent of the whole, 0 to 100.
    Percent(u8),
}

impl Budget {
    /// How many of `whole` may be unavailable: a percentage rounds down, but at least one, because
    /// a budget of nothing would never start.
    #[must_use]
    pub fn of(self, whole: usize) -> usize {
        match self {
            Self::Count(n) => n as usize,
            Self::Percent(p) => whole * usize::from(p) / 100,
        }
        .max(1)
    }

    /// How many failures of `whole` are tolerated: a percentage rounds down, and may be none.
    #[must_use]
    pub fn tolerated(self, whole: usize) -> usize {
        match self {
            Self::Count(n) => n as usize,
            Self::Percent(p) => whole * usize::from(p) / 100,
        }
    }
}

impl std::str::FromStr for Budget {
    type Err = crate::IdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = match text.strip_suffix('%') {
            Some(percent) => percent.parse().ok().filter(|p| *p <= 100).map(Self::Percent),
            None => text.parse().ok().map(Self::Count),
        };
        parsed.ok_or_else(|| crate::IdError {
            expected: "a number such as 2 or a percentage such as 25%",
            found: crate::printable(text, 40),
        })
    }
}

/// Limits of the steps' durations; a timeout is a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timeouts {
    /// Any one step, the build and the pull among them.
    pub step: Millis,
    /// From the start of a target until its checks are green for the first time. A container whose
    /// own healthcheck may take longer gets that long.
    pub healthy: Millis,
    /// One look at one check.
    pub check: Millis,
}

/// What becomes of data in a target's writable layer, which recreation would lose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WritableLayer {
    /// A target that holds such data is left out.
    #[default]
    LeaveOut,
    /// It is carried into the new container.
    Carry,
    /// The new container starts without it.
    Discard,
}

impl WritableLayer {
    /// Every choice.
    pub const ALL: [Self; 3] = [Self::LeaveOut, Self::Carry, Self::Discard];

    /// Whether it is the choice without any configuration.
    #[must_use]
    pub fn is_leave_out(&self) -> bool {
        *self == Self::LeaveOut
    }
}

impl std::fmt::Display for WritableLayer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::LeaveOut => "leave_out",
            Self::Carry => "carry",
            Self::Discard => "discard",
        })
    }
}

impl std::str::FromStr for WritableLayer {
    type Err = crate::IdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|choice| choice.to_string() == text).ok_or_else(|| crate::IdError {
            expected: "carry, discard or leave_out",
            found: crate::printable(text, 40),
        })
    }
}

/// What a way back does to a target's volumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Data {
    /// Nothing: what was written since stays.
    #[default]
    Keep,
    /// They are put back to what they were when the old container was stopped.
    Restore,
}

impl Data {
    /// Every choice.
    pub const ALL: [Self; 2] = [Self::Keep, Self::Restore];

    /// Whether it is the choice without any configuration.
    #[must_use]
    pub fn is_keep(&self) -> bool {
        *self == Self::Keep
    }
}

impl std::fmt::Display for Data {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Keep => "keep",
            Self::Restore => "restore",
        })
    }
}

impl std::str::FromStr for Data {
    type Err = crate::IdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|choice| choice.to_string() == text)
            .ok_or_else(|| crate::IdError { expected: "keep or restore", found: crate::printable(text, 40) })
    }
}

/// Which comes first in a swap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// The old container is stopped before the new one is started: there is one of them at any time.
    #[default]
    StopFirst,
    /// The new container is started and found good before the old one is stopped: one of them serves at any time.
    StartFirst,
}

impl Order {
    /// Every choice.
    pub const ALL: [Self; 2] = [Self::StopFirst, Self::StartFirst];

    /// Whether it is the choice without any configuration.
    #[must_use]
    pub fn is_stop_first(&self) -> bool {
        *self == Self::StopFirst
    }
}

impl std::fmt::Display for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::StopFirst => "stop-first",
            Self::StartFirst => "start-first",
        })
    }
}

impl std::str::FromStr for Order {
    type Err = crate::IdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|choice| choice.to_string() == text).ok_or_else(|| crate::IdError {
            expected: "stop-first or start-first",
            found: crate::printable(text, 40),
        })
    }
}

/// Whether a machine may be started anew after its packages were changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reboot {
    /// Services that run on replaced files are restarted; the machine is not, and says so.
    #[default]
    ServicesOnly,
    /// Nothing is restarted.
    Never,
    /// It is started anew where a new kernel or a package asks for it.
    AsNeeded,
    /// It is started anew after every patch.
    Always,
}

impl Reboot {
    /// Every choice.
    pub const ALL: [Self; 4] = [Self::ServicesOnly, Self::Never, Self::AsNeeded, Self::Always];

    /// Whether it is the choice without any configuration.
    #[must_use]
    pub fn is_services_only(&self) -> bool {
        *self == Self::ServicesOnly
    }
}

impl std::fmt::Display for Reboot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::ServicesOnly => "services-only",
            Self::Never => "never",
            Self::AsNeeded => "as-needed",
            Self::Always => "always",
        })
    }
}

impl std::str::FromStr for Reboot {
    type Err = crate::IdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|choice| choice.to_string() == text).ok_or_else(|| crate::IdError {
            expected: "always, as-needed, services-only or never",
            found: crate::printable(text, 40),
        })
    }
}

/// Whether a machine is patched of which not every previous version is to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WayBack {
    /// It is not.
    #[default]
    Required,
    /// It is; what cannot be put back stays as the patch has made it.
    Partial,
}

impl WayBack {
    /// Every choice.
    pub const ALL: [Self; 2] = [Self::Required, Self::Partial];

    /// Whether it is the choice without any configuration.
    #[must_use]
    pub fn is_required(&self) -> bool {
        *self == Self::Required
    }
}

impl std::fmt::Display for WayBack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Required => "required",
            Self::Partial => "partial",
        })
    }
}

impl std::str::FromStr for WayBack {
    type Err = crate::IdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|choice| choice.to_string() == text).ok_or_else(|| crate::IdError {
            expected: "required or partial",
            found: crate::printable(text, 40),
        })
    }
}

/// Whether a snapshot of a machine's disks is taken before its packages are changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SnapshotPolicy {
    /// None is.
    #[default]
    Never,
    /// Where somebody keeps the machine who could; one of which none can be taken is not patched.
    Required,
}

impl SnapshotPolicy {
    /// Every choice.
    pub const ALL: [Self; 2] = [Self::Never, Self::Required];

    /// Whether none is taken.
    #[must_use]
    pub fn is_never(&self) -> bool {
        *self == Self::Never
    }
}

impl std::fmt::Display for SnapshotPolicy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Never => "never",
            Self::Required => "required",
        })
    }
}

impl std::str::FromStr for SnapshotPolicy {
    type Err = crate::IdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|choice| choice.to_string() == text).ok_or_else(|| crate::IdError {
            expected: "required or never",
            found: crate::printable(text, 40),
        })
    }
}

/// What is done before a container that serves is stopped, so that whoever sends it work finds out in time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Drain {
    /// Run inside the container: program and arguments, without a shell. Empty: nothing is run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// How long to wait after it.
    pub wait: Millis,
}

impl Drain {
    /// Whether there is nothing to be done.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.command.is_empty() && self.wait.0 == 0
    }
}

/// Everything that is decided for one target before it is planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// How it is patched.
    pub method: Method,
    /// How long a run's checks must stay green.
    pub verify_for: Millis,
    /// Limits of durations.
    pub timeouts: Timeouts,
    /// How many targets of one service may be unavailable at the same time.
    pub max_unavailable: Budget,
    /// A rollout stops when more than this many runs failed.
    pub max_failures: Budget,
    /// How many targets at most go at the same time, of all services together.
    pub max_parallel: usize,
    /// May a patch remove packages?
    pub allow_remove: bool,
    /// The most a layer may add, in bytes of its packages' installed and downloaded files.
    pub max_layer: u64,
    /// What becomes of data in its writable layer.
    #[serde(default)]
    pub writable_layer: WritableLayer,
    /// What a way back does to its volumes.
    #[serde(default)]
    pub data: Data,
    /// Which comes first in its swap.
    #[serde(default)]
    pub order: Order,
    /// What is done before it is stopped.
    #[serde(default)]
    pub drain: Drain,
    /// Whether a machine may be started anew.
    #[serde(default)]
    pub reboot: Reboot,
    /// Whether a machine is patched of which not every previous version is to be had.
    #[serde(default)]
    pub way_back: WayBack,
    /// Whether a snapshot of a machine's disks is taken before its packages are changed.
    #[serde(default)]
    pub snapshot: SnapshotPolicy,
    /// Checks named by configuration and labels; the baseline is always there.
    pub checks: Vec<Check>,
}

impl Default for Settings {
    /// What happens without any configuration.
    fn default() -> Self {
        Self {
            method: Method::Layer,
            verify_for: Millis::from_secs(30),
            timeouts: Timeouts {
                step: Millis::from_secs(20 * 60),
                healthy: Millis::from_secs(60),
                check: Millis::from_secs(10),
            },
            max_unavailable: Budget::Count(1),
            max_failures: Budget::Count(3),
            // Enough that verify_for does not add up one by one, few enough for a person to follow.
            max_parallel: 4,
            allow_remove: false,
            // Half a gibibyte: ten times the largest security update of a Debian base image.
            max_layer: 512 * 1024 * 1024,
            writable_layer: WritableLayer::LeaveOut,
            data: Data::Keep,
            order: Order::StopFirst,
            drain: Drain::default(),
            reboot: Reboot::ServicesOnly,
            way_back: WayBack::Required,
            snapshot: SnapshotPolicy::Required,
            checks: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Budget;

    #[test]
    fn a_budget_rounds_down_but_never_to_nothing() {
        assert_eq!(Budget::Percent(25).of(7), 1);
        assert_eq!(Budget::Percent(50).of(7), 3);
        assert_eq!(Budget::Percent(1).of(3), 1);
        assert_eq!(Budget::Count(0).of(3), 1);
        assert_eq!(Budget::Percent(10).tolerated(5), 0);
    }

    #[test]
    fn a_budget_is_a_number_or_a_percentage() {
        assert_eq!("3".parse(), Ok(Budget::Count(3)));
        assert_eq!("25%".parse(), Ok(Budget::Percent(25)));
        assert!("101%".parse::<Budget>().is_err());
        assert!("-1".parse::<Budget>().is_err());
    }
}
