//! The way to the hosts, with the points in every provider that is reached.

use std::sync::Arc;

use async_trait::async_trait;
use patchyard_app::{Context, Error, Reach, Reached};
use patchyard_contract::Provider;

use super::Points;
use super::provider::CrashingProvider;
use super::store::CrashingStore;

/// The same context, but the process dies where the environment says.
#[must_use]
pub fn crashing(context: Context) -> Context {
    let points = Arc::new(Points::from_environment());
    let Context { store, reach, .. } = context;
    Context {
        store: Arc::new(CrashingStore { inner: store, points: Arc::clone(&points) }),
        reach: Box::new(CrashingReach { inner: reach, points }),
        ..context
    }
}

struct CrashingReach {
    inner: Box<dyn Reach>,
    points: Arc<Points>,
}

#[async_trait]
impl Reach for CrashingReach {
    async fn reach(&self) -> Result<Vec<Reached>, Error> {
        let crashing = |inner: Arc<dyn Provider>| -> Arc<dyn Provider> {
            Arc::new(CrashingProvider { inner, points: Arc::clone(&self.points) })
        };
        let reached = self.inner.reach().await?.into_iter();
        Ok(reached
            .map(|Reached { name, provider, asleep }| {
                let (provider, asleep) = (provider.map(crashing), asleep.map(crashing));
                Reached { name, provider, asleep }
            })
            .collect())
    }

    async fn settle(&self) {
        self.inner.settle().await;
    }
}
