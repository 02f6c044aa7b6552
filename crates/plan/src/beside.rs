//! `order: start-first`: when two containers of a target cannot run beside each other.

use patchyard_types::{Data, Order, Settings, Target, WritableLayer, printable};

use crate::request::DependentTarget;

/// Why a target cannot be swapped in the order that its settings ask for, if it cannot. `dependents` live in its
/// namespaces; `unsaved` are the paths in its writable layer that hold data.
#[must_use]
pub fn cannot_start_first(
    target: &Target,
    dependents: &[DependentTarget],
    settings: &Settings,
    unsaved: &[String],
) -> Option<String> {
    if settings.order == Order::StopFirst {
        return None;
    }
    let why = if let Some(refusal) = target.alone.iter().min() {
        printable(&refusal.message, 400)
    } else if let Some(dependent) = dependents.first() {
        format!(
            "{} lives in its namespaces, and in those of one container only",
            printable(&dependent.target.name, 100)
        )
    } else if settings.data == Data::Restore {
        "its volumes can be copied for data: restore only while it is stopped; say data: keep".to_owned()
    } else if settings.writable_layer == WritableLayer::Carry && !unsaved.is_empty() {
        "its writable layer can be carried only while it is stopped; keep the data elsewhere, or say writable_layer: discard"
            .to_owned()
    } else {
        return None;
    };
    Some(format!(
        "two of it cannot run beside each other, as order: start-first needs: {why}; or say order: stop-first"
    ))
}
