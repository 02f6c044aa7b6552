//! Explaining the configuration: what applies, and where it was said.

use patchyard_types::{Budget, Check, CheckKind, Target};

use crate::config::{Config, Retention};
use crate::select::Selection;
use crate::settings::{DATA, DRAIN_COMMAND, DRAIN_WAIT, ORDER, Overrides, VERIFY_FOR, settle};
use crate::{Context, Error, fleet, size};

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its path in the file.
    pub key: String,
    /// What applies.
    pub value: String,
    /// Where it was said: `default`, `line 7`, `label …`.
    pub origin: String,
}

/// What applies in general, or to one target.
///
/// # Errors
/// When the target is to be found and no host answers, or none or several have this name.
pub async fn explain(context: &Context, target: Option<&str>) -> Result<Vec<Setting>, Error> {
    let Some(name) = target else { return Ok(settings(&context.config, None)) };
    let mut fleet = fleet::discover(context).await?;
    fleet.select(&Selection { names: vec![name.to_owned()], ..Selection::default() })?;
    match &fleet.targets[..] {
        [target] => Ok(settings(&context.config, Some(target))),
        several => {
            let names: Vec<_> =
                several.iter().take(8).map(|t| format!("{}/{}", t.host_name, t.name)).collect();
            Err(Error::input(format!("several targets answer to that: {}", names.join(", ")), "name one"))
        }
    }
}

fn settings(config: &Config, target: Option<&Target>) -> Vec<Setting> {
    let settled = target.map(|target| settle(config, &Overrides::default(), target));
    let values = settled.as_ref().map_or(&config.defaults, |settled| &settled.settings);
    let mut found = Vec::new();
    let mut tell = |key: &str, value: String| {
        let origin =
            config.lines.get(key).map_or_else(|| "default".to_owned(), |line| format!("line {line}"));
        found.push(Setting { key: key.to_owned(), value, origin });
    };
    tell("defaults.method", values.method.to_string());
    tell("defaults.verify_for", values.verify_for.to_string());
    tell("defaults.max_unavailable", budget(values.max_unavailable));
    tell("defaults.max_failures", budget(values.max_failures));
    tell("defaults.max_parallel", values.max_parallel.to_string());
    tell("defaults.allow_remove", values.allow_remove.to_string());
    tell("defaults.max_layer", size::show(values.max_layer));
    tell("defaults.writable_layer", values.writable_layer.to_string());
    tell("defaults.data", values.data.to_string());
    tell("defaults.order", values.order.to_string());
    let command = &values.drain.command;
    tell("defaults.drain.command", if command.is_empty() { "none".to_owned() } else { command.join(" ") });
    tell("defaults.drain.wait", values.drain.wait.to_string());
    tell("defaults.reboot", values.reboot.to_string());
    tell("defaults.way_back", values.way_back.to_string());
    tell("defaults.snapshot", values.snapshot.to_string());
    tell("defaults.tag", if config.keep_tags { "keep" } else { "move" }.to_owned());
    tell("defaults.timeouts.ask", config.ask_timeout.to_string());
    tell("defaults.timeouts.step", values.timeouts.step.to_string());
    tell("defaults.timeouts.healthy", values.timeouts.healthy.to_string());
    tell("defaults.timeouts.check", values.timeouts.check.to_string());
    let Retention { keep_for, keep_last, max_size } = config.retention;
    tell("defaults.retention.keep_for", keep_for.to_string());
    tell("defaults.retention.keep_last", keep_last.to_string());
    tell("defaults.retention.max_size", max_size.map_or_else(|| "none".to_owned(), crate::size::show));
    tell("defaults.labels", rights(config));
    match target {
        None => {
            for (name, host) in &config.hosts {
                tell(&format!("hosts.{name}"), host.words());
            }
            for selected in &config.checks {
                let whom = selected.select.as_ref().map_or("every target".to_owned(), ToString::to_string);
                let key = format!("checks.{}", selected.check.name);
                tell(&key, format!("{} for {whom}", question(&selected.check)));
            }
        }
        Some(_) => {
            for check in &values.checks {
                tell(&format!("checks.{}", check.name), question(check));
            }
        }
    }
    if let (Some(target), Some(settled)) = (target, settled) {
        from_labels(config, target, &settled, &mut found);
    }
    found
}

fn from_labels(
    config: &Config,
    target: &Target,
    settled: &crate::settings::Settled,
    found: &mut Vec<Setting>,
) {
    for setting in found.iter_mut() {
        let (values, defaults, rights) = (&settled.settings, &config.defaults, &config.labels);
        let says =
            |label: &str, may: bool, differs: bool| target.labels.contains_key(label) && may && differs;
        let from_label = match setting.key.as_str() {
            "defaults.verify_for" => {
                says(VERIFY_FOR, rights.verify_for, values.verify_for != defaults.verify_for)
            }
            "defaults.data" => says(DATA, rights.data, values.data != defaults.data),
            "defaults.order" => says(ORDER, rights.order, values.order != defaults.order),
            "defaults.drain.command" => {
                says(DRAIN_COMMAND, rights.drain_command, values.drain.command != defaults.drain.command)
            }
            "defaults.drain.wait" => {
                says(DRAIN_WAIT, rights.drain_wait, values.drain.wait != defaults.drain.wait)
            }
            key => key.starts_with("checks.label "),
        };
        if from_label {
            setting.origin = "label".to_owned();
        }
    }
    let mut tell = |key: &str, value: &str, origin: &str| {
        found.push(Setting { key: key.into(), value: value.into(), origin: origin.into() });
    };
    if settled.excluded {
        tell("excluded", "true", "label");
    }
    for refusal in &settled.refusals {
        tell("left out", &refusal.message, "label");
    }
    for label in &settled.ignored {
        tell(label, "passed over", "defaults.labels");
    }
}

fn budget(budget: Budget) -> String {
    match budget {
        Budget::Count(count) => count.to_string(),
        Budget::Percent(percent) => format!("{percent}%"),
    }
}

fn rights(config: &Config) -> String {
    let rights = &config.labels;
    let names = [
        ("exclude", rights.exclude),
        ("service", rights.service),
        ("check.http", rights.check_http),
        ("check.tcp", rights.check_tcp),
        ("check.command", rights.check_command),
        ("verify-for", rights.verify_for),
        ("data", rights.data),
        ("order", rights.order),
        ("drain.command", rights.drain_command),
        ("drain.wait", rights.drain_wait),
    ];
    let allowed: Vec<_> = names.iter().filter(|(_, allowed)| *allowed).map(|(name, _)| *name).collect();
    if allowed.is_empty() { "none".to_owned() } else { allowed.join(", ") }
}

fn question(check: &Check) -> String {
    match &check.kind {
        CheckKind::Http { port, path, .. } => format!("GET :{port}{path}"),
        CheckKind::Tcp { port } => format!("connect to :{port}"),
        CheckKind::Command { argv } => format!("run {}", argv.join(" ")),
    }
}
