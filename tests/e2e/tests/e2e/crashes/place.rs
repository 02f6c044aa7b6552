//! Where a scenario is played, again and again, and one play of it until `apply`.

use patchyard_e2e_tests::{
    Controller, Engine, Guest, Objects, PrivateEngine, Registry, Service, ServiceOptions, Witness,
};

use patchyard_types::Order;

use super::Scenario;

/// Hosts, and a registry where there has to be one.
pub(super) struct Place {
    hosts: Vec<Host>,
    registry: Option<Registry>,
}

struct Host {
    engine: PrivateEngine,
    /// What is on it when nothing is played.
    bare: Objects,
}

impl Place {
    pub fn new(scenario: &Scenario) -> Self {
        let registry = (scenario.method == "image").then(|| Registry::start(true));
        let last = scenario.services.iter().map(|(_, host)| *host).max().unwrap_or_default();
        let host = |index| {
            let engine = PrivateEngine::start();
            let here = scenario.services.iter().filter(|(_, host)| *host == index);
            let images: Vec<String> = match registry {
                // A pull brings what is above it.
                Some(_) => vec!["patchyard-lab/base:1".to_owned()],
                None => here.map(|(case, _)| format!("patchyard-lab/web-{case}:1")).collect(),
            };
            engine.load(&images);
            let bare = engine.objects();
            Host { engine, bare }
        };
        Self { hosts: (0..=last).map(host).collect(), registry }
    }

    /// Makes it what it was before the play.
    pub fn clear(&self) {
        for Host { engine, bare } in &self.hosts {
            for container in engine.list(["ps", "-aq"]) {
                engine.try_docker(["rm", "-fv", &container]);
            }
            // An image may be in the way of the one below it.
            for _ in 0..3 {
                for image in engine.objects().images.difference(&bare.images) {
                    let (name, id) = image.rsplit_once(' ').expect("a name and an id");
                    engine.try_docker(["rmi", "-f", if name.contains("<none>") { id } else { name }]);
                }
            }
            for volume in engine.list(["volume", "ls", "-q"]) {
                engine.try_docker(["volume", "rm", "-f", &volume]);
            }
            assert_eq!(engine.objects(), *bare, "the engine cannot be cleared");
        }
    }

    fn service(&self, case: &str, host: usize, order: Order) -> Service {
        let engine = &self.hosts[host].engine;
        let two_can_run = order == Order::StartFirst;
        let as_it_is = ServiceOptions { as_it_is: true, two_can_run, ..Default::default() };
        let Some(registry) = &self.registry else {
            // Only one and the same image is built on one host and moved to another.
            let options = ServiceOptions { as_it_is: self.hosts.len() > 1, ..as_it_is };
            return Service::start_with(engine, &format!("web-{case}"), &options);
        };
        let reference = registry.reference(case);
        registry.push(case, "1.0");
        let mut pull = engine.command(["pull", "-q", &reference]);
        assert!(pull.env("DOCKER_CONFIG", registry.docker_config()).output().unwrap().status.success());
        registry.push(case, "1.1");
        Service::start_with(engine, &reference, &as_it_is)
    }

    fn controller(&self, scenario: &Scenario) -> Controller {
        let hosts = self.hosts.iter().enumerate();
        let hosts = hosts.map(|(index, host)| format!("host{index}: {{ url: '{}' }}", host.engine.host()));
        let hosts = hosts.collect::<Vec<_>>().join(", ");
        let defaults =
            format!("verify_for: 1s, max_parallel: 1, timeouts: {{ healthy: 5s }}, {}", scenario.defaults);
        let controller = Controller::new(&self.hosts[0].engine)
            .with_binary(env!("CARGO_BIN_EXE_patchyard-that-crashes"))
            .with_config(&format!("version: 1\nhosts: {{ {hosts} }}\ndefaults: {{ {defaults} }}\n"));
        match &self.registry {
            Some(registry) => controller.with("DOCKER_CONFIG", registry.docker_config()),
            None => controller,
        }
    }
}

/// Services that are about to be patched.
pub(super) struct Yard<'a> {
    pub scenario: &'a Scenario,
    pub services: [Service; 2],
    /// Who lives in the network of each, where the scenario has them.
    pub guests: Vec<Guest>,
    pub controller: Controller,
    /// The plan's digest.
    pub plan: String,
    pub hosts: Vec<Watched<'a>>,
}

/// A host, what was on it before, and what happens on it.
pub(super) struct Watched<'a> {
    pub engine: &'a Engine,
    pub before: Objects,
    pub witness: Witness,
}

impl<'a> Yard<'a> {
    /// The name of what a service writes.
    pub const WRITTEN: &'static str = "written-since";

    pub fn new(scenario: &'a Scenario, place: &'a Place) -> Self {
        let services = scenario.services.map(|(case, host)| place.service(case, host, scenario.order));
        let guests: Vec<Guest> = match scenario.guests {
            true => services.iter().map(Guest::of).collect(),
            false => Vec::new(),
        };
        let controller = place.controller(scenario);
        let names = services.iter().map(Service::name);
        let plan = controller
            .run(["plan", "--json", "--method", scenario.method].into_iter().chain(names))
            .expect(0);
        let plan = plan.json("patchyard.plan/v1");
        assert_eq!(plan["actions"].as_array().map(Vec::len), Some(services.len()), "{plan:#}");
        for action in plan["actions"].as_array().unwrap() {
            let with = action["dependents"].as_array().map(Vec::len);
            assert_eq!(with, Some(usize::from(scenario.guests)), "{plan:#}");
        }
        let plan = plan["digest"].as_str().unwrap().to_owned();
        if scenario.writes {
            services[0].put("/srv", Self::WRITTEN, "since the plan");
        }
        let hosts = place.hosts.iter().map(|Host { engine, .. }| Watched {
            engine,
            before: engine.objects(),
            witness: Witness::of(engine),
        });
        Self { scenario, hosts: hosts.collect(), services, guests, controller, plan }
    }
}
