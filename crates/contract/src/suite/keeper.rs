//! What everybody does who keeps machines, one function a behaviour; [`keeper_suite!`](crate::keeper_suite) makes tests of
//! them. The machine needs what every Debian has: `sh`, `coreutils`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::{Command, Keeper, Transport};

/// How the suite gets at a machine.
pub trait Fixture {
    /// The outside of a machine that runs.
    fn keeper(&self) -> Arc<dyn Keeper>;

    /// The inside of it.
    fn inside(&self) -> Arc<dyn Transport>;
}

/// Makes a `#[test]` of every behaviour of a keeper, or of those that are named. The argument is an expression that makes a new
/// [`Fixture`](crate::suite::keeper::Fixture), on a machine of its own.
#[macro_export]
macro_rules! keeper_suite {
    ($fixture:expr) => {
        $crate::keeper_suite! { $fixture;
            what_is_forgotten_leaves_what_was_written_since
            what_is_put_back_has_never_been
            snapshots_go_in_any_order
        }
    };
    ($fixture:expr; $($behaviour:ident)*) => {$(
        #[test]
        fn $behaviour() {
            let fixture = $fixture;
            $crate::suite::run(async {
                $crate::suite::keeper::$behaviour(&fixture).await;
            });
        }
    )*};
}

const FIRST: &str = "patchyard-0a1b2c3d-r1.0";
const SECOND: &str = "patchyard-0a1b2c3d-r2.0";
const ROOM: u64 = 1024 * 1024;
/// How long a machine may take to come up. Emulated on a busy host it is slow.
const UP: Duration = Duration::from_secs(900);

async fn sh(fixture: &impl Fixture, script: &str) -> String {
    let output = fixture.inside().run(Command::new(["sh", "-ec", script])).await.unwrap();
    assert!(output.success(), "{script}: {}", String::from_utf8_lossy(&output.said()));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

async fn comes_up(fixture: &impl Fixture) {
    let began = Instant::now();
    while let Err(error) = fixture.inside().run(Command::new(["true"])).await {
        assert!(began.elapsed() < UP, "{error}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// A snapshot is found by its name, taken once, and gone when it is forgotten; the machine has not noticed.
///
/// # Panics
/// When the keeper does something else.
pub async fn what_is_forgotten_leaves_what_was_written_since(fixture: &impl Fixture) {
    let keeper = fixture.keeper();
    let boot = sh(fixture, "cat /proc/sys/kernel/random/boot_id; stat -c %Z /proc/1").await;
    assert_eq!(keeper.saved(FIRST).await.unwrap(), None);
    let saved = keeper.save(FIRST, ROOM).await.unwrap();
    assert_eq!(saved.name, FIRST);
    assert_eq!(keeper.saved(FIRST).await.unwrap().as_ref(), Some(&saved));
    sh(fixture, "echo since >/root/since; sync").await;
    assert_ne!(keeper.takes(FIRST).await.unwrap(), Some(0), "it takes room, or nobody can tell");
    assert_eq!(keeper.save(FIRST, ROOM).await.unwrap(), saved, "it is not taken a second time");
    assert_eq!(keeper.all_saved("patchyard-0a1b2c3d-").await.unwrap(), [FIRST]);
    assert_eq!(keeper.all_saved("patchyard-ffffffff-").await.unwrap(), Vec::<String>::new());

    keeper.forget(FIRST).await.unwrap();
    keeper.forget(FIRST).await.unwrap();
    assert_eq!(keeper.saved(FIRST).await.unwrap(), None);
    assert_eq!(sh(fixture, "cat /root/since").await, "since");
    assert_eq!(sh(fixture, "cat /proc/sys/kernel/random/boot_id; stat -c %Z /proc/1").await, boot);
}

/// The disks are as they were, what was written just before the snapshot among it; the machine has been started.
///
/// # Panics
/// When the keeper does something else.
pub async fn what_is_put_back_has_never_been(fixture: &impl Fixture) {
    let keeper = fixture.keeper();
    sh(fixture, "echo late >/root/late").await;
    keeper.save(FIRST, ROOM).await.unwrap();
    sh(fixture, "echo bad >/root/bad; rm /root/late; sync").await;
    keeper.put_back(FIRST).await.unwrap();
    assert!(keeper.is_running().await.unwrap());
    comes_up(fixture).await;
    assert_eq!(sh(fixture, "cat /root/late; test ! -e /root/bad").await, "late");
    assert_eq!(keeper.saved(FIRST).await.unwrap(), None);

    // Whoever has not heard that it was done does it again: nothing is lost by that.
    sh(fixture, "echo since >/root/since; sync").await;
    keeper.put_back(FIRST).await.unwrap();
    assert_eq!(sh(fixture, "cat /root/since").await, "since");
    keeper.start().await.unwrap();
}

/// An older snapshot can be forgotten before a younger one.
///
/// # Panics
/// When the keeper does something else.
pub async fn snapshots_go_in_any_order(fixture: &impl Fixture) {
    let keeper = fixture.keeper();
    keeper.save(FIRST, ROOM).await.unwrap();
    sh(fixture, "echo one >/root/one; sync").await;
    keeper.save(SECOND, ROOM).await.unwrap();
    sh(fixture, "echo two >/root/two; sync").await;
    assert_eq!(keeper.all_saved("patchyard-0a1b2c3d-").await.unwrap(), [FIRST, SECOND]);
    let older = keeper.takes(FIRST).await.unwrap();
    assert_ne!(older, Some(0), "one that is not written to any more takes what it took");
    keeper.forget(FIRST).await.unwrap();
    assert_eq!(keeper.all_saved("patchyard-0a1b2c3d-").await.unwrap(), [SECOND]);
    keeper.forget(SECOND).await.unwrap();
    assert_eq!(sh(fixture, "cat /root/one /root/two").await, "one\ntwo");
}
