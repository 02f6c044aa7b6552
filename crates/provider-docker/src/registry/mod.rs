//! What a registry says, asked through the engine: its mirrors, its certificates and its network apply,
//! as they would for a pull. Credentials come from the user's Docker configuration here.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use patchyard_contract::ProviderError;
use patchyard_types::{ImageUpdate, Target, printable};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::DockerProvider;
use crate::client::{ApiError, EngineKind, Environment, read_json};
use crate::read::json::{list, text};
use crate::read::reference::Reference;

/// How long a registry may take.
const TIMEOUT: Duration = Duration::from_secs(60);
/// How long a credential helper may take; some ask a service themselves.
const HELPER_TIMEOUT: Duration = Duration::from_secs(20);
/// The most a credential helper may say, in bytes.
const HELPER_LIMIT: u64 = 64 * 1024;
/// What Docker's own registry is called in configurations.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// A newer digest of the target's tag, if the registry has one.
pub(crate) async fn newer_image(
    docker: &DockerProvider,
    target: &Target,
) -> Result<Option<ImageUpdate>, ProviderError> {
    let said = &target.image.reference;
    let Some(reference) = Reference::parse(said) else {
        return no_answer(
            "the container was created from an image id, not from a tag",
            "recreate it from a tag once",
        );
    };
    if reference.digest.is_some() {
        // Pinned: whatever the tag says now, the operator wants this one.
        return Ok(None);
    }
    if docker.client.kind() == EngineKind::Podman {
        return no_answer("Podman's API cannot ask a registry", "ask with `skopeo inspect`");
    }
    let id = target.image.base.as_ref().unwrap_or(&target.image.id);
    let image =
        docker.client.get(&["images", id, "json"]).json().await.map_err(|error| docker.error(error))?;
    let have: Vec<&str> =
        list(&image["RepoDigests"]).filter_map(|entry| reference.digest_in(text(entry))).collect();
    let Some(from) = have.first() else {
        return no_answer(
            "its image was not pulled from a registry",
            "nothing newer can be known of an image built or loaded here",
        );
    };
    let mut request = docker.client.get(&["distribution", said, "json"]).timeout(TIMEOUT);
    if let Some(header) = auth_header(&docker.environment, &reference).await? {
        request = request.header("x-registry-auth", &header);
    }
    let answer = request.json().await.map_err(|error| refused(docker, &reference, error))?;
    let to = text(&answer["Descriptor"]["digest"]);
    if Reference::parse(&format!("x@{to}")).is_none() {
        return no_answer("the registry named no digest for its tag", "");
    }
    if have.contains(&to) {
        return Ok(None);
    }
    Ok(Some(ImageUpdate { reference: said.clone(), from: Some((*from).to_owned()), to: to.to_owned() }))
}

fn no_answer<T>(reason: &str, hint: &str) -> Result<T, ProviderError> {
    Err(ProviderError::NoAnswer { reason: reason.to_owned(), hint: hint.to_owned() })
}

/// What the engine says of a registry that gave no answer.
fn refused(docker: &DockerProvider, reference: &Reference, error: ApiError) -> ProviderError {
    let (ApiError::Status { .. } | ApiError::Timeout { .. }) = error else { return docker.error(error) };
    let reason = error.to_string();
    let has = |words: &[&str]| words.iter().any(|word| reason.to_lowercase().contains(word));
    let registry = &reference.registry;
    let hint = if has(&["unauthorized", "denied", "authentication required", "no basic auth"]) {
        format!("log in on this machine: docker login {registry}")
    } else if has(&["manifest unknown", "not found", "name unknown"]) {
        "the registry has no such tag any more".to_owned()
    } else if has(&["x509", "certificate"]) {
        format!(
            "the engine does not trust the certificate of {registry}: give it the CA (/etc/docker/certs.d)"
        )
    } else {
        format!("check that the engine reaches {registry}")
    };
    ProviderError::NoAnswer { reason: printable(&format!("registry {registry}: {reason}"), 500), hint }
}

