//! Update: Swarm is given the new digest and watched until it is done; back by Swarm's own rollback.
//!
//! A service needs no names of ours: its spec says which image Swarm works towards, and `UpdateStatus` how far it
//! has got. So every effect looks first, and doing it again waits for what has been begun.

use std::time::{Duration, Instant};

use patchyard_types::{Change, FailureKind, Millis, Probe, Record, ServiceStep, Step};
use serde_json::{Value, json};

use super::raw::{Service, digest_in, service, tasks};
use super::standing::{Patience, Standing, standing};
use super::{gone, targets, traps};
use crate::observe::health_within;
use crate::swap::{Run, Trouble, failed};

/// Between two looks at Swarm.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How often a change is offered again when somebody else has changed the service at the same moment.
const OFFERS: u32 = 5;

/// The least time that Swarm gets between two tasks, whatever its configuration says.
const MONITOR: Duration = Duration::from_secs(5);

/// Writes down how Swarm's last update of it stands.
pub(super) async fn prepare(run: &Run<'_>) -> Result<Record, Trouble> {
    let service = read(run).await?;
    Ok(Record::Found { last_update: service.update_began().map(str::to_owned) })
}

/// Is it as planned, and can what comes be taken back?
pub(super) async fn preflight(run: &Run<'_>) -> Result<Record, Trouble> {
    let service = read(run).await?;
    is_as_planned(run, &service)?;
    if let Some(refusal) = targets::busy(&service) {
        return Err(failed(FailureKind::Precondition, refusal.message));
    }
    if let Change::Snapshot { .. } = run.set.change {
        leads_to(run, &service, wanted(run)?)?;
    }
    Ok(Record::Nothing)
}

/// Has Swarm take the service to the image of the plan.
pub(super) async fn perform(run: &Run<'_>) -> Result<Record, Trouble> {
    let wanted = wanted(run)?;
    let service = read(run).await?;
    if is_at(run, &service) {
        // A crash may have come between, and Swarm may have gone there and back since.
        if was_updated_since(run, &service) {
            return Err(match standing(&service, &tasks(run.client(), Some(service.id())).await?, wanted) {
                Standing::Failed(failure) => failed(failure.kind, failure.message),
                Standing::Going(_) | Standing::Done => failed(FailureKind::Host, "Swarm has another image"),
            });
        }
        is_as_planned(run, &service)?;
        match &run.set.change {
            Change::Snapshot { .. } => {
                leads_to(run, &service, wanted)?;
                back(run, service).await?;
            }
            _ => forward(run, service, wanted).await?,
        }
    }
    watch(run, wanted).await
}

/// Has Swarm take the service back to what it was.
pub(super) async fn undo(run: &Run<'_>) -> Result<Record, Trouble> {
    let service = read(run).await?;
    let before = run.action.expected.image.as_str();
    if service.digest() == Some(wanted(run)?) {
        leads_to(run, &service, before)?;
        back(run, service).await?;
    } else if !is_at(run, &service) {
        return Err(failed(
            FailureKind::Precondition,
            "somebody else has given the service another image in the meantime",
        ));
    }
    watch(run, before).await
}

/// Asks Swarm.
pub(super) async fn probe(run: &Run<'_>) -> Result<Probe, Trouble> {
    let (wanted, before) = (wanted(run)?, run.action.expected.image.as_str());
    let target = match run.call.direction {
        patchyard_types::Direction::Do => wanted,
        patchyard_types::Direction::Undo => before,
    };
    let Some(service) = service(run.client(), &run.action.expected.object).await? else {
        return Ok(crate::swap::gone());
    };
    let Some(digest) = service.digest().filter(|digest| [wanted, before].contains(digest)) else {
        return Ok(Probe::CannotTell {
            reason: "the service has an image that is neither the one before nor the planned one".to_owned(),
        });
    };
    // Begun and not over, or not begun: doing it again finds out which, and goes on from there.
    if digest != target {
        return Ok(Probe::NotDone);
    }
    let tasks = tasks(run.client(), Some(service.id())).await?;
    Ok(match standing(&service, &tasks, target) {
        Standing::Done => Probe::Done { record: Record::Nothing },
        Standing::Going(_) | Standing::Failed(_) => Probe::NotDone,
    })
}

async fn read(run: &Run<'_>) -> Result<Service, Trouble> {
    service(run.client(), &run.action.expected.object).await?.ok_or_else(gone)
}

/// The digest that the plan goes to.
fn wanted<'a>(run: &Run<'a>) -> Result<&'a str, Trouble> {
    match &run.set.change {
        Change::Image { to, .. } => Ok(to),
        Change::Snapshot { image: Some(image), .. } => Ok(image),
        Change::Snapshot { image: None, .. } | Change::Packages(_) => {
            Err(failed(FailureKind::Refused, "the plan's patch set names no image for a service"))
        }
    }
}

/// Whether the service has the image that it had when it was planned.
fn is_at(run: &Run<'_>, service: &Service) -> bool {
    service.digest() == Some(run.action.expected.image.as_str())
}

