//! Driving a rollout with somebody looking on: progress, signals, the report at the end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar};
use patchyard_app::rollouts::{Phase, Rollout};
use patchyard_app::{
    DriveEnd, Error, Fleet, Live, RolloutReport, RunReport, Stop, Update, Watcher, audit, drive, open_log,
    report,
};
use patchyard_types::{Direction, Method, Millis, RolloutEnd, RolloutId, RunEnd, RunId};
use unicode_width::UnicodeWidthStr;

use crate::exit::Exit;
use crate::json::{EventLine, Lines, Names, RolloutDocument};
use crate::progress::{spinner, target, words};
use crate::session::{Session, Signals};
use crate::text::{name, remark, run_end, run_sign};
use crate::ui::{BOLD, DIM, Ui, paint};
use crate::wrap::wrap;

/// Drives a rollout until it is over, paused or interrupted, and reports.
pub async fn roll(
    session: &Session,
    fleet: &Fleet,
    rollout: RolloutId,
    mut signals: Signals,
) -> Result<Exit, Error> {
    let ui = session.ui;
    let screen = Arc::new(Screen::new(ui));
    let watcher = watcher(session, rollout, &screen).await?;
    let (stopper, stop) = Stop::pair();
    let mut driving = Box::pin(drive(&session.context, fleet, rollout, watcher, stop));
    let mut asked = false;
    let end = loop {
        tokio::select! {
            end = &mut driving => break end,
            name = signals.next() => {
                stopper.pull(name);
                if !asked {
                    screen.say(&format!(
                        "{name}: pausing. What has begun is finished or taken back first; a second signal changes nothing"
                    ));
                }
                asked = true;
            }
        }
    };
    drop(driving);
    screen.clear();
    let end = end?;
    if let DriveEnd::Interrupted { reason } = &end {
        ui.say(&format!("interrupted: {}", remark(reason)));
    }
    let report = report(&session.context, rollout).await?;
    finish(session, &report).await?;
    Ok(match end {
        DriveEnd::Interrupted { .. } => Exit::Unreachable.and(exit_of_runs(&report)),
        DriveEnd::Paused | DriveEnd::Ended(_) => exit_of(&report),
    })
}

/// Writes the lines of what happened before anybody looked on: that the rollout began.
pub async fn tell_beginning(session: &Session, rollout: RolloutId) -> Result<(), Error> {
    let mut log = open_log(&session.context, &rollout.to_string()).await?;
    let names = Names::of_runs(&log.runs);
    for event in log.next(&session.context).await? {
        session.ui.document(&EventLine::new(&names, &event));
    }
    Ok(())
}

/// Who looks on: a person, or a script that reads a line for each event.
async fn watcher(
    session: &Session,
    rollout: RolloutId,
    screen: &Arc<Screen>,
) -> Result<Arc<dyn Watcher>, Error> {
    let ui = session.ui;
    if ui.json {
        let plan = Rollout::read(&*session.context.store, rollout).await?.plan;
        return Ok(Arc::new(Lines::new(rollout, &plan, move |line: &str| ui.line(line))));
    }
    let screen = Arc::clone(screen);
    Ok(Arc::new(Live::open(&session.context, rollout, move |update| screen.show(&update)).await?))
}

/// The exit code of a rollout as it is now.
pub fn exit_of(report: &RolloutReport) -> Exit {
    let runs = exit_of_runs(report);
    match report.phase {
        Phase::NeedsAttention | Phase::Ended(RolloutEnd::NeedsAttention) => Exit::Attention,
        Phase::Paused | Phase::Ended(RolloutEnd::Aborted) => Exit::Paused.and(runs),
        Phase::Interrupted => Exit::Unreachable.and(runs),
        Phase::Ended(RolloutEnd::Partly | RolloutEnd::RolledBack) => Exit::Failed,
        Phase::Ended(RolloutEnd::Succeeded) | Phase::Running => runs,
    }
}

