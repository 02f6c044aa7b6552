//! A real libvirt, a real guest, its real agent.
//!
//! The machines are the lab's (`lab/machine`): emulated, so that they are slow, and run wherever a processor is like
//! theirs.

#![cfg(target_arch = "x86_64")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

mod far;
mod layers;
mod machine;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use machine::{Machine, Shared};
use patchyard_contract::{Command, Keeper, KeeperError, Transport, TransportError};
use patchyard_libvirt::agent::{Exec, Exit};
use patchyard_libvirt::calls::{DefineFlags, ListFlags, StartFlags, StateKind, UndefineFlags, XmlFlags};
use patchyard_libvirt::domain::{AgentChannel, Device};
use patchyard_libvirt::{Agent, Description, LibvirtError, Uuid};

mod suite {
    patchyard_contract::transport_suite!(super::Shared::new());
}

#[tokio::test]
async fn a_daemon_tells_what_it_is_and_what_it_has() {
    let machine = Machine::shared();
    let connection = machine.open().await;
    let said = machine.virsh(&["version", "--daemon"]);
    for version in [
        format!("Running against daemon: {}", connection.libvirt_version().await.unwrap()),
        format!("Running hypervisor: QEMU {}", connection.hypervisor_version().await.unwrap()),
    ] {
        assert!(said.contains(&version), "{version}: {said}");
    }
    let running = connection.domains(ListFlags::ACTIVE).await.unwrap();
    let [domain] = running.as_slice() else { panic!("{running:?}") };
    assert_eq!(domain.name, machine.name);
    assert_eq!(domain.uuid.to_string(), machine.virsh(&["domuuid", &machine.name]));
    assert_eq!(domain.id.to_string(), machine.virsh(&["domid", &machine.name]));
    assert_eq!(connection.domain_by_name(&machine.name).await.unwrap(), *domain);
    assert_eq!(connection.domain_by_uuid(domain.uuid).await.unwrap(), *domain);
    assert_eq!(connection.state(domain).await.unwrap().kind, StateKind::Running);
    for nobody in [connection.domain_by_name("nobody").await, connection.domain_by_uuid(Uuid([7; 16])).await]
    {
        assert!(matches!(nobody, Err(LibvirtError::NoDomain { .. })), "{nobody:?}");
    }
    let again = connection.start(domain, StartFlags::NONE).await;
    assert!(matches!(again, Err(LibvirtError::NotNow { .. })), "{again:?}");
}

#[tokio::test]
async fn a_daemon_that_is_restarted_is_found_again() {
    let machine = Machine::own("again");
    let opened = machine.opened().await;
    let boot = opened.sh("cat /proc/sys/kernel/random/boot_id").await;
    assert!(opened.keeper.is_running().await.unwrap());
    machine.restart_daemon();
    // Whoever was in the middle of something does not know what came of it; whoever asks again finds out.
    let lost = opened.transport.run(Command::new(["true"])).await;
    assert!(matches!(lost, Err(TransportError::Unreachable { .. })), "{lost:?}");
    assert_eq!(opened.sh("cat /proc/sys/kernel/random/boot_id").await, boot, "the machine has not noticed");
    let lost = opened.keeper.is_running().await;
    assert!(matches!(lost, Err(KeeperError::Unreachable(_))), "{lost:?}");
    assert!(opened.keeper.is_running().await.unwrap());
}

#[tokio::test]
async fn a_machine_is_what_its_xml_says() {
    let machine = Machine::shared();
    let opened = machine.opened().await;
    let description = opened.description().await;
    assert_eq!((&description.name, description.uuid), (&machine.name, opened.domain.uuid));
    assert_eq!(description.memory, 256 << 20);
    assert_eq!(description.agent, AgentChannel::Connected);
    assert_eq!((description.tpm, description.boot.nvram, description.boot.firmware), (None, None, None));
    assert_eq!(description.boot.architecture.as_deref(), Some("x86_64"));
    assert!(description.boot.kernel.is_some_and(|kernel| kernel.ends_with("/vmlinuz")));

    let [disk] = description.disks.as_slice() else { panic!("{:?}", description.disks) };
    assert_eq!((disk.target.as_str(), disk.device), ("vda", Device::Disk));
    assert!(!disk.read_only && !disk.shared && !disk.transient);
    let files = layers::files(disk);
    assert_eq!(files, ["disk.qcow2", "disk.raw"]);
    assert!(disk.backing.complete);
    assert_eq!(disk.image.format.as_deref(), Some("qcow2"));
    assert_eq!(disk.backing.layers[0].format.as_deref(), Some("raw"));
    let size = opened.connection.block_info(&opened.domain, "vda").await.unwrap();
    assert_eq!(size.capacity, 1 << 30);
    assert!(size.allocation > 0 && size.physical < size.capacity, "{size:?}");

    let [nic] = description.nics.as_slice() else { panic!("{:?}", description.nics) };
    assert_eq!((nic.kind.as_str(), nic.model.as_deref()), ("user", Some("virtio")));
    let seen = opened.sh("cat /sys/class/net/eth0/address").await;
    assert_eq!(nic.mac.as_deref(), Some(seen.as_str()));
}

