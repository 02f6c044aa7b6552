//! Messages of libvirt's RPC: a length, a header, a payload.
//!
//! From libvirt's `src/rpc/virnetprotocol.x`: the length counts itself; a call carries a serial number and
//! the reply to it carries the same; `VIR_NET_MESSAGE_MAX` bounds what follows the length. Pings are a
//! program of their own (`src/rpc/virkeepaliveprotocol.x`).

mod report;

pub use report::Report;

use crate::xdr::{Reader, Writer, XdrError};

/// The longest string of the protocol, in bytes: `REMOTE_STRING_MAX`, `VIR_NET_MESSAGE_STRING_MAX`.
pub const LONGEST_STRING: usize = 4 * 1024 * 1024;
/// The most that may follow the length, in bytes: `VIR_NET_MESSAGE_MAX`.
pub const LARGEST: usize = 32 * 1024 * 1024;
/// The length in front of a message, in bytes: `VIR_NET_MESSAGE_LEN_MAX`.
pub const LENGTH: usize = 4;
/// A header, in bytes: `VIR_NET_MESSAGE_HEADER_MAX`.
pub const HEADER: usize = 24;

/// What most calls belong to: `REMOTE_PROGRAM`.
pub const REMOTE: u32 = 0x2000_8086;
/// What is QEMU's alone: `QEMU_PROGRAM`.
pub const QEMU: u32 = 0x2000_8087;
/// Pings: `KEEPALIVE_PROGRAM`.
pub const KEEP_ALIVE: u32 = 0x6b65_6570;
/// Of all three.
const VERSION: u32 = 1;
/// `KEEPALIVE_PROC_PING`.
const PING: i32 = 1;
/// `KEEPALIVE_PROC_PONG`.
const PONG: i32 = 2;

/// What a message is: `virNetMessageType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A call.
    Call,
    /// The reply to one.
    Reply,
    /// Said without being asked: an event, a ping.
    Message,
    /// A piece of a stream.
    Stream,
    /// A call that brings open files.
    CallWithFiles,
    /// A reply that brings open files.
    ReplyWithFiles,
    /// A piece of a stream that is all zero.
    StreamHole,
}

const KINDS: [Kind; 7] = [
    Kind::Call,
    Kind::Reply,
    Kind::Message,
    Kind::Stream,
    Kind::CallWithFiles,
    Kind::ReplyWithFiles,
    Kind::StreamHole,
];

/// How it stands with a message: `virNetMessageStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The payload is what was asked for.
    Ok,
    /// The payload is a [`Report`].
    Error,
    /// More of the stream follows.
    Continue,
}

const STATUSES: [Status; 3] = [Status::Ok, Status::Error, Status::Continue];

/// What stands before every payload: `virNetMessageHeader`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Which program it belongs to.
    pub program: u32,
    /// Which version of that.
    pub version: u32,
    /// Which procedure of that.
    pub procedure: i32,
    /// What it is.
    pub kind: Kind,
    /// Pairs replies with calls; 0 in what nobody asked for.
    pub serial: u32,
    /// How it stands.
    pub status: Status,
}

impl Header {
    /// That of a call.
    #[must_use]
    pub const fn call(program: u32, procedure: i32, serial: u32) -> Self {
        Self { program, version: VERSION, procedure, kind: Kind::Call, serial, status: Status::Ok }
    }

    /// That of the answer to a ping.
    #[must_use]
    pub const fn pong() -> Self {
        let Self { program, version, status, .. } = Self::call(KEEP_ALIVE, PONG, 0);
        Self { program, version, procedure: PONG, kind: Kind::Message, serial: 0, status }
    }

    /// Whether it is a ping.
    #[must_use]
    pub fn is_ping(&self) -> bool {
        self.program == KEEP_ALIVE && self.procedure == PING && self.kind == Kind::Message
    }

