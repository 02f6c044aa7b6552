//! Who looks on while a rollout is driven, and who may stop it.

use patchyard_contract::Note;
use patchyard_types::{Event, RunId};
use tokio::sync::watch;

/// Looks on: every event after it was written, and remarks on long work. Must not block.
pub trait Watcher: Send + Sync {
    /// An event was written.
    fn event(&self, event: &Event);

    /// A remark on long work in a run.
    fn note(&self, run: RunId, note: Note);
}

/// The receiving half of a stop signal.
#[derive(Clone)]
pub struct Stop(watch::Receiver<Option<String>>);

/// The sending half: pulled by a signal handler.
pub struct Stopper(watch::Sender<Option<String>>);

impl Stop {
    /// A pair of both halves.
    #[must_use]
    pub fn pair() -> (Stopper, Self) {
        let (sender, receiver) = watch::channel(None);
        (Stopper(sender), Self(receiver))
    }

    /// A stop signal that never comes.
    #[must_use]
    pub fn never() -> Self {
        Self::pair().1
    }

    /// Returns the reason once the signal has come; a second signal changes nothing.
    pub(crate) async fn pulled(&mut self) -> String {
        loop {
            if let Some(reason) = self.0.borrow_and_update().clone() {
                return reason;
            }
            if self.0.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

impl Stopper {
    /// Asks the driver to pause, and says why: `SIGTERM`, `terminal closed`.
    pub fn pull(&self, why: &str) {
        self.0.send_if_modified(|reason| {
            let first = reason.is_none();
            reason.get_or_insert_with(|| why.to_owned());
            first
        });
    }
}
