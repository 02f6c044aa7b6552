//! The simulated provider passes the suite of every provider.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use patchyard_contract::provider_suite;
use patchyard_contract::suite::provider::Yard;
use patchyard_contract::{Clock, Provider};
use patchyard_provider_sim::{Behaviour, Interference, SimClock, SimProvider, World};
use patchyard_simulation_tests::plan::{Limits, plan};
use patchyard_types::{HostId, Order, Plan, TargetId};

/// A simulated host with one target, and perhaps with others in its namespaces.
struct SimYard {
    clock: Arc<SimClock>,
    world: Arc<Mutex<World>>,
    plan: Arc<Plan>,
    /// Whom somebody else lays hands on.
    victim: TargetId,
}

impl SimYard {
    async fn new(order: Order) -> Self {
        Self::living_together(order, &[]).await
    }

    /// Each lives in the one before it, the first one in the target.
    async fn with_dependents() -> Self {
        Self::living_together(Order::StopFirst, &["side", "third"]).await
    }

    async fn living_together(order: Order, others: &[&str]) -> Self {
        let clock = Arc::new(SimClock::new());
        let mut world = World::new(1, HostId::new("sim-host"));
        world.start_first = order == Order::StartFirst;
        world.restores = !world.start_first;
        let mut victim = world.add("shop", "shop-1", Behaviour::Good, clock.now());
        let mut owner = "shop-1";
        for name in others {
            victim = world.add(name, name, Behaviour::Good, clock.now());
            world.move_in(name, owner);
            owner = name;
        }
        let world = Arc::new(Mutex::new(world));
        let provider = SimProvider::new(Arc::clone(&world), clock.clone());
        let limits = Limits { order, ..Limits::default() };
        let plan = Arc::new(plan(&provider, &*clock, limits, Vec::new()).await.unwrap());
        assert_eq!(plan.decisions.actions.len(), 1);
        assert_eq!(plan.decisions.actions[0].dependents.len(), others.len());
        Self { clock, world, plan, victim }
    }

    fn look<T>(&self, look: impl FnOnce(&mut World) -> T) -> T {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        world.tick(self.clock.now());
        look(&mut world)
    }
}

#[async_trait]
impl Yard for SimYard {
    fn provider(&self) -> Arc<dyn Provider> {
        Arc::new(SimProvider::new(Arc::clone(&self.world), self.clock.clone()))
    }

    fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.plan)
    }

    async fn serving(&self) -> Option<String> {
        let now = self.clock.now();
        self.look(|world| {
            // Everybody serves, or nobody does.
            let names = ["shop-1", "side", "third"]
                .into_iter()
                .filter(|name| world.targets.values().any(|target| target.name == *name));
            let all = names.map(|name| {
                let (handle, object) = world.named(name)?;
                object.alive(now).then(|| format!("{handle} {} in {:?}", object.image, object.lives_in))
            });
            all.collect::<Option<Vec<_>>>().map(|all| all.join(", "))
        })
    }

    async fn objects(&self) -> Vec<String> {
        self.look(|world| {
            let objects = world.objects.iter().map(|(handle, object)| {
                format!("{handle} {} held={} up={}", object.name, object.held, object.started.is_some())
            });
            let volumes = world.volumes.keys().map(|name| format!("volume {name}"));
            objects.chain(world.snapshots.keys().map(ToString::to_string)).chain(volumes).collect()
        })
    }

    async fn meddle(&self) {
        self.look(|world| world.interfere(&self.victim, Interference::Recreate, self.clock.now()));
    }
}

provider_suite!(tokio::test(start_paused = true), SimYard::new(Order::StopFirst));

/// The same of a target together with those who live in its namespaces.
mod with_dependents {
    use super::*;

    provider_suite!(tokio::test(start_paused = true), SimYard::with_dependents());
}

/// The same of a target whose replacement is started first.
mod start_first {
    use super::*;

    provider_suite!(start-first tokio::test(start_paused = true), SimYard::new(Order::StartFirst));
}

/// A simulated machine.
struct MachineYard {
    clock: Arc<SimClock>,
    world: Arc<Mutex<World>>,
    plan: Arc<Plan>,
    machine: TargetId,
}

impl MachineYard {
    async fn new() -> Self {
        let clock = Arc::new(SimClock::new());
        let mut world = World::new(1, HostId::new("sim-host"));
        let machine = world.add_machine("db", "db01", Behaviour::Good, clock.now());
        let world = Arc::new(Mutex::new(world));
        let provider = SimProvider::new(Arc::clone(&world), clock.clone());
        let plan = Arc::new(plan(&provider, &*clock, Limits::default(), Vec::new()).await.unwrap());
        assert_eq!(plan.decisions.actions.len(), 1, "{:#?}", plan.about.left_out);
        Self { clock, world, plan, machine }
    }
}

#[async_trait]
impl patchyard_contract::suite::machine::Yard for MachineYard {
    fn provider(&self) -> Arc<dyn Provider> {
        Arc::new(SimProvider::new(Arc::clone(&self.world), self.clock.clone()))
    }

    fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.plan)
    }

    async fn packages(&self) -> Vec<String> {
        // What is on its way arrives.
        self.clock.sleep(std::time::Duration::from_secs(5)).await;
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        world.tick(self.clock.now());
        let machine = &world.machines[&self.machine];
        vec![format!("web {} half={}", machine.version, machine.half)]
    }

    async fn meddle(&self) {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        world.interfere(&self.machine, Interference::Recreate, self.clock.now());
    }
}

/// The steps of a machine's patch.
mod machines {
    use super::*;

    patchyard_contract::machine_suite!(tokio::test(start_paused = true), MachineYard::new());
}
