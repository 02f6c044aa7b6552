//! One look at a Swarm service: whether its tasks run and stay, what its published ports answer. The tasks that run
//! on this manager are asked the named checks themselves.

use std::collections::BTreeMap;

use patchyard_contract::{Call, ProviderError};
use patchyard_types::{Check, CheckAnswer, CheckKind, Health, Observation, Subject, TargetState};
use serde_json::{Value, json};

use super::reach::Reach;
use super::{Look, checks, http};
use crate::DockerProvider;
use crate::client::{Address, ApiError};
use crate::service::{Service, Task, node, published, service, tasks};

/// How many tasks on this manager are asked themselves.
const ASKED: usize = 4;

/// The check that is always there: as many tasks run as should.
const TASKS: &str = "tasks";

pub(crate) async fn observe(
    docker: &DockerProvider,
    call: &Call,
    subject: Subject,
) -> Result<Observation, ProviderError> {
    let (action, _) = call.action().map_err(|error| ProviderError::Local { reason: error.to_string() })?;
    let found = read(docker, &action.expected.object).await.map_err(|error| docker.error(error))?;
    let Some((service, tasks, desired)) = found else {
        return Err(ProviderError::Gone { object: action.name.clone() });
    };
    let mut observation = said_by_swarm(&service, &tasks, desired, subject);
    if observation.state != TargetState::Running {
        return Ok(observation);
    }
    let ways = ways(docker, &service);
    let limit = action.timeouts.check.as_duration();
    let look = Look {
        docker,
        inspect: &Value::Null,
        container: "",
        reach: Reach::by_published(ways.clone()),
        limit,
    };
    let here: Vec<&str> = tasks
        .iter()
        .filter(|task| task.is_running() && task.node() == node(docker))
        .filter_map(Task::container)
        .take(ASKED)
        .collect();
    let (http, answers) = tokio::join!(
        http::answers(&look, call.baseline()),
        named(docker, &look, &here, &ways, &action.checks)
    );
    observation.http = http;
    observation.checks.extend(answers.map_err(|error| docker.error(error))?);
    Ok(observation)
}

async fn read(docker: &DockerProvider, id: &str) -> Result<Option<(Service, Vec<Task>, u64)>, ApiError> {
    let client = &docker.client;
    let Some(service) = service(client, id).await? else { return Ok(None) };
    let tasks = tasks(client, Some(service.id())).await?;
    let filters = json!({ "id": [service.id()] }).to_string();
    let listed = client.get(&["services"]).query("status", "1").query("filters", &filters).json().await?;
    let desired = listed[0]["ServiceStatus"]["DesiredTasks"].as_u64();
    // An engine that does not count them: what Swarm wants to run.
    let wanted = || tasks.iter().filter(|task| task.is_wanted()).count() as u64;
    let desired = desired.unwrap_or_else(wanted);
    Ok(Some((service, tasks, desired)))
}

/// What Swarm itself says. A task that ended by itself counts like a restart: Swarm starts another one.
fn said_by_swarm(service: &Service, tasks: &[Task], desired: u64, subject: Subject) -> Observation {
    let of_it = || tasks.iter().filter(|task| task.image() == service.image());
    let running = of_it().filter(|task| task.is_running()).count() as u64;
    let last_ended = of_it().filter(|task| task.has_ended()).max_by_key(|task| task.since());
    // Those of an earlier life of the same image say nothing about this one.
    let began: Option<jiff::Timestamp> = service.update_began().and_then(|at| at.parse().ok());
    let since_update =
        |task: &&Task| began.is_none_or(|began| task.made_at().is_some_and(|made| made >= began));
    let failed = match subject {
        Subject::Original => None,
        Subject::Replacement => last_ended.filter(since_update),
    };
    let state = match (desired, failed) {
        (0, _) => TargetState::Exited,
        (_, Some(_)) => TargetState::Restarting,
        (_, None) => TargetState::Running,
    };
    let detail = match failed {
        Some(task) => format!("{running} of {desired} tasks run; {}", task.words()),
        None => format!("{running} of {desired} tasks run"),
    };
    Observation {
        at: jiff::Timestamp::now(),
        state,
        started_at: last_ended.and_then(|task| task.since()).map(|at| at.to_string()).unwrap_or_default(),
        restarts: 0,
        exit_code: failed.and_then(|task| task.exit_code()),
        // Swarm does not call a task running before its healthcheck is healthy, and ends it when that turns bad.
        health: Health::None,
        health_within: None,
        listening: None,
        processes: None,
        lasting: std::collections::BTreeSet::new(),
        http: BTreeMap::new(),
        parts: std::collections::BTreeSet::new(),
        failed_units: std::collections::BTreeSet::new(),
        checks: BTreeMap::from([(TASKS.to_owned(), CheckAnswer { good: running == desired, detail })]),
    }
}

