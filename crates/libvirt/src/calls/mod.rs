//! What libvirt is asked, a typed function a call.
//!
//! Each names its call in libvirt's `src/remote/remote_protocol.x` (or `qemu_protocol.x`), where the layout
//! of its arguments and its answer is. What a call means is libvirt's own: its reference manual has it under
//! the name `vir…` that goes with it.

mod disk;
mod flags;
mod guest;
mod life;
mod lookup;
pub(crate) mod procedures;

pub use disk::{BlockInfo, BlockJob, BlockJobKind, Commit, CommitBase};
pub use flags::{
    AbortFlags, CommitFlags, DefineFlags, ListFlags, ShutdownFlags, SnapshotFlags, StartFlags, TimeFlags,
    UndefineFlags, XmlFlags,
};
pub(crate) use guest::MOST_ASKED;
pub use lookup::{State, StateKind, Version};
pub(crate) use procedures::Procedure;

use std::time::Duration;

use crate::message::LONGEST_STRING;
use crate::xdr::{Reader, Writer, XdrError};
use crate::{Connection, LibvirtError, Uuid};

/// How long a call may take that only asks, or only starts something.
const SHORT: Duration = Duration::from_secs(60);
/// How long a call may take that waits for a hypervisor or a guest: a machine that starts, caches that are
/// written out.
const LONG: Duration = Duration::from_secs(300);

/// A domain, as libvirt's calls name it: `remote_nonnull_domain`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    /// Its name, which can be changed.
    pub name: String,
    /// What it is known by.
    pub uuid: Uuid,
    /// Its number while it runs, else −1.
    pub id: i32,
}

impl Domain {
    fn read(reader: &mut Reader<'_>) -> Result<Self, XdrError> {
        Ok(Self { name: reader.string(LONGEST_STRING)?, uuid: Uuid(reader.fixed()?), id: reader.i32()? })
    }

    /// The beginning of the arguments of every call about a domain.
    fn arguments(&self) -> Writer {
        Writer::new().string(&self.name, LONGEST_STRING).fixed(&self.uuid.0).i32(self.id)
    }
}

impl Connection {
    /// A call whose answer is read by `read`, which has to read all of it.
    async fn ask<T>(
        &self,
        procedure: &Procedure,
        arguments: Writer,
        limit: Duration,
        read: impl FnOnce(&mut Reader<'_>) -> Result<T, XdrError>,
    ) -> Result<T, LibvirtError> {
        let payload = self.call(procedure, arguments, limit).await?;
        let mut reader = Reader::new(&payload);
        let answer = read(&mut reader).and_then(|answer| reader.finish().map(|()| answer));
        answer.map_err(|error| LibvirtError::answer(procedure.name, error))
    }

    /// A call without an answer beyond that it went well.
    async fn tell(
        &self,
        procedure: &Procedure,
        arguments: Writer,
        limit: Duration,
    ) -> Result<(), LibvirtError> {
        self.ask(procedure, arguments, limit, |_| Ok(())).await
    }
}

/// A string of an answer.
fn text(reader: &mut Reader<'_>) -> Result<String, XdrError> {
    reader.string(LONGEST_STRING)
}
