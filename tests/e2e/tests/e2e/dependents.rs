//! Who lives in the namespaces of a patched container goes there and back with it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use patchyard_e2e_tests::{Controller, Engine, Guest, Service};

#[test]
fn a_good_patch_takes_them_along_and_a_rollback_too() {
    let engine = Engine::machine();
    let service = Service::start(&engine, "web-good");
    let guest = Guest::of(&service);
    let before = (service.id(), guest.id());
    let controller = Controller::new(&engine).with_defaults("verify_for: 2s");

    // Both have the patch pending: the plan says who waits, and for whom.
    let plan = controller.run(["plan", "--json", service.name(), guest.name()]).expect(0);
    let plan = plan.json("patchyard.plan/v1");
    assert_eq!(plan["actions"].as_array().unwrap().len(), 1, "{plan:#}");
    assert_eq!(plan["actions"][0]["dependents"][0]["name"], guest.name(), "{plan:#}");
    assert_eq!(plan["left_out"][0]["reason"], "with_owner", "{plan:#}");
    assert_eq!(plan["left_out"][0]["name"], guest.name(), "{plan:#}");

    let apply = controller.run(["apply", "--yes", "--json", service.name()]).expect(0);
    assert_eq!(apply.run_of(&service)["state"], "succeeded", "{apply}");
    assert_eq!(service.answer().unwrap(), "lab-web 1.1\n");
    guest.lives_with(&service);
    assert!(service.id() != before.0 && guest.id() != before.1);

    // Its own patch is still pending, and now it has its turn, alone.
    let patched = service.id();
    controller.run(["apply", "--yes", "--json", guest.name()]).expect(0);
    guest.lives_with(&service);
    assert_eq!(service.id(), patched);
    let image = guest.inspect()["Image"].clone();

    controller.run(["rollback", "--yes", "--json", service.name()]).expect(0);
    assert_eq!(service.answer().unwrap(), "lab-web 1.0\n");
    guest.lives_with(&service);
    assert_eq!(guest.inspect()["Image"], image, "it is taken along, and not rolled back itself");
    controller.events().nothing_was_done_twice();
}

#[test]
fn a_bad_patch_leaves_them_as_they_were() {
    let engine = Engine::machine();
    // One that answers otherwise, and one that is gone before anybody could be started beside it.
    for case in ["web-http-500", "web-crash-start"] {
        let service = Service::start(&engine, case);
        let guest = Guest::of(&service);
        let before = (service.id(), guest.id());
        let controller = Controller::new(&engine).with_defaults("verify_for: 2s, timeouts: { healthy: 5s }");
        let apply = controller.run(["apply", "--yes", "--json", service.name()]).expect(5);
        assert_eq!(apply.run_of(&service)["state"], "rolled_back", "{apply}");
        assert_eq!((service.id(), guest.id()), before);
        assert_eq!(service.answer().unwrap(), "lab-web 1.0\n");
        guest.lives_with(&service);
        assert_eq!(controller.quarantine().len(), 1, "{apply}");
    }
}
