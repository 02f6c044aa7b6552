//! What a look at a simulated container sees.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use patchyard_types::{
    Check, CheckAnswer, Health, HttpAnswer, Millis, Observation, Protocol, Socket, TargetState,
};

use crate::world::{Behaviour, SimObject};

/// Looks once.
pub fn observation(object: &SimObject, checks: &[Check], now: Timestamp) -> Observation {
    let alive = object.alive(now);
    let state = match (alive, object.started) {
        (true, _) => TargetState::Running,
        (false, Some(_)) => TargetState::Restarting,
        (false, None) => TargetState::Exited,
    };
    let port = if object.behaviour == Behaviour::OtherPort { 8081 } else { 8080 };
    let status = if object.behaviour == Behaviour::Http500 { 500 } else { 200 };
    let serving = BTreeSet::from([Socket { protocol: Protocol::Tcp, port, loopback: false }]);
    let answer = CheckAnswer {
        good: alive && (port, status) == (8080, 200),
        detail: format!("answered {status} on :{port}"),
    };
    Observation {
        at: now,
        state,
        started_at: object.starts.to_string(),
        restarts: 0,
        exit_code: (!alive).then_some(1),
        health: match object.behaviour {
            Behaviour::HealthHangs => Health::Starting,
            _ => Health::None,
        },
        health_within: None,
        listening: Some(if alive { serving } else { BTreeSet::new() }),
        processes: Some(BTreeMap::from([("web".to_owned(), 1)])),
        lasting: BTreeSet::from(["web".to_owned()]),
        http: BTreeMap::from([(8080, HttpAnswer::Status { status, took: Millis(5) })]),
        parts: BTreeSet::new(),
        failed_units: BTreeSet::new(),
        checks: checks.iter().map(|check| (check.name.clone(), answer.clone())).collect(),
    }
}
