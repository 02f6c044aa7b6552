//! Values the tests of this crate share.

use patchyard_types::{
    Action, Data, Digest, Drain, Expected, HostId, Method, Millis, Order, Settings, TargetId, TargetKind,
    WritableLayer,
};

/// The same, and the new container is started first.
pub(crate) fn start_first() -> Action {
    let (data, writable_layer) = (Data::Keep, WritableLayer::LeaveOut);
    Action { order: Order::StartFirst, data, writable_layer, ..action() }
}

/// An action with the default settings.
pub(crate) fn action() -> Action {
    let defaults = Settings::default();
    let host = HostId::new("host");
    Action {
        target: TargetId::new("sim", &host, "shop-1"),
        name: "shop-1".into(),
        service: "shop".into(),
        host,
        kind: TargetKind::Container,
        method: Method::Layer,
        patch_set: Digest::of_bytes(b"patch set"),
        expected: Expected {
            object: "old".into(),
            image: "image".into(),
            config: Digest::of_bytes(b"config"),
            reference: "shop:1".into(),
            base: None,
        },
        checks: Vec::new(),
        verify_for: Millis::from_secs(30),
        timeouts: defaults.timeouts,
        max_layer: defaults.max_layer,
        writable_layer: WritableLayer::Carry,
        data: Data::Restore,
        order: Order::StopFirst,
        drain: Drain { command: vec!["drain".into()], wait: Millis::from_secs(5) },
        reboot: patchyard_types::Reboot::ServicesOnly,
        way_back: patchyard_types::WayBack::Required,
        max_unavailable: 1,
        losses: Vec::new(),
        dependents: Vec::new(),
    }
}

/// A baseline in which nothing was stable.
pub(crate) fn no_baseline() -> patchyard_types::Baseline {
    patchyard_types::Baseline {
        listening: std::collections::BTreeSet::new(),
        processes: std::collections::BTreeSet::new(),
        http: std::collections::BTreeMap::new(),
        parts: std::collections::BTreeSet::new(),
        healthcheck: false,
    }
}
