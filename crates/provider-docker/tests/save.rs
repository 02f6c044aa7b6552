//! `data: restore`: volumes are copied aside while their container is stopped, and put back.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what fails is a failed test")]

mod yard;

use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use patchyard_contract::suite::provider::Yard;
use patchyard_contract::{Note, Part, Progress, Provider};
use patchyard_types::{Data, Direction, Failure, FailureKind, Probe, Record, Snapshot, Step, SwapStep};
use rustix::fs::{XattrFlags, getxattr, setxattr};
use serde_json::json;
use yard::{Hand, RealYard, derive, failure};

/// Of every kind that a file system has, with everything that can be said of a file.
const WRITES: &str = r#"
mkdir -p d/e empty; echo one > d/a; ln d/a d/b; ln -s ../x d/l; ln -s "$(printf 'x%.0s' $(seq 200))" long; mkfifo d/p
truncate -s 64M gap; printf end >> gap; printf 'a gap within' > gap2; truncate -s 3M gap2; printf end >> gap2
head -c 700000 /dev/urandom > random; echo odd > "a name, ümlauts
and a line"; printf x > "$(printf 'not \377 utf8')"
chown 33:44 d/a; chmod 4750 d/a; chown 101:102 .; chmod 2770 .; chown -h 5:6 d/l; chmod 000 empty; chmod 1777 d/e
mknod null c 1 3; cp -p /bin/true tool
touch -d 2001-02-03T04:05:06.789 d/a d/e; touch -h -d 2002-02-03T04:05:06.123456789 d/l; touch -d 2003-01-01 d .
"#;

/// What the next version does to them, which the way back has to undo.
const SPOILS: &str = "rm -rf d gap; echo new > random; mkdir -p d/new; echo x > came-since; chmod 777 .; chown 0:0 . tool; rm -r empty";

