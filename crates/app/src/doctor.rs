//! The doctor: looks for whatever would be in the way, and goes on where a verb would stop.

use std::path::Path;
use std::sync::Arc;

use patchyard_contract::{Ask, Provider};
use patchyard_types::{Target, TargetKind, printable};

use crate::config::find;
use crate::rollouts::{self, Phase};
use crate::{Context, Environment, Fleet, Kind, Options, fleet, size};

/// Less room than this under the state is a reason to worry: one build's packages fill it.
const LITTLE: u64 = 1 << 30;

/// Less than this is a reason to stop: the log of a single rollout may not fit.
const TOO_LITTLE: u64 = 64 << 20;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// As it should be.
    Good,
    /// Worth knowing.
    Warning,
    /// In the way.
    Bad,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What was looked at, in a word.
    pub about: &'static str,
    /// What was found.
    pub text: String,
    /// What to do; empty where nothing is to be done.
    pub hint: String,
    /// What kind of failure it is, for the exit code.
    pub kind: Option<Kind>,
}

impl Finding {
    fn good(about: &'static str, text: impl Into<String>) -> Self {
        Self { severity: Severity::Good, about, text: text.into(), hint: String::new(), kind: None }
    }

    fn warning(about: &'static str, text: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, about, text: text.into(), hint: hint.into(), kind: None }
    }

    fn bad(about: &'static str, error: &crate::Error) -> Self {
        let hint = error.hint().filter(|hint| hint != "patchyard doctor").unwrap_or_default();
        Self { severity: Severity::Bad, about, text: error.to_string(), hint, kind: Some(error.kind()) }
    }
}

/// Looks at everything.
pub async fn doctor(environment: &Environment, options: &Options) -> Vec<Finding> {
    let mut findings = Vec::new();
    match find(&environment.config_places(options.config.clone())) {
        Ok(config) => findings.push(match &config.file {
            Some(file) => Finding::good("configuration", file.display().to_string()),
            None => Finding::good("configuration", "no file, defaults apply"),
        }),
        Err(error) => findings.push(Finding::bad("configuration", &error.into())),
    }
    let context = match Context::open(environment, options) {
        Ok(context) => context,
        Err(error @ crate::Error::Config(_)) => {
            // Said already; without a configuration nothing else can be looked at.
            let _ = error;
            return findings;
        }
        Err(error) => {
            findings.push(Finding::bad("state", &error));
            return findings;
        }
    };
    findings.push(Finding::good("state", context.state.path().display().to_string()));
    findings.push(room(context.state.path()));
    findings.extend(open_rollouts(&context).await);
    match fleet::reach(&context).await {
        Ok(mut fleet) => findings.extend(hosts(&context, &mut fleet).await),
        Err(error) => findings.push(Finding::bad("host", &error)),
    }
    findings
}

fn room(path: &Path) -> Finding {
    let free = match rustix::fs::statvfs(path) {
        Ok(stat) => stat.f_bavail.saturating_mul(stat.f_frsize),
        Err(error) => return Finding::warning("room", format!("not known: {error}"), ""),
    };
    let text = format!("{} free under {}", size::show(free), path.display());
    if free < TOO_LITTLE {
        let hint = "free some, or run patchyard gc".to_owned();
        let kind = Some(Kind::Internal);
        Finding { severity: Severity::Bad, about: "room", text, hint, kind }
    } else if free < LITTLE {
        Finding::warning("room", text, "patchyard gc")
    } else {
        Finding::good("room", text)
    }
}

async fn open_rollouts(context: &Context) -> Vec<Finding> {
    let open = match rollouts::open(&*context.store, context.clock.now()).await {
        Ok(open) => open,
        Err(error) => return vec![Finding::bad("rollouts", &error)],
    };
    if open.is_empty() {
        return vec![Finding::good("rollouts", "none is open")];
    }
    let tell = |line: rollouts::Line| {
        let state = match line.phase {
            Phase::Running => "is under way",
            Phase::Paused => "is paused",
            Phase::Interrupted => "was interrupted",
            Phase::NeedsAttention => "needs attention",
            Phase::Ended(_) => "is over",
        };
        let text = format!("{} {state}", line.id);
        match line.phase {
            Phase::Running | Phase::Ended(_) => Finding::good("rollouts", text),
            Phase::Paused | Phase::Interrupted | Phase::NeedsAttention => {
                Finding::warning("rollouts", text, rollouts::what_next(line.id, line.phase))
            }
        }
    };
    open.into_iter().map(tell).collect()
}

/// Whether a machine's package manager answers: of a machine nothing else is known by having reached it.
async fn assessed(provider: &Arc<dyn Provider>, targets: &[Target]) -> Option<Finding> {
    let machine = targets.iter().find(|target| target.kind == TargetKind::Host)?;
    let pending = async {
        let inventory = provider.inventory(machine).await?;
        provider.pending(machine, &inventory, &Ask::default()).await
    };
    let error: crate::Error = pending.await.err()?.into();
    let text = format!("{} is not assessed: {error}", printable(&machine.name, 100));
    Some(Finding::warning("packages", text, error.hint().unwrap_or_default()))
}

async fn hosts(context: &Context, fleet: &mut Fleet) -> Vec<Finding> {
    let mut findings = Vec::new();
    for host in &mut fleet.hosts {
        // To answer is not enough: listing containers needs the permission that everything needs.
        match host.search().await {
            Ok(targets) => {
                let text = match &targets[..] {
                    // The machine itself.
                    [one] if one.kind == TargetKind::Host => host.description.clone(),
                    [_] => format!("{}: 1 container", host.description),
                    many => format!("{}: {} containers", host.description, many.len()),
                };
                findings.push(Finding::good("host", text));
                findings.extend(assessed(&host.provider, &targets).await);
            }
            Err(error) => findings.push(Finding::bad("host", &error.into())),
        }
        let hint = match host.is_machine {
            true => "let one of the two patch it",
            false => "keep the engine's packages out of it: Unattended-Upgrade::Package-Blacklist",
        };
        findings.extend(host.warnings().into_iter().map(|warning| Finding::warning("host", warning, hint)));
    }
    for silent in &fleet.unreachable {
        findings.push(Finding::bad("host", &silent.error.clone().into()));
    }
    match crate::gc::collect(context, fleet, crate::gc::Extent::Look).await {
        Ok(found) if found.leftovers.is_empty() => {}
        Ok(found) => {
            let text = format!("{} objects of ours that nothing needs any more", found.leftovers.len());
            findings.push(Finding::warning("leftovers", text, "patchyard gc"));
        }
        Err(error) => findings.push(Finding::bad("leftovers", &error)),
    }
    findings
}
