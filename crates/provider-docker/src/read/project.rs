//! What a project's own Compose files say: who needs whom (Compose 1 writes no label about it), and
//! which files Compose puts into a container after it has created it (`configs:`, `secrets:`).
//!
//! Only on the engine's own machine, where the files are. Labels name them, and labels come with images
//! from anywhere: nothing but an ordinary small file is opened, and only names of services and paths
//! within their containers are taken.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};

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
/// The most files that are read for a project: they may name each other in a circle.
const FILES: usize = 50;

/// What is said of one service.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Said {
    /// Services that it needs first.
    needs: Vec<String>,
    /// Paths of its configs and secrets in the container.
    injected: Vec<String>,
    /// The service that it takes things over from, and the file that one is in, if it is another.
    extends: Option<(Option<String>, String)>,
}

/// What a file says.
#[derive(Debug, Default, Clone)]
struct Parsed {
    services: Services,
    /// Files that belong to the project as well.
    include: Vec<String>,
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
    let folder = Path::new(folder);
    let mut files_read = Files::default();
    let mut services = Services::new();
    let mut open: Vec<_> = files.split(',').rev().map(|file| folder.join(file.trim())).collect();
    let mut seen = BTreeSet::new();
    while let Some(path) = open.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        let Some(Parsed { services: said, include }) = files_read.at(&path).cloned() else { continue };
        open.extend(include.iter().map(|name| beside(&path, name)));
        for (service, said) in said {
            let whole = services.entry(service).or_default();
            whole.injected.extend(files_read.taken_over(&path, &said));
            whole.needs.extend(said.needs);
            whole.injected.extend(said.injected);
        }
    }
    for said in services.values_mut() {
        said.injected.sort_unstable();
        said.injected.dedup();
    }
    services
}

/// A file that another one names: names start at its folder.
fn beside(file: &Path, name: &str) -> PathBuf {
    file.parent().unwrap_or(file).join(name)
}

/// The files of one project that were read.
#[derive(Default)]
struct Files(BTreeMap<PathBuf, Parsed>);

impl Files {
    fn at(&mut self, path: &Path) -> Option<&Parsed> {
        if !self.0.contains_key(path) && self.0.len() < FILES {
            let parsed = source(path).map_or_else(Parsed::default, |source| parse(&source));
            self.0.insert(path.to_owned(), parsed);
        }
        self.0.get(path)
    }

    /// The paths that a service takes over from those it extends. Whom they need is their own affair.
    fn taken_over(&mut self, file: &Path, said: &Said) -> Vec<String> {
        let (mut paths, mut path, mut next) = (Vec::new(), file.to_owned(), said.extends.clone());
        for _ in 0..FILES {
            let Some((file, service)) = next else { break };
            if let Some(file) = file {
                path = beside(&path, &file);
            }
            let base = self.at(&path).and_then(|parsed| parsed.services.get(&service));
            let Some(Said { injected, extends, .. }) = base else { break };
            paths.extend(injected.iter().cloned());
            next = extends.clone();
        }
        paths
    }
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
    #[serde(default)]
    include: Vec<Include>,
}

/// Its name alone, or with settings; several at once override each other.
#[derive(Deserialize)]
#[serde(untagged)]
enum Include {
    Name(String),
    Path { path: OneOrMore },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

/// A service of the same file, or of another.
#[derive(Deserialize)]
#[serde(untagged)]
enum Extends {
    Service(String),
    Of { service: String, file: Option<String> },
}

#[derive(Deserialize)]
struct Service {
    #[serde(default)]
    depends_on: Option<DependsOn>,
    #[serde(default)]
    extends: Option<Extends>,
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
fn parse(source: &str) -> Parsed {
    let Ok(File { services, include }) = serde_saphyr::from_str(source) else { return Parsed::default() };
    let said = services.into_iter().map(|(name, service)| (name, service.map_or_else(Said::default, said)));
    let include = include.into_iter().flat_map(|include| match include {
        Include::Name(name) | Include::Path { path: OneOrMore::One(name) } => vec![name],
        Include::Path { path: OneOrMore::More(names) } => names,
    });
    Parsed { services: said.collect(), include: include.collect() }
}

fn said(service: Service) -> Said {
    let Service { depends_on, extends, configs, secrets } = service;
    let needs = match depends_on {
        Some(DependsOn::Names(names)) => names,
        Some(DependsOn::Conditions(names)) => names.into_keys().collect(),
        None => Vec::new(),
    };
    let configs = configs.into_iter().filter_map(|config| config.path(""));
    let secrets = secrets.into_iter().filter_map(|secret| secret.path(SECRETS));
    let extends = extends.map(|extends| match extends {
        Extends::Service(service) => (None, service),
        Extends::Of { service, file } => (file, service),
    });
    Said { needs, injected: configs.chain(secrets).collect(), extends }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_forms_are_read_and_nonsense_says_nothing() {
        let source = "version: '2.4'\nx-common: &c {restart: always}\nservices:\n  web:\n    <<: *c\n    image: w\n    \
            depends_on: [db, cache]\n  worker:\n    depends_on:\n      db: {condition: service_healthy}\n  db:\n";
        let said = parse(source).services;
        assert_eq!(said["web"].needs, ["db", "cache"]);
        assert_eq!(said["worker"].needs, ["db"]);
        assert!(said["db"].needs.is_empty());
        for nonsense in ["services: [", "services: 3", ""] {
            assert!(parse(nonsense).services.is_empty(), "{nonsense}");
        }
    }

    #[test]
    fn configs_and_secrets_have_their_places() {
        let source = "services:\n  web:\n    configs:\n      - plain\n      - {source: c, target: /etc/web.conf, mode: 0440}\n      \
            - {source: relative, target: app.conf}\n    secrets:\n      - token\n      - {source: s, target: renamed}\n      \
            - {source: t, target: /srv/key}\n      - {source: u}\n      - '${NAME}'\n      - {source: v, target: ../../etc/shadow}\n";
        assert_eq!(
            parse(source).services["web"].injected,
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

    #[test]
    fn files_name_others_that_belong_to_the_project() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write(
            "a.yml",
            "include: [more/b.yml, {path: [c.yml, missing.yml]}, {path: a.yml}]\nservices:\n  \
             web: {extends: {file: more/base.yml, service: base}, configs: !override [own], secrets: !reset []}\n  \
             twin: {extends: web}\n  circle: {extends: circle, secrets: [round]}\n",
        );
        write("more/b.yml", "services: {db: {depends_on: [disk], secrets: [key]}}");
        write("c.yml", "services: {cache: {configs: [{source: c, target: /c.conf}]}}");
        write(
            "more/base.yml",
            "services: {base: {extends: {file: lower.yml, service: low}, depends_on: [x], secrets: [s]}}",
        );
        write("more/lower.yml", "services: {low: {configs: [l]}}");
        let services = read(folder.path().to_str().unwrap(), "a.yml");
        assert_eq!(services["web"].injected, ["/l", "/own", "/run/secrets/s"]);
        assert!(services["web"].needs.is_empty() && services["twin"].injected.contains(&"/own".to_owned()));
        assert_eq!(
            (&services["db"].needs[..], &services["db"].injected[..]),
            (&["disk".to_owned()][..], &["/run/secrets/key".to_owned()][..])
        );
        assert_eq!(services["cache"].injected, ["/c.conf"]);
        assert!(services["circle"].injected.contains(&"/run/secrets/round".to_owned()));
    }
}
