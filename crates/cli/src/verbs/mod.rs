//! The verbs: one file each, arguments in, text or a document out.

mod apply;
mod audit;
mod completions;
mod config;
mod discover;
mod doctor;
mod drive;
mod gc;
mod history;
mod log;
mod man;
mod overview;
mod plan;
mod quarantine;
mod resolve;
mod resume;
mod roll;
mod rollback;
mod scan;
mod snapshots;
mod status;
mod stop;
mod why;

use patchyard_app::Error;
use patchyard_types::Request;

use crate::args::{Cli, ConfigVerb, Global, Verb};
use crate::exit::Exit;
use crate::session::Session;
use crate::ui::Ui;

/// Does what the arguments say.
pub fn run(cli: Cli, ui: Ui) -> Result<Exit, Error> {
    let Cli { global, overview, verb } = cli;
    if verb.is_some() && overview.is_given() {
        return Err(Error::input("options of a verb go behind it", "patchyard --help"));
    }
    // What needs neither state nor hosts: no runtime, no files.
    match &verb {
        Some(Verb::Completions(args)) => return completions::run(args, &ui),
        Some(Verb::Man(args)) => return man::run(args),
        Some(Verb::Config(args)) if matches!(args.verb, ConfigVerb::Schema) => {
            return Ok(config::schema(&ui));
        }
        Some(Verb::Config(args)) if matches!(args.verb, ConfigVerb::Check) => {
            return config::check(&global, &ui);
        }
        Some(Verb::Drive(_)) => drive::leave_the_terminal()?,
        _ => {}
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Error::Broken(format!("cannot start: {error}")))?;
    let exit = runtime.block_on(Box::pin(go(global, ui, overview, verb)));
    // Whatever still runs then (a read of a terminal, a slow name server) is not waited for.
    runtime.shutdown_background();
    exit
}

async fn go(
    global: Global,
    ui: Ui,
    overview: crate::args::Overview,
    verb: Option<Verb>,
) -> Result<Exit, Error> {
    if let Some(Verb::Doctor) = verb {
        return doctor::run(&global, &ui).await;
    }
    let remind = !matches!(verb, Some(Verb::Status(_) | Verb::Resume(_) | Verb::Drive(_) | Verb::Resolve(_)));
    let session = Session::open(global, ui, remind).await?;
    match verb {
        None => overview::run(&session, &overview).await,
        Some(Verb::Discover(args)) => discover::run(&session, &args).await,
        Some(Verb::Scan(args)) => scan::run(&session, &args).await,
        Some(Verb::Why(args)) => why::run(&session, &args).await,
        Some(Verb::Plan(args)) => plan::run(&session, &args).await,
        Some(Verb::Apply(args)) => Box::pin(apply::run(&session, &args)).await,
        Some(Verb::Status(args)) => status::run(&session, &args).await,
        Some(Verb::Log(args)) => log::run(&session, &args).await,
        Some(Verb::Pause(args)) => stop::run(&session, &args, Request::Pause).await,
        Some(Verb::Resume(args)) => Box::pin(resume::run(&session, &args)).await,
        Some(Verb::Abort(args)) => Box::pin(stop::run(&session, &args, Request::Abort)).await,
        Some(Verb::Rollback(args)) => Box::pin(rollback::run(&session, &args)).await,
        Some(Verb::Resolve(args)) => Box::pin(resolve::run(&session, &args)).await,
        Some(Verb::History(args)) => history::run(&session, &args).await,
        Some(Verb::Snapshots(args)) => snapshots::run(&session, &args).await,
        Some(Verb::Quarantine(args)) => quarantine::run(&session, &args).await,
        Some(Verb::Gc(args)) => gc::run(&session, &args).await,
        Some(Verb::Audit(args)) => audit::run(&session, &args).await,
        Some(Verb::Config(args)) => config::explain(&session, &args).await,
        Some(Verb::Drive(args)) => Box::pin(drive::run(&session, &args)).await,
        Some(Verb::Doctor | Verb::Completions(_) | Verb::Man(_)) => Ok(Exit::Done),
    }
}
