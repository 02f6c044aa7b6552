//! `doctor`: whatever would be in the way.

use patchyard_app::doctor::{Finding, Severity, doctor};
use patchyard_app::{Environment, Error, Kind};

use crate::args::Global;
use crate::exit::Exit;
use crate::json::DoctorDocument;
use crate::session::options;
use crate::text::remark;
use crate::ui::{BOLD, GREEN, RED, Ui, YELLOW, paint};

pub async fn run(global: &Global, ui: &Ui) -> Result<Exit, Error> {
    let findings = doctor(&Environment::of_process(), &options(global)).await;
    if ui.json {
        ui.document(&DoctorDocument::from(&findings[..]));
    } else {
        let mut text = format!("patchyard {}\n", env!("CARGO_PKG_VERSION"));
        findings.iter().for_each(|finding| push(&mut text, finding));
        ui.result(&text);
    }
    Ok(findings.iter().filter_map(|finding| finding.kind).fold(Exit::Done, |exit, kind| exit.and(of(kind))))
}

fn push(text: &mut String, finding: &Finding) {
    let sign = match finding.severity {
        Severity::Good => paint(GREEN, "✔"),
        Severity::Warning => paint(YELLOW, "!"),
        Severity::Bad => paint(RED, "✘"),
    };
    text.push_str(&format!(" {sign} {}: {}\n", finding.about, remark(&finding.text)));
    if !finding.hint.is_empty() {
        text.push_str(&format!("   {} {}\n", paint(BOLD, "Next:"), remark(&finding.hint)));
    }
}

const fn of(kind: Kind) -> Exit {
    match kind {
        Kind::Input => Exit::Usage,
        Kind::Unreachable => Exit::Unreachable,
        Kind::Refused => Exit::Refused,
        Kind::Internal => Exit::Internal,
    }
}
