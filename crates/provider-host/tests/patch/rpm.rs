//! The same on machines with rpm: what dnf and zypper do otherwise.

use patchyard_contract::PackageCache as _;
use patchyard_contract::suite::machine;
use patchyard_guest::Guest;
use patchyard_types::{Direction, MachineStep, WayBack};

use crate::place::{DNF, DNF5, Kind, Place, ZYPPER, kept};

/// Packages that its repository has to fetch from somewhere: what lies in a folder is not fetched.
const BY_HTTP: &str = "cd /repo; python3 -m http.server 8000 --bind 127.0.0.1 >/dev/null 2>&1 & \
    sed -i 's,file:///repo,http://127.0.0.1:8000,' /etc/yum.repos.d/lab.repo; \
    until python3 -c \"import socket; socket.create_connection(('127.0.0.1', 8000))\" 2>/dev/null; do sleep 0.1; done";

async fn place(kind: Kind, packages: &[&str]) -> Place {
    let script = if kind.image == "dnf" { BY_HTTP } else { "true" };
    Place::of(kind, script, packages, WayBack::Required).await
}

/// Its repository has some packages no more.
fn forget(place: &Place, files: &str) {
    place.machine.sh(&format!(
        "rm -r /repo/noarch/{files} /repo/repodata; createrepo_c --quiet /repo; {}",
        place.kind.refresh
    ));
}

async fn what_the_repository_has_dropped_comes_from_the_cache(kind: Kind) {
    let place = place(kind, &["lab-tool"]).await;
    let before = place.versions();
    forget(&place, "lab-tool-1.2-1.noarch.rpm");
    let mut records = place.prepared().await;
    let (back, missing) = kept(&records);
    assert_eq!((back.len(), missing), (1, &[][..]));
    assert!(place.cache.find(&back[0].sha256.unwrap()).is_some(), "{back:?}");
    place.perform(MachineStep::Install, Direction::Do, &mut records).await.unwrap();
    assert!(place.versions().contains(&"lab-tool 1.2".to_owned()), "{:?}", place.versions());
    // By now it has nothing at all.
    forget(&place, "*.rpm");
    place.perform(MachineStep::Install, Direction::Undo, &mut records).await.unwrap();
    assert_eq!(place.versions(), before);
}

async fn without_a_way_back_nothing_is_begun(kind: Kind) {
    let place = place(kind, &["lab-tool"]).await;
    forget(&place, "lab-tool-1.0-1.noarch.rpm");
    place.is_refused_without_a_way_back("lab-tool 1.0").await;
}

/// Everything that was at work was killed in the middle, the job too: the package is there in both versions.
async fn a_transaction_that_was_killed_is_finished(kind: Kind, killed: &str) {
    for direction in [Direction::Do, Direction::Undo] {
        let place = place(kind, &["lab-slow"]).await;
        let mut records = place.prepared().await;
        place.left_in_the_middle(&records);
        place.machine.sh(&format!(
            "set +e; pkill -9 -f '[i]nstall.1/commands'; pkill -9 -x '{killed}'; pkill -9 -f '[r]pm-tmp'; touch /run/lab-go; true"
        ));
        let both = ["lab-slow 1.0".to_owned(), "lab-slow 1.1".to_owned()];
        assert!(both.iter().all(|one| place.versions().contains(one)), "{:?}", place.versions());
        let guest = Guest::open(place.machine.transport()).await.unwrap();
        assert_eq!(guest.installed().await.unwrap().unfinished, ["lab-slow"]);
        place.perform(MachineStep::Install, direction, &mut records).await.unwrap();
        let [old, new] = both;
        let (there, gone) = if direction == Direction::Do { (new, old) } else { (old, new) };
        assert!(
            place.versions().contains(&there) && !place.versions().contains(&gone),
            "{:?}",
            place.versions()
        );
    }
}

mod dnf {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_transaction_that_was_killed_is_finished() {
        super::a_transaction_that_was_killed_is_finished(DNF, "dnf").await;
    }

    patchyard_contract::machine_suite!(tokio::test, place(DNF, &["lab-tool", "lab-lib", "lab-needs"]));

    #[tokio::test]
    async fn what_the_repository_has_dropped_comes_from_the_cache() {
        super::what_the_repository_has_dropped_comes_from_the_cache(DNF).await;
    }

    #[tokio::test]
    async fn without_a_way_back_nothing_is_begun() {
        super::without_a_way_back_nothing_is_begun(DNF).await;
    }
}

#[tokio::test]
#[ignore = "lab/guests dnf5 makes the machine: ./test --slow"]
async fn dnf_five_patches_and_goes_back() {
    let packages = ["lab-tool", "lab-lib", "lab-needs"];
    machine::every_step_in_order_patches_and_the_probe_knows(&place(DNF5, &packages).await).await;
    machine::from_every_step_the_way_back_restores_what_was(&place(DNF5, &packages).await).await;
    machine::what_the_snapshot_keeps_leads_back(&place(DNF5, &packages).await).await;
    what_the_repository_has_dropped_comes_from_the_cache(DNF5).await;
}

mod zypper {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_transaction_that_was_killed_is_finished() {
        super::a_transaction_that_was_killed_is_finished(ZYPPER, "zypper|rpm").await;
    }

    patchyard_contract::machine_suite!(tokio::test, place(ZYPPER, &["lab-tool", "lab-lib", "lab-needs"]));

    #[tokio::test]
    async fn what_the_repository_has_dropped_comes_from_the_cache() {
        super::what_the_repository_has_dropped_comes_from_the_cache(ZYPPER).await;
    }

    #[tokio::test]
    async fn without_a_way_back_nothing_is_begun() {
        super::without_a_way_back_nothing_is_begun(ZYPPER).await;
    }
}
