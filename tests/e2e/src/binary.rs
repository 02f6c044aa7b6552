//! The command under test: the program as the command line has it, built with the tests themselves so
//! that they share their dependencies.

use std::path::PathBuf;

/// The `patchyard` to test: `$PATCHYARD_BIN`, else this package's own.
///
/// # Panics
/// When it was not built, which cargo does for every test of this package.
pub(crate) fn patchyard() -> PathBuf {
    match std::env::var_os("PATCHYARD_BIN") {
        Some(path) => PathBuf::from(path),
        None => own("patchyard-under-test"),
    }
}

/// A program of this package.
///
/// # Panics
/// When it was not built, which cargo does for every test of this package.
pub(crate) fn own(name: &str) -> PathBuf {
    // This very test is at TARGET/PROFILE/deps/NAME, the program at TARGET/PROFILE.
    let own = std::env::current_exe().expect("a test knows where it is");
    let profile = own.ancestors().nth(2).expect("tests lie in TARGET/PROFILE/deps");
    let binary = profile.join(name);
    assert!(binary.exists(), "{} was not built", binary.display());
    binary
}
