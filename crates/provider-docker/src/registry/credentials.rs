//! Which credentials a registry gets.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use patchyard_contract::ProviderError;
use patchyard_types::printable;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::DockerProvider;
use crate::client::{Environment, read_json};
use crate::read::json::text;
use crate::read::reference::Reference;

/// How long a credential helper may take; some ask a service themselves.
const HELPER_TIMEOUT: Duration = Duration::from_secs(20);
/// The most a credential helper may say, in bytes.
const HELPER_LIMIT: u64 = 64 * 1024;
/// What Docker's own registry is called in configurations.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// Credentials of a registry that Patchyard's own configuration names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryLogin {
    /// The user's name.
    pub username: String,
    /// The file with the password; the end of its line is not part of it. Read anew each time, so that a password that
    /// was changed there counts at once.
    pub password_file: PathBuf,
}

/// The value of `X-Registry-Auth` for a registry: the credentials that Patchyard's configuration names, else those of the
/// user's Docker configuration. `None` when neither names any.
///
/// # Errors
/// When credentials are named that cannot be read: a password file, a credential helper.
pub(crate) async fn auth_header(
    docker: &DockerProvider,
    reference: &Reference,
) -> Result<Option<String>, ProviderError> {
    let keys = keys(&reference.registry);
    let configured = keys.iter().find_map(|key| docker.options.registries.get(key));
    let credentials = match configured {
        Some(login) => Some(of_login(login)?),
        None => of_docker(&docker.environment, &keys).await?,
    };
    Ok(credentials.map(|mut credentials| {
        credentials["serveraddress"] = json!(keys[0]);
        URL_SAFE.encode(credentials.to_string())
    }))
}

fn of_login(login: &RegistryLogin) -> Result<Value, ProviderError> {
    let RegistryLogin { username, password_file } = login;
    let password = std::fs::read_to_string(password_file).map_err(|error| ProviderError::Local {
        reason: format!("cannot read the registry's password file {}: {error}", password_file.display()),
    })?;
    Ok(json!({ "username": username, "password": password.trim_end_matches(['\r', '\n']) }))
}

/// From the user's Docker configuration: `auths`, `credHelpers`, `credsStore`.
async fn of_docker(env: &Environment, keys: &[String]) -> Result<Option<Value>, ProviderError> {
    let Some(folder) = env.docker_config() else { return Ok(None) };
    let Some(config) = read_json(&folder.join("config.json")) else { return Ok(None) };
    let helper = keys
        .iter()
        .find_map(|key| config["credHelpers"][key].as_str())
        .or_else(|| config["credsStore"].as_str());
    if let Some(helper) = helper.filter(|helper| !helper.is_empty()) {
        for key in keys {
            let found = ask_helper(env, helper, key, &folder).await?;
            if found.is_some() {
                return Ok(found);
            }
        }
    }
    Ok(keys.iter().find_map(|key| of_auths(&config["auths"][key])))
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

    async fn found(env: &Environment, reference: &str) -> Result<Option<Value>, ProviderError> {
        of_docker(env, &keys(&Reference::parse(reference).unwrap().registry)).await
    }

    async fn credentials(config: &str, name: &str, reference: &str) -> Option<Value> {
        let (env, folder) = env(config, name);
        let found = found(&env, reference).await.unwrap();
        std::fs::remove_dir_all(folder).unwrap();
        found
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
            let found = credentials(&config, "auths", reference).await.unwrap();
            assert_eq!((&found["username"], &found["password"]), (&json!("me"), &json!("se:cret")), "{key}");
        }
        let other = format!(r#"{{"auths":{{"other.example":{{"auth":"{auth}"}}}}}}"#);
        assert_eq!(credentials(&other, "other", "reg.example:5000/app").await, None);
        assert_eq!(credentials("{", "broken", "nginx").await, None);
    }

    #[tokio::test]
    async fn a_token_is_passed_on_as_one() {
        let config = r#"{"auths":{"reg.example":{"identitytoken":"t"}}}"#;
        assert_eq!(credentials(config, "token", "reg.example/app").await.unwrap()["identitytoken"], "t");
    }

    #[tokio::test]
    async fn a_helper_that_is_missing_or_no_name_is_an_error() {
        for helper in ["../../bin/sh", "patchyard-does-not-exist"] {
            let (env, folder) = env(&format!(r#"{{"credsStore":"{helper}"}}"#), "missing");
            assert!(found(&env, "nginx").await.is_err(), "{helper}");
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
            let found = found(&env, "reg.example/app").await.unwrap().unwrap();
            assert_eq!(found["identitytoken"], "get reg.example", "{config}");
            std::fs::remove_dir_all(folder).unwrap();
        }
    }

    #[test]
    fn a_password_file_ends_where_its_line_does() {
        let folder = std::env::temp_dir().join(format!("patchyard-password-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let login = RegistryLogin { username: "me".to_owned(), password_file: folder.join("password") };
        assert!(of_login(&login).unwrap_err().to_string().contains("password"), "it names the file");
        for written in ["se cret", "se cret\n", "se cret\r\n"] {
            std::fs::write(&login.password_file, written).unwrap();
            assert_eq!(of_login(&login).unwrap()["password"], "se cret");
        }
        std::fs::remove_dir_all(folder).unwrap();
    }
}
