//! Which pending patches are wanted.

use patchyard_types::{Assessment, PendingPatch};

use crate::glob;

/// Which pending patches are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PatchFilter {
    /// Only those from security suites, and what they need.
    pub security_only: bool,
    /// Only packages that match one of these globs (`*`, `?`), and what they need; empty means all.
    pub packages: Vec<String>,
}

impl PatchFilter {
    /// Whether a patch is wanted.
    #[must_use]
    pub fn wants(&self, patch: &PendingPatch) -> bool {
        (!self.security_only || patch.security)
            && (self.packages.is_empty() || self.packages.iter().any(|p| glob::matches(p, &patch.package)))
    }

    /// Takes what is not wanted out of an assessment.
    pub fn apply(&self, assessment: &mut Assessment) {
        if let Assessment::Assessed { pending, .. } = assessment {
            pending.retain(|patch| self.wants(patch));
        }
    }
}
