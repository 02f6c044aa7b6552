//! A fleet for the tests of the command's face: everything there is to show, without an engine.

use std::iter;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use patchyard_app::{Context, Error, Reach, Reached};
use patchyard_contract::{Clock, Provider, ProviderError};
use patchyard_provider_sim::{Behaviour, SimProvider, World};
use patchyard_types::{Arch, Digest, HostId, PendingPatch, PendingStatus};

/// Which fleet: `ordinary`, `hostile`, or `small`, all of which answers.
pub const FLEET: &str = "PATCHYARD_SIMULATED";

/// What a terminal would obey: a window title, colours, a cleared screen, a line going back over what
/// was said, a C1 control, a bidirectional override.
pub const HOSTILE: &str = "\u{1b}]0;owned\u{7}\u{1b}[31m\u{1b}[2J\r\u{9b}1A\u{202e}";

/// The same context, with simulated hosts and a clock that runs fast.
#[must_use]
pub fn simulated(context: Context) -> Context {
    let clock: Arc<dyn Clock> = Arc::new(Fast::new());
    let fleet = std::env::var(FLEET).unwrap_or_default();
    let mut world = World::new(11, HostId::new("sim-1"));
    let dead = match fleet.as_str() {
        "small" => {
            fill_a_little(&mut world, clock.now());
            None
        }
        "hostile" => {
            fill(&mut world, true, clock.now());
            Some(format!("sim-2{HOSTILE}"))
        }
        _ => {
            fill(&mut world, false, clock.now());
            Some("sim-2".to_owned())
        }
    };
    let provider: Arc<dyn Provider> =
        Arc::new(SimProvider::new(Arc::new(Mutex::new(world)), Arc::clone(&clock)));
    Context { clock, reach: Box::new(Hosts { provider, dead }), ..context }
}

struct Hosts {
    provider: Arc<dyn Provider>,
    dead: Option<String>,
}

#[async_trait]
impl Reach for Hosts {
    async fn reach(&self) -> Result<Vec<Reached>, Error> {
        let reason = "no route to it: look at its network and at the address in the configuration".into();
        let alive = Reached::new("sim-1", Ok(Arc::clone(&self.provider)));
        let silent = self.dead.clone();
        let silent =
            silent.map(|host| Reached::new(host.clone(), Err(ProviderError::Unreachable { host, reason })));
        Ok(iter::once(alive).chain(silent).collect())
    }

    async fn settle(&self) {}
}

/// Many waves, long names, long reasons, something that cannot be asked, something that fails.
fn fill(world: &mut World, hostile: bool, now: Timestamp) {
    for number in 1..=14 {
        world.add("shop", &format!("shop-{number}"), Behaviour::Good, now);
    }
    world.add("orders-database", "orders-production-postgres-1", Behaviour::Good, now);
    world.add("mail", "mail-1", Behaviour::CrashesAtStart, now);
    world.add("mail", "mail-2", Behaviour::CrashesAtStart, now);
    let legacy = world.add("legacy", "legacy-1", Behaviour::Good, now);
    let mute = "it has no package manager that could be asked, and nobody knows what is in it";
    let extra = if hostile { HOSTILE } else { "" };
    if let Some(legacy) = world.targets.get_mut(&legacy) {
        legacy.mute = Some(format!("{mute}{extra}"));
    }
    for target in world.targets.values_mut().filter(|target| target.service == "shop") {
        target.pending.extend(["libssl3", "libc6", "perl-base", "tzdata", "zlib1g"].map(pending));
    }
    if hostile {
        let evil = format!("evil{HOSTILE}");
        let id = world.add(&evil, &evil, Behaviour::Good, now);
        let package = world.add("package", "package-1", Behaviour::Good, now);
        if let Some(target) = world.targets.get_mut(&id) {
            target.labels.insert(format!("label{HOSTILE}"), evil.clone());
            target.labels.insert("io.patchyard.check.http".into(), "8080/health".into());
        }
        if let Some(target) = world.targets.get_mut(&package) {
            target.pending = vec![pending(&evil)];
            target.labels.insert("io.patchyard.verify-for".into(), evil);
        }
    }
}

/// One that fails, two with a patch from a security suite and one from elsewhere, one with the latter alone.
fn fill_a_little(world: &mut World, now: Timestamp) {
    world.add("mail", "mail-1", Behaviour::CrashesAtStart, now);
    for name in ["shop-1", "shop-2"] {
        let id = world.add("shop", name, Behaviour::Good, now);
        if let Some(target) = world.targets.get_mut(&id) {
            target.pending.push(pending("tzdata"));
        }
    }
    let clock = world.add("clock", "clock-1", Behaviour::Good, now);
    if let Some(target) = world.targets.get_mut(&clock) {
        target.pending = vec![pending("tzdata")];
    }
}

fn pending(package: &str) -> PendingPatch {
    PendingPatch {
        package: package.into(),
        arch: Arch("amd64".into()),
        installed: Some("1.0-1".into()),
        candidate: "1.0-1+deb12u7".into(),
        security: package.starts_with("lib"),
        origin: "Debian-Security:12/stable-security".into(),
        status: PendingStatus::Available,
        size: 4096,
        sha256: Some(Digest::of_bytes(package.as_bytes())),
        why: String::new(),
    }
}

/// A clock that runs twenty times as fast: a simulated rollout takes seconds, not a minute.
struct Fast {
    began: Instant,
    at: Timestamp,
}

const SPEED: u32 = 20;

impl Fast {
    fn new() -> Self {
        Self { began: Instant::now(), at: Timestamp::now() }
    }
}

#[async_trait]
impl Clock for Fast {
    fn now(&self) -> Timestamp {
        let passed = SignedDuration::try_from(self.began.elapsed() * SPEED).unwrap_or_default();
        self.at.checked_add(passed).unwrap_or(self.at)
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration / SPEED).await;
    }
}
