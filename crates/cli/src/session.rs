//! A session: what was opened for a verb, and how it ends on a signal.

use std::sync::OnceLock;

use patchyard_app::rollouts::{self, Phase};
use patchyard_app::{Context, Environment, Error, Options};
use patchyard_types::RolloutId;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::args::Global;
use crate::exit::Exit;
use crate::ui::{Ui, YELLOW, paint};

/// Put around every context before anything is done with it.
pub static WRAP: OnceLock<fn(Context) -> Context> = OnceLock::new();

/// What a verb works with.
pub struct Session {
    pub context: Context,
    pub ui: Ui,
    /// The arguments that a driver in the background needs, too.
    pub global: Global,
}

impl Session {
    /// Opens configuration and state, and tells of rollouts that wait for somebody.
    pub async fn open(global: Global, ui: Ui, remind: bool) -> Result<Self, Error> {
        let options = options(&global);
        let context = Context::open(&Environment::of_process(), &options)?;
        let context = match WRAP.get() {
            Some(wrap) => wrap(context),
            None => context,
        };
        let session = Self { context, ui, global };
        if remind {
            session.remind().await?;
        }
        Ok(session)
    }

    /// Every verb first tells of rollouts that wait for somebody.
    async fn remind(&self) -> Result<(), Error> {
        for line in rollouts::open(&*self.context.store, self.context.clock.now()).await? {
            self.tell_who_waits(line.id, line.phase);
        }
        Ok(())
    }

    /// Tells that a rollout waits for somebody, if it does, and what to do about it.
    pub fn tell_who_waits(&self, id: RolloutId, phase: Phase) {
        let state = match phase {
            Phase::Interrupted => "was interrupted",
            Phase::Paused => "is paused",
            Phase::NeedsAttention => "needs attention",
            Phase::Running | Phase::Ended(_) => return,
        };
        let next = rollouts::what_next(id, phase);
        self.ui.say(&format!("{} {state}: {next}", paint(YELLOW, &id.to_string())));
    }

    /// Does read-only work until it is done or a signal comes; helpers are gone afterwards.
    pub async fn until_signal<T>(
        &self,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<Result<T, Exit>, Error> {
        let mut signals = Signals::new()?;
        let outcome = tokio::select! {
            outcome = work => outcome.map(Ok),
            name = signals.next() => {
                self.ui.say(&format!("{name}: stopped; nothing was changed"));
                Ok(Err(Exit::Paused))
            }
        };
        self.context.reach.settle().await;
        outcome
    }
}

pub fn options(global: &Global) -> Options {
    Options { config: global.config.clone(), state: global.state.clone(), hosts: global.host.clone() }
}

/// The signals that ask to stop: all of them mean the same.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// Not listened to under `nohup`, which ignores it: a lost terminal is no reason to stop there.
    hangup: Option<Signal>,
}

impl Signals {
    pub fn new() -> Result<Self, Error> {
        let listen =
            |kind| signal(kind).map_err(|error| Error::Broken(format!("cannot listen for signals: {error}")));
        let hangup = SignalKind::hangup();
        let hangup = if began_without(hangup) { None } else { Some(listen(hangup)?) };
        let (interrupt, terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
        Ok(Self { interrupt, terminate, hangup })
    }

    /// Waits for the next one and returns its name.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "Ctrl-C",
            _ = self.terminate.recv() => "SIGTERM",
            Some(()) = async { self.hangup.as_mut()?.recv().await } => "SIGHUP",
        }
    }
}

/// Whether the process began with this signal ignored. Asked of the system once, before anything is listened to.
fn began_without(signal: SignalKind) -> bool {
    static IGNORED: OnceLock<u64> = OnceLock::new();
    let of_process = || ignored(&std::fs::read_to_string("/proc/self/status").unwrap_or_default());
    IGNORED.get_or_init(of_process) & (1 << (signal.as_raw_value() - 1)) != 0
}

/// The signals that a process ignores, a bit each, from its `status` in proc(5).
fn ignored(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nohup_ignores_is_read_from_the_status_of_the_process() {
        assert_eq!(ignored("Name:\tpatchyard\nSigIgn:\t0000000000001001\nSigCgt:\t0\n"), 0x1001);
        assert_eq!(ignored("Name:\tpatchyard\n"), 0);
    }
}
