//! Machines of the lab as targets: who they are, what is pending on them, and what is said when that is not known.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "../../guest/tests/yard/ssh.rs"]
mod ssh;
#[path = "../../guest/tests/yard/mod.rs"]
mod yard;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use patchyard_cache::FileCache;
use patchyard_contract::{Ask, Provider, ProviderError, Transport};
use patchyard_guest::transport::Privilege;
use patchyard_provider_host::{HostProvider, Options, is_root};
use patchyard_types::{HostManager, PackageManager, PendingPatch, TargetKind};
use ssh::SshHost;
use yard::Machine;

const ID: &str = "00000000000000000000000000000abc";

fn options(name: &str) -> Options {
    let labels = BTreeMap::from([("io.patchyard.env".to_owned(), "lab".to_owned())]);
    let controller = "a1b2c3d4e5f6".to_owned();
    // Nothing is kept by looking.
    let cache = Arc::new(FileCache::open(&std::env::temp_dir().join("patchyard-read-only")).unwrap());
    let service = Some("db".to_owned());
    Options { controller, cache, kind: "ssh", name: name.to_owned(), service, labels, kept: None }
}

async fn reach(transport: Arc<dyn Transport>) -> Result<HostProvider, ProviderError> {
    HostProvider::connect(transport, options("db01")).await
}

/// A machine with a machine-id.
fn machine(kind: &str) -> Machine {
    let machine = Machine::new(kind);
    machine.sh(&format!("echo {ID} >/etc/machine-id"));
    machine
}

async fn ask(host: &HostProvider) -> Result<Vec<PendingPatch>, ProviderError> {
    let target = host.discover().await.unwrap().remove(0);
    let inventory = host.inventory(&target).await?;
    host.pending(&target, &inventory, &Ask::default()).await
}

/// Why nothing is known, and what to do.
async fn told(host: &HostProvider) -> String {
    match ask(host).await {
        Err(ProviderError::NoAnswer { reason, hint }) => format!("{reason} | {hint}"),
        other => panic!("expected no answer, got {other:?}"),
    }
}

fn names(pending: &[PendingPatch]) -> Vec<&str> {
    pending.iter().map(|patch| &*patch.package).filter(|name| name.starts_with("lab-")).collect()
}

#[tokio::test]
async fn a_machine_is_a_target_of_its_own() {
    let machine = machine("apt");
    let host = reach(machine.transport()).await.unwrap();
    assert_eq!(host.host().as_str(), ID);
    assert_eq!(host.describe(), "Debian GNU/Linux 12 (bookworm) at db01");
    let [target] = &host.discover().await.unwrap()[..] else { panic!("one target") };
    assert_eq!(target.id.as_str(), format!("host:{ID}/{ID}"));
    assert_eq!((&*target.name, &*target.host_name, &*target.service), ("db01", "db01", "db"));
    assert_eq!((target.kind, target.environment.as_deref()), (TargetKind::Host, Some("lab")));
    assert_eq!(target.image.id, "debian 12");
    assert!(host.managers().await.is_empty());
    machine.sh("printf '#!/bin/sh\\n' >/usr/bin/unattended-upgrade; chmod +x /usr/bin/unattended-upgrade; \
        echo 'APT::Periodic::Unattended-Upgrade \"1\";' >/etc/apt/apt.conf.d/99on");
    let host = reach(machine.transport()).await.unwrap();
    assert_eq!(host.managers().await, [HostManager::UnattendedUpgrades]);
}

#[tokio::test]
async fn every_package_manager_is_asked_and_a_machine_with_other_packages_has_another_state() {
    for (kind, manager) in
        [("apt", PackageManager::Apt), ("dnf", PackageManager::Dnf), ("zypper", PackageManager::Zypper)]
    {
        is_asked(kind, manager).await;
    }
}

#[tokio::test]
#[ignore = "wants Alpine, of which `lab/guests apk` makes a machine"]
async fn alpines_is_asked_too() {
    is_asked("apk", PackageManager::Apk).await;
}

