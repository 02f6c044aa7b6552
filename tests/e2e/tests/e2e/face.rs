//! The command's face: plain lines for a pipe, nothing too wide for a terminal, colours where they are
//! wanted, one document for a program, and nothing that a terminal would obey. On a simulated fleet.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::process::{Command, Stdio};

use patchyard_e2e_tests::{Controller, Outcome, Running};
use serde_json::Value;

/// Verbs that change nothing, once there is a rollout.
const READING: &[&[&str]] = &[
    &[],
    &["discover"],
    &["scan"],
    &["why", "shop-1"],
    &["why", "legacy-1"],
    &["plan"],
    &["status", "R1"],
    &["log", "R1"],
    &["history"],
    &["snapshots"],
    &["snapshots", "prune", "--dry-run"],
    &["quarantine"],
    &["gc", "--dry-run"],
    &["audit", "verify"],
    &["config", "explain"],
];

/// A rollout in which some succeed, one is rolled back and one is skipped.
const APPLY: &[&str] = &["apply", "--yes", "--verify-for", "1s", "shop-1", "orders-*", "mail-*"];

/// A controller of a fleet with such a rollout behind it.
fn with_history(fleet: &str) -> Controller {
    let controller = Controller::simulated(fleet).with("TERM", "xterm-256color");
    plain(&controller.run(APPLY).expect(5));
    controller
}

/// Nothing but lines of text.
fn plain(outcome: &Outcome) {
    for said in [&outcome.stdout, &outcome.stderr] {
        let bad = said.chars().find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
        assert_eq!(bad, None, "{said:?} of {outcome}");
    }
}

/// Takes colours out, and finds that there was nothing else that a terminal obeys.
fn without_colours(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, sequence)) = rest.split_once('\u{1b}') {
        plain.push_str(before);
        let (codes, after) = sequence.split_once('m').unwrap_or((sequence, ""));
        let is_colour = codes
            .strip_prefix('[')
            .is_some_and(|codes| codes.chars().all(|c| c.is_ascii_digit() || c == ';'));
        assert!(is_colour, "no colour: {codes:?} in {text:?}");
        rest = after;
    }
    plain.push_str(rest);
    let bad = plain.chars().find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
    assert_eq!(bad, None, "{plain:?}");
    plain
}

#[test]
fn a_pipe_gets_plain_lines_without_colour_or_progress() {
    let controller = with_history("ordinary");
    for verb in READING {
        let outcome = controller.run(*verb);
        assert!(matches!(outcome.code(), Some(0 | 3)), "{outcome}");
        plain(&outcome);
        assert!(!outcome.stdout.is_empty() && outcome.stdout.ends_with('\n'), "{outcome}");
        assert_eq!(outcome.stderr, "", "progress is for terminals: {outcome}");
    }
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    let controller = with_history("ordinary");
    for columns in [40, 60, 80] {
        for verb in READING {
            let outcome = controller.run_on_terminal(columns, *verb);
            for line in without_colours(&outcome.stdout).lines() {
                // A name is never broken: a word that is too long has a line of its own.
                let fits = line.chars().count() <= usize::from(columns) || !line.trim().contains(' ');
                assert!(fits, "{columns} columns: {line:?} of\n{outcome}");
            }
        }
    }
}

#[test]
fn a_rollout_on_a_narrow_terminal_fits_it_too() {
    let controller = Controller::simulated("ordinary").with("TERM", "xterm-256color");
    let outcome = controller.run_on_terminal(40, APPLY).expect(5);
    for line in without_colours(&outcome.stdout).lines() {
        assert!(line.chars().count() <= 40 || !line.trim().contains(' '), "{line:?} of\n{outcome}");
    }
}

