//! `patchyard`, but on simulated hosts: for the tests of its face.

fn main() -> std::process::ExitCode {
    patchyard_cli::main_around(patchyard_e2e_tests::simulated::simulated)
}
