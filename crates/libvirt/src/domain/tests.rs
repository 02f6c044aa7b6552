//! Domains of every kind, and what only looks like one.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use super::*;

const UUID: &str = "c7a5fdbd-edaf-9455-926a-d65c16db1809";

/// The least that a domain is, with more in it.
fn domain(inside: &str) -> String {
    format!("<domain type='kvm'><name>web</name><uuid>{UUID}</uuid><memory>1048576</memory>{inside}</domain>")
}

fn read(inside: &str) -> Description {
    Description::read(&domain(inside)).unwrap()
}

fn devices(inside: &str) -> Description {
    read(&format!("<devices>{inside}</devices>"))
}

#[test]
fn a_running_machine_is_described() {
    let found = Description::read(
        "<?xml version='1.0'?>
<!-- made by hand -->
<domain type='kvm' id='7'>
  <name>shop-01</name>
  <uuid>c7a5fdbd-edaf-9455-926a-d65c16db1809</uuid>
  <title>Shop &amp; basket</title>
  <description>Sells <![CDATA[<things>]]>.</description>
  <metadata>
    <libosinfo:libosinfo xmlns:libosinfo='http://libosinfo.org/xmlns/libvirt/domain/1.0'>
      <libosinfo:os id='http://debian.org/debian/12'/>
    </libosinfo:libosinfo>
    <py:labels xmlns:py='https://patchyard.dev/libvirt/1'>
      <py:label name='io.patchyard.service'>shop</py:label>
      <py:label name='io.patchyard.env'> production </py:label>
      <py:label>without a name</py:label>
    </py:labels>
    <labels><label name='io.patchyard.service'>not ours</label></labels>
  </metadata>
  <memory unit='GiB'>2</memory>
  <currentMemory unit='KiB'>1048576</currentMemory>
  <os firmware='efi'>
    <type arch='x86_64' machine='pc-q35-7.2'>hvm</type>
    <loader readonly='yes' secure='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE_4M.ms.fd</loader>
    <nvram template='/usr/share/OVMF/OVMF_VARS_4M.ms.fd'>/var/lib/libvirt/qemu/nvram/shop-01_VARS.fd</nvram>
  </os>
  <devices>
    <disk type='file' device='disk' snapshot='external'>
      <driver name='qemu' type='qcow2' discard='unmap'/>
      <source file='/var/lib/libvirt/images/shop-01.1.qcow2' index='3'/>
      <backingStore type='file' index='2'>
        <format type='qcow2'/>
        <source file='/var/lib/libvirt/images/shop-01.qcow2'/>
        <backingStore type='block' index='1'>
          <format type='raw'/>
          <source dev='/dev/vg/golden'/>
          <backingStore/>
        </backingStore>
      </backingStore>
      <target dev='vda' bus='virtio'/>
    </disk>
    <interface type='network'>
      <mac address='52:54:00:6b:3c:58'/>
      <source network='default' bridge='virbr0'/>
      <target dev='vnet3'/>
      <model type='virtio'/>
    </interface>
    <channel type='spicevmc'><target type='virtio' name='com.redhat.spice.0' state='disconnected'/></channel>
    <channel type='unix'>
      <source mode='bind' path='/run/libvirt/qemu/channel/7-shop-01/org.qemu.guest_agent.0'/>
      <target type='virtio' name='org.qemu.guest_agent.0' state='connected'/>
    </channel>
    <tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>
  </devices>
</domain>",
    )
    .unwrap();
    let file = |path: &str| Source::File(path.to_owned());
    let expected = Description {
        name: "shop-01".to_owned(),
        uuid: UUID.parse().unwrap(),
        title: Some("Shop & basket".to_owned()),
        description: Some("Sells <things>.".to_owned()),
        labels: [("io.patchyard.service", "shop"), ("io.patchyard.env", "production")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        os: Some("http://debian.org/debian/12".to_owned()),
        memory: 2 * 1024 * 1024 * 1024,
        boot: Boot {
            architecture: Some("x86_64".to_owned()),
            firmware: Some("efi".to_owned()),
            loader: Some("/usr/share/OVMF/OVMF_CODE_4M.ms.fd".to_owned()),
            secure: true,
            nvram: Some("/var/lib/libvirt/qemu/nvram/shop-01_VARS.fd".to_owned()),
            kernel: None,
        },
        disks: vec![Disk {
            target: "vda".to_owned(),
            device: Device::Disk,
            image: Image {
                source: file("/var/lib/libvirt/images/shop-01.1.qcow2"),
                format: Some("qcow2".to_owned()),
            },
            backing: Backing {
                layers: vec![
                    Image {
                        source: file("/var/lib/libvirt/images/shop-01.qcow2"),
                        format: Some("qcow2".to_owned()),
                    },
                    Image {
                        source: Source::Block("/dev/vg/golden".to_owned()),
                        format: Some("raw".to_owned()),
                    },
                ],
                complete: true,
            },
            read_only: false,
            shared: false,
            transient: false,
            snapshot: Some("external".to_owned()),
        }],
        nics: vec![Nic {
            kind: "network".to_owned(),
            source: Some("default".to_owned()),
            mac: Some("52:54:00:6b:3c:58".to_owned()),
            target: Some("vnet3".to_owned()),
            model: Some("virtio".to_owned()),
        }],
        agent: AgentChannel::Connected,
        tpm: Some("emulator".to_owned()),
    };
    assert_eq!(found, expected);
}

#[test]
fn the_least_domain_has_nothing_more() {
    let found = read("");
    assert_eq!((found.memory, found.agent), (1 << 30, AgentChannel::Missing));
    assert!(found.disks.is_empty() && found.nics.is_empty() && found.labels.is_empty());
    assert_eq!((found.tpm, found.os, found.boot), (None, None, Boot::default()));
}

#[test]
fn every_kind_of_disk_is_told_apart() {
    let disk = |inside: &str| devices(inside).disks.remove(0);
    let empty = disk("<disk type='file' device='cdrom'><target dev='sda'/><readonly/></disk>");
    assert_eq!((empty.device, empty.image.source, empty.read_only), (Device::Cdrom, Source::None, true));
    let block = disk("<disk type='block'><source dev='/dev/sdb'/><target dev='vdb'/><shareable/></disk>");
    assert_eq!(block.image.source, Source::Block("/dev/sdb".to_owned()));
    assert!(block.shared && !block.read_only);
    let network = disk(
        "<disk type='network'><source protocol='rbd' name='pool/image'/><target dev='vdc'/><transient/></disk>",
    );
    assert_eq!(network.image.source, Source::Other("network".to_owned()));
    assert!(network.transient);
    let lun = disk("<disk type='block' device='lun'><source dev='/dev/sdc'/><target dev='sdd'/></disk>");
    assert_eq!((lun.device, lun.target.as_str()), (Device::Lun, "sdd"));
}

#[test]
fn layers_that_are_not_known_are_not_none() {
    let backing = |inside: &str| {
        let disk = format!("<disk type='file'><source file='/a'/>{inside}<target dev='vda'/></disk>");
        devices(&disk).disks.remove(0).backing
    };
    assert_eq!(backing(""), Backing { layers: vec![], complete: false });
    assert_eq!(backing("<backingStore/>"), Backing { layers: vec![], complete: true });
    let open = backing("<backingStore type='file'><format type='raw'/><source file='/b'/></backingStore>");
    assert_eq!((open.layers.len(), open.complete), (1, false));
}

#[test]
fn what_a_network_interface_hangs_on_is_named() {
    let nic = |inside: &str| devices(inside).nics.remove(0);
    let bridge = nic("<interface type='bridge'><source bridge='br0'/></interface>");
    assert_eq!((bridge.kind.as_str(), bridge.source.as_deref()), ("bridge", Some("br0")));
    let direct = nic("<interface type='direct'><source dev='eth0' mode='bridge'/></interface>");
    assert_eq!(direct.source.as_deref(), Some("eth0"));
    let user = nic("<interface type='user'><mac address='52:54:00:00:00:01'/></interface>");
    assert_eq!((user.source, user.mac.as_deref()), (None, Some("52:54:00:00:00:01")));
}

#[test]
fn the_agents_channel_is_found_among_others() {
    let agent = |target: &str| devices(&format!("<channel type='unix'>{target}</channel>")).agent;
    assert_eq!(agent("<target type='virtio' name='org.qemu.guest_agent.0'/>"), AgentChannel::Defined);
    let state = |state: &str| {
        agent(&format!("<target type='virtio' name='org.qemu.guest_agent.0' state='{state}'/>"))
    };
    assert_eq!(
        (state("connected"), state("disconnected")),
        (AgentChannel::Connected, AgentChannel::Disconnected)
    );
    assert_eq!(agent("<target type='virtio' name='org.libguestfs.channel.0'/>"), AgentChannel::Missing);
    assert_eq!(agent(""), AgentChannel::Missing);
}

#[test]
fn firmware_and_kernels_are_told() {
    let boot = |inside: &str| read(&format!("<os>{inside}</os>")).boot;
    let direct =
        boot("<type arch='x86_64'>hvm</type><kernel>/boot/vmlinuz</kernel><initrd>/boot/initrd</initrd>");
    assert_eq!(direct.kernel.as_deref(), Some("/boot/vmlinuz"));
    let newer = boot("<nvram type='file'><source file='/nvram/x.fd'/></nvram>");
    assert_eq!(newer.nvram.as_deref(), Some("/nvram/x.fd"));
    assert_eq!(boot("<nvram/>").nvram.as_deref(), Some(""), "libvirt chooses the place");
}

#[test]
fn memory_has_units() {
    for (amount, bytes) in [
        ("<memory unit='bytes'>4096</memory>", Some(4096)),
        ("<memory unit='KB'>1</memory>", Some(1000)),
        ("<memory>1</memory>", Some(1024)),
        ("<memory unit='M'> 3 </memory>", Some(3 << 20)),
        ("<memory unit='TiB'>1</memory>", Some(1 << 40)),
        ("<memory unit='TiB'>18446744073709551615</memory>", None),
        ("<memory unit='PiB'>1</memory>", None),
        ("<memory>much</memory>", None),
        ("", None),
    ] {
        let xml = format!("<domain><name>a</name><uuid>{UUID}</uuid>{amount}</domain>");
        assert_eq!(Description::read(&xml).ok().map(|found| found.memory), bytes, "{amount}");
    }
}

#[test]
fn what_is_no_domain_is_refused() {
    for (xml, words) in [
        (String::new(), "cannot be read"),
        ("<domain>".to_owned(), "cannot be read"),
        ("<network><name>a</name></network>".to_owned(), "no proper domain"),
        (domain("").replace("<name>web</name>", ""), "no proper name"),
        (domain("").replace(UUID, "x"), "no proper uuid"),
        (domain("").replace("<domain type", "<domain xmlns='urn:x' type"), "no proper domain"),
        // Entities, and the file of the host that one would like to see.
        (
            format!("<!DOCTYPE d [<!ENTITY x SYSTEM 'file:///etc/shadow'>]>{}", domain("<title>&x;</title>")),
            "cannot be read",
        ),
        (
            format!(
                "<!DOCTYPE d [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;&a;'>]>{}",
                domain("<title>&b;</title>")
            ),
            "cannot be read",
        ),
        (domain("<title>&b;</title>"), "cannot be read"),
        (domain(&format!("{}{}", "<a>".repeat(100_000), "</a>".repeat(100_000))), "deep"),
        (domain(&"<a>".repeat(100_000)), "deep"),
        (
            domain(&format!("<a {}/>", (0..100_000).map(|n| format!("a{n}='' ")).collect::<String>())),
            "attributes",
        ),
        (domain(&"<a/>".repeat(300_000)), "more elements"),
        (domain(&" ".repeat(5 * 1024 * 1024)), "4 MiB"),
    ] {
        let error = Description::read(&xml).unwrap_err().to_string();
        assert!(error.contains(words), "{}: {error}", &xml[..xml.len().min(80)]);
    }
}

#[test]
fn words_of_an_error_are_harmless() {
    let error = Description::read("<domain>\u{1b}[2J</x\u{202e}>").unwrap_err().to_string();
    assert!(!error.chars().any(char::is_control) && !error.contains('\u{202e}'), "{error:?}");
}
