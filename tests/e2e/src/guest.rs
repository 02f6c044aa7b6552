//! A guest: a container that lives in the namespaces of a service.

use serde_json::Value;

use crate::{Engine, Service};

/// A container in the network of a service, made from its image: it goes when the service does.
#[derive(Debug)]
pub struct Guest {
    engine: Engine,
    owner: String,
    name: String,
}

impl Guest {
    /// Moves one in.
    ///
    /// # Panics
    /// When the engine does not let it.
    #[must_use]
    pub fn of(service: &Service) -> Self {
        let guest = Self {
            engine: service.engine().clone(),
            owner: service.name().to_owned(),
            name: format!("{}-guest", service.name()),
        };
        let network = format!("container:{}", guest.owner);
        // It ends at once, and has no healthcheck: the image's asks for a service of its own.
        guest.engine.docker([
            "run",
            "-d",
            "--name",
            &guest.name,
            "--network",
            &network,
            "--restart",
            "always",
            "--stop-signal",
            "SIGKILL",
            "--no-healthcheck",
            "-v",
            "/anonymous",
            service.reference(),
            "sleep",
            "100000",
        ]);
        guest
    }

    /// Its container's name, which is the target's.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the engine says about the container that has its name.
    #[must_use]
    pub fn inspect(&self) -> Value {
        self.engine.inspect("container", &self.name)
    }

    /// The id of the container that has its name.
    #[must_use]
    pub fn id(&self) -> String {
        self.inspect()["Id"].as_str().expect("a container has an id").to_owned()
    }

    /// It runs, in the network of the container that serves as its owner now, and with nothing else changed.
    ///
    /// # Panics
    /// When it does not.
    pub fn lives_with(&self, service: &Service) {
        let inspect = self.inspect();
        let host = &inspect["HostConfig"];
        assert_eq!(host["NetworkMode"], format!("container:{}", service.id()), "{}", self.name);
        assert_eq!(host["RestartPolicy"]["Name"], "always", "{}", self.name);
        assert_eq!(inspect["State"]["Running"], true, "{}", self.name);
        // Sockets of the network that it is in: its owner listens in there.
        let sockets = self.engine.docker(["exec", &self.name, "cat", "/proc/net/tcp", "/proc/net/tcp6"]);
        let listens = |line: &str| line.contains(&format!(":{:04X} ", 8080)) && line.contains(" 0A ");
        assert!(sockets.lines().any(listens), "{} is cut off:\n{sockets}", self.name);
    }
}
