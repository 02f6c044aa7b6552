//! A program in an instance, with its three streams over websockets.
//!
//! The API can also keep what a program prints in files of the server's; those would have to be bounded in the
//! instance, read, and removed, whatever becomes of us, and what a program is to read would have to lie in a
//! file in the instance. Streams leave nothing behind.

mod frames;

use std::time::Duration;

use hyper::Method;
use hyper::header::{CONNECTION, HOST, HeaderValue, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use hyper::upgrade::Upgraded;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::json;

use crate::client::{operation_id, succeeded, target, what};
use crate::{Client, IncusError, InstanceName, socket};
use frames::Broken;

/// How much of the end of standard error is kept, in bytes.
const COMPLAINTS: usize = 64 * 1024;

type Stream = TokioIo<Upgraded>;

/// A program to run in an instance, as root.
#[derive(Clone, Copy)]
pub struct Exec<'a> {
    /// The program and its arguments.
    pub argv: &'a [String],
    /// What it reads; the end of file follows.
    pub stdin: &'a [u8],
    /// The most bytes of its standard output.
    pub most: usize,
}

/// What became of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ran {
    /// It ended.
    Ended {
        /// Its exit code; 128 and the signal's number where a signal ended it.
        code: i32,
        /// All of its output.
        stdout: Vec<u8>,
        /// The end of its complaints: the last 64 KiB.
        stderr: Vec<u8>,
    },
    /// It printed more than it may. What it goes on to print has no reader.
    TooMuch,
}

impl Client {
    /// Runs a program in an instance to its end, however long that takes.
    ///
    /// When this is dropped, nobody reads any more what the program prints. Servers differ in whether they kill
    /// it then: what must end has to see to that itself.
    ///
    /// # Errors
    /// When it could not be run or not be heard to its end.
    pub async fn exec(&self, instance: &InstanceName, exec: &Exec<'_>) -> Result<Ran, IncusError> {
        let at = target(&["instances", &instance.name, "exec"], &[("project", &instance.project)]);
        let post = json!({
            "command": exec.argv, "interactive": false, "wait-for-websocket": true, "user": 0, "group": 0,
        });
        let what = what(&Method::POST, &at);
        let operation = self.call(Method::POST, &at, Some(&post)).await?;
        let id = operation_id(&what, &operation)?;
        let open = |stream: &'static str| {
            let secret = operation["metadata"]["fds"][stream].as_str();
            let secret = secret.ok_or_else(|| IncusError::protocol(&what, format!("no stream {stream}")));
            async move { self.websocket(id, secret?).await }
        };
        // The stream for signals is left out: servers kill the program when that one breaks.
        let (mut stdin, mut stdout, mut stderr) = tokio::try_join!(open("0"), open("1"), open("2"))?;

        let broken = |error: Broken| match error {
            Broken::Lost(reason) => IncusError::lost(self.socket(), &what, &reason),
            Broken::Protocol(reason) => IncusError::protocol(&what, reason),
        };
        let feed = async {
            // Who does not want to read all of it may well have reasons: its exit code tells.
            let _ = frames::send(&mut stdin, exec.stdin).await;
            std::future::pending::<()>().await;
        };
        let listen = async {
            let answer = async { all(&mut stdout, exec.most).await.map_err(|stop| stop.map(broken)) };
            let complaints = async { tail(&mut stderr).await.map_err(|error| Stop::Failed(broken(error))) };
            // Asked from the start: an operation that has ended is forgotten after some seconds.
            let ended = async { self.ended(&what, id).await.map_err(Stop::Failed) };
            tokio::try_join!(answer, complaints, ended)
        };
        let heard = tokio::select! {
            heard = listen => heard,
            () = feed => return Err(IncusError::protocol(&what, "it has no end")),
        };
        match heard {
            Ok((stdout, stderr, code)) => Ok(Ran::Ended { code, stdout, stderr }),
            Err(Stop::TooMuch) => Ok(Ran::TooMuch),
            Err(Stop::Failed(error)) => Err(error),
        }
    }

    /// The exit code of the program that an operation is about.
    async fn ended(&self, what: &str, id: &str) -> Result<i32, IncusError> {
        // The program's time is the caller's to limit.
        let operation = self.wait(what, id, Duration::MAX).await?;
        let code = operation["metadata"]["return"].as_i64().and_then(|code| i32::try_from(code).ok());
        match code {
            // Whatever has become of the operation: 126 and 127 are failures to a server, whoever ends with them.
            Some(code @ 0..) => Ok(code),
            // It was not started.
            _ => Err(match succeeded(what, &operation) {
                Err(error) => error,
                Ok(()) => IncusError::protocol(what, "it tells no exit code"),
            }),
        }
    }

    /// Opens one of an operation's streams.
    async fn websocket(&self, operation: &str, secret: &str) -> Result<Stream, IncusError> {
        let target = target(&["operations", operation, "websocket"], &[("secret", secret)]);
        let what = what(&Method::GET, &target);
        // The key lets a client see that no cache has answered. There is none on a unix socket, and the secret
        // is of one stream.
        let request = Request::get(&target)
            .header(HOST, "incus")
            .header(CONNECTION, "Upgrade")
            .header(UPGRADE, "websocket")
            .header(SEC_WEBSOCKET_VERSION, "13")
            .header(SEC_WEBSOCKET_KEY, HeaderValue::from_static("cGF0Y2h5YXJkLWluY3VzIQ=="))
            .body(http_body_util::Full::default())
            .map_err(|_| IncusError::protocol(&what, "its address is none"))?;
        let lost = |error: hyper::Error| IncusError::lost(self.socket(), &what, &error.to_string());
        let mut sender = socket::dial(self.socket()).await?;
        let response = sender.send_request(request).await.map_err(lost)?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(IncusError::protocol(&what, format!("no stream, but status {}", response.status())));
        }
        Ok(TokioIo::new(hyper::upgrade::on(response).await.map_err(lost)?))
    }
}

enum Stop<E> {
    TooMuch,
    Failed(E),
}

impl<E> Stop<E> {
    fn map<F>(self, how: impl FnOnce(E) -> F) -> Stop<F> {
        match self {
            Self::TooMuch => Stop::TooMuch,
            Self::Failed(error) => Stop::Failed(how(error)),
        }
    }
}

async fn all(stream: &mut Stream, most: usize) -> Result<Vec<u8>, Stop<Broken>> {
    let mut bytes = Vec::new();
    let mut messages = frames::Messages::new(stream);
    while let Some(piece) = messages.next().await.map_err(Stop::Failed)? {
        if bytes.len() + piece.len() > most {
            return Err(Stop::TooMuch);
        }
        bytes.extend_from_slice(piece);
    }
    Ok(bytes)
}

async fn tail(stream: &mut Stream) -> Result<Vec<u8>, Broken> {
    let mut bytes = Vec::new();
    let mut messages = frames::Messages::new(stream);
    while let Some(piece) = messages.next().await? {
        bytes.extend_from_slice(piece);
        if bytes.len() > 2 * COMPLAINTS {
            bytes.drain(..bytes.len() - COMPLAINTS);
        }
    }
    bytes.drain(..bytes.len().saturating_sub(COMPLAINTS));
    Ok(bytes)
}
