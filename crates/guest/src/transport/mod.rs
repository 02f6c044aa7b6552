//! Ways to a machine: this one, a container's inside, a host by the system's ssh.
//!
//! All of them come down to a local process that is given a [`Command`]: [`wrap`] says what that command
//! is on the machine, `process` runs it here. What a command is on a machine holds for transports elsewhere too.

mod docker;
mod local;
mod process;
pub mod quote;
mod ssh;
mod sudo;
mod words;

pub use docker::DockerExec;
pub use local::Local;
pub use ssh::{Ssh, SshOptions};
pub use sudo::Privilege;

use std::time::Duration;

use patchyard_contract::{Command, TransportError};

/// Where programs are looked for, whatever the machine's own settings say: package scripts need all of it.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How long after the first signal a program is killed, in seconds.
const KILL_AFTER: u64 = 5;
/// How much longer than the machine the controller waits: until a killed program is gone, and the way back.
pub const GRACE: Duration = Duration::from_secs(KILL_AFTER + 10);

/// The command as it is run on the machine, by programs that every Linux has: with its time limit, so that nothing goes
/// on there when nobody waits any more, and with its environment.
///
/// # Errors
/// [`TransportError::Invalid`] when it cannot be said to a machine.
pub fn wrap(command: &Command) -> Result<Vec<String>, TransportError> {
    let invalid = |reason: String| Err(TransportError::Invalid { reason });
    let program = command.program();
    if program.is_empty() || program.starts_with('-') || program.contains('=') {
        return invalid(format!("'{program}' is no program"));
    }
    if command.argv.iter().any(|argument| argument.contains('\0')) {
        return invalid(format!("an argument of {program} contains NUL"));
    }
    // `timeout` takes whole seconds everywhere; at least one.
    let seconds = command.limit.as_secs() + u64::from(command.limit.subsec_nanos() > 0);
    let mut argv = vec![
        "timeout".to_owned(),
        "-k".to_owned(),
        KILL_AFTER.to_string(),
        seconds.max(1).to_string(),
        "env".to_owned(),
        PATH.to_owned(),
        "LC_ALL=C".to_owned(),
        "LANGUAGE=C".to_owned(),
    ];
    for (name, value) in &command.env {
        let starts = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
        if !starts || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') || value.contains('\0') {
            return invalid(format!("'{name}' is no environment variable, or its value contains NUL"));
        }
        argv.push(format!("{name}={value}"));
    }
    argv.extend(command.argv.iter().cloned());
    Ok(argv)
}

/// Whether a [wrapped](wrap) command was ended for its time: `timeout` ends with 124 then, or 137 when it had to kill.
#[must_use]
pub fn timed_out(code: i32, took: Duration, limit: Duration) -> bool {
    matches!(code, 124 | 137) && took >= limit
}

/// The error that says so.
#[must_use]
pub fn late(host: &str, command: &Command) -> TransportError {
    TransportError::TimedOut {
        host: host.to_owned(),
        program: command.program().to_owned(),
        after: command.limit,
    }
}
