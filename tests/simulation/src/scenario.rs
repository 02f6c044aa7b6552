//! A scenario: a world, a plan, what goes wrong, and the controllers that come and go.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::SignedDuration;
use patchyard_contract::{Clock, Note, Provider, Store};
use patchyard_decide::rollout::RolloutState;
use patchyard_decide::run::RunState;
use patchyard_engine::{DriveEnd, Engine, Stop, Watcher};
use patchyard_provider_sim::{
    Behaviour, Interference, Keeping, SimClock, SimMachine, SimObject, SimProvider, World,
};
use patchyard_store_memory::MemoryStore;
use patchyard_types::{
    Actor, Budget, Event, EventBody, HostId, Order, PatchSetId, PersonVerdict, Plan, Request, RolloutEnd,
    RolloutEvent, RolloutId, RunEnd, RunId, Stream, TargetId,
};
use tokio::sync::Notify;

use crate::crash::{CrashAt, CrashingStore};
use crate::plan::{Limits, plan};

/// Looks on and says nothing.
pub struct Quiet;

impl Watcher for Quiet {
    fn event(&self, _: &Event) {}
    fn note(&self, _: RunId, _: Note) {}
}

/// A world with a plan for it.
pub struct Scenario {
    /// The simulated clock.
    pub clock: Arc<SimClock>,
    /// The world.
    pub world: Arc<Mutex<World>>,
    /// The store that survives every controller.
    pub store: MemoryStore,
    /// The plan.
    pub plan: Plan,
    /// What everything began as.
    pub targets: Vec<TargetId>,
    /// What it plans with.
    pub limits: Limits,
    /// What earlier rollouts of this world put in quarantine: services, and the patch sets that failed there.
    pub quarantined: BTreeSet<(String, PatchSetId)>,
}

/// What is asked of the rollout from outside, and when.
#[derive(Debug, Clone, Copy)]
pub struct Ask {
    /// So long after the beginning.
    pub after: Duration,
    /// What.
    pub request: Request,
}

/// What is known at the end.
pub struct Outcome {
    /// Which rollout it was.
    pub id: RolloutId,
    /// The world's containers before it began.
    pub before: BTreeMap<String, SimObject>,
    /// The world's machines before it began.
    pub machines_before: BTreeMap<TargetId, SimMachine>,
    /// What it wrote about itself, in order.
    pub log: Vec<Event>,
    /// The rollout's state.
    pub rollout: RolloutState,
    /// Every run's state.
    pub runs: Vec<RunState>,
    /// Number of controllers that were needed.
    pub controllers: usize,
}

impl Scenario {
    /// A world with these targets: `(service, name, how the patched version behaves)`. Must be called
    /// in a runtime whose time is paused.
    ///
    /// # Panics
    /// When the simulated host does not answer: nothing has gone wrong yet.
    pub async fn new(seed: u64, targets: &[(String, String, Behaviour)], limits: Limits) -> Self {
        Self::living_together(seed, targets, &[], limits).await
    }

    /// The same, where some live in the namespaces of others: names of dependents and of their owners.
    ///
    /// # Panics
    /// When the simulated host does not answer: nothing has gone wrong yet.
    pub async fn living_together(
        seed: u64,
        targets: &[(String, String, Behaviour)],
        lives_in: &[(String, String)],
        limits: Limits,
    ) -> Self {
        let clock = Arc::new(SimClock::new());
        let mut world = World::new(seed, HostId::new("sim-host"));
        world.start_first = limits.order == Order::StartFirst;
        world.restores = !world.start_first;
        let ids: Vec<TargetId> = targets
            .iter()
            .map(|(service, name, behaviour)| world.add(service, name, *behaviour, clock.now()))
            .collect();
        for (dependent, owner) in lives_in {
            world.move_in(dependent, owner);
        }
        for (service, _, _) in targets {
            world.budget.insert(service.clone(), budget(limits, targets, service));
        }
        let world = Arc::new(Mutex::new(world));
        let store = MemoryStore::new();
        let plan = planned(&world, &clock, &store, limits).await;
        Self { clock, world, store, plan, targets: ids, limits, quarantined: BTreeSet::new() }
    }

