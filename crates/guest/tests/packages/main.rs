//! Package managers, the real ones, on machines of the lab: what is installed and pending, exact transactions and the
//! way back, holds, locks, interruptions.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod apk;
mod apt;
mod dnf;
#[path = "../yard/mod.rs"]
mod yard;
mod zypper;

use std::time::Duration;

use patchyard_contract::Ask;
use patchyard_guest::job::{self, Job, JobId, JobState};
use patchyard_guest::{Guest, GuestError, Installed, Readiness};
use patchyard_types::{Arch, PackageChange, PackageManager, PendingPatch, PendingStatus};
use yard::Machine;

/// How long another package manager is waited for where the test wants it to end.
const LONG: Duration = Duration::from_secs(300);

/// A kind of machine: its image, how it writes versions and architectures.
#[derive(Clone, Copy)]
pub struct Kind {
    image: &'static str,
    manager: PackageManager,
    release: &'static str,
    arch: &'static str,
    /// Installs the package whose script waits, beside what is tested.
    install_slow: &'static str,
}

impl Kind {
    fn version(&self, version: &str) -> String {
        format!("{version}{}", self.release)
    }

    /// A change as a plan would have it.
    fn change(&self, name: &str, from: &str, to: &str) -> PackageChange {
        PackageChange {
            name: name.to_owned(),
            arch: Arch(self.arch.to_owned()),
            from: Some(self.version(from)),
            to: Some(self.version(to)),
            sha256: None,
            security: false,
            size: 0,
        }
    }

    async fn open(&self, machine: &Machine) -> Guest {
        let guest = Guest::open(machine.transport()).await.unwrap();
        guest.refresh(LONG).await.unwrap();
        guest
    }
}

fn version<'a>(installed: &'a Installed, name: &str) -> &'a str {
    let found: Vec<_> = installed.packages.iter().filter(|package| package.name == name).collect();
    let [package] = found[..] else { panic!("{name}: {found:?}") };
    &package.version
}

async fn versions(guest: &Guest, names: &[&str]) -> Vec<String> {
    let installed = guest.installed().await.unwrap();
    names.iter().map(|name| version(&installed, name).to_owned()).collect()
}

async fn pending(guest: &Guest) -> Vec<PendingPatch> {
    let installed = guest.installed().await.unwrap();
    guest.pending(&installed, &Ask::default(), LONG).await.unwrap()
}

fn find<'a>(patches: &'a [PendingPatch], name: &str) -> &'a PendingPatch {
    patches.iter().find(|patch| patch.package == name).unwrap_or_else(|| panic!("{name} in {patches:#?}"))
}

/// Runs a job to its end.
async fn run_job(guest: &Guest, name: &str, job: &Job) -> (JobState, String) {
    let id = JobId::new(name).unwrap();
    job::start(guest.transport(), &id, job).await.unwrap();
    watch(guest, &id).await
}

