//! Instances: what there is, and what is said of it.

use std::collections::BTreeMap;
use std::fmt;

use hyper::Method;
use patchyard_types::printable;
use serde_json::Value;

use crate::client::{target, text};
use crate::{Client, IncusError};

/// What labels of the user's begin with in an instance's configuration.
const LABELS: &str = "user.";
/// What cloud-init keeps there: no labels, and there may be passwords in it.
const CLOUD_INIT: [&str; 4] = ["user-data", "vendor-data", "network-config", "meta-data"];

/// The name of an instance: unique in its project.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceName {
    /// The project; `default` where nobody has made one.
    pub project: String,
    /// The name in it.
    pub name: String,
}

impl InstanceName {
    /// A name in the default project, or `PROJECT/NAME`.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let (project, name) = text.split_once('/').unwrap_or(("default", text));
        Self { project: project.to_owned(), name: name.to_owned() }
    }
}

/// As [`InstanceName::new`] takes it.
impl fmt::Display for InstanceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.project {
            "default" => f.write_str(&self.name),
            project => write!(f, "{project}/{}", self.name),
        }
    }
}

/// What an instance is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A system container.
    Container,
    /// A virtual machine.
    VirtualMachine,
    /// Something newer, in the server's word.
    Other(String),
}

/// An instance. Words that come from the server have been made harmless.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Its name.
    pub name: InstanceName,
    /// Container or virtual machine.
    pub kind: Kind,
    /// The server's word for how it is: `Running`, `Stopped`, `Frozen`, `Error` …
    pub status: String,
    /// Its id, which survives that it is renamed, restored, or moved; older servers give none.
    pub uuid: Option<String>,
    /// What its users say of it (`user.*`, its profiles' too), without that prefix and without what is
    /// cloud-init's.
    pub labels: BTreeMap<String, String>,
    /// `x86_64`, `aarch64` …
    pub architecture: String,
    /// The cluster member it is on; `none` without a cluster.
    pub location: String,
}

impl Instance {
    /// Whether programs can be run in it.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.status == "Running"
    }

    fn read(what: &str, answer: &Value) -> Result<Self, IncusError> {
        let word = |key: &str| printable(answer[key].as_str().unwrap_or_default(), 200);
        let name = answer["name"].as_str().filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| IncusError::protocol(what, "an instance without a name"))?;
        let project = answer["project"].as_str().filter(|project| !project.is_empty()).unwrap_or("default");
        let uuid = text(&answer["config"]["volatile.uuid"]);
        // An instance of its own has no `expanded_config` on some servers: then nothing is to be added.
        let config = [&answer["config"], &answer["expanded_config"]];
        let labels = config.into_iter().filter_map(Value::as_object).flatten().filter_map(|(key, value)| {
            let label = key.strip_prefix(LABELS).filter(|label| !CLOUD_INIT.contains(label))?;
            Some((printable(label, 200), printable(value.as_str()?, 1000)))
        });
        Ok(Self {
            name: InstanceName { project: project.to_owned(), name: name.to_owned() },
            kind: match &*word("type") {
                "container" => Kind::Container,
                "virtual-machine" => Kind::VirtualMachine,
                other => Kind::Other(other.to_owned()),
            },
            status: word("status"),
            uuid: (!uuid.is_empty()).then(|| printable(&uuid, 100)),
            labels: labels.collect(),
            architecture: word("architecture"),
            location: word("location"),
        })
    }
}

impl Client {
    /// All instances of all projects, in the order of their names.
    ///
    /// # Errors
    /// See [`IncusError`].
    pub async fn instances(&self) -> Result<Vec<Instance>, IncusError> {
        let mut arguments = vec![("recursion", "1")];
        // Before that a server with projects has to be asked for each.
        if self.server().has("instance_all_projects") {
            arguments.push(("all-projects", "true"));
        }
        let target = target(&["instances"], &arguments);
        let answer = self.call(Method::GET, &target, None).await?;
        let listed = answer.as_array().ok_or_else(|| IncusError::protocol(&target, "it is no list"))?;
        let mut instances: Vec<Instance> =
            listed.iter().map(|one| Instance::read(&target, one)).collect::<Result<_, _>>()?;
        instances.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(instances)
    }

    /// One instance.
    ///
    /// # Errors
    /// [`IncusError::NotFound`] when there is none of that name; else see [`IncusError`].
    pub async fn instance(&self, name: &InstanceName) -> Result<Instance, IncusError> {
        let target = target(&["instances", &name.name], &[("project", &name.project)]);
        let answer = self.call(Method::GET, &target, None).await?;
        Instance::read(&target, &answer)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_instance_is_what_its_server_says() {
        let answer = json!({
            "name": "web", "project": "shop", "type": "container", "status": "Running", "location": "none",
            "architecture": "x86_64",
            "config": {"volatile.uuid": "8d1e", "user.service": "shop", "user.user-data": "password: x"},
            "expanded_config": {"user.service": "shop", "user.tier": "\u{1b}[1m", "limits.cpu": "2"},
        });
        let instance = Instance::read("GET", &answer).unwrap();
        assert_eq!(instance.name, InstanceName::new("shop/web"));
        assert_eq!((&instance.kind, instance.uuid.as_deref()), (&Kind::Container, Some("8d1e")));
        let labels: Vec<_> = instance.labels.iter().map(|(key, value)| (&**key, &**value)).collect();
        assert_eq!(labels, [("service", "shop"), ("tier", "\\u{1b}[1m")]);
        assert!(instance.is_running());
    }

    #[test]
    fn what_is_missing_or_new_is_taken_as_it_is() {
        let instance = Instance::read("GET", &json!({"name": "a", "type": "jail"})).unwrap();
        assert_eq!(instance.name.to_string(), "a");
        assert_eq!((instance.kind, instance.uuid), (Kind::Other("jail".to_owned()), None));
        assert!(matches!(Instance::read("GET", &json!({})), Err(IncusError::Protocol { .. })));
    }

    #[test]
    fn a_name_is_written_as_it_is_read() {
        for text in ["web", "shop/web"] {
            assert_eq!(InstanceName::new(text).to_string(), text);
        }
        assert_eq!(InstanceName::new("default/web"), InstanceName::new("web"));
    }
}
