//! A real machine of the lab passes the suite of every provider of machines; and what only a real one can show: bad
//! packages, archives that have moved on, jobs that outlive their starter.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod place;
mod rpm;
#[path = "../../../guest/tests/yard/mod.rs"]
mod yard;

use std::collections::BTreeMap;

use patchyard_contract::{PackageCache as _, Provider as _};
use patchyard_types::{Direction, FailureKind, MachineStep, Probe, Record, StepError, Subject, WayBack};
use place::{Place, kept};

patchyard_contract::machine_suite!(tokio::test, Place::new(&["lab-tool", "lab-lib", "lab-needs"]));

/// Its script fails: the machine is left half done, the package is blamed in its own words, and the way back leads to what
/// was there before.
#[tokio::test]
async fn a_package_that_fails_is_taken_back() {
    let place = Place::new(&["lab-broken", "lab-tool"]).await;
    // Nobody has asked for it by name, and afterwards nobody has either.
    place.machine.sh("apt-mark auto lab-broken");
    let before = place.versions();
    let mut records = place.prepared().await;
    match place.perform(MachineStep::Install, Direction::Do, &mut records).await {
        Err(StepError::Failed(failure)) => {
            assert_eq!(failure.kind, FailureKind::PackageManager);
            assert!(failure.message.contains("cannot migrate its data"), "{failure}");
        }
        other => panic!("{other:?}"),
    }
    assert_ne!(place.versions(), before);
    place.perform(MachineStep::Install, Direction::Undo, &mut records).await.unwrap();
    assert_eq!(place.versions(), before);
    assert_eq!(place.machine.sh("apt-mark showauto | grep lab-"), "lab-broken");
}

/// Between the last look and the transaction somebody else was at work: it is not begun, and theirs stays.
#[tokio::test]
async fn what_somebody_else_has_changed_is_not_taken_back() {
    let place = Place::new(&["lab-tool"]).await;
    let mut records = place.prepared().await;
    place.machine.sh("dpkg --remove lab-tool");
    let theirs = place.versions();
    match place.perform(MachineStep::Install, Direction::Do, &mut records).await {
        Err(StepError::Failed(failure)) => assert_eq!(failure.kind, FailureKind::Precondition, "{failure}"),
        other => panic!("{other:?}"),
    }
    place.perform(MachineStep::Install, Direction::Undo, &mut records).await.unwrap();
    assert_eq!(place.versions(), theirs);
}

/// The archive has dropped what was planned: the bytes come from the cache. What was there before was kept too.
#[tokio::test]
async fn what_the_archive_has_dropped_comes_from_the_cache() {
    let place = Place::new(&["lab-tool"]).await;
    let before = place.versions();
    place.machine.sh(
        "rm /repo/lab-tool_1.2_all.deb; cd /repo; apt-ftparchive packages . >Packages; apt-get -q update",
    );
    let mut records = place.prepared().await;
    let (back, missing) = kept(&records);
    assert_eq!((back.len(), missing), (1, &[][..]));
    assert!(place.cache.find(&back[0].sha256.unwrap()).is_some(), "{back:?}");
    place.perform(MachineStep::Install, Direction::Do, &mut records).await.unwrap();
    assert!(place.versions().contains(&"lab-tool 1.2 installed".to_owned()));
    // By now it has nothing at all.
    place.machine.sh("rm /repo/*.deb; : >/repo/Packages; apt-get -q update");
    place.perform(MachineStep::Install, Direction::Undo, &mut records).await.unwrap();
    assert_eq!(place.versions(), before);
    let left = place.provider.leftovers(&[], &[]).await.unwrap();
    assert!(!left.is_empty());
    for leftover in &left {
        place.provider.collect(leftover).await.unwrap();
    }
    assert_eq!(place.provider.leftovers(&[], &[]).await.unwrap(), []);
    assert_eq!(place.machine.sh("ls /var/lib/patchyard"), "");
}

#[tokio::test]
async fn without_a_way_back_nothing_is_begun_unless_the_plan_says_so() {
    let gone =
        "rm /repo/lab-tool_1.0_all.deb; cd /repo; apt-ftparchive packages . >Packages; apt-get -q update";
    let place = Place::new(&["lab-tool"]).await;
    place.machine.sh(gone);
    place.is_refused_without_a_way_back("lab-tool 1.0").await;

    let place = Place::with(&["lab-tool"], WayBack::Partial).await;
    place.machine.sh(gone);
    let records = place.prepared().await;
    let (back, missing) = kept(&records);
    assert_eq!((back.len(), missing), (0, &["lab-tool 1.0".to_owned()][..]));
}

