//! What a project's own Compose files say: who needs whom (Compose 1 writes no label about it), and
//! which files Compose puts into a container after it has created it (`configs:`, `secrets:`).
//!
//! Only on the engine's own machine, where the files are. Labels name them, and labels come with images
//! from anywhere: nothing but an ordinary small file is opened, and only names of services and paths
//! within their containers are taken.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::json::text;

/// Label: where the project lives; relative file names start there.
const WORKING_DIR: &str = "com.docker.compose.project.working_dir";
/// Label: its files, separated by commas.
const CONFIG_FILES: &str = "com.docker.compose.project.config_files";
/// Label: the service a container belongs to.
const SERVICE: &str = "com.docker.compose.service";
/// Where secrets are that name no place of their own.
const SECRETS: &str = "/run/secrets";
/// A Compose file is text that people write.
const LIMIT: u64 = 1024 * 1024;

/// What is said of one service.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    /// Services that it needs first.
    needs: Vec<String>,
    /// Paths of its configs and secrets in the container.
    injected: Vec<String>,
}

/// What is said of each service, by its name.
type Services = BTreeMap<String, Said>;

/// Projects by the labels that name their files.
#[derive(Default)]
pub(super) struct Projects(BTreeMap<(String, String), Services>);

impl Projects {
    /// Reads the files of every project that these containers belong to.
    pub fn read(containers: &[Value]) -> Self {
        let mut projects = BTreeMap::new();
        for container in containers {
            let Some(key) = key(container) else { continue };
            projects.entry(key).or_insert_with_key(|(folder, files)| read(folder, files));
        }
        Self(projects)
    }

    /// What a service of a container's project needs first.
    pub fn needs(&self, container: &Value, service: &str) -> &[String] {
        self.said(container, service).map_or(&[], |said| &said.needs)
    }

    /// Paths that a container's own service gives to its configs and secrets.
    pub fn injected(&self, container: &Value) -> &[String] {
        let service = text(&container["Config"]["Labels"][SERVICE]);
        self.said(container, service).map_or(&[], |said| &said.injected)
    }

    fn said(&self, container: &Value, service: &str) -> Option<&Said> {
        self.0.get(&key(container)?)?.get(service)
    }
}

fn key(container: &Value) -> Option<(String, String)> {
    let labels = &container["Config"]["Labels"];
    let label = |name: &str| Some(text(&labels[name]).to_owned()).filter(|value| !value.is_empty());
    Some((label(WORKING_DIR)?, label(CONFIG_FILES)?))
}

fn read(folder: &str, files: &str) -> Services {
    let mut services = Services::new();
    for file in files.split(',') {
        let Some(source) = source(&Path::new(folder).join(file.trim())) else { continue };
        for (service, Said { needs, injected }) in parse(&source) {
            let said = services.entry(service).or_default();
            said.needs.extend(needs);
            said.injected.extend(injected);
        }
    }
    services
}

fn source(path: &Path) -> Option<String> {
    // A pipe or a device would be waited for.
    let found = std::fs::metadata(path).ok().filter(|found| found.is_file() && found.len() <= LIMIT)?;
    let mut source = String::new();
    std::fs::File::open(path).ok()?.take(found.len()).read_to_string(&mut source).ok()?;
    Some(source)
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    services: BTreeMap<String, Option<Service>>,
}

#[derive(Deserialize)]
struct Service {
    #[serde(default)]
    depends_on: Option<DependsOn>,
    #[serde(default)]
    configs: Vec<Injected>,
    #[serde(default)]
    secrets: Vec<Injected>,
}

/// A config or secret of a service: its name alone, or with a place of its own.
#[derive(Deserialize)]
#[serde(untagged)]
enum Injected {
    Name(String),
    Placed { source: String, target: Option<String> },
}

