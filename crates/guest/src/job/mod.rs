//! Jobs: work on a machine that goes on whoever watches.
//!
//! A job runs as a transient unit where systemd is at the helm, else as the leader of a session of its own. So it
//! survives the end of the connection that started it, a restart of the SSH server and of the guest agent, and the
//! death of the controller. What it prints and how it ended are files in a folder named after it:
//! another controller finds it there again.
//!
//! Starting a job that was started already does nothing: the first of any number of starters wins.

use std::fmt;
use std::time::Duration;

use patchyard_contract::{Command, Transport};
use patchyard_types::printable;

use crate::GuestError;
use crate::transport::quote;

/// Where the folders of jobs are on a machine.
const ROOT: &str = "/var/lib/patchyard";
/// The most of a job's output that is handed over at once, in bytes.
const PIECE: usize = 256 * 1024;
/// How long the programs that deal with jobs may take; none of them waits for a job.
const SHORT: Duration = Duration::from_secs(60);

const START: &str = include_str!("start.sh");
const FOLLOW: &str = concat!(include_str!("members.sh"), include_str!("follow.sh"));
const STOP: &str = concat!(include_str!("members.sh"), include_str!("stop.sh"));
/// What every job's commands begin with.
const PROLOGUE: &str = include_str!("prologue.sh");

/// A job's name on its machine, chosen by the controller: unique among all that may ever run there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobId(String);

impl JobId {
    /// Letters, digits, `.`, `_`, `-`; at most 64; the first a letter or digit.
    ///
    /// # Errors
    /// [`GuestError::BadJobId`].
    pub fn new(text: &str) -> Result<Self, GuestError> {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        let good = (1..=64).contains(&text.len())
            && text.bytes().all(fits)
            && text.as_bytes()[0].is_ascii_alphanumeric();
        if good {
            Ok(Self(text.to_owned()))
        } else {
            Err(GuestError::BadJobId { found: printable(text, 80) })
        }
    }

    /// Its folder on the machine.
    #[must_use]
    pub fn folder(&self) -> String {
        format!("{ROOT}/run-{}", self.0)
    }

    fn unit(&self) -> String {
        format!("patchyard-run-{}.service", self.0)
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a job does: commands one after the other, until one fails.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Job {
    /// The commands.
    pub steps: Vec<JobStep>,
}

/// A command of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobStep {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Environment beside the standard one.
    pub env: Vec<(String, String)>,
    /// Its failure ends the job, with its exit code.
    pub must: bool,
    /// It is tried again while it ends with this code, for at most so many seconds: another one holds a lock.
    pub again: Option<(i32, u64)>,
    /// Exit codes beside 0 that are no failure.
    pub fine: Vec<i32>,
}

impl JobStep {
    /// A command that has to succeed.
    #[must_use]
    pub fn new(argv: Vec<String>, env: &[(&str, &str)]) -> Self {
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { argv, env, must: true, again: None, fine: Vec::new() }
    }

    /// As a line of the job's script. Everything in it that comes from elsewhere is quoted.
    fn line(&self) -> String {
        let mut words = match self.again {
            Some((code, seconds)) => vec!["again".to_owned(), code.to_string(), seconds.to_string()],
            None => Vec::new(),
        };
        words.push("env".to_owned());
        words.extend(self.env.iter().map(|(name, value)| format!("{name}={value}")));
        words.extend(self.argv.iter().cloned());
        let fine: String = self.fine.iter().map(|code| format!(" {code}")).collect();
        let end = if self.must { format!("judge $?{fine}") } else { "true".to_owned() };
        format!("{} || {end}\n", quote::line(&words))
    }
}

/// How a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    /// It was never started here.
    Missing,
    /// It is at work.
    Running,
    /// It ended by itself, with the exit code of the step that failed, or 0.
    Ended {
        /// The exit code.
        code: i32,
    },
    /// It was ended from outside before it could say how: killed, or the machine went down. What it did is to be
    /// found out on the machine.
    Lost,
}

/// A look at a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// How it is.
    pub state: JobState,
    /// What it printed from the offset on, at most 256 KiB: untrusted bytes.
    pub output: Vec<u8>,
}

