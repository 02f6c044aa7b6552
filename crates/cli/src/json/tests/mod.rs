//! Filled by a merge.
