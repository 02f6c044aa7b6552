//! Estimates: how long a plan may take. Said, never decided by.

use std::collections::BTreeSet;

use patchyard_types::{Action, Estimate, Method, Millis, Order, Reboot, TargetKind, Wave};

use crate::request::{Timing, Timings};

/// What is assumed of a method without any experience.
fn assumed(method: Method) -> Timing {
    let prepare = match method {
        // Fourteen packages on a Debian image: 6 to 12 s once fetched, measured; and a slow disk.
        Method::Layer => 30,
        Method::Image => 30,
        // Pushing what a machine's own repositories no longer have.
        Method::Packages => 10,
        Method::Restore => 2,
    };
    // One stop plus one start: 1.2 s on Debian 12's engine, measured with a client.
    Timing { prepare: Millis::from_secs(prepare), swap: Millis::from_secs(5), gap: Millis(1200) }
}

/// A wave takes as long as its slowest run; a patch set is prepared once, before its first run.
pub fn estimate(actions: &[Action], waves: &[Wave], timings: &Timings) -> Estimate {
    let mut prepared = BTreeSet::new();
    let mut total = 0_u64;
    for wave in waves {
        let mut slowest = 0;
        for action in wave.0.iter().filter_map(|index| actions.get(*index)) {
            let timing = timing(action.method, timings);
            let prepare = if prepared.insert(action.patch_set) { timing.prepare.0 } else { 0 };
            let parts = [prepare, timing.swap.0, boot(action).0, action.verify_for.0];
            slowest = slowest.max(parts.into_iter().fold(0, u64::saturating_add));
        }
        total = total.saturating_add(slowest);
    }
    let builds: BTreeSet<_> =
        actions.iter().filter(|a| a.method != Method::Restore).map(|a| a.patch_set).collect();
    Estimate {
        builds: builds.len(),
        total: Millis(total),
        longest_gap: actions.iter().map(|a| gap(a, timings)).max().unwrap_or_default(),
    }
}

/// Whose new container serves before the old one is stopped has none.
fn gap(action: &Action, timings: &Timings) -> Millis {
    match action.order {
        Order::StopFirst => timing(action.method, timings).gap.max(boot(action)),
        Order::StartFirst => Millis(0),
    }
}

/// Until a machine that may be started anew serves again: a minute, as nobody has timed it.
fn boot(action: &Action) -> Millis {
    match (action.kind, action.reboot) {
        (TargetKind::Host, Reboot::Always | Reboot::AsNeeded) => Millis::from_secs(60),
        _ => Millis(0),
    }
}

fn timing(method: Method, timings: &Timings) -> Timing {
    timings.get(&method).copied().unwrap_or_else(|| assumed(method))
}
