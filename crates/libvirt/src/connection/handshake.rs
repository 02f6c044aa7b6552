//! What is said before the first call: who we are, and which hypervisor is meant.

use std::time::Duration;

use super::Connection;
use crate::LibvirtError;
use crate::calls::procedures::{AUTH_LIST, AUTH_POLKIT, CONNECT_OPEN};
use crate::message::LONGEST_STRING;
use crate::uri::Way;
use crate::xdr::{Reader, Writer};

/// How long each of it may take; the whole has a limit of its own.
const LIMIT: Duration = super::OPEN;
/// `REMOTE_AUTH_TYPE_LIST_MAX`.
const MOST_WAYS: usize = 20;
/// `REMOTE_AUTH_NONE`.
const NONE: u32 = 0;
/// `REMOTE_AUTH_POLKIT`.
const POLKIT: u32 = 2;

pub(super) async fn shake(connection: &Connection) -> Result<(), LibvirtError> {
    let payload = connection.call(&AUTH_LIST, Writer::new(), LIMIT).await?;
    let mut reader = Reader::new(&payload);
    let ways = reader.array(MOST_WAYS, Reader::u32).and_then(|ways| reader.finish().map(|()| ways));
    // The first one is what the daemon wants.
    match ways.map_err(|error| LibvirtError::answer(AUTH_LIST.name, error))?.first() {
        None | Some(&NONE) => {}
        Some(&POLKIT) => polkit(connection).await?,
        Some(_) => {
            return Err(LibvirtError::NotPermitted {
                reason: format!(
                    "{} asks for a password (SASL), which Patchyard has none for: use the socket of a host \
                     (qemu+ssh://…), or set auth_unix_rw to none or polkit there",
                    connection.uri()
                ),
            });
        }
    }
    // Without VIR_DRV_FEATURE_PROGRAM_KEEPALIVE being asked for, the daemon sends no pings to a connection
    // that is silent between calls. One that comes during a call is answered.
    let open = Writer::new().optional_string(Some(connection.uri().name()), LONGEST_STRING).u32(0);
    connection.call(&CONNECT_OPEN, open, LIMIT).await.map(|_| ())
}

/// polkit decides by who is at the other end of the socket; there is nobody here whom it could ask for a
/// password.
async fn polkit(connection: &Connection) -> Result<(), LibvirtError> {
    match connection.call(&AUTH_POLKIT, Writer::new(), LIMIT).await {
        Ok(_) => Ok(()),
        Err(LibvirtError::NotPermitted { reason } | LibvirtError::Other { message: reason, .. }) => {
            let whose = match connection.uri().way {
                Way::Unix => "yourself",
                Way::Ssh(_) => "the user that ssh logs in as",
            };
            Err(LibvirtError::NotPermitted {
                reason: format!(
                    "polkit does not let us in to {} ({reason}): run as root, or add {whose} to the group that \
                     may (usermod -aG libvirt USER, then log in again)",
                    connection.uri()
                ),
            })
        }
        Err(error) => Err(error),
    }
}
