//! The same on the store of every day: what one process wrote, the next one goes on with.

use std::path::Path;
use std::sync::Arc;

use patchyard_app::rollouts::Phase;
use patchyard_app::{DriveEnd, audit, quarantine, report, resume};
use patchyard_contract::Store;
use patchyard_provider_sim::Behaviour;
use patchyard_store_sqlite::SqliteStore;
use patchyard_types::RolloutEnd;

use crate::yard::Yard;

fn sqlite(state: &Path) -> Arc<dyn Store> {
    Arc::new(SqliteStore::open(state).unwrap())
}

/// Another process: the same state, opened again.
fn again(yard: &mut Yard) {
    yard.context.store = sqlite(yard.context.state.path());
}

#[tokio::test(start_paused = true)]
async fn each_verb_may_be_a_process_of_its_own() {
    let mut yard = Yard::on(&["sim-1"], sqlite);
    yard.add("shop", 2);
    yard.add_with("mail", 1, Behaviour::OtherPort);
    let planned = yard.plan_all().await.plan;
    again(&mut yard);
    let stored = patchyard_app::plan_named(&yard.context, &planned.digest().short(6)).await.unwrap();
    assert_eq!(stored.digest(), planned.digest());
    let rollout = yard.begin(&stored).await;
    let head = audit::head(&yard.context).await.unwrap();

    again(&mut yard);
    assert_eq!(report(&yard.context, rollout).await.unwrap().phase, Phase::Interrupted, "nobody drives it");
    resume(&yard.context, rollout).await.unwrap();
    again(&mut yard);
    assert_eq!(yard.drive(rollout, &Arc::default()).await, DriveEnd::Ended(RolloutEnd::Partly));
    yard.assert_well();

    again(&mut yard);
    let report = report(&yard.context, rollout).await.unwrap();
    assert_eq!(report.phase, Phase::Ended(RolloutEnd::Partly));
    assert_eq!(quarantine::list(&yard.context).await.unwrap().len(), 1);
    let verdict = audit::verify(&yard.context, Some(head)).await.unwrap();
    assert_eq!(verdict.broken, None);
    assert_eq!(verdict.head, audit::head(&yard.context).await.unwrap());
}