#[test]
fn colours_are_where_they_are_wanted() {
    let coloured = |outcome: &Outcome| outcome.stdout.contains("\u{1b}[");
    let controller = || Controller::simulated("ordinary").with("TERM", "xterm-256color");
    let never = controller().with("NO_COLOR", "1");
    let dumb = controller().with("TERM", "dumb");
    for (outcome, expected, what) in [
        (controller().run_on_terminal(80, ["scan"]), true, "a terminal"),
        (controller().run(["scan"]), false, "a pipe"),
        (controller().run_on_terminal(80, ["scan", "--color=never"]), false, "never"),
        (controller().run(["scan", "--color=always"]), true, "always"),
        (never.run_on_terminal(80, ["scan"]), false, "NO_COLOR"),
        (never.run_on_terminal(80, ["scan", "--color=always"]), true, "the flag outweighs the variable"),
        (dumb.run_on_terminal(80, ["scan"]), false, "a terminal that knows none"),
        (controller().run_on_terminal(80, ["--help"]), true, "help on a terminal"),
        (controller().run_on_terminal(80, ["--help", "--color=never"]), false, "help, never"),
        (controller().run(["--help"]), false, "help in a pipe"),
        (controller().run_on_terminal(80, ["scan", "--json", "--color=always"]), false, "JSON"),
    ] {
        assert_eq!(coloured(&outcome), expected, "{what}: {outcome}");
    }
}

#[test]
fn an_error_is_coloured_as_it_was_asked_for() {
    let run = |args: &[&str]| Controller::simulated("ordinary").run(args).expect(2);
    for (args, expected) in [
        (&["log", "nobody", "--color=always"][..], true),
        (&["log", "nobody"], false),
        (&["scna", "--color=always"], true),
        (&["scna"], false),
    ] {
        let outcome = run(args);
        assert_eq!(outcome.stderr.contains("\u{1b}["), expected, "{outcome}");
        assert!(outcome.stdout.is_empty(), "{outcome}");
    }
}

#[test]
fn a_reader_that_has_gone_away_is_no_panic() {
    let controller = Controller::simulated("ordinary");
    for args in [
        &[][..],
        &["scan"],
        &["scan", "--json"],
        &["plan"],
        &["log", "nobody", "--json"],
        &["--help"],
        &["apply", "--help"],
        &["completions", "bash"],
        &["config", "schema"],
    ] {
        let mut child = controller.command(args);
        let mut child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let code =
            output.status.code().unwrap_or_else(|| panic!("{args:?} died: {:?} {said}", output.status));
        assert!(matches!(code, 0 | 2 | 3), "{args:?}: {code}, {said}");
        assert!(!said.contains("panicked"), "{args:?}: {said}");
    }
}

#[test]
fn a_rollout_goes_on_when_nobody_reads_what_it_says() {
    let controller = Controller::simulated("ordinary");
    let mut child = controller.command(APPLY);
    let mut child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(child.wait().unwrap().code(), Some(5));
    let status = controller.run(["status", "R1", "--json"]).expect(0).json("patchyard.rollout/v1");
    assert_eq!(status["state"], "partly");
}

#[test]
fn json_is_one_document_on_stdout_and_messages_go_to_stderr() {
    let controller = with_history("ordinary");
    // A driver that is killed: every verb tells of its rollout first.
    let mut driver = controller.start(["apply", "--yes", "shop-2", "shop-3"]);
    driver.wait_until("begun", || controller.events().rollouts().len() == 2);
    driver.signal(rustix::process::Signal::KILL);
    driver.finish();
    let reading = READING.iter().filter(|verb| !verb.starts_with(&["status"]));
    for verb in reading.copied().chain([&["scan", "nobody"][..], &["history", "--limit", "x"], &["scna"]]) {
        let outcome = controller.run(verb.iter().chain(&["--json"]));
        let documents: Vec<_> = outcome.stdout.lines().map(serde_json::from_str::<Value>).collect();
        let [Ok(document)] = &documents[..] else { panic!("one document: {outcome}") };
        let schema = document["schema"].as_str().unwrap();
        assert!(schema.starts_with("patchyard.") && schema.ends_with("/v1"), "{outcome}");
        let usage = outcome.code() == Some(2) && !verb.contains(&"nobody");
        assert_eq!(outcome.stderr.contains("R2 was interrupted: patchyard resume R2"), !usage, "{outcome}");
        plain(&outcome);
    }
}

