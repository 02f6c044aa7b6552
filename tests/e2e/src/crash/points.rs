//! The points: listed on one run, and on another the place to die.

use std::collections::BTreeSet;
use std::fs::File;
use std::future::Future;
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};

/// Names the point to die at; `NAME@MS` says how long after it, or, for the middle of an effect, how far in.
pub const AT: &str = "PATCHYARD_CRASH_AT";

/// Names a file that takes the names of all points, in order.
pub const LIST: &str = "PATCHYARD_CRASH_LIST";

/// How far into an effect its middle is, unless somebody says so: shorter than any call to an engine.
const MIDDLE: Duration = Duration::from_millis(3);

/// Where this process is to die, and which points it has passed.
#[derive(Debug, Default)]
pub struct Points {
    at: Option<(String, Option<Duration>)>,
    list: Option<Mutex<File>>,
    passed: Mutex<BTreeSet<String>>,
}

impl Points {
    /// What the environment asks for.
    ///
    /// # Panics
    /// When it makes no sense.
    #[must_use]
    pub fn from_environment() -> Self {
        let at = std::env::var(AT).ok().map(|at| match at.split_once('@') {
            Some((name, ms)) => {
                (name.to_owned(), Some(Duration::from_millis(ms.parse().expect("milliseconds"))))
            }
            None => (at, None),
        });
        let list = std::env::var_os(LIST)
            .map(|path| Mutex::new(File::options().create(true).append(true).open(path).expect("a list")));
        Self { at, list, passed: Mutex::default() }
    }

    /// Passes a point, or does not.
    pub(super) fn pass(&self, name: &str) {
        if !self.is_here(name) {
            return;
        }
        let Some((_, Some(after))) = self.at else { die() };
        // Whatever is going on goes on until then.
        std::thread::spawn(move || {
            std::thread::sleep(after);
            die()
        });
    }

    /// Carries out an effect, or dies in its middle: at the latest when it is over.
    pub(super) async fn pass_during<T>(&self, name: &str, effect: impl Future<Output = T>) -> T {
        if !self.is_here(name) {
            return effect.await;
        }
        let after = self.at.as_ref().and_then(|(_, after)| *after).unwrap_or(MIDDLE);
        // Not dropped: an effect that is dropped may tidy up, and a dead process does not.
        let mut effect = std::pin::pin!(effect);
        let _ = tokio::time::timeout(after, &mut effect).await;
        die()
    }

    /// Writes a point down the first time it is met; whether it is the one.
    fn is_here(&self, name: &str) -> bool {
        if !self.passed.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned()) {
            return false;
        }
        if let Some(list) = &self.list {
            let mut list = list.lock().unwrap_or_else(PoisonError::into_inner);
            writeln!(list, "{name}").expect("the list can be written");
        }
        self.at.as_ref().is_some_and(|(at, _)| at == name)
    }
}

/// As the kernel ends a process that has used up its memory: nothing is flushed, nothing is told.
fn die() -> ! {
    let _ = kill_process(getpid(), Signal::KILL);
    loop {
        std::thread::park();
    }
}
