//! `patchyard`: the program is the library beside this file.

fn main() -> std::process::ExitCode {
    patchyard_cli::main()
}
