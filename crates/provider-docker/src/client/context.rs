//! Docker contexts: named engines in the user's Docker configuration.

use std::path::Path;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::endpoint::{Address, EndpointError, Environment, TlsFiles, parse};

/// A configuration larger than this is none.
const CONFIG_LIMIT: u64 = 1024 * 1024;

/// The context in force, where it is not the built-in `default` (which means: no context).
pub(super) fn current(env: &Environment) -> Option<String> {
    let named = match env.var("DOCKER_CONTEXT") {
        Some(name) => name.to_owned(),
        None => {
            let config = read_json(&env.docker_config()?.join("config.json"))?;
            config.get("currentContext")?.as_str()?.to_owned()
        }
    };
    (!named.is_empty() && named != "default").then_some(named)
}

/// The address that a context names.
pub(super) fn address(name: &str, env: &Environment) -> Result<Address, EndpointError> {
    let broken = |reason: &str| EndpointError::Context {
        name: patchyard_types::printable(name, 100),
        reason: reason.to_owned(),
    };
    let contexts = env.docker_config().ok_or_else(|| broken("$HOME is not set"))?.join("contexts");
    // Docker names the folder of a context by the SHA-256 of its name.
    let folder = patchyard_types::Digest::from_bytes(Sha256::digest(name.as_bytes()).into()).to_string();
    let meta = read_json(&contexts.join("meta").join(&folder).join("meta.json"))
        .ok_or_else(|| broken("it does not exist; `docker context ls` lists those that do"))?;
    let docker = &meta["Endpoints"]["docker"];
    let host = docker["Host"].as_str().ok_or_else(|| broken("it names no Docker host"))?;
    if docker["SkipTLSVerify"].as_bool() == Some(true) {
        return Err(broken(
            "it skips the verification of the engine's certificate, which Patchyard never does; give the context the engine's CA",
        ));
    }
    let mut address = parse(host, &Environment::default())?;
    let material = contexts.join("tls").join(&folder).join("docker");
    if let Address::Tcp { tls, .. } = &mut address {
        let found = TlsFiles::in_folder(&material);
        if found != TlsFiles::default() {
            *tls = Some(found);
        }
    }
    Ok(address)
}

/// Reads a small JSON file of the user's; `None` when it is missing, too large or no JSON.
pub(crate) fn read_json(path: &Path) -> Option<Value> {
    if std::fs::metadata(path).ok()?.len() > CONFIG_LIMIT {
        return None;
    }
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn env(home: &Path, context: &str) -> Environment {
        let vars = [("HOME", home.to_str().unwrap()), ("DOCKER_CONTEXT", context)];
        Environment { vars: vars.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect() }
    }

    fn home(name: &str) -> PathBuf {
        let home = std::env::temp_dir().join(format!("patchyard-context-{}-{name}", std::process::id()));
        std::fs::create_dir_all(home.join(".docker")).unwrap();
        home
    }

    fn write(home: &Path, name: &str, meta: &str) {
        let folder = patchyard_types::Digest::of_bytes(name.as_bytes()).to_string();
        let folder = home.join(".docker/contexts/meta").join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("meta.json"), meta).unwrap();
    }

    #[test]
    fn a_context_is_found_by_the_digest_of_its_name() {
        let home = home("found");
        write(&home, "prod", r#"{"Name":"prod","Endpoints":{"docker":{"Host":"ssh://ops@web01"}}}"#);
        assert_eq!(address("prod", &env(&home, "")).unwrap().to_string(), "ssh://ops@web01");
        std::fs::write(home.join(".docker/config.json"), r#"{"currentContext":"prod"}"#).unwrap();
        assert_eq!(current(&env(&home, "")).as_deref(), Some("prod"));
        assert_eq!(current(&env(&home, "default")), None);
        std::fs::remove_dir_all(home).unwrap();
    }

    #[test]
    fn the_material_of_a_context_makes_it_tls() {
        let home = home("tls");
        write(&home, "far", r#"{"Endpoints":{"docker":{"Host":"tcp://far:2376","SkipTLSVerify":false}}}"#);
        let folder = patchyard_types::Digest::of_bytes(b"far").to_string();
        let folder = home.join(".docker/contexts/tls").join(folder).join("docker");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("ca.pem"), "").unwrap();
        let Address::Tcp { tls: Some(tls), .. } = address("far", &env(&home, "")).unwrap() else {
            panic!("no TLS")
        };
        assert!(tls.ca.is_some() && tls.client.is_none());
        std::fs::remove_dir_all(home).unwrap();
    }

    #[test]
    fn a_missing_context_and_one_that_trusts_everybody_are_refused() {
        let home = home("refused");
        write(&home, "lax", r#"{"Endpoints":{"docker":{"Host":"tcp://far:2376","SkipTLSVerify":true}}}"#);
        for name in ["lax", "missing"] {
            assert!(address(name, &env(&home, "")).is_err(), "{name}");
        }
        std::fs::remove_dir_all(home).unwrap();
    }
}
