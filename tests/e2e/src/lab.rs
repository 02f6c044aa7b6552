//! The lab's scripts: they make everything real that the tests need.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Runs a script of the lab and returns what it printed, without the last line break.
///
/// # Panics
/// When it fails: with its name and its words.
pub fn lab<S: AsRef<OsStr>>(script: &str, args: impl IntoIterator<Item = S>) -> String {
    let mut command = Command::new(root().join("lab").join(script));
    command.args(args);
    printed(&mut command)
}

/// Runs a command to its end and returns what it printed, without the last line break.
pub(crate) fn printed(command: &mut Command) -> String {
    let output = run(command);
    assert!(output.status.success(), "{command:?} failed ({}): {}", output.status, said(&output));
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

/// Runs a command to its end, however that is.
pub(crate) fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// The last thing a command said on stderr.
pub(crate) fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let from = text.char_indices().rev().nth(2000).map_or(0, |(at, _)| at);
    text[from..].trim_end().to_owned()
}
