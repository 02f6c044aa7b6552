//! A real LXD, and system containers in it with systemd at the helm (`lab/lxd`).

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod yard;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use patchyard_cache::FileCache;
use patchyard_contract::{Ask, Command, Provider as _, Transport as _, TransportError};
use patchyard_guest::files;
use patchyard_incus::{IncusError, InstanceName, InstanceTransport, Kind, Product};
use patchyard_provider_host::{HostProvider, Options};
use patchyard_types::Digest;
use yard::{Container, Lxd, Shared};

mod suite {
    patchyard_contract::transport_suite!(super::Shared);
}

mod keeper {
    patchyard_contract::keeper_suite!(super::Container::new());
}

#[tokio::test]
async fn a_server_tells_what_it_is_and_what_it_has() {
    let lxd = Lxd::shared();
    let client = lxd.client().await;
    let server = client.server();
    assert_eq!(server.product, Product::Lxd);
    assert!(lxd.lxc(&["version"]).contains(&format!("Server version: {}", server.version)));
    assert!(server.has("instances") && !server.has("no-such-extension"));

    let web = Container::with(&["-c", "user.service=shop", "-c", "user.user-data=secret"]);
    let listed = client.instances().await.unwrap();
    let found = listed.iter().find(|instance| instance.name == web.name).unwrap();
    assert_eq!(found, &client.instance(&web.name).await.unwrap());
    assert!(found.is_running());
    assert_eq!(found.kind, Kind::Container);
    assert_eq!(found.labels, BTreeMap::from([("service".to_owned(), "shop".to_owned())]));
    assert_eq!(found.uuid.as_deref(), Some(&*lxd.lxc(&["config", "get", &web.name.name, "volatile.uuid"])));
    assert_eq!(found.architecture, std::env::consts::ARCH);
    let guest = listed.iter().find(|instance| instance.name == InstanceName::new("guest")).unwrap();
    assert_eq!((&*guest.status, guest.is_running()), ("Stopped", false));
}

#[tokio::test]
async fn instances_of_other_projects_are_found_and_reached() {
    let lxd = Lxd::shared();
    lxd.lxc(&["project", "create", "shop", "-c", "features.images=false", "-c", "features.profiles=false"]);
    lxd.lxc(&["copy", "guest", "web", "--target-project", "shop"]);
    lxd.lxc(&["start", "web", "--project", "shop"]);
    let client = lxd.client().await;
    let web = InstanceName::new("shop/web");
    assert!(client.instances().await.unwrap().iter().any(|instance| instance.name == web));
    let transport = InstanceTransport::new(client.clone(), web.clone(), "web");
    assert!(transport.run(Command::new(["true"])).await.unwrap().success());
    client.create_snapshot(&web, "one").await.unwrap();
    assert_eq!(client.snapshots(&web).await.unwrap().len(), 1);
    lxd.lxc(&["delete", "--force", "web", "--project", "shop"]);
    lxd.lxc(&["project", "delete", "shop"]);
}

#[tokio::test]
async fn what_does_not_run_or_is_not_there_is_told() {
    let lxd = Lxd::shared();
    let client = lxd.client().await;
    for (name, words) in [("guest", "is not running: start it first"), ("nobody", "not found")] {
        let transport = InstanceTransport::new(client.clone(), InstanceName::new(name), name);
        let answer = transport.run(Command::new(["true"])).await;
        let Err(TransportError::Unreachable { host, reason }) = answer else { panic!("{answer:?}") };
        assert!(host == name && reason.contains(words), "{reason}");
    }
    for nobody in ["nobody", "nowhere/nobody", "a b", ".."] {
        let answer = client.instance(&InstanceName::new(nobody)).await;
        assert!(answer.is_err(), "{nobody}: {answer:?}");
    }
    let missing = client.instance(&InstanceName::new("nobody")).await;
    assert!(matches!(missing, Err(IncusError::NotFound { .. })), "{missing:?}");
}

