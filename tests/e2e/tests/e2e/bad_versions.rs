//! Every bad version of docs/bad-versions.md, on a real engine, as a layer and as an image: it ends as
//! the table says, and the service answers as before.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use patchyard_e2e_tests::{
    Controller, Ends, Engine, Poller, Registry, Row, Service, ServiceOptions, bad_versions, in_parallel,
    intent,
};
use patchyard_types::{RunEvent, SwapStep};
use serde_json::Value;

/// Cases at a time: they wait more than they work.
const AT_A_TIME: usize = 4;

#[test]
fn every_bad_version_ends_as_the_table_says() {
    let registries = [Registry::start(false), Registry::start(true)];
    let mut cases = Vec::new();
    for (number, row) in bad_versions().into_iter().enumerate() {
        if let Some(ends) = row.image {
            cases.push((row.clone(), Some((ends, &registries[number % 2]))));
        }
        cases.push((row, None));
    }
    let name = |(row, image): &(Row, Option<_>)| {
        format!("{} as {}", row.case, if image.is_some() { "image" } else { "layer" })
    };
    in_parallel(AT_A_TIME, &cases, name, |(row, image)| match image {
        None => as_layer(row),
        Some((ends, registry)) => as_image(row, *ends, registry),
    });
}

/// A controller whose limits are short where a case is about them, and generous everywhere else.
fn controller(engine: &Engine, case: &str) -> Controller {
    let verify_for = if case == "crash-late" { "25s" } else { "3s" };
    let step = if case.starts_with("postinst-") { "25s" } else { "5m" };
    Controller::new(engine).with_defaults(&format!(
        "verify_for: {verify_for}, max_layer: 16MiB, timeouts: {{ step: {step}, healthy: 20s, check: 5s }}"
    ))
}

fn as_layer(row: &Row) {
    let engine = Engine::machine();
    let service = Service::start(&engine, &format!("web-{}", row.case));
    let controller = controller(&engine, &row.case);
    ends_as_the_row_says(row, row.layer, &controller, &service, "layer");
    nothing_is_left(&service);
}

fn as_image(row: &Row, ends: Ends, registry: &Registry) {
    let engine = Engine::machine();
    let first = registry.push(&row.case, "1.0");
    let reference = registry.reference(&row.case);
    let login = registry.docker_config();
    let mut pull = engine.command(["pull", "-q", &reference]);
    assert!(pull.env("DOCKER_CONFIG", &login).output().unwrap().status.success(), "{reference}");
    let service =
        Service::start_with(&engine, &reference, &ServiceOptions { as_it_is: true, ..Default::default() });
    let controller = controller(&engine, &row.case).with("DOCKER_CONFIG", &login);

    let second = registry.push(&row.case, "1.1");
    assert_ne!(first, second);
    ends_as_the_row_says(row, ends, &controller, &service, "image");

    let before = service.fingerprint().but_for_the_version();
    let third = registry.push(&row.case, "1.2");
    assert_ne!(second, third);
    let good = controller.run(["apply", "--yes", "--json", "--method", "image", "--refresh", service.name()]);
    let good = good.expect(0);
    assert_eq!(good.run_of(&service)["state"], "succeeded", "{good}");
    assert_eq!(service.answer().unwrap(), "lab-web 1.2\n");
    assert_eq!(
        but_for_the_lab(service.fingerprint().but_for_the_version().settings),
        but_for_the_lab(before.settings)
    );
}

/// The lab writes on its images which case they are; that follows the image, and so it should.
fn but_for_the_lab(mut settings: Value) -> Value {
    if let Some(labels) = settings["config"]["Labels"].as_object_mut() {
        labels.retain(|name, _| !name.starts_with("lab.case") && !name.starts_with("lab.key"));
    }
    settings
}

