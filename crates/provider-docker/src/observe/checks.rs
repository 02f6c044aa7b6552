//! Named checks: HTTP, TCP, and commands in the container. What cannot be evaluated is not good.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use patchyard_types::{Check, CheckAnswer, CheckKind, Millis, printable};
use tokio::net::TcpStream;

use super::http::{self, NoAnswer};
use super::{Look, said};
use crate::client::Exec;

/// How much of a command's output is kept: its last words say why it failed.
const OUTPUT: usize = 16 * 1024;

pub(super) async fn answers(look: &Look<'_>, checks: &[Check]) -> BTreeMap<String, CheckAnswer> {
    let asked = checks.iter().map(async |check| {
        let answer = answer(look, &check.kind).await;
        let (good, detail) = match answer {
            Ok(detail) => (true, detail),
            Err(detail) => (false, detail),
        };
        (check.name.clone(), CheckAnswer { good, detail })
    });
    join_all(asked).await.into_iter().collect()
}

async fn answer(look: &Look<'_>, kind: &CheckKind) -> Result<String, String> {
    match kind {
        CheckKind::Http { port, path, status, body, within } => {
            let answer = http::get(&way(look, *port)?, path, body.is_some(), look.limit).await;
            let answer = answer.map_err(|none| match none {
                NoAnswer::NotHttp => format!(":{port} does not speak HTTP"),
                NoAnswer::Silent(why) => format!(":{port}{path}: {why}"),
            })?;
            judge(&answer, *status, body.as_deref(), *within)
        }
        CheckKind::Tcp { port } => {
            let (host, port) = way(look, *port)?;
            match tokio::time::timeout(look.limit, TcpStream::connect((host.as_str(), port))).await {
                Ok(Ok(_)) => Ok(format!(":{port} accepts connections")),
                Ok(Err(error)) => Err(format!(":{port}: {error}")),
                Err(_) => Err(format!(":{port}: no answer within {}", Millis::from(look.limit))),
            }
        }
        CheckKind::Command { argv } => command(look, argv).await,
    }
}

fn way(look: &Look<'_>, port: u16) -> Result<(String, u16), String> {
    look.reach.way_to(port).ok_or_else(|| {
        format!(":{port} cannot be reached from here: it is not published; use a command check instead")
    })
}

fn judge(
    answer: &http::Answer,
    status: Option<u16>,
    body: Option<&str>,
    within: Option<Millis>,
) -> Result<String, String> {
    let took = Millis::from(answer.took);
    let expected = match status {
        Some(status) => answer.status == status,
        None => (200..400).contains(&answer.status),
    };
    if !expected {
        return Err(format!("answered {}", answer.status));
    }
    if let Some(text) = body
        && !String::from_utf8_lossy(&answer.body).contains(text)
    {
        return Err(format!("answered {} without '{}'", answer.status, printable(text, 80)));
    }
    match within {
        Some(within) if took > within => Err(format!("took {took}, allowed are {within}")),
        _ => Ok(format!("answered {} in {} ms", answer.status, took.0)),
    }
}

async fn command(look: &Look<'_>, argv: &[String]) -> Result<String, String> {
    let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
    let exec = Exec { timeout: look.limit, limit: OUTPUT, ..Exec::new(&argv) };
    let output = look.docker.client.exec(look.container, &exec).await.map_err(|error| said(&error))?;
    if output.exit == 0 {
        return Ok("exited with 0".into());
    }
    let words = if output.stderr.is_empty() { &output.stdout } else { &output.stderr };
    let last = String::from_utf8_lossy(words).trim_end().rsplit('\n').next().unwrap_or_default().to_owned();
    Err(format!("exited with {}: {}", output.exit, printable(&last, 200)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn answered(status: u16) -> http::Answer {
        http::Answer { status, took: Duration::from_millis(40), body: b"all is well".to_vec() }
    }

    #[test]
    fn a_status_of_success_or_redirection_is_good_unless_one_is_named() {
        assert!(judge(&answered(204), None, None, None).is_ok());
        assert!(judge(&answered(302), None, None, None).is_ok());
        assert!(judge(&answered(404), None, None, None).is_err());
        assert!(judge(&answered(404), Some(404), None, None).is_ok());
        assert!(judge(&answered(200), Some(204), None, None).is_err());
    }

    #[test]
    fn body_and_time_count_where_they_are_named() {
        assert!(judge(&answered(200), None, Some("is well"), Some(Millis(50))).is_ok());
        assert!(judge(&answered(200), None, Some("is bad"), None).is_err());
        assert!(judge(&answered(200), None, None, Some(Millis(10))).is_err());
    }
}
