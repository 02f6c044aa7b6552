//! One look at a container: what the engine says, what listens and runs in it, what it answers.
//!
//! Questions that cannot be asked here have no answer; named checks that cannot be asked have a bad
//! one. Every question has the check's time limit, and all are asked at once, so that a look takes no
//! longer than its slowest question.

mod checks;
mod http;
mod processes;
mod reach;
mod service;
mod sockets;

use std::time::Duration;

use patchyard_contract::{Call, ProviderError};
use patchyard_types::{
    Health, Millis, Observation, Record, Step, Subject, SwapStep, TargetKind, TargetState,
};
use serde_json::Value;

use crate::client::{Address, ApiError, DEFAULT_TIMEOUT};
use crate::{DockerProvider, names};
use reach::Reach;

/// Looks at the original or the replacement.
pub(crate) async fn observe(
    docker: &DockerProvider,
    call: &Call,
    subject: Subject,
) -> Result<Observation, ProviderError> {
    let (action, _) = call.action().map_err(|error| ProviderError::Local { reason: error.to_string() })?;
    if action.kind == TargetKind::Service {
        return service::observe(docker, call, subject).await;
    }
    let container = match (subject, call.records.get(&Step::Swap(SwapStep::Create))) {
        (Subject::Original, _) => action.expected.object.clone(),
        (Subject::Replacement, Some(Record::Created { object, .. })) => object.clone(),
        (Subject::Replacement, _) => {
            names::of_call(&docker.options.controller, call, "new").as_str().to_owned()
        }
    };
    let inspect = match docker.client.inspect(&container, DEFAULT_TIMEOUT).await {
        Ok(inspect) => inspect,
        Err(error) if error.is_not_found() => return Err(ProviderError::Gone { object: container }),
        Err(error) => return Err(docker.error(error)),
    };
    let limit = action.timeouts.check.as_duration();
    let mut observation = said_by_the_engine(&inspect, limit);
    if observation.state == TargetState::Running {
        let host = network_host(docker, &inspect).await.map_err(|error| docker.error(error))?;
        let look = Look {
            docker,
            inspect: &inspect,
            container: &container,
            reach: Reach::of(docker, host.as_ref().unwrap_or(&inspect)),
            limit,
        };
        let (listening, processes, http, checks) = tokio::join!(
            sockets::listening(&look),
            processes::running(&look),
            http::answers(&look, call.baseline()),
            checks::answers(&look, &action.checks),
        );
        observation.listening = listening;
        if let Some(running) = processes {
            observation.processes = Some(running.all);
            observation.lasting = running.lasting;
        }
        observation.http = http;
        observation.checks = checks;
    }
    Ok(observation)
}

/// The container whose network a guest lives in: its address and its published ports are the guest's.
async fn network_host(docker: &DockerProvider, inspect: &Value) -> Result<Option<Value>, ApiError> {
    let mode = inspect["HostConfig"]["NetworkMode"].as_str().unwrap_or_default();
    let Some(host) = mode.strip_prefix("container:") else { return Ok(None) };
    Ok(docker.client.container(host).await?.map(|host| host.0))
}

/// What every question of one look needs.
struct Look<'a> {
    docker: &'a DockerProvider,
    inspect: &'a Value,
    container: &'a str,
    reach: Reach,
    /// The longest any one question may take.
    limit: Duration,
}

impl Look<'_> {
    /// The pid of the container's main process on this machine, if the engine is on this machine and
    /// sees the same processes as we do.
    fn local_pid(&self) -> Option<u64> {
        if !is_local(self.docker) {
            return None;
        }
        let pid = self.inspect["State"]["Pid"].as_u64().filter(|pid| *pid > 0)?;
        // An engine in another pid namespace names somebody else's process: ours bears the id.
        let id = self.inspect["Id"].as_str()?;
        let cgroup = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        let mounts = || std::fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap_or_default();
        (cgroup.contains(id) || mounts().contains(id)).then_some(pid)
    }
}

fn is_local(docker: &DockerProvider) -> bool {
    matches!(docker.client.endpoint().address, Address::Unix(_))
}

