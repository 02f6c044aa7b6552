//! A container as the engine describes it, with the few questions a swap asks of it.

use std::borrow::Cow;
use std::time::Duration;

use patchyard_types::printable;
use serde_json::Value;

use crate::client::{ApiError, Client, DEFAULT_TIMEOUT, EngineKind};
use crate::podman;

/// The engine's word for "never".
const NEVER: &str = "0001-01-01T00:00:00Z";

/// An inspect document of a container.
#[derive(Debug, Clone)]
pub(crate) struct Container(pub Value);

impl Container {
    /// Its id.
    pub fn id(&self) -> &str {
        self.0["Id"].as_str().unwrap_or_default()
    }

    /// Its name, without the engine's slash.
    pub fn name(&self) -> &str {
        self.0["Name"].as_str().unwrap_or_default().trim_start_matches('/')
    }

    /// The id of the image it runs.
    pub fn image(&self) -> &str {
        self.0["Image"].as_str().unwrap_or_default()
    }

    /// Whether it has processes: running, paused, or between two restarts.
    pub fn is_up(&self) -> bool {
        ["Running", "Paused", "Restarting"]
            .iter()
            .any(|state| self.0["State"][*state].as_bool() == Some(true))
    }

    /// Whether it runs, and the engine has not had to start it again.
    pub fn runs_since_its_start(&self) -> bool {
        let state = &self.0["State"];
        state["Running"].as_bool() == Some(true)
            && state["Restarting"].as_bool() != Some(true)
            && self.0["RestartCount"].as_u64().unwrap_or(0) == 0
    }

    /// Whether it has ever been started.
    pub fn was_started(&self) -> bool {
        self.is_up() || self.0["State"]["StartedAt"].as_str().is_some_and(|at| !at.is_empty() && at != NEVER)
    }

    /// A label of its own or its image's.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.0["Config"]["Labels"][name].as_str()
    }

    /// Its restart policy: name and retry limit.
    pub fn restart_policy(&self) -> (String, u64) {
        let policy = &self.0["HostConfig"]["RestartPolicy"];
        let name = policy["Name"].as_str().filter(|name| !name.is_empty()).unwrap_or("no");
        (name.to_owned(), policy["MaximumRetryCount"].as_u64().unwrap_or(0))
    }

    /// What to call it in messages.
    pub fn shown(&self) -> String {
        printable(self.name(), 200)
    }
}

impl Client {
    /// A container by id or name; `None` when there is none.
    pub(crate) async fn container(&self, id: &str) -> Result<Option<Container>, ApiError> {
        there(self.inspect(id, DEFAULT_TIMEOUT).await.map(Container))
    }

    /// An image by id or reference; `None` when there is none.
    pub(crate) async fn image(&self, id: &str) -> Result<Option<Value>, ApiError> {
        there(self.inspect_image(id).await)
    }

    /// A container's inspect document in Docker's words; 404 when there is none.
    pub(crate) async fn inspect(&self, id: &str, limit: Duration) -> Result<Value, ApiError> {
        let said = self.get(&["containers", id, "json"]).timeout(limit).json().await?;
        if self.kind() == EngineKind::Docker {
            return Ok(said);
        }
        let own = self.podman_get(&["containers", id, "json"]).timeout(limit).json().await?;
        let image = self.image(said["Image"].as_str().unwrap_or_default()).await?.unwrap_or_default();
        Ok(podman::container(said, &own, &image))
    }

    /// An image's inspect document in Docker's words; 404 when there is none.
    pub(crate) async fn inspect_image(&self, id: &str) -> Result<Value, ApiError> {
        let id = self.stored(id);
        let said = self.get(&["images", &id, "json"]).json().await?;
        if self.kind() == EngineKind::Docker {
            return Ok(said);
        }
        let own = self.podman_get(&["images", &id, "json"]).json().await?;
        Ok(podman::image(said, &own))
    }

    /// The engine's list of containers, running or not.
    pub(crate) async fn all_containers(&self) -> Result<Value, ApiError> {
        Ok(self.named(self.get(&["containers", "json"]).query("all", "1").json().await?))
    }

    /// The engine's list of images.
    pub(crate) async fn all_images(&self) -> Result<Value, ApiError> {
        Ok(self.named(self.get(&["images", "json"]).json().await?))
    }

    fn named(&self, mut listed: Value) -> Value {
        if self.kind() == EngineKind::Podman {
            listed.as_array_mut().into_iter().flatten().for_each(podman::listed);
        }
        listed
    }

    /// One of our tags as this engine keeps it.
    pub(crate) fn stored<'a>(&self, tag: &'a str) -> Cow<'a, str> {
        match self.kind() {
            EngineKind::Docker => Cow::Borrowed(tag),
            EngineKind::Podman => Cow::Owned(podman::stored_tag(tag)),
        }
    }
}

fn there<T>(answer: Result<T, ApiError>) -> Result<Option<T>, ApiError> {
    match answer {
        Err(error) if error.is_not_found() => Ok(None),
        answer => answer.map(Some),
    }
}
