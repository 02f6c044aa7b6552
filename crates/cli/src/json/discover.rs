//! `patchyard.discover/v1`

use patchyard_app::{Fleet, Host};
use serde::Serialize;

use super::UnreachableJson;
use super::target::TargetJson;

#[derive(Debug, Serialize)]
pub struct DiscoverDocument {
    schema: &'static str,
    hosts: Vec<HostJson>,
    unreachable: Vec<UnreachableJson>,
    targets: Vec<TargetJson>,
}

#[derive(Debug, Serialize)]
pub struct HostJson {
    id: String,
    name: String,
    description: String,
}

impl From<&Host> for HostJson {
    fn from(host: &Host) -> Self {
        Self {
            id: host.provider.host().to_string(),
            name: host.name.clone(),
            description: host.description.clone(),
        }
    }
}

impl From<&Fleet> for DiscoverDocument {
    fn from(fleet: &Fleet) -> Self {
        Self {
            schema: "patchyard.discover/v1",
            hosts: fleet.hosts.iter().map(HostJson::from).collect(),
            unreachable: fleet.unreachable.iter().map(UnreachableJson::from).collect(),
            targets: fleet.targets.iter().map(TargetJson::from).collect(),
        }
    }
}
