//! What a patch must leave alone: what is served, what the volumes hold, how the container is set up.

use std::collections::BTreeMap;
use std::process::Output;

use patchyard_types::Digest;
use serde_json::Value;

use crate::Service;

/// Everything about a service that must be the same after a patch, and after its way back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// The bytes it serves.
    pub served: Result<String, String>,
    /// A checksum of the contents of each mount, by its place.
    pub volumes: BTreeMap<String, Digest>,
    /// Its settings, normalised in the one place that says what that means.
    pub settings: Value,
    /// Whether it runs, and how often the engine restarted it.
    pub state: (String, u64),
    /// What its own healthcheck says, where it has one.
    pub healthcheck: bool,
}

impl Fingerprint {
    pub(crate) fn of(service: &Service) -> Self {
        let inspect = service.inspect();
        let mounts = inspect["Mounts"].as_array().cloned().unwrap_or_default();
        let places = mounts.iter().filter_map(|mount| mount["Destination"].as_str());
        Self {
            served: service.answer(),
            volumes: places.map(|place| (place.to_owned(), checksum(service, place))).collect(),
            settings: patchyard_provider_docker::normalise(&inspect),
            state: (
                inspect["State"]["Status"].as_str().unwrap_or_default().to_owned(),
                inspect["RestartCount"].as_u64().unwrap_or_default(),
            ),
            healthcheck: inspect["State"]["Health"].is_object(),
        }
    }

    /// The same, but for the version that is served: what must hold between the two versions.
    #[must_use]
    pub fn but_for_the_version(mut self) -> Self {
        self.served = self.served.map(|text| text.replace("1.1", "1.0").replace("1.2", "1.0"));
        self
    }
}

/// A checksum over the files below a place: names, modes, times and bytes, as the engine archives them.
fn checksum(service: &Service, place: &str) -> Digest {
    let Output { status, stdout, .. } =
        service.engine().try_docker(["cp", "-a", &format!("{}:{place}/.", service.name()), "-"]);
    assert!(status.success(), "{place} of {} cannot be read", service.name());
    Digest::of_bytes(&stdout)
}
