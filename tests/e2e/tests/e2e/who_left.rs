//! Whoever started a rollout has gone, or sits inside of a target: nothing is left stopped, and Patchyard does not
//! swap itself.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::process::Command;
use std::time::Duration;

use patchyard_e2e_tests::{Controller, Engine, Running, Service, ServiceOptions};
use patchyard_types::SwapStep;
use rustix::process::Signal;
use serde_json::Value;

/// The same command on a terminal of its own. When `script` dies, the terminal is gone, and the kernel tells the one
/// that leads the session: that has to be the command, not a shell around it.
fn on_a_terminal(command: &Command) -> Running {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let quoted = words.map(|word| format!("'{}'", word.to_str().unwrap().replace('\'', r"'\''")));
    // Also where the tests themselves run under nohup.
    let line = format!("exec env --default-signal=HUP {}", quoted.collect::<Vec<_>>().join(" "));
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    script.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    // A terminal that can do something, so that there is progress to draw when it goes.
    script.env("TERM", "xterm").current_dir(command.get_current_dir().expect("a controller has a folder"));
    Running::start(script)
}

/// Waits until a rollout is in one of these states, and returns it.
fn wait_for_state(controller: &Controller, states: &[&str]) -> Value {
    for _ in 0..600 {
        let status = controller.run(["status", "--json", "R1"]).json("patchyard.rollout/v1");
        if states.iter().any(|state| status["state"] == *state) {
            return status;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    panic!("it never gets to {states:?}: {}", controller.run(["log", "R1"]))
}

#[test]
fn a_lost_terminal_leaves_nothing_stopped() {
    let engine = Engine::machine();
    let services = [Service::start(&engine, "web-good"), Service::start(&engine, "web-security")];
    // Long enough that the first swap is still under way when the terminal goes, also on a busy machine.
    let controller = Controller::new(&engine).with_defaults("verify_for: 15s, max_parallel: 1");
    let plan = controller.plan(&[&services[0], &services[1]]);
    let mut terminal = on_a_terminal(&controller.command(["apply", "--yes", "--plan", &plan]));
    let has_stopped = |service: &Service| controller.events().has_begun(service, SwapStep::Stop);
    terminal.wait_until("in a swap", || services.iter().any(has_stopped));
    terminal.signal(Signal::KILL);
    drop(terminal.finish());
    wait_for_state(&controller, &["paused"]);
    let patched = services.iter().filter(|service| service.answer().unwrap() == "lab-web 1.1\n").count();
    assert_eq!(patched, 1, "what had begun was finished, nothing else was begun");
    controller.run(["resume", "--yes", "--json"]).expect(0);
    assert!(services.iter().all(|service| service.answer().unwrap() == "lab-web 1.1\n"));
    controller.events().nothing_was_done_twice();
}

#[test]
fn under_nohup_a_lost_terminal_is_no_reason_to_pause() {
    let engine = Engine::machine();
    let service = Service::start(&engine, "web-good");
    let controller = Controller::new(&engine).with_defaults("verify_for: 2s");
    let plan = controller.plan(&[&service]);
    let patchyard = controller.command(["apply", "--yes", "--plan", &plan]);
    let mut nohup = Command::new("nohup");
    nohup
        .arg(patchyard.get_program())
        .args(patchyard.get_args())
        .current_dir(patchyard.get_current_dir().unwrap());
    nohup.env_clear().envs(patchyard.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut apply = Running::start(nohup);
    apply.wait_until("in a swap", || controller.events().has_begun(&service, SwapStep::Stop));
    apply.signal(Signal::HUP);
    apply.finish().expect(0);
    assert_eq!(service.answer().unwrap(), "lab-web 1.1\n");
}

#[test]
fn a_rollout_in_the_background_needs_nobody() {
    let engine = Engine::machine();
    let service = Service::start(&engine, "web-good");
    let controller = Controller::new(&engine).with_defaults("verify_for: 2s");
    let plan = controller.plan(&[&service]);
    let apply = controller.run(["apply", "--yes", "--detach", "--plan", &plan]).expect(0);
    apply.says(&["R1 goes on in the background", "patchyard status R1"]);
    let rollout = wait_for_state(&controller, &["succeeded", "partly", "rolled_back", "needs_attention"]);
    assert_eq!(rollout["state"], "succeeded", "{rollout:#}");
    assert_eq!(service.answer().unwrap(), "lab-web 1.1\n");
}

#[test]
fn patchyard_in_a_container_leaves_its_own_container_alone() {
    let engine = Engine::machine();
    let socket = engine.host().strip_prefix("unix://").expect("the machine's engine has a socket");
    let program = Controller::new(&engine).command([""; 0]).get_program().to_str().unwrap().to_owned();
    let mounts = [format!("{socket}:/var/run/docker.sock"), format!("{program}:/usr/local/bin/patchyard:ro")];
    let run = ["-v", &mounts[0], "-v", &mounts[1], "-e", "PATCHYARD_STATE=/data/state"];
    let options = ServiceOptions { run: &run, ..Default::default() };
    let service = Service::start_with(&engine, "web-good", &options);
    let id = service.id();
    let inside = |args: &[&str]| {
        let exec = ["exec", "-u", "0", service.name(), "patchyard"];
        Running::start(engine.command(exec.iter().chain(args).copied())).finish()
    };
    let plan = inside(&["plan", "--json", service.name()]).expect(0).json("patchyard.plan/v1");
    assert!(plan["actions"].as_array().is_some_and(Vec::is_empty), "{plan:#}");
    assert_eq!(plan["left_out"][0]["reason"], "refused", "{plan:#}");
    inside(&["apply", "--yes", service.name()]).expect(4).says(&["does not swap itself"]);
    assert_eq!((service.id(), service.answer().unwrap()), (id, "lab-web 1.0\n".to_owned()));
}