fn is_as_planned(run: &Run<'_>, service: &Service) -> Result<(), Trouble> {
    let changed = |what: &str| {
        Err(failed(FailureKind::Precondition, format!("changed since planning: {what}; plan again")))
    };
    if !is_at(run, service) {
        return changed("the service has another image");
    }
    if targets::config_digest(service.spec(), &run.docker.options.key) != run.action.expected.config {
        return changed("somebody has changed the service's spec");
    }
    Ok(())
}

/// Whether Swarm has begun an update of it since the run was prepared.
fn was_updated_since(run: &Run<'_>, service: &Service) -> bool {
    match run.call.records.get(&Step::Service(ServiceStep::Prepare)) {
        Some(Record::Found { last_update }) => last_update.as_deref() != service.update_began(),
        _ => false,
    }
}

/// Whether Swarm's own way back leads to the image with this digest and changes nothing else: it keeps one spec, the
/// one before the last change, whoever made that.
fn leads_to(run: &Run<'_>, service: &Service, digest: &str) -> Result<(), Trouble> {
    let previous = service.previous();
    let image = previous.map_or("", |spec| super::raw::image_of(&spec["TaskTemplate"]));
    let key = &run.docker.options.key;
    let is_same =
        |spec: &Value| targets::config_digest(spec, key) == targets::config_digest(service.spec(), key);
    if digest_in(image) == Some(digest) && previous.is_some_and(is_same) {
        return Ok(());
    }
    Err(failed(
        FailureKind::Precondition,
        format!(
            "Swarm cannot go back to what was before this patch, because the service was changed since; go back by \
             hand: docker service update --image {}@{digest} {}",
            run.action.expected.reference, run.action.name
        ),
    ))
}

/// Offers Swarm the service's own spec with the new digest, and nothing else changed.
async fn forward(run: &Run<'_>, mut service: Service, wanted: &str) -> Result<(), Trouble> {
    run.note("updating the service", None);
    let image = format!("{}@{wanted}", run.action.expected.reference);
    for offer in 1.. {
        let mut spec = service.spec().clone();
        spec["TaskTemplate"]["ContainerSpec"]["Image"] = json!(image);
        let update = run.client().post(&["services", service.id(), "update"]);
        let offered = update.query("version", &service.version().to_string()).json_body(&spec).done().await;
        match offered {
            Err(error) if offer < OFFERS && is_out_of_sequence(&error) => {
                service = read(run).await?;
                is_as_planned(run, &service)?;
            }
            offered => return Ok(offered?),
        }
    }
    Ok(())
}

/// Has Swarm go back to the service's previous spec.
async fn back(run: &Run<'_>, mut service: Service) -> Result<(), Trouble> {
    run.note("rolling the service back", None);
    let from = service.image().to_owned();
    for offer in 1.. {
        let update = run.client().post(&["services", service.id(), "update"]);
        let update = update.query("version", &service.version().to_string()).query("rollback", "previous");
        // The engine wants a spec, and Swarm takes its own instead.
        match update.json_body(service.spec()).done().await {
            Err(error) if offer < OFFERS && is_out_of_sequence(&error) => {
                service = read(run).await?;
                if service.image() != from {
                    // Swarm was faster.
                    return Ok(());
                }
            }
            offered => return Ok(offered?),
        }
    }
    Ok(())
}

/// Whether the service was changed between reading and writing it; Swarm itself writes how its update stands.
fn is_out_of_sequence(error: &crate::client::ApiError) -> bool {
    error.to_string().contains("out of sequence")
}

/// Waits until Swarm is done, or will not be.
async fn watch(run: &Run<'_>, wanted: &str) -> Result<Record, Trouble> {
    let mut patience = None;
    loop {
        let service = read(run).await?;
        let tasks = tasks(run.client(), Some(service.id())).await?;
        let progress = match standing(&service, &tasks, wanted) {
            Standing::Done => return Ok(Record::Nothing),
            Standing::Failed(failure) => return Err(failed(failure.kind, failure.message)),
            Standing::Going(progress) => progress,
        };
        let now = Instant::now();
        let timeouts = run.action.timeouts;
        let patience = patience.get_or_insert_with(|| {
            let between = timeouts.step.as_duration() + pace(&service);
            Patience::new(between, timeouts.healthy.as_duration(), now)
        });
        if !progress.starting.is_empty() {
            let healthcheck = traps::healthcheck(run.client(), &service).await?;
            patience.allow(health_within(&healthcheck, timeouts.check.as_duration()).unwrap_or(Millis(0)));
        }
        if let Some(failure) = patience.look(&progress, now) {
            return Err(failed(failure.kind, failure.message));
        }
        let running = u64::try_from(progress.running).unwrap_or(u64::MAX);
        if let Some(replicas) = service.spec()["Mode"]["Replicated"]["Replicas"].as_u64() {
            run.note("Swarm replaces the tasks", Some((running, replicas)));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// What Swarm waits between two tasks because its configuration says so, updating or rolling back.
fn pace(service: &Service) -> Duration {
    let nanos = |config: &Value, key: &str| Duration::from_nanos(config[key].as_u64().unwrap_or(0));
    let of = |config: &Value| nanos(config, "Delay") + nanos(config, "Monitor").max(MONITOR);
    let spec = service.spec();
    let stop = nanos(&service.template()["ContainerSpec"], "StopGracePeriod").max(Duration::from_secs(10));
    of(&spec["UpdateConfig"]).max(of(&spec["RollbackConfig"])) + stop
}
