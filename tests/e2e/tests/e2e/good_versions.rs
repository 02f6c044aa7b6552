//! Good versions: each is deployed, none is taken back, and all but the version stays as it was.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use patchyard_e2e_tests::{
    Controller, Engine, Outcome, PollLog, Poller, PrivateEngine, Registry, Service, ServiceOptions, intent,
    unique,
};
use patchyard_types::{Record, RunEvent, Step, SwapStep};

/// 18 is a slow starter, 19 ignores SIGTERM, 20 has a worker process.
const MANY: usize = 20;

#[test]
fn twenty_good_packages_are_swapped_in_without_a_rollback() {
    let engine = Engine::machine();
    let services: Vec<Service> =
        (1..=MANY).map(|number| Service::start(&engine, &format!("web-many-{number:02}"))).collect();
    let before: Vec<_> = services.iter().map(Service::fingerprint).collect();
    let controller = Controller::new(&engine).with_defaults("verify_for: 2s, max_parallel: 4");
    let plan = controller.plan(&services.iter().collect::<Vec<_>>());

    // An ordinary one, and the one that ignores SIGTERM.
    let watched = [&services[0], &services[18]];
    let clients = watched.map(|service| Poller::start(service.port()));
    let apply = controller.run(["apply", "--yes", "--json", "--plan", &plan]).expect(0);
    let logs = clients.map(Poller::finish);

    assert_eq!(apply.rollout()["state"], "succeeded", "{apply}");
    for (number, (service, before)) in services.iter().zip(before).enumerate() {
        assert_eq!(apply.run_of(service)["state"], "succeeded", "{apply}");
        assert_eq!(service.answer().unwrap(), format!("lab-good-{:02} 1.1\n", number + 1));
        assert_eq!(service.fingerprint().but_for_the_version(), before, "{}", service.name());
    }
    for (service, log) in watched.into_iter().zip(&logs) {
        requests_fail_only_during_the_swap(&controller, service, log);
    }
    assert!(controller.quarantine().is_empty());
    controller.events().nothing_was_done_twice();
}

/// Between the stop of the old container and the first good look at the new one.
fn requests_fail_only_during_the_swap(controller: &Controller, service: &Service, log: &PollLog) {
    eprintln!("{}: {} of {} requests failed", service.name(), log.failed.len(), log.requests);
    let events = controller.events();
    let run = events.run_of(service).expect("it has a run");
    let stopped = events.find(run, |at, event| intent(SwapStep::Stop, at, event)).expect("it was stopped");
    let good = events.find(run, |_, event| match event {
        RunEvent::Succeeded {
            step: Step::Swap(SwapStep::Verify),
            record: Record::Verified { first_good },
            ..
        } => Some(*first_good),
        _ => None,
    });
    let good = good.expect("it was verified");
    log.failed_only_between(stopped, good);
}

/// Both versions of its program are as large as each other, and as old. On btrfs an engine finds what a layer holds by comparing
/// just that.
#[test]
fn an_engine_that_compares_files_leaves_none_out_of_a_layer() {
    let engine = PrivateEngine::on_disk("btrfs:2G");
    engine.load(&["patchyard-lab/web-good:1"]);
    let service = Service::start(&engine, "web-good");
    let verify = || engine.docker(["exec", service.name(), "dpkg", "--verify"]);
    let before = verify();
    let controller = Controller::new(&engine).with_defaults("verify_for: 1s");
    controller.run(["apply", "--yes", service.name()]).expect(0);
    assert_eq!(verify(), before);
    assert_eq!(service.answer().unwrap(), "lab-web 1.1\n");
}

/// Patches one service whose patch is good, and makes sure that nothing else about it changed.
fn is_patched(case: &str, more: &[&str]) -> (Service, Controller, Outcome) {
    let engine = Engine::machine();
    let service = Service::start(&engine, case);
    let before = service.fingerprint();
    let controller = Controller::new(&engine).with_defaults("verify_for: 2s");
    let apply = controller.run(["apply", "--yes", "--json", service.name()].iter().chain(more)).expect(0);
    assert_eq!(apply.run_of(&service)["state"], "succeeded", "{apply}");
    assert_eq!(service.fingerprint().but_for_the_version(), before);
    assert!(controller.quarantine().is_empty());
    (service, controller, apply)
}

