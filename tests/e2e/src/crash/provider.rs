//! The provider, and the points in the middle of every effect: shortly after it has begun, and wherever
//! it says what it is at.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use patchyard_contract::{Ask, Call, Leftover, Note, Progress, Provider, ProviderError};
use patchyard_types::{
    Direction, HostId, ImageUpdate, Inventory, Observation, PackageChange, PendingPatch, Probe, Record,
    RunId, Snapshot, StepError, Subject, TagMove, Target, Unsaved,
};

use super::{Points, store};

pub(super) struct CrashingProvider {
    pub(super) inner: Arc<dyn Provider>,
    pub(super) points: Arc<Points>,
}

fn middle(call: &Call) -> String {
    format!("{} middle {}", call.run, store::step(call.step, call.direction))
}

/// The remarks of one call, each a point.
struct Notes {
    inner: Option<Arc<dyn Progress>>,
    points: Arc<Points>,
    run: RunId,
}

impl Progress for Notes {
    fn note(&self, note: Note) {
        self.points.pass(&format!("{} note {}", self.run, words(&note.text)));
        if let Some(inner) = &self.inner {
            inner.note(note);
        }
    }
}

/// A remark without what another run of the same scenario calls otherwise: names and numbers.
fn words(text: &str) -> String {
    let is_name = |word: &&str| word.contains(|c: char| c == '/' || c.is_ascii_digit());
    text.split_whitespace().filter(|word| !is_name(word)).collect::<Vec<_>>().join(" ")
}

#[async_trait]
impl Provider for CrashingProvider {
    async fn perform(&self, call: &Call) -> Result<Record, StepError> {
        let notes = Notes { inner: call.progress.clone(), points: Arc::clone(&self.points), run: call.run };
        let noted = Call { progress: Some(Arc::new(notes)), ..call.clone() };
        self.points.pass_during(&middle(call), self.inner.perform(&noted)).await
    }

    async fn observe(&self, call: &Call, subject: Subject) -> Result<Observation, ProviderError> {
        let looks_only =
            call.step.is_verify() || (call.step.is_preflight() && call.direction == Direction::Undo);
        if looks_only {
            // The engine's own step: looking is all there is to it.
            return self.points.pass_during(&middle(call), self.inner.observe(call, subject)).await;
        }
        self.inner.observe(call, subject).await
    }

    async fn move_tag(&self, tag: &TagMove, image: &str) -> Result<Option<String>, ProviderError> {
        self.points.pass_during("middle tag", self.inner.move_tag(tag, image)).await
    }

    async fn export_image(&self, image: &str, to: &Path) -> Result<(), ProviderError> {
        self.points.pass_during("middle copy", self.inner.export_image(image, to)).await
    }

    async fn remove_snapshot(&self, snapshot: &Snapshot) -> Result<(), ProviderError> {
        self.points.pass_during("middle prune", self.inner.remove_snapshot(snapshot)).await
    }

    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    fn host(&self) -> &HostId {
        self.inner.host()
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn is_kept(&self) -> bool {
        self.inner.is_kept()
    }

    async fn instance(&self) -> Result<String, ProviderError> {
        self.inner.instance().await
    }

    async fn discover(&self) -> Result<Vec<Target>, ProviderError> {
        self.inner.discover().await
    }

    async fn inventory(&self, target: &Target) -> Result<Inventory, ProviderError> {
        self.inner.inventory(target).await
    }

    async fn pending(
        &self,
        target: &Target,
        inventory: &Inventory,
        ask: &Ask,
    ) -> Result<Vec<PendingPatch>, ProviderError> {
        self.inner.pending(target, inventory, ask).await
    }

    async fn newer_image(&self, target: &Target) -> Result<Option<ImageUpdate>, ProviderError> {
        self.inner.newer_image(target).await
    }

    async fn unsaved(&self, target: &Target) -> Result<Unsaved, ProviderError> {
        self.inner.unsaved(target).await
    }

    async fn fetch(&self, target: &Target, packages: &[PackageChange]) -> Result<(), ProviderError> {
        self.inner.fetch(target, packages).await
    }

    async fn settle(&self) {
        self.inner.settle().await;
    }

    async fn probe(&self, call: &Call) -> Result<Probe, ProviderError> {
        self.inner.probe(call).await
    }

    async fn leftovers(
        &self,
        unfinished: &[RunId],
        kept: &[Snapshot],
    ) -> Result<Vec<Leftover>, ProviderError> {
        self.inner.leftovers(unfinished, kept).await
    }

    async fn collect(&self, leftover: &Leftover) -> Result<(), ProviderError> {
        self.inner.collect(leftover).await
    }
}