#[test]
fn a_slip_is_a_usage_error_with_the_nearest_right_word() {
    let controller = Controller::simulated("ordinary");
    for (args, hint) in [
        (&["plna"][..], "plan"),
        (&["scan", "--securty-only"], "--security-only"),
        (&["scan", "--selector"], "--selector"),
        (&["plan", "--verify-for", "soon"], "20m"),
        (&["plan", "--method", "reboot"], "layer"),
        (&["apply", "--plan", "7f3a9c", "shop-1"], "--help"),
        (&["resolve", "R1.1"], "--reason"),
        (&["completions", "tcsh"], "bash"),
        (&["--frobnicate"], "--help"),
    ] {
        let outcome = controller.run(args).expect(2);
        assert!(outcome.stderr.contains(hint) && outcome.stderr.starts_with("error"), "{outcome}");
        assert!(outcome.stdout.is_empty(), "{outcome}");
    }
}

#[test]
fn completions_are_what_the_shell_understands() {
    let controller = Controller::simulated("ordinary");
    let dir = tempfile::tempdir().unwrap();
    for (shell, check) in [("bash", "bash"), ("zsh", "zsh"), ("fish", "fish")] {
        let script = controller.run(["completions", shell]).expect(0).stdout;
        for verb in ["quarantine", "--security-only", "rollback"] {
            assert!(script.contains(verb.trim_start_matches("--")), "{shell} completes {verb}");
        }
        let path = dir.path().join(shell);
        std::fs::write(&path, script).unwrap();
        // Bash is everywhere; the other two are asked where they are.
        match Command::new(check).arg("-n").arg(&path).output() {
            Ok(output) => assert!(output.status.success(), "{shell}: {output:?}"),
            Err(error) => assert!(shell != "bash", "{error}"),
        }
    }
    let ask = format!(
        "source {}; COMP_WORDS=(patchyard sn); COMP_CWORD=1; _patchyard patchyard sn patchyard; echo \"${{COMPREPLY[@]}}\"",
        dir.path().join("bash").display()
    );
    let output = Command::new("bash").args(["-c", &ask]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "snapshots", "{output:?}");
}

#[test]
fn what_a_terminal_would_obey_never_reaches_it() {
    let controller = with_history("hostile");
    let evil = format!("evil{}", patchyard_e2e_tests::simulated::HOSTILE);
    let apply = ["apply", "--yes", "--verify-for", "1s", "evil*"];
    plain(&controller.run(apply).expect(0));
    for verb in READING.iter().copied().chain([
        &["why", &evil][..],
        &["why", "package-1"],
        &["plan", "package-1"],
        &["config", "explain", &evil],
        &["log", &evil],
        &["log", "R2"],
        &["status", "R2"],
        &["history", &evil],
        &["scan", "--json"],
        &["log", "R2", "--json"],
        &["log", "nobody"],
        &["scan", &format!("{evil}2")],
        &["apply", "--yes", &format!("{evil}2")],
        &["rollback", "--yes", &format!("{evil}2")],
        &["snapshots", "prune", &evil],
        &["quarantine", "release", &evil, "--reason", "x"],
        &["audit", "verify", "--head", &evil],
        &["--host", &evil, "discover"],
        &[&evil],
        &[&format!("--{evil}")],
        &["plan", "--verify-for", &evil],
        &["scan", "-l", &evil],
    ]) {
        plain(&controller.run(verb));
        let outcome = controller.run_on_terminal(60, verb);
        without_colours(&outcome.stdout);
    }
}

/// Progress moves the cursor; what is in its lines must not.
#[test]
fn progress_is_drawn_on_a_terminal_and_obeys_nobody_else() {
    let controller = Controller::simulated("hostile").with("TERM", "xterm-256color");
    let args = ["apply", "--yes", "--verify-for", "1s", "evil*"];
    let screen = Running::start_on_one_terminal(controller.command(args), 80).finish().expect(0).stdout;
    assert!(screen.contains("begins") || screen.contains("verify"), "it tells how far it is: {screen:?}");
    for bad in ["\u{1b}]", "\u{7}", "\u{1b}[31m\u{1b}[2J", "\u{9b}", "\u{202e}"] {
        assert!(!screen.contains(bad), "{bad:?} reached the terminal: {screen:?}");
    }
}
