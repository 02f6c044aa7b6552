//! Messages on a stream of bytes, in step whatever is given up in between.
//!
//! Everything that is half done (a message half sent, a message half received) is kept here and not in a
//! future, so that a future can be dropped at any time.

use std::fmt;
use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::LibvirtError;
use crate::calls::Procedure;
use crate::message::{self, Header, Kind, Report, Status};
use crate::xdr::XdrError;

/// How much room is made for what comes, in bytes: the length that a message says of itself makes no more.
const ROOM: usize = 64 * 1024;

/// A stream of bytes in both directions.
pub(super) trait Pipe: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Pipe for T {}

pub(super) struct Frames {
    pipe: Box<dyn Pipe>,
    /// What has come and is not taken yet.
    incoming: Vec<u8>,
    /// What is to be sent, and how much of it has been.
    outgoing: Vec<u8>,
    sent: usize,
    /// That of the last call.
    serial: u32,
    /// Why no further call can be made.
    broken: Option<String>,
}

impl fmt::Debug for Frames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frames")
            .field("serial", &self.serial)
            .field("broken", &self.broken)
            .finish_non_exhaustive()
    }
}

/// Why the stream is of no more use.
enum Broken {
    /// It ended, or the system says so.
    Lost(String),
    /// What comes is not the protocol.
    Protocol(String),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Lost(error.to_string())
    }
}

impl From<XdrError> for Broken {
    fn from(error: XdrError) -> Self {
        Self::Protocol(error.to_string())
    }
}

impl Frames {
    pub fn new(pipe: Box<dyn Pipe>) -> Self {
        Self { pipe, incoming: Vec::new(), outgoing: Vec::new(), sent: 0, serial: 0, broken: None }
    }

    /// Whether no further call can be made.
    pub fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    /// Makes a call and waits for its reply.
    pub async fn call(&mut self, procedure: &Procedure, arguments: &[u8]) -> Result<Vec<u8>, LibvirtError> {
        if let Some(reason) = &self.broken {
            return Err(LibvirtError::Unreachable {
                reason: format!("the connection to libvirt is broken, open another ({reason})"),
            });
        }
        let serial = self.serial.checked_add(1).unwrap_or(1);
        let call = Header::call(procedure.program, procedure.number, serial);
        let frame = message::frame(&call, arguments).map_err(|error| LibvirtError::TooLarge {
            what: procedure.name.to_owned(),
            reason: error.to_string(),
        })?;
        self.serial = serial;
        self.outgoing.extend_from_slice(&frame);
        match self.exchange(&call).await {
            Ok((Status::Ok, payload)) => Ok(payload),
            Ok((_, payload)) => match Report::read(&payload) {
                Ok(report) => Err(report.meaning(procedure.agent)),
                Err(error) => Err(LibvirtError::answer(procedure.name, error)),
            },
            Err(Broken::Lost(reason)) => {
                self.broken = Some(reason.clone());
                Err(LibvirtError::Lost { reason })
            }
            Err(Broken::Protocol(reason)) => {
                self.broken = Some(reason.clone());
                Err(LibvirtError::Protocol { reason: format!("to {}: {reason}", procedure.name) })
            }
        }
    }

    async fn exchange(&mut self, call: &Header) -> Result<(Status, Vec<u8>), Broken> {
        self.push().await?;
        loop {
            let frame = self.next().await?;
            let (header, payload) = message::parse(&frame)?;
            match header.kind {
                Kind::Reply if header.answers(call) => return Ok((header.status, payload.to_vec())),
                // The reply to a call that was given up.
                Kind::Reply if header.serial < call.serial => {}
                Kind::Message if header.is_ping() => {
                    self.outgoing.extend(message::frame(&Header::pong(), &[])?);
                    self.push().await?;
                }
                // Events that nobody asked for, and streams that nobody opened.
                Kind::Message | Kind::Stream | Kind::StreamHole => {}
                Kind::Reply | Kind::Call | Kind::CallWithFiles | Kind::ReplyWithFiles => {
                    return Err(Broken::Protocol(format!(
                        "a {:?} to procedure {} with serial {} came in place of that to {} with {}",
                        header.kind, header.procedure, header.serial, call.procedure, call.serial
                    )));
                }
            }
        }
    }

    /// Sends what is to be sent, to its end.
    async fn push(&mut self) -> Result<(), Broken> {
        while self.sent < self.outgoing.len() {
            // A `write` that is given up has written nothing.
            match self.pipe.write(&self.outgoing[self.sent..]).await? {
                0 => return Err(Broken::Lost("it takes no more".to_owned())),
                written => self.sent += written,
            }
        }
        self.outgoing.clear();
        self.sent = 0;
        Ok(self.pipe.flush().await?)
    }

    /// The next whole message.
    async fn next(&mut self) -> Result<Vec<u8>, Broken> {
        loop {
            if let Some(first) = self.incoming.first_chunk() {
                let length = message::length(*first)?;
                if self.incoming.len() >= length {
                    let rest = self.incoming.split_off(length);
                    return Ok(std::mem::replace(&mut self.incoming, rest));
                }
            }
            self.incoming.reserve(ROOM);
            // A `read_buf` that is given up has read nothing.
            if self.pipe.read_buf(&mut self.incoming).await? == 0 {
                let middle = if self.incoming.is_empty() { "" } else { " in the middle of a message" };
                return Err(Broken::Lost(format!("the daemon hung up{middle}")));
            }
        }
    }
}