fn ends_as_the_row_says(row: &Row, ends: Ends, controller: &Controller, service: &Service, method: &str) {
    let (before, inspect) = (service.fingerprint(), service.inspect());
    let apply = controller.run(["apply", "--yes", "--json", "--method", method, service.name()]);
    let apply = apply.expect(row.exit);
    match ends.state() {
        Some(state) => {
            let run = apply.run_of(service);
            assert_eq!(run["state"], state, "{apply}");
            assert_eq!(run["quarantined"], row.quarantined, "{apply}");
            assert!(run["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{apply}");
            controller.events().nothing_was_done_twice();
            if ends == Ends::RolledBack {
                let log = controller.run(["log", service.name()]).expect(0);
                log.says(&["before it was taken back", "lab-web 1.1: "]);
            }
        }
        None => {
            assert!(controller.events().rollouts().is_empty(), "nothing was begun: {apply}");
            left_out(controller, service, method);
        }
    }

    service.wait_until_it_answers();
    let (after, now) = (service.fingerprint(), service.inspect());
    assert_eq!(after, before, "as before: {apply}");
    assert_eq!(now["Id"], inspect["Id"], "the same container: {apply}");
    assert_eq!(now["Image"], inspect["Image"], "of the same image: {apply}");

    let quarantine = controller.quarantine();
    assert_eq!(!quarantine.is_empty(), row.quarantined, "{quarantine:?}");
    if row.quarantined {
        assert!(quarantine[0].to_string().contains(if method == "layer" {
            "lab-web=1.1"
        } else {
            "@sha256:"
        }));
        assert_eq!(left_out(controller, service, method)["reason"], "quarantined");
        if method == "layer" {
            let scan = controller.run(["scan", "--json", service.name()]).json("patchyard.scan/v1");
            assert_eq!(scan["targets"][0]["quarantined"], quarantine[0]["id"], "{scan:#}");
        }
    }
}

/// Plans again, and returns why the service is left out of the plan.
fn left_out(controller: &Controller, service: &Service, method: &str) -> Value {
    let plan =
        controller.run(["plan", "--json", "--method", method, service.name()]).json("patchyard.plan/v1");
    assert!(plan["actions"].as_array().is_some_and(Vec::is_empty), "{plan:#}");
    let left_out = plan["left_out"].as_array().expect("what is left out");
    assert_eq!(left_out.len(), 1, "{plan:#}");
    assert!(left_out[0]["target"].as_str().is_some_and(|id| id.ends_with(service.name())), "{plan:#}");
    left_out[0].clone()
}

/// A patch that was taken back leaves nothing, without anybody collecting it.
fn nothing_is_left(service: &Service) {
    assert_eq!(service.objects(), [service.name().to_owned(), service.reference().to_owned()]);
}

/// A client at 50 requests a second, through a patch that is taken back and one that cannot be built.
#[test]
fn a_client_misses_answers_only_while_the_bad_version_is_in_place() {
    let engine = Engine::machine();
    in_parallel(
        2,
        &["http-500", "postinst-fails"],
        |case| (*case).to_owned(),
        |case| {
            let service = Service::start(&engine, &format!("web-{case}"));
            let controller = controller(&engine, case);
            let client = Poller::start(service.port());
            controller.run(["apply", "--yes", "--json", service.name()]).expect(5);
            service.wait_until_it_answers();
            let log = client.finish();

            let events = controller.events();
            let run = events.run_of(&service).expect("it has a run");
            let stopped = events.find(run, |at, event| intent(SwapStep::Stop, at, event));
            let ended = events.find(run, |at, event| matches!(event, RunEvent::Ended { .. }).then_some(at));
            match stopped {
                Some(stopped) => log.failed_only_between(stopped, ended.expect("it has ended")),
                None => assert!(log.failed.is_empty() && log.requests > 50, "nothing was stopped: {log:?}"),
            }
            assert_eq!(stopped.is_some(), *case == "http-500");
        },
    );
}

#[test]
fn what_the_solver_refuses_is_told_in_its_words() {
    let engine = Engine::machine();
    let service = Service::start(&engine, "web-missing-dep");
    let plan = left_out(&controller(&engine, "missing-dep"), &service, "layer");
    assert!(plan["detail"].as_str().is_some_and(|words| words.contains("lab-nonexistent")), "{plan:#}");
}

#[test]
fn a_package_that_removes_another_one_is_installed_when_that_is_allowed() {
    let engine = Engine::machine();
    let service = Service::start(&engine, "web-removes");
    let controller = controller(&engine, "removes");
    let apply = controller.run(["apply", "--yes", "--json", "--allow-remove", service.name()]).expect(0);
    assert_eq!(apply.run_of(&service)["state"], "succeeded");
    assert_eq!(service.answer().unwrap(), "lab-web 1.1\n");
    let packages =
        engine.docker(["exec", service.name(), "dpkg-query", "-W", "-f", "${Package} ${Status}\n"]);
    assert!(!packages.contains("lab-web-extra install ok installed"), "{packages}");
}
