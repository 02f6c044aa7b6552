//! Why: what is pending on one target, and why it is or is not patched.

use patchyard_contract::Progress;
use patchyard_plan::{VolumeUsers, cannot_patch, cannot_start_first, in_the_way};
use patchyard_types::{Data, Method, Millis, Quarantine, QuarantineId, Settings, TargetKind, Trap, Unsaved};

use crate::PatchFilter;
use crate::dependents::{Dependents, guests};
use crate::gather::{Known, Wanted, gather};
use crate::rollouts::{LastRun, in_hand, last_successes};
use crate::scan::reverted;
use crate::select::Selection;
use crate::settings::{Overrides, settle};
use crate::{Context, Error, fleet};

/// Everything known about one target.
pub struct WhyReport {
    /// What is installed and pending.
    pub known: Known,
    /// What is decided for it.
    pub settings: Settings,
    /// Its label takes it out.
    pub excluded: bool,
    /// Labels that were passed over because the configuration does not let them.
    pub ignored_labels: Vec<&'static str>,
    /// What recreation would lose, or why that is not known.
    pub unsaved: Result<Unsaved, String>,
    /// Why its data could not be restored, where that is wanted.
    pub cannot_restore: Option<String>,
    /// Who lives in its namespaces and is made again with it.
    pub dependents: Vec<String>,
    /// Why one of them, or Swarm, keeps it out of plans.
    pub in_the_way: Option<String>,
    /// Why two of it could not run beside each other, where that is wanted.
    pub cannot_start_first: Option<String>,
    /// Entries of the quarantine that concern its service.
    pub quarantine: Vec<(QuarantineId, Quarantine)>,
    /// The last run that patched it.
    pub last: Option<LastRun>,
    /// Somebody has put the unpatched base back since.
    pub reverted: bool,
}

impl WhyReport {
    /// What its owner may not expect of how it is updated.
    #[must_use]
    pub fn traps(&self) -> Vec<Trap> {
        let mut traps = self.known.target.traps.clone();
        if self.known.target.kind == TargetKind::Service && !self.quarantine.is_empty() {
            traps.push(Trap {
                code: "forgets".to_owned(),
                message:
                    "Swarm does not remember what failed: docker service update and docker stack deploy take \
                          what is in quarantine here again"
                        .to_owned(),
            });
        }
        traps
    }
}

/// Explains a target.
///
/// # Errors
/// When no host answers, no target or several have this name, or the store fails.
pub async fn why(
    context: &Context,
    name: &str,
    patches: &PatchFilter,
    method: Option<Method>,
    max_age: Millis,
    progress: &dyn Progress,
) -> Result<WhyReport, Error> {
    let mut fleet = fleet::discover(context).await?;
    let everyone = fleet.targets.clone();
    fleet.select(&Selection { names: vec![name.to_owned()], ..Selection::default() })?;
    let [target] = &fleet.targets[..] else {
        let names: Vec<_> =
            fleet.targets.iter().take(8).map(|t| format!("{}/{}", t.host_name, t.name)).collect();
        return Err(Error::input(
            format!("several targets answer to that: {}", names.join(", ")),
            "name one",
        ));
    };
    let settled = settle(&context.config, &Overrides { method, ..Overrides::default() }, target);
    let cannot_restore = match settled.settings.data {
        Data::Restore => VolumeUsers::of(&everyone).cannot_restore(target),
        Data::Keep => None,
    };
    let unsaved = match fleet.provider(&target.host) {
        Some(provider) => provider.unsaved(target).await.map_err(|error| error.to_string()),
        None => Ok(Unsaved::default()),
    };
    let dependents = Dependents {
        context,
        fleet: &fleet,
        overrides: &Overrides::default(),
        spared: &[],
        guests: guests(&everyone),
        held: in_hand(&*context.store, context.clock.now()).await?,
    };
    let dependents = dependents.of(target).await;
    let written = unsaved.as_ref().map_or(&[] as &[String], |unsaved| &unsaved.paths[..]);
    let cannot_start_first = cannot_start_first(target, &dependents, &settled.settings, written);
    let wanted = Wanted { max_age, allow_remove: settled.settings.allow_remove, images: true };
    let mut known = gather(context, &fleet, wanted, progress).await?;
    let Some(mut known) = known.pop() else {
        return Err(Error::input("it was removed while it was asked about", "patchyard discover"));
    };
    patches.apply(&mut known.assessment);
    known.target.refusals.extend(settled.refusals);
    let last = last_successes(&*context.store).await?;
    let reverted = reverted(&known, &last).is_some();
    let quarantine = patchyard_engine::quarantine(&*context.store).await?;
    Ok(WhyReport {
        excluded: settled.excluded,
        ignored_labels: settled.ignored,
        unsaved,
        cannot_restore,
        in_the_way: in_the_way(&settled.settings, &dependents)
            .map(|(_, detail)| detail)
            .or_else(|| cannot_patch(&known.target, &settled.settings)),
        dependents: dependents.into_iter().map(|dependent| dependent.target.name).collect(),
        cannot_start_first,
        quarantine: quarantine.into_iter().filter(|(_, q)| q.service == known.target.service).collect(),
        last: last.get(&known.target.id).cloned(),
        reverted,
        known,
        settings: settled.settings,
    })
}
