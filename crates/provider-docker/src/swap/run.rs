//! One call of the engine on one run: what it is about, and how trouble with it is told.

use std::collections::BTreeMap;

use patchyard_contract::Call;
use patchyard_types::{Action, Failure, FailureKind, Order, PatchSet, Record, Step, StepError, SwapStep};
use serde_json::{Value, json};

use super::container::Container;
use super::neighbour;
use crate::client::{ApiError, Client, EngineKind};
use crate::room::is_local;
use crate::{DockerProvider, names, podman};

/// What stands in the way of a step.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The engine's answer, not yet judged: the world has to be looked at first.
    Api(ApiError),
    /// Judged.
    Step(StepError),
}

impl From<ApiError> for Trouble {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

impl From<StepError> for Trouble {
    fn from(error: StepError) -> Self {
        Self::Step(error)
    }
}

/// A known failure.
pub(crate) fn failed(kind: FailureKind, message: impl Into<String>) -> Trouble {
    Trouble::Step(StepError::Failed(Failure::new(kind, message)))
}

/// What an engine's error means for a step whose effect has not taken place by the looks of it.
pub(crate) fn judge(error: &ApiError) -> StepError {
    let kind = match error {
        _ if error.is_no_space() => FailureKind::NoSpace,
        ApiError::Status { .. }
        | ApiError::Stream { .. }
        | ApiError::NotPermitted { .. }
        | ApiError::NoFolder { .. } => FailureKind::Host,
        ApiError::Local { .. } => FailureKind::Host,
        // An engine that cannot be reached may come back: the question stays open until it does.
        ApiError::Unreachable { .. }
        | ApiError::Lost { .. }
        | ApiError::Protocol { .. }
        | ApiError::TooLarge { .. }
        | ApiError::Timeout { .. } => return StepError::Unknown(error.to_string()),
    };
    StepError::Failed(Failure::new(kind, error.to_string()))
}

/// The message for a container that should be there.
pub(crate) const GONE: &str = "changed since planning: its container was removed by somebody else";

/// One call on one run.
pub(crate) struct Run<'a> {
    pub docker: &'a DockerProvider,
    pub call: &'a Call,
    pub action: &'a Action,
    pub set: &'a PatchSet,
}

impl<'a> Run<'a> {
    pub fn new(docker: &'a DockerProvider, call: &'a Call) -> Result<Self, StepError> {
        let (action, set) = call.action()?;
        Ok(Self { docker, call, action, set })
    }

