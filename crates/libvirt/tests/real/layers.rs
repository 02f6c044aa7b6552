//! Snapshots of a disk: taken, forgotten, put back.

use std::path::{Path, PathBuf};
use std::time::Duration;

use patchyard_contract::{Command as Program, Keeper, KeeperError, Transport, TransportError};
use patchyard_libvirt::agent::Exec;
use patchyard_libvirt::domain::{AgentChannel, Disk, Image, Source};
use patchyard_types::Digest;

use crate::machine::{Machine, Opened};

mod suite {
    patchyard_contract::keeper_suite! { super::Machine::own("kept");
        what_is_forgotten_leaves_what_was_written_since
        snapshots_go_in_any_order
    }

    #[test]
    fn what_is_put_back_has_never_been() {
        if super::is_left_out() {
            return;
        }
        let machine = super::Machine::own("back");
        patchyard_contract::suite::run(async {
            patchyard_contract::suite::keeper::what_is_put_back_has_never_been(&machine).await;
        });
    }
}

/// What boots an emulated machine takes its time.
fn is_left_out() -> bool {
    let is_left_out = std::env::var_os("PATCHYARD_SLOW").is_none();
    if is_left_out {
        eprintln!("not run: it boots an emulated machine; PATCHYARD_SLOW=1 runs it");
    }
    is_left_out
}

const NAME: &str = "patchyard-0a1b2c3d-r3.0";

/// The names of a disk's files, its own first.
pub fn files(disk: &Disk) -> Vec<String> {
    let name = |image: &Image| match &image.source {
        Source::File(path) => Path::new(path).file_name().unwrap().to_str().unwrap().to_owned(),
        other => panic!("{other:?}"),
    };
    disk.images().map(name).collect()
}

async fn layers(opened: &Opened) -> Vec<String> {
    let description = opened.description().await;
    assert!(description.disks[0].backing.complete);
    files(&description.disks[0])
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

fn is_there(folder: &Path) -> bool {
    folder.join(format!("{NAME}-vda.qcow2")).exists()
}

#[tokio::test]
async fn a_layer_goes_into_the_file_below_and_never_into_the_image_that_others_share() {
    let machine = Machine::own("base");
    let opened = machine.opened().await;
    let folder: PathBuf = opened.folder().await;
    let image = || Digest::of_bytes(&std::fs::read(folder.join("disk.raw")).unwrap());
    let before = image();

    let full = opened.keeper.save(NAME, u64::MAX).await.unwrap_err();
    assert!(matches!(full, KeeperError::NoSpace(_)), "{full}");
    assert!(!is_there(&folder));

    opened.keeper.save(NAME, 1024 * 1024).await.unwrap();
    assert_eq!(layers(&opened).await, [&*format!("{NAME}-vda.qcow2"), "disk.qcow2", "disk.raw"]);
    opened.sh("echo kept >/root/kept; sync").await;
    opened.keeper.forget(NAME).await.unwrap();
    assert_eq!(layers(&opened).await, ["disk.qcow2", "disk.raw"]);
    assert!(!is_there(&folder), "its file is gone");
    assert_eq!(opened.sh("cat /root/kept").await, "kept");
    assert_eq!(image(), before);
}

#[tokio::test]
async fn without_an_agent_nothing_is_held_still_and_no_snapshot_taken() {
    let machine = Machine::own("still");
    let opened = machine.opened().await;
    let folder = opened.folder().await;

    // Held still, programs are refused, and it is said why.
    assert!(opened.connection.freeze(&opened.domain, &[]).await.unwrap() > 0);
    let held = opened.transport.run(Program::new(["true"])).await;
    let Err(TransportError::Unreachable { reason, .. }) = held else { panic!("{held:?}") };
    assert!(reason.contains("held still for a snapshot"), "{reason}");
    assert!(opened.connection.thaw(&opened.domain).await.unwrap() > 0);

    stop_agent(&opened).await;
    let refused = opened.keeper.save(NAME, 1024 * 1024).await.unwrap_err();
    assert!(
        matches!(&refused, KeeperError::Refused(why) if why.contains("did not hold its file systems still")),
        "{refused}"
    );
    assert!(!is_there(&folder));
    assert_eq!(layers(&opened).await, ["disk.qcow2", "disk.raw"]);
    assert!(opened.keeper.is_running().await.unwrap(), "it runs, and its agent does not answer");
}

#[tokio::test]
async fn a_machine_that_is_powered_off_goes_back_too() {
    if is_left_out() {
        return;
    }
    let machine = Machine::own("off");
    let opened = machine.opened().await;
    let folder = opened.folder().await;
    opened.keeper.save(NAME, 1024 * 1024).await.unwrap();
    opened.sh("echo bad >/root/bad; sync").await;
    opened.connection.destroy(&opened.domain).await.unwrap();
    assert!(!opened.keeper.is_running().await.unwrap());
    let refused = opened.keeper.forget(NAME).await.unwrap_err();
    assert!(matches!(&refused, KeeperError::Refused(why) if why.contains("start it")), "{refused}");

    opened.keeper.put_back(NAME).await.unwrap();
    while opened.agent.ping().await.is_err() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(opened.sh("ls -A /root/bad 2>/dev/null || echo gone").await, "gone");
    assert_eq!(layers(&opened).await, ["disk.qcow2", "disk.raw"]);
    assert!(!is_there(&folder));
}
