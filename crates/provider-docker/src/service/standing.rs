//! How an update stands, and how long it is waited for: values in, values out.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use patchyard_types::{Failure, FailureKind, Millis};

use super::raw::{Service, Task, digest_in};

/// How an update, or the way back from one, stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Swarm is at work.
    Going(Progress),
    /// Swarm is done.
    Done,
    /// It will not come to a good end by itself.
    Failed(Failure),
}

/// How far it has got.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// How many tasks run what they should.
    pub running: usize,
    /// The tasks whose healthcheck has not decided yet.
    pub starting: Vec<String>,
    /// What the last of those that do not run says.
    pub waits: Option<String>,
}

/// How a service stands on its way to the image with this digest.
pub(super) fn standing(service: &Service, tasks: &[Task], wanted: &str) -> Standing {
    let of_it: Vec<&Task> = tasks.iter().filter(|task| digest_in(task.image()) == Some(wanted)).collect();
    let state = service.update_state();
    if service.digest() != Some(wanted) {
        return Standing::Failed(match state {
            "rollback_started" | "rollback_completed" | "rollback_paused" => {
                why(&of_it, "Swarm rolled it back")
            }
            _ => Failure::new(
                FailureKind::Precondition,
                "changed since planning: somebody else has given the service another image",
            ),
        });
    }
    match state {
        "completed" | "rollback_completed" => Standing::Done,
        "paused" => Standing::Failed(why(&of_it, "Swarm paused the update")),
        "rollback_paused" => Standing::Failed(why(
            &of_it,
            "Swarm paused its rollback; look at it, then docker service update --force",
        )),
        // Swarm writes no state for a service that has no tasks to replace.
        "" if tasks.iter().all(|task| !task.is_wanted() || (of_this(task, wanted) && task.is_running())) => {
            Standing::Done
        }
        _ => Standing::Going(progress(&of_it)),
    }
}

fn of_this(task: &Task, digest: &str) -> bool {
    digest_in(task.image()) == Some(digest)
}

fn progress(of_it: &[&Task]) -> Progress {
    let wanted = || of_it.iter().filter(|task| task.is_wanted());
    let starting = wanted().filter(|task| task.state() == "starting").map(|task| task.id().to_owned());
    let waiting = wanted().filter(|task| !task.is_running()).max_by_key(|task| task.since());
    Progress {
        running: wanted().filter(|task| task.is_running()).count(),
        starting: starting.collect(),
        waits: waiting.map(|task| task.words()),
    }
}

/// A failure in the words of the last task that ended. A node that takes no task (an image that it cannot pull) or
/// is gone says nothing about the image.
fn why(of_it: &[&Task], what: &str) -> Failure {
    let newest = |states: &[&str]| {
        let ended = of_it.iter().filter(|task| states.contains(&task.state()));
        ended.max_by_key(|task| task.since())
    };
    let (kind, task) = match (newest(&["failed", "complete"]), newest(&["rejected", "orphaned"])) {
        (Some(task), _) => (FailureKind::Check, Some(task)),
        (None, Some(task)) => (FailureKind::Host, Some(task)),
        (None, None) => (FailureKind::Check, None),
    };
    let words = task.map(|task| format!(": {}", task.words())).unwrap_or_default();
    Failure::new(kind, format!("{what}{words}"))
}

/// How long an update is waited for that does not go on: Swarm itself waits for ever.
pub(super) struct Patience {
    /// Between two tasks that come to run.
    between: Duration,
    /// Until the healthcheck of a task has decided.
    healthy: Duration,
    running: usize,
    since: Instant,
    starting: BTreeMap<String, Instant>,
}

impl Patience {
    pub fn new(between: Duration, healthy: Duration, now: Instant) -> Self {
        Self { between, healthy, running: 0, since: now, starting: BTreeMap::new() }
    }

    /// Gives healthchecks as long as this, if that is longer.
    pub fn allow(&mut self, within: Millis) {
        self.healthy = self.healthy.max(within.as_duration());
    }

