//! `patchyard.discover/v1`: the hosts and every target on them.

use patchyard_app::{Fleet, Host, Unreachable};
use patchyard_types::HostManager;
use serde::Serialize;

use super::target::TargetJson;

/// What `discover` found.
#[derive(Debug, Serialize)]
pub struct DiscoverDocument {
    schema: &'static str,
    hosts: Vec<HostJson>,
    unreachable: Vec<UnreachableJson>,
    targets: Vec<TargetJson>,
}

/// A host that answered.
#[derive(Debug, Serialize)]
pub struct HostJson {
    id: String,
    name: String,
    provider: &'static str,
    description: String,
    /// Who else updates it.
    managers: Vec<&'static str>,
}

/// A host that did not answer: what is on it is unknown.
#[derive(Debug, Serialize)]
pub struct UnreachableJson {
    name: String,
    reason: String,
}

impl From<&Fleet> for DiscoverDocument {
    fn from(fleet: &Fleet) -> Self {
        let Fleet { hosts, unreachable, asleep: _, targets } = fleet;
        Self {
            schema: "patchyard.discover/v1",
            hosts: hosts.iter().map(HostJson::from).collect(),
            unreachable: unreachable.iter().map(UnreachableJson::from).collect(),
            targets: targets.iter().map(TargetJson::from).collect(),
        }
    }
}

impl From<&Host> for HostJson {
    fn from(host: &Host) -> Self {
        // What it is says its target's kind.
        let Host { name, description, is_machine: _, managers, provider } = host;
        let manager = |manager: &HostManager| match manager {
            HostManager::UnattendedUpgrades => "unattended_upgrades",
        };
        Self {
            id: provider.host().to_string(),
            name: name.clone(),
            provider: provider.kind(),
            description: description.clone(),
            managers: managers.iter().map(manager).collect(),
        }
    }
}

impl From<&Unreachable> for UnreachableJson {
    fn from(host: &Unreachable) -> Self {
        let Unreachable { name, error } = host;
        Self { name: name.clone(), reason: error.to_string() }
    }
}
