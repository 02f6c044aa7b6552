//! A libvirt behind `ssh`.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use patchyard_contract::{Command as Program, Keeper, Transport};
use patchyard_libvirt::calls::ListFlags;
use patchyard_libvirt::connection::Line;
use patchyard_libvirt::{Agent, AgentTransport, DomainKeeper, Environment, Uri};

use crate::machine::Machine;

/// `ssh` itself is not at hand without an account to log in to: a program of its name has the same line run by a shell of the
/// user whose libvirt it is, here instead of over there.
const SSH: &str = r#"#!/bin/sh
while [ "$1" != -- ]; do shift; done
[ "$2" = kvm01 ] || exit 255
exec setpriv --reuid patchyard-lab --regid patchyard-lab --clear-groups env XDG_RUNTIME_DIR=@run@ sh -c "$3"
"#;
const NAME: &str = "patchyard-0a1b2c3d-r4.0";

#[test]
fn a_machine_behind_ssh_is_reached_saved_and_merged() {
    let machine = Machine::own("far");
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("ssh");
    let (_, socket) = machine.uri().split_once("socket=").unwrap();
    let run = socket.strip_suffix("/libvirt/libvirt-sock").unwrap();
    std::fs::write(&program, SSH.replace("@run@", run)).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    // The search path belongs to the process: another one runs the test below with its own.
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "far::behind_ssh"])
        .env("PATH", path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by the test above, with a search path of its own"]
async fn behind_ssh() {
    let uri = Uri::parse("qemu+ssh://kvm01/session").unwrap();
    let line = || Line::new(uri.clone(), Environment::default());
    let connection = line().connection().await.unwrap();
    let domain = connection.domains(ListFlags::ACTIVE).await.unwrap().remove(0);
    let inside = AgentTransport::new(Agent::new(line(), domain.clone()), "far");
    let output = inside.run(Program::new(["echo", "it's here"])).await.unwrap();
    assert_eq!(output.stdout, b"it's here\n");
    let keeper = DomainKeeper::new(line(), domain.uuid);
    keeper.save(NAME, 1024 * 1024).await.unwrap();
    let layer = |xml: &str| {
        let (before, _) = xml.split_once(&format!("{NAME}-vda.qcow2"))?;
        let folder = before.rsplit_once('\'')?.1;
        Some(format!("{folder}{NAME}-vda.qcow2"))
    };
    let xml = connection.xml(&domain, patchyard_libvirt::calls::XmlFlags::NONE).await.unwrap();
    let layer = layer(&xml).unwrap();
    assert!(std::fs::exists(&layer).unwrap());
    keeper.forget(NAME).await.unwrap();
    assert!(!std::fs::exists(&layer).unwrap(), "removed where the daemon is");
}
