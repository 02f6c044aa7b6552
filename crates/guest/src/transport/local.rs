//! This machine.

use async_trait::async_trait;
use patchyard_contract::{Command, Output, Transport, TransportError};

use super::{GRACE, Privilege, process, timed_out, wrap};

/// Programs on this machine.
#[derive(Debug, Clone)]
pub struct Local {
    privilege: Privilege,
}

impl Local {
    /// This machine; `privilege` says how its programs come to run as root.
    #[must_use]
    pub fn new(privilege: Privilege) -> Self {
        Self { privilege }
    }
}

#[async_trait]
impl Transport for Local {
    fn host(&self) -> &str {
        "this machine"
    }

    async fn run(&self, command: Command) -> Result<Output, TransportError> {
        let argv = wrap(&command)?;
        let (argv, stdin) = self.privilege.wrap(argv, command.stdin.clone());
        let local = process::Local {
            host: self.host(),
            program: command.program(),
            argv,
            stdin,
            limit: command.limit + GRACE,
            most: command.most,
        };
        let ended = process::run(local).await?;
        if timed_out(ended.output.code, ended.took, command.limit) {
            return Err(super::late(self.host(), &command));
        }
        match self.privilege.objection(self.host(), &ended.output) {
            Some(error) => Err(error),
            None => Ok(ended.output),
        }
    }
}
