//! `resume`: goes on with what was paused, or interrupted by a crash.

use patchyard_app::rollouts::{Phase, only};
use patchyard_app::{Error, reach, resume};

use super::apply::carry_on;
use crate::args::Resume;
use crate::exit::Exit;
use crate::session::{Session, Signals};

pub async fn run(session: &Session, args: &Resume) -> Result<Exit, Error> {
    let context = &session.context;
    let rollout = match args.rollout {
        Some(rollout) => rollout,
        None => only(&*context.store, context.clock.now(), "resume", Phase::waits).await?,
    };
    let signals = Signals::new()?;
    let fleet = reach(context).await?;
    resume(context, rollout).await?;
    if !session.ui.json {
        session.ui.say(&format!("{rollout} goes on"));
    }
    carry_on(session, &fleet, rollout, signals, args.detach).await
}
