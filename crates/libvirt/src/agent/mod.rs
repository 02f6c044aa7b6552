//! The QEMU guest agent: programs and files inside a machine, by the channel that its domain has for it.
//!
//! The commands and their fields are those of QEMU's `qga/qapi-schema.json`. libvirt passes them on and
//! brings itself in step with the agent before each. Answers are small by design: see
//! [`Connection::agent_command`](crate::Connection::agent_command).
//!
//! An agent takes one command at a time, whoever gives it. What libvirt could not pass on, because the guest was
//! too busy to come into step or somebody else's command was there for too long, is given again after a pause;
//! what it has passed on is not.

mod files;
mod run;
mod transport;
pub(crate) mod words;

pub use transport::AgentTransport;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use patchyard_types::printable;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::connection::Line;
use crate::{Domain, LibvirtError};

/// How long libvirt waits for an answer. Nothing that is asked here takes long in itself; a guest may be
/// slow.
const WAIT: Duration = Duration::from_secs(60);
/// How long an agent may be silent, or taken by others, where nobody says otherwise.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long a guest is left in peace that is too busy to answer, or has somebody else to answer to.
const PAUSE: Duration = Duration::from_secs(1);

/// The agent in one domain. Its clones take turns at it; others, of other connections and programs, are waited
/// for as described [above](self).
#[derive(Debug, Clone)]
pub struct Agent {
    line: Line,
    domain: Domain,
    patience: Duration,
    /// Whose turn it is, and stays until the command has been passed on.
    turn: Arc<Mutex<()>>,
}

/// What an agent is and may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentInfo {
    /// Its version, made printable.
    pub version: String,
    /// Its commands, and whether each is allowed there: its configuration can bar some.
    pub commands: BTreeMap<String, bool>,
}

/// A program for the agent to start, as the user the agent runs as (root).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exec<'a> {
    /// The program; without a slash it is looked for on the agent's own `PATH`.
    pub path: &'a str,
    /// Its arguments.
    pub arguments: &'a [String],
    /// Its environment, `NAME=value`; empty is the agent's own.
    pub environment: &'a [String],
    /// What it reads.
    pub input: &'a [u8],
    /// Whether what it prints is kept until it is asked for. It must not be more than
    /// [some MiB](crate::Connection::agent_command) in all.
    pub capture: bool,
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exit {
    /// Its exit code; 128 and the signal's number where a signal ended it.
    pub code: i32,
    /// What it printed, where that is kept.
    pub stdout: Vec<u8>,
    /// What it complained, where that is kept.
    pub stderr: Vec<u8>,
    /// Whether the agent has thrown away a part of either.
    pub truncated: bool,
}

impl Agent {
    /// The agent in that domain.
    #[must_use]
    pub fn new(line: impl Into<Line>, domain: Domain) -> Self {
        Self { line: line.into(), domain, patience: PATIENCE, turn: Arc::default() }
    }

    /// The same agent, for who waits so long while it is silent or taken by others; two minutes otherwise.
    #[must_use]
    pub fn patience(&self, patience: Duration) -> Self {
        Self { patience, ..self.clone() }
    }

