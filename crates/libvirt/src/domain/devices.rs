//! A machine's devices: disks with their layers, network interfaces, the channel of its guest agent.

use roxmltree::Node;

use super::tree::{attribute, child, children};

/// The name of the guest agent's channel.
const AGENT: &str = "org.qemu.guest_agent.0";
/// The most layers of a disk that are looked at. The reader goes no deeper.
const MOST_LAYERS: usize = 250;

/// Where the bytes of a disk, or of a layer of it, are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nowhere: an empty drive.
    None,
    /// In a file of the host.
    File(String),
    /// On a block device of the host.
    Block(String),
    /// Elsewhere: `network`, `volume`, `nvme` …
    Other(String),
}

/// A disk, or a layer of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Where it is.
    pub source: Source,
    /// Its format: `raw`, `qcow2`. `None` where the XML does not say.
    pub format: Option<String>,
}

/// The layers below a disk's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backing {
    /// The one just below first.
    pub layers: Vec<Image>,
    /// Whether these are all. They are not in the XML of a domain that has not run since it was defined.
    pub complete: bool,
}

/// What a disk is to the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    /// A disk.
    Disk,
    /// A CD drive.
    Cdrom,
    /// A floppy drive.
    Floppy,
    /// A SCSI disk of the host's, passed on.
    Lun,
}

/// A disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// What it is called in calls: `vda`.
    pub target: String,
    /// What it is to the guest.
    pub device: Device,
    /// Its own layer.
    pub image: Image,
    /// The layers below.
    pub backing: Backing,
    /// It is not written to.
    pub read_only: bool,
    /// Other machines may write to it at the same time.
    pub shared: bool,
    /// What is written to it is gone when the machine ends.
    pub transient: bool,
    /// Whether and how it is in snapshots, where the XML says: `no`, `internal`, `external`, `manual`.
    pub snapshot: Option<String>,
}

impl Disk {
    /// Its own layer, then those below.
    pub fn images(&self) -> impl Iterator<Item = &Image> {
        std::iter::once(&self.image).chain(&self.backing.layers)
    }
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nic {
    /// What it hangs on: `network`, `bridge`, `direct`, `user`, `ethernet` …
    pub kind: String,
    /// The name of that.
    pub source: Option<String>,
    /// Its hardware address.
    pub mac: Option<String>,
    /// Its device on the host, while it runs.
    pub target: Option<String>,
    /// Its model: `virtio`.
    pub model: Option<String>,
}

/// The way to a machine's guest agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentChannel {
    /// The domain has no channel for it.
    Missing,
    /// It has one; the XML does not say more: the domain does not run.
    Defined,
    /// It has one, and nobody listens at the guest's end.
    Disconnected,
    /// Somebody listens at the guest's end.
    Connected,
}

pub(super) fn disk(disk: Node<'_, '_>) -> Disk {
    Disk {
        target: child(disk, "target").and_then(|target| attribute(target, "dev")).unwrap_or_default(),
        device: match disk.attribute("device") {
            Some("cdrom") => Device::Cdrom,
            Some("floppy") => Device::Floppy,
            Some("lun") => Device::Lun,
            _ => Device::Disk,
        },
        image: Image {
            source: source(disk),
            format: child(disk, "driver").and_then(|driver| attribute(driver, "type")),
        },
        backing: backing(disk),
        read_only: child(disk, "readonly").is_some(),
        shared: child(disk, "shareable").is_some(),
        transient: child(disk, "transient").is_some(),
        snapshot: attribute(disk, "snapshot"),
    }
}

/// What of `<disk>` and `<backingStore>` is the same: a type, and a source that goes by it.
fn source(layer: Node<'_, '_>) -> Source {
    let kind = layer.attribute("type").unwrap_or("file");
    let Some(source) = child(layer, "source") else { return Source::None };
    match kind {
        "file" => attribute(source, "file").map_or(Source::None, Source::File),
        "block" => attribute(source, "dev").map_or(Source::None, Source::Block),
        other => Source::Other(other.to_owned()),
    }
}

fn backing(disk: Node<'_, '_>) -> Backing {
    let mut layers = Vec::new();
    let mut below = child(disk, "backingStore");
    while let Some(layer) = below {
        // The end is an element without anything.
        if child(layer, "source").is_none() {
            return Backing { layers, complete: true };
        }
        if layers.len() == MOST_LAYERS {
            break;
        }
        let format = child(layer, "format").and_then(|format| attribute(format, "type"));
        layers.push(Image { source: source(layer), format });
        below = child(layer, "backingStore");
    }
    Backing { layers, complete: false }
}

pub(super) fn nic(nic: Node<'_, '_>) -> Nic {
    let of =
        |element: &'static str, name: &str| child(nic, element).and_then(|element| attribute(element, name));
    let kind = attribute(nic, "type").unwrap_or_default();
    let source = match kind.as_str() {
        "network" => of("source", "network"),
        "bridge" => of("source", "bridge"),
        "direct" => of("source", "dev"),
        _ => None,
    };
    Nic { source, mac: of("mac", "address"), target: of("target", "dev"), model: of("model", "type"), kind }
}

pub(super) fn agent<'a, 'i: 'a>(channels: impl Iterator<Item = Node<'a, 'i>>) -> AgentChannel {
    let mut targets = channels.flat_map(|channel| children(channel, "target"));
    match targets.find(|target| target.attribute("name") == Some(AGENT)) {
        None => AgentChannel::Missing,
        Some(target) => match target.attribute("state") {
            Some("connected") => AgentChannel::Connected,
            Some(_) => AgentChannel::Disconnected,
            None => AgentChannel::Defined,
        },
    }
}