async fn is_asked(kind: &str, manager: PackageManager) {
    let machine = machine(kind);
    let host = reach(machine.transport()).await.unwrap();
    let target = host.discover().await.unwrap().remove(0);
    let inventory = host.inventory(&target).await.unwrap();
    assert_eq!(inventory.package_manager, Some(manager));
    assert_eq!(inventory.starting, host.inventory(&target).await.unwrap().starting);
    let pending = host.pending(&target, &inventory, &Ask::default()).await.unwrap();
    let all = ["lab-broken", "lab-lib", "lab-needs", "lab-rival", "lab-slow", "lab-tool"];
    assert_eq!(names(&pending), all, "{kind}");
    if kind == "apt" {
        machine.sh("echo '# another source' >>/etc/apt/sources.list");
        assert_ne!(inventory.starting, host.inventory(&target).await.unwrap().starting);
    }
}

/// The lists are read anew; apt writes into its own caches and log, and that is all.
#[tokio::test]
async fn asking_changes_nothing_but_the_lists() {
    let machine = machine("apt");
    let host = reach(machine.transport()).await.unwrap();
    let look = || {
        machine.sh("cd /; find bin boot etc home lib* opt root sbin srv usr var -xdev -newer /etc/machine-id -type f | \
            grep -v -e ^var/lib/apt/ -e ^var/cache/apt/ -e ^var/cache/debconf/ -e ^var/log/apt/ || true")
    };
    machine.sh("sleep 1.1; touch /etc/machine-id; sleep 0.1");
    assert!(!ask(&host).await.unwrap().is_empty());
    assert_eq!(look(), "");
}

#[tokio::test]
async fn what_is_not_known_is_told_and_never_nothing() {
    let machine = machine("apt");
    let host = reach(machine.transport()).await.unwrap();
    // A repository that is not signed, and one that does not answer.
    machine
        .sh("cp /etc/apt/sources.list /tmp/good; echo 'deb http://127.0.0.1:9/x ./' >>/etc/apt/sources.list");
    let words = told(&host).await;
    assert!(words.contains("127.0.0.1:9") && words.contains("reaches the repository"), "{words}");
    machine.sh("echo 'deb file:/repo ./' >/etc/apt/sources.list");
    let words = told(&host).await;
    assert!(words.contains("does not have a Release file"), "{words}");
    machine.sh("cp /tmp/good /etc/apt/sources.list; mv /usr/bin/apt-get /usr/bin/apt-gone");
    let words = told(&host).await;
    assert!(words.contains("without apt-get | apt, dnf, zypper and apk are known"), "{words}");
    machine.sh("echo 'ID=arch\nPRETTY_NAME=Arch' >/etc/os-release");
    let words = told(&host).await;
    assert!(words.starts_with("no package manager that is known here: Arch"), "{words}");
}

/// The lab's repository as somebody with this key signs it, with these lines on top of its Release file.
fn sign(machine: &Machine, key: &Path, lines: &str) {
    let hash = machine.sh("sha256sum /repo/Packages | cut -d' ' -f1");
    let size = machine.sh("stat -c %s /repo/Packages");
    let release = key.join("Release");
    std::fs::write(&release, format!("{lines}SHA256:\n {hash} {size} Packages\n")).unwrap();
    let gpg = |arguments: &[&str]| {
        let mut gpg = Command::new("gpg");
        gpg.arg("--homedir").arg(key).args(["--batch", "--yes", "--quiet"]).args(arguments);
        assert!(gpg.status().unwrap().success(), "gpg {arguments:?}");
    };
    let path = |name: &str| key.join(name).to_string_lossy().into_owned();
    gpg(&["--clearsign", "--output", &path("InRelease"), &path("Release")]);
    gpg(&["--export", "--output", &path("lab.gpg")]);
    for (from, to) in [("InRelease", "/repo/InRelease"), ("lab.gpg", "/usr/share/keyrings/lab.gpg")] {
        assert!(yard::docker(&["cp", &path(from), &format!("{}:{to}", machine.name)]).status.success());
    }
    machine.sh("chmod 644 /usr/share/keyrings/lab.gpg /repo/InRelease; \
        echo 'deb [signed-by=/usr/share/keyrings/lab.gpg check-valid-until=yes check-date=yes] file:/repo ./' >/etc/apt/sources.list");
}

/// A key that is good for so long: `never` is for ever.
fn key(expires: &str) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let mut gpg = Command::new("gpg");
    gpg.arg("--homedir").arg(home.path()).args(["--batch", "--quiet", "--passphrase", ""]);
    gpg.args(["--quick-generate-key", "Lab", "ed25519", "sign", expires]);
    assert!(gpg.status().unwrap().success());
    home
}