    /// The domain it is in.
    #[must_use]
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Whether it answers. `guest-ping`.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), LibvirtError> {
        self.ask("guest-ping", None).await.map(|_| ())
    }

    /// What it is and may. `guest-info`.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn info(&self) -> Result<AgentInfo, LibvirtError> {
        let answer = self.ask("guest-info", None).await?;
        let commands = answer["supported_commands"].as_array().map(Vec::as_slice).unwrap_or_default();
        let one = |command: &Value| {
            Some((printable(command["name"].as_str()?, 100), command["enabled"].as_bool()?))
        };
        Ok(AgentInfo {
            version: printable(answer["version"].as_str().unwrap_or("unknown"), 100),
            commands: commands.iter().filter_map(one).collect(),
        })
    }

    /// Starts a program and tells its number. `guest-exec`.
    ///
    /// # Errors
    /// When it cannot be started: then [`LibvirtError::AgentRefused`].
    pub async fn exec(&self, exec: &Exec<'_>) -> Result<i64, LibvirtError> {
        let Exec { path, arguments, environment, input, capture } = *exec;
        let mut fields = json!({"path": path, "arg": arguments, "capture-output": capture});
        if !environment.is_empty() {
            fields["env"] = json!(environment);
        }
        if !input.is_empty() {
            fields["input-data"] = json!(STANDARD.encode(input));
        }
        let answer = self.ask("guest-exec", Some(fields)).await?;
        answer["pid"].as_i64().ok_or_else(|| no_sense("guest-exec", "it has no pid"))
    }

    /// How a program ended; `None` while it runs. The agent forgets what it has told. `guest-exec-status`.
    ///
    /// # Errors
    /// [`LibvirtError::AgentRefused`] when the agent knows no such program: it has told of it, or was started
    /// anew since.
    pub async fn exec_status(&self, pid: i64) -> Result<Option<Exit>, LibvirtError> {
        let answer = self.ask("guest-exec-status", Some(json!({"pid": pid}))).await?;
        if answer["exited"].as_bool() != Some(true) {
            return Ok(None);
        }
        let number = |name: &str| answer[name].as_i64().and_then(|number| i32::try_from(number).ok());
        let code =
            number("exitcode").or_else(|| number("signal").map(|signal| 128_i32.saturating_add(signal)));
        let bytes = |name: &str| match answer[name].as_str() {
            Some(text) => decode("guest-exec-status", text),
            None => Ok(Vec::new()),
        };
        Ok(Some(Exit {
            code: code.ok_or_else(|| no_sense("guest-exec-status", "it has no exit code"))?,
            stdout: bytes("out-data")?,
            stderr: bytes("err-data")?,
            truncated: ["out-truncated", "err-truncated"].iter().any(|name| answer[*name] == json!(true)),
        }))
    }

    /// Gives it a command and tells what its answer holds.
    async fn ask(&self, command: &str, fields: Option<Value>) -> Result<Value, LibvirtError> {
        let mut question = json!({"execute": command});
        if let Some(fields) = fields {
            question["arguments"] = fields;
        }
        let answer = self.pass_on(&question.to_string()).await?;
        let mut answer: Value =
            serde_json::from_str(&answer).map_err(|error| no_sense(command, &error.to_string()))?;
        // libvirt tells of errors itself; an agent behind something else than libvirt's driver may not get
        // that far.
        if let Some(words) = answer["error"]["desc"].as_str() {
            return Err(LibvirtError::AgentRefused { message: printable(words, 500) });
        }
        match answer.get_mut("return") {
            Some(value) => Ok(value.take()),
            None => Err(no_sense(command, "it returns nothing")),
        }
    }

    /// Gives it a command when it is our turn, again and again until it has been passed on.
    async fn pass_on(&self, question: &str) -> Result<String, LibvirtError> {
        let began = Instant::now();
        let _turn = self.turn.lock().await;
        loop {
            let asked = Instant::now();
            let connection = self.line.connection().await?;
            let answer = connection.agent_command(&self.domain, question, WAIT).await;
            let is_passed_on = match &answer {
                Err(LibvirtError::Busy { .. }) => false,
                // The same words after all of the time for an answer mean that there is none: what it may be
                // doing is not asked for a second time.
                Err(LibvirtError::AgentSilent { message }) => {
                    !words::is_busy(message) || asked.elapsed() >= WAIT
                }
                _ => true,
            };
            if is_passed_on || began.elapsed() >= self.patience {
                return answer;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

fn decode(command: &str, text: &str) -> Result<Vec<u8>, LibvirtError> {
    STANDARD.decode(text).map_err(|error| no_sense(command, &error.to_string()))
}

fn no_sense(command: &str, reason: &str) -> LibvirtError {
    LibvirtError::Protocol { reason: format!("the agent's, to {command}: {}", printable(reason, 200)) }
}
