//! How containers are commonly recreated onto another image: inspected, removed, created again from
//! `Config` and `HostConfig`, without what equals the image's or with all of it, started. What is lost on the way is what
//! the tests beside this show.

use std::time::Duration;

use patchyard_provider_docker::client::{ApiError, Client};
use serde_json::{Value, json};

/// How long the old container may take to end before it is killed.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a container is created again from.
#[derive(Clone, Copy)]
pub enum From {
    /// Its settings without those that have the value of its image.
    Differing,
    /// All of its settings.
    All,
}

/// Recreates a container on the image that a reference leads to. What fails on the way is not taken back.
pub async fn recreate(client: &Client, name: &str, to: &str, from: From) -> Result<(), ApiError> {
    let old = client.get(&["containers", name, "json"]).json().await?;
    let image = client.get(&["images", old["Image"].as_str().unwrap(), "json"]).json().await?;
    stop(client, name).await?;
    client.delete(&["containers", name]).query("force", "1").query("v", "0").done().await?;
    let body = match from {
        From::Differing => differing(&old, &image, to),
        From::All => all(&old, to),
    };
    client.post(&["containers", "create"]).query("name", name).json_body(&body).done().await?;
    client.post(&["containers", name, "start"]).done().await
}

async fn stop(client: &Client, name: &str) -> Result<(), ApiError> {
    client.post(&["containers", name, "kill"]).query("signal", "SIGTERM").done().await?;
    let until = tokio::time::Instant::now() + PATIENCE;
    while tokio::time::Instant::now() < until {
        let state = client.get(&["containers", name, "json"]).json().await?;
        if state["State"]["Running"].as_bool() != Some(true) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

fn all(old: &Value, to: &str) -> Value {
    let mut body = old["Config"].clone();
    body["Image"] = json!(to);
    body["HostConfig"] = old["HostConfig"].clone();
    body
}

fn differing(old: &Value, image: &Value, to: &str) -> Value {
    let mut body = all(old, to);
    let (config, of_image) = (body.as_object_mut().unwrap(), &image["Config"]);
    if config["Entrypoint"] == of_image["Entrypoint"] {
        config.remove("Entrypoint");
        config.retain(|key, value| key != "Cmd" || *value != of_image["Cmd"]);
    }
    for key in ["User", "WorkingDir", "Healthcheck"] {
        config.retain(|name, value| name != key || *value != of_image[key]);
    }
    for key in ["Labels", "Volumes", "ExposedPorts"] {
        if let Some(members) = config.get_mut(key).and_then(Value::as_object_mut) {
            members.retain(|name, value| *value != of_image[key][name.as_str()]);
        }
    }
    let inherited = of_image["Env"].as_array().cloned().unwrap_or_default();
    if let Some(env) = config.get_mut("Env").and_then(Value::as_array_mut) {
        env.retain(|entry| !inherited.contains(entry));
    }
    if old["HostConfig"]["NetworkMode"].as_str().unwrap().starts_with("container:") {
        config.remove("Hostname");
    }
    body
}
