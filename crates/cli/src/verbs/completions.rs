//! Completions for a shell, from the same definition as everything else.

use clap::CommandFactory;
use patchyard_app::Error;

use crate::args::{Cli, Completions};
use crate::exit::Exit;
use crate::ui::Ui;

pub fn run(args: &Completions, ui: &Ui) -> Result<Exit, Error> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "patchyard", &mut script);
    ui.result(&String::from_utf8_lossy(&script));
    Ok(Exit::Done)
}
