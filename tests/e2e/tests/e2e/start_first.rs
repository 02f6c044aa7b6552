//! `order: start-first` behind a proxy: three replicas at 200 requests a second, patched, put back, taken back,
//! and not one request without a good answer. The proxy's configuration is the one in docs/examples.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use patchyard_e2e_tests::{Controller, Engine, OwnImage, Poller, free_port, get, lab, unique};
use serde_json::Value;

/// What clients ask of the proxy, a second.
const RATE: u32 = 200;

/// Two cores carry one such load beside other tests. With three of them answers came ever later, until clients gave up: that
/// tells of the machine, and nothing of a swap.
static ONE_LOAD: Mutex<()> = Mutex::new(());

/// Longer than an answer of the engine's DNS is good for by the proxy's configuration, with room for a busy machine.
const WAIT: &str = "wait: 4s";

/// A network with three replicas of a case of the lab, and a proxy in front of them.
struct Shop {
    engine: Engine,
    network: String,
    names: [String; 3],
    /// The proxy's, on this machine.
    port: u16,
    /// Everything made from it goes with it.
    image: OwnImage,
}

impl Shop {
    fn open(case: &str) -> Self {
        let engine = Engine::machine();
        let proxy = lab("proxy", [] as [&str; 0]);
        let (network, image, port) = (unique(), OwnImage::of(&engine, case), free_port());
        let names = [1, 2, 3].map(|number| format!("{network}-shop-{number}"));
        engine.docker(["network", "create", &network]);
        let shop = Self { engine, network, names, port, image };
        for name in &shop.names {
            // By its service's name all of them, as Compose does it; by its own each of them.
            let reference = shop.image.reference();
            let service = ["--label", "io.patchyard.service=shop", "--network-alias", "shop"];
            let mut run =
                vec!["run", "-d", "--restart", "always", "--name", name, "--network", &shop.network];
            run.extend(service);
            run.push(reference);
            assert!(shop.engine.command(run).output().unwrap().status.success());
        }
        shop.start_proxy(&proxy);
        shop
    }

    fn proxy(&self) -> String {
        format!("{}-proxy", self.network)
    }

