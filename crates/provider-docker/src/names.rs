//! The names of what Patchyard makes on an engine: objects, labels and tags are found again by them.

use patchyard_contract::Call;
use patchyard_types::{Digest, ObjectName, RunId};
use serde_json::{Map, Value, json};

/// Which controller made an object; its first eight characters are in every object's name.
pub const LABEL_CONTROLLER: &str = "io.patchyard.controller";
/// The run an object was made for.
pub const LABEL_RUN: &str = "io.patchyard.run";
/// What an object is for: [`ROLE_TARGET`], [`ROLE_BUILD`], …
pub const LABEL_ROLE: &str = "io.patchyard.role";
/// The target a container serves as.
pub const LABEL_TARGET: &str = "io.patchyard.target";
/// The name a container bears once it serves.
pub const LABEL_NAME: &str = "io.patchyard.name";
/// The reference a container was created from before it was patched.
pub const LABEL_REFERENCE: &str = "io.patchyard.reference";
/// Of a patched image: the id of the image it was built on.
pub const LABEL_BASE: &str = "io.patchyard.base";
/// Of a patched image: the patch set in its layer.
pub const LABEL_PATCH_SET: &str = "io.patchyard.patch-set";
/// Of an image between commit and correction; never on one that is run.
pub const LABEL_INTERMEDIATE: &str = "io.patchyard.intermediate";
/// Compose's note of the image a container was created from: an id.
pub const LABEL_COMPOSE_IMAGE: &str = "com.docker.compose.image";

/// The role of a replacement: a target like any other.
pub const ROLE_TARGET: &str = "target";
/// The role of a container in which a layer is built.
pub const ROLE_BUILD: &str = "build";
/// The role of a container in which a package manager is asked.
pub const ROLE_ASK: &str = "ask";

/// The role of a container that shows what is in an image.
pub const ROLE_SHOW: &str = "show";
/// The role of a container that copies volumes.
pub const ROLE_VOLUME: &str = "volume";
/// The role of a volume that holds the copy of another one.
pub const ROLE_SAVE: &str = "save";
/// Of a volume that holds a copy: the volume it is a copy of.
pub const LABEL_VOLUME: &str = "io.patchyard.volume";

/// The labels of a throw-away container of an image. Labels cannot be taken from an image, only overwritten: a discovery
/// proxy or Compose would take the container for one of its own.
pub(crate) fn labels_over(image: &Value, controller: &str, role: &str) -> Map<String, Value> {
    let inherited = image["Config"]["Labels"].as_object().into_iter().flatten();
    let mut labels: Map<String, Value> = inherited.map(|(name, _)| (name.clone(), json!(""))).collect();
    labels.insert(LABEL_CONTROLLER.to_owned(), json!(controller));
    labels.insert(LABEL_ROLE.to_owned(), json!(role));
    labels
}

/// The same for one that runs: Watchtower would update it.
pub(crate) fn labels_of_running(image: &Value, controller: &str, role: &str) -> Map<String, Value> {
    let mut labels = labels_over(image, controller, role);
    labels.insert("com.centurylinklabs.watchtower.enable".to_owned(), json!("false"));
    labels
}

/// Labels that Patchyard writes on the containers and images it makes. The operator's own labels
/// (`io.patchyard.exclude`, `io.patchyard.check.…`) are not among them.
pub const OWN_LABELS: [&str; 9] = [
    LABEL_CONTROLLER,
    LABEL_RUN,
    LABEL_ROLE,
    LABEL_TARGET,
    LABEL_NAME,
    LABEL_REFERENCE,
    LABEL_BASE,
    LABEL_PATCH_SET,
    LABEL_INTERMEDIATE,
];

/// Which service a target belongs to, whatever Compose or Swarm say; its owner's label.
pub(crate) const LABEL_SERVICE: &str = "io.patchyard.service";
/// Its environment; its owner's label.
pub(crate) const LABEL_ENVIRONMENT: &str = "io.patchyard.env";

/// Labels by which the owner of a container says something to Patchyard; what they mean is decided elsewhere.
pub const SETTING_LABELS: [&str; 11] = [
    "io.patchyard.exclude",
    LABEL_SERVICE,
    LABEL_ENVIRONMENT,
    "io.patchyard.check.http",
    "io.patchyard.check.tcp",
    "io.patchyard.check.command",
    "io.patchyard.verify-for",
    "io.patchyard.data",
    "io.patchyard.order",
    "io.patchyard.drain.command",
    "io.patchyard.drain.wait",
];

/// What every object's name starts with.
pub const PREFIX: &str = "patchyard-";

/// A controller's part of object names: its first eight letters and digits, in lower case.
#[must_use]
pub fn controller8(controller: &str) -> String {
    controller.chars().filter(char::is_ascii_alphanumeric).take(8).collect::<String>().to_ascii_lowercase()
}

/// A container that belongs to a run: `patchyard-1a2b3c4d-r12.3-new`.
#[must_use]
pub fn of_run(controller: &str, run: RunId, part: &str) -> ObjectName {
    ObjectName::new(format!("{PREFIX}{}-{}-{part}", controller8(controller), run.to_string().to_lowercase()))
}

/// A container of the target that a call is about: of a dependent, `patchyard-1a2b3c4d-r12.3-new-1`.
#[must_use]
pub fn of_call(controller: &str, call: &Call, part: &str) -> ObjectName {
    match &call.dependent {
        None => of_run(controller, call.run, part),
        Some(dependent) => of_run(controller, call.run, &format!("{part}-{}", dependent.number + 1)),
    }
}

