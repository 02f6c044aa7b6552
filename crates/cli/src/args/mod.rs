//! The command line's definition: help, man pages and completions all come from here.

mod global;
mod select;
mod shape;
mod verbs;

use std::ffi::OsString;

use clap::{ColorChoice, CommandFactory, FromArgMatches, Parser, Subcommand};
use patchyard_types::printable;

pub use global::Global;
pub use select::{Freshness, Patches, Targets};
pub use shape::Shape;
pub use verbs::{
    Apply, Audit, AuditVerb, Completions, Config, ConfigVerb, Discover, Drive, Gc, History, Log, Man, Plan,
    Quarantine, QuarantineVerb, Resolve, Resume, Rollback, RolloutArg, Scan, Snapshots, SnapshotsVerb, Stop,
    Why,
};

/// Deploys patches to containers without breaking them.
#[derive(Debug, Parser)]
#[command(
    name = "patchyard",
    version,
    about = "Deploys patches to containers without breaking them",
    long_about = "Deploys patches to containers without breaking them: behind a way back, one target of a \
service at a time, and taken back by itself when a check fails.\n\n\
Without a verb: an overview of what there is and what is unpatched. Nothing is changed.",
    after_help = AFTER_HELP,
    disable_help_subcommand = true,
    max_term_width = 100
)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(flatten)]
    pub overview: Overview,
    #[command(subcommand)]
    pub verb: Option<Verb>,
}

const AFTER_HELP: &str = "\
Exit codes:
  0 done or nothing to do       4 refused (lock, quarantine, approval)
  1 internal error              5 something was rolled back or failed
  2 usage or bad input          6 needs attention
  3 cannot reach                7 paused or aborted";

/// What narrows the overview; these belong behind a verb once there is one.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Options of the overview")]
pub struct Overview {
    #[command(flatten)]
    pub select: select::Filter,
    #[command(flatten)]
    pub freshness: Freshness,
}

impl Overview {
    /// Whether any of it was given.
    pub fn is_given(&self) -> bool {
        let Self { select, freshness } = self;
        !select.selector.is_empty() || !select.exclude.is_empty() || freshness.is_given()
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List the targets there are
    Discover(Discover),
    /// Find out what is unpatched
    Scan(Scan),
    /// Explain what is pending on a target and why it is or is not patched
    Why(Why),
    /// Decide what would be done, and store it
    Plan(Plan),
    /// Carry out a plan, or plan for targets and carry that out
    Apply(Apply),
    /// Show rollouts that are under way, or one of them
    Status(RolloutArg),
    /// Show what happened in a run, to a target, or in a rollout
    Log(Log),
    /// Finish what is in the middle, start nothing, wait
    Pause(Stop),
    /// Go on with what was paused or interrupted
    Resume(Resume),
    /// Finish or take back what is running, start nothing, end
    Abort(Stop),
    /// Put back what a rollout changed, or a target's last snapshot
    Rollback(Rollback),
    /// Decide about a run that needs attention
    Resolve(Resolve),
    /// Show past rollouts
    History(History),
    /// Show or prune snapshots
    Snapshots(Snapshots),
    /// Show or release what failed before and is kept out of plans
    Quarantine(Quarantine),
    /// Remove what nothing needs any more: leftovers, old packages, old plans
    Gc(Gc),
    /// Check the log of everything that was done
    Audit(Audit),
    /// Check, explain or describe the configuration
    Config(Config),
    /// Look for whatever would be in the way
    Doctor,
    /// Print completions for a shell
    Completions(Completions),
    /// Drive a rollout in the background
    #[command(hide = true)]
    Drive(Drive),
    /// Write the man pages into a directory
    #[command(hide = true)]
    Man(Man),
}

/// Reads the arguments.
///
/// # Errors
/// When they make no sense; a call for help is told as an error, too.
pub fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let arguments: Vec<OsString> = arguments.collect();
    read(arguments.clone()).map_err(|error| {
        // The message quotes what is wrong; a name that a script took from a target may be anything.
        let printable = arguments.iter().map(|argument| printable(&argument.to_string_lossy(), 1000).into());
        read(printable.collect()).err().unwrap_or(error)
    })
}

fn read(arguments: Vec<OsString>) -> Result<Cli, clap::Error> {
    let mut command = Cli::command().color(color_of(&arguments));
    let matches = command.try_get_matches_from_mut(arguments)?;
    let mut cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
    let set = || std::env::var_os("PATCHYARD_STATE").filter(|dir| !dir.is_empty());
    cli.global.state = cli.global.state.or_else(|| set().map(Into::into));
    Ok(cli)
}

/// Help and usage errors are coloured as it was asked for, although they come before it is known what
/// was: the bare words tell.
fn color_of(arguments: &[OsString]) -> ColorChoice {
    let mut asked = None;
    let mut words =
        arguments.iter().filter_map(|argument| argument.to_str()).take_while(|word| *word != "--");
    while let Some(word) = words.next() {
        match word.strip_prefix("--color") {
            Some("") => asked = words.next(),
            Some(value) => asked = value.strip_prefix('=').or(asked),
            None => {}
        }
    }
    asked.and_then(|value| value.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use clap::{Arg, Command, CommandFactory, Parser};

    /// Every verb, also those below another one, by the words that call it.
    fn verbs(command: &Command, words: &str) -> Vec<(String, Command)> {
        let mut all = vec![(words.to_owned(), command.clone())];
        for verb in command.get_subcommands() {
            all.extend(verbs(verb, &format!("{words} {}", verb.get_name())));
        }
        all
    }

    #[test]
    fn help_fits_and_tells_of_every_option() {
        let mut command = super::Cli::command();
        command.build();
        let verbs = verbs(&command, "patchyard");
        assert!(verbs.len() > 20, "{} verbs", verbs.len());
        for (words, mut verb) in verbs {
            let help = verb.render_long_help().to_string();
            for line in help.lines() {
                assert!(line.chars().count() <= 100, "{words} --help: {line:?}");
            }
            let shown = verb.get_arguments().filter(|argument| !argument.is_hide_set());
            for argument in shown.cloned().collect::<Vec<Arg>>() {
                let name = match argument.get_long() {
                    Some(long) => format!("--{long}"),
                    None => argument.get_value_names().map(|names| names[0].to_string()).unwrap_or_default(),
                };
                assert!(!name.is_empty() && help.contains(&name), "{words} --help tells nothing of {name}");
                let said = argument.get_help().or(argument.get_long_help());
                assert!(
                    said.is_some_and(|said| !said.to_string().is_empty()),
                    "{words}: {name} says nothing"
                );
            }
            assert!(words.ends_with("help") || verb.get_about().is_some(), "{words} says nothing");
        }
    }

    #[test]
    fn the_definition_is_sound() {
        super::Cli::command().debug_assert();
    }

    #[test]
    fn resolve_takes_one_verdict_and_its_reason() {
        let takes = |args: &[&str]| {
            super::Cli::try_parse_from(["patchyard", "resolve", "R1.1"].iter().chain(args)).is_ok()
        };
        for verdict in ["--done", "--undo", "--close"] {
            assert!(takes(&[verdict, "--reason", "looked"]), "{verdict}");
        }
        assert!(!takes(&["--reason", "looked"]) && !takes(&["--done", "--undo", "--reason", "looked"]));
        assert!(!takes(&["--done"]));
    }
}