    pub fn client(&self) -> &'a Client {
        &self.docker.client
    }

    /// Whether the tag that the container was created from is meant to follow it, and will: one that points at
    /// another image than the container's is left alone. So it is where the container was put back from a
    /// snapshot that has its data in it.
    pub async fn tag_follows(&self) -> Result<bool, ApiError> {
        let tags = &self.call.plan.decisions.tags;
        let Some(tag) = tags.iter().find(|tag| tag.after.contains(&self.call.run.action)) else {
            return Ok(false);
        };
        let image = self.client().image(&tag.reference).await?;
        Ok(image.is_some_and(|image| image["Id"].as_str() == Some(tag.from.as_str())))
    }

    /// The replacement's name until it takes over.
    pub fn new_name(&self) -> String {
        names::of_call(&self.docker.options.controller, self.call, "new").to_string()
    }

    /// The original's name once it is set aside.
    pub fn old_name(&self) -> String {
        names::of_call(&self.docker.options.controller, self.call, "old").to_string()
    }

    /// Says of whom something is, where it is of a dependent.
    pub fn about(&self, message: &str) -> String {
        match &self.call.dependent {
            Some(dependent) => {
                format!(
                    "its dependent {}: {message}",
                    patchyard_types::printable(&dependent.action.name, 100)
                )
            }
            None => message.to_owned(),
        }
    }

    /// The call on the owner, of a call about a dependent, before anything is on record.
    pub fn on_owner(&self) -> Call {
        Call { records: BTreeMap::new(), dependent: None, ..self.call.clone() }
    }

    /// The original, wherever it has got to.
    pub async fn old(&self) -> Result<Option<Container>, ApiError> {
        self.client().container(&self.action.expected.object).await
    }

    /// The original, which has to be there.
    pub async fn old_or_gone(&self) -> Result<Container, Trouble> {
        self.old().await?.ok_or_else(|| failed(FailureKind::Precondition, GONE))
    }

    /// The replacement: by the record of its creation, by its name, by its labels.
    pub async fn new_container(&self) -> Result<Option<Container>, ApiError> {
        if let Some(Record::Created { object, .. }) = self.record(SwapStep::Create) {
            return self.client().container(object).await;
        }
        if let Some(container) = self.client().container(&self.new_name()).await? {
            return Ok(self.is_ours(&container).then_some(container));
        }
        let labels = [
            format!("{}={}", names::LABEL_CONTROLLER, self.docker.options.controller),
            format!("{}={}", names::LABEL_RUN, self.call.run),
        ];
        let filters = json!({ "label": labels }).to_string();
        let listed = self
            .client()
            .get(&["containers", "json"])
            .query("all", "1")
            .query("filters", &filters)
            .json()
            .await?;
        for entry in listed.as_array().into_iter().flatten() {
            let Some(id) = entry["Id"].as_str() else { continue };
            if let Some(container) = self.client().container(id).await?
                && self.is_ours(&container)
            {
                return Ok(Some(container));
            }
        }
        Ok(None)
    }

    /// Whether the original and its replacement may run beside each other.
    pub fn is_start_first(&self) -> bool {
        self.action.order == Order::StartFirst
    }

    /// Start-first, nothing is done to the original while its replacement does not run.
    pub async fn somebody_else_serves(&self) -> Result<(), Trouble> {
        if self.is_start_first() && !self.new_container().await?.is_some_and(|new| new.is_up()) {
            return Err(failed(
                FailureKind::Host,
                "its replacement does not run, and nobody else would serve",
            ));
        }
        Ok(())
    }

    /// Whether a container was made for this run as its replacement.
    pub fn is_ours(&self, container: &Container) -> bool {
        container.label(names::LABEL_CONTROLLER) == Some(&self.docker.options.controller)
            && container.label(names::LABEL_RUN) == Some(&self.call.run.to_string())
            && container.label(names::LABEL_ROLE) == Some(names::ROLE_TARGET)
            && container.label(names::LABEL_TARGET) == Some(self.action.target.as_str())
            && container.id() != self.action.expected.object
    }

    /// What an earlier step left.
    pub fn record(&self, step: SwapStep) -> Option<&'a Record> {
        self.call.records.get(&Step::Swap(step))
    }

    /// The image that was prepared.
    pub fn prepared(&self) -> Result<&'a str, Trouble> {
        match self.record(SwapStep::Prepare) {
            Some(Record::Prepared { image, .. }) => Ok(image),
            _ => Err(failed(FailureKind::Host, "no image was prepared for this run")),
        }
    }

    /// The restart policy that was held, by the record.
    pub fn held(&self) -> Option<(String, u64)> {
        match self.record(SwapStep::Hold) {
            Some(Record::Held { policy, retries, .. }) => Some((policy.clone(), *retries)),
            _ => None,
        }
    }

    /// Whether the engine may start a container of this policy again that was stopped. Podman, which has no daemon,
    /// does so for one policy only, and a target that has it is refused.
    pub fn is_revived(&self, policy: &str) -> bool {
        match self.client().kind() {
            EngineKind::Docker => policy != "no",
            EngineKind::Podman => policy == podman::REVIVED,
        }
    }

    /// Sets a container's restart policy.
    pub async fn set_restart_policy(&self, id: &str, policy: &(String, u64)) -> Result<(), ApiError> {
        let body = restart_policy(policy);
        self.client()
            .post(&["containers", id, "update"])
            .json_body(&json!({ "RestartPolicy": body }))
            .done()
            .await
    }

    /// Starts a container; one that runs is fine.
    pub async fn start(&self, id: &str) -> Result<(), ApiError> {
        let started = self.client().post(&["containers", id, "start"]).timeout(self.step_time()).done().await;
        already_so(started)?;
        if is_local(self.docker)
            && let Ok(Some(container)) = self.client().container(id).await
        {
            neighbour::ask_for(&container);
        }
        Ok(())
    }

    /// Stops a container by its own stop signal and within its own stop timeout: naming none leaves
    /// both to the engine. One that is stopped is fine.
    pub async fn stop(&self, id: &str) -> Result<(), ApiError> {
        let stopped = self.client().post(&["containers", id, "stop"]).timeout(self.step_time()).done().await;
        already_so(stopped)
    }

    /// Gives a container another name.
    pub async fn rename(&self, container: &Container, name: &str) -> Result<(), Trouble> {
        let renamed =
            self.client().post(&["containers", container.id(), "rename"]).query("name", name).done().await;
        match renamed {
            Err(error) if error.is_conflict() => Err(failed(
                FailureKind::Host,
                format!(
                    "another container has taken the name {} in the meantime",
                    patchyard_types::printable(name, 200)
                ),
            )),
            renamed => Ok(renamed?),
        }
    }

    fn step_time(&self) -> std::time::Duration {
        self.action.timeouts.step.as_duration()
    }

    /// A remark for the progress bar, with the bytes that are done and the whole.
    pub fn note(&self, text: impl Into<String>, part: Option<(u64, u64)>) {
        if let Some(progress) = &self.call.progress {
            let part = part.map(|(done, whole)| patchyard_contract::Part::Bytes(done, whole));
            progress.note(patchyard_contract::Note { text: text.into(), part });
        }
    }
}

/// A restart policy as the engine writes it.
pub(crate) fn restart_policy((name, retries): &(String, u64)) -> Value {
    json!({ "Name": name, "MaximumRetryCount": retries })
}

fn already_so(result: Result<(), ApiError>) -> Result<(), ApiError> {
    match result {
        Err(error) if error.is_already_so() => Ok(()),
        result => result,
    }
}
