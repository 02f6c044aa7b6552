//! Who else acts on a container: Compose, Watchtower, systemd, Swarm.

use std::collections::BTreeMap;

use patchyard_types::Manager;
use serde_json::Value;

use super::json::{list, text, texts};
use super::units::Units;

/// Label: what Watchtower's images (and those of its forks) say of themselves.
const IS_WATCHTOWER: &str = "com.centurylinklabs.watchtower";
/// Label of a container: whether Watchtower may touch it.
const ENABLE: &str = "com.centurylinklabs.watchtower.enable";
/// Label of a container: which Watchtower may.
const SCOPE: &str = "com.centurylinklabs.watchtower.scope";
/// Label: it only reports.
const MONITOR_ONLY: &str = "com.centurylinklabs.watchtower.monitor-only";

/// A running Watchtower and which containers it updates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Watchtower {
    pub name: String,
    label_enable: bool,
    monitor_only: bool,
    scope: Option<String>,
    /// Only these, where it was told names.
    only: Names,
}

/// The containers that a Watchtower was told by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Names {
    sure: Vec<String>,
    /// Words behind an option that is not known: its value, or a name.
    perhaps: Vec<String>,
}

impl Names {
    fn have(&self, name: &str) -> bool {
        // In doubt it is told: a warning too many costs less than one that is missing.
        self.sure.is_empty() || self.sure.iter().chain(&self.perhaps).any(|only| only == name)
    }
}

impl Watchtower {
    /// Reads a container's inspect document; `None` when it is no running Watchtower.
    pub fn read(inspect: &Value) -> Option<Self> {
        let config = &inspect["Config"];
        let labels = texts(&config["Labels"]);
        // The last word of the image's repository, whoever forked it.
        let image = text(&config["Image"]).rsplit('/').next().unwrap_or_default();
        let is_one = labels.get(IS_WATCHTOWER).is_some_and(|value| value == "true")
            || image.split([':', '@']).next() == Some("watchtower");
        if !is_one || inspect["State"]["Running"].as_bool() != Some(true) {
            return None;
        }
        let env: BTreeMap<&str, &str> =
            list(&config["Env"]).filter_map(|one| text(one).split_once('=')).collect();
        let on = |name: &str| {
            env.get(name).is_some_and(|value| matches!(*value, "1" | "t" | "T" | "true" | "True" | "TRUE"))
        };
        let arguments: Vec<&str> = list(&inspect["Args"]).map(text).collect();
        let flag = |long: &str| arguments.iter().any(|a| *a == long || *a == format!("{long}=true"));
        let value = |long: &str| {
            let joined = arguments.iter().find_map(|a| a.strip_prefix(long)?.strip_prefix('='));
            let apart =
                || arguments.iter().position(|a| *a == long).and_then(|at| arguments.get(at + 1).copied());
            joined.or_else(apart)
        };
        let scope = value("--scope")
            .or_else(|| env.get("WATCHTOWER_SCOPE").copied())
            .filter(|scope| !scope.is_empty());
        Some(Self {
            name: text(&inspect["Name"]).trim_start_matches('/').to_owned(),
            label_enable: flag("--label-enable") || on("WATCHTOWER_LABEL_ENABLE"),
            monitor_only: flag("--monitor-only") || on("WATCHTOWER_MONITOR_ONLY"),
            scope: scope.map(str::to_owned),
            only: names(&arguments),
        })
    }

    /// Whether it updates a container with this name and these labels.
    fn covers(&self, name: &str, labels: &BTreeMap<String, String>) -> bool {
        let label = |name: &str| labels.get(name).map(String::as_str);
        let scope = label(SCOPE).filter(|scope| *scope != "none");
        !self.monitor_only
            && label(MONITOR_ONLY) != Some("true")
            && label(ENABLE) != Some("false")
            && (!self.label_enable || label(ENABLE) == Some("true"))
            && self.scope.as_deref().filter(|scope| *scope != "none") == scope
            && self.only.have(name)
    }
}

