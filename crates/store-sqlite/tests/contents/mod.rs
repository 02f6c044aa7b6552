//! All that is in a store, as a value that can be written down and compared.

use std::collections::BTreeMap;

use jiff::Timestamp;
use patchyard_contract::{Store as _, StoreError};
use patchyard_store_sqlite::SqliteStore;
use patchyard_types::{Event, Plan, PlanDigest, RolloutEvent, RunId, Stream};
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Contents {
    pub controller: String,
    /// The head of the hash chain, as it is printed.
    pub head: String,
    pub events: Vec<Event>,
    /// By their digest.
    pub plans: BTreeMap<PlanDigest, Plan>,
    pub answers: BTreeMap<String, (Timestamp, String)>,
}

impl Contents {
    /// Reads the ledger, every rollout, every run that a rollout speaks of, every plan, and the
    /// answers to these keys.
    pub async fn of(store: &SqliteStore, keys: &[&str]) -> Result<Self, StoreError> {
        let mut events = store.read(Stream::Ledger, 0).await?;
        for rollout in store.rollouts().await? {
            let of_rollout = store.read(Stream::Rollout(rollout), 0).await?;
            for event in &of_rollout {
                if let patchyard_types::EventBody::Rollout(RolloutEvent::RunStarted { action }) = event.body {
                    events.extend(store.read(Stream::Run(RunId { rollout, action }), 0).await?);
                }
            }
            events.extend(of_rollout);
        }
        let mut plans = BTreeMap::new();
        for digest in store.find_plans("").await? {
            plans.extend(store.load_plan(&digest).await?.map(|plan| (digest, plan)));
        }
        let mut answers = BTreeMap::new();
        for key in keys {
            answers.extend(store.recall(key).await?.map(|answer| ((*key).to_owned(), answer)));
        }
        let head = store.audit_head().await?.to_string();
        Ok(Self { controller: store.controller().to_owned(), head, events, plans, answers })
    }
}
