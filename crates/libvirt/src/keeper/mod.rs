//! A machine from outside: snapshots of its disks, and its power.
//!
//! A snapshot is a layer over each disk that is written to, taken with the guest's file systems held still, that libvirt
//! does not remember: what it is called says whose it is. From then on the file below stays as it was. To forget the
//! snapshot is to commit the layer into the file just below, and into no other: what lies deeper may be an image that
//! other machines share. To put the disks back is to take the layer off the domain's definition while it is powered off, for
//! libvirt 9 cannot revert to such snapshots itself.

mod choice;
mod files;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use patchyard_contract::{Keeper, KeeperError};
use patchyard_types::{SavedDisks, printable};

use crate::calls::{
    AbortFlags, BlockJobKind, Commit, CommitBase, CommitFlags, DefineFlags, SnapshotFlags, StartFlags,
    StateKind, XmlFlags,
};
use crate::connection::Line;
use crate::domain::{Image, Source, escaped, without_layers};
use crate::{Connection, Description, Domain, LibvirtError, Uuid};

use choice::{Choice, choose};

/// Between two looks at a job on a disk.
const LOOK_EVERY: Duration = Duration::from_millis(200);

const MIB: u64 = 1024 * 1024;

/// What keeps a domain.
#[derive(Debug, Clone)]
pub struct DomainKeeper {
    line: Line,
    uuid: Uuid,
}

/// A layer of ours: the disk, its file, and whether it is the one that is written to.
struct Layer {
    disk: String,
    file: String,
    is_top: bool,
    below: Option<Image>,
}

/// A domain, as it is found now.
struct Found {
    connection: std::sync::Arc<Connection>,
    domain: Domain,
    machine: Description,
}

impl DomainKeeper {
    /// Who keeps that domain.
    #[must_use]
    pub fn new(line: impl Into<Line>, uuid: Uuid) -> Self {
        Self { line: line.into(), uuid }
    }

    async fn find(&self) -> Result<Found, KeeperError> {
        let connection = self.line.connection().await?;
        let domain = connection.domain_by_uuid(self.uuid).await?;
        let xml = connection.xml(&domain, XmlFlags::NONE).await?;
        let machine = Description::read(&xml).map_err(|error| KeeperError::Refused(error.to_string()))?;
        Ok(Found { connection, domain, machine })
    }

    /// Removes the files of the layers of a snapshot, which no disk may have any more.
    async fn remove(&self, layers: &[Layer], name: &str) -> Result<(), KeeperError> {
        if let Some(Layer { disk, .. }) = self.find().await?.layers(name).first() {
            let disk = printable(disk, 40);
            return Err(KeeperError::Refused(format!(
                "its disk {disk} has the layer of {name} still: the log of libvirt, or of QEMU, tells why"
            )));
        }
        for layer in layers {
            files::remove(self.line.uri(), &layer.file).await;
        }
        Ok(())
    }

    /// A domain with all that lies below its layers: what is off has not been asked for long what that is.
    async fn find_whole(&self, name: &str) -> Result<Found, KeeperError> {
        let found = self.find().await?;
        if found.state().await? != StateKind::Off
            || found.layers(name).iter().all(|layer| layer.below.is_some())
        {
            return Ok(found);
        }
        // It does not run a single instruction.
        found.connection.start(&found.domain, StartFlags::PAUSED).await?;
        self.find().await
    }
}

impl Found {
    /// The layers of a snapshot.
    fn layers(&self, name: &str) -> Vec<Layer> {
        let of = |image: &Image, disk: &str| match &image.source {
            Source::File(file) if is_named(file, name, disk) => Some(file.clone()),
            _ => None,
        };
        let mut found = Vec::new();
        for disk in &self.machine.disks {
            let chain: Vec<&Image> = disk.images().collect();
            let layer = chain.iter().enumerate().find_map(|(at, image)| Some((at, of(image, &disk.target)?)));
            if let Some((at, file)) = layer {
                let below = chain.get(at + 1).map(|image| (*image).clone());
                found.push(Layer { disk: disk.target.clone(), file, is_top: at == 0, below });
            }
        }
        found
    }

    fn saved(&self, name: &str) -> Option<SavedDisks> {
        let disks: Vec<String> = self.layers(name).into_iter().map(|layer| layer.disk).collect();
        let left_out = choose(&self.machine).map(|choice| choice.left_out).unwrap_or_default();
        (!disks.is_empty()).then(|| SavedDisks { name: name.to_owned(), disks, left_out })
    }

    async fn state(&self) -> Result<StateKind, KeeperError> {
        Ok(self.connection.state(&self.domain).await?.kind)
    }

    async fn power_off(&self) -> Result<(), KeeperError> {
        match self.connection.destroy(&self.domain).await {
            Err(LibvirtError::NotNow { .. }) => Ok(()),
            ended => Ok(ended?),
        }
    }

