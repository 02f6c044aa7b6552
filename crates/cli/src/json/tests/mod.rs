//! Every document against its published schema, and every schema against the documents.

mod sample;
mod schemas;

use serde::Serialize;
use serde_json::Value;

/// A document as a script reads it.
fn read(document: &impl Serialize) -> Value {
    serde_json::from_str(&super::line(document)).unwrap()
}
