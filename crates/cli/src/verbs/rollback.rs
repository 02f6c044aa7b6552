//! `rollback`: puts back what a rollout changed, or targets to their last snapshots.

use patchyard_app::{Error, plan_rollback};

use super::apply::start;
use super::plan::{describe, overrides};
use crate::args::Rollback;
use crate::exit::Exit;
use crate::json::PlanDocument;
use crate::session::Session;

pub async fn run(session: &Session, args: &Rollback) -> Result<Exit, Error> {
    let ui = &session.ui;
    if !ui.yes && !ui.interactive {
        return Err(Error::input("there is no terminal to ask on", "say --yes"));
    }
    let overrides = overrides(None, &args.shape);
    let planning = plan_rollback(&session.context, &args.subjects, &overrides);
    let report = match session.until_signal(Box::pin(planning)).await? {
        Ok(report) => report,
        Err(exit) => return Ok(exit),
    };
    let nothing = report.plan.decisions.actions.is_empty();
    if !ui.json {
        ui.result(&describe(session, &report.plan));
    } else if nothing {
        ui.document(&PlanDocument::from(&report.plan));
    }
    if nothing {
        // What could not be put back is not "nothing to do".
        return Ok(if report.plan.about.left_out.is_empty() { Exit::Done } else { Exit::Refused });
    }
    if !ui.yes && !ui.confirm("Proceed?") {
        ui.say("nothing was changed");
        return Ok(Exit::Paused);
    }
    start(session, &report.plan, args.detach).await
}