/// The arguments that are names: those that are neither the program, nor an option, nor the value of one.
fn names(arguments: &[&str]) -> Names {
    // Options that stand alone.
    const ALONE: [&str; 17] = [
        "--cleanup",
        "-c",
        "--label-enable",
        "-e",
        "--monitor-only",
        "-m",
        "--run-once",
        "-R",
        "--debug",
        "-d",
        "--trace",
        "--include-stopped",
        "-S",
        "--include-restarting",
        "--rolling-restart",
        "--no-restart",
        "--no-startup-message",
    ];
    // Options with a value behind them.
    const VALUED: [&str; 7] = ["--interval", "-i", "--schedule", "-s", "--scope", "--stop-timeout", "-t"];
    let mut names = Names::default();
    let mut before = "";
    for argument in arguments {
        let before = std::mem::replace(&mut before, argument);
        let is_option = |word: &str| word.starts_with('-') && !word.contains('=');
        if argument.starts_with('-') || argument.starts_with('/') || VALUED.contains(&before) {
            continue;
        }
        match is_option(before) && !ALONE.contains(&before) {
            true => names.perhaps.push((*argument).to_owned()),
            false => names.sure.push((*argument).to_owned()),
        }
    }
    names
}

/// Who else acts on a container with this name and these labels.
pub(super) fn managers(
    name: &str,
    labels: &BTreeMap<String, String>,
    project: Option<&str>,
    watchtowers: &[Watchtower],
    units: &Units,
) -> Vec<Manager> {
    let label = |name: &str| labels.get(name).filter(|value| !value.is_empty());
    let shown = |text: &str| patchyard_types::printable(text, 200);
    let compose = project.map(|project| Manager::Compose(shown(project)));
    let swarm = label("com.docker.swarm.service.name").map(|service| Manager::Swarm(shown(service)));
    let unit = label("PODMAN_SYSTEMD_UNIT").map(String::as_str).or_else(|| units.of(name));
    let systemd = unit.map(|unit| Manager::Systemd(shown(unit)));
    let watchtowers = watchtowers.iter().filter(|one| one.name != name && one.covers(name, labels));
    let watchtowers = watchtowers.map(|one| Manager::Watchtower(shown(&one.name)));
    let mut all: Vec<Manager> = compose.into_iter().chain(swarm).chain(systemd).chain(watchtowers).collect();
    all.sort_unstable();
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tower(args: &[&str], env: &[&str]) -> Watchtower {
        Watchtower::read(&json!({
            "Name": "/tower", "Args": args, "State": {"Running": true},
            "Config": {"Image": "containrrr/watchtower:1.7.1", "Env": env, "Labels": {}},
        }))
        .unwrap()
    }

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn a_watchtower_covers_what_its_options_say() {
        let enabled = labels(&[(ENABLE, "true")]);
        let disabled = labels(&[(ENABLE, "false")]);
        let scoped = labels(&[(SCOPE, "prod")]);
        let none = labels(&[]);
        for (tower, labels, covered) in [
            (tower(&[], &[]), &none, true),
            (tower(&[], &[]), &disabled, false),
            (tower(&[], &[]), &scoped, false),
            (tower(&["--label-enable"], &[]), &none, false),
            (tower(&["--label-enable"], &[]), &enabled, true),
            (tower(&[], &["WATCHTOWER_LABEL_ENABLE=true"]), &none, false),
            (tower(&["--scope", "prod"], &[]), &scoped, true),
            (tower(&["--scope=prod"], &[]), &none, false),
            (tower(&["--monitor-only"], &[]), &none, false),
            (tower(&["--cleanup", "--interval", "30", "web"], &[]), &none, true),
            (tower(&["--interval", "30", "db"], &[]), &none, false),
            (tower(&["-c", "web", "db"], &[]), &none, true),
            (tower(&["--enable-lifecycle-hooks", "web", "db"], &[]), &none, true),
            (tower(&["--no-restart", "db"], &[]), &none, false),
            (tower(&["--notifications-level", "warn"], &[]), &none, true),
            (tower(&["/watchtower", "--host=tcp://engine", "db"], &[]), &none, false),
        ] {
            assert_eq!(tower.covers("web", labels), covered, "{tower:?} {labels:?}");
        }
    }

    #[test]
    fn what_is_stopped_or_something_else_is_no_watchtower() {
        for (image, running) in [("nginx", true), ("containrrr/watchtower", false), ("watchtower-ui", true)] {
            let inspect = json!({"Name": "/x", "State": {"Running": running}, "Config": {"Image": image}});
            assert_eq!(Watchtower::read(&inspect), None, "{image}");
        }
    }

    #[test]
    fn all_who_act_are_named() {
        let labels =
            labels(&[("PODMAN_SYSTEMD_UNIT", "web.service"), ("com.docker.swarm.service.name", "web")]);
        assert_eq!(
            managers("web", &labels, Some("shop"), &[tower(&[], &[])], &Units::default()),
            [
                Manager::Compose("shop".to_owned()),
                Manager::Watchtower("tower".to_owned()),
                Manager::Systemd("web.service".to_owned()),
                Manager::Swarm("web".to_owned()),
            ]
        );
    }
}
