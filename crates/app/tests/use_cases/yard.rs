//! The yard: simulated hosts, an empty state, a clock that jumps, and the verbs as a person would use them.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use patchyard_app::config::Config;
use patchyard_app::{
    Context, DriveEnd, Environment, Error, Fleet, Note, PlanReport, PlanRequest, Progress, ProviderError,
    Reach, Reached, RolloutReport, ScanReport, ScanRequest, StateDir, Stop, Watcher, begin, discover, drive,
    plan, reach, report, scan,
};
use patchyard_cache::FileCache;
use patchyard_contract::{Clock, Store};
use patchyard_provider_sim::{Behaviour, SimClock, SimProvider, World, base_image};
use patchyard_store_memory::MemoryStore;
use patchyard_types::{
    Actor, Event, EventBody, HostId, Plan, RolloutEnd, RolloutEvent, RolloutId, RunEnd, RunId, TargetId,
};
use tempfile::TempDir;

type Host = (String, Arc<Mutex<World>>);

/// Simulated hosts and a Patchyard that looks after them.
pub struct Yard {
    pub context: Context,
    pub clock: Arc<SimClock>,
    hosts: Vec<Host>,
    dead: Vec<String>,
    _dir: TempDir,
}

/// A controller's way to simulated hosts.
struct Hosts {
    clock: Arc<SimClock>,
    hosts: Vec<Host>,
    /// Hosts that do not even take the connection.
    dead: Vec<String>,
}

#[async_trait]
impl Reach for Hosts {
    async fn reach(&self) -> Result<Vec<Reached>, Error> {
        let provider = |world: &Arc<Mutex<World>>| SimProvider::new(Arc::clone(world), self.clock.clone());
        let alive = self.hosts.iter().map(|(name, world)| Reached::new(name, Ok(Arc::new(provider(world)))));
        let refused =
            |name: &String| ProviderError::Unreachable { host: name.clone(), reason: "refused".into() };
        let dead = self.dead.iter().map(|name| Reached::new(name, Err(refused(name))));
        Ok(alive.chain(dead).collect())
    }

    async fn settle(&self) {}
}

/// Nobody looks at progress.
struct Silence;

impl Progress for Silence {
    fn note(&self, _: Note) {}
}

/// Writes down every event.
#[derive(Default)]
pub struct Recorder(Mutex<Vec<Event>>);

impl Watcher for Recorder {
    fn event(&self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }

    fn note(&self, _: RunId, _: Note) {}
}

impl Recorder {
    /// Which runs began (`true`) and ended, by their actions, in order.
    pub fn runs(&self) -> Vec<(usize, bool)> {
        let events = self.0.lock().unwrap();
        let runs = events.iter().filter_map(|event| match event.body {
            EventBody::Rollout(RolloutEvent::RunStarted { action }) => Some((action, true)),
            EventBody::Rollout(RolloutEvent::RunEnded { action, .. }) => Some((action, false)),
            _ => None,
        });
        runs.collect()
    }
}

impl Yard {
    /// One host, `sim-1`, with nothing on it. To be called in a runtime whose time is paused.
    pub fn new() -> Self {
        Self::with_hosts(&["sim-1"])
    }

    /// Hosts with nothing on them.
    pub fn with_hosts(names: &[&str]) -> Self {
        Self::on(names, |_| Arc::new(MemoryStore::new()))
    }

    /// The same on the store that `make` makes for the state directory.
    pub fn on(names: &[&str], make: impl FnOnce(&Path) -> Arc<dyn Store>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(SimClock::new());
        let world =
            |name: &&str| ((*name).to_owned(), Arc::new(Mutex::new(World::new(7, HostId::new(*name)))));
        let hosts: Vec<Host> = names.iter().map(world).collect();
        let environment = Environment {
            root: false,
            home: None,
            config_home: None,
            state_home: None,
            working_dir: dir.path().to_owned(),
            actor: Actor("ops@test".into()),
        };
        let state = StateDir::open(Some(dir.path().join("state")), &environment).unwrap();
        let context = Context {
            config: Config::default(),
            store: make(state.path()),
            cache: Arc::new(FileCache::open(&state.cache()).unwrap()),
            state,
            clock: clock.clone(),
            controller: "test".into(),
            actor: environment.actor,
            reach: Box::new(Hosts { clock: clock.clone(), hosts: hosts.clone(), dead: Vec::new() }),
        };
        Self { context, clock, hosts, dead: Vec::new(), _dir: dir }
    }

    /// A host that nobody answers for joins the others.
    pub fn add_dead_host(&mut self, name: &str) {
        self.dead.push(name.to_owned());
        self.connect();
    }

    fn connect(&mut self) {
        let (clock, hosts, dead) = (self.clock.clone(), self.hosts.clone(), self.dead.clone());
        self.context.reach = Box::new(Hosts { clock, hosts, dead });
    }

    /// Every host is gone from the configuration.
    pub fn forget_hosts(&mut self) {
        self.hosts.clear();
    }