fn exit_of_runs(report: &RolloutReport) -> Exit {
    let of = |run: &RunReport| match run.end {
        Some(RunEnd::RolledBack | RunEnd::Failed) => Exit::Failed,
        Some(RunEnd::NeedsAttention) => Exit::Attention,
        Some(RunEnd::Succeeded | RunEnd::Skipped) | None => Exit::Done,
    };
    report.runs.iter().map(of).fold(Exit::Done, Exit::and)
}

async fn finish(session: &Session, report: &RolloutReport) -> Result<(), Error> {
    let ui = &session.ui;
    let head = audit::head(&session.context).await?;
    if ui.json {
        ui.document(&RolloutDocument::new(report, head));
        return Ok(());
    }
    let mut text = summary(report);
    for (reference, reason) in &report.tags_left {
        text.push_str(&format!("Tag {} was left where it is: {}\n", name(reference), remark(reason)));
    }
    text.push_str(&what_next(report));
    text.push_str(&paint(DIM, &format!("Audit head {head}")));
    text.push('\n');
    ui.result(&text);
    Ok(())
}

/// `9 succeeded · 1 rolled back · 1 skipped · 1 left out`
pub fn summary(report: &RolloutReport) -> String {
    let number = |end| report.runs.iter().filter(|run| run.end == Some(end)).count();
    let waiting = report.runs.iter().filter(|run| run.end.is_none()).count();
    let parts = [
        (number(RunEnd::Succeeded), "succeeded"),
        (number(RunEnd::RolledBack), "rolled back"),
        (number(RunEnd::Failed), "failed"),
        (number(RunEnd::NeedsAttention), "need attention"),
        (number(RunEnd::Skipped), "skipped"),
        (waiting, "not done"),
        (report.left_out.len(), "left out"),
    ];
    let said: Vec<_> = parts
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, word)| format!("{number} {word}"))
        .collect();
    let state = match report.phase {
        Phase::Paused => format!("{} is paused: ", report.id),
        Phase::Interrupted => format!("{} was interrupted: ", report.id),
        Phase::Ended(RolloutEnd::Aborted) => format!("{} was aborted: ", report.id),
        _ => String::new(),
    };
    format!("{state}{}\n", said.join(" · "))
}

fn what_next(report: &RolloutReport) -> String {
    let mut parts = Vec::new();
    let bad = report
        .runs
        .iter()
        .find(|run| matches!(run.end, Some(RunEnd::RolledBack | RunEnd::Failed | RunEnd::NeedsAttention)));
    if let Some(run) = bad {
        parts.push(format!("{} patchyard log {}", paint(BOLD, "Details:"), name(&run.name)));
    }
    for run in report.runs.iter().filter(|run| run.end == Some(RunEnd::NeedsAttention)) {
        let decide = format!("patchyard resolve {} --done|--undo --reason …", run.run);
        parts.push(format!("{} {decide}", paint(BOLD, "Decide:")));
    }
    if report.phase.waits() {
        parts.push(format!("{} patchyard resume {}", paint(BOLD, "Next:"), report.id));
    } else if report.runs.iter().any(|run| run.end == Some(RunEnd::Succeeded)) {
        parts.push(format!("{} patchyard rollback {}", paint(BOLD, "Undo:"), report.id));
    }
    if parts.is_empty() { String::new() } else { format!("{}\n", parts.join("      ")) }
}