fn said_by_the_engine(inspect: &Value, limit: Duration) -> Observation {
    let state = &inspect["State"];
    let status = match state["Status"].as_str().unwrap_or_default() {
        "running" => TargetState::Running,
        "paused" => TargetState::Paused,
        "restarting" => TargetState::Restarting,
        "created" | "configured" | "initialized" => TargetState::Created,
        "dead" | "removing" => TargetState::Dead,
        _ => TargetState::Exited,
    };
    Observation {
        at: jiff::Timestamp::now(),
        state: status,
        started_at: patchyard_types::printable(state["StartedAt"].as_str().unwrap_or_default(), 64),
        restarts: inspect["RestartCount"].as_u64().unwrap_or(0),
        exit_code: state["ExitCode"].as_i64().filter(|_| status != TargetState::Running),
        health: match state["Health"]["Status"].as_str().unwrap_or_default() {
            "starting" => Health::Starting,
            "healthy" => Health::Healthy,
            "unhealthy" => Health::Unhealthy,
            _ => Health::None,
        },
        health_within: health_within(&inspect["Config"]["Healthcheck"], limit),
        listening: None,
        processes: None,
        lasting: std::collections::BTreeSet::new(),
        http: std::collections::BTreeMap::new(),
        parts: std::collections::BTreeSet::new(),
        failed_units: std::collections::BTreeSet::new(),
        checks: std::collections::BTreeMap::new(),
    }
}

/// Engine defaults of a healthcheck's interval, timeout and retries (Dockerfile reference).
const HEALTH_DEFAULTS: (u64, u64, u64) = (30_000, 30_000, 3);

/// How long a healthcheck may take to turn healthy: start period + (interval + timeout) × retries.
/// Its own timeout counts only as far as a check may take: one that allows a day would never fail.
pub(crate) fn health_within(healthcheck: &Value, limit: Duration) -> Option<Millis> {
    let test = healthcheck["Test"].as_array()?;
    if matches!(test.first().and_then(Value::as_str), None | Some("NONE")) {
        return None;
    }
    let millis = |key: &str, default| match healthcheck[key].as_u64() {
        None | Some(0) => default,
        // The engine's API counts nanoseconds.
        Some(nanos) => nanos / 1_000_000,
    };
    let (interval, timeout, retries) = HEALTH_DEFAULTS;
    let timeout = millis("Timeout", timeout).min(Millis::from(limit).0);
    let retries = healthcheck["Retries"].as_u64().filter(|n| *n > 0).unwrap_or(retries);
    let tries = (millis("Interval", interval).saturating_add(timeout)).saturating_mul(retries);
    Some(Millis(millis("StartPeriod", 0).saturating_add(tries)))
}

/// An engine's error as the detail of a bad answer.
fn said(error: &ApiError) -> String {
    patchyard_types::printable(&error.to_string(), 300)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_healthcheck_gets_its_start_period_and_its_tries() {
        let second = 1_000_000_000_u64;
        let ten = Duration::from_secs(10);
        let check = |value: Value| health_within(&value, ten).map(|m| m.0 / 1000);
        assert_eq!(check(json!(null)), None);
        assert_eq!(check(json!({"Test": ["NONE"]})), None);
        assert_eq!(check(json!({"Test": ["CMD", "true"]})), Some((30 + 10) * 3));
        let set = json!({"Test": ["CMD", "true"], "Interval": 2 * second, "Timeout": second,
            "Retries": 5, "StartPeriod": 60 * second});
        assert_eq!(check(set), Some(60 + (2 + 1) * 5));
        let endless =
            json!({"Test": ["CMD", "sleep"], "Interval": second, "Timeout": 86_400 * second, "Retries": 1});
        assert_eq!(check(endless), Some(11), "a healthcheck that may take a day is not waited for that long");
    }

    #[test]
    fn the_engine_states_become_ours() {
        let state = |status: &str| {
            said_by_the_engine(&json!({"State": {"Status": status, "ExitCode": 3}}), Duration::ZERO).state
        };
        assert_eq!(state("running"), TargetState::Running);
        assert_eq!(state("restarting"), TargetState::Restarting);
        assert_eq!(state("exited"), TargetState::Exited);
        assert_eq!(state("something new"), TargetState::Exited);
    }
}