/// The plan goes without a way back: what cannot be finished waits for a person, and what can stays.
#[tokio::test]
async fn what_was_not_kept_is_finished_on_the_way_back() {
    let place = Place::with(&["lab-broken"], WayBack::Partial).await;
    place.machine.sh(
        "rm /repo/lab-broken_1.0_all.deb; cd /repo; apt-ftparchive packages . >Packages; apt-get -q update",
    );
    let mut records = place.prepared().await;
    let failed = place.perform(MachineStep::Install, Direction::Do, &mut records).await;
    assert!(matches!(failed, Err(StepError::Failed(_))), "{failed:?}");
    let back = place.perform(MachineStep::Install, Direction::Undo, &mut records).await;
    assert!(matches!(back, Err(StepError::Failed(_))), "{back:?}");
    place.machine.sh("touch /run/lab-mended");
    place.perform(MachineStep::Install, Direction::Undo, &mut records).await.unwrap();
    assert!(place.versions().contains(&"lab-broken 1.1 installed".to_owned()));
}

/// dpkg was interrupted by somebody else: that is finished first.
#[tokio::test]
async fn an_interrupted_package_manager_is_repaired_first() {
    let place = Place::new(&["lab-tool"]).await;
    place.machine.sh("dpkg --unpack /repo/lab-victim_1.0_all.deb");
    assert!(place.versions().contains(&"lab-victim 1.0 unpacked".to_owned()));
    let mut records = place.prepared().await;
    assert!(place.versions().contains(&"lab-victim 1.0 installed".to_owned()));
    place.perform(MachineStep::Install, Direction::Do, &mut records).await.unwrap();
}

/// The controller is gone while the machine works: another one finds the job, and waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_outlives_its_starter_and_is_found_again() {
    let place = Place::new(&["lab-slow"]).await;
    let mut records = place.prepared().await;
    place.left_in_the_middle(&records);
    let call = place.call(MachineStep::Install, Direction::Do, &records);
    assert_eq!(place.provider.probe(&call).await.unwrap(), Probe::NotDone);
    let provider = place.provider.clone();
    let second = tokio::spawn(async move { provider.perform(&call).await });
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    place.machine.sh("touch /run/lab-go");
    assert_eq!(second.await.unwrap(), Ok(Record::Nothing));
    let call = place.call(MachineStep::Install, Direction::Do, &records);
    assert!(matches!(place.provider.probe(&call).await.unwrap(), Probe::Done { .. }));
    assert_eq!(place.machine.sh("ls /var/lib/patchyard | grep -c install"), "1");
    place.perform(MachineStep::Install, Direction::Undo, &mut records).await.unwrap();
}

/// Everything that was at work was killed in the middle, the job too: it is finished before it is done again.
#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_was_killed_is_finished() {
    let place = Place::new(&["lab-slow"]).await;
    let mut records = place.prepared().await;
    place.left_in_the_middle(&records);
    place.machine.sh(
        "set +e; pkill -9 -f '[i]nstall.1/commands'; pkill -9 apt-get; pkill -9 dpkg; pkill -9 -f '[l]ab-slow.postinst'; touch /run/lab-go; true",
    );
    assert!(
        place.versions().iter().any(|line| line.starts_with("lab-slow 1.1 half-configured")),
        "{:?}",
        place.versions()
    );
    place.perform(MachineStep::Install, Direction::Do, &mut records).await.unwrap();
    assert!(place.versions().contains(&"lab-slow 1.1 installed".to_owned()));
}

#[tokio::test]
async fn what_listens_and_runs_and_answers_is_seen() {
    let place = Place::new(&["lab-tool"]).await;
    place.machine.background("exec perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(LocalPort => 8080, Listen => 9, ReuseAddr => 1); \
        while ($c = $s->accept) { sysread $c, $_, 999; print $c \"HTTP/1.1 204 Fine\\r\\n\\r\\n\"; close $c }'");
    place.machine.wait_for("grep -q :1F90 /proc/net/tcp");
    let call = place.call(MachineStep::Preflight, Direction::Do, &BTreeMap::new());
    let look = place.provider.observe(&call, Subject::Original).await.unwrap();
    assert!(look.listening.unwrap().iter().any(|socket| socket.port == 8080), "{:?}", look.http);
    assert!(look.processes.unwrap().contains_key("perl"));
    assert!(
        matches!(look.http[&8080], patchyard_types::HttpAnswer::Status { status: 204, .. }),
        "{:?}",
        look.http
    );
}
