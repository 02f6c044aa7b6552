//! The Docker provider passes the suite of every provider, on a real engine.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what fails is a failed test")]

mod yard;

use patchyard_contract::suite::provider;
use yard::RealYard;

macro_rules! behaviours {
    ($yard:expr; $($behaviour:ident),* $(,)?) => {$(
        #[tokio::test]
        async fn $behaviour() {
            provider::$behaviour(&$yard.await).await;
        }
    )*};
}

behaviours!(RealYard::carrying();
    every_step_in_order_patches_and_the_probe_knows,
    from_every_step_the_way_back_restores_what_was,
    undo_tolerates_that_there_is_nothing_to_undo,
    every_step_looks_before_it_acts,
    a_target_changed_since_planning_is_refused,
    reading_changes_nothing,
    original_and_replacement_are_seen_apart,
);

/// The same of a target together with those who live in its namespaces.
mod with_dependents {
    use super::*;

    behaviours!(RealYard::with_dependents();
        every_step_in_order_patches_and_the_probe_knows,
        from_every_step_the_way_back_restores_what_was,
        undo_tolerates_that_there_is_nothing_to_undo,
        every_step_looks_before_it_acts,
        a_target_changed_since_planning_is_refused,
        reading_changes_nothing,
        original_and_replacement_are_seen_apart,
    );
}

/// The same of a target whose replacement is started first.
mod start_first {
    use super::*;

    behaviours!(RealYard::start_first();
        every_step_in_order_patches_and_the_probe_knows,
        from_every_step_the_way_back_restores_what_was,
        undo_tolerates_that_there_is_nothing_to_undo,
        every_step_looks_before_it_acts,
        a_target_changed_since_planning_is_refused,
        reading_changes_nothing,
        original_and_replacement_are_seen_apart,
        somebody_serves_at_any_time,
    );
}
