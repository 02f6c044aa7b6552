//! `gc`: removes what nothing needs any more.

use patchyard_app::gc::collect;
use patchyard_app::{Error, reach, size};

use crate::args::Gc;
use crate::exit::Exit;
use crate::json::GcDocument;
use crate::session::Session;
use crate::text::{count, name, remark};
use crate::ui::{RED, paint};

pub async fn run(session: &Session, args: &Gc) -> Result<Exit, Error> {
    let ui = &session.ui;
    let fleet = reach(&session.context).await?;
    let found = collect(&session.context, &fleet, args.dry_run).await?;
    let failed = !found.failed.is_empty() || found.leftovers.iter().any(|(_, _, failed)| failed.is_some());
    if ui.json {
        ui.document(&GcDocument::new(&found, args.dry_run));
    } else {
        let done = if args.dry_run { "would remove" } else { "removed" };
        let mut text = String::new();
        for (host, leftover, failed) in &found.leftovers {
            let what = format!("{} {} on {}", name(&leftover.kind), name(&leftover.name), name(host));
            match failed {
                Some(reason) => text.push_str(&format!("{} {what}: {}\n", paint(RED, "✘"), remark(reason))),
                None => text.push_str(&format!("{done} {what}\n")),
            }
        }
        if found.cache.files > 0 {
            let files = count(usize::try_from(found.cache.files).unwrap_or(usize::MAX), "file");
            text.push_str(&format!(
                "{done} {files} of the package cache, {}\n",
                size::show(found.cache.bytes)
            ));
        }
        for (host, reason) in &found.failed {
            text.push_str(&format!("{} {}: {}\n", paint(RED, "✘"), name(host), remark(reason)));
        }
        if text.is_empty() {
            text.push_str("Nothing to remove.\n");
        }
        ui.result(&text);
    }
    Ok(if failed { Exit::Unreachable } else { Exit::Done })
}
