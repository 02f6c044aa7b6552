//! A local process with limits: of time, of what it may print.

use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use patchyard_contract::{Output, TransportError};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command as Process;

/// How much of the end of standard error is kept, in bytes.
const COMPLAINTS: usize = 64 * 1024;

/// What is run here, and whom it is for.
pub(super) struct Local<'a> {
    /// The machine it reaches, for messages.
    pub host: &'a str,
    /// The program that is asked for, for messages; the process may be `ssh`.
    pub program: &'a str,
    /// What is started here.
    pub argv: Vec<String>,
    /// What it reads.
    pub stdin: Vec<u8>,
    /// How long it is waited for.
    pub limit: Duration,
    /// The most bytes of standard output.
    pub most: usize,
}

/// What came of it.
pub(super) struct Ended {
    pub output: Output,
    pub took: Duration,
}

/// Runs it to its end; it never outlives this future.
pub(super) async fn run(local: Local<'_>) -> Result<Ended, TransportError> {
    let Local { host, program, argv, stdin, limit, most } = local;
    let here = |error: &std::io::Error| TransportError::Local {
        program: argv.first().cloned().unwrap_or_default(),
        reason: error.to_string(),
    };
    let [first, rest @ ..] = argv.as_slice() else {
        return Err(TransportError::Invalid { reason: "no program".to_owned() });
    };
    let began = Instant::now();
    let mut child = Process::new(first)
        .args(rest)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| here(&error))?;
    let (input, out, err) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let Some(mut input) = input {
            // Who does not want to read all of it may well have reasons: its exit code tells.
            let _ = input.write_all(&stdin).await;
            let _ = input.shutdown().await;
        }
        Ok::<(), Stopped>(())
    };
    let answer = async { all(out, most).await };
    let complaints = async { Ok::<_, Stopped>(tail(err).await) };
    let ended = async { child.wait().await.map_err(Stopped::Io) };
    let everything = async { tokio::try_join!(feed, answer, complaints, ended) };
    match tokio::time::timeout(limit, everything).await {
        Ok(Ok(((), stdout, stderr, status))) => {
            Ok(Ended { output: Output { code: code(status), stdout, stderr }, took: began.elapsed() })
        }
        Ok(Err(Stopped::TooMuch)) => {
            Err(TransportError::TooMuch { host: host.to_owned(), program: program.to_owned(), limit: most })
        }
        Ok(Err(Stopped::Io(error))) => Err(here(&error)),
        Err(_) => {
            Err(TransportError::TimedOut { host: host.to_owned(), program: program.to_owned(), after: limit })
        }
    }
}

enum Stopped {
    TooMuch,
    Io(std::io::Error),
}

async fn all(from: Option<impl AsyncRead + Unpin>, most: usize) -> Result<Vec<u8>, Stopped> {
    let mut bytes = Vec::new();
    let Some(from) = from else { return Ok(bytes) };
    // One byte more shows that there is more.
    from.take(most as u64 + 1).read_to_end(&mut bytes).await.map_err(Stopped::Io)?;
    if bytes.len() > most { Err(Stopped::TooMuch) } else { Ok(bytes) }
}

async fn tail(from: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let Some(mut from) = from else { return bytes };
    let mut piece = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut piece).await {
        bytes.extend_from_slice(&piece[..length]);
        if bytes.len() > 2 * COMPLAINTS {
            bytes.drain(..bytes.len() - COMPLAINTS);
        }
    }
    bytes.drain(..bytes.len().saturating_sub(COMPLAINTS));
    bytes
}

fn code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}
