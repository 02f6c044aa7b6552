//! Which machines a libvirt has, and the way into each.

use std::collections::BTreeMap;
use std::sync::Arc;

use patchyard_contract::KeptMachine;
use patchyard_types::printable;

use crate::agent::words;
use crate::calls::{Domain, ListFlags, StateKind, XmlFlags};
use crate::connection::Line;
use crate::domain::AgentChannel;
use crate::keeper::no_snapshot;
use crate::{
    Agent, AgentTransport, Connection, Description, DomainKeeper, Environment, LibvirtError, Uri, Uuid,
};

/// All machines that may be seen, those that do not run among them, by name.
///
/// # Errors
/// When libvirt does not answer, or does not let us in. XML of one machine that makes no sense hides no other.
pub async fn machines(uri: &Uri, env: &Environment) -> Result<Vec<KeptMachine>, LibvirtError> {
    let connection = Connection::open(uri, env).await?;
    let mut machines = Vec::new();
    let stay: Vec<Uuid> =
        connection.domains(ListFlags::PERSISTENT).await?.into_iter().map(|domain| domain.uuid).collect();
    for domain in connection.domains(ListFlags::NONE).await? {
        match machine(&connection, &domain, env, stay.contains(&domain.uuid)).await {
            // Gone since it was listed.
            Err(LibvirtError::NoDomain { .. }) => {}
            machine => machines.push(machine?),
        }
    }
    machines.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(machines)
}

async fn machine(
    connection: &Connection,
    domain: &Domain,
    env: &Environment,
    is_persistent: bool,
) -> Result<KeptMachine, LibvirtError> {
    let name = printable(&domain.name, 100);
    let described = Description::read(&connection.xml(domain, XmlFlags::NONE).await?);
    let state = connection.state(domain).await?.kind;
    let (labels, barred, no_snapshot) = match described {
        Ok(described) => {
            let no_snapshot = no_snapshot(connection, domain, &described, is_persistent).await?;
            let barred = barred(state, &described);
            (described.labels, barred, no_snapshot)
        }
        Err(error) => (BTreeMap::new(), Some(error.to_string()), Some(error.to_string())),
    };
    // Lines of their own, opened when they are needed: whoever asks one machine waits for no other, an agent may take its
    // time, and its keeper is asked just then.
    let line = || Line::new(connection.uri().clone(), env.clone());
    let way = Arc::new(AgentTransport::new(Agent::new(line(), domain.clone()), &name));
    let keeper = Arc::new(DomainKeeper::new(line(), domain.uuid));
    let id = domain.uuid.to_string();
    Ok(KeptMachine { name, id, labels, way, barred, keeper, no_snapshot })
}

/// Why there is no way into a machine, by what is known of it from outside.
fn barred(state: StateKind, described: &Description) -> Option<String> {
    if described.os.as_deref().is_some_and(|os| os.contains("://microsoft.com/")) {
        return Some("it runs Windows, which this release does not patch".to_owned());
    }
    let stands = match state {
        StateKind::Running | StateKind::Unknown => None,
        StateKind::Paused => Some("it is paused: virsh resume lets it go on"),
        StateKind::ShuttingDown => Some("it is shutting down"),
        StateKind::Off => Some("it is shut off: virsh start starts it"),
        StateKind::Crashed => Some("it has crashed, and is kept as it is"),
        StateKind::Suspended => Some("it sleeps: virsh dompmwakeup wakes it"),
    };
    if let Some(stands) = stands {
        return Some(stands.to_owned());
    }
    match described.agent {
        AgentChannel::Missing => Some(words::no_way(LibvirtError::AgentMissing { message: String::new() })),
        AgentChannel::Disconnected => {
            let message = "nobody listens at the guest's end".to_owned();
            Some(words::no_way(LibvirtError::AgentSilent { message }))
        }
        AgentChannel::Defined | AgentChannel::Connected => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    fn described(inside: &str) -> Description {
        let xml = format!(
            "<domain><name>web01</name><uuid>6b1c3b4e-0001-4000-8000-000000000001</uuid><memory>1024</memory>{inside}</domain>"
        );
        Description::read(&xml).unwrap()
    }

    fn agent(state: &str) -> Description {
        described(&format!(
            "<devices><channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0' {state}/></channel></devices>"
        ))
    }

    #[test]
    fn who_runs_and_has_an_agent_that_listens_is_reached() {
        assert_eq!(barred(StateKind::Running, &agent("state='connected'")), None);
    }

    #[test]
    fn who_is_not_reached_is_told_with_what_to_do() {
        let windows = described(
            "<metadata><libosinfo:libosinfo xmlns:libosinfo='http://libosinfo.org/xmlns/libvirt/domain/1.0'>\
             <libosinfo:os id='http://microsoft.com/win/2k22'/></libosinfo:libosinfo></metadata>",
        );
        for (state, described, words) in [
            (StateKind::Running, windows, "it runs Windows"),
            (StateKind::Off, agent(""), "it is shut off: virsh start"),
            (StateKind::Paused, agent(""), "it is paused: virsh resume"),
            (
                StateKind::Running,
                described(""),
                "its domain has no channel for the guest agent: add <channel",
            ),
            (StateKind::Running, agent("state='disconnected'"), "its guest agent does not answer"),
        ] {
            let told = barred(state, &described).unwrap();
            assert!(told.starts_with(words), "{told}");
        }
    }
}
