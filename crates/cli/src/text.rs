//! Small pieces of text that several verbs share.

use jiff::Timestamp;
use patchyard_app::rollouts::Phase;
use patchyard_types::{RolloutEnd, RunEnd, printable};

use crate::ui::{GREEN, PLAIN, RED, YELLOW};

/// The longest name that is shown whole; names of containers are much shorter.
const NAME: usize = 80;

/// The longest remark.
const REMARK: usize = 400;

/// A name that came from a target.
pub fn name(text: &str) -> String {
    printable(text, NAME)
}

/// A reason or message that may come from a target.
pub fn remark(text: &str) -> String {
    printable(text, REMARK)
}

/// `1 target`, `2 targets`.
pub fn count(number: usize, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

/// How a run ended, as people say it.
pub const fn run_end(end: RunEnd) -> &'static str {
    match end {
        RunEnd::Succeeded => "patched",
        RunEnd::RolledBack => "rolled back",
        RunEnd::Failed => "failed",
        RunEnd::Skipped => "skipped",
        RunEnd::NeedsAttention => "needs attention",
    }
}

/// The sign in front of it, and its colour.
pub const fn run_sign(end: RunEnd) -> (&'static str, anstyle::Style) {
    match end {
        RunEnd::Succeeded => ("✔", GREEN),
        RunEnd::RolledBack | RunEnd::Failed => ("✘", RED),
        RunEnd::Skipped => ("–", PLAIN),
        RunEnd::NeedsAttention => ("!", RED),
    }
}

/// What a rollout is doing.
pub const fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Running => "under way",
        Phase::Paused => "paused",
        Phase::Interrupted => "interrupted",
        Phase::NeedsAttention => "needs attention",
        Phase::Ended(end) => end.words(),
    }
}

/// Its colour.
pub const fn phase_style(phase: Phase) -> anstyle::Style {
    match phase {
        Phase::Ended(RolloutEnd::Succeeded) => GREEN,
        Phase::Running => PLAIN,
        Phase::Paused | Phase::Interrupted | Phase::Ended(RolloutEnd::Aborted) => YELLOW,
        Phase::NeedsAttention | Phase::Ended(_) => RED,
    }
}

/// A time to the second, in the machine's own zone, as logs and tables show it.
pub fn time(at: Timestamp) -> String {
    at.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// How long ago something was, roughly.
pub fn ago(at: Timestamp, now: Timestamp) -> String {
    let minutes = now.duration_since(at).as_secs() / 60;
    match minutes {
        i64::MIN..=0 => "just now".to_owned(),
        1..=119 => format!("{minutes} min ago"),
        120..=2879 => format!("{} h ago", minutes / 60),
        _ => format!("{} days ago", minutes / (24 * 60)),
    }
}
