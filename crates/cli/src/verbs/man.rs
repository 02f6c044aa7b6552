//! The man pages, one for each verb, from the same definition as everything else.

use clap::CommandFactory;
use patchyard_app::Error;

use crate::args::{Cli, Man};
use crate::exit::Exit;

pub fn run(args: &Man) -> Result<Exit, Error> {
    std::fs::create_dir_all(&args.directory)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), &args.directory))
        .map_err(|error| {
            Error::input(format!("cannot write to {}: {error}", args.directory.display()), "")
        })?;
    Ok(Exit::Done)
}
