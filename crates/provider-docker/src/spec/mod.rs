//! What a replacement has to be: pure functions from inspect documents to create requests.

mod normalise;

pub(crate) use normalise::normalise;
