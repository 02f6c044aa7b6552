//! Which pending patches are wanted.

use patchyard_types::{Assessment, Method, PendingPatch};

use crate::glob;

/// Which pending patches are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PatchFilter {
    /// Only those from security suites.
    pub security_only: bool,
    /// Only packages with these names or globs; empty means all.
    pub packages: Vec<String>,
    /// How to patch; `None` is what the configuration says.
    pub method: Option<Method>,
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
