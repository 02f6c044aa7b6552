//! Hostile containers harm nothing: time limits hold, memory stays small, and nothing of what they say
//! is obeyed by a shell or a terminal.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use patchyard_e2e_tests::{Controller, Engine, Outcome, Service, ServiceOptions, in_parallel};

/// The most memory the controller may have.
const MEMORY: u64 = 256 << 20;

/// 400 KiB a second, so that the engine that reads it has time for others.
const ENDLESS: &str = "while printf %4096d 0; do sleep 0.01; done";

/// The lab's cases, and what they are run with.
const HOSTILE: [(&str, &[&str]); 9] = [
    ("hostile-names", &[]),
    ("hostile-huge", &[]),
    ("hostile-loud", &[]),
    ("hostile-hangs", &[]),
    ("web-hostile", &[]),
    ("web-postinst-loud", &[]),
    ("web-postinst-hangs", &[]),
    // The patched one's healthcheck never ends.
    ("web-health-hangs", &[]),
    // It prints without end, before the patch and after.
    ("web-good", &["--health-cmd", ENDLESS, "--health-interval", "1s", "--health-timeout", "24h"]),
];

#[test]
fn hostile_containers_harm_nothing() {
    let engine = Engine::machine();
    in_parallel(
        3,
        &HOSTILE,
        |(case, _)| (*case).to_owned(),
        |(case, run)| {
            let options = ServiceOptions { run, ..Default::default() };
            let service = Service::start_with(&engine, case, &options);
            let id = service.id();
            let controller = Controller::new(&engine)
                .with_defaults("verify_for: 2s, timeouts: { ask: 10s, step: 20s, healthy: 10s, check: 3s }");
            let name = service.name();
            for verb in [
                &["discover", name][..],
                &["scan", "--refresh", name],
                &["scan", "--json", name],
                &["why", name],
                &["plan", name],
                &["apply", "--yes", name],
                &["log", name],
                &["history"],
            ] {
                harmless(&controller.run(verb));
            }
            if let "hostile-loud" | "hostile-hangs" = *case {
                let scan = controller.run(["scan", "--json", name]).json("patchyard.scan/v1");
                let assessment = &scan["targets"][0]["assessment"];
                assert_eq!(
                    assessment["state"], "not_assessed",
                    "what was never answered is not zero: {scan:#}"
                );
            }
            let version = service.answer().unwrap();
            assert!(
                version == "lab-web 1.1\n" || service.id() == id,
                "patched as a whole or not touched: {version}"
            );
            assert!(!std::path::Path::new("/tmp/owned").exists(), "no shell of this machine was asked");
        },
    );
}

fn harmless(outcome: &Outcome) {
    assert!(outcome.code().is_some_and(|code| code != 1), "no internal error: {outcome}");
    assert!(outcome.peak < MEMORY, "{} MiB: {outcome}", outcome.peak >> 20);
    for said in [&outcome.stdout, &outcome.stderr] {
        let bad = said.chars().find(|c| c.is_control() && *c != '\n');
        assert_eq!(bad, None, "a control character reached the terminal: {said:?}");
        assert!(!said.contains('\u{202e}'), "a bidirectional override reached the terminal");
        assert!(said.len() < 16 << 20, "endless output");
    }
}
