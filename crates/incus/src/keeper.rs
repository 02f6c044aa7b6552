//! An instance from outside: its server's own snapshots of it, and its power.

use async_trait::async_trait;
use hyper::Method;
use patchyard_contract::{Keeper, KeeperError};
use patchyard_types::{SavedDisks, printable};
use serde_json::json;

use crate::client::target;
use crate::{Client, IncusError, InstanceName};

/// What keeps an instance.
#[derive(Debug, Clone)]
pub struct InstanceKeeper {
    client: Client,
    instance: InstanceName,
}

impl InstanceKeeper {
    /// Who keeps that instance.
    #[must_use]
    pub fn new(client: Client, instance: InstanceName) -> Self {
        Self { client, instance }
    }

    async fn status(&self) -> Result<String, KeeperError> {
        let instance = self.client.instance(&self.instance).await?;
        Ok(instance.status)
    }

    async fn has(&self, name: &str) -> Result<bool, KeeperError> {
        let snapshots = self.client.snapshots(&self.instance).await?;
        Ok(snapshots.iter().any(|snapshot| snapshot.name == name))
    }
}

/// The whole instance is in it.
fn whole(name: &str) -> SavedDisks {
    SavedDisks { name: name.to_owned(), disks: Vec::new(), left_out: Vec::new() }
}

impl From<IncusError> for KeeperError {
    fn from(error: IncusError) -> Self {
        let words = printable(&error.to_string(), 500);
        let is_denied = matches!(error, IncusError::NotPermitted { .. } | IncusError::NotTrusted { .. });
        match error {
            _ if is_denied || error.outcome_unknown() || matches!(error, IncusError::Unreachable { .. }) => {
                Self::Unreachable(words)
            }
            _ if words.contains("No space left") || words.contains("Not enough space") => {
                Self::NoSpace(words)
            }
            _ => Self::Refused(words),
        }
    }
}

#[async_trait]
impl Keeper for InstanceKeeper {
    async fn is_running(&self) -> Result<bool, KeeperError> {
        Ok(self.status().await? == "Running")
    }

    async fn start(&self) -> Result<(), KeeperError> {
        let action = match &*self.status().await? {
            "Running" => return Ok(()),
            "Frozen" => "unfreeze",
            _ => "start",
        };
        let path = ["instances", &self.instance.name, "state"];
        let target = target(&path, &[("project", &self.instance.project)]);
        let body = json!({"action": action, "timeout": 30});
        let started = self.client.operate(Method::PUT, &target, Some(&body)).await;
        match started {
            // Somebody else was quicker.
            Err(_) if self.is_running().await? => Ok(()),
            started => Ok(started?),
        }
    }

    /// How much room a pool has it tells only some; what does not fit it refuses.
    async fn save(&self, name: &str, _: u64) -> Result<SavedDisks, KeeperError> {
        if !self.has(name).await? {
            self.client.create_snapshot(&self.instance, name).await?;
        }
        Ok(whole(name))
    }

    async fn saved(&self, name: &str) -> Result<Option<SavedDisks>, KeeperError> {
        Ok(self.has(name).await?.then(|| whole(name)))
    }

    /// Of what it shares with the instance only some kinds of storage know how much it is.
    async fn takes(&self, _: &str) -> Result<Option<u64>, KeeperError> {
        Ok(None)
    }

    async fn all_saved(&self, prefix: &str) -> Result<Vec<String>, KeeperError> {
        let snapshots = self.client.snapshots(&self.instance).await?;
        Ok(snapshots
            .into_iter()
            .map(|snapshot| snapshot.name)
            .filter(|name| name.starts_with(prefix))
            .collect())
    }

    async fn put_back(&self, name: &str) -> Result<(), KeeperError> {
        if self.has(name).await? {
            self.client.restore(&self.instance, name).await?;
            self.start().await?;
            return self.forget(name).await;
        }
        self.start().await
    }

    async fn forget(&self, name: &str) -> Result<(), KeeperError> {
        match self.client.delete_snapshot(&self.instance, name).await {
            Err(IncusError::NotFound { .. }) => Ok(()),
            deleted => Ok(deleted?),
        }
    }
}
