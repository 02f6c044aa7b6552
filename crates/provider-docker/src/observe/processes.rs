//! What runs in a container, by the names of its programs.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Look;

/// Running programs.
pub(super) struct Running {
    /// How many of each name there are.
    pub all: BTreeMap<String, u32>,
    /// Names that have run for long: those are expected to go on.
    pub lasting: BTreeSet<String>,
}

/// More names than this are no fleet of services but an attack on memory.
const NAMES: usize = 1000;

/// What runs longer than this counts as lasting, however old the container is, in seconds.
const LONG: u64 = 60;

pub(super) async fn running(look: &Look<'_>) -> Option<Running> {
    // The engine runs ps(1) on its host: no process in the container.
    let top = look.docker.client.get(&["containers", look.container, "top"]);
    let top = top.query("ps_args", "-eo pid,etimes,comm").timeout(look.limit).json().await.ok()?;
    Some(read(&top, look.inspect["State"]["Pid"].as_u64().unwrap_or(0)))
}

/// Rows of pid, seconds since the start, and name. The main process lasts by definition; others do when
/// they are old, or at least half as old as it is.
fn read(top: &Value, main: u64) -> Running {
    let rows: Vec<(u64, u64, String)> = top["Processes"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|row| {
            let field = |n: usize| row[n].as_str().map(str::trim);
            Some((
                field(0)?.parse().ok()?,
                field(1)?.parse().ok()?,
                patchyard_types::printable(field(2)?, 64),
            ))
        })
        .collect();
    let age = rows.iter().find(|(pid, ..)| *pid == main).map_or(0, |(_, age, _)| *age);
    let mut running = Running { all: BTreeMap::new(), lasting: BTreeSet::new() };
    for (pid, seconds, name) in rows {
        if running.all.len() >= NAMES && !running.all.contains_key(&name) {
            continue;
        }
        if pid == main || seconds >= LONG || (seconds > 0 && seconds * 2 >= age) {
            running.lasting.insert(name.clone());
        }
        *running.all.entry(name).or_default() += 1;
    }
    running
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::read;

    #[test]
    fn what_comes_and_goes_does_not_last() {
        let top = json!({"Titles": ["PID", "ELAPSED", "COMMAND"], "Processes": [
            ["100", "40", "master"], ["101", "39", "worker"], ["102", "39", "worker"], ["103", "3", "sleep"],
            ["104", "70", "old"], ["x", "1", "nonsense"]]});
        let running = read(&top, 100);
        assert_eq!(running.all["worker"], 2);
        assert!(running.all.contains_key("sleep"));
        assert_eq!(running.lasting.iter().collect::<Vec<_>>(), ["master", "old", "worker"]);
    }

    #[test]
    fn a_container_that_has_just_started_has_at_least_its_main_process() {
        let top = json!({"Processes": [["7", "0", "web"], ["8", "0", "helper"]]});
        assert_eq!(read(&top, 7).lasting.iter().collect::<Vec<_>>(), ["web"]);
    }
}