    async fn start(&self) -> Result<(), KeeperError> {
        let started = match self.state().await? {
            StateKind::Running | StateKind::ShuttingDown | StateKind::Unknown => return Ok(()),
            StateKind::Paused => self.connection.resume(&self.domain).await,
            StateKind::Crashed | StateKind::Suspended => {
                self.power_off().await?;
                self.connection.start(&self.domain, StartFlags::NONE).await.map(|_| ())
            }
            StateKind::Off => self.connection.start(&self.domain, StartFlags::NONE).await.map(|_| ()),
        };
        match started {
            // Somebody else was quicker.
            Err(LibvirtError::NotNow { .. }) => Ok(()),
            started => Ok(started?),
        }
    }

    /// Commits a layer into the one just below, or takes up where somebody who did has stopped.
    async fn commit(&self, layer: &Layer) -> Result<(), KeeperError> {
        let (connection, domain, disk) = (&self.connection, &self.domain, &*layer.disk);
        if connection.block_job(domain, disk).await?.is_none() {
            let (top, flags) = match layer.is_top {
                true => (None, CommitFlags::ACTIVE),
                false => (Some(&*layer.file), CommitFlags::NONE),
            };
            let commit = Commit { base: CommitBase::Below, top, bandwidth: 0, flags };
            connection.commit(domain, disk, &commit).await?;
        }
        loop {
            match connection.block_job(domain, disk).await? {
                Some(job) if job.kind == BlockJobKind::ActiveCommit && job.is_complete() => {
                    return Ok(connection.end_block_job(domain, disk, AbortFlags::PIVOT).await?);
                }
                Some(_) => tokio::time::sleep(LOOK_EVERY).await,
                None => return Ok(()),
            }
        }
    }
}

/// Why no snapshot of a machine's disks can be taken, if none can.
pub(crate) async fn no_snapshot(
    connection: &Connection,
    domain: &Domain,
    machine: &Description,
    is_persistent: bool,
) -> Result<Option<String>, LibvirtError> {
    if !is_persistent {
        return Ok(Some("it is gone once it is powered off: virsh define makes it stay".to_owned()));
    }
    if connection.remembered_snapshots(domain).await? > 0 {
        return Ok(Some("libvirt has snapshots of it, and the two kinds do not go together".to_owned()));
    }
    Ok(choose(machine).err())
}

/// Whether a file is the layer of a snapshot over a disk.
fn is_named(file: &str, name: &str, disk: &str) -> bool {
    Path::new(file).file_name().and_then(|file| file.to_str()) == Some(&*file_name(name, disk))
}

fn file_name(name: &str, disk: &str) -> String {
    format!("{name}-{disk}.qcow2")
}

/// Where the layer over a file lies: beside it.
fn layer_over(file: &str, name: &str, disk: &str) -> String {
    Path::new(file).with_file_name(file_name(name, disk)).to_string_lossy().into_owned()
}

/// The XML of a snapshot of these disks, and of no other.
fn snapshot(choice: &Choice, name: &str) -> String {
    let mut xml = String::from("<domainsnapshot><disks>");
    for (disk, file) in &choice.save {
        let (layer, disk) = (escaped(&layer_over(file, name, disk)), escaped(disk));
        xml.push_str(&format!(
            "<disk name='{disk}' snapshot='external'><driver type='qcow2'/><source file='{layer}'/></disk>"
        ));
    }
    for disk in choice.left_out.iter().chain(&choice.aside) {
        xml.push_str(&format!("<disk name='{}' snapshot='no'/>", escaped(disk)));
    }
    xml.push_str("</disks></domainsnapshot>");
    xml
}

impl From<LibvirtError> for KeeperError {
    fn from(error: LibvirtError) -> Self {
        let words = printable(&error.to_string(), 500);
        match error {
            LibvirtError::Unreachable { .. }
            | LibvirtError::NotPermitted { .. }
            | LibvirtError::Lost { .. }
            | LibvirtError::Protocol { .. }
            | LibvirtError::TimedOut { .. } => Self::Unreachable(words),
            _ if words.contains("No space left") => Self::NoSpace(words),
            _ => Self::Refused(words),
        }
    }
}

#[async_trait]
impl Keeper for DomainKeeper {
    async fn is_running(&self) -> Result<bool, KeeperError> {
        let connection = self.line.connection().await?;
        let domain = connection.domain_by_uuid(self.uuid).await?;
        let state = connection.state(&domain).await?;
        Ok(matches!(state.kind, StateKind::Running | StateKind::ShuttingDown | StateKind::Unknown))
    }

    async fn start(&self) -> Result<(), KeeperError> {
        self.find().await?.start().await
    }

