//! Services and tasks as the engine tells of them. Raw: what a spec has and we do not know goes back with it.

use std::collections::BTreeMap;

use patchyard_types::printable;
use serde_json::{Value, json};

use crate::client::{ApiError, Client};
use crate::read::json::{list, text};

/// A service.
pub(crate) struct Service(pub Value);

/// A task: one life of one of a service's containers, on some node.
pub(crate) struct Task(pub Value);

/// A service by its id or name; nothing when there is none.
pub(crate) async fn service(client: &Client, id: &str) -> Result<Option<Service>, ApiError> {
    match client.get(&["services", id]).json().await {
        Ok(service) => Ok(Some(Service(service))),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// The tasks of one service, or of all.
pub(crate) async fn tasks(client: &Client, service: Option<&str>) -> Result<Vec<Task>, ApiError> {
    let mut request = client.get(&["tasks"]);
    if let Some(service) = service {
        request = request.query("filters", &json!({ "service": [service] }).to_string());
    }
    Ok(list(&request.json().await?).cloned().map(Task).collect())
}

/// The image in a service's or a task's spec.
pub(super) fn image_of(template: &Value) -> &str {
    text(&template["ContainerSpec"]["Image"])
}

/// The digest that an image is pinned to; nothing where it is not.
pub(crate) fn digest_in(image: &str) -> Option<&str> {
    image.split_once('@').map(|(_, digest)| digest)
}

impl Service {
    pub fn id(&self) -> &str {
        text(&self.0["ID"])
    }

    pub fn name(&self) -> &str {
        text(&self.0["Spec"]["Name"])
    }

    pub fn spec(&self) -> &Value {
        &self.0["Spec"]
    }

    /// What its tasks are made from.
    pub fn template(&self) -> &Value {
        &self.0["Spec"]["TaskTemplate"]
    }

    /// The image in its spec: `reference@digest` where Swarm has pinned it.
    pub fn image(&self) -> &str {
        image_of(self.template())
    }

    /// The digest in its spec.
    pub fn digest(&self) -> Option<&str> {
        digest_in(self.image())
    }

    /// The spec that Swarm would go back to.
    pub fn previous(&self) -> Option<&Value> {
        Some(&self.0["PreviousSpec"]).filter(|spec| spec.is_object())
    }

    /// The number by which Swarm tells that nobody has changed it in between.
    pub fn version(&self) -> u64 {
        self.0["Version"]["Index"].as_u64().unwrap_or(0)
    }

    /// How Swarm's last update of it stands; empty where there was none.
    pub fn update_state(&self) -> &str {
        text(&self.0["UpdateStatus"]["State"])
    }

    /// When Swarm began its last update.
    pub fn update_began(&self) -> Option<&str> {
        self.0["UpdateStatus"]["StartedAt"].as_str()
    }

    /// A setting of its `update_config`; `Null` where nobody has set it.
    pub fn update_config(&self, key: &str) -> &Value {
        &self.0["Spec"]["UpdateConfig"][key]
    }
}

impl Task {
    pub fn id(&self) -> &str {
        text(&self.0["ID"])
    }

    pub fn service(&self) -> &str {
        text(&self.0["ServiceID"])
    }

    pub fn node(&self) -> &str {
        text(&self.0["NodeID"])
    }

    pub fn image(&self) -> &str {
        image_of(&self.0["Spec"])
    }

    pub fn state(&self) -> &str {
        text(&self.0["Status"]["State"])
    }

    /// Whether Swarm wants it to run.
    pub fn is_wanted(&self) -> bool {
        matches!(text(&self.0["DesiredState"]), "running" | "ready")
    }

    pub fn is_running(&self) -> bool {
        self.state() == "running" && self.is_wanted()
    }

    /// Whether it ended by itself: Swarm's own stopping is `shutdown`.
    pub fn has_ended(&self) -> bool {
        matches!(self.state(), "complete" | "failed" | "rejected" | "orphaned")
    }

    /// When its state changed last.
    pub fn since(&self) -> Option<jiff::Timestamp> {
        text(&self.0["Status"]["Timestamp"]).parse().ok()
    }

    pub fn made_at(&self) -> Option<jiff::Timestamp> {
        text(&self.0["CreatedAt"]).parse().ok()
    }

    pub fn exit_code(&self) -> Option<i64> {
        self.0["Status"]["ContainerStatus"]["ExitCode"].as_i64()
    }

    /// Its container, on its own node.
    pub fn container(&self) -> Option<&str> {
        self.0["Status"]["ContainerStatus"]["ContainerID"].as_str().filter(|id| !id.is_empty())
    }

    /// Why it is not running, in Swarm's words.
    pub fn words(&self) -> String {
        let status = &self.0["Status"];
        let words =
            [text(&status["Err"]), text(&status["Message"])].into_iter().find(|text| !text.is_empty());
        printable(words.unwrap_or_else(|| self.state()), 300)
    }
}

/// Published TCP ports, by the port inside: the port outside, and whether only the task's own node has it.
pub(crate) fn published(service: &Service) -> BTreeMap<u16, (u16, bool)> {
    let ports = list(&service.0["Endpoint"]["Ports"]).filter(|port| port["Protocol"] == "tcp");
    let number = |value: &Value| value.as_u64().and_then(|n| u16::try_from(n).ok()).filter(|n| *n > 0);
    ports
        .filter_map(|port| {
            let on_node = port["PublishMode"] == "host";
            Some((number(&port["TargetPort"])?, (number(&port["PublishedPort"])?, on_node)))
        })
        .collect()
}
