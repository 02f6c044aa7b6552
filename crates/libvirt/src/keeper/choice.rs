//! Which of a machine's disks a snapshot is taken of, or why none can be. Pure.

use std::path::Path;

use patchyard_types::printable;

use crate::Description;
use crate::domain::{Device, Disk, Source};

/// Label: disks that are in no snapshot, and stay as they are when the others go back: `vdb vdc`.
const LEAVE_OUT: &str = "io.patchyard.snapshot.leave-out";

/// What a snapshot of a machine is of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Choice {
    /// The disks that are in it, and the file of each that is written to now.
    pub save: Vec<(String, String)>,
    /// The disks that are not, on purpose.
    pub left_out: Vec<String>,
    /// Everything else that libvirt has to be told to leave alone: what nobody writes to.
    pub aside: Vec<String>,
}

/// Chooses by what is known of a machine. All that can be written to goes back together, or nothing does.
pub(super) fn choose(machine: &Description) -> Result<Choice, String> {
    if let Some(tpm) = &machine.tpm {
        return Err(format!("it has a TPM ({}), whose state is on none of its disks", printable(tpm, 40)));
    }
    let boot = &machine.boot;
    if boot.nvram.is_some() || boot.firmware.as_deref() == Some("efi") {
        return Err("it boots by UEFI, whose variables are on none of its disks".to_owned());
    }
    let named: Vec<&str> = machine.labels.get(LEAVE_OUT).map(|names| words(names)).unwrap_or_default();
    if let Some(unknown) = named.iter().find(|name| machine.disks.iter().all(|disk| disk.target != **name)) {
        return Err(format!(
            "its label {LEAVE_OUT} names {}, which it does not have",
            printable(unknown, 40)
        ));
    }
    let mut choice = Choice::default();
    for disk in &machine.disks {
        let target = disk.target.clone();
        if named.contains(&&*target) || disk.snapshot.as_deref() == Some("no") {
            choice.left_out.push(target);
        } else if disk.read_only || matches!(disk.device, Device::Cdrom | Device::Floppy) {
            choice.aside.push(target);
        } else {
            let file = file(disk).map_err(|why| {
                let target = printable(&target, 40);
                format!("its disk {target} {why}: leave it out by the label {LEAVE_OUT}: {target}, or")
            })?;
            choice.save.push((target, file));
        }
    }
    match choice.save.is_empty() {
        true => Err("none of its disks is to be in one".to_owned()),
        false => Ok(choice),
    }
}

fn words(names: &str) -> Vec<&str> {
    names.split([',', ' ']).map(str::trim).filter(|name| !name.is_empty()).collect()
}

/// The file that a disk is written to, or why there cannot be a layer over it.
fn file(disk: &Disk) -> Result<String, String> {
    if disk.device == Device::Lun {
        return Err("is a SCSI disk of the host's".to_owned());
    }
    if disk.shared {
        return Err("may be written to by other machines".to_owned());
    }
    if disk.transient {
        return Err("is empty at each start".to_owned());
    }
    let file = match &disk.image.source {
        Source::File(file) if Path::new(file).is_absolute() => file,
        Source::Block(device) => return Err(format!("is a block device ({})", printable(device, 100))),
        Source::File(_) | Source::None => return Err("has no file".to_owned()),
        Source::Other(kind) => return Err(format!("is no file, but of type {}", printable(kind, 40))),
    };
    match disk.image.format.as_deref() {
        Some("qcow2" | "raw") => Ok(file.clone()),
        other => Err(format!("has the format {}", printable(other.unwrap_or("unknown"), 40))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    fn machine(os: &str, metadata: &str, devices: &str) -> Description {
        Description::read(&format!(
            "<domain><name>web01</name><uuid>6b1c3b4e-0001-4000-8000-000000000001</uuid><memory>1024</memory>\
             <metadata><p:labels xmlns:p='https://patchyard.dev/libvirt/1'>{metadata}</p:labels></metadata>\
             <os><type>hvm</type>{os}</os><devices>{devices}</devices></domain>"
        ))
        .unwrap()
    }

    fn disk(kind: &str, source: &str, target: &str, more: &str) -> String {
        format!(
            "<disk type='{kind}' device='disk'><driver name='qemu' type='qcow2'/><source {source}/>\
             <target dev='{target}'/>{more}</disk>"
        )
    }

    const CD: &str = "<disk type='file' device='cdrom'><target dev='sda'/><readonly/></disk>";

    #[test]
    fn all_that_is_written_to_goes_back_together() {
        let disks = [disk("file", "file='/a.qcow2'", "vda", ""), disk("file", "file='/b.qcow2'", "vdb", "")];
        let choice = choose(&machine("", "", &(disks.concat() + CD))).unwrap();
        let save = [("vda".to_owned(), "/a.qcow2".to_owned()), ("vdb".to_owned(), "/b.qcow2".to_owned())];
        assert_eq!(choice.save, save);
        assert_eq!((choice.left_out, choice.aside), (Vec::new(), vec!["sda".to_owned()]));
    }

    #[test]
    fn disks_with_data_are_left_out_by_a_label_or_by_their_own_word() {
        let disks = [
            disk("file", "file='/a.qcow2'", "vda", ""),
            disk("block", "dev='/dev/vg/data'", "vdb", ""),
            disk("file", "file='/c.qcow2'", "vdc", "").replace("<disk ", "<disk snapshot='no' "),
        ];
        let label = "<p:label name='io.patchyard.snapshot.leave-out'>vdb</p:label>";
        let choice = choose(&machine("", label, &disks.concat())).unwrap();
        assert_eq!(choice.left_out, ["vdb", "vdc"]);
        assert_eq!(choice.save.len(), 1);
    }

    #[test]
    fn what_no_snapshot_of_disks_has_is_refused_by_name() {
        let good = disk("file", "file='/a.qcow2'", "vda", "");
        let with = |more: &str| format!("{good}{more}");
        let label = "<p:label name='io.patchyard.snapshot.leave-out'>vdz</p:label>";
        for (os, metadata, devices, words) in [
            ("", "", with("<tpm model='tpm-crb'><backend type='emulator'/></tpm>"), "a TPM (emulator)"),
            ("<nvram>/v.fd</nvram>", "", good.clone(), "UEFI"),
            (
                "",
                "",
                with(&disk("block", "dev='/dev/vg/data'", "vdb", "")),
                "vdb is a block device (/dev/vg/data)",
            ),
            (
                "",
                "",
                with(&disk("network", "protocol='rbd'", "vdb", "")),
                "vdb is no file, but of type network",
            ),
            ("", "", with(&disk("file", "file='/b'", "vdb", "<shareable/>")), "written to by other machines"),
            ("", "", with(&disk("file", "file='/b'", "vdb", "<transient/>")), "empty at each start"),
            ("", label, good.clone(), "names vdz"),
            ("", "", CD.to_owned(), "none of its disks"),
        ] {
            let why = choose(&machine(os, metadata, &devices)).unwrap_err();
            assert!(why.contains(words), "{why}");
        }
    }
}