    async fn save(&self, name: &str, room: u64) -> Result<SavedDisks, KeeperError> {
        let found = self.find().await?;
        if let Some(saved) = found.saved(name) {
            return Ok(saved);
        }
        let choice = choose(&found.machine).map_err(KeeperError::Refused)?;
        for (disk, file) in &choice.save {
            let free = files::room(self.line.uri(), file);
            if let Some(free) = free.filter(|free| *free < room) {
                return Err(KeeperError::NoSpace(format!(
                    "there are {} MiB left on its host beside its disk {}, and the patch may write {} MiB",
                    free / MIB,
                    printable(disk, 40),
                    room / MIB
                )));
            }
        }
        let how = SnapshotFlags::DISK_ONLY
            | SnapshotFlags::NO_METADATA
            | SnapshotFlags::ATOMIC
            | SnapshotFlags::QUIESCE;
        let taken = found.connection.snapshot(&found.domain, &snapshot(&choice, name), how).await;
        taken.map_err(|error| match error {
            LibvirtError::AgentSilent { .. } | LibvirtError::AgentRefused { .. } => {
                KeeperError::Refused(format!(
                    "its guest agent did not hold its file systems still: {}",
                    printable(&error.to_string(), 300)
                ))
            }
            error => error.into(),
        })?;
        let Choice { save, left_out, aside: _ } = choice;
        let disks = save.into_iter().map(|(disk, _)| disk).collect();
        Ok(SavedDisks { name: name.to_owned(), disks, left_out })
    }

    async fn saved(&self, name: &str) -> Result<Option<SavedDisks>, KeeperError> {
        Ok(self.find().await?.saved(name))
    }

    async fn takes(&self, name: &str) -> Result<Option<u64>, KeeperError> {
        let found = self.find().await?;
        let mut sum = 0_u64;
        for layer in found.layers(name) {
            // libvirt tells of the layer that is written to, and of no deeper one.
            let bytes = match layer.is_top {
                true => Some(found.connection.block_info(&found.domain, &layer.disk).await?.allocation),
                false => files::takes(self.line.uri(), &layer.file),
            };
            let Some(bytes) = bytes else { return Ok(None) };
            sum = sum.saturating_add(bytes);
        }
        Ok(Some(sum))
    }

    async fn all_saved(&self, prefix: &str) -> Result<Vec<String>, KeeperError> {
        let found = self.find().await?;
        let mut names = Vec::new();
        for disk in &found.machine.disks {
            for image in disk.images() {
                let Source::File(file) = &image.source else { continue };
                let file = Path::new(file).file_name().and_then(|file| file.to_str()).unwrap_or_default();
                let name = file.strip_suffix(&file_name("", &disk.target));
                names.extend(name.filter(|name| name.starts_with(prefix)).map(str::to_owned));
            }
        }
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    async fn put_back(&self, name: &str) -> Result<(), KeeperError> {
        let found = self.find_whole(name).await?;
        let layers = found.layers(name);
        if layers.iter().any(|layer| !layer.is_top) {
            return Err(KeeperError::Refused(format!(
                "somebody has taken another snapshot since {name}: remove it first"
            )));
        }
        if layers.is_empty() {
            return found.start().await;
        }
        let mut below: BTreeMap<String, Image> = BTreeMap::new();
        for Layer { disk, below: image, .. } in &layers {
            let unknown =
                || KeeperError::Refused(format!("what its disk {} was is not known", printable(disk, 40)));
            below.insert(disk.clone(), image.clone().ok_or_else(unknown)?);
        }
        let (connection, domain) = (&found.connection, &found.domain);
        // With what is secret in it, such as a console's password: it is defined again.
        let how = XmlFlags::INACTIVE | XmlFlags::SECURE;
        let xml = connection.xml(domain, how).await?;
        let xml = without_layers(&xml, &below).map_err(|error| KeeperError::Refused(error.to_string()))?;
        found.power_off().await?;
        connection.define(&xml, DefineFlags::default()).await?;
        found.start().await?;
        self.remove(&layers, name).await
    }

    async fn forget(&self, name: &str) -> Result<(), KeeperError> {
        let found = self.find().await?;
        let layers = found.layers(name);
        if !layers.is_empty() && found.state().await? == StateKind::Off {
            return Err(KeeperError::Refused(
                "it is shut off, and its layers can be merged only while it runs: start it, then again"
                    .to_owned(),
            ));
        }
        for layer in &layers {
            found.commit(layer).await?;
        }
        self.remove(&layers, name).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_lies_beside_its_disk_and_says_whose_it_is() {
        let layer = layer_over("/var/lib/images/web.qcow2", "patchyard-1a2b3c4d-r1.0", "vda");
        assert_eq!(layer, "/var/lib/images/patchyard-1a2b3c4d-r1.0-vda.qcow2");
        assert!(is_named(&layer, "patchyard-1a2b3c4d-r1.0", "vda"));
        assert!(!is_named(&layer, "patchyard-1a2b3c4d-r1.0", "vdb"));
        assert!(!is_named(&layer, "patchyard-1a2b3c4d-r1", "vda"));
    }

    #[test]
    fn a_snapshot_names_every_disk() {
        let choice = Choice {
            save: vec![("vda".to_owned(), "/it's/a.qcow2".to_owned())],
            left_out: vec!["vdb".to_owned()],
            aside: vec!["sda".to_owned()],
        };
        assert_eq!(
            snapshot(&choice, "s"),
            "<domainsnapshot><disks><disk name='vda' snapshot='external'><driver type='qcow2'/>\
             <source file='/it&apos;s/s-vda.qcow2'/></disk><disk name='vdb' snapshot='no'/>\
             <disk name='sda' snapshot='no'/></disks></domainsnapshot>"
        );
    }
}