/// One run's line or lines, as people read them.
pub fn run_lines(ui: &Ui, run: &RunReport, column: usize) -> String {
    // One long name must not push everything to the edge of a narrow terminal.
    let column = ui.width.map_or(column, |width| column.min(width / 3));
    let Some(end) = run.end else {
        let state = if run.begun { "under way" } else { "waiting" };
        return format!(" {} {:column$}  {state}\n", paint(DIM, "·"), name(&run.name));
    };
    let (sign, style) = run_sign(end);
    let word = match (end, run.method) {
        (RunEnd::Succeeded, Method::Restore) => "put back",
        _ => run_end(end),
    };
    let mut parts = Vec::new();
    if end == RunEnd::Succeeded {
        parts.extend(run.gap.map(|gap| format!("gap {gap}")));
        parts.push(format!("steady {}", run.verify_for));
    } else {
        parts.extend(run.reason.as_deref().map(remark));
        if end == RunEnd::RolledBack {
            parts.push(match run.gap {
                Some(gap) if gap > Millis(0) => format!("serving again, was down {gap}"),
                _ => "serving as before".to_owned(),
            });
        }
    }
    let detail = match end {
        RunEnd::Succeeded => parts.join(" · "),
        _ => parts.join("; "),
    };
    let indent = column + 5;
    let first = format!(" {} {:column$}  ", paint(style, sign), name(&run.name));
    let mut text = String::new();
    let room = ui.width.map(|width| width.saturating_sub(indent + 15));
    let below =
        room.is_some_and(|room| room < 24 || (name(&run.name).width() > column && !detail.is_empty()));
    if below {
        text.push_str(&format!("{first}{word}\n"));
        push_wrapped(&mut text, ui, &detail, indent);
    } else {
        let mut lines = wrap(&detail, room).into_iter();
        text.push_str(format!("{first}{word:<13}  {}", lines.next().unwrap_or_default()).trim_end());
        text.push('\n');
        for line in lines {
            text.push_str(&format!("{}{line}\n", " ".repeat(indent + 15)));
        }
    }
    if run.quarantined {
        let versions = run.versions.iter().map(|version| name(&version.replacen('=', " ", 1)));
        let versions: Vec<_> = versions.collect();
        push_wrapped(&mut text, ui, &format!("quarantined: {}", versions.join(", ")), indent);
    }
    if !run.reboot.is_empty() {
        push_wrapped(&mut text, ui, &format!("wants a reboot: {}", remark(&run.reboot.join("; "))), indent);
    }
    text
}

fn push_wrapped(text: &mut String, ui: &Ui, paragraph: &str, indent: usize) {
    for line in wrap(paragraph, ui.width.map(|width| width.saturating_sub(indent))) {
        text.push_str(&format!("{}{line}\n", " ".repeat(indent)));
    }
}

/// What a person sees while a rollout is driven.
struct Screen {
    ui: Ui,
    bars: MultiProgress,
    running: Mutex<BTreeMap<RunId, ProgressBar>>,
}

/// Names up to this width are aligned; longer ones push their own line to the right.
const COLUMN: usize = 14;

impl Screen {
    fn new(ui: Ui) -> Self {
        let bars = MultiProgress::with_draw_target(target(&ui));
        Self { ui, bars, running: Mutex::default() }
    }

    fn say(&self, text: &str) {
        self.bars.suspend(|| self.ui.say(text));
    }

    fn clear(&self) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *running).into_values().for_each(|bar| bar.finish_and_clear());
    }

    fn show(&self, update: &Update) {
        match update {
            Update::Began { run, name } => self.set(*run, name, "begins"),
            Update::Step { run, name, step, direction } => {
                let text = match direction {
                    Direction::Do => step.to_string(),
                    Direction::Undo => format!("way back: {step}"),
                };
                self.set(*run, name, &text);
            }
            Update::Note { run, name, note } => {
                self.set(*run, name, &words(note));
            }
            Update::Ended(report) => {
                let bar = self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&report.run);
                if let Some(bar) = bar {
                    bar.finish_and_clear();
                    self.bars.remove(&bar);
                }
                let lines = run_lines(&self.ui, report, COLUMN);
                self.bars.suspend(|| self.ui.result(&lines));
            }
            Update::Requested { .. } | Update::Paused | Update::Over(_) => {}
        }
    }

    fn set(&self, run: RunId, target: &str, text: &str) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let bar = running.entry(run).or_insert_with(|| {
            let bar = self.bars.add(ProgressBar::new_spinner().with_style(spinner()));
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        bar.set_message(format!("{:COLUMN$}  {}", name(target), remark(text)));
    }
}
