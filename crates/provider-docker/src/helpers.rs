//! Helpers: throw-away containers, each made under a name of its own and removed whatever happens.
//!
//! The engine makes and removes by name, and goes on when nobody waits any more. So one name has at most one
//! creation and one removal under way: whoever uses it again waits for both, or it would lose its new helper to
//! the removal of the old one. Removals are tasks of their own, which nobody breaks off by not waiting. A process
//! that dies in the middle leaves a helper behind: the next of the same name removes it, or `gc`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;

use crate::DockerProvider;
use crate::client::ApiError;
use crate::layer::image;
use crate::read::own;

/// How often it is looked whether somebody else has finished.
const LOOKS: Duration = Duration::from_millis(50);
/// How often a removal is tried while the engine says that one is under way.
const TRIES: usize = 20;

/// Helpers that have not been removed yet, by name.
#[derive(Debug, Default)]
pub(crate) struct Helpers(Mutex<BTreeMap<String, State>>);

/// What is under way with a helper.
#[derive(Debug, Default)]
struct State {
    is_being_made: bool,
    is_being_removed: bool,
}

impl Helpers {
    fn states(&self) -> MutexGuard<'_, BTreeMap<String, State>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, name: &str) {
        self.states().entry(name.to_owned()).or_default();
    }

    fn set_being_made(&self, name: &str, now: bool) {
        self.states().entry(name.to_owned()).or_default().is_being_made = now;
    }

    fn is_being_made(&self, name: &str) -> bool {
        self.states().get(name).is_some_and(|state| state.is_being_made)
    }

    /// Takes its removal over; false when somebody else is at it.
    fn begin_removal(&self, name: &str) -> bool {
        let mut states = self.states();
        let state = states.entry(name.to_owned()).or_default();
        !std::mem::replace(&mut state.is_being_removed, true)
    }

    fn forget(&self, name: &str) {
        self.states().remove(name);
    }

    fn all(&self) -> Vec<String> {
        self.states().keys().cloned().collect()
    }

    /// Removes all that are still there, and waits until they are gone.
    pub(crate) async fn remove_all(&self, docker: &DockerProvider) {
        for name in self.all() {
            remove(docker, &name).await;
        }
    }
}

/// What of a helper goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    Container,
    /// And the images that were committed of it, or for it.
    WithCommits,
}

/// The name of a helper, for which this is responsible: the helper goes when this is dropped, at the latest, also one
/// whose creation nobody saw the end of.
pub(crate) struct Guard {
    docker: DockerProvider,
    name: String,
    extent: Extent,
    is_gone: bool,
}

impl Guard {
    /// Of a helper that nothing is committed of.
    pub(crate) fn new(docker: &DockerProvider, name: String) -> Self {
        Self::of(docker, name, Extent::Container)
    }

    /// Of a helper together with what is committed of it or for it.
    pub(crate) fn with_commits(docker: &DockerProvider, name: String) -> Self {
        Self::of(docker, name, Extent::WithCommits)
    }

    fn of(docker: &DockerProvider, name: String, extent: Extent) -> Self {
        docker.helpers.add(&name);
        // Whoever keeps helpers is not kept by them.
        let docker = DockerProvider { shelf: Arc::default(), ..docker.clone() };
        Self { docker, name, extent, is_gone: false }
    }

    /// The helper's name, which the engine takes for its id.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn docker(&self) -> &DockerProvider {
        &self.docker
    }

    /// Creates the container. The engine makes it even when nobody waits any more.
    pub(crate) async fn create(&self, request: Value) -> Result<(), ApiError> {
        let (client, live) = (self.docker.client.clone(), Arc::clone(&self.docker.helpers));
        let name = self.name.clone();
        live.set_being_made(&name, true);
        let making = tokio::spawn(async move {
            let create = client.post(&["containers", "create"]).query("name", &name).json_body(&request);
            let made = create.timeout(Duration::from_secs(120)).done().await;
            live.set_being_made(&name, false);
            made
        });
        making.await.map_err(|error| ApiError::protocol(format!("creating a container: {error}")))?
    }

    /// Removes the container alone and waits until it is gone; what was committed of it stays, and this remains
    /// responsible for that.
    pub(crate) async fn remove_container(&self) {
        remove(&self.docker, &self.name).await;
    }

    /// Its container is gone, and what was committed of it belongs to somebody else.
    pub(crate) fn release(mut self) {
        self.is_gone = true;
    }

    /// Removes everything and waits until it is gone. Dropping does the same without waiting.
    pub(crate) async fn finish(mut self) {
        removal(&self.docker, &self.name, self.extent).await;
        self.is_gone = true;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.is_gone {
            return;
        }
        // Where no runtime is left to remove it, or the process ends before it has, `settle` and `gc` do.
        if let Ok(runtime) = tokio::runtime::Handle::try_current()
            && self.docker.helpers.begin_removal(&self.name)
        {
            runtime.spawn(end(self.docker.clone(), self.name.clone(), self.extent));
        }
    }
}

/// Removes a helper of this name, whoever has made it.
pub(crate) async fn remove(docker: &DockerProvider, name: &str) {
    removal(docker, name, Extent::Container).await;
}

/// Removes a helper of this name and what was committed of it, whoever has made them.
pub(crate) async fn remove_with_commits(docker: &DockerProvider, name: &str) {
    removal(docker, name, Extent::WithCommits).await;
}

async fn removal(docker: &DockerProvider, name: &str, extent: Extent) {
    while !docker.helpers.begin_removal(name) {
        tokio::time::sleep(LOOKS).await;
    }
    // Nothing can be done about a removal that panics.
    let _ = tokio::spawn(end(docker.clone(), name.to_owned(), extent)).await;
}

/// A removal that has begun. A helper that cannot be removed ends by itself.
async fn end(docker: DockerProvider, name: String, extent: Extent) {
    let live = &docker.helpers;
    while live.is_being_made(&name) {
        tokio::time::sleep(LOOKS).await;
    }
    for _ in 0..TRIES {
        let removed = docker
            .client
            .delete(&["containers", &name])
            .query("force", "1")
            .query("v", own::with_volumes(&name))
            .done()
            .await;
        match removed {
            // Another process is removing it; it is gone when the engine says so.
            Err(error) if error.is_conflict() => tokio::time::sleep(LOOKS * 2).await,
            _ => break,
        }
    }
    if extent == Extent::WithCommits {
        image::remove_intermediates(&docker.client, &name).await;
    }
    live.forget(&name);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_helper_is_removed_by_one_at_a_time() {
        let helpers = Helpers::default();
        helpers.add("a");
        helpers.set_being_made("a", true);
        assert!(helpers.begin_removal("a"));
        assert!(!helpers.begin_removal("a") && helpers.is_being_made("a"));
        helpers.set_being_made("a", false);
        helpers.forget("a");
        assert_eq!(helpers.all(), [""; 0]);
        // One that another process has left is removed by one at a time, too.
        assert!(helpers.begin_removal("a") && !helpers.begin_removal("a"));
    }
}
