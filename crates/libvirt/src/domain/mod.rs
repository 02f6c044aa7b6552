//! What a domain's XML says of a machine, as far as it matters to patching it.
//!
//! The elements are those of libvirt's schema (`domain.rng`, `domaincommon.rng`, `domainsnapshot.rng` for
//! layers); what is not asked for here is not looked at. Labels are ours: they stand in the domain's
//! `<metadata>`, where libvirt keeps what it does not understand.

mod below;
mod devices;
mod guard;
mod tree;

pub(crate) use below::escaped;
pub use below::without_layers;
pub use devices::{AgentChannel, Backing, Device, Disk, Image, Nic, Source};

use std::collections::BTreeMap;

use roxmltree::Node;
use thiserror::Error;

use crate::Uuid;
use tree::{attribute, child, children, is_yes, text};

/// Namespace of our labels:
/// `<patchyard:labels><patchyard:label name="…">value</patchyard:label></patchyard:labels>`.
pub const LABELS: &str = "https://patchyard.dev/libvirt/1";
/// Namespace of libosinfo's hint.
const OSINFO: &str = "http://libosinfo.org/xmlns/libvirt/domain/1.0";

/// Why XML is no domain's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum XmlError {
    /// It is larger, deeper or more intricate than any domain's.
    #[error("the XML has {what}, which no domain's has")]
    Excess {
        /// What there is too much of.
        what: &'static str,
    },
    /// It is no XML.
    #[error("the XML cannot be read: {reason}")]
    Malformed {
        /// Where, and why.
        reason: String,
    },
    /// It lacks what every domain has.
    #[error("the XML has no proper {what}")]
    Missing {
        /// What it lacks.
        what: &'static str,
    },
}

/// A machine, as its domain's XML describes it. All words in it may be anybody's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Its name.
    pub name: String,
    /// What it is known by.
    pub uuid: Uuid,
    /// A short description of its owner's.
    pub title: Option<String>,
    /// A long one.
    pub description: Option<String>,
    /// Labels for Patchyard, by name.
    pub labels: BTreeMap<String, String>,
    /// libosinfo's id of the system that it was installed with, `http://debian.org/debian/12`: a hint, no
    /// more.
    pub os: Option<String>,
    /// The most memory that it may have, in bytes.
    pub memory: u64,
    /// What it boots by.
    pub boot: Boot,
    /// Its disks, drives among them.
    pub disks: Vec<Disk>,
    /// Its network interfaces.
    pub nics: Vec<Nic>,
    /// The way to its guest agent.
    pub agent: AgentChannel,
    /// What keeps the state of its TPM (`emulator`, `passthrough`), where it has one: no snapshot of disks
    /// has that state.
    pub tpm: Option<String>,
}

/// What a machine boots by.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Boot {
    /// `arch` of its type: `x86_64`.
    pub architecture: Option<String>,
    /// Firmware that libvirt chooses: `efi`, `bios`.
    pub firmware: Option<String>,
    /// Firmware by its file.
    pub loader: Option<String>,
    /// Whether that firmware starts signed systems only.
    pub secure: bool,
    /// Where the firmware's variables are kept, empty where libvirt chooses the place: no snapshot of disks
    /// has them.
    pub nvram: Option<String>,
    /// A kernel of the host's that it starts with: one that is installed inside has no effect then.
    pub kernel: Option<String>,
}

impl Description {
    /// Reads a domain's XML.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(xml: &str) -> Result<Self, XmlError> {
        guard::check(xml)?;
        let document = tree::parse(xml)?;
        let root = document.root_element();
        if !tree::is(root, None, "domain") {
            return Err(XmlError::Missing { what: "domain" });
        }
        let name = text(root, "name").ok_or(XmlError::Missing { what: "name" })?;
        let uuid = text(root, "uuid").and_then(|uuid| uuid.parse().ok());
        let uuid = uuid.ok_or(XmlError::Missing { what: "uuid" })?;
        let memory = child(root, "memory").and_then(bytes).ok_or(XmlError::Missing { what: "memory" })?;
        let metadata = child(root, "metadata");
        let devices = child(root, "devices");
        let all = |name: &'static str| devices.into_iter().flat_map(move |devices| children(devices, name));
        Ok(Self {
            name,
            uuid,
            title: text(root, "title"),
            description: text(root, "description"),
            labels: metadata.map(labels).unwrap_or_default(),
            os: metadata.and_then(osinfo),
            memory,
            boot: child(root, "os").map(boot).unwrap_or_default(),
            disks: all("disk").map(devices::disk).collect(),
            nics: all("interface").map(devices::nic).collect(),
            agent: devices::agent(all("channel")),
            tpm: all("tpm").next().map(|tpm| {
                child(tpm, "backend").and_then(|backend| attribute(backend, "type")).unwrap_or_default()
            }),
        })
    }
}

fn labels(metadata: Node<'_, '_>) -> BTreeMap<String, String> {
    tree::children_of(metadata, Some(LABELS), "labels")
        .flat_map(|labels| tree::children_of(labels, Some(LABELS), "label"))
        .filter_map(|label| {
            Some((attribute(label, "name")?, label.text().unwrap_or_default().trim().to_owned()))
        })
        .collect()
}

fn osinfo(metadata: Node<'_, '_>) -> Option<String> {
    tree::children_of(metadata, Some(OSINFO), "libosinfo")
        .flat_map(|info| tree::children_of(info, Some(OSINFO), "os"))
        .find_map(|os| attribute(os, "id"))
}

fn boot(os: Node<'_, '_>) -> Boot {
    let loader = child(os, "loader");
    let nvram = child(os, "nvram").map(|nvram| {
        let file = child(nvram, "source").and_then(|source| attribute(source, "file"));
        file.or_else(|| text(os, "nvram")).unwrap_or_default()
    });
    Boot {
        architecture: child(os, "type").and_then(|kind| attribute(kind, "arch")),
        firmware: attribute(os, "firmware"),
        loader: text(os, "loader"),
        secure: loader.is_some_and(|loader| is_yes(loader, "secure")),
        nvram,
        kernel: text(os, "kernel"),
    }
}

/// An amount of memory with its unit, KiB where none is said: `scaledInteger` of the schema.
fn bytes(memory: Node<'_, '_>) -> Option<u64> {
    let number: u64 = memory.text()?.trim().parse().ok()?;
    let unit: u64 = match memory.attribute("unit").unwrap_or("KiB") {
        "b" | "bytes" => 1,
        "KB" => 1000,
        "k" | "KiB" => 1 << 10,
        "MB" => 1_000_000,
        "M" | "MiB" => 1 << 20,
        "GB" => 1_000_000_000,
        "G" | "GiB" => 1 << 30,
        "TB" => 1_000_000_000_000,
        "T" | "TiB" => 1 << 40,
        _ => return None,
    };
    number.checked_mul(unit)
}

#[cfg(test)]
mod tests;
