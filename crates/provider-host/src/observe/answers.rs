//! What ports answer, and named checks: asked on the machine itself, by the perl that every Debian has.

use std::time::Duration;

use patchyard_contract::{Command, Output, ProviderError, TransportError};
use patchyard_types::{CheckAnswer, CheckKind, HttpAnswer, Millis, printable};

use crate::{HostProvider, words};

const ASK: &str = include_str!("ask.pl");
/// The most that a check's command may print, in bytes.
const OUTPUT: usize = 1024 * 1024;

/// What a port answered.
enum Answer {
    Status { status: u16, took: Millis, body: String },
    Open,
    Other,
    Silent(String),
}

pub(super) async fn http(
    host: &HostProvider,
    port: u16,
    limit: Duration,
) -> Result<HttpAnswer, ProviderError> {
    Ok(match ask(host, port, "/", false, limit).await? {
        Answer::Status { status, took, .. } => HttpAnswer::Status { status, took },
        Answer::Open | Answer::Other => HttpAnswer::NotHttp,
        Answer::Silent(_) => HttpAnswer::Silent,
    })
}

pub(super) async fn check(
    host: &HostProvider,
    kind: &CheckKind,
    limit: Duration,
) -> Result<CheckAnswer, ProviderError> {
    let answer = match kind {
        CheckKind::Http { port, path, status, body, within } => {
            let answer = ask(host, *port, path, body.is_some(), limit).await?;
            judge(*port, path, &answer, *status, body.as_deref(), *within)
        }
        CheckKind::Tcp { port } => match ask(host, *port, "", false, limit).await? {
            Answer::Silent(why) => Err(format!(":{port}: {why}")),
            _ => Ok(format!(":{port} accepts connections")),
        },
        CheckKind::Command { argv } => command(host, argv, limit).await?,
    };
    let (good, detail) = match answer {
        Ok(detail) => (true, detail),
        Err(detail) => (false, detail),
    };
    Ok(CheckAnswer { good, detail })
}

async fn ask(
    host: &HostProvider,
    port: u16,
    path: &str,
    with_body: bool,
    limit: Duration,
) -> Result<Answer, ProviderError> {
    let (seconds, port_text) = (limit.as_secs().max(1).to_string(), port.to_string());
    let body = if with_body { "1" } else { "0" };
    let argv = ["perl", "-e", ASK, &seconds, &port_text, path, body];
    // Its own limit comes first.
    let command = Command::new(argv).limit(limit + Duration::from_secs(5)).most(OUTPUT);
    Ok(match run(host, command).await? {
        Ok(output) => read(&output),
        Err(why) => Answer::Silent(why),
    })
}

/// Runs a program; one that cannot be heard to its end is a bad answer, a machine that cannot be reached is none.
async fn run(host: &HostProvider, command: Command) -> Result<Result<Output, String>, ProviderError> {
    match host.transport.run(command).await {
        Ok(output) => Ok(Ok(output)),
        Err(error @ (TransportError::TimedOut { .. } | TransportError::TooMuch { .. })) => {
            Ok(Err(error.to_string()))
        }
        Err(error) => Err(words::no_way(&host.options.name, error)),
    }
}

fn read(output: &Output) -> Answer {
    let text = String::from_utf8_lossy(&output.stdout);
    let (first, body) = text.split_once('\n').unwrap_or((&text, ""));
    match first.split_once(' ').unwrap_or((first, "")) {
        ("open", _) => Answer::Open,
        ("other", _) => Answer::Other,
        ("silent", why) => Answer::Silent(printable(why, 200)),
        (status, took) => match (status.parse(), took.parse()) {
            (Ok(status), Ok(took)) => Answer::Status { status, took: Millis(took), body: body.to_owned() },
            _ => Answer::Silent(format!(
                "it could not be asked: {}",
                printable(String::from_utf8_lossy(&output.stderr).trim(), 200)
            )),
        },
    }
}

fn judge(
    port: u16,
    path: &str,
    answer: &Answer,
    status: Option<u16>,
    body: Option<&str>,
    within: Option<Millis>,
) -> Result<String, String> {
    let (answered, took, text) = match answer {
        Answer::Status { status, took, body } => (*status, *took, body),
        Answer::Open | Answer::Other => return Err(format!(":{port} does not speak HTTP")),
        Answer::Silent(why) => return Err(format!(":{port}{}: {why}", printable(path, 200))),
    };
    let expected = match status {
        Some(status) => answered == status,
        None => (200..400).contains(&answered),
    };
    if !expected {
        return Err(format!("answered {answered}"));
    }
    if let Some(wanted) = body
        && !text.contains(wanted)
    {
        return Err(format!("answered {answered} without '{}'", printable(wanted, 80)));
    }
    match within {
        Some(within) if took > within => Err(format!("took {took}, allowed are {within}")),
        _ => Ok(format!("answered {answered} in {} ms", took.0)),
    }
}

async fn command(
    host: &HostProvider,
    argv: &[String],
    limit: Duration,
) -> Result<Result<String, String>, ProviderError> {
    let command = Command::new(argv.iter().cloned()).limit(limit).most(OUTPUT);
    Ok(match run(host, command).await? {
        Ok(output) if output.success() => Ok("exited with 0".to_owned()),
        Ok(output) => {
            let words = if output.stderr.is_empty() { &output.stdout } else { &output.stderr };
            let text = String::from_utf8_lossy(words);
            let last = text.trim_end().rsplit('\n').next().unwrap_or_default();
            Err(format!("exited with {}: {}", output.code, printable(last, 200)))
        }
        Err(why) => Err(why),
    })
}