impl Injected {
    /// Its path, where it is not said to be in another folder than this.
    fn path(self, folder: &str) -> Option<String> {
        let (Self::Name(name)
        | Self::Placed { source: name, target: None }
        | Self::Placed { target: Some(name), .. }) = self;
        let path = if name.starts_with('/') { name } else { format!("{folder}/{name}") };
        // What Compose would put together from its environment is not known here.
        let is_plain =
            !path.contains('$') && !path.split('/').skip(1).any(|part| matches!(part, "" | "." | ".."));
        is_plain.then_some(path)
    }
}

/// A list of names, or names with conditions.
#[derive(Deserialize)]
#[serde(untagged)]
enum DependsOn {
    Names(Vec<String>),
    Conditions(BTreeMap<String, IgnoredAny>),
}

/// A file that makes no sense says nothing: whoever wrote it hears of it from Compose.
fn parse(source: &str) -> Services {
    let Ok(File { services }) = serde_saphyr::from_str(source) else { return Services::new() };
    let said = services.into_iter().map(|(name, service)| {
        let Some(Service { depends_on, configs, secrets }) = service else { return (name, Said::default()) };
        let needs = match depends_on {
            Some(DependsOn::Names(names)) => names,
            Some(DependsOn::Conditions(names)) => names.into_keys().collect(),
            None => Vec::new(),
        };
        let configs = configs.into_iter().filter_map(|config| config.path(""));
        let secrets = secrets.into_iter().filter_map(|secret| secret.path(SECRETS));
        (name, Said { needs, injected: configs.chain(secrets).collect() })
    });
    said.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_forms_are_read_and_nonsense_says_nothing() {
        let source = "version: '2.4'\nx-common: &c {restart: always}\nservices:\n  web:\n    <<: *c\n    image: w\n    \
            depends_on: [db, cache]\n  worker:\n    depends_on:\n      db: {condition: service_healthy}\n  db:\n";
        let said = parse(source);
        assert_eq!(said["web"].needs, ["db", "cache"]);
        assert_eq!(said["worker"].needs, ["db"]);
        assert!(said["db"].needs.is_empty());
        assert!(parse("services: [").is_empty() && parse("services: 3").is_empty() && parse("").is_empty());
    }

    #[test]
    fn configs_and_secrets_have_their_places() {
        let source = "services:\n  web:\n    configs:\n      - plain\n      - {source: c, target: /etc/web.conf, mode: 0440}\n      \
            - {source: relative, target: app.conf}\n    secrets:\n      - token\n      - {source: s, target: renamed}\n      \
            - {source: t, target: /srv/key}\n      - {source: u}\n      - '${NAME}'\n      - {source: v, target: ../../etc/shadow}\n";
        assert_eq!(
            parse(source)["web"].injected,
            [
                "/plain",
                "/etc/web.conf",
                "/app.conf",
                "/run/secrets/token",
                "/run/secrets/renamed",
                "/srv/key",
                "/run/secrets/u"
            ]
        );
    }

    #[test]
    fn files_are_found_from_the_projects_folder_and_add_up() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.yml"), "services: {web: {depends_on: [db]}}").unwrap();
        std::fs::write(folder.path().join("b.yml"), "services: {web: {depends_on: [cache], secrets: [key]}}")
            .unwrap();
        let of = |files: &str| json!({"Config": {"Labels": {WORKING_DIR: folder.path().to_str().unwrap(), CONFIG_FILES: files, SERVICE: "web"}}});
        let projects = Projects::read(&[of("a.yml,b.yml"), of("missing.yml"), of("/dev/zero")]);
        assert_eq!(projects.needs(&of("a.yml,b.yml"), "web"), ["db", "cache"]);
        assert_eq!(projects.injected(&of("a.yml,b.yml")), ["/run/secrets/key"]);
        assert!(
            projects.needs(&of("missing.yml"), "web").is_empty() && projects.injected(&json!({})).is_empty()
        );
        assert!(projects.needs(&json!({}), "web").is_empty());
    }
}
