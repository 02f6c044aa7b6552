//! What a project's own Compose files say about who needs whom: Compose 1 writes no label about it.
//!
//! Only on the engine's own machine, where the files are. Labels name them, and labels come with images
//! from anywhere: nothing but an ordinary small file is opened, and only names of services are taken.

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
/// A Compose file is text that people write.
const LIMIT: u64 = 1024 * 1024;

/// What each service needs first, by service.
pub(super) type Needs = BTreeMap<String, Vec<String>>;

/// Projects by the labels that name their files.
#[derive(Default)]
pub(super) struct Projects(BTreeMap<(String, String), Needs>);

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
        let needs = key(container).and_then(|key| self.0.get(&key)).and_then(|needs| needs.get(service));
        needs.map_or(&[], Vec::as_slice)
    }
}

fn key(container: &Value) -> Option<(String, String)> {
    let labels = &container["Config"]["Labels"];
    let label = |name: &str| Some(text(&labels[name]).to_owned()).filter(|value| !value.is_empty());
    Some((label(WORKING_DIR)?, label(CONFIG_FILES)?))
}

fn read(folder: &str, files: &str) -> Needs {
    let mut needs = Needs::new();
    for file in files.split(',') {
        let Some(source) = source(&Path::new(folder).join(file.trim())) else { continue };
        for (service, others) in parse(&source) {
            needs.entry(service).or_default().extend(others);
        }
    }
    needs
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
}

/// A list of names, or names with conditions.
#[derive(Deserialize)]
#[serde(untagged)]
enum DependsOn {
    Names(Vec<String>),
    Conditions(BTreeMap<String, IgnoredAny>),
}

/// A file that makes no sense says nothing: whoever wrote it hears of it from Compose.
fn parse(source: &str) -> Needs {
    let Ok(File { services }) = serde_saphyr::from_str(source) else { return Needs::new() };
    let named = services.into_iter().map(|(name, service)| {
        let others = match service.and_then(|service| service.depends_on) {
            Some(DependsOn::Names(names)) => names,
            Some(DependsOn::Conditions(names)) => names.into_keys().collect(),
            None => Vec::new(),
        };
        (name, others)
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_forms_are_read_and_nonsense_says_nothing() {
        let source = "version: '2.4'\nx-common: &c {restart: always}\nservices:\n  web:\n    <<: *c\n    image: w\n    \
            depends_on: [db, cache]\n  worker:\n    depends_on:\n      db: {condition: service_healthy}\n  db:\n";
        let needs = parse(source);
        assert_eq!(needs["web"], ["db", "cache"]);
        assert_eq!(needs["worker"], ["db"]);
        assert!(needs["db"].is_empty());
        assert!(parse("services: [").is_empty() && parse("services: 3").is_empty() && parse("").is_empty());
    }

    #[test]
    fn files_are_found_from_the_projects_folder_and_add_up() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.yml"), "services: {web: {depends_on: [db]}}").unwrap();
        std::fs::write(folder.path().join("b.yml"), "services: {web: {depends_on: [cache]}}").unwrap();
        let of = |files: &str| json!({"Config": {"Labels": {WORKING_DIR: folder.path().to_str().unwrap(), CONFIG_FILES: files}}});
        let projects = Projects::read(&[of("a.yml,b.yml"), of("missing.yml"), of("/dev/zero")]);
        assert_eq!(projects.needs(&of("a.yml,b.yml"), "web"), ["db", "cache"]);
        assert!(projects.needs(&of("missing.yml"), "web").is_empty());
        assert!(projects.needs(&json!({}), "web").is_empty());
    }
}
