//! Own history: how long the parts of a run took here, for the next plan's estimate.

use std::collections::BTreeMap;

use jiff::Timestamp;
use patchyard_contract::Store;
use patchyard_decide::rollout::RunSlot;
use patchyard_plan::{Timing, Timings};
use patchyard_types::{
    Direction, Event, EventBody, Method, Millis, RunEnd, RunEvent, Step, Stream, SwapStep,
};

use crate::Error;
use crate::report::span;
use crate::rollouts::Rollout;

/// How many successful runs of a method are looked at: enough for a median, and the machine as it is now.
const RUNS: usize = 20;

/// How many rollouts are read at most: an estimate must not grow slower with history.
const ROLLOUTS: usize = 20;

/// How long runs took on this controller, by method; methods that nobody used are missing.
///
/// # Errors
/// When the store cannot be read.
pub async fn timings(store: &dyn Store) -> Result<Timings, Error> {
    let mut experience: BTreeMap<Method, Vec<Spans>> = BTreeMap::new();
    for id in store.rollouts().await?.into_iter().rev().take(ROLLOUTS) {
        // A rollout whose plan is gone says nothing here.
        let Ok(rollout) = Rollout::read(store, id).await else { continue };
        for (run, action) in rollout.runs() {
            // How long an update takes is up to Swarm and the service.
            if !action.kind.is_container() {
                continue;
            }
            let of_method = experience.entry(action.method).or_default();
            let succeeded = rollout.state.runs.get(run.action).and_then(RunSlot::end);
            if of_method.len() < RUNS && succeeded == Some(RunEnd::Succeeded) {
                let events = store.read(Stream::Run(run), 0).await?;
                of_method.extend(Spans::of(&events, action.verify_for));
            }
        }
    }
    Ok(experience.into_iter().filter_map(|(method, spans)| Some((method, timing(&spans)?))).collect())
}

/// How long the parts of one run took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Spans {
    /// Nothing where the image was there already, or a crash came between.
    prepare: Option<Millis>,
    swap: Millis,
    gap: Option<Millis>,
}

impl Spans {
    /// Nothing for a run that was interrupted: how long nobody was at work says nothing about the next one.
    fn of(events: &[Event], verify_for: Millis) -> Option<Self> {
        let mut spans = Self::default();
        let mut begun: Option<(Step, Timestamp)> = None;
        let mut down = None;
        for event in events {
            let EventBody::Run(body) = &event.body else { continue };
            match body {
                RunEvent::Intended { step, direction: Direction::Do } => {
                    begun = Some((*step, event.at));
                    if *step == Step::Swap(SwapStep::Stop) {
                        down.get_or_insert(event.at);
                    }
                }
                RunEvent::Succeeded { step, direction: Direction::Do, record } => {
                    let took = begun.take().filter(|(of, _)| of == step);
                    let Some(took) = took.and_then(|(_, from)| span(from, event.at)) else { continue };
                    if let patchyard_types::Record::Verified { first_good } = record {
                        // What is good before the old one is stopped leaves no gap, and tells of none.
                        spans.gap = down.and_then(|down| span(down, *first_good));
                    }
                    match step {
                        Step::Swap(SwapStep::Prepare) => spans.prepare = Some(took),
                        Step::Swap(SwapStep::Verify) => {
                            spans.swap.0 += took.0.saturating_sub(verify_for.0);
                        }
                        Step::Swap(_) | Step::Service(_) | Step::Machine(_) => spans.swap.0 += took.0,
                    }
                }
                RunEvent::Lost { .. } | RunEvent::Probed { .. } => return None,
                _ => {}
            }
        }
        Some(spans)
    }
}

/// What to expect after these runs: the median of what takes its time, and the longest gap, which is
/// what an operator wants to be warned of.
fn timing(runs: &[Spans]) -> Option<Timing> {
    // A patch set is prepared once; its later runs find the image there.
    let prepared = runs.iter().filter_map(|spans| spans.prepare).max();
    Some(Timing {
        prepare: prepared?,
        swap: median(runs.iter().map(|spans| spans.swap).collect())?,
        gap: runs.iter().filter_map(|spans| spans.gap).max()?,
    })
}

fn median(mut spans: Vec<Millis>) -> Option<Millis> {
    spans.sort_unstable();
    spans.get(spans.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use patchyard_types::{Record, RolloutId, RunId};

    use super::*;

    fn run(steps: &[(SwapStep, i64)], first_good: i64) -> Vec<Event> {
        let stream = Stream::Run(RunId { rollout: RolloutId(1), action: 0 });
        let at = |seconds: i64| Timestamp::from_second(seconds).unwrap();
        let (mut events, mut now) = (Vec::new(), 0);
        let mut tell = |at, body| {
            events.push(Event { stream, seq: events.len() as u64 + 1, at, body: EventBody::Run(body) });
        };
        for (step, seconds) in steps {
            let (step, direction) = (Step::Swap(*step), Direction::Do);
            tell(at(now), RunEvent::Intended { step, direction });
            now += seconds;
            let record = match step {
                Step::Swap(SwapStep::Verify) => Record::Verified { first_good: at(first_good) },
                Step::Swap(_) | Step::Service(_) | Step::Machine(_) => Record::Nothing,
            };
            tell(at(now), RunEvent::Succeeded { step, direction, record });
        }
        events
    }

    #[test]
    fn a_run_is_taken_apart_into_preparation_swap_and_gap() {
        use SwapStep::{Prepare, Snapshot, Start, Stop, Verify};
        let events = run(&[(Prepare, 40), (Stop, 2), (Start, 1), (Verify, 33), (Snapshot, 4)], 45);
        let spans = Spans::of(&events, Millis::from_secs(30)).unwrap();
        assert_eq!(spans.prepare, Some(Millis::from_secs(40)));
        // Stop, start, three seconds until it was good, and the snapshot.
        assert_eq!(spans.swap, Millis::from_secs(2 + 1 + 3 + 4));
        assert_eq!(spans.gap, Some(Millis::from_secs(5)));

        let mut interrupted = events;
        let (step, direction) = (Step::Swap(Start), Direction::Do);
        let lost = RunEvent::Lost { step, direction, reason: String::new(), host_away: true };
        interrupted.insert(3, Event { body: EventBody::Run(lost), ..interrupted[3].clone() });
        assert_eq!(Spans::of(&interrupted, Millis::from_secs(30)), None);
    }

    #[test]
    fn what_is_expected_is_the_median_swap_and_the_longest_of_the_rest() {
        let spans = |prepare, swap, gap| Spans {
            prepare: Some(Millis::from_secs(prepare)),
            swap: Millis::from_secs(swap),
            gap: Some(Millis::from_secs(gap)),
        };
        let expected = timing(&[spans(20, 4, 1), spans(0, 90, 2), spans(0, 5, 9)]);
        let seconds = expected.map(|t| [t.prepare, t.swap, t.gap].map(|span| span.0 / 1000));
        assert_eq!(seconds, Some([20, 5, 9]));
        assert_eq!(timing(&[]), None);
    }
}
