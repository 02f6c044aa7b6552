//! An engine of a test's own, with the lab's images copied into it as they are needed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::yard::ENGINE;

/// A private engine, gone with the value.
pub struct Engine {
    name: String,
    /// Where it answers.
    pub host: String,
    disk: Option<PathBuf>,
}

impl Engine {
    /// One on the machine's own disk.
    pub fn start(name: &str) -> Self {
        Self::start_on(name, None)
    }

    /// One whose disk holds so many MiB; `None`, and a word about it, where mounting is not permitted.
    pub fn start_small(name: &str, mib: u32) -> Option<Self> {
        let disk = std::env::temp_dir().join(format!("patchyard-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&disk).unwrap();
        let size = format!("size={mib}m,mode=0700");
        let mut mount = Command::new("mount");
        let mounted = mount.args(["-t", "tmpfs", "-o", &size, "patchyard-test"]).arg(&disk).output().unwrap();
        if !mounted.status.success() {
            let why = String::from_utf8_lossy(&mounted.stderr);
            eprintln!("SKIPPED: no small disk to test on: {}", why.trim());
            return None;
        }
        Some(Self::start_on(name, Some(disk)))
    }

    fn start_on(name: &str, disk: Option<PathBuf>) -> Self {
        let mut engine = Self { name: format!("{name}-{}", std::process::id()), host: String::new(), disk };
        engine.host = engine.lab("start");
        engine
    }

    /// Copies an image of the machine's engine into it.
    pub fn copy(&self, image: &str) {
        let mut save = Command::new("docker");
        let mut save = save.args(["-H", ENGINE, "save", image]).stdout(Stdio::piped()).spawn().unwrap();
        let mut load = Command::new("docker");
        let loaded =
            load.args(["-H", &self.host, "load"]).stdin(save.stdout.take().unwrap()).output().unwrap();
        assert!(loaded.status.success() && save.wait().unwrap().success(), "{loaded:?}");
    }

    fn lab(&self, verb: &str) -> String {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../lab/engine");
        let mut command = Command::new(script);
        if let Some(disk) = &self.disk {
            command.env("PATCHYARD_LAB_CACHE", disk);
        }
        let output = command.args([verb, "--private", &self.name]).output().unwrap();
        assert!(output.status.success(), "lab/engine {verb}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.lab("stop");
        if let Some(disk) = &self.disk {
            let _ = Command::new("umount").arg("-l").arg(disk).status();
            let _ = std::fs::remove_dir(disk);
        }
    }
}