/// The value of `X-Registry-Auth` for a registry, from the user's Docker configuration: `auths`,
/// `credHelpers`, `credsStore`. `None` when it names none.
///
/// # Errors
/// When a credential helper that is named cannot be used.
pub(crate) async fn auth_header(
    env: &Environment,
    reference: &Reference,
) -> Result<Option<String>, ProviderError> {
    let Some(folder) = env.docker_config() else { return Ok(None) };
    let Some(config) = read_json(&folder.join("config.json")) else { return Ok(None) };
    let keys = keys(&reference.registry);
    let helper = keys
        .iter()
        .find_map(|key| config["credHelpers"][key].as_str())
        .or_else(|| config["credsStore"].as_str());
    let credentials = match helper.filter(|helper| !helper.is_empty()) {
        Some(helper) => {
            let mut found = None;
            for key in &keys {
                found = ask_helper(env, helper, key, &folder).await?;
                if found.is_some() {
                    break;
                }
            }
            found
        }
        None => None,
    };
    let credentials = credentials.or_else(|| keys.iter().find_map(|key| of_auths(&config["auths"][key])));
    Ok(credentials.map(|mut credentials| {
        credentials["serveraddress"] = json!(keys[0]);
        URL_SAFE.encode(credentials.to_string())
    }))
}

/// Under which names a configuration may have a registry.
fn keys(registry: &str) -> Vec<String> {
    match registry {
        "docker.io" => {
            [DOCKER_HUB, "index.docker.io", "docker.io", "registry-1.docker.io"].map(str::to_owned).into()
        }
        other => vec![
            other.to_owned(),
            format!("https://{other}"),
            format!("http://{other}"),
            format!("https://{other}/v2/"),
        ],
    }
}

