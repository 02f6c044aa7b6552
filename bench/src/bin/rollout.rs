//! rollout COUNT DIRECTORY: patches COUNT simulated targets on simulated time, with the real planner, the real engine and a database
//! in DIRECTORY; prints how many events that wrote and, last, how many a second.

use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use patchyard_contract::{Clock, Note, Provider};
use patchyard_engine::{DriveEnd, Engine, Stop, Watcher};
use patchyard_provider_sim::{Behaviour, SimClock, SimProvider, World};
use patchyard_simulation_tests::plan::{Limits, plan};
use patchyard_store_sqlite::SqliteStore;
use patchyard_types::{Actor, Budget, Event, HostId, RolloutEnd, RunId};

/// Replicas of a service.
const REPLICAS: usize = 10;

#[derive(Default)]
struct Counting(AtomicU64);

impl Watcher for Counting {
    fn event(&self, _: &Event) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
    fn note(&self, _: RunId, _: Note) {}
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [count, directory] = &words[..] else {
        eprintln!("usage: rollout COUNT DIRECTORY");
        return ExitCode::from(2);
    };
    let Ok(count) = count.parse() else {
        eprintln!("rollout: {count} is no number");
        return ExitCode::from(2);
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let rolled_out = runtime
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(roll_out(count, Path::new(directory))));
    match rolled_out {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rollout: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn roll_out(count: usize, directory: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let clock = Arc::new(SimClock::new());
    let mut world = World::new(1, HostId::new("sim-host"));
    for number in 0..count {
        let service = format!("service-{}", number / REPLICAS);
        world.add(&service, &format!("target-{number}"), Behaviour::Good, clock.now());
        world.budget.insert(service, REPLICAS);
    }
    let clock: Arc<dyn Clock> = clock;
    let provider: Arc<dyn Provider> =
        Arc::new(SimProvider::new(Arc::new(Mutex::new(world)), Arc::clone(&clock)));
    let limits = Limits { max_unavailable: Budget::Percent(100), ..Limits::default() };
    let plan = plan(&*provider, &*clock, limits, Vec::new()).await?;
    let store = Arc::new(SqliteStore::open(directory)?);
    let engine = Engine::new(store, vec![provider], clock, "bench".into());
    let events = Arc::new(Counting::default());
    let began = Instant::now();
    let rollout = engine.begin(&plan, Actor("bench".into())).await?;
    let end = engine.drive(rollout, Arc::<Counting>::clone(&events), Stop::never()).await?;
    let seconds = began.elapsed().as_secs_f64();
    if !matches!(end, DriveEnd::Ended(RolloutEnd::Succeeded)) {
        return Err(format!("the rollout did not succeed: {end:?}").into());
    }
    let events = events.0.load(Ordering::Relaxed);
    println!("{events} events in {seconds:.2} s; a second: {:.0}", events as f64 / seconds);
    Ok(())
}
