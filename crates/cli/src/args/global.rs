//! Options that go with every verb.

use std::path::PathBuf;

use clap::{Args, ColorChoice};

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every verb")]
pub struct Global {
    /// Configuration file [default: the first of ./patchyard.yaml,
    /// $XDG_CONFIG_HOME/patchyard/patchyard.yaml, /etc/patchyard/patchyard.yaml]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// State directory [default: $PATCHYARD_STATE, else /var/lib/patchyard as root, else
    /// $XDG_STATE_HOME/patchyard]
    // The variable is read beside clap, which would show what it sets in the usage of every verb.
    #[arg(long, global = true, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Only these hosts of the configuration, a Docker context, or an engine's address; repeatable
    #[arg(long, global = true, value_name = "HOST")]
    pub host: Vec<String>,
    /// Print one JSON document instead of text
    #[arg(long, global = true)]
    pub json: bool,
    /// Colours: auto, always or never
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", hide_possible_values = true)]
    pub color: ColorChoice,
    /// Answer every question with yes
    #[arg(short, long, global = true)]
    pub yes: bool,
}
