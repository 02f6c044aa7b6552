//! `pause` and `abort`: asked of a rollout, whichever process drives it.

use patchyard_app::rollouts::{Phase, Rollout, only, what_next};
use patchyard_app::{Asked, Error, ask, reach};
use patchyard_types::{Request, RolloutId};

use super::apply::carry_on;
use crate::args::Stop;
use crate::exit::Exit;
use crate::json::RequestDocument;
use crate::session::{Session, Signals};

pub async fn run(session: &Session, args: &Stop, request: Request) -> Result<Exit, Error> {
    let (context, ui) = (&session.context, &session.ui);
    let (verb, gerund) = match request {
        Request::Pause => ("pause", "is pausing"),
        Request::Abort => ("abort", "is being aborted"),
        Request::Resume => ("resume", "goes on"),
    };
    let rollout = match args.rollout {
        Some(rollout) => rollout,
        None => only(&*context.store, context.clock.now(), verb, |phase| !phase.is_over()).await?,
    };
    let why = args.reason.clone().unwrap_or_else(|| format!("patchyard {verb}"));
    let asked = ask(context, rollout, request, &why).await?;
    if request == Request::Abort && asked == Asked::Resting {
        // Nobody drives it: what it has begun is taken back here.
        let signals = Signals::new()?;
        let fleet = reach(context).await?;
        return carry_on(session, &fleet, rollout, signals, false).await;
    }
    if ui.json {
        ui.document(&RequestDocument::new(rollout, request, asked));
    } else {
        let text = match asked {
            Asked::Acknowledged => {
                format!("{rollout} {gerund}: what has begun is finished or taken back first")
            }
            Asked::Resting => at_rest(rollout, Rollout::read(&*context.store, rollout).await?.phase),
            Asked::Silent => format!("{rollout}: its driver has not answered yet"),
        };
        ui.result(&format!("{text}\n"));
    }
    Ok(if asked == Asked::Silent { Exit::Unreachable } else { Exit::Done })
}

/// What is said where nobody has to be asked to pause.
fn at_rest(rollout: RolloutId, phase: Phase) -> String {
    let state = match phase {
        Phase::Interrupted => "was interrupted: nobody drives it. To go on",
        _ => "is paused already. To go on",
    };
    format!("{rollout} {state}: {}", what_next(rollout, phase))
}
