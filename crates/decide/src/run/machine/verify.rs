//! Verify: the checks turn green in time and stay so for `verify_for`.

use crate::run::rules::StepRules;
use crate::run::swap;

/// It looks, as a swap's does.
pub(in crate::run) const RULES: StepRules = swap::verify::RULES;
