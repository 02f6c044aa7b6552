//! Containers that live in the namespaces of others (`--network container:…`, also `--pid` and `--ipc`).
//!
//! The engine knows the other one, the host, by its id. A guest whose host is recreated is left with a
//! network that leads nowhere, or ends with it, and cannot be started again.

use futures_util::{StreamExt, TryStreamExt};
use serde_json::Value;

use super::json::{list, text};
use super::target::container_name;
use crate::client::{ApiError, Client};
use crate::spec::NAMESPACES;

/// What a container lives in: which namespace, and whose, by name or id.
pub(super) fn hosts(inspect: &Value) -> impl Iterator<Item = (&'static str, &str)> {
    NAMESPACES
        .into_iter()
        .filter_map(|key| Some((key, text(&inspect["HostConfig"][key]).strip_prefix("container:")?)))
}

/// Ids and names of containers that live in a namespace of this one.
fn guests<'a>(inspect: &Value, all: impl Iterator<Item = &'a Value>) -> Vec<(String, String)> {
    all.filter(|other| hosts(other).any(|(_, host)| is(inspect, host)))
        .map(|other| (text(&other["Id"]).to_owned(), container_name(other).to_owned()))
        .collect()
}

/// Ids of the containers that this one lives in.
pub(super) fn lives_in(inspect: &Value, all: &[&Value]) -> Vec<String> {
    let mut found: Vec<String> = hosts(inspect)
        .filter_map(|(_, host)| all.iter().find(|other| is(other, host)))
        .map(|other| text(&other["Id"]).to_owned())
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// Ids or names of the containers that this one lives in and that are not there.
pub(super) fn missing_hosts(inspect: &Value, all: &[Value]) -> Vec<String> {
    let mut missing: Vec<String> = hosts(inspect)
        .map(|(_, host)| host)
        .filter(|host| !all.iter().any(|other| is(other, host)))
        .map(str::to_owned)
        .collect();
    missing.dedup();
    missing
}

/// Whether a name or an id means this container.
pub(super) fn is(inspect: &Value, named: &str) -> bool {
    !named.is_empty() && (container_name(inspect) == named || text(&inspect["Id"]) == named)
}

/// Asks the engine who lives in a namespace of this container now, running or not: ids and names.
pub(crate) async fn guests_now(client: &Client, inspect: &Value) -> Result<Vec<(String, String)>, ApiError> {
    let listed = client.get(&["containers", "json"]).query("all", "1").json().await?;
    let ids: Vec<String> = list(&listed).map(|entry| text(&entry["Id"]).to_owned()).collect();
    let asked = futures_util::stream::iter(ids).map(|id| async move {
        match client.container(&id).await {
            // The engine does not answer for one that is stuck: it would be started by nobody now.
            Err(ApiError::Timeout { .. }) => Ok(None),
            found => found.map(|found| found.map(|found| found.0)),
        }
    });
    let all: Vec<Option<Value>> = asked.buffer_unordered(super::discover::PARALLEL).try_collect().await?;
    let mut found = guests(inspect, all.iter().flatten());
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn guests_are_found_by_name_and_by_id_and_so_are_hosts_that_are_gone() {
        let web = json!({"Name": "/web", "Id": "c1"});
        let by_id = json!({"Name": "/a", "Id": "c2", "HostConfig": {"NetworkMode": "container:c1"}});
        let by_name = json!({"Name": "/b", "Id": "c3", "HostConfig": {"PidMode": "container:web"}});
        let lost = json!({"Name": "/c", "Id": "c4", "HostConfig":
            {"IpcMode": "container:gone", "PidMode": "container:gone", "NetworkMode": "container:c1"}});
        let all = [web, by_id, by_name, lost];
        let names: Vec<String> = guests(&all[0], all.iter()).into_iter().map(|(_, name)| name).collect();
        assert_eq!(names, ["a", "b", "c"]);
        let listed: Vec<&Value> = all.iter().collect();
        assert_eq!(lives_in(&all[3], &listed), ["c1"]);
        assert!(guests(&all[1], all.iter()).is_empty());
        assert_eq!(missing_hosts(&all[3], &all), ["gone"]);
        assert!(missing_hosts(&all[1], &all).is_empty());
    }
}
