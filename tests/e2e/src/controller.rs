//! One Patchyard installation: its state, its configuration, its environment, and what it said.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::terminal::Terminal;
use crate::{Engine, Events, Service, binary, simulated};

/// Nothing here takes that long, not even on a busy machine: a command that does, hangs.
const HANGS: Duration = Duration::from_secs(600);

/// The user without rights.
const NOBODY: u32 = 65534;

/// A Patchyard of one test's own.
pub struct Controller {
    dir: tempfile::TempDir,
    binary: PathBuf,
    nobody: bool,
    state: PathBuf,
    environment: Vec<(String, OsString)>,
}

impl Controller {
    /// One for an engine, with an empty state and no configuration.
    #[must_use]
    pub fn new(engine: &Engine) -> Self {
        let dir = tempfile::tempdir().expect("room for a state directory");
        let environment = vec![("DOCKER_HOST".to_owned(), engine.host().into())];
        let state = dir.path().join("state");
        Self { dir, binary: binary::patchyard(), nobody: false, state, environment }
    }

    /// One for a simulated fleet, `ordinary`, `hostile` or `small`; needs no engine.
    #[must_use]
    pub fn simulated(fleet: &str) -> Self {
        let dir = tempfile::tempdir().expect("room for a state directory");
        let environment = vec![(simulated::FLEET.to_owned(), fleet.into())];
        let state = dir.path().join("state");
        Self { dir, binary: binary::own("patchyard-simulated"), nobody: false, state, environment }
    }

    /// Another program in place of the command under test.
    #[must_use]
    pub fn with_binary(mut self, binary: impl Into<PathBuf>) -> Self {
        self.binary = binary.into();
        self
    }

    /// A variable in its environment, which is otherwise empty but for the engine's address.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// Runs it as `nobody`, who owns the directory it is in and nothing else.
    #[must_use]
    pub fn as_nobody(mut self) -> Self {
        let copy = self.dir.path().join("patchyard");
        std::fs::copy(&self.binary, &copy).expect("room for a copy");
        std::os::unix::fs::chown(self.dir.path(), Some(NOBODY), Some(NOBODY)).expect("root runs these tests");
        self.binary = copy;
        self.nobody = true;
        self
    }

    /// Its configuration's `defaults:`, written in YAML's flow style: `verify_for: 2s, max_layer: 16MiB`.
    #[must_use]
    pub fn with_defaults(self, defaults: &str) -> Self {
        self.with_config(&format!("version: 1\ndefaults: {{ {defaults} }}\n"))
    }

    /// Its whole configuration.
    #[must_use]
    pub fn with_config(self, yaml: &str) -> Self {
        std::fs::write(self.config(), yaml).expect("the configuration can be written");
        self
    }

    /// Where its configuration is, if it has one.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.dir.path().join("patchyard.yaml")
    }

    /// Its state directory.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.state.clone()
    }

    /// The state directory is this one instead.
    #[must_use]
    pub fn with_state(mut self, state: &Path) -> Self {
        self.state = state.to_owned();
        self
    }

    /// Its event log.
    #[must_use]
    pub fn events(&self) -> Events {
        Events::open(&self.state())
    }

    /// The command, ready to be started.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = if self.nobody {
            let mut command = Command::new("setpriv");
            command.args([
                format!("--reuid={NOBODY}"),
                format!("--regid={NOBODY}"),
                "--clear-groups".to_owned(),
            ]);
            command.arg(&self.binary);
            command
        } else {
            Command::new(&self.binary)
        };
        command.args(args).env_clear().current_dir(self.dir.path()).stdin(Stdio::null());
        let path = std::env::var_os("PATH").unwrap_or_default();
        command.env("PATH", path).env("HOME", self.dir.path()).env("PATCHYARD_STATE", &self.state);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs it to its end.
    pub fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Outcome {
        Running::start(self.command(args)).finish()
    }

    /// What it finds: the document of `discover`.
    ///
    /// # Panics
    /// When it fails.
    #[must_use]
    pub fn discovered(&self) -> Value {
        self.run(["discover", "--json"]).expect(0).json("patchyard.discover/v1")
    }

    /// Starts it.
    pub fn start<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Running {
        Running::start(self.command(args))
    }

    /// Runs it to its end with its results on a terminal so many columns wide; messages go elsewhere.
    pub fn run_on_terminal<S: AsRef<OsStr>>(
        &self,
        columns: u16,
        args: impl IntoIterator<Item = S>,
    ) -> Outcome {
        Running::start_on_terminal(self.command(args), columns).finish()
    }

    /// Plans for services and returns the plan's digest.
    ///
    /// # Panics
    /// When there is nothing to plan.
    pub fn plan(&self, services: &[&Service]) -> String {
        let names = services.iter().map(|service| service.name());
        let plan = self.run(["plan", "--json"].into_iter().chain(names)).expect(0).json("patchyard.plan/v1");
        assert!(!plan["actions"].as_array().unwrap().is_empty(), "an empty plan: {plan:#}");
        plan["digest"].as_str().expect("a plan has a digest").to_owned()
    }

    /// What is in quarantine, as `quarantine --json` lists it.
    pub fn quarantine(&self) -> Vec<Value> {
        let list = self.run(["quarantine", "--json"]).expect(0).json("patchyard.quarantine/v1");
        list["entries"].as_array().expect("a list of entries").clone()
    }
}

/// A command at work.
pub struct Running {
    child: Child,
    stdout: File,
    stderr: File,
    peak: u64,
    command: String,
    copier: Option<JoinHandle<()>>,
}

