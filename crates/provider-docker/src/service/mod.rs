//! Swarm services: found on a manager, updated through Swarm, rolled back by it.
//!
//! Swarm replaces the tasks itself, in the order and at the pace of the service's own `update_config`. What is done
//! here is one change of its spec, the image's digest, and then watching Swarm until it is done or has failed.

mod raw;
mod standing;
mod targets;
mod traps;
mod update;

use patchyard_contract::{Call, ProviderError};
use patchyard_types::{
    Direction, FailureKind, ImageUpdate, Probe, Record, ServiceStep, Snapshot, SnapshotId, StepError, Target,
};

use crate::DockerProvider;
use crate::client::ApiError;
use crate::registry;
use crate::swap::{Run, Trouble, failed, judge};

pub(crate) use raw::{Service, Task, published, service, tasks};
pub(crate) use targets::Services;

/// What a way back through Swarm does not bring back.
const LOST: [&str; 1] = ["logs of the tasks (`docker service logs`)"];

/// Does a step of a service's update or takes it back.
pub(crate) async fn perform(
    docker: &DockerProvider,
    call: &Call,
    step: ServiceStep,
) -> Result<Record, StepError> {
    let run = Run::new(docker, call)?;
    let done = match (step, call.direction) {
        (ServiceStep::Prepare, Direction::Do) => update::prepare(&run).await,
        (ServiceStep::Preflight, Direction::Do) => update::preflight(&run).await,
        (ServiceStep::Update, Direction::Do) => update::perform(&run).await,
        (ServiceStep::Update, Direction::Undo) => update::undo(&run).await,
        (ServiceStep::Snapshot, Direction::Do) => Ok(snapshot(&run)),
        (ServiceStep::Verify, _)
        | (ServiceStep::Prepare | ServiceStep::Preflight | ServiceStep::Snapshot, Direction::Undo) => {
            Err(Trouble::Step(StepError::Unknown(format!("never asked of a provider: {step}"))))
        }
    };
    done.map_err(|trouble| match trouble {
        Trouble::Step(error) => error,
        Trouble::Api(error) => judge(&error),
    })
}

/// Asks the world whether a step, or its undo, has taken place.
pub(crate) async fn probe(
    docker: &DockerProvider,
    call: &Call,
    step: ServiceStep,
) -> Result<Probe, ProviderError> {
    if step != ServiceStep::Update {
        // They only look: doing them again is right.
        return Ok(Probe::NotDone);
    }
    let run = match Run::new(docker, call) {
        Ok(run) => run,
        Err(error) => return Ok(Probe::CannotTell { reason: error.to_string() }),
    };
    match update::probe(&run).await {
        Ok(probe) => Ok(probe),
        Err(Trouble::Api(error)) => Err(docker.error(error)),
        Err(Trouble::Step(error)) => Ok(Probe::CannotTell { reason: error.to_string() }),
    }
}

/// What Swarm can go back to. It keeps that itself, and nothing else is kept on the host.
fn snapshot(run: &Run<'_>) -> Record {
    let expected = &run.action.expected;
    let id = run.call.run;
    Record::Snapshotted {
        snapshot: Box::new(Snapshot {
            id: SnapshotId(id.to_string()),
            target: run.action.target.clone(),
            name: run.action.name.clone(),
            service: run.action.service.clone(),
            host: run.docker.host.clone(),
            run: id,
            at: jiff::Timestamp::now(),
            image: expected.image.clone(),
            base_image: expected.image.clone(),
            reference: expected.reference.clone(),
            own_layer: false,
            tags: Vec::new(),
            volumes: Vec::new(),
            packages: Vec::new(),
            disks: None,
            size: 0,
            lost: LOST.iter().map(|&text| text.to_owned()).collect(),
        }),
    }
}

/// A newer digest behind the tag in a service's spec, if the registry has one.
pub(crate) async fn newer_image(
    docker: &DockerProvider,
    target: &Target,
) -> Result<Option<ImageUpdate>, ProviderError> {
    match &target.image.digest {
        Some(digest) => registry::newer_than(docker, &target.image.reference, &[digest.as_str()]).await,
        None => Err(ProviderError::NoAnswer {
            reason: "the service's spec pins no digest of its image".to_owned(),
            hint: format!(
                "let Swarm pin it once: docker service update --image {} {}",
                target.image.reference, target.name
            ),
        }),
    }
}

/// A task of the service that runs on this manager, as if it were a target: what is installed in all of them is read
/// from one.
pub(crate) async fn stand_in(docker: &DockerProvider, target: &Target) -> Result<Target, ProviderError> {
    let found = async {
        let Some(service) = service(&docker.client, &target.object).await? else { return Ok(None) };
        let tasks = tasks(&docker.client, Some(service.id())).await?;
        let here = tasks.iter().filter(|task| task.is_running() && task.node() == node(docker));
        let container = here.filter(|task| task.image() == service.image()).find_map(Task::container);
        let Some(container) = container else { return Ok(Some(None)) };
        Ok(docker.client.container(container).await?.map(|container| Some(container.0)))
    };
    let gone = || ProviderError::Gone { object: target.name.clone() };
    let found = found.await.map_err(|error: ApiError| docker.error(error))?;
    let Some(container) = found.ok_or_else(gone)? else {
        return Err(ProviderError::NoAnswer {
            reason: "no task of the service runs on this manager, so what is installed in it cannot be read"
                .to_owned(),
            hint: "its image is asked about with --method image".to_owned(),
        });
    };
    let mut stand_in = target.clone();
    stand_in.object = container["Id"].as_str().unwrap_or_default().to_owned();
    stand_in.image.id = container["Image"].as_str().unwrap_or_default().to_owned();
    Ok(stand_in)
}

/// This engine's own node in the swarm.
pub(crate) fn node(docker: &DockerProvider) -> &str {
    docker.info["Swarm"]["NodeID"].as_str().unwrap_or_default()
}

/// A known failure of a service that is not there any more.
fn gone() -> Trouble {
    failed(FailureKind::Precondition, "changed since planning: the service was removed by somebody else")
}
