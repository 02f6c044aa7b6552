//! The inside of a running container that is used like a machine, by the `docker` (or `podman`) program.

use async_trait::async_trait;
use patchyard_contract::{Command, Output, Transport, TransportError};

use super::{GRACE, process, timed_out, words, wrap};

/// Programs in a container, started by `docker exec`.
#[derive(Debug, Clone)]
pub struct DockerExec {
    client: Vec<String>,
    container: String,
}

impl DockerExec {
    /// The container of that name or id on the engine that `docker` reaches by itself.
    ///
    /// # Errors
    /// When it is no container's name: it becomes an argument.
    pub fn new(container: &str) -> Result<Self, TransportError> {
        Self::with_client(&["docker"], container)
    }

    /// The same with another client: its program and its arguments before `exec` (`docker -H …`, `podman`).
    ///
    /// # Errors
    /// When it is no container's name: it becomes an argument.
    pub fn with_client(client: &[&str], container: &str) -> Result<Self, TransportError> {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
        if !container.bytes().all(fits)
            || !container.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
        {
            return Err(TransportError::Invalid {
                reason: format!("'{}' is no container's name", container.escape_default()),
            });
        }
        Ok(Self {
            client: client.iter().map(|argument| (*argument).to_owned()).collect(),
            container: container.to_owned(),
        })
    }
}

#[async_trait]
impl Transport for DockerExec {
    fn host(&self) -> &str {
        &self.container
    }

    async fn run(&self, command: Command) -> Result<Output, TransportError> {
        let exec = ["exec", "-i", "-u", "0", &self.container].map(str::to_owned);
        let argv = self.client.iter().cloned().chain(exec).chain(wrap(&command)?).collect();
        let local = process::Local {
            host: &self.container,
            program: command.program(),
            argv,
            stdin: command.stdin.clone(),
            limit: command.limit + GRACE,
            most: command.most,
        };
        let ended = process::run(local).await?;
        if timed_out(ended.output.code, ended.took, command.limit) {
            return Err(super::late(&self.container, &command));
        }
        match words::of_docker(&self.container, &ended.output) {
            Some(error) => Err(error),
            None => Ok(ended.output),
        }
    }
}
