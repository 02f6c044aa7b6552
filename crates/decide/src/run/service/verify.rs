//! Verify: the checks turn green in time and stay so for `verify_for`. Swarm itself has called the update good by
//! then; with a short `monitor` that says little.

use crate::run::rules::StepRules;
use crate::run::swap;

/// It looks, as a swap's does.
pub(in crate::run) const RULES: StepRules = swap::verify::RULES;
