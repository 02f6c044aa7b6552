//! What a naive recreate loses, and that a swap does not: every test first shows the loss on one
//! container, then that an equal one comes through. docs/kept.md lists them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what fails is a failed test")]

mod documented;
mod files;
mod naive;
mod namespaces;
mod networks;
mod own;
mod settings;
mod stopping;
mod volumes;
#[path = "../yard/mod.rs"]
mod yard;

use patchyard_types::{Snapshot, SwapStep};
use serde_json::Value;

use yard::{Hand, RealYard, derive};

/// A container for the naive way and an equal one for ours.
struct Pair {
    naive: RealYard,
    ours: RealYard,
}

impl Pair {
    async fn new(shape: impl Fn(&mut Value, &str)) -> Self {
        Self { naive: RealYard::with(&shape).await, ours: RealYard::with(&shape).await }
    }

    /// Both on another image than the lab's.
    async fn of_image(image: &str, shape: impl Fn(&mut Value, &str)) -> Self {
        Self { naive: RealYard::of_image(image, &shape).await, ours: RealYard::of_image(image, &shape).await }
    }

    /// Runs a command in both.
    async fn exec(&self, argv: &[&str]) {
        for yard in [&self.naive, &self.ours] {
            yard.exec(&yard.name, argv).await;
        }
    }
}

/// Recreates the naive way onto an image with these instructions more.
async fn naively(
    yard: &RealYard,
    changes: &[&str],
) -> Result<(), patchyard_provider_docker::client::ApiError> {
    naively_from(naive::From::Differing, yard, changes).await
}

async fn naively_from(
    from: naive::From,
    yard: &RealYard,
    changes: &[&str],
) -> Result<(), patchyard_provider_docker::client::ApiError> {
    let to = format!("{}:2", yard.name);
    derive(&yard.reference, &to, changes);
    naive::recreate(yard.client(), &yard.name, &to, from).await
}

/// Swaps our way onto an image with these instructions more, and returns the snapshot.
async fn swap(yard: &mut RealYard, rollout: u64, changes: &[&str]) -> Snapshot {
    let image = yard.plan_image(&format!("new-{rollout}"), changes).await;
    let mut hand = Hand::with_image(yard, &image);
    hand.run.rollout = patchyard_types::RolloutId(rollout);
    hand.swapped().await
}

/// Goes back to a snapshot, and returns the one of what was left.
async fn restore(yard: &mut RealYard, rollout: u64, snapshot: &Snapshot) -> Snapshot {
    yard.plan_restore(&snapshot.id).await;
    Hand::of(yard, rollout).swapped().await
}

/// A hand on a planned yard that has done the preflight.
async fn preflown<'a>(yard: &'a RealYard, image: &str) -> Hand<'a> {
    let mut hand = Hand::with_image(yard, image);
    hand.doing(SwapStep::Preflight).await;
    hand
}

/// A file of a container; nothing where it is not there.
async fn file(yard: &RealYard, path: &str) -> String {
    yard.exec(&yard.name, &["sh", "-c", &format!("cat {path} 2>/dev/null || true")]).await
}

/// Makes a yard's target anew from a request of its own.
async fn replace(yard: &RealYard, body: &Value) {
    yard.remove().await;
    yard.run(&yard.name, body).await;
}
