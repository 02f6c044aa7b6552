//! `log`: what happened, event by event.

use std::time::Duration;

use patchyard_app::rollouts::Phase;
use patchyard_app::{Error, Log, Outlook, open_log};
use patchyard_types::{
    Direction, Event, EventBody, LedgerEvent, PersonVerdict, Probe, Record, Request, RolloutEvent, RunEnd,
    RunEvent, Step, Stream,
};

use crate::args::Log as LogArgs;
use crate::exit::Exit;
use crate::json::{EventLine, LogDocument, Names};
use crate::session::Session;
use crate::text::{count, name, remark, run_end, time};
use crate::ui::{BOLD, DIM, RED, paint};

/// How often a followed log is read again.
const AGAIN: Duration = Duration::from_millis(500);

/// After so many readings in a row nobody is about to drive the rollout.
const UNDRIVEN: u32 = 10;

pub async fn run(session: &Session, args: &LogArgs) -> Result<Exit, Error> {
    let (context, ui) = (&session.context, &session.ui);
    let mut log = open_log(context, &args.subject).await?;
    let mut names = Names::of_runs(&log.runs);
    let mut events = Vec::new();
    let mut undriven = 0;
    let waits = loop {
        // Asked before reading: what is written in between is read once more.
        let outlook = log.outlook(context).await?;
        for event in log.next(context).await? {
            if !ui.json {
                ui.result(&line(&log, &event));
            } else if args.follow {
                names.learn(&event);
                ui.document(&EventLine::new(&names, &event));
            } else {
                events.push(event);
            }
        }
        undriven = if matches!(outlook, Outlook::Undriven(_)) { undriven + 1 } else { 0 };
        match outlook {
            _ if !args.follow => break None,
            Outlook::Over => break None,
            Outlook::Waits(phase) => break Some(phase),
            Outlook::Undriven(phase) if undriven > UNDRIVEN => break Some(phase),
            Outlook::Undriven(_) | Outlook::More => context.clock.sleep(AGAIN).await,
        }
    };
    if ui.json {
        // One that is followed has told everything already.
        if !args.follow {
            ui.document(&LogDocument::new(&log, &events));
        }
    } else {
        say_the_rest(session, &log);
    }
    let Some(phase) = waits else { return Ok(Exit::Done) };
    session.tell_who_waits(log.rollout, phase);
    Ok(if phase == Phase::NeedsAttention { Exit::Attention } else { Exit::Paused })
}

/// What no event says.
fn say_the_rest(session: &Session, log: &Log) {
    let (context, ui) = (&session.context, &session.ui);
    for (run, words) in log.last_words(context) {
        let who = log.runs.get(&run).map(|target| name(target)).unwrap_or_default();
        ui.result(&format!(
            "{}\n",
            paint(BOLD, &format!("{run} {who} had printed, before it was taken back:"))
        ));
        ui.result(&words.lines().map(|line| format!("    {}\n", remark(line))).collect::<String>());
    }
    if !log.earlier.is_empty() {
        let earlier: Vec<_> = log.earlier.iter().take(5).map(ToString::to_string).collect();
        ui.result(&format!("{}\n", paint(DIM, &format!("Earlier runs: {}", earlier.join(", ")))));
    }
}

fn target(log: &Log, event: &Event) -> Option<String> {
    match event.stream {
        Stream::Run(run) => log.runs.get(&run).map(|target| name(target)),
        Stream::Rollout(_) | Stream::Ledger => None,
    }
}

fn line(log: &Log, event: &Event) -> String {
    let who = match (event.stream, target(log, event)) {
        (Stream::Run(run), Some(target)) => format!("{run} {target}"),
        (Stream::Rollout(rollout), _) => rollout.to_string(),
        _ => event.stream.to_string(),
    };
    let text = describe(log, &event.body);
    let text = if is_bad(&event.body) { paint(RED, &text) } else { text };
    format!("{}  {who}  {text}\n", paint(DIM, &time(event.at)))
}

const fn is_bad(body: &EventBody) -> bool {
    matches!(
        body,
        EventBody::Run(RunEvent::Failed { .. } | RunEvent::Lost { .. } | RunEvent::AttentionNeeded { .. })
    )
}

/// An event in words.
fn describe(log: &Log, body: &EventBody) -> String {
    match body {
        EventBody::Rollout(event) => rollout(log, event),
        EventBody::Run(event) => run_event(event),
        EventBody::Ledger(event) => ledger(event),
    }
}

fn rollout(log: &Log, event: &RolloutEvent) -> String {
    let tag = |tag: usize| log.tags.get(tag).map(|reference| name(reference)).unwrap_or_default();
    match event {
        RolloutEvent::Started { plan, by } => format!("began: plan {}, by {}", plan.short(6), name(&by.0)),
        RolloutEvent::Requested { request, by, why } => {
            let request = match request {
                Request::Pause => "pause",
                Request::Resume => "resume",
                Request::Abort => "abort",
            };
            format!("{request} was asked for by {}: {}", name(&by.0), remark(why))
        }
        RolloutEvent::Acknowledged { .. } => "the driver has seen the request".to_owned(),
        RolloutEvent::RunStarted { action } => format!("run {} began", action + 1),
        RolloutEvent::RunEnded { action, end, reason, .. } => {
            format!("run {} ended: {}{}", action + 1, ended(*end), because(reason.as_deref()))
        }
        RolloutEvent::TagIntended { tag: number } => format!("moving the tag {} …", tag(*number)),
        RolloutEvent::TagSettled { tag: number, left: None } => format!("the tag {} has moved", tag(*number)),
        RolloutEvent::TagSettled { tag: number, left: Some(reason) } => {
            format!("the tag {} was left where it is: {}", tag(*number), remark(reason))
        }
        RolloutEvent::Paused => "paused".to_owned(),
        RolloutEvent::Driven { controller } => format!("driven by {}", name(controller)),
        RolloutEvent::Ended { end } => format!("ended: {}", end.words()),
    }
}

