//! The provider's contract, each question handed to the room that answers it.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use patchyard_contract::{Ask, Call, Leftover, Provider, ProviderError};
use patchyard_guest::Guest;
use patchyard_types::{
    HostId, HostManager, ImageUpdate, Inventory, Observation, PackageChange, PendingPatch, Probe, Record,
    RunId, Snapshot, StepError, Subject, TagMove, Target, Unsaved,
};

use crate::{HostProvider, Kept, facts, kept, leftovers, observe, patch, read};

/// What a machine is asked that only containers can do: a broken plan.
fn never() -> ProviderError {
    ProviderError::NoAnswer { reason: "a machine has no images".to_owned(), hint: String::new() }
}

#[async_trait]
impl Provider for HostProvider {
    fn kind(&self) -> &'static str {
        self.options.kind
    }

    fn host(&self) -> &HostId {
        &self.host
    }

    fn describe(&self) -> String {
        let os = self.facts.os.as_ref().map_or("Linux", |os| os.pretty_name.as_str());
        format!("{} at {}", patchyard_types::printable(os, 60), self.options.name)
    }

    fn is_kept(&self) -> bool {
        self.options.kept.is_some()
    }

    async fn managers(&self) -> Vec<HostManager> {
        self.facts.managers.clone()
    }

    async fn discover(&self) -> Result<Vec<Target>, ProviderError> {
        Ok(vec![read::target(self)])
    }

    async fn instance(&self) -> Result<String, ProviderError> {
        Ok(facts::ask(&*self.transport, &self.options.name).await?.instance)
    }

    async fn inventory(&self, _: &Target) -> Result<Inventory, ProviderError> {
        read::inventory(self).await
    }

    async fn pending(
        &self,
        _: &Target,
        inventory: &Inventory,
        ask: &Ask,
    ) -> Result<Vec<PendingPatch>, ProviderError> {
        read::pending(self, inventory, ask).await
    }

    async fn newer_image(&self, _: &Target) -> Result<Option<ImageUpdate>, ProviderError> {
        Ok(None)
    }

    async fn unsaved(&self, _: &Target) -> Result<Unsaved, ProviderError> {
        Ok(Unsaved::default())
    }

    async fn fetch(&self, _: &Target, packages: &[PackageChange]) -> Result<(), ProviderError> {
        let guest = Guest::open(Arc::clone(&self.transport)).await;
        let guest = guest.map_err(|error| patch::no_answer(self, error))?;
        patch::fetch(self, &guest, packages).await
    }

    async fn perform(&self, call: &Call) -> Result<Record, StepError> {
        patch::perform(self, call).await
    }

    async fn probe(&self, call: &Call) -> Result<Probe, ProviderError> {
        patch::probe(self, call).await
    }

    async fn observe(&self, call: &Call, _: Subject) -> Result<Observation, ProviderError> {
        // It is the same machine before and after.
        observe::observe(self, call).await
    }

    async fn move_tag(&self, _: &TagMove, _: &str) -> Result<Option<String>, ProviderError> {
        Err(never())
    }

    async fn export_image(&self, _: &str, _: &Path) -> Result<(), ProviderError> {
        Err(never())
    }

    fn keeps_snapshots_on(&self) -> HostId {
        match &self.options.kept {
            Some(Kept { by, .. }) => HostId::new(format!("keeper {by}")),
            None => self.host.clone(),
        }
    }

    async fn snapshot_takes(&self, snapshot: &Snapshot) -> Result<Option<u64>, ProviderError> {
        match &snapshot.disks {
            Some(disks) => kept::takes(self, &disks.name).await,
            None => Ok(Some(0)),
        }
    }

    async fn remove_snapshot(&self, snapshot: &Snapshot) -> Result<(), ProviderError> {
        // Its packages are in the controller's cache.
        match &snapshot.disks {
            Some(disks) => kept::forget(self, &disks.name).await,
            None => Ok(()),
        }
    }

    async fn leftovers(
        &self,
        unfinished: &[RunId],
        kept: &[Snapshot],
    ) -> Result<Vec<Leftover>, ProviderError> {
        leftovers::leftovers(self, unfinished, kept).await
    }

    async fn collect(&self, leftover: &Leftover) -> Result<(), ProviderError> {
        leftovers::collect(self, leftover).await
    }
}
