//! The log: what happened in a run, to a target, in a rollout; event by event.

use std::collections::BTreeMap;

use patchyard_decide::rollout::Wish;
use patchyard_types::{Event, EventBody, RolloutEvent, RolloutId, RunId, Stream, printable};

use crate::rollouts::{Phase, Rollout};
use crate::{Context, Error};
use patchyard_plan::glob;

/// What a log is about, and how far it has been read.
pub struct Log {
    /// The rollout.
    pub rollout: RolloutId,
    /// The runs that are shown, with the names of their targets; all of a rollout, or one.
    pub runs: BTreeMap<RunId, String>,
    /// Earlier runs of the same target, newest first.
    pub earlier: Vec<RunId>,
    /// The references of the rollout's tags, by their numbers.
    pub tags: Vec<String>,
    streams: Vec<(Stream, u64)>,
}

/// Finds what is meant: a run, a rollout, or the last run of a target.
///
/// # Errors
/// When there is no such thing.
pub async fn open_log(context: &Context, subject: &str) -> Result<Log, Error> {
    if let Ok(run) = subject.parse::<RunId>() {
        let rollout = Rollout::read(&*context.store, run.rollout).await?;
        let Some((_, action)) = rollout.runs().find(|(id, _)| *id == run) else {
            let hint = format!("patchyard status {}", run.rollout);
            return Err(Error::input(format!("there is no run {run}"), hint));
        };
        return Ok(of_run(&rollout, run, action.name.clone(), Vec::new()));
    }
    if let Ok(id) = subject.parse::<RolloutId>() {
        let rollout = Rollout::read(&*context.store, id).await?;
        let runs: BTreeMap<RunId, String> =
            rollout.runs().map(|(run, action)| (run, action.name.clone())).collect();
        let mut streams = vec![(Stream::Rollout(id), 0)];
        streams.extend(runs.keys().map(|run| (Stream::Run(*run), 0)));
        return Ok(Log { rollout: id, runs, earlier: Vec::new(), tags: tags(&rollout), streams });
    }
    of_target(context, subject).await
}

fn of_run(rollout: &Rollout, run: RunId, name: String, earlier: Vec<RunId>) -> Log {
    let streams = vec![(Stream::Run(run), 0)];
    let runs = BTreeMap::from([(run, name)]);
    Log { rollout: run.rollout, runs, earlier, tags: tags(rollout), streams }
}

fn tags(rollout: &Rollout) -> Vec<String> {
    rollout.plan.decisions.tags.iter().map(|tag| tag.reference.clone()).collect()
}

async fn of_target(context: &Context, name: &str) -> Result<Log, Error> {
    let mut found: Option<(Rollout, RunId, String)> = None;
    let mut earlier = Vec::new();
    let mut names: Vec<String> = Vec::new();
    for id in context.store.rollouts().await?.into_iter().rev() {
        let rollout = Rollout::read(&*context.store, id).await?;
        let mut here = None;
        for (run, action) in rollout.runs() {
            let meant = glob::matches(name, &action.name) || action.target.as_str() == name;
            match &found {
                None if meant && here.is_none() => here = Some((run, action.name.clone())),
                // A glob means the first target it meets.
                Some((_, _, first)) if *first == action.name => earlier.push(run),
                _ => {}
            }
            names.push(action.name.clone());
        }
        found = found.or(here.map(|(run, target)| (rollout, run, target)));
    }
    let Some((rollout, run, target)) = found else {
        let near = crate::nearest::nearest(name, names.iter().map(String::as_str));
        let near = near.map_or_else(String::new, |near| format!("; did you mean '{}'?", printable(near, 80)));
        let message = format!("nothing was ever done to a target '{}'{near}", printable(name, 80));
        return Err(Error::input(message, "patchyard history"));
    };
    Ok(of_run(&rollout, run, target, earlier))
}

impl Log {
    /// The events since the last call, in the order in which they were written.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn next(&mut self, context: &Context) -> Result<Vec<Event>, Error> {
        let mut events = Vec::new();
        for (stream, seen) in &mut self.streams {
            let new = context.store.read(*stream, *seen).await?;
            if let Some(last) = new.last() {
                *seen = last.seq;
            }
            events.extend(new);
        }
        events.sort_by_key(|event| (event.at, place(event)));
        Ok(events)
    }

    /// What the replacements that were taken back had printed last, by their runs. It may hold secrets.
    pub fn last_words(&self, context: &Context) -> Vec<(RunId, String)> {
        let words = |run: &RunId| Some((*run, crate::hosts::last_words(context.state.path(), *run)?));
        self.runs.keys().filter_map(words).collect()
    }

    /// What can still come.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn outlook(&self, context: &Context) -> Result<Outlook, Error> {
        let Rollout { phase, state, .. } = Rollout::read(&*context.store, self.rollout).await?;
        let runs_over = self.runs.keys().all(|run| state.ended_run(run.action));
        Ok(match phase {
            _ if self.streams.len() == 1 && runs_over => Outlook::Over,
            Phase::Ended(_) => Outlook::Over,
            Phase::Running => Outlook::More,
            Phase::Paused if state.wish == Wish::Pause => Outlook::Waits(phase),
            Phase::NeedsAttention => Outlook::Waits(phase),
            Phase::Paused | Phase::Interrupted => Outlook::Undriven(phase),
        })
    }
}

/// What can still come to a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outlook {
    /// A driver is at work.
    More,
    /// Nobody drives the rollout. It may have died; it may also be about to begin, or to go on.
    Undriven(Phase),
    /// Nothing, until somebody resumes the rollout or decides.
    Waits(Phase),
    /// Nothing.
    Over,
}

/// The place among events that were written together: a rollout begins before its runs do, and ends
/// after them.
const fn place(event: &Event) -> u8 {
    match &event.body {
        EventBody::Rollout(RolloutEvent::Started { .. } | RolloutEvent::RunStarted { .. }) => 0,
        EventBody::Run(_) => 1,
        EventBody::Rollout(_) | EventBody::Ledger(_) => 2,
    }
}
