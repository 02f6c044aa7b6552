//! What a replacement has to be: pure functions from inspect documents to create requests.
//!
//! Documents stay raw JSON throughout: a field this release does not know is carried over like any
//! other. Nothing here talks to an engine.

mod compare;
mod normalise;
mod request;
mod three_way;
mod volumes;

pub use compare::{Difference, compare};
pub use normalise::{is_anonymous, normalise, short_id};
pub(crate) use request::is_recreatable;
pub use request::{CreateRequest, Inputs, create_request};
pub(crate) use three_way::merged_healthcheck;

use serde_json::{Map, Value};

/// Settings by which a container lives in a namespace of another one: `container:<id>`.
pub const NAMESPACES: [&str; 3] = ["NetworkMode", "PidMode", "IpcMode"];

/// Whether a container, by its `HostConfig`, lives in the network namespace of another one.
fn lives_in_network_of_another(host: &Value) -> bool {
    host["NetworkMode"].as_str().is_some_and(|mode| mode.starts_with("container:"))
}

/// The members of an object; none for anything else.
fn object(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// The elements of a list; none for anything else.
fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Engines write "not set" as null, an empty text, an empty list or an empty object.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Takes an alias from the settings of an attachment to a network.
pub(crate) fn drop_alias(endpoint: &mut Value, name: &str) {
    let Some(endpoint) = endpoint.as_object_mut() else { return };
    let Some(aliases) = endpoint.get_mut("Aliases").and_then(Value::as_array_mut) else { return };
    aliases.retain(|alias| alias.as_str() != Some(name));
    if aliases.is_empty() {
        endpoint.remove("Aliases");
    }
}

/// Puts a value in unless it says nothing. Only the value itself is looked at: within it an empty
/// text can be a setting (a label without a value, a tmpfs without options).
fn insert(out: &mut Map<String, Value>, key: &str, value: Value) {
    if !is_empty(&value) {
        out.insert(key.to_owned(), value);
    }
}