/// A container in which a patch set's layer is built: `patchyard-1a2b3c4d-99aabbcc-build`.
#[must_use]
pub fn of_patch_set(controller: &str, patch_set: &Digest, part: &str) -> ObjectName {
    ObjectName::new(format!("{PREFIX}{}-{}-{part}", controller8(controller), patch_set.short(8)))
}

/// Whose and which part of which run a container's name says it is.
#[must_use]
pub fn parse_run(name: &str) -> Option<(String, RunId, String)> {
    let mut parts = name.trim_start_matches('/').strip_prefix(PREFIX)?.splitn(3, '-');
    let (controller, run, part) = (parts.next()?, parts.next()?, parts.next()?);
    Some((controller.to_owned(), run.parse().ok()?, part.to_owned()))
}

/// The tag of a patched image: `patchyard/nginx:99aabbccddee`.
#[must_use]
pub fn patched_tag(reference: &str, patch_set: &Digest) -> String {
    format!("patchyard/{}:{}", repository_word(reference), patch_set.short(12))
}

/// What the tags begin with that keep bases.
pub(crate) const BASE_TAGS: &str = "patchyard/base:";
/// What the tags begin with that keep snapshots.
pub(crate) const SNAPSHOT_TAGS: &str = "patchyard/snapshot:";

/// The tag that keeps a patched image's base alive, and says of a pulled image who pulled it:
/// `patchyard/base:1a2b3c4d-d66ef321cab7`. Each controller has its own: what one needs no more another may.
#[must_use]
pub fn base_tag(controller: &str, image: &str) -> String {
    format!("{BASE_TAGS}{}-{}", controller8(controller), short_image(image))
}

/// The tag that keeps a snapshot's image alive: `patchyard/snapshot:1a2b3c4d-r12.3`.
#[must_use]
pub fn snapshot_tag(controller: &str, run: RunId) -> String {
    format!("{SNAPSHOT_TAGS}{}-{}", controller8(controller), run.to_string().to_lowercase())
}

/// The tag that keeps the image alive that a snapshot's container ran.
#[must_use]
pub fn snapshot_base_tag(controller: &str, run: RunId) -> String {
    format!("{}-base", snapshot_tag(controller, run))
}

/// The tag that keeps what a dependent has written, beside the snapshot of its owner.
#[must_use]
pub fn snapshot_dependent_tag(controller: &str, run: RunId, number: usize) -> String {
    format!("{}-{}", snapshot_tag(controller, run), number + 1)
}

/// The tag of an image that a container runs unchanged, where its reference has moved on:
/// `patchyard/nginx:d66ef321cab7`.
#[must_use]
pub fn unchanged_tag(reference: &str, image: &str) -> String {
    format!("patchyard/{}:{}", repository_word(reference), short_image(image))
}

/// The first twelve hex digits of an image id.
#[must_use]
pub fn short_image(id: &str) -> String {
    id.trim_start_matches("sha256:").chars().take(12).collect()
}

/// The last word of a reference's repository, made fit for a repository of ours:
/// `registry:5000/team/My_App:1.2` gives `my_app`.
fn repository_word(reference: &str) -> String {
    let name = reference.split('@').next().unwrap_or_default();
    let last = name.rsplit('/').next().unwrap_or_default();
    let last = last.split(':').next().unwrap_or_default();
    let mut word = String::new();
    for c in last.chars().take(60) {
        match c.to_ascii_lowercase() {
            c if c.is_ascii_alphanumeric() => word.push(c),
            // One separator between letters or digits is what a repository name allows.
            c @ ('.' | '_' | '-') if word.ends_with(|w: char| w.is_ascii_alphanumeric()) => word.push(c),
            _ => {}
        }
    }
    let word = word.trim_end_matches(['.', '_', '-']);
    // A reference that is an image id says nothing, and `base` and `snapshot` are other tags of ours.
    if word.is_empty() || word == "sha256" || word == "base" || word == "snapshot" {
        "image".to_owned()
    } else {
        word.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_of_a_run_is_recognised_by_its_name() {
        let run: RunId = "R12.3".parse().unwrap();
        let name = of_run("1A2b-3c4d-eeee", run, "new");
        assert_eq!(name.as_str(), "patchyard-1a2b3c4d-r12.3-new");
        assert_eq!(parse_run(&format!("/{name}")), Some(("1a2b3c4d".into(), run, "new".into())));
        assert_eq!(parse_run("/patchyard-web"), None);
        assert_eq!(parse_run("/patchyard-1a2b3c4d-99aabbcc-build"), None);
    }

    #[test]
    fn a_tag_of_ours_takes_the_last_word_of_any_reference() {
        let digest = Digest::of_bytes(b"x");
        for (reference, word) in [
            ("nginx", "nginx"),
            ("registry:5000/team/My_App:1.2", "my_app"),
            ("registry:5000/app@sha256:abc", "app"),
            ("patchyard/nginx:123456789012", "nginx"),
            ("sha256:0123", "image"),
            ("x/base:1", "image"),
            ("x/-..-:1", "image"),
            ("x/a..b", "a.b"),
        ] {
            assert_eq!(patched_tag(reference, &digest), format!("patchyard/{word}:{}", digest.short(12)));
        }
    }
}