    /// A host with nothing on it joins the others; the dead ones stay dead.
    pub fn add_living_host(&mut self, name: &str) {
        self.hosts.push((name.to_owned(), Arc::new(Mutex::new(World::new(7, HostId::new(name))))));
        self.connect();
    }

    /// Another way to a host that is there already.
    pub fn add_route(&mut self, name: &str, host: usize) {
        self.hosts.push((name.to_owned(), Arc::clone(&self.hosts[host].1)));
        self.connect();
    }

    /// A copy of a host joins: it bears the same id.
    pub fn add_copy(&mut self, name: &str, host: usize) {
        let world = World::new(7, self.world(host).host.clone());
        self.hosts.push((name.to_owned(), Arc::new(Mutex::new(world))));
        self.connect();
    }

    /// Lets time pass.
    pub async fn clock_on(&self, seconds: u64) {
        self.clock.sleep(Duration::from_secs(seconds)).await;
    }

    /// The world of a host, as it is now.
    pub fn world(&self, host: usize) -> MutexGuard<'_, World> {
        let mut world = self.hosts[host].1.lock().unwrap_or_else(PoisonError::into_inner);
        world.tick(self.clock.now());
        world
    }

    /// Good targets of a service on the first host: `shop-1`, `shop-2`, …
    pub fn add(&self, service: &str, number: usize) -> Vec<TargetId> {
        self.add_with(service, number, Behaviour::Good)
    }

    /// The same, whose patched version behaves like that.
    pub fn add_with(&self, service: &str, number: usize, patched: Behaviour) -> Vec<TargetId> {
        let now = self.clock.now();
        let name = |n| format!("{service}-{n}");
        (1..=number).map(|n| self.world(0).add(service, &name(n), patched, now)).collect()
    }

    pub async fn discover(&self) -> Fleet {
        discover(&self.context, &patchyard_app::select::Selection::default()).await.unwrap()
    }

    pub async fn scan(&self, request: &ScanRequest) -> Result<ScanReport, Error> {
        scan(&self.context, request, &Silence).await
    }

    pub async fn plan(&self, request: &PlanRequest) -> Result<PlanReport, Error> {
        plan(&self.context, request, &Silence).await
    }

    /// Plans for everything.
    pub async fn plan_all(&self) -> PlanReport {
        self.plan(&PlanRequest::default()).await.unwrap()
    }

    pub async fn begin(&self, plan: &Plan) -> RolloutId {
        begin(&self.context, &reach(&self.context).await.unwrap(), plan).await.unwrap()
    }

    /// Drives a rollout as far as it goes.
    pub async fn drive(&self, rollout: RolloutId, watcher: &Arc<Recorder>) -> DriveEnd {
        let fleet = reach(&self.context).await.unwrap();
        let watcher: Arc<dyn Watcher> = watcher.clone();
        drive(&self.context, &fleet, rollout, watcher, Stop::never()).await.unwrap()
    }

    pub async fn report(&self, rollout: RolloutId) -> RolloutReport {
        report(&self.context, rollout).await.unwrap()
    }

    /// Carries a plan out to its end.
    pub async fn apply(&self, plan: &Plan) -> Applied {
        let rollout = self.begin(plan).await;
        let recorder = Arc::default();
        let DriveEnd::Ended(end) = self.drive(rollout, &recorder).await else {
            panic!("nothing was there to stop it")
        };
        Applied { end, report: self.report(rollout).await, recorder }
    }

    /// Plans for everything and carries it out.
    pub async fn apply_all(&self) -> Applied {
        let planned = self.plan_all().await;
        self.apply(&planned.plan).await
    }

    /// Nobody broke a rule, and everybody serves under their own name.
    pub fn assert_well(&self) {
        for host in 0..self.hosts.len() {
            let world = self.world(host);
            assert_eq!(world.violations, Vec::<String>::new());
            for target in world.targets.values() {
                let (_, object) = world.named(&target.name).expect("it is there");
                assert!(object.alive(self.clock.now()) && !object.held, "{} serves: {object:?}", target.name);
            }
        }
    }

    /// Whether a target of the first host runs another image than its service's base.
    pub fn is_patched(&self, name: &str) -> bool {
        let world = self.world(0);
        let target = world.targets.values().find(|target| target.name == name).expect("it is there");
        world.named(name).expect("it is there").1.image != base_image(&target.service)
    }

    /// The image that a target's container runs.
    pub fn image(&self, name: &str) -> String {
        self.world(0).named(name).expect("it is there").1.image.clone()
    }
}

/// A rollout that is over.
pub struct Applied {
    pub end: RolloutEnd,
    pub report: RolloutReport,
    pub recorder: Arc<Recorder>,
}

impl Applied {
    /// How the run of a target ended, and why.
    pub fn run(&self, name: &str) -> (RunEnd, String) {
        let run = self.report.runs.iter().find(|run| run.name == name).expect("it was planned");
        (run.end.expect("it has ended"), run.reason.clone().unwrap_or_default())
    }
}
