//! Machines of the lab's (`lab/machine`): a libvirtd of their own, and a guest in it.

use std::borrow::Borrow;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use patchyard_contract::suite::{keeper, transport};
use patchyard_contract::{Command as Program, Keeper, Transport};
use patchyard_libvirt::calls::XmlFlags;
use patchyard_libvirt::connection::Line;
use patchyard_libvirt::{
    Agent, AgentTransport, Connection, Description, Domain, DomainKeeper, Environment, Uri,
};

/// Whoever has a machine at work: one test at a time, however many threads there are. What a processor emulates
/// takes all of another.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    // A test that failed is no reason for the others to.
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A machine that runs, with its agent. It is gone when this is dropped, and its libvirtd, too; at the latest with
/// this process.
pub struct Machine {
    pub name: String,
    uri: String,
}

/// A machine, for the time of a test.
pub struct Taken<M> {
    machine: M,
    _turn: MutexGuard<'static, ()>,
}

impl<M: Borrow<Machine>> Deref for Taken<M> {
    type Target = Machine;

    fn deref(&self) -> &Machine {
        self.machine.borrow()
    }
}

impl Machine {
    /// One of the test's own.
    pub fn own(what: &str) -> Taken<Self> {
        let turn = turn();
        Taken { machine: Self::start(what), _turn: turn }
    }

    /// The one of all tests that leave it as it was.
    pub fn shared() -> Taken<&'static Self> {
        static SHARED: OnceLock<Machine> = OnceLock::new();
        let turn = turn();
        Taken { machine: SHARED.get_or_init(|| Self::start("shared")), _turn: turn }
    }

    fn start(what: &str) -> Self {
        let process = std::process::id().to_string();
        // Before it runs: what is half started has to go as well.
        let mut machine = Self { name: format!("{what}-{process}"), uri: String::new() };
        machine.uri = machine.lab("start", &[&process]);
        machine
    }

    /// libvirt's own client, which must succeed: what it printed.
    pub fn virsh(&self, arguments: &[&str]) -> String {
        self.lab("virsh", arguments)
    }

    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// Another daemon in place of the one that has the machine, which goes on.
    pub fn restart_daemon(&self) {
        self.lab("restart", &[]);
    }

    pub async fn open(&self) -> Arc<Connection> {
        self.line().connection().await.unwrap()
    }

    pub fn line(&self) -> Line {
        Line::new(Uri::parse(&self.uri).unwrap(), Environment::default())
    }

    pub async fn opened(&self) -> Opened {
        let line = self.line();
        let connection = line.connection().await.unwrap();
        let domain = connection.domain_by_name(&self.name).await.unwrap();
        let agent = Agent::new(line, domain.clone());
        let transport = AgentTransport::new(agent.clone(), &self.name);
        let keeper = DomainKeeper::new(self.line(), domain.uuid);
        Opened { connection, domain, agent, transport, keeper }
    }

    fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../lab/machine"));
        command.args([verb, &self.name]);
        command
    }

    fn lab(&self, verb: &str, arguments: &[&str]) -> String {
        let output = self.command(verb).args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "lab/machine {verb} {arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let stopped = self.command("stop").status();
        assert!(std::thread::panicking() || stopped.is_ok_and(|status| status.success()), "lab/machine stop");
    }
}

/// A machine, seen through a connection.
pub struct Opened {
    pub connection: Arc<Connection>,
    pub domain: Domain,
    pub agent: Agent,
    pub transport: AgentTransport,
    pub keeper: DomainKeeper,
}

impl Opened {
    pub async fn description(&self) -> Description {
        let xml = self.connection.xml(&self.domain, XmlFlags::NONE).await.unwrap();
        Description::read(&xml).unwrap()
    }

    /// Runs a shell script in it, which must succeed: what it printed.
    pub async fn sh(&self, script: &str) -> String {
        let output = self.transport.run(Program::new(["sh", "-ec", script])).await.unwrap();
        assert!(output.success(), "{script}: {}", String::from_utf8_lossy(&output.said()));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// The folder of its disks, on the host.
    pub async fn folder(&self) -> PathBuf {
        let disk = self.description().await.disks.remove(0);
        let patchyard_libvirt::domain::Source::File(file) = disk.image.source else { panic!("{disk:?}") };
        Path::new(&file).parent().unwrap().to_owned()
    }
}

/// The shared machine, as the suite of transports takes it.
pub struct Shared(Taken<&'static Machine>);

impl Shared {
    pub fn new() -> Self {
        Self(Machine::shared())
    }
}

fn now<T>(future: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(future))
}

impl transport::Fixture for Shared {
    fn open(&self) -> Arc<dyn Transport> {
        Arc::new(now(self.0.opened()).transport)
    }
}

impl keeper::Fixture for Taken<Machine> {
    fn keeper(&self) -> Arc<dyn Keeper> {
        Arc::new(now(self.opened()).keeper)
    }

    fn inside(&self) -> Arc<dyn Transport> {
        Arc::new(now(self.opened()).transport)
    }
}