    /// Plans once more for the world as it is now, and for what is in quarantine by now.
    pub async fn plan_again(&mut self) {
        self.world().silent_until = None;
        self.plan = planned(&self.world, &self.clock, &self.store, self.limits).await;
    }

    /// The same with machines besides, and a plan for all of them.
    async fn with_machines(
        mut self,
        machines: &[(String, String, Behaviour)],
        keeping: impl Fn(usize) -> Keeping,
    ) -> Self {
        for (number, (service, name, behaviour)) in machines.iter().enumerate() {
            let id = self.world().add_machine(service, name, *behaviour, self.clock.now());
            self.world().keep(&id, keeping(number));
            self.targets.push(id);
            let budget = budget(self.limits, machines, service);
            self.world().budget.insert(service.clone(), budget);
        }
        if !machines.is_empty() {
            self.plan_again().await;
        }
        self
    }

    /// A random world, drawn from a seed, with random faults.
    pub async fn random(rng: &mut fastrand::Rng) -> Self {
        let mut targets = Vec::new();
        for service in 0..rng.usize(1..=3) {
            let behaviour = match rng.u32(0..10) {
                0 => Behaviour::CrashesAtStart,
                1 => Behaviour::CrashesAfter(rng.i64(1..=25)),
                2 => Behaviour::OtherPort,
                3 => Behaviour::Http500,
                4 => Behaviour::HealthHangs,
                _ => Behaviour::Good,
            };
            for number in 0..rng.usize(1..=3) {
                targets.push((format!("s{service}"), format!("s{service}-{number}"), behaviour));
            }
        }
        let order = if rng.u32(0..3) == 0 { Order::StartFirst } else { Order::StopFirst };
        // Each lives in one of those before it, or in none: there are no circles. Of those who live together none
        // is started first.
        let mut lives_in = Vec::new();
        if order == Order::StopFirst && rng.bool() {
            for (number, (_, name, _)) in targets.iter().enumerate().skip(1) {
                if rng.bool() {
                    lives_in.push((name.clone(), targets[rng.usize(0..number)].1.clone()));
                }
            }
        }
        let max_unavailable = match rng.u32(0..4) {
            0 => Budget::Count(2),
            1 => Budget::Percent(rng.u8(0..=100)),
            _ => Budget::Count(1),
        };
        let limits = Limits { max_unavailable, max_failures: Budget::Count(rng.u32(0..4)), order };
        let behaviours =
            [Behaviour::Good, Behaviour::CrashesAfter(9), Behaviour::OtherPort, Behaviour::Http500];
        let machines: Vec<_> = (0..rng.usize(0..=2))
            .map(|number| {
                let behaviour = *rng.choice(&behaviours).unwrap_or(&Behaviour::Good);
                // A service that is named otherwise: its patch set is its own.
                (format!("m{number}"), format!("machine-{number}"), behaviour)
            })
            .collect();
        let scenario = Self::living_together(rng.u64(..), &targets, &lives_in, limits).await;
        let keepings = [Keeping::Nobody, Keeping::Keeper, Keeping::KeeperOfStuck, Keeping::KeeperOfScarred];
        let first = rng.usize(..);
        let keeping = |number: usize| keepings[(first % keepings.len() + number) % keepings.len()];
        let scenario = scenario.with_machines(&machines, keeping).await;
        {
            let mut world = scenario.world();
            if rng.u32(0..10) >= 4 {
                world.faults.doing = rng.u32(0..120);
                world.faults.undoing = rng.u32(0..80);
            }
            for target in &scenario.targets {
                if rng.u32(0..12) == 0 {
                    let how = *rng
                        .choice(&[
                            Interference::Remove,
                            Interference::Recreate,
                            Interference::Stop,
                            Interference::Reconfigure,
                        ])
                        .unwrap_or(&Interference::Stop);
                    let at = SignedDuration::from_secs(rng.i64(0..150));
                    let at = scenario.clock.now().checked_add(at).unwrap_or(scenario.clock.now());
                    world.interfere(target, how, at);
                }
            }
            if rng.u32(0..15) == 0 {
                let until = SignedDuration::from_secs(rng.i64(1..400));
                world.silent_until = scenario.clock.now().checked_add(until).ok();
            }
        }
        scenario
    }

