//! A service to patch: a container of the lab with an image, a port and volumes of its own.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{Engine, Fingerprint, get_from, unique};

/// How a service is started, where that matters.
#[derive(Debug, Default, Clone)]
pub struct ServiceOptions<'a> {
    /// More arguments of `docker run`.
    pub run: &'a [&'a str],
    /// The image as it is, in place of one of this service's own.
    pub as_it_is: bool,
    /// Shares the image of another service.
    pub image_of: Option<&'a Service>,
    /// Without a port on the host and without volumes, so that two of it can run beside each other.
    pub two_can_run: bool,
}

/// A running service; it and everything made from it goes when this is dropped.
#[derive(Debug)]
pub struct Service {
    engine: Engine,
    name: String,
    reference: String,
    /// On this machine; `None` where it is asked on its own address.
    port: Option<u16>,
}

/// Carried by the image, and so by everything that is ever made from it.
const LABEL: &str = "patchyard-lab.e2e";

impl Service {
    /// Starts `patchyard-lab/CASE:1`, and waits until it answers.
    #[must_use]
    pub fn start(engine: &Engine, case: &str) -> Self {
        Self::start_with(engine, case, &ServiceOptions::default())
    }

    /// The same with options; a CASE with a slash is a whole image reference.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start_with(engine: &Engine, case: &str, options: &ServiceOptions<'_>) -> Self {
        let word = case.rsplit('/').next().unwrap_or(case).split(':').next().unwrap_or(case);
        let name = format!("{}-{word}", unique());
        let image = if case.contains('/') { case.to_owned() } else { format!("patchyard-lab/{case}:1") };
        let reference = match options.image_of {
            Some(other) => other.reference.clone(),
            None if options.as_it_is => image,
            None => own_image(engine, &image, &name),
        };
        let port = (!options.two_can_run).then(free_port);
        let service = Self { engine: engine.clone(), reference, port, name };
        service.run(options);
        service
    }

    fn run(&self, options: &ServiceOptions<'_>) {
        let label = format!("{LABEL}={}", self.name);
        let mut args = vec!["run", "-d", "--name", &self.name, "--label", &label];
        let publish = self.port.map(|port| format!("127.0.0.1:{port}:8080"));
        let volume = format!("{}:/data", self.volume());
        if let Some(publish) = &publish {
            args.extend(["-p", publish, "-v", &volume, "-v", "/anonymous"]);
        }
        args.extend(["-e", "GREETING=grüß 'di\"ch", "--label", "lab.empty="]);
        args.extend(options.run);
        args.push(&self.reference);
        crate::lab::printed(&mut self.engine.command(args));
        self.wait_until_it_answers();
        if publish.is_some() {
            for (place, words) in [("/data", "named"), ("/anonymous", "anonymous")] {
                self.put(place, "precious", words);
            }
        }
    }

    /// The container's name, which is the target's.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The reference it was created with.
    #[must_use]
    pub fn reference(&self) -> &str {
        &self.reference
    }

    /// The engine it runs on.
    #[must_use]
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The port it answers on, on this machine.
    ///
    /// # Panics
    /// When it publishes none.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port.expect("it publishes a port")
    }

    /// Where it answers: on this machine, or at the address of the container that has its name now.
    fn address(&self) -> Result<SocketAddr, String> {
        if let Some(port) = self.port {
            return Ok(([127, 0, 0, 1], port).into());
        }
        let networks = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        let output = self.engine.try_docker(["inspect", "--format", networks, &self.name]);
        let ip = String::from_utf8_lossy(&output.stdout).trim().parse::<IpAddr>();
        ip.map(|ip| (ip, 8080).into()).map_err(|_| "it has no address".to_owned())
    }

    /// The name of its volume.
    #[must_use]
    pub fn volume(&self) -> String {
        format!("{}-data", self.name)
    }

    /// The names of the volumes that hold copies of its own.
    #[must_use]
    pub fn copies(&self) -> Vec<String> {
        let format = "{{.Name}} {{.Label \"io.patchyard.target\"}}";
        let role = "label=io.patchyard.role=save";
        let listed = self.engine.list(["volume", "ls", "--filter", role, "--format", format]);
        let name = |line: &String| line.split_once(' ').map(|(name, of)| (name.to_owned(), of.to_owned()));
        let of_it = |(_, of): &(String, String)| of.rsplit('/').next() == Some(&self.name);
        listed.iter().filter_map(name).filter(of_it).map(|(name, _)| name).collect()
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

    /// Everything about it that a patch must leave alone.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self)
    }

    /// Everything on the engine that is its own or was made from it: containers and tags.
    #[must_use]
    pub fn objects(&self) -> Vec<String> {
        self.engine.labelled(&format!("{LABEL}={}", self.name))
    }

    /// What it answers to `/`.
    ///
    /// # Errors
    /// Why it does not.
    pub fn answer(&self) -> Result<String, String> {
        match get_from(self.address()?, "/")? {
            (200, body) => Ok(body),
            (status, body) => Err(format!("{status}: {body}")),
        }
    }

    /// Waits until it answers.
    ///
    /// # Panics
    /// When it never does.
    pub fn wait_until_it_answers(&self) {
        let began = Instant::now();
        while let Err(error) = self.answer() {
            let logs = || {
                String::from_utf8_lossy(&self.engine.try_docker(["logs", "--tail", "5", &self.name]).stderr)
                    .into_owned()
            };
            assert!(
                began.elapsed() < Duration::from_secs(90),
                "{} does not answer: {error}; {}",
                self.name,
                logs()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Writes a file into it, through the engine: there may be no shell.
    ///
    /// # Panics
    /// When the engine does not take it.
    pub fn put(&self, dir: &str, file: &str, words: &str) {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join(file);
        std::fs::write(&path, words).unwrap();
        self.engine.docker(["cp", path.to_str().unwrap(), &format!("{}:{dir}/{file}", self.name)]);
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let clean = || {
            self.engine.try_docker(["rm", "-fv", &self.name]);
            self.engine.remove_labelled(&format!("{LABEL}={}", self.name));
            self.engine.try_docker(["volume", "rm", "-f", &self.volume()]);
            for copy in self.copies() {
                self.engine.try_docker(["volume", "rm", "-f", &copy]);
            }
        };
        if std::thread::panicking() {
            // What a failed test leaves must not hide why it failed.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(clean));
        } else {
            clean();
        }
    }
}

/// The same image under a name and an id of the service's own: nobody else builds on it, tags it or
/// finds what was built on it.
/// An image of one test's own for containers that the test does not start itself; it and everything made from it
/// goes when this is dropped.
#[derive(Debug)]
pub struct OwnImage {
    engine: Engine,
    name: String,
    reference: String,
}

impl OwnImage {
    /// A copy of `patchyard-lab/CASE:1`.
    #[must_use]
    pub fn of(engine: &Engine, case: &str) -> Self {
        let name = format!("{}-{case}", unique());
        let reference = own_image(engine, &format!("patchyard-lab/{case}:1"), &name);
        Self { engine: engine.clone(), name, reference }
    }

    /// `patchyard-lab/CASE:1` after a shell script has run in it.
    #[must_use]
    pub fn changed_by(engine: &Engine, case: &str, script: &str) -> Self {
        let name = format!("{}-{case}", unique());
        let (container, label) = (format!("{name}-image"), format!("{LABEL}={name}"));
        // Responsible for the container, too, should the script fail.
        let own = Self { engine: engine.clone(), reference: format!("{name}:1"), name };
        let image = format!("patchyard-lab/{case}:1");
        let run = ["run", "--network", "none", "--label", &label, "--name", &container, &image];
        crate::lab::printed(&mut engine.command(run.into_iter().chain(["sh", "-ec", script])));
        let (label, command) = (format!("LABEL {label}"), "CMD [\"sleep\", \"infinity\"]");
        engine.docker(["commit", "--change", &label, "--change", command, &container, &own.reference]);
        engine.docker(["rm", "-v", &container]);
        own
    }

    /// Starts a container of it by these arguments of `docker run`; its name, which ends in `word`.
    pub fn start(&self, word: &str, arguments: &[&str]) -> String {
        let name = format!("{}-{word}", self.name);
        let run = ["run", "-d", "--init", "--name", &name].into_iter().chain(arguments.iter().copied());
        crate::lab::printed(&mut self.engine.command(run.chain([&*self.reference])));
        name
    }

    /// Its tag.
    #[must_use]
    pub fn reference(&self) -> &str {
        &self.reference
    }
}

impl Drop for OwnImage {
    fn drop(&mut self) {
        self.engine.remove_labelled(&format!("{LABEL}={}", self.name));
    }
}

fn own_image(engine: &Engine, image: &str, name: &str) -> String {
    let reference = format!("{name}:1");
    let container = format!("{name}-image");
    // An image without a command of its own needs one to be created from; it is never started.
    engine.docker(["create", "--name", &container, image]);
    engine.docker(["commit", "--change", &format!("LABEL {LABEL}={name}"), &container, &reference]);
    engine.docker(["rm", "-v", &container]);
    reference
}

/// A port below the range of outgoing connections, so that no client's own port is in the way while
/// the service is down.
#[must_use]
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let from = 15_000 + u16::try_from(std::process::id() % 150).unwrap() * 100;
    loop {
        let port = from + NEXT.fetch_add(1, Ordering::Relaxed) % 100;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