fn run_event(event: &RunEvent) -> String {
    match event {
        RunEvent::Started { .. } => "began".to_owned(),
        RunEvent::Intended { step, direction } => format!("{} …", doing(*step, *direction)),
        RunEvent::Succeeded { step, direction, record } => {
            format!("{}: done{}", doing(*step, *direction), left(record))
        }
        RunEvent::Failed { step, direction, failure } => {
            format!("{}: failed: {}", doing(*step, *direction), remark(&failure.message))
        }
        RunEvent::Lost { step, direction, reason, host_away: _ } => {
            format!("{}: outcome not known: {}", doing(*step, *direction), remark(reason))
        }
        RunEvent::Probed { step, direction, probe } => {
            let found = match probe {
                Probe::Done { .. } => "it had taken place".to_owned(),
                Probe::NotDone => "it had not taken place".to_owned(),
                Probe::Failed { failure } => format!("it failed for good: {}", remark(&failure.message)),
                Probe::CannotTell { reason } => format!("cannot tell: {}", remark(reason)),
            };
            format!("{}: looked: {found}", doing(*step, *direction))
        }
        RunEvent::AbortRequested => "abort was asked for".to_owned(),
        RunEvent::AttentionNeeded { reason } => format!("needs attention: {}", remark(reason)),
        RunEvent::Resolved { verdict, by, reason } => {
            let verdict = match verdict {
                PersonVerdict::Done => "counts as done",
                PersonVerdict::Undo => "is to be taken back",
                PersonVerdict::Close => "stays as it is, and is closed",
            };
            format!("{} decided that it {verdict}: {}", name(&by.0), remark(reason))
        }
        RunEvent::Ended { end, reason, quarantined } => {
            let quarantined = if *quarantined { "; its patch set is in quarantine" } else { "" };
            format!("ended: {}{}{quarantined}", ended(*end), because(reason.as_deref()))
        }
    }
}

/// A run may have patched or put back: the log says it with a word that holds for both.
const fn ended(end: RunEnd) -> &'static str {
    match end {
        RunEnd::Succeeded => "succeeded",
        other => run_end(other),
    }
}

fn doing(step: Step, direction: Direction) -> String {
    match direction {
        Direction::Do => step.to_string(),
        Direction::Undo => format!("take back {step}"),
    }
}

fn left(record: &Record) -> String {
    match record {
        Record::Nothing | Record::NotBegun | Record::Held { .. } | Record::Drained { .. } => String::new(),
        Record::Prepared { image, size } => {
            format!(" ({}, {})", name(image), patchyard_app::size::show(*size))
        }
        Record::Found { last_update } => match last_update {
            Some(at) => format!(" (last updated {})", name(at)),
            None => " (never updated)".to_owned(),
        },
        Record::Preflighted { baseline, .. } => {
            let ports: Vec<_> = baseline.listening.iter().map(|socket| format!(":{}", socket.port)).collect();
            let ports = if ports.is_empty() { "no ports".to_owned() } else { ports.join(" ") };
            format!(" (baseline: {ports}, {})", count(baseline.processes.len(), "program"))
        }
        Record::Created { object, .. } => {
            format!(" ({})", name(&object.chars().take(12).collect::<String>()))
        }
        Record::Saved { volumes } => {
            let size = volumes.iter().fold(0_u64, |sum, saved| sum.saturating_add(saved.size));
            format!(" ({}, {})", count(volumes.len(), "volume"), patchyard_app::size::show(size))
        }
        Record::Kept { back, missing, automatic: _ } => match &missing[..] {
            [] => format!(" ({} kept)", count(back.len(), "previous version")),
            [first, ..] => {
                format!(" ({} kept, {} not, {} first)", back.len(), missing.len(), name(first))
            }
        },
        Record::DisksSaved { disks } => format!(" ({})", name(&disks.name)),
        Record::Restarted { services, reboot, .. } => {
            let wants = if reboot.is_empty() {
                String::new()
            } else {
                format!("; wants a reboot: {}", name(&reboot.join("; ")))
            };
            format!(" ({}{wants})", count(services.len(), "service"))
        }
        Record::Verified { first_good } => format!(" (good since {})", time(*first_good)),
        Record::Snapshotted { snapshot } => format!(" ({})", name(&snapshot.id.0)),
    }
}

fn ledger(event: &LedgerEvent) -> String {
    match event {
        LedgerEvent::Quarantined { quarantine } => {
            format!("quarantined on {}: {}", name(&quarantine.service), remark(&quarantine.reason))
        }
        LedgerEvent::Released { id, by, reason } => {
            format!("{id} released by {}: {}", name(&by.0), remark(reason))
        }
        LedgerEvent::PruneIntended { snapshot } => format!("removing snapshot {}", name(&snapshot.0)),
        LedgerEvent::Pruned { snapshot, reason } => {
            format!("snapshot {} removed: {}", name(&snapshot.0), remark(reason))
        }
        LedgerEvent::Collected { kind, name: object, by, .. } => {
            format!("{} {} removed by {}", name(kind), name(object), name(&by.0))
        }
        LedgerEvent::Planned { plan, by } => format!("plan {} made by {}", plan.short(6), name(&by.0)),
    }
}

fn because(reason: Option<&str>) -> String {
    reason.map(|reason| format!(": {}", remark(reason))).unwrap_or_default()
}
