//! `patchyard`: arguments in, use cases called, results shown.

mod args;
mod exit;
mod json;
mod progress;
mod session;
mod table;
mod text;
mod ui;
mod verbs;

use std::process::ExitCode;

use clap::Parser;
use patchyard_app::{Error, Kind};

use args::Cli;
use exit::Exit;
use ui::{BOLD, RED, Ui, paint};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let ui = Ui::new(cli.global.color, cli.global.json, cli.global.yes);
    match verbs::run(cli, ui) {
        Ok(exit) => exit.into(),
        Err(error) => {
            explain(&ui, &error);
            exit_of(&error).into()
        }
    }
}

/// The whole chain, and what to do next.
fn explain(ui: &Ui, error: &Error) {
    ui.say(&format!("{} {}", paint(RED, "error:"), text::remark(&error.to_string())));
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        ui.say(&format!("  because: {}", text::remark(&cause.to_string())));
        source = cause.source();
    }
    if let Some(hint) = error.hint() {
        ui.say(&format!("{} {}", paint(BOLD, "Next:"), text::remark(&hint)));
    }
}

/// The exit code of a failure.
const fn exit_of(error: &Error) -> Exit {
    match error.kind() {
        Kind::Input => Exit::Usage,
        Kind::Unreachable => Exit::Unreachable,
        Kind::Refused => Exit::Refused,
        Kind::Internal => Exit::Internal,
    }
}