#[test]
fn a_question_of_debconf_is_answered_without_anybody() {
    let (service, ..) = is_patched("web-debconf", &[]);
    assert_eq!(service.answer().unwrap(), "lab-web 1.1\n");
    let colour = service.engine().docker(["exec", service.name(), "cat", "/etc/lab-web.colour"]);
    assert_eq!(colour, "green", "the question's default");
}

#[test]
fn a_new_dependency_comes_along() {
    let (service, ..) = is_patched("web-new-dep", &[]);
    assert_eq!(service.answer().unwrap(), "lab-web 1.1\n");
    service.engine().docker(["exec", service.name(), "test", "-e", "/usr/share/lab-web-dep/version"]);
}

#[test]
fn an_image_with_a_user_an_entrypoint_and_a_stop_signal_keeps_them() {
    let (service, ..) = is_patched("web-nonroot", &[]);
    assert_eq!(service.answer().unwrap(), "lab-web 1.1\n");
    let config = &service.inspect()["Config"];
    assert_eq!(config["User"], "nobody");
    assert_eq!(config["Entrypoint"][0], "lab-web");
    assert_eq!(config["StopSignal"], "SIGINT");
    assert_eq!(config["WorkingDir"], "/var/tmp");
}

/// A network of one test's own, gone with the guard.
struct Network(Engine, String);

impl Network {
    /// In a subnet that nobody has; the first three parts of its addresses come with it.
    fn new(engine: &Engine, word: &str) -> (Self, String) {
        let name = format!("{}-{word}", unique());
        let free = (0..250).map(|third| format!("10.199.{third}")).find(|subnet| {
            let made = engine.try_docker(["network", "create", "--subnet", &format!("{subnet}.0/24"), &name]);
            made.status.success()
        });
        (Self(engine.clone(), name), free.expect("a free subnet"))
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.0.try_docker(["network", "rm", &self.1]);
    }
}

#[test]
fn a_service_on_two_networks_keeps_its_addresses_and_its_device_through_patch_and_rollback() {
    let engine = Engine::machine();
    let ((front, front_subnet), (back, back_subnet)) =
        (Network::new(&engine, "front"), Network::new(&engine, "back"));
    let (front_ip, back_ip) = (format!("{front_subnet}.77"), format!("{back_subnet}.78"));
    let run = ["--network", &front.1, "--ip", &front_ip, "--mac-address", "02:42:0a:d8:01:4d"];
    let options = [&run[..], &["--network-alias", "shop", "--device", "/dev/null:/dev/nothing"]].concat();
    let service =
        Service::start_with(&engine, "web-good", &ServiceOptions { run: &options, ..Default::default() });
    engine.docker(["network", "connect", "--ip", &back_ip, &back.1, service.name()]);
    let controller = Controller::new(&engine).with_defaults("verify_for: 2s");
    let addresses = || {
        let networks = service.inspect()["NetworkSettings"]["Networks"].clone();
        [&front, &back].map(|network| networks[&network.1]["IPAddress"].clone())
    };
    let (before, addresses_before) = (service.fingerprint(), addresses());
    controller.run(["apply", "--yes", service.name()]).expect(0);
    assert_eq!(service.answer().unwrap(), "lab-web 1.1\n");
    assert_eq!(addresses(), addresses_before);
    assert_eq!(service.fingerprint().but_for_the_version(), before);
    controller.run(["rollback", "--yes", service.name()]).expect(0);
    assert_eq!(addresses(), addresses_before);
    assert_eq!(service.fingerprint(), before);
}

#[test]
fn a_security_patch_is_one_by_its_origin() {
    let (service, ..) = is_patched("web-security", &["--security-only"]);
    assert_eq!(service.answer().unwrap(), "lab-web 1.1\n");
    let engine = Engine::machine();
    let other = Service::start(&engine, "web-good");
    let plan = Controller::new(&engine).run(["plan", "--json", "--security-only", other.name()]).expect(0);
    assert!(plan.json("patchyard.plan/v1")["actions"].as_array().is_some_and(Vec::is_empty), "{plan}");
}

#[test]
fn the_distributions_own_security_updates_are_deployed() {
    let (service, controller, _) = is_patched("debian-web", &["--security-only", "--step-timeout", "10m"]);
    let scan = controller.run(["scan", "--json", "--security-only", "--refresh", service.name()]).expect(0);
    let scan = scan.json("patchyard.scan/v1");
    assert_eq!(scan["targets"][0]["assessment"]["state"], "assessed", "{scan:#}");
    assert!(scan["targets"][0]["pending"].as_array().is_some_and(Vec::is_empty), "{scan:#}");
}

