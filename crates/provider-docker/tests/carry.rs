//! What a container has written into its writable layer, on its way into another one.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what fails is a failed test")]

mod yard;

use patchyard_contract::Provider;
use patchyard_contract::suite::provider::Yard;
use patchyard_types::{Direction, Failure, FailureKind, Probe, SwapStep, WritableLayer};
use serde_json::json;
use yard::{Hand, RealYard, failure};

/// Of every kind that a file system has, and of every change to a file of the image.
const WRITES: &str = r#"
mkdir -p /srv/app/sub/empty /opt/deep/er
echo one > /srv/app/a; ln /srv/app/a /srv/app/b; ln -s ../etc/passwd /srv/app/link; mkfifo /srv/app/pipe
printf 'with a gap' > /srv/app/sparse; truncate -s 3M /srv/app/sparse; printf end >> /srv/app/sparse
head -c 700000 /dev/urandom > /opt/deep/er/random
echo odd > "/srv/app/a name with spaces, ümlauts and $(printf 'x%.0s' $(seq 150))"
chown 33:101 /srv/app/a; chmod 4750 /srv/app/a; chmod 1777 /srv/app/sub; chown 7:8 /srv/app/sub
chmod 711 /opt; chown 33:33 /home; chown -h 5:6 /srv/app/link
echo more >> /etc/motd; ln -sf /srv/app/a /etc/issue.net; chmod 600 /etc/issue
cp -p /bin/true /srv/app/tool; mkdir /mnt/many; for n in $(seq 30); do echo $n > /mnt/$n; done
touch -h -d 2001-02-03T04:05:06Z /srv/app/a /srv/app/link /srv/app/sub /etc/motd /opt
echo gone > /tmp/ignored; echo gone > /var/log/ignored; mkdir /srv/app/__pycache__; echo gone > /srv/app/__pycache__/x
"#;

/// What can be seen of it: kind, mode, owner, size, time, link target, path, then what is in it. A
/// folder's size is its file system's own affair.
const LOOK: &str = r#"
find /srv /opt /home /mnt /etc/motd /etc/issue /etc/issue.net ! -path '*__pycache__*' \( -type d -printf '%y %m %U:%G - %TY%Tm%Td%TH%TM %p\n' \
    -o -printf '%y %m %U:%G %s %TY%Tm%Td%TH%TM %l %n %p\n' \) | sort
find /srv /opt /mnt /etc/motd -type f ! -path '*__pycache__*' -exec sha256sum {} + | sort
"#;

async fn yard_that_wrote(script: &str) -> RealYard {
    let mut yard = RealYard::with(|_, _| {}).await;
    yard.writable_layer = WritableLayer::Carry;
    yard.sh(script).await;
    yard.plan_layer().await;
    yard
}

#[tokio::test]
async fn everything_it_has_written_comes_along_to_the_last_byte_before_the_stop() {
    let yard = yard_that_wrote(WRITES).await;
    let mut hand = Hand::new(&yard);
    hand.doing_up_to(SwapStep::Create).await;
    // Created long ago, and still serving: what it writes now counts.
    yard.sh("echo late > /srv/app/late; echo late >> /etc/motd").await;
    let before = yard.sh(LOOK).await;
    for step in [SwapStep::Stop, SwapStep::Hold, SwapStep::Carry, SwapStep::Rename, SwapStep::Start] {
        hand.doing(step).await;
    }
    let after = yard.sh(LOOK).await;
    assert_eq!(after, before);
    for kind in ["p ", "l ", "d 1777 7:8", "f 4750 33:101", " 2 /srv/app/b", "d 711 0:0 - 200102030405 /opt"]
    {
        assert!(before.contains(kind), "{kind}: {before}");
    }
    yard.sh("test /srv/app/a -ef /srv/app/b").await;
    // It is patched, and what is made anew was not carried.
    assert_eq!(yard.sh("dpkg-query -W -f '${Version}' lab-web").await, "1.1");
    yard.sh("test ! -e /tmp/ignored; test ! -e /var/log/ignored; test ! -e /srv/app/__pycache__/x").await;

    // And the way back gives what was, byte by byte.
    yard.sh("rm -rf /srv/app").await;
    hand.back().await;
    assert_eq!(yard.sh(LOOK).await, before);
    assert_eq!(yard.sh("dpkg-query -W -f '${Version}' lab-web").await, "1.0");
    assert_eq!(yard.objects().await.len(), 1, "{:?}", yard.objects().await);
}

#[tokio::test]
async fn a_manual_rollback_brings_back_what_was_written_before_the_patch() {
    let mut yard = yard_that_wrote("mkdir /srv/app; echo before > /srv/app/file").await;
    let snapshot = Hand::new(&yard).swapped().await;
    assert!(snapshot.own_layer);
    assert_eq!(yard.sh("cat /srv/app/file").await, "before\n");
    yard.sh("echo after > /srv/app/file").await;
    yard.writable_layer = WritableLayer::LeaveOut;
    yard.plan_restore(&snapshot.id).await;
    Hand::of(&yard, 2).doing_up_to(SwapStep::Start).await;
    assert_eq!(yard.sh("cat /srv/app/file").await, "before\n");
}

#[tokio::test]
async fn without_a_word_the_new_container_starts_without_it_and_the_snapshot_keeps_it() {
    let mut yard = yard_that_wrote("echo lost > /srv/file").await;
    yard.writable_layer = WritableLayer::Discard;
    yard.plan_layer().await;
    let mut hand = Hand::new(&yard);
    hand.doing_up_to(SwapStep::Start).await;
    yard.sh("test ! -e /srv/file").await;
    assert!(hand.swapped().await.own_layer);
}