#[tokio::test]
async fn a_domain_can_be_there_without_running() {
    let machine = Machine::shared();
    let opened = machine.opened().await;
    let connection = &opened.connection;
    let xml = connection.xml(&opened.domain, XmlFlags::INACTIVE).await.unwrap();
    let defined = Description::read(&xml).unwrap();
    assert_eq!(defined.agent, AgentChannel::Defined, "nothing is known of an agent before it runs");
    assert!(!defined.disks[0].backing.complete);

    let uuid = format!("<uuid>{}</uuid>", opened.domain.uuid);
    let mac = format!("<mac address='{}'/>", defined.nics[0].mac.as_deref().unwrap());
    let mut other = xml.replace(&uuid, "").replace(&mac, "");
    other = other.replace(&format!("<name>{}</name>", machine.name), "<name>other</name>");
    let (before, rest) = other.split_once("<channel ").unwrap();
    let (_, after) = rest.split_once("</channel>").unwrap();
    let other = connection.define(&format!("{before}{after}"), DefineFlags::VALIDATE).await.unwrap();
    assert_eq!((other.name.as_str(), other.id), ("other", -1));
    assert_eq!(connection.domains(ListFlags::INACTIVE).await.unwrap(), std::slice::from_ref(&other));
    assert_eq!(connection.domains(ListFlags::NONE).await.unwrap().len(), 2);
    assert_eq!(connection.state(&other).await.unwrap().kind, StateKind::Off);
    let described = connection.xml(&other, XmlFlags::NONE).await.unwrap();
    assert_eq!(Description::read(&described).unwrap().agent, AgentChannel::Missing);
    let destroyed = connection.destroy(&other).await;
    assert!(matches!(destroyed, Err(LibvirtError::NotNow { .. })), "{destroyed:?}");
    let asked = connection.agent_command(&other, r#"{"execute":"guest-ping"}"#, Duration::from_secs(5)).await;
    assert!(matches!(asked, Err(LibvirtError::NotNow { .. })), "{asked:?}");
    connection.undefine(&other, UndefineFlags::NONE).await.unwrap();
    let gone = connection.state(&other).await;
    assert!(matches!(gone, Err(LibvirtError::NoDomain { .. })), "{gone:?}");
}

async fn ended(agent: &Agent, pid: i64) -> Exit {
    loop {
        if let Some(exit) = agent.exec_status(pid).await.unwrap() {
            return exit;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn an_agent_does_what_it_is_told() {
    let machine = Machine::shared();
    let opened = machine.opened().await;
    let agent = &opened.agent;
    agent.ping().await.unwrap();
    let info = agent.info().await.unwrap();
    assert!(info.version.starts_with(|first: char| first.is_ascii_digit()), "{info:?}");
    for command in ["guest-exec", "guest-exec-status", "guest-file-open", "guest-fsfreeze-freeze"] {
        assert_eq!(info.commands.get(command), Some(&true), "{command}: {info:?}");
    }

    let arguments = ["-c", "read line; echo got \"$line\" with \"$WORD\"; echo no >&2; exit 7"];
    let exec = Exec {
        path: "/bin/sh",
        arguments: &arguments.map(str::to_owned),
        environment: &["WORD=ä b".to_owned()],
        input: b"this\n",
        capture: true,
    };
    let pid = agent.exec(&exec).await.unwrap();
    let exit = ended(agent, pid).await;
    assert_eq!((exit.code, exit.truncated), (7, false));
    assert_eq!(String::from_utf8_lossy(&exit.stdout), "got this with ä b\n");
    assert_eq!(exit.stderr, b"no\n");
    let again = agent.exec_status(pid).await;
    assert!(
        matches!(again, Err(LibvirtError::AgentRefused { .. })),
        "it forgets what it has told: {again:?}"
    );
    // As much as may be asked.
    let arguments =
        ["-c".to_owned(), "echo \"$#\"".to_owned(), "sh".to_owned(), "x".repeat(65_000), "x".repeat(65_000)];
    let pid = agent.exec(&Exec { arguments: &arguments, input: &[], ..exec }).await.unwrap();
    assert_eq!(ended(agent, pid).await.stdout, b"2\n");
    let none = agent.exec(&Exec { path: "/no/such/program", ..exec }).await;
    assert!(matches!(none, Err(LibvirtError::AgentRefused { .. })), "{none:?}");

    for length in [0, 1, 1024 * 1024, 2 * 1024 * 1024 + 5] {
        let bytes: Vec<u8> = (0..length).map(|n: usize| n.to_le_bytes()[1]).collect();
        agent.write_file("/var/tmp/f", &bytes).await.unwrap();
        assert!(agent.read_file("/var/tmp/f", length).await.unwrap() == bytes, "{length}");
    }
    let larger = agent.read_file("/var/tmp/f", 1024 * 1024).await;
    assert!(matches!(larger, Err(LibvirtError::Protocol { .. })), "{larger:?}");
    let missing = agent.read_file("/no/such/file", 1).await;
    assert!(matches!(missing, Err(LibvirtError::AgentRefused { .. })), "{missing:?}");

    let (seconds, _) = opened.connection.time(&opened.domain).await.unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let apart = now.abs_diff(u64::try_from(seconds).unwrap());
    assert!(apart < 24 * 60 * 60, "it is the same day there");
}

#[tokio::test]
async fn more_goes_in_and_out_than_an_agent_hands_on() {
    let machine = Machine::shared();
    let opened = machine.opened().await;
    let bytes: Vec<u8> = (0..3_000_001_u32).map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[2]).collect();
    let output = opened.transport.run(Command::new(["cat"]).stdin(bytes.clone())).await.unwrap();
    assert!(output.stdout == bytes, "{} bytes came back", output.stdout.len());
    let script = "head -c 6000000 /dev/zero | tr '\\0' '\\001'; echo done >&2; exit 3";
    let output = opened.transport.run(Command::new(["sh", "-c", script])).await.unwrap();
    assert_eq!((output.code, output.stdout.len(), output.stderr.as_slice()), (3, 6_000_000, &b"done\n"[..]));
    assert!(output.stdout.iter().all(|byte| *byte == 1));
    opened.agent.ping().await.unwrap();
}