fn sh(script: &str) -> String {
    let output = Command::new("sh").args(["-ec", script]).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Where the engine, which is on this machine, keeps a volume.
fn place(volume: &str) -> String {
    sh(&format!("docker volume inspect -f '{{{{.Mountpoint}}}}' {volume}")).trim().to_owned()
}

/// Everything that can be seen of a folder: kind, mode, owner, links, size, time to the nanosecond, target,
/// and what is in every file.
fn look(at: &str) -> String {
    // A folder's size is its file system's own affair.
    sh(&format!(
        "cd '{at}'; find . \\( -type d -printf '%y %m %U:%G - %T@ %p\\n' -o -printf '%y %m %U:%G %n %s %T@ %l %p\\n' \\) \
         | sort; find . -type f -print0 | sort -z | xargs -0r sha256sum"
    ))
}

/// An access control list as the kernel keeps it: user 1234 may read.
const ACL: [u8; 44] = {
    let mut acl = [0; 44];
    acl[0] = 2;
    let entries: [(u8, u8, [u8; 4]); 5] = [
        (0x01, 6, [0xff; 4]),
        (0x02, 4, [0xd2, 0x04, 0, 0]),
        (0x04, 4, [0xff; 4]),
        (0x10, 4, [0xff; 4]),
        (0x20, 0, [0xff; 4]),
    ];
    let mut n = 0;
    while n < entries.len() {
        let (tag, perm, id) = entries[n];
        let at = 4 + n * 8;
        (acl[at], acl[at + 2]) = (tag, perm);
        (acl[at + 4], acl[at + 5], acl[at + 6], acl[at + 7]) = (id[0], id[1], id[2], id[3]);
        n += 1;
    }
    acl
};

/// `cap_net_bind_service=ep`, as the kernel keeps it.
const CAPABILITY: [u8; 20] = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

const ATTRIBUTES: [(&str, &str, &[u8]); 4] = [
    ("random", "user.mine", b"of a file"),
    ("d", "user.mine", b"of a folder"),
    ("random", "system.posix_acl_access", &ACL),
    ("tool", "security.capability", &CAPABILITY),
];

fn attributes(at: &str) -> Vec<Vec<u8>> {
    ATTRIBUTES
        .iter()
        .map(|(path, name, _)| {
            let mut value = [0; 64];
            let length = getxattr(format!("{at}/{path}"), *name, &mut value).unwrap_or(0);
            value[..length].to_vec()
        })
        .collect()
}

/// A yard whose data is to be restored, with its two volumes' places on this machine.
async fn yard(shape: impl FnOnce(&mut serde_json::Value, &str)) -> (RealYard, [String; 2]) {
    let mut yard = RealYard::with(shape).await;
    yard.data = Data::Restore;
    yard.plan_layer().await;
    let inspect = yard.inspect(&yard.name).await;
    let of = |destination: &str| {
        let mounts = inspect["Mounts"].as_array().unwrap();
        let mount = mounts.iter().find(|mount| mount["Destination"] == destination).unwrap();
        mount["Source"].as_str().unwrap().to_owned()
    };
    let places = [of("/named"), of("/anonymous")];
    (yard, places)
}

async fn full_yard() -> (RealYard, [String; 2]) {
    let (yard, places) = yard(|_, _| {}).await;
    for place in &places {
        sh(&format!("cd {place}; {WRITES}"));
        for (path, name, value) in ATTRIBUTES {
            setxattr(format!("{place}/{path}"), name, value, XattrFlags::empty()).unwrap();
        }
    }
    (yard, places)
}

fn blocks(file: &str) -> u64 {
    sh(&format!("stat -c %b {file}")).trim().parse().unwrap()
}

#[tokio::test]
async fn after_the_way_back_volumes_hold_exactly_what_they_held_at_the_stop() {
    let (yard, places) = full_yard().await;
    let (serving, objects) = (yard.serving().await, yard.objects().await);
    let mut hand = Hand::new(&yard);
    hand.doing_up_to(SwapStep::Create).await;
    assert_eq!(yard.copies(), [""; 0], "what was measured leaves nothing");
    // Created long ago, and still serving: what it writes now counts.
    yard.sh("echo late > /named/late; touch -d 2004-01-01 /named").await;
    for step in [SwapStep::Stop, SwapStep::Hold] {
        hand.doing(step).await;
    }
    let before = places.each_ref().map(|place| (look(place), attributes(place)));
    let Record::Saved { volumes } = hand.doing(SwapStep::Save).await else { panic!("no copies on record") };
    assert_eq!(volumes.len(), 2);
    for (place, before) in places.iter().zip(&before) {
        assert_eq!((look(place), attributes(place)), *before, "saving changes nothing");
        let saved = volumes.iter().find(|saved| self::place(&saved.volume) == *place).unwrap();
        let copy = format!("{}/data", self::place(&saved.copy));
        assert_eq!((look(&copy), attributes(&copy)), *before, "a copy has everything");
        assert!(
            blocks(&format!("{copy}/gap")) < 100 && blocks(&format!("{copy}/gap2")) < 100,
            "gaps are filled"
        );
        assert!((700_000..4 << 20).contains(&saved.size), "{saved:?}");
    }
    hand.doing(SwapStep::Rename).await;
    hand.doing(SwapStep::Start).await;
    for place in &places {
        sh(&format!("cd {place}; {SPOILS}"));
    }
    hand.back().await;
    for (place, before) in places.iter().zip(&before) {
        assert_eq!((look(place), attributes(place)), *before);
        assert!(blocks(&format!("{place}/gap")) < 100, "a gap was filled");
        sh(&format!("test {place}/d/a -ef {place}/d/b"));
    }
    let words = before[0].1.iter().map(Vec::len).collect::<Vec<_>>();
    assert_eq!(words, [9, 11, 44, 20], "the attributes were there to be lost");
    assert_eq!((yard.serving().await, yard.objects().await), (serving, objects));
}

/// What a run was told.
#[derive(Default)]
struct Told(Mutex<Vec<Note>>);

impl Progress for Told {
    fn note(&self, note: Note) {
        self.0.lock().unwrap().push(note);
    }
}

#[tokio::test]
async fn how_far_a_copy_has_got_is_told_while_it_is_made() {
    let (yard, [named, _]) = yard(|_, _| {}).await;
    let shares = format!("cd {named} && echo x >shared && cp --reflink=always shared copy 2>/dev/null");
    if std::process::Command::new("sh").args(["-c", &shares]).status().unwrap().success() {
        // A copy that shares the blocks of its original is there at once, however large it is.
        return;
    }
    let mut hand = Hand::new(&yard);
    hand.doing_up_to(SwapStep::Hold).await;
    // What is copied at once needs no progress: it takes as much as this machine does not do at once.
    for mebibytes in [256_u64, 1024, 4096] {
        sh(&format!("dd if=/dev/zero of={named}/large bs=1M count={mebibytes} 2>&1"));
        let told = Arc::new(Told::default());
        let mut call = hand.call(SwapStep::Save, Direction::Do);
        call.progress = Some(told.clone());
        yard.docker.perform(&call).await.unwrap();
        let notes = std::mem::take(&mut *told.0.lock().unwrap());
        assert_eq!(notes[0], Note { text: "saving volumes".to_owned(), part: None });
        let parts: Vec<_> = notes.into_iter().filter_map(|note| note.part).collect();
        for part in &parts {
            let Part::Bytes(done, whole) = *part else { panic!("{part:?}") };
            assert!(done <= whole && whole >= mebibytes << 20, "{part:?}");
        }
        if parts.iter().any(|part| matches!(part, Part::Bytes(1.., _))) {
            return;
        }
        hand.undoing(SwapStep::Save).await;
    }
    panic!("4 GiB were copied, and nobody was told how far that had got");
}

#[tokio::test]
async fn a_snapshot_keeps_the_copies_and_a_rollback_to_it_gives_them_back() {
    let (mut yard, [named, _]) = full_yard().await;
    let before = {
        let mut hand = Hand::new(&yard);
        hand.doing_up_to(SwapStep::Hold).await;
        let before = (look(&named), attributes(&named));
        let snapshot = hand.swapped().await;
        assert_eq!(snapshot.volumes.len(), 2);
        assert!(snapshot.size > 1_400_000, "{snapshot:?}");
        yard.sh(&format!("cd /named; {SPOILS}")).await;
        before
    };
    let since = look(&named);
    let snapshot: Snapshot = kept(&yard).await;
    assert!(
        leftovers(&yard, std::slice::from_ref(&snapshot)).await.is_empty(),
        "a kept snapshot's copies are needed"
    );

    yard.plan_restore(&snapshot.id).await;
    let mut hand = Hand::of(&yard, 2);
    hand.doing_up_to(SwapStep::Start).await;
    assert_eq!((look(&named), attributes(&named)), before, "what the snapshot keeps");
    // A rollback that fails gives back what there was, which nobody has but its own copies.
    hand.back().await;
    assert_eq!(look(&named), since);
    assert_eq!(yard.copies().len(), 2, "the snapshot still has its copies: {:?}", yard.copies());

    let mut hand = Hand::of(&yard, 3);
    hand.doing_up_to(SwapStep::Hold).await;
    hand.doing(SwapStep::Save).await;
    hand.doing(SwapStep::Fill).await;
    hand.doing(SwapStep::Fill).await;
    let newer = hand.swapped().await;
    assert_eq!((look(&named), attributes(&named)), before);
    assert_eq!((newer.volumes.len(), yard.copies().len()), (2, 4));
    yard.docker.remove_snapshot(&snapshot).await.unwrap();
    assert_eq!(yard.copies().len(), 2);
    // And of a snapshot that nobody knows any more the copies are left over.
    for left in leftovers(&yard, &[]).await {
        yard.docker.collect(&left).await.unwrap();
    }
    assert_eq!(yard.copies(), [""; 0]);
}

async fn leftovers(yard: &RealYard, kept: &[Snapshot]) -> Vec<patchyard_contract::Leftover> {
    let all = yard.docker.leftovers(&[], kept).await.unwrap();
    all.into_iter().filter(|left| left.kind == "volume" && left.name.contains("-save-")).collect()
}

/// The snapshot of the yard's first run.
async fn kept(yard: &RealYard) -> Snapshot {
    let mut hand = Hand::new(yard);
    hand.records.clear();
    match hand.probe(SwapStep::Snapshot, Direction::Do).await {
        Probe::Done { record } => yard::snapshot_of(record),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_copy_that_is_not_whole_is_never_restored_from() {
    let (yard, [named, _]) = full_yard().await;
    let mut hand = Hand::new(&yard);
    hand.doing_up_to(SwapStep::Save).await;
    let volumes = match &hand.records[&Step::Swap(SwapStep::Save)] {
        Record::Saved { volumes } => volumes.clone(),
        other => panic!("{other:?}"),
    };
    hand.doing(SwapStep::Rename).await;
    hand.doing(SwapStep::Start).await;
    yard.sh("echo since > /named/since").await;
    hand.undoing(SwapStep::Start).await;
    hand.undoing(SwapStep::Rename).await;
    let since = look(&named);

    // As if it had died before the end.
    let half = volumes.iter().find(|saved| place(&saved.volume) == named).unwrap();
    let mark = format!("{}/whole", place(&half.copy));
    std::fs::remove_file(&mark).unwrap();
    let failed = failure(hand.try_to(SwapStep::Save, Direction::Undo).await);
    assert!(failed.message.contains("not whole"), "{failed}");
    assert_eq!(look(&named), since, "nothing was emptied");
    std::fs::write(&mark, "").unwrap();
    // A volume of that name that somebody else has made is none either.
    sh(&format!("docker volume rm {0} && docker volume create {0}", half.copy));
    let failed = failure(hand.try_to(SwapStep::Save, Direction::Undo).await);
    assert!(failed.message.contains("removed by somebody else"), "{failed}");
    assert_eq!(look(&named), since);
    // Nobody has it on record.
    hand.records.remove(&Step::Swap(SwapStep::Save));
    let failed = failure(hand.try_to(SwapStep::Save, Direction::Undo).await);
    assert!(failed.message.contains("stay as they are"), "{failed}");
    // What a person decides then.
    for step in [SwapStep::Hold, SwapStep::Stop, SwapStep::Create] {
        hand.undoing(step).await;
    }
    assert_eq!(yard.sh("cat /named/since").await, "since\n");
}

#[tokio::test]
async fn killed_in_the_middle_of_a_copy_it_begins_anew_and_nothing_is_lost() {
    let (yard, [named, _]) = full_yard().await;
    // Enough to be interrupted.
    sh(&format!(
        "cd {named}; mkdir many; for n in $(seq 3000); do echo $n > many/$n; done; head -c 60M /dev/urandom > big"
    ));
    let mut hand = Hand::new(&yard);
    hand.doing_up_to(SwapStep::Hold).await;
    let before = (look(&named), attributes(&named));
    let mut broken_off = 0;
    for after in [150, 500, 900, 1200] {
        // The helper goes on for a while: nobody is there who would end it.
        let call = hand.call(SwapStep::Save, Direction::Do);
        let outcome = tokio::time::timeout(Duration::from_millis(after), yard.docker.perform(&call)).await;
        broken_off += u32::from(outcome.is_err());
    }
    assert!(broken_off > 0, "it was too quick to be interrupted");
    for step in [SwapStep::Save, SwapStep::Rename, SwapStep::Start] {
        hand.doing(step).await;
    }
    sh(&format!("cd {named}; rm -r many big; {SPOILS}"));
    for step in [SwapStep::Start, SwapStep::Rename] {
        hand.undoing(step).await;
    }
    let mut broken_off = 0;
    for after in [150, 500, 900, 1200] {
        let call = hand.call(SwapStep::Save, Direction::Undo);
        let outcome = tokio::time::timeout(Duration::from_millis(after), yard.docker.perform(&call)).await;
        broken_off += u32::from(outcome.is_err());
        assert_eq!(hand.probe(SwapStep::Save, Direction::Undo).await, Probe::NotDone);
    }
    assert!(broken_off > 0, "it was too quick to be interrupted");
    hand.undoing(SwapStep::Save).await;
    assert_eq!((look(&named), attributes(&named)), before);
    for step in [SwapStep::Hold, SwapStep::Stop, SwapStep::Create] {
        hand.undoing(step).await;
    }
    assert_eq!(yard.copies(), [""; 0]);
}

/// A run that is refused before anything is stopped.
async fn refused(yard: &RealYard) -> Failure {
    let (serving, objects) = (yard.serving().await, yard.objects().await);
    let mut hand = Hand::new(yard);
    hand.doing_up_to(SwapStep::Preflight).await;
    let failure = failure(hand.try_to(SwapStep::Create, Direction::Do).await);
    hand.undoing(SwapStep::Create).await;
    assert_eq!((yard.serving().await, yard.objects().await), (serving, objects));
    failure
}

#[tokio::test]
async fn what_could_not_be_put_back_as_a_whole_is_refused_by_name_while_it_serves() {
    let folder = std::env::temp_dir().join(format!("pysave-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let bind = format!("{}:/host", folder.display());
    let (yard, _) = yard(|body, name| {
        body["HostConfig"]["Binds"] = json!([format!("{name}-named:/named"), bind]);
    })
    .await;
    let refusal = refused(&yard).await;
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(refusal.kind, FailureKind::Refused);
    assert!(refusal.message.contains("/host is no volume"), "{refusal}");
}

#[tokio::test]
async fn a_volume_that_another_running_container_uses_is_refused_by_its_name() {
    let (yard, _) = yard(|_, _| {}).await;
    let other = format!("{}-other", yard.name);
    let body =
        json!({"Image": yard.reference, "HostConfig": {"Binds": [format!("{}-named:/x:ro", yard.name)]}});
    yard.run(&other, &body).await;
    let refusal = refused(&yard).await;
    assert_eq!(refusal.kind, FailureKind::Refused);
    assert!(refusal.message.contains(&format!("{other} uses volume {}-named, too", yard.name)), "{refusal}");

    // Nor is a volume emptied that somebody has begun to use since.
    sh(&format!("docker stop -t 0 {other}"));
    let mut hand = Hand::new(&yard);
    hand.doing_up_to(SwapStep::Start).await;
    sh(&format!("docker start {other}"));
    hand.undoing(SwapStep::Start).await;
    hand.undoing(SwapStep::Rename).await;
    let failed = failure(hand.try_to(SwapStep::Save, Direction::Undo).await);
    assert!(failed.message.contains(&other), "{failed}");
    sh(&format!("docker stop -t 0 {other}"));
    for step in [SwapStep::Save, SwapStep::Hold, SwapStep::Stop, SwapStep::Create] {
        hand.undoing(step).await;
    }
}

#[tokio::test]
async fn an_image_without_the_programs_that_copy_is_refused() {
    let bare = format!("pysave-bare-{}:1", std::process::id());
    let container = sh(&format!("docker create {} rm /usr/bin/find", yard::IMAGE));
    sh(&format!(
        "docker start -a {0} && docker commit --change 'CMD []' {0} {bare}-x && docker rm {0}",
        container.trim()
    ));
    // The command of the original again, which the commit has changed.
    let command = sh(&format!("docker image inspect -f '{{{{json .Config.Cmd}}}}' {}", yard::IMAGE));
    derive(&format!("{bare}-x"), &bare, &[&format!("CMD {}", command.trim())]);
    let mut yard = RealYard::of_image(&bare, |_, _| {}).await;
    yard.data = Data::Restore;
    yard.plan_layer().await;
    let refusal = refused(&yard).await;
    sh(&format!("docker rmi --no-prune {bare} {bare}-x"));
    assert_eq!(refusal.kind, FailureKind::Refused);
    assert!(refusal.message.contains("GNU coreutils and findutils"), "{refusal}");
}

#[tokio::test]
async fn a_target_without_volumes_has_nothing_to_save() {
    let mut yard = RealYard::with(|body, _| {
        body["HostConfig"]["Binds"] = json!([]);
        body["Volumes"] = json!({});
    })
    .await;
    yard.data = Data::Restore;
    yard.plan_layer().await;
    let mut hand = Hand::new(&yard);
    hand.doing_up_to(SwapStep::Save).await;
    assert_eq!(hand.records[&Step::Swap(SwapStep::Save)], Record::Saved { volumes: Vec::new() });
    hand.doing(SwapStep::Rename).await;
    hand.doing(SwapStep::Start).await;
    hand.back().await;
}