impl Running {
    /// Starts a command. What it says goes into files: a pipe that nobody reads would hold it up.
    pub fn start(mut command: Command) -> Self {
        let (stdout, stderr) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        command.stdout(stdout.try_clone().unwrap()).stderr(stderr.try_clone().unwrap());
        Self::spawn(command, (stdout, stderr), None)
    }

    /// Starts a command whose results go to a terminal so many columns wide.
    pub fn start_on_terminal(mut command: Command, columns: u16) -> Self {
        let (screen, stderr) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let Terminal { side, copier } = Terminal::open(columns, screen.try_clone().unwrap());
        command.stdout(side).stderr(stderr.try_clone().unwrap());
        Self::spawn(command, (screen, stderr), Some(copier))
    }

    /// Starts a command whose results and messages go to one terminal, as when a person calls it.
    pub fn start_on_one_terminal(mut command: Command, columns: u16) -> Self {
        let screen = tempfile::tempfile().unwrap();
        let Terminal { side, copier } = Terminal::open(columns, screen.try_clone().unwrap());
        command.stdout(side.try_clone().unwrap()).stderr(side);
        Self::spawn(command, (screen, tempfile::tempfile().unwrap()), Some(copier))
    }

    /// Whoever copies from a terminal ends when the command, which holds the other side, is gone.
    fn spawn(mut command: Command, said: (File, File), copier: Option<JoinHandle<()>>) -> Self {
        let (stdout, stderr) = said;
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let args: Vec<_> = command.get_args().map(|arg| arg.to_string_lossy().into_owned()).collect();
        Self { child, stdout, stderr, peak: 0, command: args.join(" "), copier }
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("it is still there");
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.look().is_some()
    }

    /// Waits until something is so.
    ///
    /// # Panics
    /// When the command ends before it is, or it never is.
    pub fn wait_until(&mut self, what: &str, mut is_so: impl FnMut() -> bool) {
        let began = Instant::now();
        while !is_so() {
            let ended = self.look();
            if ended.is_some() || began.elapsed() > HANGS {
                panic!("not {what}: {}", self.words(ended));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until it ends.
    ///
    /// # Panics
    /// When it hangs.
    pub fn finish(mut self) -> Outcome {
        let began = Instant::now();
        let status = loop {
            if let Some(status) = self.look() {
                break status;
            }
            if began.elapsed() > HANGS {
                let _ = self.child.kill();
                panic!("it hangs: {}", self.words(None));
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        if let Some(copier) = self.copier.take() {
            copier.join().expect("the screen was copied");
        }
        let (stdout, stderr) = (text(&mut self.stdout), text(&mut self.stderr));
        Outcome { command: std::mem::take(&mut self.command), status, stdout, stderr, peak: self.peak }
    }

    /// Whether it has ended; while it has not, the kernel tells the most memory it ever had.
    fn look(&mut self) -> Option<ExitStatus> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib: u64 = peak.and_then(|peak| peak.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0);
        self.peak = self.peak.max(kib * 1024);
        self.child.try_wait().expect("a child can be waited for")
    }

    fn words(&mut self, status: Option<ExitStatus>) -> String {
        let (stdout, stderr) = (text(&mut self.stdout), text(&mut self.stderr));
        format!("'patchyard {}' ({status:?})\n{stdout}\n{stderr}", self.command)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn text(file: &mut File) -> String {
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// How a command ended and what it said.
#[derive(Debug)]
pub struct Outcome {
    command: String,
    status: ExitStatus,
    /// Results.
    pub stdout: String,
    /// Messages.
    pub stderr: String,
    /// The most memory it had at a time, in bytes.
    pub peak: u64,
}

impl Outcome {
    /// The exit code; `None` when a signal ended it.
    #[must_use]
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// The same, after making sure of the exit code.
    ///
    /// # Panics
    /// When it is another one.
    #[allow(clippy::must_use_candidate, reason = "mostly the code is all there is to know")]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code(), Some(code), "{self}");
        self
    }

    /// The only or last JSON document it printed, of the schema that was expected.
    ///
    /// # Panics
    /// When there is none, or it is of another schema.
    #[must_use]
    pub fn json(&self, schema: &str) -> Value {
        let documents = serde_json::Deserializer::from_str(&self.stdout).into_iter::<Value>();
        let last = documents.last().unwrap_or_else(|| panic!("no JSON: {self}"));
        let last = last.unwrap_or_else(|error| panic!("not JSON ({error}): {self}"));
        assert_eq!(last["schema"], schema, "{self}");
        last
    }

    /// The rollout it reports at its end.
    #[must_use]
    pub fn rollout(&self) -> Value {
        self.json("patchyard.rollout/v1")
    }

    /// The run of one service in the rollout it reports.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn run_of(&self, service: &Service) -> Value {
        let rollout = self.rollout();
        let name = service.name();
        let is_it = |run: &&Value| run["target"].as_str().and_then(|id| id.rsplit('/').next()) == Some(name);
        let runs = rollout["runs"].as_array().expect("a rollout has runs");
        runs.iter().find(is_it).unwrap_or_else(|| panic!("no run of {name}: {self}")).clone()
    }

    /// Makes sure that a message says each of these.
    ///
    /// # Panics
    /// When one is missing.
    pub fn says(&self, words: &[&str]) {
        for word in words {
            assert!(self.stderr.contains(word) || self.stdout.contains(word), "'{word}' is not said: {self}");
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = String::new();
        write!(text, "patchyard {} ({})", self.command, self.status)?;
        for (name, said) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !said.is_empty() {
                write!(text, "\n--- {name}\n{}", said.trim_end())?;
            }
        }
        f.write_str(&text)
    }
}
