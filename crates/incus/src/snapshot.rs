//! Snapshots of an instance: its disk at one moment, with its configuration, without its memory.

use hyper::Method;
use patchyard_types::printable;
use serde_json::{Value, json};

use crate::client::target;
use crate::{Client, IncusError, InstanceName};

/// A snapshot of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Its name, unique in the instance.
    pub name: String,
    /// When it was taken, as the server writes it: RFC 3339.
    pub created_at: String,
    /// Whether the memory is in it.
    pub stateful: bool,
}

impl Client {
    /// The snapshots of an instance, oldest first.
    ///
    /// # Errors
    /// See [`IncusError`].
    pub async fn snapshots(&self, instance: &InstanceName) -> Result<Vec<Snapshot>, IncusError> {
        let path = ["instances", &instance.name, "snapshots"];
        let target = target(&path, &[("project", &instance.project), ("recursion", "1")]);
        let answer = self.call(Method::GET, &target, None).await?;
        let listed = answer.as_array().ok_or_else(|| IncusError::protocol(&target, "it is no list"))?;
        let word = |value: &Value| value.as_str().map(|word| printable(word, 200));
        let mut snapshots = Vec::with_capacity(listed.len());
        for one in listed {
            // Older servers put the instance's name before it.
            let name = word(&one["name"]).map(|name| name.rsplit('/').next().unwrap_or_default().to_owned());
            snapshots.push(Snapshot {
                name: name.ok_or_else(|| IncusError::protocol(&target, "a snapshot without a name"))?,
                created_at: word(&one["created_at"]).unwrap_or_default(),
                stateful: one["stateful"] == true,
            });
        }
        snapshots.sort_by(|a, b| (&a.created_at, &a.name).cmp(&(&b.created_at, &b.name)));
        Ok(snapshots)
    }

    /// Takes a snapshot, without memory. A name that is in use is refused.
    ///
    /// # Errors
    /// See [`IncusError`]. With [`IncusError::outcome_unknown`] the list of snapshots tells.
    pub async fn create_snapshot(&self, instance: &InstanceName, name: &str) -> Result<(), IncusError> {
        let path = ["instances", &instance.name, "snapshots"];
        let target = target(&path, &[("project", &instance.project)]);
        let body = json!({"name": name, "stateful": false});
        self.operate(Method::POST, &target, Some(&body)).await
    }

    /// Puts an instance back to a snapshot: its disk and its configuration. One that runs is stopped before and
    /// started afterwards, by the server.
    ///
    /// # Errors
    /// See [`IncusError`]. With [`IncusError::outcome_unknown`] it may be done by half, and can be done again.
    pub async fn restore(&self, instance: &InstanceName, snapshot: &str) -> Result<(), IncusError> {
        let target = target(&["instances", &instance.name], &[("project", &instance.project)]);
        let body = json!({"restore": snapshot, "stateful": false});
        self.operate(Method::PUT, &target, Some(&body)).await
    }

    /// Removes a snapshot.
    ///
    /// # Errors
    /// [`IncusError::NotFound`] when there is none of that name; else see [`IncusError`].
    pub async fn delete_snapshot(&self, instance: &InstanceName, name: &str) -> Result<(), IncusError> {
        let path = ["instances", &instance.name, "snapshots", name];
        let target = target(&path, &[("project", &instance.project)]);
        self.operate(Method::DELETE, &target, None).await
    }
}
