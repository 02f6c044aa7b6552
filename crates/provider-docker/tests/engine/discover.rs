//! Targets as they are found.

use std::path::Path;
use std::process::Command;

use patchyard_contract::Provider;
use patchyard_provider_docker::client::{Address, Endpoint};
use patchyard_types::{Manager, MountKind, TargetState, Unsaved};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use crate::support::{endpoint, unique, yard, yard_on};

#[tokio::test(flavor = "multi_thread")]
async fn a_container_is_found_with_everything_about_it() {
    let yard = yard().await;
    let network = yard.network("net").await;
    let container = yard
        .container(
            "patchyard-lab/web-good:1",
            json!({
                "Labels": {"io.patchyard.service": "shop", "io.patchyard.env": "prod"},
                "HostConfig": {
                    "NetworkMode": network.name, "Tmpfs": {"/scratch": ""}, "RestartPolicy": {"Name": "always"},
                    "PortBindings": {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]},
                },
                "Volumes": {"/data": {}},
            }),
        )
        .await;
    let target = yard.target(&container).await;
    assert_eq!(target.id.as_str(), format!("docker:{}/{}", yard.docker.host(), container.name));
    assert_eq!((target.service.as_str(), target.environment.as_deref()), ("shop", Some("prod")));
    assert_eq!((target.state, target.networks), (TargetState::Running, vec![network.name.clone()]));
    assert_eq!(
        (target.image.reference.as_str(), target.image.base.as_ref()),
        ("patchyard-lab/web-good:1", None)
    );
    assert!(target.image.id.starts_with("sha256:"));
    assert!(target.os.is_some_and(|os| os.id == "debian" || os.id == "ubuntu"));
    assert_eq!(target.ports.len(), 1);
    assert_eq!((target.ports[0].port, target.ports[0].host_ip.as_str()), (8080, "127.0.0.1"));
    assert!(target.ports[0].host_port > 0);
    let mounts: Vec<_> = target.mounts.iter().map(|mount| (mount.kind, mount.destination.as_str())).collect();
    assert_eq!(mounts, [(MountKind::Volume, "/data"), (MountKind::Tmpfs, "/scratch")]);
    assert_eq!(target.refusals, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_digest_of_a_configuration_changes_with_it_and_only_with_it() {
    let yard = yard().await;
    let name = unique("config");
    let digest = |env: &'static str| {
        let (yard, name) = (&yard, &name);
        async move {
            let container = yard.named(name, "patchyard-lab/base:1", json!({"Env": [env]})).await;
            yard.target(&container).await.config
        }
    };
    let first = digest("A=1").await;
    assert_eq!(digest("A=1").await, first);
    assert_ne!(digest("A=2").await, first);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_put_back_is_refused_by_name() {
    let yard = yard().await;
    let base = "patchyard-lab/base:1";
    let removed = yard.container(base, json!({"HostConfig": {"AutoRemove": true}})).await;
    let host = yard.container(base, json!({})).await;
    let guest = yard
        .container(base, json!({"HostConfig": {"NetworkMode": format!("container:{}", host.name)}}))
        .await;
    let borrower = yard.container(base, json!({"HostConfig": {"VolumesFrom": [host.name]}})).await;
    // An engine creates a container on the network that its settings name, and it has left that one for another.
    let [left, other] = [yard.network("left").await, yard.network("other").await];
    let moved = yard.container(base, json!({"HostConfig": {"NetworkMode": left.name}})).await;
    for (network, what) in [(&other, "connect"), (&left, "disconnect")] {
        let body = json!({"Container": moved.name});
        yard.docker.client().post(&["networks", &network.name, what]).json_body(&body).done().await.unwrap();
    }
    for (container, expected) in [
        (&removed, vec!["auto_remove"]),
        (&moved, vec!["network_changed"]),
        (&host, vec![]),
        (&guest, vec![]),
        (&borrower, vec![]),
    ] {
        let codes: Vec<String> = yard.target(container).await.refusals.into_iter().map(|r| r.code).collect();
        assert_eq!(codes, expected, "{}", container.name);
    }
    let owner = yard.target(&host).await;
    assert_eq!(yard.target(&guest).await.lives_in, [owner.object], "whose namespaces it lives in is known");
    assert_eq!(owner.lives_in, [""; 0]);
    assert_eq!(yard.target(&borrower).await.lives_in, [""; 0], "volumes are no namespace");
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_helpers_are_never_targets_and_inherited_labels_hide_nobody() {
    let yard = yard().await;
    let helper = yard
        .created(&format!("patchyard-{}-0123abcd-build", yard.controller), "patchyard-lab/base:1", json!({}))
        .await;
    let labels = json!({"Labels": {"io.patchyard.role": "build", "io.patchyard.controller": "somebody"}});
    let labelled = yard.container("patchyard-lab/base:1", labels).await;
    let found = yard.docker.discover().await.unwrap();
    assert!(!found.iter().any(|target| target.name == helper.name));
    assert!(found.iter().any(|target| target.name == labelled.name));
}

/// `/lib` leads to `/usr/lib` in Debian's images, and engines tell of changes by their true paths.
#[tokio::test(flavor = "multi_thread")]
async fn places_of_mounts_and_of_the_engines_init_are_nobodys_data() {
    let yard = yard().await;
    let body = json!({"Volumes": {"/lib/data": {}}, "HostConfig": {"Init": true}});
    let container = yard.container("patchyard-lab/base:1", body).await;
    yard.run(&container, &["sh", "-c", "touch /lib/data/file; chmod 2770 /lib/data; chown 7:8 /lib/data"])
        .await;
    let target = yard.target(&container).await;
    assert_eq!(yard.docker.unsaved(&target).await.unwrap(), Unsaved::default());
    yard.run(&container, &["touch", "/srv/file"]).await;
    assert_eq!(yard.docker.unsaved(&target).await.unwrap().paths, ["/srv/file"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_recreation_would_lose_is_unsaved() {
    let yard = yard().await;
    let container = yard.container("patchyard-lab/base:1", json!({"Volumes": {"/data": {}}})).await;
    let target = yard.target(&container).await;
    assert_eq!(yard.docker.unsaved(&target).await.unwrap(), Unsaved::default());
    let script = "mkdir -p /srv/empty /srv/full /run/secrets; touch /tmp/x /data/y /var/log/z /root/.bash_history; mkfifo /srv/pipe; \
        echo 1 > /srv/full/file; echo 1 > /run/secrets/key; echo 1 >> /etc/bash.bashrc; rm /etc/debian_version";
    yard.run(&container, &["sh", "-c", script]).await;
    let unsaved = yard.docker.unsaved(&target).await.unwrap();
    assert_eq!(
        unsaved.paths,
        ["/etc/bash.bashrc", "/etc/debian_version", "/run/secrets/key", "/srv/full/file"]
    );
    assert!(unsaved.cannot_carry.is_some_and(|why| why.contains("deleted /etc/debian_version")));
}

/// The engine behind a socket of the test's own: there a container is removed just before the first question about its files.
fn engine_that_loses(container: &str, folder: &Path) -> Endpoint {
    let Address::Unix(socket) = endpoint().address else { panic!("this test wants an engine on a socket") };
    let own = folder.join("docker.sock");
    let listener = UnixListener::bind(&own).unwrap();
    let container = container.to_owned();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (socket, container) = (socket.clone(), container.clone());
            tokio::spawn(async move {
                let (mut asks, mut told) = stream.into_split();
                let (mut answers, mut engine) = UnixStream::connect(socket).await.unwrap().into_split();
                tokio::spawn(async move { tokio::io::copy(&mut answers, &mut told).await });
                let mut part = vec![0; 64 * 1024];
                while let Ok(size @ 1..) = asks.read(&mut part).await {
                    if String::from_utf8_lossy(&part[..size]).contains("/archive?") {
                        drop(Command::new("docker").args(["rm", "--force", &container]).output());
                    }
                    if engine.write_all(&part[..size]).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    Endpoint { address: Address::Unix(own), from: "--host".to_owned() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_goes_while_it_is_read_says_nothing_about_its_image() {
    let maker = yard().await;
    let made = maker.container("patchyard-lab/base:1", json!({})).await;
    let image = maker.image_of(&made).await;
    let going = maker.container(&image.name, json!({})).await;
    let folder = tempfile::tempdir().unwrap();
    let yard = yard_on(engine_that_loses(&going.name, folder.path()), None).await;
    assert!(yard.target(&going).await.os.is_none(), "it went before it was read");
    let next = maker.container(&image.name, json!({})).await;
    assert!(yard.target(&next).await.os.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_goes_while_it_is_read_hides_nothing_from_others_of_its_image() {
    let maker = yard().await;
    let made = maker.container("patchyard-lab/base:1", json!({})).await;
    let image = maker.image_of(&made).await;
    let staying = maker.container(&image.name, json!({})).await;
    // The youngest is the first of the engine's list.
    let going = maker.container(&image.name, json!({})).await;
    let folder = tempfile::tempdir().unwrap();
    let yard = yard_on(engine_that_loses(&going.name, folder.path()), None).await;
    assert!(yard.target(&staying).await.os.is_some());
}

/// A unit that is active, as systemd itself would tell: a file, and a link in its name. Gone when this is dropped.
struct ActiveUnit([std::path::PathBuf; 2]);

impl ActiveUnit {
    fn running(container: &str) -> Self {
        let name = format!("{container}.service");
        let file = Path::new("/etc/systemd/system").join(&name);
        let link = Path::new("/run/systemd/units").join(format!("invocation:{name}"));
        for path in [&file, &link] {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        }
        let text = format!("[Service]\nExecStart=/usr/bin/docker start -a {container}\n");
        std::fs::write(&file, text).unwrap();
        std::os::unix::fs::symlink("0123456789abcdef0123456789abcdef", &link).unwrap();
        Self([file, link])
    }
}

impl Drop for ActiveUnit {
    fn drop(&mut self) {
        for path in &self.0 {
            drop(std::fs::remove_file(path));
        }
        // Where systemd does not run there was none.
        drop(std::fs::remove_dir("/run/systemd/units"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_systemd_unit_that_runs_a_container_is_named() {
    let yard = yard().await;
    let container = yard.container("patchyard-lab/web-good:1", json!({})).await;
    let managers = async || yard.target(&container).await.managers;
    // Others may have a Watchtower here, which takes care of everything.
    let systemd = Manager::Systemd(format!("{}.service", container.name));
    assert!(!managers().await.contains(&systemd));
    let _unit = ActiveUnit::running(&container.name);
    let told = managers().await;
    assert!(told.contains(&systemd), "{told:?}");
}
