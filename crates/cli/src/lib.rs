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
mod wrap;

use std::process::ExitCode;

use patchyard_app::{Context, Error, Kind};

use exit::Exit;
use json::ErrorDocument;
use ui::{BOLD, RED, Ui, paint};

/// The whole program.
#[must_use]
pub fn main() -> ExitCode {
    main_around(|context| context)
}

/// The whole program, with something put between it and the world: the crash tests do.
#[must_use]
pub fn main_around(wrap: fn(Context) -> Context) -> ExitCode {
    let _ = session::WRAP.set(wrap);
    let cli = match args::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let ui = Ui::new(cli.global.color, cli.global.json, cli.global.yes);
    match verbs::run(cli, ui) {
        Ok(exit) => exit.into(),
        Err(error) => {
            explain(&ui, &error);
            if ui.json {
                ui.document(&ErrorDocument::from(&error));
            }
            exit_of(&error).into()
        }
    }
}

/// Arguments that make no sense, or a call for help, which is none of that.
fn usage(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    if !error.use_stderr() {
        return Exit::Done.into();
    }
    // What could not be read cannot say whether JSON was wanted: the bare word tells.
    if std::env::args_os().any(|argument| argument == "--json") {
        let ui = Ui::new(clap::ColorChoice::Never, true, false);
        let message = error.render().to_string();
        let first = message.lines().next().unwrap_or_default().trim_start_matches("error: ");
        ui.document(&ErrorDocument::usage(first, Some("patchyard --help".to_owned())));
    }
    Exit::Usage.into()
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
