//! A real Debian 12 root file system: its package database, and what apt answered for it.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "the recorded files are read from the disk"
)]

use std::path::Path;

use patchyard_assess::deb::apt::{answer, pending, price};
use patchyard_assess::deb::{Layout, StatusReader, state_digest};
use patchyard_types::PendingStatus;

fn data(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)).unwrap()
}

#[test]
fn the_database_is_read_whole() {
    let status = StatusReader::read(Layout::Status, &data("bookworm-status")).unwrap();
    assert_eq!(status.packages.len(), 154);
    assert_eq!((status.invalid, status.unfinished.len()), (0, 0));
    let apt = status.packages.iter().find(|p| p.name == "apt").unwrap();
    assert_eq!((apt.version.as_str(), apt.arch.0.as_str(), &apt.source), ("2.6.1", "amd64", &None));
    let kernel = status.packages.iter().find(|p| p.name == "linux-image-cloud-amd64").unwrap();
    assert_eq!(kernel.source.as_deref(), Some("linux-signed-amd64"));
    assert_eq!(state_digest(&status.packages, &[]), state_digest(&status.packages, &[]));
}

#[test]
fn fourteen_upgrades_and_three_new_packages_are_pending() {
    let installed = StatusReader::read(Layout::Status, &data("bookworm-status")).unwrap().packages;
    let simulation = answer::simulation(&data("bookworm-simulation.txt")).unwrap();
    let upgradable = answer::upgradable(&data("bookworm-upgradable.txt")).unwrap();
    let mut patches = pending(&simulation, &upgradable, &installed);
    price(&mut patches, &answer::offers(&data("bookworm-offers.txt")).unwrap());

    assert_eq!(patches.len(), 17);
    assert!(patches.is_sorted());
    assert!(patches.iter().all(|p| p.status == PendingStatus::Available && p.why.is_empty()));
    let (new, upgrades): (Vec<_>, Vec<_>) = patches.iter().partition(|p| p.installed.is_none());
    assert_eq!((upgrades.len(), new.len()), (14, 3));
    // Two of the new ones come from the point release, everything else from the security archive.
    assert_eq!(patches.iter().filter(|p| p.security).count(), 15);
    // What is said to be installed is what the database says.
    for patch in &upgrades {
        let before = installed.iter().find(|i| i.name == patch.package).unwrap();
        assert_eq!(Some(&before.version), patch.installed.as_ref());
        assert!(patchyard_assess::version::dpkg::compare(&before.version, &patch.candidate).unwrap().is_lt());
    }
    let apt = patches.iter().find(|p| p.package == "apt").unwrap();
    assert_eq!((apt.size, apt.origin.as_str()), (1_373_116, "Debian-Security:12/oldstable-security"));
    assert_eq!(
        apt.sha256.unwrap().to_string(),
        "796fc7fe18866f5b1fb27a115d7339e549d71b7ddbc15b8d6fc4226c243e96d1"
    );
    assert!(patches.iter().all(|p| p.sha256.is_some() && p.size > 0));
}
