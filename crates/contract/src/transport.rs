//! Transports: how programs are started on a machine, wherever it is.
//!
//! A machine is reached by a local process, by `ssh`, by `docker exec`, by a guest agent. What runs on
//! it is always a program with arguments; where a way there wants one line for a shell, the transport
//! quotes it, in one place.

use std::time::Duration;

use async_trait::async_trait;
use thiserror::Error;

/// A program to be run on a machine, as the machine's administrator (root).
///
/// It is found on the usual system `PATH` and speaks English (`LC_ALL=C`), whatever the machine's own
/// settings are.
#[derive(Clone, PartialEq, Eq)]
pub struct Command {
    /// The program and its arguments. The program must not be empty, start with `-` or contain `=`; no
    /// argument may contain NUL.
    pub argv: Vec<String>,
    /// Environment variables beside the standard ones: names are `[A-Za-z_][A-Za-z0-9_]*`.
    pub env: Vec<(String, String)>,
    /// What it reads; the end of file follows.
    pub stdin: Vec<u8>,
    /// How long it may take. Afterwards it is ended, on the machine too.
    pub limit: Duration,
    /// The most bytes of its standard output. More is an error: part of an answer would be a wrong answer.
    pub most: usize,
}

impl Command {
    /// The most of an answer that is taken unless something else is said, in bytes.
    pub const MOST: usize = 16 * 1024 * 1024;

    /// A program with arguments, without input, with a minute of time and [`Command::MOST`] of output.
    pub fn new<A: Into<String>>(argv: impl IntoIterator<Item = A>) -> Self {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            env: Vec::new(),
            stdin: Vec::new(),
            limit: Duration::from_secs(60),
            most: Self::MOST,
        }
    }

    /// With an environment variable more.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With something to read.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// With another time limit.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// With another limit of output, in bytes.
    #[must_use]
    pub fn most(mut self, bytes: usize) -> Self {
        self.most = bytes;
        self
    }

    /// The program's name, for messages.
    #[must_use]
    pub fn program(&self) -> &str {
        self.argv.first().map_or("", String::as_str)
    }
}

/// Without what it reads and its environment: there may be secrets in both.
impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Command")
            .field("argv", &self.argv)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// How a program ended and what it printed. The bytes come from the machine: untrusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Its exit code; 128 and the signal's number where a signal ended it; 127 where there is no such program.
    pub code: i32,
    /// Standard output, all of it.
    pub stdout: Vec<u8>,
    /// The end of standard error: the last 64 KiB.
    pub stderr: Vec<u8>,
}

impl Output {
    /// Whether it ended with 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.code == 0
    }

    /// Both outputs, one after the other, for readers of messages.
    #[must_use]
    pub fn said(&self) -> Vec<u8> {
        [self.stdout.as_slice(), b"\n", &self.stderr].concat()
    }
}

/// Why a program could not be run, or was not heard to its end.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TransportError {
    /// Nobody answers, or the connection broke. Whether the program ran is not known.
    #[error("cannot reach {host}: {reason}")]
    Unreachable {
        /// The machine, as the user named it.
        host: String,
        /// What was seen.
        reason: String,
    },
    /// ssh has never seen this host.
    #[error(
        "the host key of {host} is not known: connect once with `ssh {host}` and accept it, or add it to known_hosts"
    )]
    HostUnknown {
        /// The machine, as the user named it.
        host: String,
    },
    /// The host shows another key than it used to.
    #[error(
        "{host} shows another host key than the one on record: somebody else may be answering. If it was installed anew, \
         remove the old one with `ssh-keygen -R`"
    )]
    HostChanged {
        /// The machine, as the user named it.
        host: String,
    },
    /// The host wants none of the keys it was offered.
    #[error("{host} refused to let us in ({reason}): see that `ssh {host} true` works without a question")]
    KeyRefused {
        /// The machine, as the user named it.
        host: String,
        /// ssh's own words.
        reason: String,
    },
    /// sudo wants a password and there is none.
    #[error("sudo on {host} asks for a password: give one, or allow the user `NOPASSWD: ALL` in sudoers")]
    SudoPassword {
        /// The machine, as the user named it.
        host: String,
    },
    /// sudo does not take the password.
    #[error("sudo on {host} does not accept the password")]
    SudoWrongPassword {
        /// The machine, as the user named it.
        host: String,
    },
    /// sudo does not let this user do that.
    #[error("sudo on {host} refuses: {reason}")]
    SudoDenied {
        /// The machine, as the user named it.
        host: String,
        /// sudo's own words.
        reason: String,
    },
    /// It took too long and was ended.
    #[error("{program} on {host} did not end within {} s", after.as_secs())]
    TimedOut {
        /// The machine, as the user named it.
        host: String,
        /// What was run.
        program: String,
        /// How long it was given.
        after: Duration,
    },
    /// It printed more than it may, and was ended.
    #[error("{program} on {host} printed more than {limit} bytes")]
    TooMuch {
        /// The machine, as the user named it.
        host: String,
        /// What was run.
        program: String,
        /// The most it may print.
        limit: usize,
    },
    /// It cannot be said to the machine at all: NUL in an argument, no program.
    #[error("not a command: {reason}")]
    Invalid {
        /// What is wrong with it.
        reason: String,
    },
    /// The controller's own side is in the way: no `ssh` here, no file handles left.
    #[error("cannot start {program} here: {reason}")]
    Local {
        /// What was to be started.
        program: String,
        /// The system's own words.
        reason: String,
    },
}

/// A way to a machine.
#[async_trait]
pub trait Transport: Send + Sync {
    /// The machine as the user named it.
    fn host(&self) -> &str;

    /// Runs a program to its end.
    ///
    /// # Errors
    /// When it could not be run or not be heard to its end. A program that fails is no error.
    async fn run(&self, command: Command) -> Result<Output, TransportError>;
}