/// `apt` needs the `libapt-pkg6.0` of its own version, and nothing else of what is pending.
#[test]
fn a_package_that_is_asked_for_comes_with_what_it_needs_and_nothing_else() {
    let engine = Engine::machine();
    let service = Service::start(&engine, "debian-web");
    let controller = Controller::new(&engine).with_defaults("verify_for: 1s");
    let planned = |more: &[&str]| {
        let plan = controller.run(["plan", "--json", service.name()].iter().chain(more)).expect(0);
        let plan = plan.json("patchyard.plan/v1");
        let packages = plan["actions"][0]["packages"].as_array().expect("packages").clone();
        packages.iter().map(|p| p["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let all = planned(&[]);
    assert!(all.len() > 2 && all.iter().any(|name| name == "apt"), "{all:?}");
    assert_eq!(planned(&["--package", "apt"]), ["apt", "libapt-pkg6.0"]);
    let apply = controller.run(["apply", "--yes", "--json", "--package", "apt", service.name()]).expect(0);
    assert_eq!(apply.run_of(&service)["state"], "succeeded", "{apply}");
}

#[test]
fn a_package_on_hold_stays_and_the_plan_says_so() {
    let engine = Engine::machine();
    let service = Service::start(&engine, "web-held");
    let plan = Controller::new(&engine).run(["plan", "--json", service.name()]).json("patchyard.plan/v1");
    assert!(plan["actions"].as_array().is_some_and(Vec::is_empty), "{plan:#}");
    assert!(
        plan["left_out"][0]["detail"].as_str().is_some_and(|words| words.contains("on hold")),
        "{plan:#}"
    );
}

#[test]
fn planning_again_gives_the_same_plan_and_patching_again_has_nothing_to_do() {
    let (service, controller, _) = is_patched("web-good", &[]);
    let again = controller.run(["apply", "--yes", "--json", "--refresh", service.name()]).expect(0);
    assert_eq!(controller.events().rollouts().len(), 1, "{again}");
    let engine = Engine::machine();
    let other = Service::start(&engine, "web-good");
    let other_controller = Controller::new(&engine);
    assert_eq!(other_controller.plan(&[&other]), other_controller.plan(&[&other]));
}

#[test]
fn a_patched_service_is_rolled_back_by_hand_to_what_it_was() {
    let (service, controller, _) = is_patched("web-good", &[]);
    let patched = service.fingerprint();
    let client = Poller::start(service.port());
    let back = controller.run(["rollback", "--yes", "--json", "R1"]).expect(0);
    let log = client.finish();
    assert_eq!(back.rollout()["state"], "succeeded", "{back}");
    requests_fail_only_during_the_swap(&controller, &service, &log);
    assert_eq!(service.answer().unwrap(), "lab-web 1.0\n");
    assert_eq!(service.fingerprint(), patched.but_for_the_version());
    let image = service.engine().inspect("image", service.reference());
    assert_eq!(service.inspect()["Image"], image["Id"], "the tag and the container are back on the base");
}

#[test]
fn a_registry_gets_the_credentials_that_the_configuration_names() {
    let engine = Engine::machine();
    let registry = Registry::start(true);
    registry.push("good", "1.0");
    let reference = registry.reference("good");
    let mut pull = engine.command(["pull", "-q", &reference]);
    assert!(pull.env("DOCKER_CONFIG", registry.docker_config()).output().unwrap().status.success());
    let options = ServiceOptions { as_it_is: true, ..Default::default() };
    let service = Service::start_with(&engine, &reference, &options);
    registry.push("good", "1.1");

    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("password"), "lab\n").unwrap();
    let config = |file: &str| {
        let (address, file) = (registry.address(), folder.path().join(file));
        let login = format!("{{ username: lab, password_file: {} }}", file.display());
        format!("version: 1\ndefaults: {{ verify_for: 1s }}\nregistries:\n  \"{address}\": {login}\n")
    };
    let apply = ["apply", "--yes", "--json", "--method", "image", "--refresh", service.name()];
    let controller = Controller::new(&engine).with_config(&config("nowhere"));
    controller.run(["plan", "--method", "image", service.name()]).says(&["password file"]);
    let controller = controller.with_config(&config("password"));
    let apply = controller.run(apply).expect(0);
    assert_eq!(apply.run_of(&service)["state"], "succeeded", "{apply}");
    assert_eq!(service.answer().unwrap(), "lab-web 1.1\n");
}
