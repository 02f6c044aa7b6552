//! Ubuntu: phased updates as the target's own apt decides about them, security by Ubuntu's suites.

use patchyard_contract::{Ask, Provider};
use patchyard_types::{Digest, PendingPatch, PendingStatus};
use serde_json::{Value, json};

use crate::support::{Container, Yard, yard};

const IMAGE: &str = "patchyard-lab/web-ubuntu:1";
/// The update of lab-half is phased to 50 %: it has not reached the first of these machines, but the second.
const LATE: &str = "0123456789abcdef0123456789abcdef";
const EARLY: &str = "11111111111111111111111111111111";

/// What the target's own apt would install, the target's own updates being none of Patchyard's business otherwise.
async fn own_answer(yard: &Yard, container: &Container) -> Vec<String> {
    yard.run(container, &["apt-get", "-q", "update"]).await;
    let said = yard.run(container, &["apt-get", "-s", "upgrade"]).await;
    let installs = said.lines().filter_map(|line| line.strip_prefix("Inst ")?.split(' ').next());
    let mut names: Vec<String> = installs.map(str::to_owned).collect();
    names.sort();
    names
}

/// What is pending, after a comparison with the target's own apt; and the starting state.
async fn pending(yard: &Yard, container: &Container) -> (Vec<PendingPatch>, Option<Digest>) {
    let target = yard.target(container).await;
    let inventory = yard.docker.inventory(&target).await.unwrap();
    let patches = yard.docker.pending(&target, &inventory, &Ask::default()).await.unwrap();
    let available = patches.iter().filter(|patch| patch.status == PendingStatus::Available);
    let available: Vec<String> = available.map(|patch| patch.package.clone()).collect();
    assert_eq!(available, own_answer(yard, container).await);
    (patches, inventory.starting.packages)
}

/// A container with a machine id and options of apt of its own.
async fn machine(yard: &Yard, id: &str, options: &str, more: Value) -> Container {
    let container = yard.container(IMAGE, more).await;
    let script =
        "printf %s \"$1\" >/etc/apt/apt.conf.d/99test; test -z \"$0\" || echo \"$0\" >/etc/machine-id";
    yard.run(&container, &["sh", "-c", script, id, options]).await;
    container
}

fn status(patches: &[PendingPatch], package: &str) -> PendingStatus {
    patches.iter().find(|patch| patch.package == package).unwrap_or_else(|| panic!("{patches:#?}")).status
}

#[tokio::test(flavor = "multi_thread")]
async fn security_is_told_by_ubuntus_suites() {
    let yard = yard().await;
    let container = yard.container(IMAGE, json!({})).await;
    let target = yard.target(&container).await;
    let os = target.os.as_ref().unwrap();
    assert_eq!((os.id.as_str(), os.version_id.as_str()), ("ubuntu", "24.04"));
    let (patches, _) = pending(&yard, &container).await;
    let found: Vec<_> = patches.iter().map(|p| (p.package.as_str(), p.security, p.origin.as_str())).collect();
    assert_eq!(
        found,
        [
            ("lab-esm", true, "UbuntuESMApps:24.04/noble-apps-security"),
            ("lab-half", false, "Ubuntu:24.04/noble-updates"),
            ("lab-web", true, "Ubuntu:24.04/noble-updates, Ubuntu:24.04/noble-security"),
            ("lab-whole", false, "Ubuntu:24.04/noble-updates"),
        ]
    );
    assert!(patches.iter().all(|patch| patch.sha256.is_some() && patch.size > 0), "{patches:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_targets_machine_id_decides_which_phased_updates_have_reached_it() {
    let yard = yard().await;
    // Without an id, as in Ubuntu's own image, apt takes them all.
    let none = machine(&yard, "", "", json!({})).await;
    let late = machine(&yard, LATE, "", json!({})).await;
    let early = machine(&yard, EARLY, "", json!({})).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("machine-id");
    std::fs::write(&file, format!("{LATE}\n")).unwrap();
    let binds = json!({"HostConfig": {"Binds": [format!("{}:/etc/machine-id:ro", file.display())]}});
    let mounted = machine(&yard, "", "", binds).await;

    let mut states = Vec::new();
    for (container, expected) in [
        (&none, PendingStatus::Available),
        (&late, PendingStatus::Phased),
        (&early, PendingStatus::Available),
        (&mounted, PendingStatus::Phased),
    ] {
        let (patches, state) = pending(&yard, container).await;
        assert_eq!(status(&patches, "lab-half"), expected, "{patches:#?}");
        assert_eq!(status(&patches, "lab-whole"), PendingStatus::Available);
        states.push(state.unwrap());
    }
    // Who shares a starting state shares the answer.
    assert_eq!(states[1], states[3]);
    assert!(states[0] != states[1] && states[1] != states[2] && states[0] != states[2], "{states:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_targets_own_options_decide_about_phased_updates_too() {
    let yard = yard().await;
    for (id, options, expected) in [
        (EARLY, format!("APT::Machine-ID \"{LATE}\";"), PendingStatus::Phased),
        (LATE, format!("APT::Machine-ID \"{EARLY}\";"), PendingStatus::Available),
        (EARLY, "APT::Get::Never-Include-Phased-Updates \"true\";".to_owned(), PendingStatus::Phased),
        (LATE, "APT::Get::Always-Include-Phased-Updates \"true\";".to_owned(), PendingStatus::Available),
        // A newer apt decides by priorities, and does not speak of what it leaves alone.
        (LATE, "APT::Get::Phase-Policy \"true\";".to_owned(), PendingStatus::Phased),
        (EARLY, "APT::Get::Phase-Policy \"true\";".to_owned(), PendingStatus::Available),
    ] {
        let container = machine(&yard, id, &options, json!({})).await;
        let (patches, _) = pending(&yard, &container).await;
        assert_eq!(status(&patches, "lab-half"), expected, "{options}");
    }
}
