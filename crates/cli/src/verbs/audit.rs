//! `audit verify`: whether the log of everything that was done is as it was written.

use patchyard_app::Error;
use patchyard_app::audit::{parse_head, verify};

use crate::args::{Audit, AuditVerb};
use crate::exit::Exit;
use crate::json::AuditDocument;
use crate::session::Session;
use crate::text::remark;
use crate::ui::{GREEN, RED, paint};

pub async fn run(session: &Session, args: &Audit) -> Result<Exit, Error> {
    let AuditVerb::Verify { head } = &args.verb;
    let ui = &session.ui;
    let expected = head.as_deref().map(parse_head).transpose()?;
    let report = verify(&session.context, expected).await?;
    if ui.json {
        ui.document(&AuditDocument::from(&report));
    } else {
        let head = &report.head;
        ui.result(&match &report.broken {
            None => format!("{} the chain holds. Head {head}\n", paint(GREEN, "✔")),
            Some(what) => format!("{} the chain is broken: {}\n", paint(RED, "✘"), remark(what)),
        });
    }
    Ok(if report.broken.is_some() { Exit::Attention } else { Exit::Done })
}
