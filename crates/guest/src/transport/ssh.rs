//! A host by the system's `ssh`: with its ssh_config, jump hosts, agents and certificates.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use patchyard_contract::{Command, Output, Transport, TransportError};

use super::{GRACE, Privilege, process, quote, timed_out, words, wrap};

/// The longest line a kernel takes as one argument is 128 KiB: the other side's shell gets ours as one.
const MAX_LINE: usize = 120 * 1024;
/// How long a connection that nobody uses stays open, in seconds.
const PERSIST: u64 = 60;
/// Nothing but ssh itself ends with 255.
const NOT_255: &str = "\"$@\"; code=$?; [ $code -ne 255 ] || code=254; exit $code";

/// How a host is reached, beside what ssh_config says.
#[derive(Debug, Clone)]
pub struct SshOptions {
    /// As on ssh's command line: `host`, `user@host`, a name from ssh_config.
    pub host: String,
    /// The port, where ssh_config is not to decide.
    pub port: Option<u16>,
    /// Another file than the user's ssh_config.
    pub config: Option<PathBuf>,
    /// A folder of the caller's (0700) for the sockets of open connections; they are shared by everybody who names
    /// the same one. Its path may have at most 48 bytes.
    pub sockets: PathBuf,
    /// How long a connection may take to be made.
    pub connect_within: Duration,
    /// How programs come to run as root.
    pub privilege: Privilege,
}

impl SshOptions {
    /// The longest path, in bytes, of a folder for sockets that leaves room for what ssh adds: 107 bytes are allowed, the
    /// name has 41, a suffix while it is made 17.
    pub const LONGEST_FOLDER: usize = 48;

    /// A host with what ssh_config says of it, and root's rights by `sudo` without a password.
    #[must_use]
    pub fn new(host: &str, sockets: &Path) -> Self {
        Self {
            host: host.to_owned(),
            port: None,
            config: None,
            sockets: sockets.to_owned(),
            connect_within: Duration::from_secs(20),
            privilege: Privilege::Sudo,
        }
    }
}

/// Programs on a host, started by `ssh`. One connection is made and used for all of them.
#[derive(Debug, Clone)]
pub struct Ssh {
    options: SshOptions,
    arguments: Vec<String>,
}

impl Ssh {
    /// Says how the host is reached; nothing is connected yet.
    ///
    /// # Errors
    /// When the host's name could be taken for an option, or the folder's path is too long for sockets.
    pub fn new(options: SshOptions) -> Result<Self, TransportError> {
        let invalid = |reason: String| Err(TransportError::Invalid { reason });
        let host = options.host.as_str();
        if host.is_empty()
            || host.starts_with('-')
            || host.chars().any(|c| c.is_whitespace() || c.is_control())
        {
            return invalid(format!("'{}' is no host", host.escape_default()));
        }
        let folder = options.sockets.to_string_lossy().into_owned();
        let longest = SshOptions::LONGEST_FOLDER;
        if folder.len() > longest || folder.contains(['%', '"', '\n']) {
            return invalid(format!(
                "{folder} cannot hold ssh's sockets: its path may have at most {longest} bytes, and no % or quotes"
            ));
        }
        let mut arguments = vec!["ssh".to_owned(), "-T".to_owned()];
        if let Some(config) = &options.config {
            arguments.extend(["-F".to_owned(), config.to_string_lossy().into_owned()]);
        }
        if let Some(port) = options.port {
            arguments.extend(["-p".to_owned(), port.to_string()]);
        }
        for option in [
            // Nobody is there to be asked.
            "BatchMode=yes".to_owned(),
            "ControlMaster=auto".to_owned(),
            format!("ControlPath=\"{folder}/%C\""),
            format!("ControlPersist={PERSIST}"),
            format!("ConnectTimeout={}", options.connect_within.as_secs().max(1)),
            // A host that has gone silent is noticed after a minute.
            "ServerAliveInterval=15".to_owned(),
            "ServerAliveCountMax=4".to_owned(),
            // What ssh_config may add for people is in the way here.
            "RemoteCommand=none".to_owned(),
            "ForwardX11=no".to_owned(),
            "ForwardAgent=no".to_owned(),
            "ClearAllForwardings=yes".to_owned(),
            "LogLevel=ERROR".to_owned(),
        ] {
            arguments.extend(["-o".to_owned(), option]);
        }
        Ok(Self { options, arguments })
    }

    /// Closes the connection that is kept open, if there is one. The next command makes a new one.
    ///
    /// # Errors
    /// When `ssh` cannot be started here.
    pub async fn close(&self) -> Result<(), TransportError> {
        let argv =
            self.arguments.iter().cloned().chain(["-O", "exit", "--", &self.options.host].map(str::to_owned));
        // Without a connection it fails, and that is as well.
        process::run(self.process("ssh", argv.collect(), Vec::new(), Duration::from_secs(10), 64 * 1024))
            .await?;
        Ok(())
    }

    fn process<'a>(
        &'a self,
        program: &'a str,
        argv: Vec<String>,
        stdin: Vec<u8>,
        limit: Duration,
        most: usize,
    ) -> process::Local<'a> {
        process::Local { host: &self.options.host, program, argv, stdin, limit, most }
    }
}

#[async_trait]
impl Transport for Ssh {
    fn host(&self) -> &str {
        &self.options.host
    }

    async fn run(&self, command: Command) -> Result<Output, TransportError> {
        let host = self.options.host.as_str();
        let (argv, stdin) = self.options.privilege.wrap(wrap(&command)?, command.stdin.clone());
        let there: Vec<String> =
            ["sh", "-c", NOT_255, "sh"].map(str::to_owned).into_iter().chain(argv).collect();
        let line = quote::line(&there);
        if line.len() > MAX_LINE {
            let reason = format!(
                "{} has more than {MAX_LINE} bytes of arguments, which ssh cannot pass on",
                command.program()
            );
            return Err(TransportError::Invalid { reason });
        }
        let here = self.arguments.iter().cloned().chain(["--".to_owned(), host.to_owned(), line]).collect();
        let limit = command.limit + GRACE + self.options.connect_within;
        let ended = process::run(self.process(command.program(), here, stdin, limit, command.most)).await?;
        if timed_out(ended.output.code, ended.took, command.limit) {
            return Err(super::late(host, &command));
        }
        let objection = words::of_ssh(host, &ended.output)
            .or_else(|| self.options.privilege.objection(host, &ended.output));
        match objection {
            Some(error) => Err(error),
            None => Ok(ended.output),
        }
    }
}
