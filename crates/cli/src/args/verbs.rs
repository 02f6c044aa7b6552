//! The arguments of each verb.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use patchyard_types::{PersonVerdict, RolloutId, RunId};

use super::{Freshness, Patches, Shape, Targets};

#[derive(Debug, Args)]
pub struct Discover {
    #[command(flatten)]
    pub targets: Targets,
}

#[derive(Debug, Args)]
pub struct Scan {
    #[command(flatten)]
    pub targets: Targets,
    #[command(flatten)]
    pub patches: Patches,
    #[command(flatten)]
    pub freshness: Freshness,
    /// Exit with 10 when patches are pending
    #[arg(long)]
    pub detailed_exitcode: bool,
}

#[derive(Debug, Args)]
pub struct Why {
    /// The target's name
    pub target: String,
    #[command(flatten)]
    pub patches: Patches,
    #[command(flatten)]
    pub freshness: Freshness,
}

#[derive(Debug, Args)]
pub struct Plan {
    #[command(flatten)]
    pub targets: Targets,
    #[command(flatten)]
    pub patches: Patches,
    #[command(flatten)]
    pub freshness: Freshness,
    /// Exit with 10 when patches are pending
    #[arg(long)]
    pub detailed_exitcode: bool,
    #[command(flatten)]
    pub shape: Shape,
}

#[derive(Debug, Args)]
pub struct Apply {
    /// The plan's digest (its first digits are enough), or names and globs of targets to plan for
    #[arg(value_name = "PLAN|TARGET")]
    pub names: Vec<String>,
    /// The plan's digest, where it could also be a target's name
    #[arg(long, value_name = "DIGEST", conflicts_with = "names")]
    pub plan: Option<String>,
    #[command(flatten)]
    pub filter: super::select::Filter,
    #[command(flatten)]
    pub patches: Patches,
    #[command(flatten)]
    pub freshness: Freshness,
    /// Go on in the background; 'patchyard status' and 'patchyard log' tell how it goes
    #[arg(long)]
    pub detach: bool,
    #[command(flatten)]
    pub shape: Shape,
}

/// A rollout, where one can be meant.
#[derive(Debug, Args)]
pub struct RolloutArg {
    /// The rollout, such as R12
    pub rollout: Option<RolloutId>,
}

#[derive(Debug, Args)]
pub struct Drive {
    /// The rollout
    pub rollout: RolloutId,
}

#[derive(Debug, Args)]
pub struct Stop {
    /// The rollout, such as R12; needless when only one is under way
    pub rollout: Option<RolloutId>,
    /// Why, for the log
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

#[derive(Debug, Args)]
pub struct Resume {
    /// The rollout, such as R12; needless when only one waits
    pub rollout: Option<RolloutId>,
    /// Go on in the background
    #[arg(long)]
    pub detach: bool,
}

#[derive(Debug, Args)]
pub struct Log {
    /// A run such as R12.3, a rollout such as R12, or a target's name
    #[arg(value_name = "RUN|TARGET")]
    pub subject: String,
    /// Wait for what comes next, until the rollout ends or waits for somebody
    #[arg(short, long)]
    pub follow: bool,
}

#[derive(Debug, Args)]
pub struct Rollback {
    /// The rollout to take back, such as R12; targets whose last patch is to be taken back; or runs, such as
    /// R12.3, to whose snapshots their targets go back
    #[arg(value_name = "ROLLOUT|TARGET", required = true)]
    pub subjects: Vec<String>,
    /// Go on in the background
    #[arg(long)]
    pub detach: bool,
    #[command(flatten)]
    pub shape: Shape,
}

#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("verdict").required(true)))]
pub struct Resolve {
    /// The run, such as R12.3
    pub run: RunId,
    /// What was in doubt has been done, or counts as done: go on behind it
    #[arg(long, group = "verdict")]
    pub done: bool,
    /// Take the run back
    #[arg(long, group = "verdict")]
    pub undo: bool,
    /// Leave the target as it is: do nothing more to it, and end the run
    #[arg(long, group = "verdict")]
    pub close: bool,
    /// Why, for the log
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
}

impl Resolve {
    /// The decision: exactly one of the three is given.
    pub const fn verdict(&self) -> PersonVerdict {
        match (self.done, self.undo) {
            (true, _) => PersonVerdict::Done,
            (_, true) => PersonVerdict::Undo,
            _ => PersonVerdict::Close,
        }
    }
}

#[derive(Debug, Args)]
pub struct History {
    /// Only rollouts that touched targets with these names or globs
    #[arg(value_name = "TARGET")]
    pub names: Vec<String>,
    /// The newest so many
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    pub limit: usize,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Snapshots {
    #[command(subcommand)]
    pub verb: Option<SnapshotsVerb>,
    /// Names or globs of targets; all of them without any
    #[arg(value_name = "TARGET")]
    pub names: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub enum SnapshotsVerb {
    /// Remove snapshots that retention no longer keeps, or the ones named
    Prune {
        /// Snapshots to remove now, whatever retention says
        #[arg(value_name = "SNAPSHOT")]
        snapshots: Vec<String>,
        /// Only say what would be removed
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Debug, Args)]
pub struct Quarantine {
    #[command(subcommand)]
    pub verb: Option<QuarantineVerb>,
}

#[derive(Debug, Subcommand)]
pub enum QuarantineVerb {
    /// Let plans contain it again
    Release {
        /// Entries, such as Q3
        #[arg(value_name = "ENTRY", required = true)]
        entries: Vec<String>,
        /// Why, for the log
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

#[derive(Debug, Args)]
pub struct Gc {
    /// Only say what would be removed
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Args)]
pub struct Audit {
    #[command(subcommand)]
    pub verb: AuditVerb,
}

#[derive(Debug, Subcommand)]
pub enum AuditVerb {
    /// Check that no entry was edited, removed, reordered or cut off
    Verify {
        /// A head that a report printed earlier: shows whether the end was cut off since
        #[arg(long, value_name = "ENTRIES:HASH")]
        head: Option<String>,
    },
}

#[derive(Debug, Args)]
pub struct Config {
    #[command(subcommand)]
    pub verb: ConfigVerb,
}

#[derive(Debug, Subcommand)]
pub enum ConfigVerb {
    /// Check the configuration without doing anything
    Check,
    /// Show what applies, and where it was said
    Explain {
        /// For this target, with its labels
        target: Option<String>,
    },
    /// Print the JSON Schema of the configuration file
    Schema,
}

#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    pub shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub struct Man {
    /// Where to
    pub directory: PathBuf,
}
