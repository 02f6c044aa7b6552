//! Checks: questions whose answers must stay good, and what a look at a target answered.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Health, Millis, TargetState};

/// A named question about one target. The container's own healthcheck and the baseline need no
/// naming: they are always asked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Check {
    /// Its name, unique within a target.
    pub name: String,
    /// What is asked.
    #[serde(flatten)]
    pub kind: CheckKind,
}

/// The kinds of questions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "type")]
pub enum CheckKind {
    /// An HTTP GET to a port of the target.
    Http {
        /// Port inside the target.
        port: u16,
        /// Path and query, starting with `/`.
        path: String,
        /// The status it must answer; `None` accepts 200 to 399.
        status: Option<u16>,
        /// Text the first 64 KiB of the body must contain.
        body: Option<String>,
        /// The longest it may take.
        within: Option<Millis>,
    },
    /// A TCP connection to a port of the target.
    Tcp {
        /// Port inside the target.
        port: u16,
    },
    /// A command inside the target that must exit 0. Arguments, never a shell line.
    Command {
        /// Program and arguments.
        argv: Vec<String>,
    },
}

/// Which of a run's objects is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// What served before the patch.
    Original,
    /// What serves after it.
    Replacement,
}

/// Transport protocol of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// TCP, listening.
    Tcp,
    /// UDP, bound.
    Udp,
}

/// A socket that waits for peers inside the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Socket {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Port number.
    pub port: u16,
    /// Only reachable from inside the target itself.
    pub loopback: bool,
}

/// What a port answered to a plain HTTP GET of `/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "answer")]
pub enum HttpAnswer {
    /// An HTTP status, and how long it took.
    Status {
        /// The status code.
        status: u16,
        /// Time to the head of the answer.
        took: Millis,
    },
    /// It accepts connections and speaks something else.
    NotHttp,
    /// It does not accept connections or does not answer in time.
    Silent,
}

impl HttpAnswer {
    /// Whether it was an answer in HTTP.
    #[must_use]
    pub const fn is_http(self) -> bool {
        matches!(self, Self::Status { .. })
    }
}

/// What one look at a target saw. `None` means the question could not be asked there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// When.
    pub at: Timestamp,
    /// What the target is doing.
    pub state: TargetState,
    /// The engine's word for when it last started: compared for equality only. A restart between
    /// two looks shows only here and in `restarts`.
    pub started_at: String,
    /// How often the engine restarted it.
    pub restarts: u64,
    /// Its exit code, when it is not running.
    pub exit_code: Option<i64>,
    /// Its own healthcheck.
    pub health: Health,
    /// The longest its own healthcheck may take to turn healthy, where it has one: start period +
    /// (interval + timeout) × retries.
    pub health_within: Option<Millis>,
    /// Sockets that wait for peers.
    pub listening: Option<BTreeSet<Socket>>,
    /// Names of running programs and how many of each.
    pub processes: Option<BTreeMap<String, u32>>,
    /// Those of them that have run for long enough to be expected to go on: what comes and goes, like
    /// a shell's `sleep`, is not among them.
    pub lasting: BTreeSet<String>,
    /// What each published TCP port answers, by its port inside the target.
    #[serde(with = "by_port")]
    pub http: BTreeMap<u16, HttpAnswer>,
    /// Of a machine: its services that run, its file systems that are mounted, the networks it is on and its ways to others, in words.
    #[serde(default)]
    pub parts: BTreeSet<String>,
    /// Of a machine: its enabled units that have failed.
    #[serde(default)]
    pub failed_units: BTreeSet<String>,
    /// Answers to the named checks, by name.
    pub checks: BTreeMap<String, CheckAnswer>,
}

/// The answer to one named check.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CheckAnswer {
    /// Whether it is good. A check that cannot be evaluated is not.
    pub good: bool,
    /// What was seen, fit to be shown.
    pub detail: String,
}

/// What was stable before the patch and must hold after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    /// Sockets that were there in both samples.
    pub listening: BTreeSet<Socket>,
    /// Programs that ran in both samples.
    pub processes: BTreeSet<String>,
    /// Published ports, and others that answer HTTP, with the same class of answer in both samples; the slower of both times.
    #[serde(with = "by_port")]
    pub http: BTreeMap<u16, HttpAnswer>,
    /// Of a machine: its parts that were there in both samples.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub parts: BTreeSet<String>,
    /// Of a machine: units that had failed in one of the samples, and may again. One from before they were written down says
    /// nothing, and nothing is held against it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_units: Option<BTreeSet<String>>,
    /// Whether it had a healthcheck.
    pub healthcheck: bool,
}

/// A map by port. JSON's keys are text, and inside of a tagged enum serde no longer turns them back
/// into numbers by itself: a baseline in an event could be written but not read.
mod by_port {
    use std::collections::BTreeMap;

    use serde::de::{Deserialize, Deserializer, Error as _};
    use serde::{Serialize as _, Serializer};

    use super::HttpAnswer;

    pub fn serialize<S: Serializer>(map: &BTreeMap<u16, HttpAnswer>, to: S) -> Result<S::Ok, S::Error> {
        map.iter().map(|(port, answer)| (port.to_string(), answer)).collect::<BTreeMap<_, _>>().serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<u16, HttpAnswer>, D::Error> {
        BTreeMap::<String, HttpAnswer>::deserialize(from)?
            .into_iter()
            .map(|(port, answer)| Ok((port.parse().map_err(D::Error::custom)?, answer)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_baseline_on_record_is_read_back() {
        let baseline = Baseline {
            listening: BTreeSet::new(),
            processes: BTreeSet::new(),
            http: BTreeMap::from([(25, HttpAnswer::NotHttp), (8080, HttpAnswer::Silent)]),
            parts: BTreeSet::new(),
            failed_units: Some(BTreeSet::new()),
            healthcheck: false,
        };
        let record = crate::Record::Preflighted { baseline: baseline.clone(), dependents: vec![baseline] };
        let text = crate::canonical_json(&record);
        assert_eq!(serde_json::from_str::<crate::Record>(&text).unwrap(), record, "{text}");
    }
}