    /// The world.
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn engine(&self, crash: Option<CrashAt>, died: Arc<Notify>) -> Engine {
        let clock: Arc<dyn Clock> = self.clock.clone();
        let provider: Arc<dyn Provider> = Arc::new(SimProvider::new(Arc::clone(&self.world), clock.clone()));
        let store: Arc<dyn Store> = Arc::new(CrashingStore::new(self.store.clone(), crash, died));
        Engine::new(store, vec![provider], clock, "simulation".into())
    }

    /// Runs the rollout to its end: the first controllers die at `crashes`, the last one lives; what
    /// is paused is resumed, what needs attention is decided as `person` says.
    ///
    /// # Panics
    /// When the rollout does not come to an end: a bug.
    pub async fn run(&self, crashes: &[CrashAt], asks: &[Ask], person: Option<PersonVerdict>) -> Outcome {
        let me = Actor("test".into());
        let (before, machines_before) = {
            let world = self.world();
            (world.objects.clone(), world.machines.clone())
        };
        let immortal = self.engine(None, Arc::default());
        let rollout = match immortal.begin(&self.plan, me.clone()).await {
            Ok(rollout) => rollout,
            Err(error) => panic!("cannot begin: {error}"),
        };
        let mut crashes = crashes.iter();
        let asking = async {
            let mut before = Duration::ZERO;
            for ask in asks {
                self.clock.sleep(ask.after.saturating_sub(before)).await;
                before = ask.after;
                // It may have ended meanwhile.
                let _ = immortal.request(rollout, ask.request, me.clone(), "a test").await;
            }
            std::future::pending::<()>().await;
        };
        let driving = async {
            let mut controllers = 0;
            let mut decisions = 0;
            loop {
                controllers += 1;
                assert!(controllers < 200, "the rollout does not come to an end");
                let died = Arc::new(Notify::new());
                let mortal = self.engine(crashes.next().copied(), Arc::clone(&died));
                let end = tokio::select! {
                    end = mortal.drive(rollout, Arc::new(Quiet), Stop::never()) => Some(end),
                    () = died.notified() => None,
                };
                match end {
                    // It died. What was on its way at the host arrives before the next one comes.
                    None => self.clock.sleep(Duration::from_secs(5)).await,
                    Some(Ok(DriveEnd::Ended(RolloutEnd::NeedsAttention))) if decisions < 8 => {
                        decisions += 1;
                        let Some(verdict) = person else { return controllers };
                        self.decide(&immortal, rollout, verdict).await;
                    }
                    Some(Ok(DriveEnd::Ended(_))) => return controllers,
                    Some(Ok(DriveEnd::Paused)) => {
                        let attention = self.attention(&immortal, rollout).await;
                        self.world().note_who_is_down(&attention);
                        self.clock.sleep(Duration::from_secs(60)).await;
                        let _ = immortal.request(rollout, Request::Resume, me.clone(), "a test").await;
                    }
                    Some(Ok(DriveEnd::Interrupted { .. })) => {
                        self.clock.sleep(Duration::from_secs(200)).await;
                    }
                    Some(Err(error)) => panic!("the driver failed: {error}"),
                }
            }
        };
        let controllers = tokio::select! {
            controllers = driving => controllers,
            () = asking => unreachable!("it waits for ever"),
        };
        self.clock.sleep(Duration::from_secs(30)).await;
        self.world().tick(self.clock.now());
        self.outcome(&immortal, rollout, (before, machines_before), controllers).await
    }