    /// Whether it is the reply to a call with that header.
    #[must_use]
    pub fn answers(&self, call: &Self) -> bool {
        self.program == call.program
            && self.version == call.version
            && self.procedure == call.procedure
            && self.serial == call.serial
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, XdrError> {
        Ok(Self {
            program: reader.u32()?,
            version: reader.u32()?,
            procedure: reader.i32()?,
            kind: one_of(&KINDS, reader.i32()?)?,
            serial: reader.u32()?,
            status: one_of(&STATUSES, reader.i32()?)?,
        })
    }
}

fn one_of<T: Copy>(known: &[T], value: i32) -> Result<T, XdrError> {
    let found = usize::try_from(value).ok().and_then(|value| known.get(value));
    found.copied().ok_or(XdrError::Unknown { value: i64::from(value) })
}

fn number<T: PartialEq>(known: &[T], value: &T) -> u32 {
    known.iter().zip(0..).find_map(|(one, number)| (one == value).then_some(number)).unwrap_or_default()
}

/// A whole message, as it is sent.
///
/// # Errors
/// [`XdrError::TooLong`] when it is larger than libvirt takes.
pub fn frame(header: &Header, payload: &[u8]) -> Result<Vec<u8>, XdrError> {
    let too_long = XdrError::TooLong { length: payload.len(), most: LARGEST - HEADER };
    if payload.len() > LARGEST - HEADER {
        return Err(too_long);
    }
    let length = u32::try_from(LENGTH + HEADER + payload.len()).map_err(|_| too_long)?;
    let Header { program, version, procedure, kind, serial, status } = header;
    let mut bytes = Writer::new()
        .u32(length)
        .u32(*program)
        .u32(*version)
        .i32(*procedure)
        .u32(number(&KINDS, kind))
        .u32(*serial)
        .u32(number(&STATUSES, status))
        .finish()?;
    bytes.extend_from_slice(payload);
    Ok(bytes)
}

/// How many bytes a message has in all, by its first four.
///
/// # Errors
/// When no header fits in, or it is larger than any message.
pub fn length(first: [u8; LENGTH]) -> Result<usize, XdrError> {
    let length = usize::try_from(u32::from_be_bytes(first)).unwrap_or(usize::MAX);
    if length > LENGTH + LARGEST {
        return Err(XdrError::TooLong { length, most: LENGTH + LARGEST });
    }
    match (LENGTH + HEADER).checked_sub(length) {
        None | Some(0) => Ok(length),
        Some(missing) => Err(XdrError::Short { missing }),
    }
}

/// Takes a whole message apart: its header and its payload.
///
/// # Errors
/// When it is none.
pub fn parse(message: &[u8]) -> Result<(Header, &[u8]), XdrError> {
    let body = message.get(LENGTH..).ok_or(XdrError::Short { missing: LENGTH })?;
    let header = Header::read(&mut Reader::new(body))?;
    Ok((header, body.get(HEADER..).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    #[test]
    fn a_call_has_the_bytes_of_the_protocol() {
        let header = Header::call(REMOTE, 66, 7);
        let bytes = frame(&header, &[1, 2, 3, 4]).unwrap();
        let words: [u32; 8] = [32, 0x2000_8086, 1, 66, 0, 7, 0, 0x0102_0304];
        assert_eq!(bytes, words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<_>>());
        assert_eq!(parse(&bytes), Ok((header, &[1, 2, 3, 4][..])));
    }

    #[test]
    fn a_pong_answers_a_ping() {
        let ping = Header { procedure: 1, ..Header::pong() };
        assert!(ping.is_ping() && !Header::pong().is_ping());
        let words: [u32; 7] = [28, 0x6b65_6570, 1, 2, 2, 0, 0];
        assert_eq!(
            frame(&Header::pong(), &[]).unwrap(),
            words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<_>>()
        );
    }

    #[test]
    fn lengths_have_bounds() {
        let of = |length: usize| super::length(u32::try_from(length).unwrap().to_be_bytes());
        assert_eq!(of(28), Ok(28));
        assert_eq!(of(LENGTH + LARGEST), Ok(LENGTH + LARGEST));
        assert_eq!(of(27), Err(XdrError::Short { missing: 1 }));
        assert_eq!(of(0), Err(XdrError::Short { missing: 28 }));
        assert!(matches!(of(LENGTH + LARGEST + 1), Err(XdrError::TooLong { .. })));
        assert!(frame(&Header::pong(), &vec![0; LARGEST - HEADER + 1]).is_err());
    }

    #[test]
    fn what_is_no_header_is_an_error() {
        let good = frame(&Header::call(REMOTE, 1, 1), &[]).unwrap();
        for end in 0..good.len() {
            assert!(parse(&good[..end]).is_err(), "{end}");
        }
        for (at, value) in [(16, 7), (16, 255), (24, 3)] {
            let mut bad = good.clone();
            bad[at + 3] = value;
            assert!(matches!(parse(&bad), Err(XdrError::Unknown { .. })), "{at}");
        }
    }
}
