//! What a target has written where recreation would lose it.

/// Data in a target's writable layer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unsaved {
    /// Paths that recreation would lose, at most a hundred; what the documented ignore list covers is
    /// not among them.
    pub paths: Vec<String>,
    /// Why they cannot be carried into another container, where they cannot.
    pub cannot_carry: Option<String>,
}
