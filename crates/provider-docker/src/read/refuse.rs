//! Why this release does not swap a container: everything that could not be put back as it was.
//!
//! Each reason has a code that scripts may rely on. What is not refused here is carried over by the
//! swap and compared after the new container is created. What no request can ask for again is known where
//! requests are made ([`crate::spec`]).

use patchyard_types::Refusal;
use serde_json::Value;

use super::json::{list, text};
use crate::client::EngineKind;
use crate::names::{OWN_LABELS, SETTING_LABELS};
use crate::podman;
use crate::spec::{self, NAMESPACES};

/// Mark of a document that is put together from the engine's list: it would not tell more in time.
pub(super) const NOT_INSPECTED: &str = "io.patchyard.not-inspected";

/// What is known of the surroundings of a container.
pub(super) struct Surroundings<'a> {
    pub kind: EngineKind,
    /// Whether its engine has a name in the configuration.
    pub has_name: bool,
    /// The id of the container this process runs in, or its beginning.
    pub own_container: Option<&'a str>,
    /// Containers in whose namespaces this one lives, and which are not there any more.
    pub missing_hosts: &'a [String],
    /// Names of containers linked to this one.
    pub linked_from: &'a [String],
    /// A run of another controller that has not ended: controller and run.
    pub foreign_run: Option<(&'a str, &'a str)>,
    /// Whether its image is still on the engine.
    pub has_image: bool,
}

/// All reasons against a swap, from a container's inspect document.
pub(super) fn refusals(inspect: &Value, around: &Surroundings<'_>) -> Vec<Refusal> {
    let mut out = Vec::new();
    let mut refuse = |code: &str, message: String| {
        out.push(Refusal { code: code.to_owned(), message: patchyard_types::printable(&message, 500) });
    };
    let label = |name: &str| inspect["Config"]["Labels"][name].as_str().filter(|value| !value.is_empty());

    if around.own_container.is_some_and(|own| own.len() >= 12 && text(&inspect["Id"]).starts_with(own)) {
        refuse("own_container", "Patchyard runs in this container and does not swap itself: pull its new image and recreate it by hand".to_owned());
    }
    if !inspect[NOT_INSPECTED].is_null() {
        refuse(
            "not_inspected",
            "the engine does not answer for it: somebody may be copying from it or committing it, or it is stuck"
                .to_owned(),
        );
    }
    if let Some((controller, run)) = around.foreign_run {
        refuse(
            "foreign_run",
            format!(
                "run {} of controller {controller} is not finished on it: resume or resolve it there",
                run.to_uppercase()
            ),
        );
    }
    if !around.has_image {
        refuse("image_missing", "its image is no longer on the engine, so it could not be put back: pull or build the image again".to_owned());
    }
    if let Some(service) =
        label("com.docker.swarm.service.name").or_else(|| label("com.docker.swarm.task.id"))
    {
        refuse(
            "swarm_task",
            format!(
                "Swarm recreates its tasks itself ({service}): connect Patchyard to a manager of the swarm, where \
                 the service is patched"
            ),
        );
    }
    let labels = inspect["Config"]["Labels"].as_object().into_iter().flatten();
    if let Some(Refusal { code, message }) = unknown_label(labels.map(|(name, _)| name.as_str())) {
        refuse(&code, message);
    }
    namespaces(around, &mut refuse);
    if around.kind == EngineKind::Podman && inspect[NOT_INSPECTED].is_null() {
        of_podman(inspect, around, &mut refuse);
    }
    // Of one that is refused already, by whoever else has it in his hands, it would say nothing new.
    if out.is_empty()
        && let Err(refusal) = spec::is_recreatable(inspect)
    {
        out.push(refusal);
    }
    out
}

