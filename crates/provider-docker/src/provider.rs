//! The provider's contract, each question handed to the room that answers it.

use std::path::Path;

use async_trait::async_trait;
use patchyard_contract::{Ask, Call, Leftover, Provider, ProviderError};
use patchyard_types::{
    Failure, FailureKind, HostId, HostManager, ImageUpdate, Inventory, Observation, PackageChange,
    PendingPatch, Probe, Record, RunId, Snapshot, Step, StepError, Subject, TagMove, Target, TargetKind,
    Unsaved,
};

use crate::client::EngineKind;
use crate::{DockerProvider, ask, gc, observe, read, registry, service, snapshot, swap, tags};

/// Whether it is Swarm's; all others are containers.
fn is_service(target: &Target) -> bool {
    target.kind == TargetKind::Service
}

#[async_trait]
impl Provider for DockerProvider {
    fn kind(&self) -> &'static str {
        "docker"
    }

    fn host(&self) -> &HostId {
        &self.host
    }

    fn describe(&self) -> String {
        let engine = match self.client.kind() {
            EngineKind::Docker => "Docker",
            EngineKind::Podman => "Podman",
        };
        let version = self.client.engine_version();
        // The third number and what distributions append say nothing to people.
        let short: Vec<&str> = version.split('.').take(2).collect();
        format!("{engine} {} on {}", patchyard_types::printable(&short.join("."), 20), self.host_name)
    }

    async fn managers(&self) -> Vec<HostManager> {
        read::host_managers(self).await
    }

    async fn discover(&self) -> Result<Vec<Target>, ProviderError> {
        read::discover(self).await
    }

    async fn instance(&self) -> Result<String, ProviderError> {
        // The default bridge is made anew, with a new id, by every start of an engine.
        let bridge = match self.client.get(&["networks", "bridge"]).json().await {
            Ok(network) => network["Id"].as_str().unwrap_or_default().to_owned(),
            Err(error) if error.is_not_found() => String::new(),
            Err(error) => return Err(self.error(error)),
        };
        Ok(format!("{} {bridge}", self.info["Name"].as_str().unwrap_or_default()))
    }

    async fn inventory(&self, target: &Target) -> Result<Inventory, ProviderError> {
        match is_service(target) {
            false => read::inventory(self, target).await,
            true => read::inventory(self, &service::stand_in(self, target).await?).await,
        }
    }

    async fn pending(
        &self,
        target: &Target,
        inventory: &Inventory,
        ask: &Ask,
    ) -> Result<Vec<PendingPatch>, ProviderError> {
        match is_service(target) {
            false => ask::pending(self, target, inventory, ask).await,
            true => ask::pending(self, &service::stand_in(self, target).await?, inventory, ask).await,
        }
    }

    async fn newer_image(&self, target: &Target) -> Result<Option<ImageUpdate>, ProviderError> {
        match is_service(target) {
            false => registry::newer_image(self, target).await,
            true => service::newer_image(self, target).await,
        }
    }

    async fn unsaved(&self, target: &Target) -> Result<Unsaved, ProviderError> {
        match is_service(target) {
            false => read::unsaved(self, target).await,
            // Swarm throws its tasks away whenever it likes.
            true => Ok(Unsaved::default()),
        }
    }

    async fn fetch(&self, target: &Target, packages: &[PackageChange]) -> Result<(), ProviderError> {
        ask::fetch(self, target, packages).await
    }

    async fn perform(&self, call: &Call) -> Result<Record, StepError> {
        match call.step {
            Step::Swap(_) => swap::perform(self, call).await,
            Step::Service(step) => service::perform(self, call, step).await,
            Step::Machine(step) => {
                let message = format!("an engine has no step '{step}' of a machine's");
                Err(StepError::Failed(Failure::new(FailureKind::Refused, message)))
            }
        }
    }

    async fn probe(&self, call: &Call) -> Result<Probe, ProviderError> {
        match call.step {
            Step::Swap(_) => swap::probe(self, call).await,
            Step::Service(step) => service::probe(self, call, step).await,
            Step::Machine(step) => {
                Ok(Probe::CannotTell { reason: format!("an engine has no step '{step}' of a machine's") })
            }
        }
    }

    async fn observe(&self, call: &Call, subject: Subject) -> Result<Observation, ProviderError> {
        observe::observe(self, call, subject).await
    }

    async fn move_tag(&self, tag: &TagMove, image: &str) -> Result<Option<String>, ProviderError> {
        tags::move_tag(self, tag, image).await
    }

    async fn export_image(&self, image: &str, to: &Path) -> Result<(), ProviderError> {
        tags::export_image(self, image, to).await
    }

    async fn remove_snapshot(&self, snapshot: &Snapshot) -> Result<(), ProviderError> {
        snapshot::remove(self, snapshot).await
    }

    async fn leftovers(
        &self,
        unfinished: &[RunId],
        kept: &[Snapshot],
    ) -> Result<Vec<Leftover>, ProviderError> {
        gc::leftovers(self, unfinished, kept).await
    }

    async fn collect(&self, leftover: &Leftover) -> Result<(), ProviderError> {
        gc::collect(self, leftover).await
    }

    /// Its helpers. They end by themselves otherwise, but only after a while.
    async fn settle(&self) {
        self.shelf.clear();
        self.helpers.remove_all(self).await;
    }
}
