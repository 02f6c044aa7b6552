//! Drivers in the background: a session of their own, so that no terminal takes them along.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use patchyard_app::rollouts::{Phase, Rollout};
use patchyard_app::{Error, reach};
use patchyard_types::RolloutId;

use super::roll;
use crate::args::Drive;
use crate::exit::Exit;
use crate::session::{Session, Signals};

/// How long a driver may take until it holds its rollout.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often this process looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Becomes the leader of a session without a terminal. Called before anything else is started.
pub fn leave_the_terminal() -> Result<(), Error> {
    // It fails for one that leads already: then there is nothing to leave.
    let _ = rustix::process::setsid();
    Ok(())
}

/// The hidden verb: drives a rollout that another process has begun.
pub async fn run(session: &Session, args: &Drive) -> Result<Exit, Error> {
    let signals = Signals::new()?;
    let fleet = reach(&session.context).await?;
    let exit = Box::pin(roll::roll(session, &fleet, args.rollout, signals)).await;
    session.context.reach.settle().await;
    exit
}

/// Starts a driver in the background and waits until it holds the rollout.
pub async fn detach(session: &Session, rollout: RolloutId) -> Result<Exit, Error> {
    let logs = session.context.state.logs()?;
    let path = logs.join(format!("{rollout}.log"));
    let mut child = spawn(session, rollout, &path)?;
    let mut waited = Duration::ZERO;
    loop {
        let found = Rollout::read(&*session.context.store, rollout).await?;
        if found.phase == Phase::Running || found.phase.is_over() {
            break;
        }
        if let Ok(Some(status)) = child.try_wait() {
            let said = std::fs::read_to_string(&path).unwrap_or_default();
            let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
            return Err(Error::refused(
                format!("the driver in the background ended ({status}): {last}"),
                format!("patchyard resume {rollout}"),
            ));
        }
        if waited >= PATIENCE {
            return Err(Error::refused(
                "the driver in the background does not begin".to_owned(),
                format!("look at {}, then patchyard resume {rollout}", path.display()),
            ));
        }
        session.context.clock.sleep(LOOK_EVERY).await;
        waited += LOOK_EVERY;
    }
    if session.ui.json {
        let report = patchyard_app::report(&session.context, rollout).await?;
        let head = patchyard_app::audit::head(&session.context).await?;
        session.ui.document(&crate::json::RolloutDocument::new(&report, head));
    } else {
        session.ui.result(&format!(
            "{rollout} goes on in the background: patchyard status {rollout}, patchyard log -f {rollout}\n"
        ));
    }
    Ok(Exit::Done)
}

fn spawn(session: &Session, rollout: RolloutId, log: &std::path::Path) -> Result<Child, Error> {
    let fail =
        |error: std::io::Error| Error::Broken(format!("cannot start a driver in the background: {error}"));
    let open = || OpenOptions::new().append(true).create(true).mode(0o600).open(log);
    let program = std::env::current_exe().map_err(fail)?;
    let mut command = Command::new(program);
    // What decides where things are is passed on as it was found, not as it was said: the working
    // directory of the driver is its own.
    command.arg("--state").arg(session.context.state.path());
    if let Some(config) = &session.context.config.file {
        let config = std::fs::canonicalize(config).unwrap_or_else(|_| config.clone());
        command.arg("--config").arg(config);
    }
    for host in &session.global.host {
        command.arg("--host").arg(host);
    }
    command.args(["--color", "never", "drive"]).arg(rollout.to_string());
    command.stdin(Stdio::null()).stdout(open().map_err(fail)?).stderr(open().map_err(fail)?);
    command.spawn().map_err(fail)
}
