//! What in a service's `update_config` makes its updates end otherwise than its owner may expect.

use std::time::Duration;

use patchyard_types::{Millis, Trap};
use serde_json::{Value, json};

use super::raw::{Service, published};
use crate::client::{ApiError, Client};
use crate::read::json::text;

/// Swarm's default `monitor`.
const MONITOR: Duration = Duration::from_secs(5);
/// The engine's defaults of a healthcheck's interval and retries.
const INTERVAL: Duration = Duration::from_secs(30);
const RETRIES: u32 = 3;

/// The healthcheck in force: the service's own, else its image's, where this engine has the image.
pub(super) async fn healthcheck(client: &Client, service: &Service) -> Result<Value, ApiError> {
    let own = &service.template()["ContainerSpec"]["Healthcheck"];
    let of_image = match own["Test"].as_array().is_some_and(|test| !test.is_empty()) {
        true => return Ok(own.clone()),
        false => client.image(service.image()).await?,
    };
    let mut healthcheck = of_image.map_or(Value::Null, |image| image["Config"]["Healthcheck"].clone());
    // A service may set just some of the times.
    for (key, value) in own.as_object().into_iter().flatten() {
        let is_set = value.as_u64().is_some_and(|n| n > 0);
        if is_set && healthcheck.is_object() {
            healthcheck[key] = json!(value);
        }
    }
    Ok(healthcheck)
}

/// All of them.
pub(super) fn traps(service: &Service, healthcheck: &Value) -> Vec<Trap> {
    let mut traps = Vec::new();
    let mut trap = |code: &str, message: String| traps.push(Trap { code: code.to_owned(), message });

    let monitor = match service.update_config("Monitor").as_u64() {
        None | Some(0) => MONITOR,
        Some(nanos) => Duration::from_nanos(nanos),
    };
    if let Some(decides) = decides_within(healthcheck).filter(|decides| monitor < *decides) {
        let (monitor, decides) = (Millis::from(monitor), Millis::from(decides));
        trap(
            "monitor",
            format!(
                "Swarm counts an update as good when a task has lived for {monitor} (update_config.monitor), and \
                 its healthcheck may take {decides} to say unhealthy: set monitor to more than that"
            ),
        );
    }
    match text(service.update_config("FailureAction")) {
        "" | "pause" => trap(
            "failure_action",
            "when an update fails, Swarm leaves it half done (update_config.failure_action: pause, its default); \
             Patchyard has it rolled back, docker service update and docker stack deploy do not: set rollback"
                .to_owned(),
        ),
        "continue" => trap(
            "failure_action",
            "when an update fails, Swarm goes on with it all the same (update_config.failure_action: continue), \
             and all of its tasks may be down before Patchyard can have it rolled back: set rollback"
                .to_owned(),
        ),
        _ => {}
    }
    let in_host_mode: Vec<String> = published(service)
        .iter()
        .filter(|(_, (_, on_node))| *on_node)
        .map(|(_, (outside, _))| outside.to_string())
        .collect();
    if text(service.update_config("Order")) == "start-first" && !in_host_mode.is_empty() {
        trap(
            "host_port",
            format!(
                "port {} is published in host mode, and update_config.order is start-first: on a node that has an \
                 old task a new one never starts, and an update never ends; set stop-first",
                in_host_mode.join(", ")
            ),
        );
    }
    traps
}

/// How long a healthcheck may take to decide that a container is unhealthy; nothing where there is none.
fn decides_within(healthcheck: &Value) -> Option<Duration> {
    let test = healthcheck["Test"].as_array()?;
    if matches!(test.first().and_then(Value::as_str), None | Some("NONE")) {
        return None;
    }
    let set = |key: &str| healthcheck[key].as_u64().filter(|n| *n > 0);
    let interval = set("Interval").map_or(INTERVAL, Duration::from_nanos);
    let retries = set("Retries").and_then(|n| u32::try_from(n).ok()).unwrap_or(RETRIES);
    let start = set("StartPeriod").map_or(Duration::ZERO, Duration::from_nanos);
    Some(start.saturating_add(interval.saturating_mul(retries)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn codes(update: &Value, ports: &Value, healthcheck: &Value) -> Vec<String> {
        let service = Service(json!({"Spec": {"UpdateConfig": update}, "Endpoint": {"Ports": ports}}));
        traps(&service, healthcheck).into_iter().map(|trap| trap.code).collect()
    }

    #[test]
    fn a_monitor_shorter_than_the_healthcheck_is_told() {
        let update = |monitor: u64| json!({"FailureAction": "rollback", "Monitor": monitor * SECOND});
        let check =
            json!({"Test": ["CMD", "x"], "Interval": 2 * SECOND, "Retries": 5, "StartPeriod": 20 * SECOND});
        assert_eq!(codes(&update(29), &Value::Null, &check), ["monitor"]);
        assert_eq!(codes(&update(30), &Value::Null, &check), [""; 0]);
        // Defaults on both sides: 5 s against 30 s × 3.
        let defaults = json!({"Test": ["CMD-SHELL", "x"]});
        assert_eq!(codes(&update(0), &Value::Null, &defaults), ["monitor"]);
        for none in [json!({"Test": ["NONE"]}), Value::Null] {
            assert_eq!(codes(&update(0), &Value::Null, &none), [""; 0]);
        }
    }

    #[test]
    fn what_swarm_does_after_a_failure_is_told_unless_it_rolls_back() {
        for (update, told) in [
            (Value::Null, true),
            (json!({"FailureAction": "pause"}), true),
            (json!({"FailureAction": "continue"}), true),
            (json!({"FailureAction": "rollback"}), false),
        ] {
            let codes = codes(&update, &Value::Null, &Value::Null);
            assert_eq!(codes == ["failure_action"], told, "{update}");
        }
    }

    #[test]
    fn start_first_beside_a_port_of_the_host_is_told() {
        let port = |mode: &str| json!([{"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8080, "PublishMode": mode}]);
        let update = |order: &str| json!({"FailureAction": "rollback", "Order": order});
        assert_eq!(codes(&update("start-first"), &port("host"), &Value::Null), ["host_port"]);
        assert_eq!(codes(&update("start-first"), &port("ingress"), &Value::Null), [""; 0]);
        assert_eq!(codes(&update("stop-first"), &port("host"), &Value::Null), [""; 0]);
    }
}