#[tokio::test]
async fn an_expired_key_and_old_lists_are_told_by_name() {
    let machine = machine("apt");
    let host = reach(machine.transport()).await.unwrap();
    // Each newer than the one before: apt passes over a list that is older than what it has.
    let good = key("never");
    sign(
        &machine,
        good.path(),
        "Date: Thu, 01 Jan 2015 00:00:00 UTC\nValid-Until: Fri, 02 Jan 2015 00:00:00 UTC\n",
    );
    let words = told(&host).await;
    assert!(words.contains("is expired") && words.contains("clock"), "{words}");
    sign(&machine, good.path(), "Date: Thu, 01 Jan 2026 00:00:00 UTC\n");
    assert!(!ask(&host).await.unwrap().is_empty());
    let expiring = key("seconds=4");
    sign(&machine, expiring.path(), "Date: Fri, 02 Jan 2026 00:00:00 UTC\n");
    tokio::time::sleep(Duration::from_secs(5)).await;
    let words = told(&host).await;
    assert!(words.contains("EXPKEYSIG") && words.contains("has expired"), "{words}");
}

#[tokio::test]
async fn ways_that_lead_nowhere_are_told_by_name() {
    let place = SshHost::new();
    place.machine.sh(&format!("echo {ID} >/etc/machine-id"));
    let words = async |user: &str, privilege| {
        let way: Arc<dyn Transport> = Arc::new(place.ssh(user, privilege));
        match reach(way).await {
            Ok(_) => "reached".to_owned(),
            Err(error) => error.to_string(),
        }
    };
    assert_eq!(words("ops", Privilege::Sudo).await, "reached");
    assert_eq!(words("asked", Privilege::SudoWith("lab".to_owned())).await, "reached");
    assert!(words("asked", Privilege::Sudo).await.contains("asks for a password"));
    assert!(
        words("asked", Privilege::SudoWith("no".to_owned())).await.contains("does not accept the password")
    );
    assert!(words("nobody", Privilege::Sudo).await.contains("refused to let us in"));
    let root: Arc<dyn Transport> = Arc::new(place.ssh("root", Privilege::Root));
    assert!(is_root(&*root, "db01").await.unwrap());
    assert!(!is_root(&place.ssh("ops", Privilege::Root), "db01").await.unwrap());

    // Two ways to one machine, and its copy.
    let direct = reach(place.machine.transport()).await.unwrap();
    let by_ssh = reach(Arc::clone(&root)).await.unwrap();
    assert_eq!(direct.host(), by_ssh.host());
    assert_eq!(direct.instance().await.unwrap(), by_ssh.instance().await.unwrap());
    let copy = machine("apt");
    let copy = reach(copy.transport()).await.unwrap();
    assert_eq!(copy.host(), direct.host());
    assert_ne!(copy.instance().await.unwrap(), direct.instance().await.unwrap());

    place.machine.sh(": >/etc/machine-id");
    let error = reach(root).await.err().unwrap().to_string();
    assert!(error.contains("systemd-machine-id-setup"), "{error}");
}

/// As a machine does that runs another system.
#[tokio::test]
async fn a_machine_of_another_system_is_told_by_name() {
    let machine = machine("apt");
    machine.sh(
        "mv /bin/uname /bin/uname.old; printf '#!/bin/sh\\necho FreeBSD\\n' >/bin/uname; chmod +x /bin/uname",
    );
    let error = reach(machine.transport()).await.err().unwrap().to_string();
    assert_eq!(error, "db01 refused: it runs FreeBSD, and this release patches Linux only");
}

/// A clock that is two days behind takes lists for good that are not any more.
#[tokio::test]
async fn a_machine_with_a_wrong_clock_is_not_asked() {
    let machine = machine("apt");
    machine.sh("mv /bin/date /bin/date.old; printf '#!/bin/sh\\n[ \"$1\" = +%%s ] || exec date.old \"$@\"\\necho $(($(date.old +%%s) - 172800))\\n' \
        >/bin/date; chmod +x /bin/date");
    let host = reach(machine.transport()).await.unwrap();
    let Err(ProviderError::NoAnswer { reason, hint }) = ask(&host).await else { panic!("it was asked") };
    assert!(reason.starts_with("its clock is ") && reason.contains(" min behind this machine's"), "{reason}");
    assert!(hint.contains("timedatectl"), "{hint}");
}
