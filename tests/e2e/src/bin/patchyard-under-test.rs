//! `patchyard`, as the command line has it.

fn main() -> std::process::ExitCode {
    patchyard_cli::main()
}