/// What only Podman has, or does otherwise.
fn of_podman(inspect: &Value, around: &Surroundings<'_>, refuse: &mut impl FnMut(&str, String)) {
    let host = &inspect["HostConfig"];
    let own = |key: &str| &host[format!("{}{key}", podman::OWN)];
    if !around.has_name {
        refuse(
            "unnamed_host",
            "Podman has no id that stays, and nothing could be told from its neighbours tomorrow: give the host a \
             name under `hosts:` in the configuration"
                .to_owned(),
        );
    }
    if let Some(unit) = inspect["Config"]["Labels"]["PODMAN_SYSTEMD_UNIT"].as_str() {
        refuse(
            "systemd_unit",
            format!("the systemd unit {unit} makes and removes it: update its image and restart the unit"),
        );
    }
    if !text(own("Pod")).is_empty() || own("IsInfra").as_bool() == Some(true) {
        refuse("pod", "it belongs to a pod: recreate the pod".to_owned());
    }
    if text(&host["RestartPolicy"]["Name"]) == podman::REVIVED {
        refuse(
            "restart_always",
            "podman-restart.service starts it also where it was set aside, beside the new one, and this Podman cannot \
             change the policy: recreate it with --restart unless-stopped or on-failure"
                .to_owned(),
        );
    }
    if !text(own("Rootfs")).is_empty() {
        refuse("rootfs", "it was made from a folder (--rootfs), not from an image".to_owned());
    }
    if own("SystemdMode").as_bool() == Some(true) {
        refuse(
            "systemd_inside",
            "systemd runs in it, as in a machine: not in this release on Podman".to_owned(),
        );
    }
    if list(own("Secrets")).next().is_some() {
        refuse("secrets", "it has secrets of Podman: not in this release".to_owned());
    }
    if NAMESPACES.iter().any(|key| text(&host[*key]).starts_with("container:")) {
        refuse(
            "podman_namespaces",
            "it lives in a namespace of another container: not in this release on Podman".to_owned(),
        );
    }
    match podman::origin(own("CreateCommand")) {
        podman::Origin::Command => {}
        podman::Origin::Option(option) => refuse(
            "podman_option",
            format!("it was created with {option}, which Podman does not tell enough of to make it again"),
        ),
        podman::Origin::Unknown => refuse(
            "podman_api",
            "it was not created by `podman run` or `podman create`, and Podman does not tell all that was asked for \
             through its API (sysctls, addresses, rights on devices): recreate it by such a command"
                .to_owned(),
        ),
    }
    let health = &inspect["State"]["Health"];
    if text(&health["Status"]) == "starting" && list(&health["Log"]).next().is_none() {
        refuse(
            "healthcheck_not_run",
            "its healthcheck has never been run: Podman leaves that to timers of systemd; without them create it with \
             --no-healthcheck"
                .to_owned(),
        );
    }
}

/// A label of ours that is none: a slip in its name may patch what was to be left alone.
pub(crate) fn unknown_label<'a>(mut labels: impl Iterator<Item = &'a str>) -> Option<Refusal> {
    let name = labels.find(|name| {
        name.starts_with("io.patchyard.") && !SETTING_LABELS.contains(name) && !OWN_LABELS.contains(name)
    })?;
    let known = SETTING_LABELS.map(|known| known.trim_start_matches("io.patchyard."));
    let message = format!(
        "nobody knows its label {name}: set it right and recreate it; known are {}",
        known.join(", ")
    );
    Some(Refusal { code: "unknown_label".to_owned(), message: patchyard_types::printable(&message, 500) })
}

fn namespaces(around: &Surroundings<'_>, refuse: &mut impl FnMut(&str, String)) {
    if !around.missing_hosts.is_empty() {
        let named: Vec<&str> = around.missing_hosts.iter().map(|host| short(host)).collect();
        refuse(
            "namespace_gone",
            format!("it lives in a namespace of container {}, which is gone: recreate it", named.join(", ")),
        );
    }
    if !around.linked_from.is_empty() {
        refuse(
            "links",
            format!(
                "other containers are linked to it ({}): not in this release",
                around.linked_from.join(", ")
            ),
        );
    }
}