    async fn decide(&self, engine: &Engine, rollout: RolloutId, verdict: PersonVerdict) {
        for action in 0..self.plan.decisions.actions.len() {
            let run = RunId { rollout, action };
            // Runs that do not wait for a person refuse; that is fine here.
            let _ = engine.resolve(run, verdict, Actor("test".into()), "a test").await;
        }
    }

    /// The targets that wait for a person.
    async fn attention(&self, engine: &Engine, rollout: RolloutId) -> BTreeSet<TargetId> {
        let (_, state) = engine.rollout(rollout).await.unwrap_or_else(|error| panic!("{error}"));
        let runs = self.plan.decisions.actions.iter().zip(&state.runs);
        let called = runs.filter(|(_, run)| run.end() == Some(RunEnd::NeedsAttention));
        called.flat_map(|(action, _)| action.disturbed().cloned()).collect()
    }

    async fn outcome(
        &self,
        engine: &Engine,
        id: RolloutId,
        (before, machines_before): (BTreeMap<String, SimObject>, BTreeMap<TargetId, SimMachine>),
        controllers: usize,
    ) -> Outcome {
        let (_, rollout) = engine.rollout(id).await.unwrap_or_else(|error| panic!("cannot be read: {error}"));
        let log = self.store.read(Stream::Rollout(id), 0).await;
        let log = log.unwrap_or_else(|error| panic!("its log cannot be read: {error}"));
        let mut runs = Vec::new();
        for action in 0..self.plan.decisions.actions.len() {
            let run = engine.run(RunId { rollout: id, action }).await;
            runs.push(run.unwrap_or_else(|error| panic!("a run cannot be read: {error}")));
        }
        Outcome { id, before, machines_before, log, rollout, runs, controllers }
    }
}

/// How many of a service's targets may be down at the same time: at least one, or nothing would ever be patched.
fn budget(limits: Limits, targets: &[(String, String, Behaviour)], service: &str) -> usize {
    let replicas = targets.iter().filter(|(other, ..)| other == service).count();
    let budget = match limits.max_unavailable {
        Budget::Count(n) => n as usize,
        Budget::Percent(percent) => replicas * usize::from(percent) / 100,
    };
    budget.max(1)
}

/// The real planner's plan for every target that answers.
async fn planned(
    world: &Arc<Mutex<World>>,
    clock: &Arc<SimClock>,
    store: &MemoryStore,
    limits: Limits,
) -> Plan {
    let provider = SimProvider::new(Arc::clone(world), clock.clone());
    let quarantine = patchyard_engine::quarantine(store).await;
    let quarantine = quarantine.unwrap_or_else(|error| panic!("no ledger: {error}"));
    let plan = plan(&provider, &**clock, limits, quarantine).await;
    plan.unwrap_or_else(|error| panic!("cannot plan: {error}"))
}

impl Outcome {
    /// How an action's run ended.
    ///
    /// # Panics
    /// When it did not: a bug.
    #[must_use]
    pub fn end(&self, action: usize) -> RunEnd {
        match self.rollout.runs.get(action).and_then(patchyard_decide::rollout::RunSlot::end) {
            Some(end) => end,
            None => panic!("run {action} has no end: {:?}", self.rollout.runs.get(action)),
        }
    }
    /// The services whose patch set it put in quarantine, with the set.
    #[must_use]
    pub fn quarantined(&self, plan: &Plan) -> BTreeSet<(String, PatchSetId)> {
        let failed = self.log.iter().filter_map(|event| match &event.body {
            EventBody::Rollout(RolloutEvent::RunEnded { action, quarantined: true, .. }) => Some(*action),
            _ => None,
        });
        let actions = failed.filter_map(|action| plan.decisions.actions.get(action));
        actions.map(|action| (action.service.clone(), action.patch_set)).collect()
    }
}
