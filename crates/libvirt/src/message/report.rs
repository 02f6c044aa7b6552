//! Errors as libvirt reports them, and what they mean.
//!
//! The layout is `virNetMessageError` of `src/rpc/virnetprotocol.x`, the numbers are those of
//! `include/libvirt/virterror.h`.

use patchyard_types::printable;

use super::LONGEST_STRING;
use crate::LibvirtError;
use crate::xdr::{Reader, XdrError};

/// The longest message that is passed on, in characters.
const MESSAGE_LIMIT: usize = 2000;

/// `VIR_ERR_INTERNAL_ERROR`: among much else, what a guest agent says against a command.
const INTERNAL_ERROR: i32 = 1;
/// `VIR_ERR_NO_SUPPORT`.
const NO_SUPPORT: i32 = 3;
/// `VIR_ERR_OPERATION_DENIED`.
const OPERATION_DENIED: i32 = 29;
/// `VIR_ERR_NO_DOMAIN`.
const NO_DOMAIN: i32 = 42;
/// `VIR_ERR_AUTH_FAILED`.
const AUTH_FAILED: i32 = 45;
/// `VIR_ERR_OPERATION_INVALID`.
const OPERATION_INVALID: i32 = 55;
/// `VIR_ERR_CONFIG_UNSUPPORTED`.
const CONFIG_UNSUPPORTED: i32 = 67;
/// `VIR_ERR_OPERATION_TIMEOUT`: "cannot acquire state change lock".
const OPERATION_TIMEOUT: i32 = 68;
/// `VIR_ERR_ARGUMENT_UNSUPPORTED`: from what goes to a guest agent, that the domain has no channel for one.
const ARGUMENT_UNSUPPORTED: i32 = 74;
/// `VIR_ERR_AUTH_CANCELLED`.
const AUTH_CANCELLED: i32 = 79;
/// `VIR_ERR_OPERATION_UNSUPPORTED`.
const OPERATION_UNSUPPORTED: i32 = 84;
/// `VIR_ERR_AGENT_UNRESPONSIVE`.
const AGENT_UNRESPONSIVE: i32 = 86;
/// `VIR_ERR_ACCESS_DENIED`.
const ACCESS_DENIED: i32 = 88;
/// `VIR_ERR_AUTH_UNAVAILABLE`.
const AUTH_UNAVAILABLE: i32 = 94;
/// `VIR_ERR_AGENT_UNSYNCED`.
const AGENT_UNSYNCED: i32 = 97;
/// `VIR_ERR_AGENT_COMMAND_TIMEOUT`.
const AGENT_COMMAND_TIMEOUT: i32 = 112;
/// `VIR_ERR_AGENT_COMMAND_FAILED`.
const AGENT_COMMAND_FAILED: i32 = 113;

/// An error of libvirt's: `virNetMessageError`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What it is: `virErrorNumber`.
    pub code: i32,
    /// Which part of libvirt says so: `virErrorDomain`.
    pub part: i32,
    /// libvirt's own words, made printable; they may be in the daemon's language.
    pub message: String,
}