    /// Takes a look in; a failure when it has been waited for long enough.
    pub fn look(&mut self, progress: &Progress, now: Instant) -> Option<Failure> {
        // Only what never was before is going on: a task that dies and is started again for ever is not.
        if progress.running > self.running {
            (self.running, self.since) = (progress.running, now);
        }
        self.starting.retain(|id, _| progress.starting.contains(id));
        for id in &progress.starting {
            self.starting.entry(id.clone()).or_insert(now);
        }
        let longest = self.starting.values().map(|since| now.duration_since(*since)).max();
        if longest.is_some_and(|waited| waited >= self.healthy) {
            let message =
                format!("the healthcheck of a task has not answered within {}", Millis::from(self.healthy));
            return Some(Failure::new(FailureKind::Check, message));
        }
        if now.duration_since(self.since) >= self.between {
            let waits = progress.waits.as_ref().map(|words| format!(": {words}")).unwrap_or_default();
            let message = format!("Swarm has not gone on for {}{waits}", Millis::from(self.between));
            return Some(Failure::new(FailureKind::Host, message));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn service(image: &str, state: &str) -> Service {
        Service(json!({
            "Spec": {"TaskTemplate": {"ContainerSpec": {"Image": format!("web:1@{image}")}}},
            "UpdateStatus": {"State": state},
        }))
    }

    fn task(id: &str, image: &str, desired: &str, state: &str, words: &str) -> Task {
        Task(json!({
            "ID": id, "DesiredState": desired, "Spec": {"ContainerSpec": {"Image": format!("web:1@{image}")}},
            "Status": {"State": state, "Err": words, "Timestamp": "2026-01-01T00:00:00Z"},
        }))
    }

    fn failure(standing: Standing) -> (FailureKind, String) {
        match standing {
            Standing::Failed(failure) => (failure.kind, failure.message),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn swarms_own_word_for_an_end_is_taken() {
        for (image, state, done) in [
            ("new", "completed", true),
            ("new", "updating", false),
            // The way back to it.
            ("new", "rollback_completed", true),
            ("new", "rollback_started", false),
        ] {
            let standing = standing(&service(image, state), &[], "new");
            assert_eq!(standing == Standing::Done, done, "{state}: {standing:?}");
        }
    }

    #[test]
    fn a_task_that_ended_speaks_against_the_image_and_a_node_that_takes_none_does_not() {
        let crashed = [task("a", "new", "shutdown", "failed", "task: non-zero exit (3)")];
        let (kind, message) = failure(standing(&service("old", "rollback_completed"), &crashed, "new"));
        assert_eq!(kind, FailureKind::Check);
        assert_eq!(message, "Swarm rolled it back: task: non-zero exit (3)");
        let rejected = [task("a", "new", "shutdown", "rejected", "No such image: web")];
        let (kind, message) = failure(standing(&service("new", "paused"), &rejected, "new"));
        assert_eq!(
            (kind, message.as_str()),
            (FailureKind::Host, "Swarm paused the update: No such image: web")
        );
    }

    #[test]
    fn another_image_is_somebody_elses_doing() {
        let (kind, _) = failure(standing(&service("third", "updating"), &[], "new"));
        assert_eq!(kind, FailureKind::Precondition);
    }

    #[test]
    fn without_a_state_it_is_done_when_nothing_else_is_wanted() {
        assert_eq!(standing(&service("new", ""), &[], "new"), Standing::Done);
        let old = [task("a", "old", "running", "running", "")];
        assert!(matches!(standing(&service("new", ""), &old, "new"), Standing::Going(_)));
        let gone = [task("a", "old", "shutdown", "shutdown", ""), task("b", "new", "running", "running", "")];
        assert_eq!(standing(&service("new", ""), &gone, "new"), Standing::Done);
    }

    #[test]
    fn a_healthcheck_that_never_answers_speaks_against_the_image() {
        let began = Instant::now();
        let second = |n| began + Duration::from_secs(n);
        let mut patience = Patience::new(Duration::from_secs(600), Duration::from_secs(60), began);
        let starting = Progress { running: 0, starting: vec!["a".into()], waits: Some("starting".into()) };
        assert_eq!(patience.look(&starting, second(10)), None);
        assert_eq!(patience.look(&starting, second(69)), None);
        assert_eq!(patience.look(&starting, second(70)).map(|f| f.kind), Some(FailureKind::Check));
        // The next task begins anew, and a longer healthcheck gets its time.
        let next = Progress { starting: vec!["b".into()], ..starting };
        patience.allow(Millis::from_secs(100));
        assert_eq!(patience.look(&next, second(71)), None);
        assert_eq!(patience.look(&next, second(170)), None);
        assert!(patience.look(&next, second(171)).is_some());
    }

    #[test]
    fn a_task_that_is_started_again_and_again_is_not_going_on() {
        let began = Instant::now();
        let mut patience = Patience::new(Duration::from_secs(600), Duration::from_secs(60), began);
        for n in 0..600 {
            let running = usize::from(n % 7 > 3);
            let progress = Progress { running, starting: Vec::new(), waits: Some("no suitable node".into()) };
            assert_eq!(patience.look(&progress, began + Duration::from_secs(n)), None, "{n}");
        }
        let progress = Progress { running: 1, starting: Vec::new(), waits: Some("no suitable node".into()) };
        let failure = patience.look(&progress, began + Duration::from_secs(605)).expect("given up");
        assert_eq!(failure.kind, FailureKind::Host);
        assert!(failure.message.ends_with("no suitable node"), "{failure}");
    }

    #[test]
    fn progress_counts_what_swarm_wants_to_run() {
        let tasks = [
            task("a", "new", "running", "running", ""),
            task("b", "new", "running", "starting", ""),
            task("c", "new", "shutdown", "running", ""),
            task("d", "old", "running", "running", ""),
        ];
        let Standing::Going(progress) = standing(&service("new", "updating"), &tasks, "new") else {
            panic!("going")
        };
        assert_eq!((progress.running, progress.starting), (1, vec!["b".to_owned()]));
    }

    #[test]
    fn a_value_that_is_no_task_says_nothing() {
        assert_eq!(
            standing(&Service(Value::Null), &[Task(Value::Null)], "new"),
            Standing::Failed(Failure::new(
                FailureKind::Precondition,
                "changed since planning: somebody else has given the service another image",
            ))
        );
    }
}
