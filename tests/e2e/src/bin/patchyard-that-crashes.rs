//! `patchyard`, but the process dies where the environment says: for the crash tests.

fn main() -> std::process::ExitCode {
    patchyard_cli::main_around(patchyard_e2e_tests::crash::crashing)
}
