//! Podman behind its own socket: everything that only reads works as on Docker.

use patchyard_contract::{Ask, Provider};
use patchyard_provider_docker::client::{EngineKind, Environment, resolve};
use patchyard_types::TargetState;

use crate::support::{Yard, lab, lab_command, unique, yard_on};

const IMAGE: &str = "patchyard-lab/web-good:1";

/// A Podman of this test's own; gone, with all that is on it, with the guard.
struct Podman {
    name: String,
    host: String,
}

impl Podman {
    fn start() -> Self {
        let name = unique("podman");
        let host = lab("podman", &["start", "--name", &name]);
        Self { name, host }
    }

    async fn yard(&self) -> Yard {
        let endpoint = resolve(Some(&self.host), &Environment::of_process()).unwrap();
        yard_on(endpoint, Some("podman-here")).await
    }

    fn podman(&self, argv: &[&str]) -> String {
        lab("podman", &[&["run", "--name", &self.name], argv].concat())
    }

    /// Of the image, which is the machine's own distribution.
    fn os_id(&self) -> String {
        let release = self.podman(&["exec", "web", "cat", "/etc/os-release"]);
        let id = release.lines().find_map(|line| line.strip_prefix("ID="));
        id.unwrap_or_default().trim_matches('"').to_owned()
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        drop(lab_command("podman").args(["stop", "--name", &self.name]).output());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_of_podman_are_found_read_and_asked() {
    let podman = Podman::start();
    lab("podman", &["load", "--name", &podman.name, IMAGE]);
    podman.podman(&["run", "-d", "--network", "none", "--name", "web", "-v", "data:/data", IMAGE]);
    let yard = podman.yard().await;
    assert_eq!(yard.docker.client().kind(), EngineKind::Podman);

    let targets = yard.docker.discover().await.unwrap();
    let [web] = targets.as_slice() else { panic!("{targets:#?}") };
    assert_eq!((web.name.as_str(), web.state), ("web", TargetState::Running));
    // Podman makes up an id at every question: the configured name stands for it.
    assert_eq!(web.id.as_str(), "docker:podman-here/web");
    assert_eq!(web.mounts[0].source, "data");
    assert!(web.os.as_ref().is_some_and(|os| os.id == podman.os_id()), "{:?}", web.os);
    assert!(web.refusals.is_empty(), "{:?}", web.refusals);

    let inventory = yard.docker.inventory(web).await.unwrap();
    let installed = podman.podman(&["exec", "web", "dpkg-query", "-W", "-f", "${Package}\\n"]);
    assert_eq!(inventory.packages.len(), installed.lines().count());
    let pending = yard.docker.pending(web, &inventory, &Ask::default()).await.unwrap();
    let pending: Vec<_> = pending.iter().map(|p| (p.package.as_str(), p.candidate.as_str())).collect();
    assert_eq!(pending, [("lab-web", "1.1")]);
    assert_eq!(yard.left_helpers().await, [""; 0]);
    assert_eq!(podman.podman(&["ps", "--all", "--format", "{{.Names}}"]), "web", "nothing else is left");
}