#[tokio::test]
async fn an_instance_goes_back_to_its_snapshot() {
    let container = Container::new();
    let client = container.lxd.client().await;
    let name = "patchyard-a1b2c3d4-r1.2";
    let uuid = client.instance(&container.name).await.unwrap().uuid;
    container.sh("echo before >/etc/state; sync").await;
    client.create_snapshot(&container.name, name).await.unwrap();
    let [snapshot] = &client.snapshots(&container.name).await.unwrap()[..] else { panic!("one snapshot") };
    assert_eq!((&*snapshot.name, snapshot.stateful), (name, false));
    let again = client.create_snapshot(&container.name, name).await.unwrap_err();
    assert!(again.to_string().contains("already exists"), "{again}");

    container.sh("echo after >/etc/state; touch /etc/more").await;
    client.restore(&container.name, name).await.unwrap();
    let restored = client.instance(&container.name).await.unwrap();
    assert!(restored.is_running() && restored.uuid == uuid, "{restored:?}");
    assert_eq!(container.sh("cat /etc/state; test ! -e /etc/more").await, "before");

    client.delete_snapshot(&container.name, name).await.unwrap();
    assert!(client.snapshots(&container.name).await.unwrap().is_empty());
    let gone = client.delete_snapshot(&container.name, name).await;
    assert!(matches!(gone, Err(IncusError::NotFound { .. })), "{gone:?}");
    let nothing = client.restore(&container.name, name).await;
    assert!(nothing.is_err(), "{nothing:?}");
}

#[tokio::test]
async fn a_container_is_a_machine_like_any_other() {
    let container = Container::new();
    container
        .sh("for i in $(seq 300); do test ! -s /etc/machine-id || exit 0; sleep 0.1; done; exit 1")
        .await;
    let id = container.sh("cat /etc/machine-id").await;
    let cache = tempfile::tempdir().unwrap();
    let options = Options {
        controller: "a1b2c3d4e5f6".to_owned(),
        cache: Arc::new(FileCache::open(cache.path()).unwrap()),
        kind: "incus",
        name: "web".to_owned(),
        service: None,
        labels: BTreeMap::new(),
        kept: None,
    };
    let host = HostProvider::connect(Arc::new(container.transport().await), options).await.unwrap();
    assert_eq!(host.host().as_str(), id);
    let target = host.discover().await.unwrap().remove(0);
    assert_eq!(target.image.id, "debian 12");
    let inventory = host.inventory(&target).await.unwrap();
    let pending = host.pending(&target, &inventory, &Ask::default()).await.unwrap();
    assert!(pending.iter().any(|patch| patch.package == "lab-tool"), "{pending:?}");
}

#[tokio::test]
async fn files_go_in_and_come_out() {
    let container = Container::new();
    let transport = container.transport().await;
    let bytes: Vec<u8> = (0..5_000_001_u32).map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[2]).collect();
    let digest = Digest::of_bytes(&bytes);
    files::write(&transport, "/var/lib/patchyard/f", bytes.clone(), &digest).await.unwrap();
    assert!(files::is_there(&transport, "/var/lib/patchyard/f", &digest).await.unwrap());
    assert!(files::read(&transport, "/var/lib/patchyard/f", bytes.len()).await.unwrap() == bytes);
    assert!(files::read(&transport, "/no/such/file", 1).await.is_err());
}

/// To a server these are failures of its own.
#[tokio::test]
async fn a_program_may_end_with_any_code() {
    let container = Container::new();
    let transport = container.transport().await;
    for code in [126, 127, 128, 137, 255] {
        let script = "echo out; echo no >&2; exit \"$1\"";
        let output =
            transport.run(Command::new(["sh", "-c", script, "sh", &code.to_string()])).await.unwrap();
        assert_eq!((output.code, &*output.stdout, &*output.stderr), (code, &b"out\n"[..], &b"no\n"[..]));
    }
    let killed = transport.run(Command::new(["sh", "-c", "kill -KILL $$"])).await.unwrap();
    assert_eq!(killed.code, 137);
}

/// Whoever asked for it is gone, and the server kills what it has started itself, if it has not done so already.
#[tokio::test]
async fn what_nobody_waits_for_ends_by_its_limit() {
    let container = Container::new();
    let transport = container.transport().await;
    let script = "trap '' TERM HUP INT; cut -d ' ' -f 4 /proc/$PPID/stat >/run/started; echo $$ >/run/it; \
        while :; do sleep 0.1; done";
    let command = Command::new(["sh", "-c", script]).limit(Duration::from_secs(3));
    let begun = "for i in $(seq 300); do test ! -s /run/it || exit 0; sleep 0.1; done; exit 1";
    tokio::select! {
        ran = transport.run(command) => panic!("{ran:?}"),
        _ = container.sh(begun) => {}
    }
    container.sh("it=$(cat /run/started); test $it = 0 || kill -KILL $it || true").await;
    let ended = "for i in $(seq 300); do kill -0 $(cat /run/it) || exit 0; sleep 0.1; done; exit 1";
    container.sh(ended).await;
}
