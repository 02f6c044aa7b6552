//! Preflight: the service is as planned, all of its tasks run, and Swarm is not at work on it; the baseline is taken.
//! The way back is confirmed here too.

use crate::run::rules::StepRules;
use crate::run::swap;

/// It looks, as a swap's does.
pub(in crate::run) const RULES: StepRules = swap::preflight::RULES;
