//! A virtual machine of the lab's, on a libvirt of its own: nothing leads into it but its guest agent.

use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::lab::{root, run, said};
use crate::{Controller, Engine, Inside, Kept, lab};

/// How often its agent is asked, a second apart: emulated on a busy host, it may take its time.
const TRIES: u32 = 300;

/// Whoever has one at work: one test at a time, however many threads there are. What a processor emulates takes all of
/// another.
static TURN: Mutex<()> = Mutex::new(());

/// A virtual machine that runs; gone, with its libvirt, when this is dropped.
pub struct VirtualMachine {
    name: String,
    uri: String,
    _turn: MutexGuard<'static, ()>,
}

impl VirtualMachine {
    /// Starts one, with the lab's packages held but for these, when no other test has one.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start(packages: &[&str]) -> Self {
        Self::started("start", packages)
    }

    /// Boots one that starts its own kernel by GRUB; a newer one is pending.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn with_its_own_kernel(packages: &[&str]) -> Self {
        Self::started("grub", packages)
    }

    fn started(how: &str, packages: &[&str]) -> Self {
        // A test that failed is no reason for the others to.
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let process = std::process::id().to_string();
        // Before it runs: what is half started has to go as well.
        let mut machine = Self { name: format!("e2e-{process}"), uri: String::new(), _turn: turn };
        machine.uri = lab("machine", [how, &machine.name, &process]);
        machine.hold_all_but(packages);
        machine
    }

    /// Its domain's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Gives its domain a label.
    pub fn label(&self, name: &str, value: &str) {
        let labels = format!("<labels><label name='{name}'>{value}</label></labels>");
        let uri = "https://patchyard.dev/libvirt/1";
        let _ =
            self.virsh(&["metadata", &self.name, uri, "--key", "patchyard", "--current", "--set", &labels]);
    }

    /// A Patchyard that knows its libvirt, and nothing else.
    #[must_use]
    pub fn controller(&self, defaults: &str) -> Controller {
        let config =
            format!("version: 1\nhosts:\n  hv1: {{libvirt: '{}'}}\ndefaults: {{ {defaults} }}\n", self.uri);
        Controller::new(&Engine::machine()).with_config(&config)
    }

    /// What its agent answers, however often it has to be asked.
    fn ask(&self, command: &str, arguments: &Value) -> Value {
        let asked = json!({"execute": command, "arguments": arguments}).to_string();
        for _ in 0..TRIES {
            let answer = run(&mut self.virsh_command(&["qemu-agent-command", &self.name, &asked]));
            if answer.status.success() {
                let answer: Value = serde_json::from_slice(&answer.stdout).expect("JSON");
                return answer["return"].clone();
            }
            eprintln!("{command}: {}", said(&answer));
            std::thread::sleep(Duration::from_secs(1));
        }
        panic!("the agent of {} does not answer", self.name);
    }

    fn virsh_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(root().join("lab/machine"));
        command.args(["virsh", &self.name]).args(arguments);
        command
    }

    /// libvirt's own client, which must succeed: what it printed.
    fn virsh(&self, arguments: &[&str]) -> String {
        let told = run(&mut self.virsh_command(arguments));
        assert!(told.status.success(), "virsh {arguments:?}: {}", said(&told));
        String::from_utf8_lossy(&told.stdout).into_owned()
    }

    /// As it was when it started, with the same packages held but for these.
    pub fn begin_anew(&mut self, packages: &[&str]) {
        lab("machine", ["stop", &self.name]);
        self.uri = lab("machine", ["start", &self.name, &std::process::id().to_string()]);
        self.hold_all_but(packages);
    }

    /// Ends its libvirtd and starts another.
    pub fn restart_its_libvirt(&self) {
        lab("machine", ["restart", &self.name]);
    }

    /// Powers it off, as a cut cable does.
    pub fn power_off(&self) {
        let _ = self.virsh(&["destroy", &self.name]);
    }
}

impl Inside for VirtualMachine {
    fn sh(&self, script: &str) -> String {
        let arguments = json!({"path": "/bin/sh", "arg": ["-ec", script], "capture-output": true});
        let pid = self.ask("guest-exec", &arguments)["pid"].clone();
        for _ in 0..TRIES {
            let status = self.ask("guest-exec-status", &json!({"pid": pid}));
            if status["exited"] == true {
                let printed =
                    STANDARD.decode(status["out-data"].as_str().unwrap_or_default()).expect("base64");
                assert_eq!(status["exitcode"], 0, "{script}: {status:#}");
                return String::from_utf8_lossy(&printed).trim_end().to_owned();
            }
            std::thread::sleep(Duration::from_secs(1));
        }
        panic!("in {} this never ended: {script}", self.name);
    }
}

impl Kept for VirtualMachine {
    fn saved(&self) -> Vec<String> {
        let xml = self.virsh(&["dumpxml", &self.name]);
        let files = xml.split(['\'', '/']).filter_map(|part| part.strip_suffix("-vda.qcow2"));
        files.filter(|name| name.starts_with("patchyard-")).map(str::to_owned).collect()
    }
}

impl Drop for VirtualMachine {
    fn drop(&mut self) {
        let stopped = Command::new(root().join("lab/machine")).args(["stop", &self.name]).status();
        assert!(std::thread::panicking() || stopped.is_ok_and(|status| status.success()), "lab/machine stop");
    }
}
