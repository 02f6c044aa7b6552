//! A machine by its guest agent, as a transport: no network in it, no login, no key.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use patchyard_contract::{Command, Output, Transport, TransportError};
use patchyard_guest::transport::{GRACE, late, timed_out, wrap};

use super::run::{DIRECT, Input, Ran};
use super::{Agent, Exec, words};
use crate::LibvirtError;

/// How long the removal of what was left in a guest may take.
const CLEAR: Duration = Duration::from_secs(30);

/// Programs in a domain, started by its guest agent.
///
/// A restart of the agent ends the programs that it has started, and an upgrade of it is a restart: what has
/// to survive that is a job ([`patchyard_guest::job`]).
#[derive(Debug, Clone)]
pub struct AgentTransport {
    agent: Agent,
    host: String,
}

impl AgentTransport {
    /// The inside of the agent's domain; `host` is what the user calls it.
    #[must_use]
    pub fn new(agent: Agent, host: &str) -> Self {
        Self { agent, host: host.to_owned() }
    }

    async fn attempt(
        &self,
        mut command: Command,
        folder: &str,
        leaves: &mut bool,
    ) -> Result<Output, TransportError> {
        let limit = command.limit;
        let began = Instant::now();
        // Whoever gives up first knows why.
        let agent = self.agent.patience(limit);
        let stdin = std::mem::take(&mut command.stdin);
        let input = if stdin.len() > DIRECT {
            *leaves = true;
            self.send(&agent, folder, &stdin).await?;
            Input::InFolder
        } else {
            Input::Direct(&stdin)
        };
        // What it took to send is of the time that was given.
        command.limit = limit.saturating_sub(began.elapsed());
        let argv = wrap(&command)?;
        let ran = agent.run(&argv, input, command.most, folder, leaves).await;
        match ran.map_err(|error| self.failed(error))? {
            Ran::Ended { code, took, .. } if timed_out(code, took, command.limit) => {
                Err(late(&self.host, &Command { limit, ..command }))
            }
            Ran::Ended { code, stdout, stderr, .. } => Ok(Output { code, stdout, stderr }),
            Ran::TooMuch => Err(TransportError::TooMuch {
                host: self.host.clone(),
                program: command.program().to_owned(),
                limit: command.most,
            }),
            Ran::NoRoom => Err(self.unreachable(
                "what it printed could not be kept there: is /var/tmp full, or not to be written?".to_owned(),
            )),
            Ran::Lost => Err(self.unreachable(format!(
                "{} was ended there from outside, and what it did is not known",
                command.program()
            ))),
        }
    }

    /// Puts what a program is to read in a folder of its own: only root's, and not there before.
    async fn send(&self, agent: &Agent, folder: &str, stdin: &[u8]) -> Result<(), TransportError> {
        let made =
            short(agent, &["mkdir", "-m", "700", "--", folder]).await.map_err(|error| self.failed(error))?;
        if !made {
            return Err(self.unreachable(format!(
                "{folder} cannot be made there: is /var/tmp full, or not to be written?"
            )));
        }
        agent.write_file(&format!("{folder}/in"), stdin).await.map_err(|error| self.failed(error))
    }

    fn unreachable(&self, reason: String) -> TransportError {
        TransportError::Unreachable { host: self.host.clone(), reason }
    }

    fn failed(&self, error: LibvirtError) -> TransportError {
        match error {
            LibvirtError::TooLarge { reason, .. } => TransportError::Invalid {
                reason: format!("its arguments are more than libvirt passes on: {reason}"),
            },
            error => self.unreachable(words::no_way(error)),
        }
    }
}

/// Runs a short command of our own, and tells whether it went well.
async fn short(agent: &Agent, argv: &[&str]) -> Result<bool, LibvirtError> {
    let [path, arguments @ ..] = argv else { return Ok(false) };
    let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    let exec = Exec { path, arguments: &arguments, environment: &[], input: &[], capture: false };
    let pid = agent.exec(&exec).await?;
    Ok(agent.wait(pid).await?.code == 0)
}

/// A path in a guest that nobody has used before: by the process, its clock, and a number.
fn folder() -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    format!("/var/tmp/patchyard-{}-{:x}-{number}", std::process::id(), now.as_nanos())
}

#[async_trait]
impl Transport for AgentTransport {
    fn host(&self) -> &str {
        &self.host
    }

    async fn run(&self, command: Command) -> Result<Output, TransportError> {
        // What is no command is refused before anything is sent.
        wrap(&command)?;
        let folder = folder();
        let mut leaves = false;
        let late = late(&self.host, &command);
        let limit = command.limit + GRACE;
        let output = tokio::time::timeout(limit, self.attempt(command, &folder, &mut leaves)).await;
        if leaves || output.is_err() {
            // Should the agent not answer, the machine itself sweeps /var/tmp some day.
            let _ = tokio::time::timeout(CLEAR, short(&self.agent, &["rm", "-rf", "--", &folder])).await;
        }
        output.unwrap_or(Err(late))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_folders_are_the_same() {
        assert_ne!(folder(), folder());
    }
}
