//! What an engine does to its containers, as it tells it itself while it does it.

use std::collections::BTreeMap;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::Engine;

/// An event arrives at once, or never.
const NEVER: Duration = Duration::from_secs(60);

/// Listens to an engine until it is dropped.
#[derive(Debug)]
pub struct Witness {
    engine: Engine,
    client: Child,
    heard: tempfile::NamedTempFile,
}

impl Witness {
    /// Listens to an engine from now on.
    ///
    /// # Panics
    /// When its client cannot be started.
    #[must_use]
    pub fn of(engine: &Engine) -> Self {
        let heard = tempfile::NamedTempFile::new().expect("room for a file");
        let now = Timestamp::now().as_nanosecond();
        // The client takes a moment to be there: what happens until then is asked for.
        let since = format!("{}.{:09}", now / 1_000_000_000, now % 1_000_000_000);
        let mut client = engine.command(["events", "--since", &since]);
        for event in ["create", "start", "die"] {
            client.args(["--filter", &format!("event={event}")]);
        }
        client.args(["--format", "{{.Type}} {{.Action}} {{.Actor.ID}} {{.Actor.Attributes.name}}"]);
        let client = client.stdin(Stdio::null()).stdout(heard.reopen().expect("it is there"));
        Self { engine: engine.clone(), client: client.spawn().expect("docker is there"), heard }
    }

    /// How often what has happened to which container up to now: `start 1234…`, `create web`.
    ///
    /// # Panics
    /// When the engine says nothing more.
    #[must_use]
    pub fn counted(&self) -> BTreeMap<String, u32> {
        // Events come in order: once it tells of this one it has told of all before.
        let mark = crate::unique();
        self.engine.docker(["volume", "create", &mark]);
        self.engine.docker(["volume", "rm", &mark]);
        let began = Instant::now();
        let text = loop {
            let text = std::fs::read_to_string(self.heard.path()).expect("it can be read");
            if text.contains(&format!("volume create {mark}")) {
                break text;
            }
            assert!(began.elapsed() < NEVER, "the engine tells nothing any more: {text}");
            std::thread::sleep(Duration::from_millis(20));
        };
        let mut counted = BTreeMap::new();
        for line in text.lines() {
            let what = match *line.split_whitespace().collect::<Vec<_>>() {
                ["container", "create", _, name] => format!("create {name}"),
                ["container", action, id, ..] => format!("{action} {id}"),
                _ => continue,
            };
            *counted.entry(what).or_default() += 1;
        }
        counted
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        let _ = self.client.kill();
        let _ = self.client.wait();
    }
}
