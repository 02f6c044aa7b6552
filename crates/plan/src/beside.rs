//! `order: start-first`: when two containers of a target cannot run beside each other, and what else its owner has to see to.

use std::collections::BTreeMap;

use patchyard_types::{Data, Order, Settings, Target, WritableLayer, printable};

use crate::planner::{Draft, some_of};
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

/// A remark on those that go start-first and are the only one of their service: nobody else answers while callers find out.
pub fn without_a_replica(drafts: &[Draft<'_>], sizes: &BTreeMap<String, usize>) -> Option<String> {
    let lone: Vec<&str> = drafts
        .iter()
        .filter(|draft| {
            draft.action.order == Order::StartFirst && sizes.get(&draft.action.service) == Some(&1)
        })
        .map(|draft| &*draft.target.name)
        .collect();
    (!lone.is_empty()).then(|| {
        format!(
            "{}: the only one of its service: start-first, its callers miss nothing if a proxy, or a look at its name for each \
             connection, leads them to the new one before the old one stops",
            some_of(&lone)
        )
    })
}