impl Report {
    /// Reads the payload of a reply that is an error.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(payload: &[u8]) -> Result<Self, XdrError> {
        let mut reader = Reader::new(payload);
        let code = reader.i32()?;
        let part = reader.i32()?;
        let message = reader.optional(words)?;
        let _level = reader.i32()?;
        reader.optional(|reader| {
            words(reader)?;
            reader.fixed::<16>()?;
            reader.i32()
        })?;
        for _ in 0..3 {
            reader.optional(words)?;
        }
        let (_int1, _int2) = (reader.i32()?, reader.i32()?);
        reader.optional(|reader| {
            words(reader)?;
            reader.fixed::<16>()
        })?;
        reader.finish()?;
        let message = message.filter(|message| !message.is_empty());
        Ok(Self { code, part, message: message.unwrap_or_else(|| format!("libvirt's error {code}")) })
    }

    /// What it means. Some numbers mean something of their own when the call went on to a guest agent.
    #[must_use]
    pub fn meaning(self, asked_the_agent: bool) -> LibvirtError {
        let Self { code, part, message } = self;
        match code {
            NO_DOMAIN => LibvirtError::NoDomain { message },
            AGENT_UNRESPONSIVE | AGENT_UNSYNCED | AGENT_COMMAND_TIMEOUT => {
                LibvirtError::AgentSilent { message }
            }
            AGENT_COMMAND_FAILED => LibvirtError::AgentRefused { message },
            INTERNAL_ERROR if asked_the_agent => LibvirtError::AgentRefused { message },
            ARGUMENT_UNSUPPORTED if asked_the_agent => LibvirtError::AgentMissing { message },
            NO_SUPPORT | OPERATION_UNSUPPORTED | CONFIG_UNSUPPORTED | ARGUMENT_UNSUPPORTED => {
                LibvirtError::Unsupported { message }
            }
            OPERATION_INVALID => LibvirtError::NotNow { message },
            OPERATION_TIMEOUT => LibvirtError::Busy { message },
            OPERATION_DENIED | ACCESS_DENIED | AUTH_FAILED | AUTH_CANCELLED | AUTH_UNAVAILABLE => {
                LibvirtError::NotPermitted { reason: message }
            }
            code => LibvirtError::Other { code, part, message },
        }
    }
}

/// What is for readers only may be in any encoding.
fn words(reader: &mut Reader<'_>) -> Result<String, XdrError> {
    let bytes = reader.opaque(LONGEST_STRING)?;
    Ok(printable(String::from_utf8_lossy(bytes).trim(), MESSAGE_LIMIT))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use crate::xdr::Writer;

    fn payload(code: i32, message: Option<&str>) -> Vec<u8> {
        let head = Writer::new().i32(code).i32(10).optional_string(message, 1000).i32(2);
        let domain = head.bool(true).string("web", 10).fixed(&[7; 16]).i32(-1);
        let words = domain.optional_string(message, 1000).bool(false).bool(false).i32(-1).i32(-1);
        words.bool(false).finish().unwrap()
    }

    #[test]
    fn a_report_is_read_and_made_printable() {
        let report = Report::read(&payload(42, Some("Domain not found: \x1b[2J"))).unwrap();
        let message = "Domain not found: \\u{1b}[2J".to_owned();
        assert_eq!(report, Report { code: 42, part: 10, message });
        assert_eq!(Report::read(&payload(1, None)).unwrap().message, "libvirt's error 1");
    }

    #[test]
    fn what_an_error_means_goes_by_its_number() {
        let said = |code: i32, agent: bool| Report { code, part: 10, message: "x".to_owned() }.meaning(agent);
        let message = "x".to_owned();
        assert_eq!(said(42, false), LibvirtError::NoDomain { message: message.clone() });
        for code in [86, 97, 112] {
            assert_eq!(said(code, true), LibvirtError::AgentSilent { message: message.clone() }, "{code}");
        }
        assert_eq!(said(74, true), LibvirtError::AgentMissing { message: message.clone() });
        assert_eq!(said(1, true), LibvirtError::AgentRefused { message: message.clone() });
        assert_eq!(said(113, true), LibvirtError::AgentRefused { message: message.clone() });
        for code in [3, 67, 74, 84] {
            assert_eq!(said(code, false), LibvirtError::Unsupported { message: message.clone() }, "{code}");
        }
        assert_eq!(said(55, false), LibvirtError::NotNow { message: message.clone() });
        for agent in [false, true] {
            assert_eq!(said(68, agent), LibvirtError::Busy { message: message.clone() });
        }
        for code in [29, 45, 79, 88, 94] {
            assert_eq!(said(code, false), LibvirtError::NotPermitted { reason: message.clone() }, "{code}");
        }
        assert_eq!(said(1, false), LibvirtError::Other { code: 1, part: 10, message });
    }

    #[test]
    fn a_report_that_is_cut_anywhere_is_an_error() {
        let whole = payload(42, Some("gone"));
        for end in 0..whole.len() {
            assert!(Report::read(&whole[..end]).is_err(), "{end}");
        }
        assert!(Report::read(&[whole, vec![0; 4]].concat()).is_err());
    }
}
