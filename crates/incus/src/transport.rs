//! An instance as a transport: no network in it, no login, no key.

use std::time::Instant;

use async_trait::async_trait;
use patchyard_contract::{Command, Output, Transport, TransportError};
use patchyard_guest::transport::{GRACE, late, timed_out, wrap};
use patchyard_types::printable;

use crate::{Client, Exec, IncusError, InstanceName, Ran};

/// Stands between the server and the program's time limit. Servers kill what they have started when nobody listens
/// any more; were that the limit itself, the program would go on without one.
const GUARD: [&str; 4] = ["/bin/sh", "-c", "\"$@\"; exit $?", "sh"];

/// Programs in an instance, started by its server.
#[derive(Debug, Clone)]
pub struct InstanceTransport {
    client: Client,
    instance: InstanceName,
    host: String,
}

impl InstanceTransport {
    /// The inside of an instance; `host` is what the user calls it.
    #[must_use]
    pub fn new(client: Client, instance: InstanceName, host: &str) -> Self {
        Self { client, instance, host: host.to_owned() }
    }

    fn unreachable(&self, error: &IncusError) -> TransportError {
        TransportError::Unreachable { host: self.host.clone(), reason: printable(&error.to_string(), 500) }
    }
}

#[async_trait]
impl Transport for InstanceTransport {
    fn host(&self) -> &str {
        &self.host
    }

    async fn run(&self, command: Command) -> Result<Output, TransportError> {
        let argv: Vec<String> = GUARD.map(str::to_owned).into_iter().chain(wrap(&command)?).collect();
        let exec = Exec { argv: &argv, stdin: &command.stdin, most: command.most };
        let began = Instant::now();
        let ran = tokio::time::timeout(command.limit + GRACE, self.client.exec(&self.instance, &exec)).await;
        match ran {
            Err(_) => Err(late(&self.host, &command)),
            Ok(Ok(Ran::Ended { code, .. })) if timed_out(code, began.elapsed(), command.limit) => {
                Err(late(&self.host, &command))
            }
            Ok(Ok(Ran::Ended { code, stdout, stderr })) => Ok(Output { code, stdout, stderr }),
            Ok(Ok(Ran::TooMuch)) => Err(TransportError::TooMuch {
                host: self.host.clone(),
                program: command.program().to_owned(),
                limit: command.most,
            }),
            Ok(Err(error)) => Err(self.unreachable(&error)),
        }
    }
}
