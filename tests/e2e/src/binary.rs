//! The command under test: built once from this workspace, in the profile of the tests themselves.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use crate::lab::{root, run, said};

/// The `patchyard` to test: `$PATCHYARD_BIN`, else this workspace's own.
///
/// # Panics
/// When it cannot be built.
pub(crate) fn patchyard() -> PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| std::env::var_os("PATCHYARD_BIN").map_or_else(build, PathBuf::from)).clone()
}

fn build() -> PathBuf {
    // This very test is at TARGET/PROFILE/deps/NAME.
    let own = std::env::current_exe().expect("a test knows where it is");
    let profile = own.ancestors().nth(2).expect("tests lie in TARGET/PROFILE/deps");
    let target = profile.parent().expect("tests lie in TARGET/PROFILE/deps");
    let name = profile.file_name().and_then(|name| name.to_str()).expect("a profile's name is text");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root()).args(["build", "--quiet", "--package", "patchyard", "--bin", "patchyard"]);
    command.arg("--profile").arg(if name == "debug" { "dev" } else { name }).arg("--target-dir").arg(target);
    let output = run(&mut command);
    assert!(output.status.success(), "patchyard cannot be built:\n{}", said(&output));
    profile.join("patchyard")
}
