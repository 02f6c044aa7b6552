//! `resolve`: a person's decision about a run that needs attention.

use patchyard_app::{Error, reach, resolve};

use super::apply::carry_on;
use crate::args::Resolve;
use crate::exit::Exit;
use crate::session::{Session, Signals};

pub async fn run(session: &Session, args: &Resolve) -> Result<Exit, Error> {
    let signals = Signals::new()?;
    // Reached before anything is written: a decision that cannot be carried out now would wait.
    let fleet = reach(&session.context).await?;
    resolve(&session.context, args.run, args.verdict(), &args.reason).await?;
    carry_on(session, &fleet, args.run.rollout, signals, false).await
}
