//! Snapshots of a disk: taken, kept, gone back to.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use patchyard_contract::{Command as Program, Transport, TransportError};
use patchyard_libvirt::LibvirtError;
use patchyard_libvirt::agent::Exec;
use patchyard_libvirt::calls::{
    AbortFlags, BlockJobKind, Commit, CommitBase, CommitFlags, SnapshotFlags, StartFlags, StateKind,
};
use patchyard_libvirt::domain::{AgentChannel, Disk, Image, Source};

use crate::machine::{Machine, Opened};

/// Says which boot of the machine this is.
const BOOT: &str = "cat /proc/sys/kernel/random/boot_id";

/// The names of a disk's files, its own first.
pub fn files(disk: &Disk) -> Vec<String> {
    let name = |image: &Image| match &image.source {
        Source::File(path) => Path::new(path).file_name().unwrap().to_str().unwrap().to_owned(),
        other => panic!("{other:?}"),
    };
    std::iter::once(&disk.image).chain(&disk.backing.layers).map(name).collect()
}

async fn layers(opened: &Opened) -> Vec<String> {
    let description = opened.description().await;
    assert!(description.disks[0].backing.complete);
    files(&description.disks[0])
}

/// Of the disk alone, with its file systems held still.
async fn snapshot(opened: &Opened, file: &Path) -> Result<String, LibvirtError> {
    let xml = format!(
        "<domainsnapshot><disks><disk name='vda' snapshot='external'><source file='{}'/></disk></disks>\
         </domainsnapshot>",
        file.display()
    );
    let how = SnapshotFlags::DISK_ONLY
        | SnapshotFlags::NO_METADATA
        | SnapshotFlags::ATOMIC
        | SnapshotFlags::QUIESCE;
    opened.connection.snapshot(&opened.domain, &xml, how).await
}

/// What is in a layer is given to the one below.
async fn keep(opened: &Opened) {
    let commit = Commit { base: CommitBase::Below, top: None, bandwidth: 0, flags: CommitFlags::ACTIVE };
    opened.connection.commit(&opened.domain, "vda", &commit).await.unwrap();
    loop {
        let job = opened.connection.block_job(&opened.domain, "vda").await.unwrap().expect("a job");
        assert_eq!(job.kind, BlockJobKind::ActiveCommit);
        if job.is_complete() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    opened.connection.end_block_job(&opened.domain, "vda", AbortFlags::PIVOT).await.unwrap();
    assert_eq!(opened.connection.block_job(&opened.domain, "vda").await.unwrap(), None);
}

/// An empty layer in place of one that is thrown away; its owner is the one who runs the machine.
fn empty(layer: &Path, below: &Path) {
    let owner = std::fs::metadata(below).unwrap();
    let made = Command::new("qemu-img")
        .args(["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b"])
        .args([below, layer])
        .status();
    assert!(made.unwrap().success());
    std::os::unix::fs::chown(layer, Some(owner.uid()), Some(owner.gid())).unwrap();
}

/// Whoever asks an agent to stop hears no more of it.
async fn stop_agent(opened: &Opened) {
    let arguments = ["-c", "sleep 1; exec systemctl --no-block stop qemu-guest-agent.service"];
    let exec = Exec {
        path: "/bin/sh",
        arguments: &arguments.map(str::to_owned),
        environment: &[],
        input: &[],
        capture: false,
    };
    opened.agent.exec(&exec).await.unwrap();
    for _ in 0..600 {
        if opened.description().await.agent == AgentChannel::Disconnected {
            return;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    panic!("the agent still listens");
}

#[tokio::test]
async fn a_layer_is_kept_while_the_machine_runs() {
    let machine = Machine::own("kept");
    let opened = machine.opened().await;
    let folder = opened.folder().await;
    let boot = opened.sh(BOOT).await;

    // Held still, programs are refused, and it is said why.
    assert!(opened.connection.freeze(&opened.domain, &[]).await.unwrap() > 0);
    let held = opened.transport.run(Program::new(["true"])).await;
    let Err(TransportError::Unreachable { reason, .. }) = held else { panic!("{held:?}") };
    assert!(reason.contains("held still for a snapshot"), "{reason}");
    assert!(opened.connection.thaw(&opened.domain).await.unwrap() > 0);

    // What is kept becomes part of the layer below, and of no other: that one is shared.
    snapshot(&opened, &folder.join("kept.qcow2")).await.unwrap();
    assert_eq!(layers(&opened).await, ["kept.qcow2", "disk.qcow2", "disk.raw"]);
    opened.sh("echo kept >/root/kept").await;
    keep(&opened).await;
    assert_eq!(layers(&opened).await, ["disk.qcow2", "disk.raw"]);
    assert_eq!(opened.sh("cat /root/kept").await, "kept");
    assert_eq!(opened.sh(BOOT).await, boot, "it has run all the time");

    // Without an agent nothing can be held still: no snapshot, and nothing has changed.
    stop_agent(&opened).await;
    let silent = opened.agent.ping().await;
    assert!(matches!(silent, Err(LibvirtError::AgentSilent { .. })), "{silent:?}");
    let none = folder.join("none.qcow2");
    let refused = snapshot(&opened, &none).await;
    assert!(matches!(refused, Err(LibvirtError::AgentSilent { .. })), "{refused:?}");
    assert!(!none.exists());
    assert_eq!(layers(&opened).await, ["disk.qcow2", "disk.raw"]);
}

#[tokio::test]
async fn a_layer_that_is_thrown_away_has_never_been() {
    if std::env::var_os("PATCHYARD_SLOW").is_none() {
        eprintln!("not run: it boots an emulated machine; PATCHYARD_SLOW=1 runs it");
        return;
    }
    let machine = Machine::own("thrown");
    let opened = machine.opened().await;
    let folder = opened.folder().await;
    let boot = opened.sh(BOOT).await;

    // What was written just before the snapshot is there still: it was quiesced.
    opened.sh("echo late >/root/late").await;
    let thrown = folder.join("thrown.qcow2");
    snapshot(&opened, &thrown).await.unwrap();
    opened.sh("echo bad >/root/bad; rm /root/late; sync").await;
    opened.connection.destroy(&opened.domain).await.unwrap();
    assert_eq!(opened.connection.state(&opened.domain).await.unwrap().kind, StateKind::Off);
    empty(&thrown, &folder.join("disk.qcow2"));
    let started = opened.connection.start(&opened.domain, StartFlags::NONE).await.unwrap();
    assert_eq!((&started.name, started.uuid), (&opened.domain.name, opened.domain.uuid));
    opened.wait().await;
    assert_eq!(opened.sh("cd /root; ls; cat late").await, "late\nlate");
    assert_ne!(opened.sh(BOOT).await, boot);
    assert_eq!(layers(&opened).await, ["thrown.qcow2", "disk.qcow2", "disk.raw"]);
}