/// The engine writes the whole id of the other container.
fn short(named: &str) -> &str {
    if named.len() == 64 { named.get(..12).unwrap_or(named) } else { named }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ID: &str = "9aa4c193d86890b7f6dbcdd678321ceb69703465863b052e7d72163a922e5541";

    fn around() -> Surroundings<'static> {
        Surroundings {
            kind: EngineKind::Docker,
            has_name: true,
            own_container: None,
            missing_hosts: &[],
            linked_from: &[],
            foreign_run: None,
            has_image: true,
        }
    }

    fn codes(inspect: &Value, around: &Surroundings<'_>) -> Vec<String> {
        refusals(inspect, around).into_iter().map(|refusal| refusal.code).collect()
    }

    #[test]
    fn every_case_is_refused_under_its_own_code() {
        let host = |host: Value| json!({"Id": ID, "HostConfig": host});
        let left = json!({"shop_back": {"NetworkID": "20252b8eb271aaa018d5"}});
        for (inspect, code) in [
            (
                json!({"Id": ID, "HostConfig": {"NetworkMode": "shop_default"}, "NetworkSettings": {"Networks": left}}),
                "network_changed",
            ),
            (host(json!({"NetworkMode": "bridge"})), "network_changed"),
            (host(json!({"Links": ["/x:/y/x"]})), "links"),
            (host(json!({"AutoRemove": true})), "auto_remove"),
            (json!({"Id": ID, "Config": {"Labels": {"com.docker.swarm.service.name": "web"}}}), "swarm_task"),
            (json!({"Id": ID, "Config": {"Labels": {"io.patchyard.exlude": "true"}}}), "unknown_label"),
        ] {
            assert_eq!(codes(&inspect, &around()), [code], "{inspect}");
        }
    }

    #[test]
    fn surroundings_count_too() {
        let plain = json!({"Id": ID});
        let guests = ["sidecar".to_owned()];
        assert_eq!(
            codes(&plain, &Surroundings { own_container: Some(&ID[..12]), ..around() }),
            ["own_container"]
        );
        assert_eq!(codes(&plain, &Surroundings { missing_hosts: &guests, ..around() }), ["namespace_gone"]);
        assert_eq!(codes(&plain, &Surroundings { linked_from: &guests, ..around() }), ["links"]);
        assert_eq!(
            codes(&plain, &Surroundings { foreign_run: Some(("c", "R1.1")), ..around() }),
            ["foreign_run"]
        );
        assert_eq!(codes(&plain, &Surroundings { has_image: false, ..around() }), ["image_missing"]);
    }

    #[allow(clippy::needless_pass_by_value, reason = "the rows of a table are moved in")]
    fn on_podman(host: Value) -> Value {
        let mut inspect = json!({"Id": ID, "HostConfig": {"Podman.CreateCommand": ["podman", "run", "web"]},
            "NetworkSettings": {"Networks": {"bridge": {}, "podman": {}}}});
        inspect["HostConfig"].as_object_mut().unwrap().extend(host.as_object().unwrap().clone());
        inspect
    }

    /// Every row: what Podman cannot make again or would interfere with, and the name it is refused by.
    #[test]
    fn what_only_podman_does_is_refused_under_its_own_code() {
        let podman = Surroundings { kind: EngineKind::Podman, ..around() };
        let host = on_podman;
        let mut owned = host(json!({}));
        owned["Config"] = json!({"Labels": {"PODMAN_SYSTEMD_UNIT": "web.service"}});
        let mut unhealthy = host(json!({}));
        unhealthy["State"] = json!({"Health": {"Status": "starting", "Log": null}});
        for (inspect, code) in [
            (owned, "systemd_unit"),
            (unhealthy, "healthcheck_not_run"),
            (host(json!({"Podman.Pod": "d66ef321cab7"})), "pod"),
            (host(json!({"Podman.IsInfra": true})), "pod"),
            (host(json!({"RestartPolicy": {"Name": "always"}})), "restart_always"),
            (host(json!({"Podman.Rootfs": "/srv/root"})), "rootfs"),
            (host(json!({"Podman.SystemdMode": true})), "systemd_inside"),
            (host(json!({"Podman.Secrets": [{"Name": "key"}]})), "secrets"),
            (host(json!({"NetworkMode": "container:abc"})), "podman_namespaces"),
            (
                host(json!({"Podman.CreateCommand": ["podman", "run", "--sysctl", "x=1", "web"]})),
                "podman_option",
            ),
            (host(json!({"Podman.CreateCommand": ["podman", "system", "service"]})), "podman_api"),
        ] {
            assert_eq!(codes(&inspect, &podman), [code], "{inspect}");
            // The same words of Docker mean something else, or nothing.
            assert_eq!(codes(&inspect, &around()), [""; 0], "{inspect}");
        }
        let unnamed = Surroundings { has_name: false, ..podman };
        assert_eq!(codes(&host(json!({})), &unnamed), ["unnamed_host"]);
    }

    #[test]
    fn an_ordinary_service_of_podman_is_not_refused() {
        let podman = Surroundings { kind: EngineKind::Podman, ..around() };
        for policy in ["no", "on-failure", "unless-stopped"] {
            let inspect = on_podman(
                json!({"RestartPolicy": {"Name": policy}, "Podman.Pod": "", "NetworkMode": "podman"}),
            );
            assert_eq!(codes(&inspect, &podman), [""; 0]);
        }
    }

    #[test]
    fn a_guest_and_a_borrower_of_volumes_are_not_refused() {
        let inspect = json!({"Id": ID, "HostConfig": {"NetworkMode": "container:x", "VolumesFrom": ["x"]}});
        assert_eq!(codes(&inspect, &around()), [""; 0]);
    }

    #[test]
    fn an_ordinary_service_is_not_refused() {
        let inspect = json!({
            "Id": ID,
            "HostConfig": {"NetworkMode": "shop_default", "PidMode": "", "IpcMode": "private", "Links": null,
                "VolumesFrom": null, "Devices": [{"PathOnHost": "/dev/fuse"}], "AutoRemove": false},
            "NetworkSettings": {"Networks": {
                "shop_default": {"IPAMConfig": {"IPv4Address": "172.18.0.2"}, "IPAddress": "172.18.0.2"},
                "back": {"IPAMConfig": null, "IPAddress": "172.19.0.2"},
            }},
            "Config": {"Labels": {"com.docker.compose.project": "shop", "io.patchyard.env": "prod",
                "io.patchyard.base": "sha256:b", "io.patchyard.check.http": "80"}},
        });
        assert_eq!(codes(&inspect, &around()), [""; 0]);
    }
}