    /// The configuration of the documents, with the names of these replicas.
    fn start_proxy(&self, image: &str) {
        let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/examples/haproxy.cfg");
        let mut config = std::fs::read_to_string(example).unwrap();
        for (number, name) in self.names.iter().enumerate() {
            let documented = format!(" shop-{}:8080", number + 1);
            assert!(config.contains(&documented), "{config}");
            config = config.replace(&documented, &format!(" {name}:8080"));
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("haproxy.cfg");
        std::fs::write(&path, config).unwrap();
        let (proxy, publish) = (self.proxy(), format!("127.0.0.1:{}:8080", self.port));
        self.engine.docker(["create", "--name", &proxy, "--network", &self.network, "-p", &publish, image]);
        self.engine.docker(["cp", path.to_str().unwrap(), &format!("{proxy}:/etc/haproxy/haproxy.cfg")]);
        self.engine.docker(["start", &proxy]);
        let began = Instant::now();
        while !matches!(get(self.port, "/"), Ok((200, _))) {
            assert!(began.elapsed() < Duration::from_secs(60), "the proxy does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        // Until all three are known to be good.
        std::thread::sleep(Duration::from_secs(2));
    }

    /// What each replica is now: its container, and since when it has been running.
    fn lives(&self) -> Vec<(String, String)> {
        let life = |name: &String| {
            let inspect = self.engine.inspect("container", name);
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            (text(&inspect["Id"]), text(&inspect["State"]["StartedAt"]))
        };
        self.names.iter().map(life).collect()
    }

    /// The version that every replica answers with, asked through the proxy.
    fn versions(&self) -> Vec<String> {
        let mut versions: Vec<String> = (0..9).map(|_| get(self.port, "/").unwrap().1).collect();
        versions.sort();
        versions.dedup();
        versions
    }

    fn controller(&self, drain: &str) -> Controller {
        let defaults = format!(
            "order: start-first, drain: {{ {drain} }}, verify_for: 2s, max_unavailable: 1, timeouts: {{ healthy: 15s }}"
        );
        Controller::new(&self.engine).with_defaults(&defaults)
    }

    /// Runs a command about the three of them under load, and makes sure that nobody noticed.
    fn unnoticed(&self, controller: &Controller, words: &[&str], exit: i32) -> Value {
        let _alone = ONE_LOAD.lock().unwrap_or_else(PoisonError::into_inner);
        let load = Poller::at_rate(self.port, RATE);
        std::thread::sleep(Duration::from_secs(1));
        let (began, names) = (Instant::now(), self.names.iter().map(String::as_str));
        let outcome = controller.run(words.iter().copied().chain(["--yes", "--json"]).chain(names));
        let took = began.elapsed();
        std::thread::sleep(Duration::from_secs(1));
        let log = load.finish();
        let outcome = outcome.expect(exit);
        assert!(
            log.failed.is_empty(),
            "{} of {}: {:#?}",
            log.failed.len(),
            log.requests,
            &log.failed[..log.failed.len().min(5)]
        );
        eprintln!("{words:?}: {} requests in {:.1} s, none failed", log.requests, took.as_secs_f64());
        // A client that is starved proves nothing.
        let asked = u64::try_from(log.requests).unwrap();
        assert!(asked > took.as_secs() * u64::from(RATE) / 2, "{asked} in {took:?}");
        outcome.rollout()
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.engine.try_docker(["rm", "-fv", &self.proxy()]);
        for name in &self.names {
            self.engine.try_docker(["rm", "-fv", name]);
        }
        // Whatever a run has left is on it, too.
        let left = self.engine.try_docker(["ps", "-aq", "--filter", &format!("network={}", self.network)]);
        for container in String::from_utf8_lossy(&left.stdout).split_whitespace() {
            self.engine.try_docker(["rm", "-fv", container]);
        }
        self.engine.try_docker(["network", "rm", &self.network]);
    }
}

fn states(rollout: &Value) -> Vec<&str> {
    rollout["runs"].as_array().unwrap().iter().map(|run| run["state"].as_str().unwrap()).collect()
}

#[test]
fn nobody_notices_that_three_replicas_are_patched_and_put_back() {
    let shop = Shop::open("web-good");
    let controller = shop.controller(WAIT);
    let names = shop.names.iter().map(String::as_str);
    controller.run(["plan"].into_iter().chain(names)).expect(0).says(&["Start-first", "longest gap 0"]);

    let apply = shop.unnoticed(&controller, &["apply"], 0);
    assert_eq!(states(&apply), ["succeeded"; 3], "{apply:#}");
    assert!(apply["runs"].as_array().unwrap().iter().all(|run| run["gap_ms"] == 0), "{apply:#}");
    assert_eq!(shop.versions(), ["lab-web 1.1\n"]);

    let rollback = shop.unnoticed(&controller, &["rollback"], 0);
    assert_eq!(states(&rollback), ["succeeded"; 3], "{rollback:#}");
    assert_eq!(shop.versions(), ["lab-web 1.0\n"]);
}

#[test]
fn nobody_notices_a_bad_version_and_the_old_one_is_not_touched() {
    for case in ["web-http-500", "web-crash-start"] {
        let shop = Shop::open(case);
        let before = shop.lives();
        let apply = shop.unnoticed(&shop.controller(WAIT), &["apply"], 5);
        let states = states(&apply);
        assert!(states.contains(&"rolled_back") && !states.contains(&"succeeded"), "{apply:#}");
        assert_eq!((shop.lives(), shop.versions()), (before, vec!["lab-web 1.0\n".to_owned()]), "{case}");
    }
}

/// The new version is good and bears the name already; then the old one's drain fails, and all of it goes back: the old
/// one forgets by a restart what it was told, while the new one serves.
#[test]
fn nobody_notices_a_way_back_from_behind_the_check() {
    let shop = Shop::open("web-good");
    let apply = shop.unnoticed(&shop.controller(&format!("command: ['false'], {WAIT}")), &["apply"], 5);
    let run = &apply["runs"].as_array().unwrap()[0];
    assert_eq!(run["state"], "rolled_back", "{apply:#}");
    assert!(run["reason"].as_str().unwrap().contains("drain command false"), "{apply:#}");
    assert_eq!(shop.versions(), ["lab-web 1.0\n"]);
}