/// A run that is refused before anything is stopped.
async fn refused(script: &str) -> Failure {
    let yard = yard_that_wrote(script).await;
    let (serving, objects) = (yard.serving().await, yard.objects().await);
    let mut hand = Hand::new(&yard);
    hand.doing_up_to(SwapStep::Preflight).await;
    let failure = failure(hand.try_to(SwapStep::Create, Direction::Do).await);
    hand.undoing(SwapStep::Create).await;
    assert_eq!((yard.serving().await, yard.objects().await), (serving, objects));
    assert_eq!(failure.kind, FailureKind::Refused, "{failure}");
    failure
}

#[tokio::test]
async fn what_cannot_be_carried_is_refused_by_name_while_it_serves() {
    for (script, says) in [
        ("rm /etc/issue", "deleted /etc/issue"),
        ("rm -r /etc/skel; mkdir /etc/skel", "deleted /etc/skel"),
        ("rm -r /media; ln -s /srv /media", "/media"),
        // The patch replaces this file.
        ("echo '# by hand' >> /usr/bin/lab-web", "both it and the patch have changed /usr/bin/lab-web"),
        // A package that somebody installed or removed in the container itself.
        ("dpkg --purge --force-all tzdata >/dev/null 2>&1", "/var/lib/dpkg/status"),
    ] {
        let failure = refused(script).await;
        assert!(failure.message.contains(says), "{script}: {failure}");
    }
}

#[tokio::test]
async fn planning_already_knows_what_cannot_be_carried() {
    let yard = RealYard::with(|_, _| {}).await;
    let target = yard.target().await;
    yard.sh("echo x > /srv/x; touch /var/lib/dpkg/lock").await;
    assert_eq!(yard.docker.unsaved(&target).await.unwrap().cannot_carry, None);
    yard.sh("dpkg --purge --force-all tzdata >/dev/null 2>&1").await;
    let why = yard.docker.unsaved(&target).await.unwrap().cannot_carry.unwrap();
    assert!(why.contains("packages were installed or removed in it"), "{why}");
}

#[tokio::test]
async fn what_the_patch_has_deleted_or_written_alike_is_left_to_it() {
    // Written as the image has it: nobody has changed it, so the patch's counts.
    let yard = yard_that_wrote(
        "cp -p /usr/bin/lab-web /tmp/same; cat /tmp/same > /usr/bin/lab-web; echo x > /srv/x",
    )
    .await;
    let mut hand = Hand::new(&yard);
    hand.doing_up_to(SwapStep::Start).await;
    assert_eq!(yard.sh("dpkg-query -W -f '${Version}' lab-web; cat /srv/x").await, "1.1x\n");
    assert_eq!(yard.sh("dpkg --verify lab-web").await, "");
}

#[tokio::test]
async fn half_a_copy_is_not_taken_for_a_whole_one() {
    let yard = yard_that_wrote("mkdir /srv/app; echo a > /srv/app/a; echo b > /srv/app/b").await;
    let mut hand = Hand::new(&yard);
    hand.doing_up_to(SwapStep::Hold).await;
    assert_eq!(hand.probe(SwapStep::Carry, Direction::Do).await, Probe::NotDone);
    let new = yard.of_run("new");
    // As a crash leaves it: one file whole, one without its time.
    let mut half = patchyard_provider_docker::client::TarWriter::new();
    half.directory("app", 0o755).unwrap();
    half.file("app/a", 0o644, b"a\n").unwrap();
    yard.client().write(&new, "/srv", half).await.unwrap();
    assert_eq!(hand.probe(SwapStep::Carry, Direction::Do).await, Probe::NotDone);
    hand.doing(SwapStep::Carry).await;
    assert!(matches!(hand.probe(SwapStep::Carry, Direction::Do).await, Probe::Done { .. }));
    hand.doing(SwapStep::Carry).await;
    hand.doing(SwapStep::Rename).await;
    hand.doing(SwapStep::Start).await;
    assert_eq!(yard.sh("cat /srv/app/a /srv/app/b").await, "a\nb\n");
}

/// `/lib` leads to `/usr/lib` in Debian's images, and engines tell of changes by their true paths.
#[tokio::test]
async fn a_volume_whose_place_leads_over_a_link_is_left_alone() {
    let mut yard = RealYard::with(|body, _| body["Volumes"]["/lib/data"] = json!({})).await;
    yard.writable_layer = WritableLayer::Carry;
    yard.sh("echo volume > /lib/data/file; chown 7:8 /lib/data; chmod 2770 /lib/data; echo x > /srv/x").await;
    yard.plan_layer().await;
    let mut hand = Hand::new(&yard);
    hand.doing_up_to(SwapStep::Start).await;
    let there = yard.sh("stat -c '%a %u:%g' /lib/data; cat /lib/data/file /srv/x").await;
    assert_eq!(there, "2770 7:8\nvolume\nx\n");
}

#[tokio::test]
async fn a_folder_beside_a_volume_is_carried_and_the_volume_is_left_alone() {
    let yard = yard_that_wrote(
        "mkdir -p /named/in; echo volume > /named/in/file; for n in $(seq 30); do echo $n > /scratch/$n; done; echo x > /x",
    )
    .await;
    let mut hand = Hand::new(&yard);
    hand.doing_up_to(SwapStep::Start).await;
    assert_eq!(yard.sh("cat /named/in/file /x; ls /scratch").await, "volume\nx\n");
}
