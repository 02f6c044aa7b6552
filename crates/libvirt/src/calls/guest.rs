//! What libvirt passes on to the agent in a guest.

use std::time::Duration;

use super::procedures::{
    DOMAIN_FSFREEZE, DOMAIN_FSTHAW, DOMAIN_GET_TIME, DOMAIN_SET_TIME, QEMU_DOMAIN_AGENT_COMMAND,
};
use super::{Domain, LONG, SHORT, TimeFlags, text};
use crate::message::LONGEST_STRING;
use crate::{Connection, LibvirtError};

/// The most mount points of one call: `REMOTE_DOMAIN_FSFREEZE_MOUNTPOINTS_MAX`.
const MOST_MOUNTS: usize = 256;
/// The longest command that an agent may be given, in bytes.
///
/// libvirt forgets how much of a command it has written to the agent's socket when that takes no more of it, and
/// begins anew: the agent reads nonsense, and nobody is told. A socket takes 208 KiB where Linux's default is
/// left alone; this leaves a third of it for what a busy guest has not read yet.
pub(crate) const MOST_ASKED: usize = 128 * 1024;
/// How much longer than libvirt waits for the agent we wait for libvirt.
const GRACE: Duration = Duration::from_secs(30);

impl Connection {
    /// Gives the guest agent a command, as JSON, and tells its answer, as JSON. libvirt brings itself in step
    /// with the agent before. It waits for the answer for `wait`, in whole seconds, at least one.
    /// `QEMU_PROC_DOMAIN_AGENT_COMMAND`.
    ///
    /// # Errors
    /// [`LibvirtError::AgentMissing`], [`LibvirtError::AgentSilent`], [`LibvirtError::AgentRefused`];
    /// [`LibvirtError::NotNow`] when the domain does not run; [`LibvirtError::Busy`];
    /// [`LibvirtError::TooLarge`] above 128 KiB. An answer of more than 4 MiB is lost in
    /// libvirt, one of more than 10 MiB costs the domain its agent until it is started anew: nothing may be
    /// asked that can have one.
    pub async fn agent_command(
        &self,
        domain: &Domain,
        json: &str,
        wait: Duration,
    ) -> Result<String, LibvirtError> {
        if json.len() > MOST_ASKED {
            return Err(LibvirtError::TooLarge {
                what: QEMU_DOMAIN_AGENT_COMMAND.name.to_owned(),
                reason: format!("it has {} bytes, of at most {MOST_ASKED}", json.len()),
            });
        }
        let seconds = i32::try_from(wait.as_secs().max(1)).unwrap_or(i32::MAX);
        let arguments = domain.arguments().string(json, LONGEST_STRING).i32(seconds).u32(0);
        let answer = self
            .ask(&QEMU_DOMAIN_AGENT_COMMAND, arguments, wait + GRACE, |reader| reader.optional(text))
            .await?;
        answer.ok_or_else(|| LibvirtError::Protocol { reason: "the agent's answer is missing".to_owned() })
    }

    /// Holds a guest's file systems still, all of them without names, and tells how many.
    /// `REMOTE_PROC_DOMAIN_FSFREEZE`.
    ///
    /// # Errors
    /// Those of [`Connection::agent_command`].
    pub async fn freeze(&self, domain: &Domain, mounts: &[&str]) -> Result<i32, LibvirtError> {
        let arguments = domain.arguments().strings(mounts, MOST_MOUNTS, LONGEST_STRING).u32(0);
        self.ask(&DOMAIN_FSFREEZE, arguments, LONG, |reader| reader.i32()).await
    }

    /// Lets a guest's file systems go on, and tells how many stood still. `REMOTE_PROC_DOMAIN_FSTHAW`.
    ///
    /// # Errors
    /// Those of [`Connection::agent_command`].
    pub async fn thaw(&self, domain: &Domain) -> Result<i32, LibvirtError> {
        let arguments = domain.arguments().strings(&[], MOST_MOUNTS, LONGEST_STRING).u32(0);
        self.ask(&DOMAIN_FSTHAW, arguments, LONG, |reader| reader.i32()).await
    }

    /// A guest's clock: seconds since 1970, and nanoseconds. `REMOTE_PROC_DOMAIN_GET_TIME`.
    ///
    /// # Errors
    /// Those of [`Connection::agent_command`].
    pub async fn time(&self, domain: &Domain) -> Result<(i64, u32), LibvirtError> {
        let arguments = domain.arguments().u32(0);
        self.ask(&DOMAIN_GET_TIME, arguments, SHORT, |reader| Ok((reader.i64()?, reader.u32()?))).await
    }

    /// Sets a guest's clock: seconds since 1970, and nanoseconds. `REMOTE_PROC_DOMAIN_SET_TIME`.
    ///
    /// # Errors
    /// Those of [`Connection::agent_command`].
    pub async fn set_time(
        &self,
        domain: &Domain,
        (seconds, nanoseconds): (i64, u32),
        how: TimeFlags,
    ) -> Result<(), LibvirtError> {
        let arguments = domain.arguments().i64(seconds).u32(nanoseconds).u32(how.0);
        self.tell(&DOMAIN_SET_TIME, arguments, SHORT).await
    }
}
