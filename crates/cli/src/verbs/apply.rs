//! `apply`: a plan that exists, or one that is made, shown and agreed to first.

use patchyard_app::{
    Error, Fleet, Meant, PlanReport, PlanRequest, begin, could_be_a_plan, discover, plan as make_plan,
    plan_named, reach, what_is_meant,
};
use patchyard_types::{LeftOut, LeftOutReason, Plan, RolloutId};

use super::plan::{describe, describe_report, overrides};
use super::scan::filter;
use super::{drive, roll};
use crate::args::Apply;
use crate::exit::Exit;
use crate::progress::Line;
use crate::session::{Session, Signals};

pub async fn run(session: &Session, args: &Apply) -> Result<Exit, Error> {
    let meant = match &args.plan {
        Some(digest) => Meant::Plan(Box::new(plan_named(&session.context, digest).await?)),
        None => what_is_meant(&session.context, &args.names).await?,
    };
    let plan = match meant {
        Meant::Plan(plan) => {
            refuse_what_shapes(args)?;
            if !session.ui.json {
                session.ui.result(&describe(session, &plan));
            }
            // A plan was read before; without anybody to ask, naming it is the yes.
            let agreed = session.ui.yes || !session.ui.interactive || session.ui.confirm("Proceed?");
            agreed.then_some(*plan)
        }
        Meant::Targets => match plan_first(session, args).await? {
            Ok(plan) => plan,
            Err(exit) => return Ok(exit),
        },
    };
    let Some(plan) = plan else {
        session.ui.say("nothing was changed");
        return Ok(Exit::Paused);
    };
    start(session, &plan, args.detach).await
}

/// Begins a rollout of the plan, and drives it here or in the background.
pub async fn start(session: &Session, plan: &Plan, detach: bool) -> Result<Exit, Error> {
    // From here on a signal pauses a rollout; before, there is none.
    let signals = Signals::new()?;
    let fleet = reach(&session.context).await?;
    let rollout = begin(&session.context, &fleet, plan).await?;
    if session.ui.json && !detach {
        roll::tell_beginning(session, rollout).await?;
    }
    carry_on(session, &fleet, rollout, signals, detach).await
}

/// Drives a rollout here or in the background.
pub async fn carry_on(
    session: &Session,
    fleet: &Fleet,
    rollout: RolloutId,
    signals: Signals,
    detach: bool,
) -> Result<Exit, Error> {
    if detach {
        return drive::detach(session, rollout).await;
    }
    let exit = Box::pin(roll::roll(session, fleet, rollout, signals)).await;
    session.context.reach.settle().await;
    exit
}

/// A plan is as it is: what would shape another one has no place beside it.
fn refuse_what_shapes(args: &Apply) -> Result<(), Error> {
    let Apply { names: _, plan: _, filter, patches, freshness, detach: _, shape } = args;
    let given = !filter.selector.is_empty()
        || !filter.exclude.is_empty()
        || patches.is_given()
        || freshness.is_given()
        || shape.is_given();
    if given {
        return Err(Error::input(
            "options that select or shape go with targets, not with a plan: a plan is applied as it is",
            "patchyard plan with these options makes a new one",
        ));
    }
    Ok(())
}

/// Why nothing is begun. A target that needs a patch and gets none is not "nothing to do".
fn nothing_to_begin(report: &PlanReport) -> Exit {
    let asked_for = |left_out: &LeftOut| left_out.reason != LeftOutReason::Excluded;
    if !report.unreachable.is_empty() {
        Exit::Unreachable
    } else if report.plan.about.left_out.iter().any(asked_for) {
        Exit::Refused
    } else {
        Exit::Done
    }
}

/// A name that no target answers to may have been meant as a plan's.
fn neither(args: &Apply, error: Error) -> Error {
    match (&args.names[..], &error) {
        ([name], Error::NoSuchTarget(missing)) if missing.name == *name && could_be_a_plan(name) => {
            Error::input(format!("'{name}' is neither a plan nor a target"), "patchyard plan makes a plan")
        }
        _ => error,
    }
}

/// Plans for targets, shows the plan, and asks. `None` when the answer was no.
async fn plan_first(session: &Session, args: &Apply) -> Result<Result<Option<Plan>, Exit>, Error> {
    let ui = &session.ui;
    let selection = args.filter.selection(args.names.clone());
    if !ui.yes && !ui.interactive {
        // Whoever says --yes next should not learn only then that there is no such target.
        if let Err(error @ Error::NoSuchTarget(_)) = discover(&session.context, &selection).await {
            return Err(neither(args, error));
        }
        let hint = "name a plan (patchyard plan makes one), or say --yes";
        return Err(Error::input("there is no terminal to ask on", hint));
    }
    let request = PlanRequest {
        selection,
        patches: filter(&args.patches),
        overrides: overrides(args.patches.method.map(Into::into), &args.shape),
        max_age: args.freshness.max_age(),
    };
    let line = Line::new(ui);
    let planning = Box::pin(make_plan(&session.context, &request, &line));
    let report = match session.until_signal(planning).await.map_err(|error| neither(args, error))? {
        Ok(report) => report,
        Err(exit) => return Ok(Err(exit)),
    };
    drop(line);
    if !ui.json {
        ui.result(&describe_report(session, &report));
    }
    if report.plan.decisions.actions.is_empty() {
        if ui.json {
            ui.document(&crate::json::PlanDocument::from(&report.plan));
        }
        return Ok(Err(nothing_to_begin(&report)));
    }
    Ok(Ok((ui.yes || ui.confirm("Proceed?")).then_some(report.plan)))
}
