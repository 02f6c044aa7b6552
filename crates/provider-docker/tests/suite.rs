//! The Docker provider passes the suite of every provider, on a real engine.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what fails is a failed test")]

mod yard;

use patchyard_contract::suite::provider;
use yard::RealYard;

macro_rules! behaviours {
    ($($behaviour:ident),* $(,)?) => {$(
        #[tokio::test]
        async fn $behaviour() {
            provider::$behaviour(&RealYard::carrying().await).await;
        }
    )*

    /// The same of a target together with those who live in its namespaces.
    mod with_dependents {
        $(
            #[tokio::test]
            async fn $behaviour() {
                super::provider::$behaviour(&super::RealYard::with_dependents().await).await;
            }
        )*
    }};
}

behaviours!(
    every_step_in_order_patches_and_the_probe_knows,
    from_every_step_the_way_back_restores_what_was,
    undo_tolerates_that_there_is_nothing_to_undo,
    every_step_looks_before_it_acts,
    a_target_changed_since_planning_is_refused,
    reading_changes_nothing,
    original_and_replacement_are_seen_apart,
);