/// Watches a job to its end.
async fn watch(guest: &Guest, id: &JobId) -> (JobState, String) {
    let (mut output, mut offset) = (Vec::new(), 0);
    loop {
        let look = job::look(guest.transport(), id, offset).await.unwrap();
        offset += look.output.len() as u64;
        output.extend_from_slice(&look.output);
        if look.is_last() {
            return (look.state, String::from_utf8_lossy(&output).into_owned());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Runs a job to a good end: what it said.
async fn done(guest: &Guest, name: &str, job: &Job) -> String {
    let (state, output) = run_job(guest, name, job).await;
    assert_eq!(state, JobState::Ended { code: 0 }, "{output}");
    output
}

/// Runs a transaction to a good end.
async fn change(guest: &Guest, name: &str, changes: &[PackageChange]) -> String {
    let output = done(guest, name, &guest.transaction(changes, LONG).await.unwrap()).await;
    guest.settled(changes).await.unwrap();
    output
}

async fn refused(guest: &Guest, changes: &[PackageChange]) -> String {
    match guest.transaction(changes, LONG).await {
        Err(error @ (GuestError::Refused { .. } | GuestError::Failed { .. })) => error.to_string(),
        other => panic!("expected a refusal, got {other:?}"),
    }
}

/// A `#[test]` of every behaviour that all package managers share, for one kind of machine; with an attribute, such as
/// `ignore = "why"`.
macro_rules! shared {
    (@test $kind:expr, $behaviour:ident, [$($attribute:meta)?]) => {
        #[test]
        $(#[$attribute])?
        fn $behaviour() {
            let machine = crate::yard::Machine::new($kind.image);
            patchyard_contract::suite::run(crate::$behaviour(&machine, $kind));
        }
    };
    ($kind:expr; $attribute:tt $($behaviour:ident)*) => {
        $(crate::shared! { @test $kind, $behaviour, $attribute })*
    };
    ($kind:expr $(, $attribute:meta)?) => {
        crate::shared! { $kind; [$($attribute)?]
            what_is_installed_and_pending_is_told
            a_transaction_makes_exact_versions_and_the_way_back_too
            more_or_less_than_planned_is_refused
            what_is_held_stays
            a_lock_is_waited_for_and_given_up_on
            a_transaction_waits_for_a_lock
            a_transaction_goes_on_without_its_starter
        }
    };
}
use shared;

async fn what_is_installed_and_pending_is_told(machine: &Machine, kind: Kind) {
    let guest = kind.open(machine).await;
    assert_eq!(guest.manager(), kind.manager);
    let installed = guest.installed().await.unwrap();
    assert!(installed.packages.is_sorted() && installed.unfinished.is_empty());
    let tool = installed.packages.iter().find(|package| package.name == "lab-tool").unwrap();
    assert_eq!((&*tool.version, &*tool.arch.0, tool.held), (&*kind.version("1.0"), kind.arch, false));
    assert_eq!(guest.ready(LONG).await.unwrap(), Readiness::Ready);

    let patches = guest.pending(&installed, &Ask::default(), LONG).await.unwrap();
    assert!(patches.is_sorted());
    let of_the_lab: Vec<_> = patches
        .iter()
        .filter(|patch| patch.package.starts_with("lab-"))
        .map(|patch| (&*patch.package, patch.status, patch.candidate.clone()))
        .collect();
    let available = |name, to| (name, PendingStatus::Available, kind.version(to));
    assert_eq!(
        of_the_lab,
        [
            available("lab-broken", "1.1"),
            available("lab-lib", "1.1"),
            available("lab-needs", "1.1"),
            // It would remove another.
            ("lab-rival", PendingStatus::KeptBack, kind.version("1.1")),
            available("lab-slow", "1.1"),
            available("lab-tool", "1.2"),
        ]
    );
    assert_eq!(find(&patches, "lab-tool").installed, Some(kind.version("1.0")));

    let only = Ask {
        only: vec![patchyard_contract::Wish {
            package: "lab-needs".to_owned(),
            arch: Arch(kind.arch.to_owned()),
            version: kind.version("1.1"),
        }],
        ..Ask::default()
    };
    let patches = guest.pending(&installed, &only, LONG).await.unwrap();
    let names: Vec<_> = patches.iter().map(|patch| &*patch.package).collect();
    assert_eq!(names, ["lab-lib", "lab-needs"], "what it needs is told too");
}

async fn a_transaction_makes_exact_versions_and_the_way_back_too(machine: &Machine, kind: Kind) {
    let guest = kind.open(machine).await;
    machine.sh("echo mine >/etc/lab-tool.conf");
    let names = ["lab-lib", "lab-needs", "lab-tool", "lab-victim"];
    let before = versions(&guest, &names).await;
    // Not the newest, and an order in which one needs the other.
    let up = [
        kind.change("lab-tool", "1.0", "1.1"),
        kind.change("lab-needs", "1.0", "1.1"),
        kind.change("lab-lib", "1.0", "1.1"),
    ];
    let output = change(&guest, "up", &up).await;
    assert!(output.contains("lab-needs"), "{output}");
    assert_eq!(versions(&guest, &names).await, ["1.1", "1.1", "1.1", "1.0"].map(|v| kind.version(v)));
    assert_eq!(machine.sh("cat /usr/share/lab-tool/version /etc/lab-tool.conf"), "1.1\nmine");

    // What is there already may stand in a list again.
    let again = [up[0].clone(), kind.change("lab-tool", "1.1", "1.2")];
    change(&guest, "further", &again[1..]).await;
    change(&guest, "nothing", &up[1..]).await;

    let down = [
        kind.change("lab-lib", "1.1", "1.0"),
        kind.change("lab-needs", "1.1", "1.0"),
        kind.change("lab-tool", "1.2", "1.0"),
    ];
    change(&guest, "down", &down).await;
    assert_eq!(versions(&guest, &names).await, before);
    assert_eq!(machine.sh("cat /usr/share/lab-tool/version /etc/lab-tool.conf"), "1.0\nmine");
}

async fn more_or_less_than_planned_is_refused(machine: &Machine, kind: Kind) {
    let guest = kind.open(machine).await;
    let before = guest.installed().await.unwrap();
    let words = refused(&guest, &[kind.change("lab-needs", "1.0", "1.1")]).await;
    assert!(words.contains("lab-lib") && words.contains("would be installed too"), "{words}");
    let words = refused(&guest, &[kind.change("lab-rival", "1.0", "1.1")]).await;
    assert!(words.contains("lab-victim"), "{words}");
    let words = refused(&guest, &[kind.change("lab-tool", "1.0", "7")]).await;
    assert!(words.contains("lab-tool"), "{words}");
    let words = refused(&guest, &[kind.change("lab-tool", "0.9", "1.1")]).await;
    assert!(words.contains("changed since planning: lab-tool is "), "{words}");
    let gone = PackageChange { to: None, ..kind.change("lab-tool", "1.0", "1.1") };
    assert!(refused(&guest, &[gone]).await.contains("lab-tool would be removed"));
    for bad in ["-o", "lab-*", "a b", "$(id)", "lab-tool;id"] {
        let mut evil = kind.change("lab-tool", "1.0", "1.1");
        evil.name = bad.to_owned();
        evil.from = None;
        assert!(refused(&guest, &[evil]).await.contains("is no package in a version"), "{bad}");
    }
    assert_eq!(guest.installed().await.unwrap(), before, "nothing was changed");
}

async fn what_is_held_stays(machine: &Machine, kind: Kind) {
    let guest = kind.open(machine).await;
    let hold = |hold| {
        let guest = guest.clone();
        async move {
            let installed = guest.installed().await.unwrap();
            let tool = installed.packages.iter().find(|package| package.name == "lab-tool").unwrap();
            guest.hold(&[tool], hold).await.unwrap();
        }
    };
    hold(true).await;
    let held: Vec<String> =
        guest.installed().await.unwrap().packages.into_iter().filter(|p| p.held).map(|p| p.name).collect();
    assert_eq!(held, ["lab-tool"]);
    let patches = pending(&guest).await;
    assert_eq!(find(&patches, "lab-tool").status, PendingStatus::Held);
    assert_eq!(find(&patches, "lab-lib").status, PendingStatus::Available);
    assert!(refused(&guest, &[kind.change("lab-tool", "1.0", "1.1")]).await.contains("lab-tool is on hold"));
    hold(false).await;
    assert_eq!(find(&pending(&guest).await, "lab-tool").status, PendingStatus::Available);
    change(&guest, "free", &[kind.change("lab-tool", "1.0", "1.1")]).await;
}

/// Somebody else installs a package whose script waits, and holds the lock for as long.
fn somebody_is_at_work(machine: &Machine, kind: Kind) {
    machine.background(&format!("{} >/tmp/log 2>&1", kind.install_slow));
    machine.wait_for("grep -q 'lab-slow waits' /tmp/log || pgrep -f '[l]ab-go' || pgrep -f '[r]pm-tmp'");
}

async fn a_lock_is_waited_for_and_given_up_on(machine: &Machine, kind: Kind) {
    let guest = kind.open(machine).await;
    somebody_is_at_work(machine, kind);
    let error = guest.ready(Duration::from_secs(2)).await.unwrap_err();
    assert!(matches!(error, GuestError::Locked { .. }), "{error:?}");
    let words = error.to_string();
    assert!(
        words.starts_with("another package manager is at work on ") && words.contains("within 2 s"),
        "{words}"
    );
    let waiting = guest.ready(LONG);
    let ending = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        machine.sh("touch /run/lab-go");
    };
    let (ready, ()) = tokio::join!(waiting, ending);
    assert_eq!(ready.unwrap(), Readiness::Ready);
    assert_eq!(versions(&guest, &["lab-slow"]).await, [kind.version("1.1")]);
}

async fn a_transaction_waits_for_a_lock(machine: &Machine, kind: Kind) {
    let guest = kind.open(machine).await;
    let changes = [kind.change("lab-tool", "1.0", "1.1")];
    let (patient, hasty) = (
        guest.transaction(&changes, LONG).await.unwrap(),
        guest.transaction(&changes, Duration::from_secs(1)).await.unwrap(),
    );
    somebody_is_at_work(machine, kind);
    let (state, output) = run_job(&guest, "hasty", &hasty).await;
    assert!(matches!(state, JobState::Ended { code: 1.. }), "{state:?} {output}");
    assert!(output.to_lowercase().contains("lock"), "{output}");
    assert!(matches!(guest.settled(&changes).await, Err(GuestError::Refused { .. })), "nothing was changed");
    let id = JobId::new("patient").unwrap();
    job::start(guest.transport(), &id, &patient).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(job::look(guest.transport(), &id, 0).await.unwrap().state, JobState::Running);
    machine.sh("touch /run/lab-go");
    let (state, output) = run_job(&guest, "patient", &patient).await;
    assert_eq!(state, JobState::Ended { code: 0 }, "{output}");
    guest.settled(&changes).await.unwrap();
}

/// The process that started it is killed; another finds it by its id.
async fn a_transaction_goes_on_without_its_starter(machine: &Machine, kind: Kind) {
    let guest = kind.open(machine).await;
    let changes = [kind.change("lab-slow", "1.0", "1.1")];
    let job = guest.transaction(&changes, LONG).await.unwrap();
    let id = JobId::new("a1b2.R12.3").unwrap();
    job::start(guest.transport(), &id, &job).await.unwrap();
    machine.wait_for("pgrep -f '[l]ab-go' || pgrep -f '[r]pm-tmp' || pgrep -f '[l]ab-slow.postinst'");
    drop(guest);

    let guest = Guest::open(machine.transport()).await.unwrap();
    assert_eq!(job::look(guest.transport(), &id, 0).await.unwrap().state, JobState::Running);
    job::start(guest.transport(), &id, &job).await.unwrap();
    machine.sh("touch /run/lab-go");
    let (state, output) = run_job(&guest, "a1b2.R12.3", &job).await;
    assert_eq!(state, JobState::Ended { code: 0 }, "{output}");
    guest.settled(&changes).await.unwrap();
}

/// Where nothing of the kind is installed, and where the distribution's program is missing.
#[test]
fn a_machine_without_a_known_package_manager_is_told() {
    let machine = Machine::new("apt");
    patchyard_contract::suite::run(async {
        for (release, words) in [
            ("ID=arch\nPRETTY_NAME=\"Arch\\nLinux\"", "no package manager that Patchyard knows: Arch"),
            ("ID=fedora\nPRETTY_NAME=Fedora", "Fedora without dnf"),
            ("nonsense", "it does not say which distribution it is"),
        ] {
            machine.sh(&format!("rm -f /etc/os-release; printf '%s\\n' '{release}' >/etc/os-release"));
            let error = Guest::open(machine.transport()).await.err().unwrap();
            assert!(matches!(error, GuestError::NoPackageManager { .. }), "{error:?}");
            assert!(error.to_string().contains(words), "{error}");
        }
    });
}