impl Look {
    /// Whether there is nothing more to come: it is not running, and all of its output was seen.
    #[must_use]
    pub fn is_last(&self) -> bool {
        self.state != JobState::Running && self.output.len() < PIECE
    }
}

/// Starts a job, unless one of this id was started before.
///
/// # Errors
/// When the machine cannot be reached or the job does not begin.
pub async fn start(transport: &dyn Transport, id: &JobId, job: &Job) -> Result<(), GuestError> {
    let mut commands = PROLOGUE.to_owned();
    commands.extend(job.steps.iter().map(JobStep::line));
    commands.push_str("finish 0\n");
    let argv = ["sh", "-c", START, "sh", &id.folder(), &id.unit()];
    let output = transport.run(Command::new(argv).stdin(commands).limit(SHORT)).await?;
    if output.success() {
        return Ok(());
    }
    Err(GuestError::Failed {
        host: transport.host().to_owned(),
        program: format!("the start of job {id}"),
        code: output.code,
        words: printable(String::from_utf8_lossy(&output.stderr).trim(), 400),
    })
}

/// Looks at a job: how it is, and what it has printed after the first `offset` bytes.
///
/// # Errors
/// When the machine cannot be reached or its answer makes no sense.
pub async fn look(transport: &dyn Transport, id: &JobId, offset: u64) -> Result<Look, GuestError> {
    let argv = ["sh", "-c", FOLLOW, "sh", &id.folder(), &(offset + 1).to_string(), &PIECE.to_string()];
    let answer = transport.run(Command::new(argv).limit(SHORT).most(PIECE + 100)).await?;
    let mut parts = answer.stdout.splitn(2, |byte| *byte == b'\n');
    let words = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    let state = match words.split_once(' ').unwrap_or((&words, "")) {
        ("missing", _) => Some(JobState::Missing),
        ("running", _) => Some(JobState::Running),
        ("lost", _) => Some(JobState::Lost),
        ("ended", code) => code.parse().ok().map(|code| JobState::Ended { code }),
        _ => None,
    };
    let Some(state) = state else {
        return Err(GuestError::NoSense {
            host: transport.host().to_owned(),
            program: format!("the look at job {id}"),
            reason: printable(&format!("{words} {}", String::from_utf8_lossy(&answer.stderr)), 200),
        });
    };
    Ok(Look { state, output: parts.next().unwrap_or_default().to_vec() })
}

/// Ends a job that is running, with everything it started. It is [`JobState::Lost`] then: it did not end by itself.
///
/// # Errors
/// When the machine cannot be reached.
pub async fn stop(transport: &dyn Transport, id: &JobId) -> Result<(), GuestError> {
    let argv = ["sh", "-c", STOP, "sh", &id.folder(), &id.unit()];
    transport.run(Command::new(argv).limit(Duration::from_secs(150))).await?;
    Ok(())
}

/// Removes what is left of a job that is not running. Nothing left is fine.
///
/// # Errors
/// When the machine cannot be reached, or the job is running.
pub async fn forget(transport: &dyn Transport, id: &JobId) -> Result<(), GuestError> {
    if look(transport, id, 0).await?.state == JobState::Running {
        let reason = format!("job {id} is still running");
        return Err(GuestError::Refused { host: transport.host().to_owned(), reason });
    }
    transport.run(Command::new(["rm", "-rf", "--", &id.folder()])).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_a_name_is_an_id() {
        assert_eq!(JobId::new("a1b2.R12.3").unwrap().folder(), "/var/lib/patchyard/run-a1b2.R12.3");
        for bad in ["", ".", "..", "-x", "a/b", "a b", "a\n", "$(id)", &"a".repeat(65)] {
            assert!(JobId::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn steps_are_quoted_lines() {
        let argv = ["apt-get", "it's", "; rm -rf /"].map(str::to_owned).to_vec();
        let mut step = JobStep::new(argv, &[("A", "b c")]);
        assert_eq!(step.line(), "env 'A=b c' apt-get 'it'\"'\"'s' '; rm -rf /' || judge $?\n");
        step.fine = vec![102, 103];
        assert!(step.line().ends_with("|| judge $? 102 103\n"));
        step.must = false;
        step.again = Some((7, 60));
        assert_eq!(step.line(), "again 7 60 env 'A=b c' apt-get 'it'\"'\"'s' '; rm -rf /' || true\n");
    }
}
