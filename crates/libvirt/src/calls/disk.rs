//! Snapshots and layers of disks.

use super::procedures::{
    DOMAIN_BLOCK_COMMIT, DOMAIN_BLOCK_JOB_ABORT, DOMAIN_GET_BLOCK_INFO, DOMAIN_GET_BLOCK_JOB_INFO,
    DOMAIN_SNAPSHOT_CREATE_XML, DOMAIN_SNAPSHOT_NUM,
};
use super::{AbortFlags, CommitFlags, Domain, LONG, SHORT, SnapshotFlags, text};
use crate::message::LONGEST_STRING;
use crate::{Connection, LibvirtError};

/// Where a layer is committed to.
///
/// libvirt takes neither of them as well, and then commits to the bottom of the chain: an image that other
/// domains may share. That cannot be said here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitBase<'a> {
    /// The layer just below.
    Below,
    /// The layer of that path, and all between.
    Image(&'a str),
}

/// What is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commit<'a> {
    /// Where to.
    pub base: CommitBase<'a>,
    /// The highest layer that is committed; `None` is the one that is written to, which needs
    /// [`CommitFlags::ACTIVE`].
    pub top: Option<&'a str>,
    /// The most that is written a second, in MiB; 0 is no limit.
    pub bandwidth: u64,
    /// How.
    pub flags: CommitFlags,
}

/// What a block job does: `virDomainBlockJobType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockJobKind {
    /// It fills a layer from those below.
    Pull,
    /// It copies a disk elsewhere.
    Copy,
    /// It commits a layer that is not written to.
    Commit,
    /// It commits the layer that is written to, and follows it until it is pivoted.
    ActiveCommit,
    /// Something else.
    Other,
}

/// A job on a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockJob {
    /// What it does.
    pub kind: BlockJobKind,
    /// The most that it does a second, in MiB; 0 is no limit.
    pub bandwidth: u64,
    /// How far it is, in units of its own.
    pub done: u64,
    /// How far it has to go, in the same units. While a job finds out, it can be equal to `done` at 0.
    pub end: u64,
}

impl BlockJob {
    /// Whether it has come to what it had to do: one of the active layer can be pivoted then.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.end > 0 && self.done >= self.end
    }
}

/// How large a disk is, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockInfo {
    /// As the guest sees it.
    pub capacity: u64,
    /// What of it takes room on the host.
    pub allocation: u64,
    /// The file or device on the host.
    pub physical: u64,
}

impl Connection {
    /// Makes a snapshot as its XML says, and tells its name. `REMOTE_PROC_DOMAIN_SNAPSHOT_CREATE_XML`.
    ///
    /// # Errors
    /// [`LibvirtError::AgentSilent`] with [`SnapshotFlags::QUIESCE`], and [`LibvirtError::Unsupported`] when
    /// the domain has no channel for an agent: nothing is changed then.
    pub async fn snapshot(
        &self,
        domain: &Domain,
        xml: &str,
        how: SnapshotFlags,
    ) -> Result<String, LibvirtError> {
        let arguments = domain.arguments().string(xml, LONGEST_STRING).u32(how.0);
        self.ask(&DOMAIN_SNAPSHOT_CREATE_XML, arguments, LONG, |reader| {
            let name = text(reader)?;
            Domain::read(reader)?;
            Ok(name)
        })
        .await
    }

    /// How many snapshots of a domain libvirt itself remembers, ours not among them. `REMOTE_PROC_DOMAIN_SNAPSHOT_NUM`.
    ///
    /// # Errors
    /// See [`LibvirtError`].
    pub async fn remembered_snapshots(&self, domain: &Domain) -> Result<i32, LibvirtError> {
        let arguments = domain.arguments().u32(0);
        self.ask(&DOMAIN_SNAPSHOT_NUM, arguments, SHORT, |reader| reader.i32()).await
    }

    /// Begins to commit a layer of a disk (by its target, `vda`); [`Connection::block_job`] tells how far it
    /// is. `REMOTE_PROC_DOMAIN_BLOCK_COMMIT`.
    ///
    /// # Errors
    /// See [`LibvirtError`].
    pub async fn commit(&self, domain: &Domain, disk: &str, commit: &Commit<'_>) -> Result<(), LibvirtError> {
        let Commit { base, top, bandwidth, flags } = *commit;
        let (base, flags) = match base {
            CommitBase::Below => (None, flags | CommitFlags::SHALLOW),
            CommitBase::Image(path) => (Some(path), flags),
        };
        let arguments = domain
            .arguments()
            .string(disk, LONGEST_STRING)
            .optional_string(base, LONGEST_STRING)
            .optional_string(top, LONGEST_STRING)
            .u64(bandwidth)
            .u32(flags.0);
        self.tell(&DOMAIN_BLOCK_COMMIT, arguments, LONG).await
    }

    /// The job that is at work on a disk, where there is one. `REMOTE_PROC_DOMAIN_GET_BLOCK_JOB_INFO`.
    ///
    /// # Errors
    /// See [`LibvirtError`].
    pub async fn block_job(&self, domain: &Domain, disk: &str) -> Result<Option<BlockJob>, LibvirtError> {
        let arguments = domain.arguments().string(disk, LONGEST_STRING).u32(0);
        self.ask(&DOMAIN_GET_BLOCK_JOB_INFO, arguments, SHORT, |reader| {
            let found = reader.i32()?;
            let kind = match reader.i32()? {
                1 => BlockJobKind::Pull,
                2 => BlockJobKind::Copy,
                3 => BlockJobKind::Commit,
                4 => BlockJobKind::ActiveCommit,
                _ => BlockJobKind::Other,
            };
            let job = BlockJob { kind, bandwidth: reader.u64()?, done: reader.u64()?, end: reader.u64()? };
            Ok((found != 0).then_some(job))
        })
        .await
    }

    /// Ends a job on a disk, with [`AbortFlags::PIVOT`] by taking over what it has made.
    /// `REMOTE_PROC_DOMAIN_BLOCK_JOB_ABORT`.
    ///
    /// # Errors
    /// When there is none, or it is not yet so far.
    pub async fn end_block_job(
        &self,
        domain: &Domain,
        disk: &str,
        how: AbortFlags,
    ) -> Result<(), LibvirtError> {
        let arguments = domain.arguments().string(disk, LONGEST_STRING).u32(how.0);
        self.tell(&DOMAIN_BLOCK_JOB_ABORT, arguments, LONG).await
    }

    /// How large a disk is, by its target or a path. `REMOTE_PROC_DOMAIN_GET_BLOCK_INFO`.
    ///
    /// # Errors
    /// See [`LibvirtError`].
    pub async fn block_info(&self, domain: &Domain, disk: &str) -> Result<BlockInfo, LibvirtError> {
        let arguments = domain.arguments().string(disk, LONGEST_STRING).u32(0);
        self.ask(&DOMAIN_GET_BLOCK_INFO, arguments, SHORT, |reader| {
            let (allocation, capacity, physical) = (reader.u64()?, reader.u64()?, reader.u64()?);
            Ok(BlockInfo { capacity, allocation, physical })
        })
        .await
    }
}
