//! Targets with volumes and folders of the host: reading them never puts these at risk (docs/data-safety.md).

use std::path::Path;

use patchyard_contract::{Ask, Provider};
use serde_json::{Value, json};

use crate::support::{Container, Yard, unique, yard};

/// What a target with both kinds of mounts is made with; goes with the guard.
struct Mounted {
    container: Container,
    volume: Volume,
    folder: tempfile::TempDir,
}

struct Volume(String);

impl Drop for Volume {
    fn drop(&mut self) {
        drop(std::process::Command::new("docker").args(["volume", "rm", "--force", &self.0]).output());
    }
}

async fn mounted(yard: &Yard) -> Mounted {
    let (volume, folder) = (Volume(unique("data")), tempfile::tempdir().unwrap());
    std::fs::write(folder.path().join("file"), "of the host").unwrap();
    let mount =
        |kind: &str, source: &str, target: &str| json!({"Type": kind, "Source": source, "Target": target});
    let mounts =
        [mount("volume", &volume.0, "/data"), mount("bind", folder.path().to_str().unwrap(), "/host/folder")];
    let container = yard.container("patchyard-lab/base:1", json!({"HostConfig": {"Mounts": mounts}})).await;
    yard.run(&container, &["sh", "-c", "echo kept > /data/file"]).await;
    Mounted { container, volume, folder }
}

async fn mountpoint(yard: &Yard, volume: &Volume) -> String {
    let found: Value = yard.docker.client().get(&["volumes", &volume.0]).json().await.unwrap();
    found["Mountpoint"].as_str().unwrap().to_owned()
}

/// Everything that is read of a target.
async fn read(yard: &Yard, container: &Container) -> (usize, usize, Vec<String>) {
    let target = yard.target(container).await;
    let inventory = yard.docker.inventory(&target).await.unwrap();
    let pending = yard.docker.pending(&target, &inventory, &Ask::default()).await.unwrap();
    let unsaved = yard.docker.unsaved(&target).await.unwrap();
    assert!(target.os.is_some());
    (inventory.packages.len(), pending.len(), unsaved.paths)
}

/// The engine cannot answer an archive call to a target whose folder is gone, because it would mount that first.
/// Who reads it all the same has not asked the target.
#[tokio::test(flavor = "multi_thread")]
async fn no_archive_call_goes_to_a_target_with_mounts() {
    let yard = yard().await;
    let plain = yard.container("patchyard-lab/base:1", json!({})).await;
    let mounted = mounted(&yard).await;
    drop(mounted.folder);
    let asked = yard.docker.client().stat(&mounted.container.name, "/etc").await;
    assert!(!matches!(asked, Ok(Some(_))), "the engine answers without mounting: {asked:?}");

    let (packages, pending, _) = read(&yard, &plain).await;
    assert!(packages > 50);
    assert_eq!(read(&yard, &mounted.container).await, (packages, pending, vec![]));
    // And when it has written something, of which only the container itself tells.
    yard.run(&mounted.container, &["sh", "-c", "mkdir /srv/app; echo x > /srv/app/file; apt-mark hold dpkg"])
        .await;
    let (again, _, unsaved) = read(&yard, &mounted.container).await;
    assert_eq!((again, unsaved), (packages, vec!["/srv/app/file".to_owned()]));
    assert_eq!(yard.left_helpers().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_removes_a_target_while_it_is_read_loses_nothing_of_its_mounts() {
    let yard = yard().await;
    for _ in 0..8 {
        let Mounted { container, volume, folder } = mounted(&yard).await;
        let target = yard.target(&container).await;
        let reading = async {
            for _ in 0..20 {
                // Gone at some moment, which is what it is about.
                let _ = tokio::join!(yard.docker.inventory(&target), yard.docker.unsaved(&target));
            }
        };
        let removing = async {
            let removed =
                tokio::process::Command::new("docker").args(["rm", "--force", &container.name]).output();
            assert!(removed.await.unwrap().status.success());
        };
        tokio::join!(reading, removing);
        let place = mountpoint(&yard, &volume).await;
        assert_eq!(std::fs::read_to_string(Path::new(&place).join("file")).unwrap(), "kept\n");
        assert_eq!(std::fs::read_to_string(folder.path().join("file")).unwrap(), "of the host");
    }
}
