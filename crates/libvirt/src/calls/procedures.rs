//! The numbers of libvirt's calls: `enum remote_procedure` and `enum qemu_procedure`. They never change.

use crate::message::{QEMU, REMOTE};

/// A call that can be made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Procedure {
    /// The program it belongs to.
    pub program: u32,
    /// Its number there.
    pub number: i32,
    /// Its name there, without what all names begin with.
    pub name: &'static str,
    /// Whether a guest agent answers it in the end.
    pub agent: bool,
}

const fn remote(number: i32, name: &'static str) -> Procedure {
    Procedure { program: REMOTE, number, name, agent: false }
}

const fn agent(number: i32, name: &'static str) -> Procedure {
    Procedure { program: REMOTE, number, name, agent: true }
}

pub(crate) const CONNECT_OPEN: Procedure = remote(1, "CONNECT_OPEN");
pub(crate) const CONNECT_CLOSE: Procedure = remote(2, "CONNECT_CLOSE");
pub(crate) const CONNECT_GET_VERSION: Procedure = remote(4, "CONNECT_GET_VERSION");
pub(crate) const DOMAIN_CREATE_XML: Procedure = remote(10, "DOMAIN_CREATE_XML");
pub(crate) const DOMAIN_DESTROY: Procedure = remote(12, "DOMAIN_DESTROY");
pub(crate) const DOMAIN_GET_XML_DESC: Procedure = remote(14, "DOMAIN_GET_XML_DESC");
pub(crate) const DOMAIN_LOOKUP_BY_NAME: Procedure = remote(23, "DOMAIN_LOOKUP_BY_NAME");
pub(crate) const DOMAIN_LOOKUP_BY_UUID: Procedure = remote(24, "DOMAIN_LOOKUP_BY_UUID");
pub(crate) const DOMAIN_RESUME: Procedure = remote(28, "DOMAIN_RESUME");
pub(crate) const DOMAIN_SUSPEND: Procedure = remote(34, "DOMAIN_SUSPEND");
pub(crate) const AUTH_LIST: Procedure = remote(66, "AUTH_LIST");
pub(crate) const AUTH_POLKIT: Procedure = remote(70, "AUTH_POLKIT");
pub(crate) const CONNECT_GET_LIB_VERSION: Procedure = remote(157, "CONNECT_GET_LIB_VERSION");
pub(crate) const DOMAIN_SNAPSHOT_CREATE_XML: Procedure = remote(185, "DOMAIN_SNAPSHOT_CREATE_XML");
pub(crate) const DOMAIN_SNAPSHOT_NUM: Procedure = remote(187, "DOMAIN_SNAPSHOT_NUM");
pub(crate) const DOMAIN_GET_BLOCK_INFO: Procedure = remote(194, "DOMAIN_GET_BLOCK_INFO");
pub(crate) const DOMAIN_CREATE_WITH_FLAGS: Procedure = remote(196, "DOMAIN_CREATE_WITH_FLAGS");
pub(crate) const DOMAIN_GET_STATE: Procedure = remote(212, "DOMAIN_GET_STATE");
pub(crate) const DOMAIN_UNDEFINE_FLAGS: Procedure = remote(231, "DOMAIN_UNDEFINE_FLAGS");
pub(crate) const DOMAIN_BLOCK_JOB_ABORT: Procedure = remote(237, "DOMAIN_BLOCK_JOB_ABORT");
pub(crate) const DOMAIN_GET_BLOCK_JOB_INFO: Procedure = remote(238, "DOMAIN_GET_BLOCK_JOB_INFO");
pub(crate) const DOMAIN_RESET: Procedure = remote(245, "DOMAIN_RESET");
pub(crate) const DOMAIN_SHUTDOWN_FLAGS: Procedure = remote(258, "DOMAIN_SHUTDOWN_FLAGS");
pub(crate) const CONNECT_LIST_ALL_DOMAINS: Procedure = remote(273, "CONNECT_LIST_ALL_DOMAINS");
pub(crate) const DOMAIN_BLOCK_COMMIT: Procedure = remote(290, "DOMAIN_BLOCK_COMMIT");
pub(crate) const DOMAIN_FSFREEZE: Procedure = agent(335, "DOMAIN_FSFREEZE");
pub(crate) const DOMAIN_FSTHAW: Procedure = agent(336, "DOMAIN_FSTHAW");
pub(crate) const DOMAIN_GET_TIME: Procedure = agent(337, "DOMAIN_GET_TIME");
pub(crate) const DOMAIN_SET_TIME: Procedure = agent(338, "DOMAIN_SET_TIME");
pub(crate) const DOMAIN_DEFINE_XML_FLAGS: Procedure = remote(350, "DOMAIN_DEFINE_XML_FLAGS");
pub(crate) const QEMU_DOMAIN_AGENT_COMMAND: Procedure =
    Procedure { program: QEMU, number: 3, name: "QEMU_DOMAIN_AGENT_COMMAND", agent: true };
