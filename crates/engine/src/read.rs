//! Read models: folds of the store's events.

use patchyard_contract::Store;
use patchyard_decide::rollout::RolloutState;
use patchyard_types::{
    EventBody, LedgerEvent, Plan, Quarantine, QuarantineId, RolloutEvent, RolloutId, Stream,
};

use crate::EngineError;

/// A rollout's plan and state.
pub(crate) async fn rollout(
    store: &dyn Store,
    rollout: RolloutId,
) -> Result<(Plan, RolloutState), EngineError> {
    let events = store.read(Stream::Rollout(rollout), 0).await?;
    let digest = events.iter().find_map(|event| match &event.body {
        EventBody::Rollout(RolloutEvent::Started { plan, .. }) => Some(*plan),
        _ => None,
    });
    let digest = digest.ok_or(EngineError::NoRollout { rollout })?;
    let plan = store.load_plan(&digest).await?.ok_or(EngineError::NoPlan { rollout })?;
    let state = RolloutState::fold(&plan, &events);
    Ok((plan, state))
}

/// What is in quarantine now.
///
/// # Errors
/// When the store cannot be read.
pub async fn quarantine(store: &dyn Store) -> Result<Vec<(QuarantineId, Quarantine)>, EngineError> {
    let mut ledger = Ledger::default();
    ledger.refresh(store).await?;
    Ok(ledger.entries)
}

/// The quarantine as far as it has been read.
#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) entries: Vec<(QuarantineId, Quarantine)>,
    /// Sequence number of the last event folded.
    seq: u64,
}

impl Ledger {
    /// Takes in what was written since the last time, by whatever process.
    pub(crate) async fn refresh(&mut self, store: &dyn Store) -> Result<(), EngineError> {
        for event in store.read(Stream::Ledger, self.seq).await? {
            self.seq = event.seq;
            match event.body {
                EventBody::Ledger(LedgerEvent::Quarantined { quarantine }) => {
                    self.entries.push((QuarantineId(event.seq), quarantine));
                }
                EventBody::Ledger(LedgerEvent::Released { id, .. }) => {
                    self.entries.retain(|(entry, _)| *entry != id);
                }
                _ => {}
            }
        }
        Ok(())
    }
}
