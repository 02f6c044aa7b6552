//! Preflight: the machine is the planned one, and its package manager would do exactly what is planned; the baseline is
//! taken. The way back is confirmed here too.

use crate::run::rules::StepRules;
use crate::run::swap;

/// It looks, as a swap's does.
pub(in crate::run) const RULES: StepRules = swap::preflight::RULES;