/// An entry of `auths`: `{"auth": base64("user:password")}` or `{"identitytoken": …}`.
fn of_auths(entry: &Value) -> Option<Value> {
    if let Some(token) = entry["identitytoken"].as_str().filter(|token| !token.is_empty()) {
        return Some(json!({ "identitytoken": token }));
    }
    let decoded = STANDARD.decode(entry["auth"].as_str()?.trim()).ok()?;
    let (user, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    // Docker itself pads some of them with zero bytes.
    Some(json!({ "username": user, "password": password.trim_matches('\0') }))
}

/// Docker's protocol for credential helpers: the registry on its standard input, JSON on its output.
async fn ask_helper(
    env: &Environment,
    helper: &str,
    registry: &str,
    folder: &Path,
) -> Result<Option<Value>, ProviderError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_' || c == '.';
    let broken = |what: String| ProviderError::Local {
        reason: format!(
            "the credential helper '{}' named in {} {what}",
            printable(helper, 100),
            folder.join("config.json").display()
        ),
    };
    if !helper.chars().all(plain) {
        return Err(broken("is no name of a program".to_owned()));
    }
    let talk = async {
        let mut command = tokio::process::Command::new(format!("docker-credential-{helper}"));
        if let Some(path) = env.var("PATH") {
            command.env("PATH", path);
        }
        let mut child = command
            .arg("get")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        if let Some(mut input) = child.stdin.take() {
            input.write_all(registry.as_bytes()).await?;
        }
        let mut said = Vec::new();
        if let Some(output) = child.stdout.take() {
            output.take(HELPER_LIMIT).read_to_end(&mut said).await?;
        }
        let status = child.wait().await?;
        Ok::<_, std::io::Error>((status.success(), said))
    };
    let (good, said) = match tokio::time::timeout(HELPER_TIMEOUT, talk).await {
        Err(_) => return Err(broken(format!("did not answer within {} s", HELPER_TIMEOUT.as_secs()))),
        Ok(Err(error)) => return Err(broken(format!("cannot be used: {error}"))),
        Ok(Ok(answer)) => answer,
    };
    if !good {
        // It says so when it has none for this registry.
        return Ok(None);
    }
    let answer: Value =
        serde_json::from_slice(&said).map_err(|_| broken("gave an answer that is no JSON".to_owned()))?;
    let (user, secret) = (text(&answer["Username"]), text(&answer["Secret"]));
    Ok(match user {
        "" if secret.is_empty() => None,
        "<token>" => Some(json!({ "identitytoken": secret })),
        user => Some(json!({ "username": user, "password": secret })),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn env(config: &str, name: &str) -> (Environment, std::path::PathBuf) {
        let folder = std::env::temp_dir().join(format!("patchyard-registry-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("config.json"), config).unwrap();
        let vars = [("DOCKER_CONFIG".to_owned(), folder.to_str().unwrap().to_owned())];
        (Environment { vars: vars.into_iter().collect() }, folder)
    }

    async fn header(config: &str, name: &str, reference: &str) -> Option<Value> {
        let (env, folder) = env(config, name);
        let header = auth_header(&env, &Reference::parse(reference).unwrap()).await.unwrap();
        std::fs::remove_dir_all(folder).unwrap();
        header.map(|header| serde_json::from_slice(&URL_SAFE.decode(header).unwrap()).unwrap())
    }

    #[tokio::test]
    async fn credentials_are_found_under_every_name_of_a_registry() {
        let auth = STANDARD.encode("me:se:cret");
        for (key, reference) in [
            ("reg.example:5000", "reg.example:5000/app:1"),
            ("https://reg.example:5000", "reg.example:5000/app:1"),
            (DOCKER_HUB, "nginx"),
        ] {
            let config = format!(r#"{{"auths":{{"{key}":{{"auth":"{auth}"}}}}}}"#);
            let found = header(&config, "auths", reference).await.unwrap();
            assert_eq!((&found["username"], &found["password"]), (&json!("me"), &json!("se:cret")), "{key}");
        }
        let other = format!(r#"{{"auths":{{"other.example":{{"auth":"{auth}"}}}}}}"#);
        assert_eq!(header(&other, "other", "reg.example:5000/app").await, None);
        assert_eq!(header("{", "broken", "nginx").await, None);
    }

    #[tokio::test]
    async fn a_token_is_passed_on_as_one() {
        let config = r#"{"auths":{"reg.example":{"identitytoken":"t"}}}"#;
        assert_eq!(header(config, "token", "reg.example/app").await.unwrap()["identitytoken"], "t");
    }

    #[tokio::test]
    async fn a_helper_that_is_missing_or_no_name_is_an_error() {
        for helper in ["../../bin/sh", "patchyard-does-not-exist"] {
            let (env, folder) = env(&format!(r#"{{"credsStore":"{helper}"}}"#), "missing");
            assert!(auth_header(&env, &Reference::parse("nginx").unwrap()).await.is_err(), "{helper}");
            std::fs::remove_dir_all(folder).unwrap();
        }
    }

    #[tokio::test]
    async fn a_helper_is_spoken_to_in_dockers_protocol() {
        let program = "#!/bin/sh\nread -r registry\nprintf '{\"Username\":\"<token>\",\"Secret\":\"%s %s\"}' \"$1\" \"$registry\"\n";
        for config in [r#"{"credsStore":"own"}"#, r#"{"credHelpers":{"reg.example":"own"}}"#] {
            let (mut env, folder) = env(config, "helper");
            let file = folder.join("docker-credential-own");
            std::fs::write(&file, program).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
            let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
            env.vars.insert("PATH".to_owned(), path);
            let header =
                auth_header(&env, &Reference::parse("reg.example/app").unwrap()).await.unwrap().unwrap();
            let found: Value = serde_json::from_slice(&URL_SAFE.decode(header).unwrap()).unwrap();
            assert_eq!(found["identitytoken"], "get reg.example", "{config}");
            std::fs::remove_dir_all(folder).unwrap();
        }
    }
}
