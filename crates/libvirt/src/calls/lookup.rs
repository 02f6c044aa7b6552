//! What there is: versions, domains, their XML, how they are.

use std::fmt;

use super::procedures::{
    CONNECT_CLOSE, CONNECT_GET_LIB_VERSION, CONNECT_GET_VERSION, CONNECT_LIST_ALL_DOMAINS, DOMAIN_GET_STATE,
    DOMAIN_GET_XML_DESC, DOMAIN_LOOKUP_BY_NAME, DOMAIN_LOOKUP_BY_UUID,
};
use super::{Domain, ListFlags, SHORT, XmlFlags, text};
use crate::message::LONGEST_STRING;
use crate::xdr::Writer;
use crate::{Connection, LibvirtError, Uuid};

/// The most domains of one answer: `REMOTE_DOMAIN_LIST_MAX`.
const MOST_DOMAINS: usize = 16384;

/// A version of libvirt or of a hypervisor; `Display` has `9.0.0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The first number.
    pub major: u64,
    /// The second.
    pub minor: u64,
    /// The third.
    pub release: u64,
}

impl Version {
    /// libvirt counts a major version as a million and a minor one as a thousand.
    const fn of(number: u64) -> Self {
        Self { major: number / 1_000_000, minor: number / 1000 % 1000, release: number % 1000 }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.release)
    }
}

/// How a domain is: `virDomainState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateKind {
    /// libvirt cannot tell, or says something that is not known here.
    Unknown,
    /// It runs, or waits for a device.
    Running,
    /// Its processors stand still.
    Paused,
    /// It is shutting down.
    ShuttingDown,
    /// It does not run.
    Off,
    /// It has crashed, and is kept as it is.
    Crashed,
    /// Its own power management has suspended it.
    Suspended,
}

/// How a domain is, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// How.
    pub kind: StateKind,
    /// Why: a number whose meaning goes by the kind (`virDomainPausedReason`, `virDomainShutoffReason` …).
    pub reason: i32,
}

impl State {
    /// `VIR_DOMAIN_PAUSED_IOERROR`.
    const PAUSED_BY_ERROR: i32 = 5;

    fn of(state: i32, reason: i32) -> Self {
        let kind = match state {
            1 | 2 => StateKind::Running,
            3 => StateKind::Paused,
            4 => StateKind::ShuttingDown,
            5 => StateKind::Off,
            6 => StateKind::Crashed,
            7 => StateKind::Suspended,
            _ => StateKind::Unknown,
        };
        Self { kind, reason }
    }

    /// Whether a disk has failed it, most often because the file system below is full.
    #[must_use]
    pub fn is_paused_by_disk_error(self) -> bool {
        self.kind == StateKind::Paused && self.reason == Self::PAUSED_BY_ERROR
    }
}

impl Connection {
    /// The hypervisor's version. `REMOTE_PROC_CONNECT_GET_VERSION`.
    ///
    /// # Errors
    /// See [`LibvirtError`].
    pub async fn hypervisor_version(&self) -> Result<Version, LibvirtError> {
        self.ask(&CONNECT_GET_VERSION, Writer::new(), SHORT, |reader| reader.u64()).await.map(Version::of)
    }

    /// The daemon's version. `REMOTE_PROC_CONNECT_GET_LIB_VERSION`.
    ///
    /// # Errors
    /// See [`LibvirtError`].
    pub async fn libvirt_version(&self) -> Result<Version, LibvirtError> {
        self.ask(&CONNECT_GET_LIB_VERSION, Writer::new(), SHORT, |reader| reader.u64()).await.map(Version::of)
    }

    /// Says goodbye; dropping a connection does as well. `REMOTE_PROC_CONNECT_CLOSE`.
    ///
    /// # Errors
    /// See [`LibvirtError`].
    pub async fn close(self) -> Result<(), LibvirtError> {
        self.tell(&CONNECT_CLOSE, Writer::new(), SHORT).await
    }

    /// The domains that may be seen. `REMOTE_PROC_CONNECT_LIST_ALL_DOMAINS`.
    ///
    /// # Errors
    /// See [`LibvirtError`].
    pub async fn domains(&self, which: ListFlags) -> Result<Vec<Domain>, LibvirtError> {
        // The domains themselves are wanted, not only their number.
        let arguments = Writer::new().i32(1).u32(which.0);
        self.ask(&CONNECT_LIST_ALL_DOMAINS, arguments, SHORT, |reader| {
            let domains = reader.array(MOST_DOMAINS, Domain::read)?;
            let _number = reader.u32()?;
            Ok(domains)
        })
        .await
    }

    /// The domain of that name. `REMOTE_PROC_DOMAIN_LOOKUP_BY_NAME`.
    ///
    /// # Errors
    /// [`LibvirtError::NoDomain`] when there is none.
    pub async fn domain_by_name(&self, name: &str) -> Result<Domain, LibvirtError> {
        let arguments = Writer::new().string(name, LONGEST_STRING);
        self.ask(&DOMAIN_LOOKUP_BY_NAME, arguments, SHORT, Domain::read).await
    }

    /// The domain of that UUID. `REMOTE_PROC_DOMAIN_LOOKUP_BY_UUID`.
    ///
    /// # Errors
    /// [`LibvirtError::NoDomain`] when there is none.
    pub async fn domain_by_uuid(&self, uuid: Uuid) -> Result<Domain, LibvirtError> {
        self.ask(&DOMAIN_LOOKUP_BY_UUID, Writer::new().fixed(&uuid.0), SHORT, Domain::read).await
    }

    /// A domain's XML, for [`Description::read`](crate::Description::read).
    /// `REMOTE_PROC_DOMAIN_GET_XML_DESC`.
    ///
    /// # Errors
    /// See [`LibvirtError`].
    pub async fn xml(&self, domain: &Domain, which: XmlFlags) -> Result<String, LibvirtError> {
        self.ask(&DOMAIN_GET_XML_DESC, domain.arguments().u32(which.0), SHORT, text).await
    }

    /// How a domain is. `REMOTE_PROC_DOMAIN_GET_STATE`.
    ///
    /// # Errors
    /// See [`LibvirtError`].
    pub async fn state(&self, domain: &Domain) -> Result<State, LibvirtError> {
        self.ask(&DOMAIN_GET_STATE, domain.arguments().u32(0), SHORT, |reader| {
            Ok(State::of(reader.i32()?, reader.i32()?))
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_counted_as_libvirt_does() {
        assert_eq!(Version::of(9_000_000).to_string(), "9.0.0");
        assert_eq!(Version::of(7_002_011).to_string(), "7.2.11");
        assert!(Version::of(10_010_000) > Version::of(9_010_000));
    }

    #[test]
    fn a_full_disk_below_shows_in_the_state() {
        assert!(State::of(3, 5).is_paused_by_disk_error());
        assert!(!State::of(3, 1).is_paused_by_disk_error());
        assert_eq!(State::of(99, 0).kind, StateKind::Unknown);
    }
}