/// Where its published ports are reached from here. What is published by a task's own node only is asked where that
/// must be this one.
fn ways(docker: &DockerProvider, service: &Service) -> BTreeMap<u16, (String, u16)> {
    let host = match &docker.client.endpoint().address {
        Address::Unix(_) => "127.0.0.1".to_owned(),
        Address::Tcp { host, .. } => host.clone(),
        Address::Ssh(ssh) => ssh.host.clone(),
    };
    let is_here = docker.info["Swarm"]["Nodes"] == 1 || service.spec()["Mode"]["Global"].is_object();
    published(service)
        .into_iter()
        .filter(|(_, (_, on_node))| !on_node || is_here)
        .map(|(port, (outside, _))| (port, (host.clone(), outside)))
        .collect()
}

/// The named checks, put to every task that runs here; a bad answer of one is the answer. Where none does, what can be
/// asked by the published ports is.
async fn named(
    docker: &DockerProvider,
    by_ports: &Look<'_>,
    here: &[&str],
    ways: &BTreeMap<u16, (String, u16)>,
    asked: &[Check],
) -> Result<BTreeMap<String, CheckAnswer>, ApiError> {
    if asked.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut answers: BTreeMap<String, CheckAnswer> = BTreeMap::new();
    for container in here {
        let Some(inspect) = docker.client.container(container).await? else { continue };
        let reach = Reach::of(docker, &inspect.0).or_by(ways);
        let look = Look { docker, inspect: &inspect.0, container, reach, limit: by_ports.limit };
        for (name, answer) in checks::answers(&look, asked).await {
            let known = answers.entry(name).or_insert_with(|| answer.clone());
            if known.good {
                *known = answer;
            }
        }
    }
    if answers.is_empty() {
        let (commands, others): (Vec<Check>, Vec<Check>) =
            asked.iter().cloned().partition(|check| matches!(check.kind, CheckKind::Command { .. }));
        answers = checks::answers(by_ports, &others).await;
        let detail =
            "no task of the service runs on this manager: use an HTTP or TCP check of a published port";
        let nobody = |check: Check| (check.name, CheckAnswer { good: false, detail: detail.to_owned() });
        answers.extend(commands.into_iter().map(nobody));
    }
    Ok(answers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service() -> Service {
        Service(json!({
            "Spec": {"TaskTemplate": {"ContainerSpec": {"Image": "web:1@new"}}},
            "UpdateStatus": {"StartedAt": "2026-01-01T00:01:00Z"},
        }))
    }

    fn task(image: &str, made: &str, state: &str) -> Task {
        Task(json!({
            "CreatedAt": made, "DesiredState": if state == "running" { "running" } else { "shutdown" },
            "Spec": {"ContainerSpec": {"Image": format!("web:1@{image}")}},
            "Status": {"State": state, "Timestamp": "2026-01-01T00:02:00Z", "Err": "task: non-zero exit (3)",
                "ContainerStatus": {"ExitCode": 3}},
        }))
    }

    const LATER: &str = "2026-01-01T00:01:30Z";

    #[test]
    fn a_task_that_ended_since_the_update_is_bad_and_one_of_an_earlier_life_is_not() {
        let look = |task: Task| said_by_swarm(&service(), &[task], 1, Subject::Replacement);
        let failed = look(task("new", LATER, "failed"));
        assert_eq!((failed.state, failed.exit_code), (TargetState::Restarting, Some(3)));
        for other in [task("new", "2026-01-01T00:00:30Z", "failed"), task("old", LATER, "failed")] {
            assert_eq!(look(other).state, TargetState::Running);
        }
        // Swarm has stopped it itself.
        assert_eq!(look(task("new", LATER, "shutdown")).state, TargetState::Running);
    }

    #[test]
    fn between_two_looks_a_task_that_ends_shows() {
        let look = |tasks: &[Task]| said_by_swarm(&service(), tasks, 1, Subject::Original).started_at;
        let running = || task("new", LATER, "running");
        assert_eq!(look(&[running()]), look(&[running(), task("new", LATER, "shutdown")]));
        assert_ne!(look(&[running()]), look(&[running(), task("new", LATER, "failed")]));
    }

    #[test]
    fn as_many_tasks_run_as_should() {
        let look = |running: usize, desired| {
            let tasks: Vec<Task> = (0..running).map(|_| task("new", LATER, "running")).collect();
            said_by_swarm(&service(), &tasks, desired, Subject::Replacement)
        };
        assert!(look(2, 2).checks[TASKS].good);
        let short = &look(1, 2).checks[TASKS];
        assert_eq!((short.good, short.detail.as_str()), (false, "1 of 2 tasks run"));
        assert_eq!(look(0, 0).state, TargetState::Exited);
    }
}
