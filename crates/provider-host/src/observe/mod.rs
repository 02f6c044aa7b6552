//! One look at a machine: what listens and runs, which services it runs, what is mounted, what its ports answer. Questions
//! that cannot be asked here have no answer; named checks that cannot be asked have a bad one.

mod answers;
mod networks;
mod seen;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use patchyard_contract::{Call, Command, ProviderError};
use patchyard_types::{Direction, Health, HttpAnswer, Observation, Protocol, TargetState, printable};

use crate::kept::{self, Silence};
use crate::{HostProvider, words};

const LOOK: &str = concat!(include_str!("../boot.sh"), include_str!("look.sh"));
/// How many ports are asked in the language of HTTP: a machine with more has something else on most of them.
const PORTS: usize = 16;
/// How long a port may take of which nobody knows that it speaks HTTP: many others say nothing at all, and they are asked one
/// after the other.
const UNKNOWN: Duration = Duration::from_secs(2);
/// What a look may print, in bytes.
const MOST: usize = 32 * 1024 * 1024;

/// Looks once. A machine that does not answer where its keeper does is bad; else nothing was learned about it.
pub(crate) async fn observe(host: &HostProvider, call: &Call) -> Result<Observation, ProviderError> {
    let (action, _) = call.action().map_err(|error| ProviderError::Local { reason: error.to_string() })?;
    let looked = look(host, call).await;
    let Err(ProviderError::Unreachable { .. }) = looked else { return looked };
    match kept::silence(host, kept::patience(action)).await {
        Silence::Over => look(host, call).await,
        Silence::Broken(failure) => {
            Err(ProviderError::NoAnswer { reason: failure.message, hint: String::new() })
        }
        Silence::Unknown => looked,
    }
}

async fn look(host: &HostProvider, call: &Call) -> Result<Observation, ProviderError> {
    let (action, _) = call.action().map_err(|error| ProviderError::Local { reason: error.to_string() })?;
    let limit = action.timeouts.check.as_duration();
    let asked = jiff::Timestamp::now();
    // On a machine that has just been started it takes as long as its services do to come up.
    let command = Command::new(["sh", "-c", LOOK]).limit(kept::patience(action)).most(MOST);
    let output = host.transport.run(command).await.map_err(|e| words::no_way(&host.options.name, e))?;
    if !output.success() {
        // From half a look it would not be known what is missing.
        let said = String::from_utf8_lossy(&output.stderr);
        let reason = format!("it cannot be looked at: {}", printable(said.trim(), 200));
        return Err(ProviderError::NoAnswer { reason, hint: String::new() });
    }
    let mut seen = seen::read(&String::from_utf8_lossy(&output.stdout));
    let (apart, room) = match call.direction {
        Direction::Undo => ON_THE_WAY_BACK,
        Direction::Do if call.baseline().is_some() => AFTER,
        Direction::Do => BEFORE,
    };
    seen.parts.extend(
        seen.room.iter().filter(|(_, free)| **free >= room).map(|(place, _)| format!("room on {place}")),
    );
    if seen.clock.is_some_and(|clock| goes_right(clock, asked, jiff::Timestamp::now(), apart)) {
        seen.parts.insert("the agreement of its clock with this machine's".to_owned());
    }
    let http = http(host, call, &seen.listening, limit).await?;
    let mut checks = BTreeMap::new();
    for check in &action.checks {
        checks.insert(check.name.clone(), answers::check(host, &check.kind, limit).await?);
    }
    Ok(Observation {
        at: jiff::Timestamp::now(),
        state: TargetState::Running,
        // It was not started anew as long as this stays.
        started_at: seen.boot_id,
        restarts: 0,
        exit_code: None,
        health: Health::None,
        health_within: None,
        listening: Some(seen.listening),
        processes: Some(seen.processes),
        lasting: seen.lasting,
        http,
        parts: seen.parts,
        failed_units: seen.failed_units,
        checks,
    })
}

/// How far a clock may be from the controller's to go right, in seconds, and how many bytes free are room. Afterwards it takes
/// more to be bad than it took to be good before: what was near the limit is not held against the patch.
const BEFORE: (i64, u64) = (30, 64 << 20);
const AFTER: (i64, u64) = (120, 16 << 20);
/// A patch may be to blame for either; they are no reason to put the disks back.
const ON_THE_WAY_BACK: (i64, u64) = (i64::MAX / 4, 0);

/// Whether a clock was near enough to the controller's while it was asked.
fn goes_right(clock: i64, asked: jiff::Timestamp, answered: jiff::Timestamp, apart: i64) -> bool {
    (asked.as_second() - apart..=answered.as_second() + apart).contains(&clock)
}

/// What the ports answer that everybody may reach. Once a baseline is on record, those are asked that have answered HTTP by
/// then: others may hold it against the one who asks.
async fn http(
    host: &HostProvider,
    call: &Call,
    listening: &BTreeSet<patchyard_types::Socket>,
    limit: Duration,
) -> Result<BTreeMap<u16, HttpAnswer>, ProviderError> {
    let (ports, limit): (Vec<u16>, Duration) = match call.baseline() {
        Some(before) => {
            (before.http.iter().filter(|(_, a)| a.is_http()).map(|(port, _)| *port).collect(), limit)
        }
        None => {
            let tcp =
                listening.iter().filter(|s| s.protocol == Protocol::Tcp && !s.loopback && s.port != SSH);
            (tcp.map(|socket| socket.port).take(PORTS).collect(), limit.min(UNKNOWN))
        }
    };
    let mut found = BTreeMap::new();
    for port in ports {
        let answer = answers::http(host, port, limit).await?;
        if answer.is_http() || call.baseline().is_some() {
            found.insert(port, answer);
        }
    }
    Ok(found)
}

/// It bans who speaks something else.
const SSH: u16 = 22;
