//! Starting and ending domains, and what they are defined as.

use super::procedures::{
    DOMAIN_CREATE_WITH_FLAGS, DOMAIN_CREATE_XML, DOMAIN_DEFINE_XML_FLAGS, DOMAIN_DESTROY, DOMAIN_RESET,
    DOMAIN_RESUME, DOMAIN_SHUTDOWN_FLAGS, DOMAIN_SUSPEND, DOMAIN_UNDEFINE_FLAGS,
};
use super::{DefineFlags, Domain, LONG, SHORT, ShutdownFlags, StartFlags, UndefineFlags};
use crate::message::LONGEST_STRING;
use crate::xdr::Writer;
use crate::{Connection, LibvirtError};

impl Connection {
    /// Starts a domain that is defined; it comes back with its number. With [`StartFlags::PAUSED`] it does
    /// not run before [`Connection::resume`]. `REMOTE_PROC_DOMAIN_CREATE_WITH_FLAGS`.
    ///
    /// # Errors
    /// [`LibvirtError::NotNow`] when it runs already.
    pub async fn start(&self, domain: &Domain, how: StartFlags) -> Result<Domain, LibvirtError> {
        self.ask(&DOMAIN_CREATE_WITH_FLAGS, domain.arguments().u32(how.0), LONG, Domain::read).await
    }

    /// Starts a domain that is not defined before and is gone when it ends. `REMOTE_PROC_DOMAIN_CREATE_XML`.
    ///
    /// # Errors
    /// See [`LibvirtError`].
    pub async fn start_transient(&self, xml: &str, how: StartFlags) -> Result<Domain, LibvirtError> {
        let arguments = Writer::new().string(xml, LONGEST_STRING).u32(how.0);
        self.ask(&DOMAIN_CREATE_XML, arguments, LONG, Domain::read).await
    }

    /// Ends a domain at once, like pulling its plug. `REMOTE_PROC_DOMAIN_DESTROY`.
    ///
    /// # Errors
    /// [`LibvirtError::NotNow`] when it does not run.
    pub async fn destroy(&self, domain: &Domain) -> Result<(), LibvirtError> {
        self.tell(&DOMAIN_DESTROY, domain.arguments(), LONG).await
    }

    /// Asks a domain to shut down, and does not wait until it has. `REMOTE_PROC_DOMAIN_SHUTDOWN_FLAGS`.
    ///
    /// # Errors
    /// [`LibvirtError::NotNow`] when it does not run; [`LibvirtError::AgentSilent`] with
    /// [`ShutdownFlags::AGENT`], and [`LibvirtError::Unsupported`] when the domain has no channel for an
    /// agent.
    pub async fn shut_down(&self, domain: &Domain, how: ShutdownFlags) -> Result<(), LibvirtError> {
        self.tell(&DOMAIN_SHUTDOWN_FLAGS, domain.arguments().u32(how.0), LONG).await
    }

    /// Resets a domain, like its reset button: nothing is shut down. `REMOTE_PROC_DOMAIN_RESET`.
    ///
    /// # Errors
    /// [`LibvirtError::NotNow`] when it does not run.
    pub async fn reset(&self, domain: &Domain) -> Result<(), LibvirtError> {
        self.tell(&DOMAIN_RESET, domain.arguments().u32(0), SHORT).await
    }

    /// Makes a domain's processors stand still. `REMOTE_PROC_DOMAIN_SUSPEND`.
    ///
    /// # Errors
    /// [`LibvirtError::NotNow`] when it does not run.
    pub async fn suspend(&self, domain: &Domain) -> Result<(), LibvirtError> {
        self.tell(&DOMAIN_SUSPEND, domain.arguments(), SHORT).await
    }

    /// Lets a domain that stands still go on. `REMOTE_PROC_DOMAIN_RESUME`.
    ///
    /// # Errors
    /// [`LibvirtError::NotNow`] when it does not run.
    pub async fn resume(&self, domain: &Domain) -> Result<(), LibvirtError> {
        self.tell(&DOMAIN_RESUME, domain.arguments(), SHORT).await
    }

    /// Defines a domain, or defines it anew: a running one has it after its next start.
    /// `REMOTE_PROC_DOMAIN_DEFINE_XML_FLAGS`.
    ///
    /// # Errors
    /// See [`LibvirtError`].
    pub async fn define(&self, xml: &str, how: DefineFlags) -> Result<Domain, LibvirtError> {
        let arguments = Writer::new().string(xml, LONGEST_STRING).u32(how.0);
        self.ask(&DOMAIN_DEFINE_XML_FLAGS, arguments, SHORT, Domain::read).await
    }

    /// Takes a domain's definition away; one that runs goes on and is gone when it ends.
    /// `REMOTE_PROC_DOMAIN_UNDEFINE_FLAGS`.
    ///
    /// # Errors
    /// [`LibvirtError::NotNow`] when something belongs to it that `how` does not name.
    pub async fn undefine(&self, domain: &Domain, how: UndefineFlags) -> Result<(), LibvirtError> {
        self.tell(&DOMAIN_UNDEFINE_FLAGS, domain.arguments().u32(how.0), SHORT).await
    }
}
