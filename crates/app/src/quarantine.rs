//! Quarantine: what failed before and is kept out of plans, and letting it back in.

use patchyard_contract::Append;
use patchyard_types::{EventBody, LedgerEvent, Quarantine, QuarantineId, Stream, printable};

use crate::{Context, Error};

/// What is in quarantine now, oldest first.
///
/// # Errors
/// When the store cannot be read.
pub async fn list(context: &Context) -> Result<Vec<(QuarantineId, Quarantine)>, Error> {
    Ok(patchyard_engine::quarantine(&*context.store).await?)
}

/// Releases entries: all of them or, when one does not exist, none.
///
/// # Errors
/// When an entry does not exist or was released before.
pub async fn release(
    context: &Context,
    names: &[String],
    reason: &str,
) -> Result<Vec<(QuarantineId, Quarantine)>, Error> {
    let entries = list(context).await?;
    let mut released: Vec<(QuarantineId, Quarantine)> = Vec::new();
    for name in names {
        let number = name.strip_prefix(['Q', 'q']).and_then(|number| number.parse().ok()).map(QuarantineId);
        let Some(entry) = entries.iter().find(|(id, _)| Some(*id) == number) else {
            let message = format!("there is no quarantine entry {}", printable(name, 40));
            return Err(Error::input(message, "patchyard quarantine"));
        };
        if released.iter().all(|(id, _)| *id != entry.0) {
            released.push(entry.clone());
        }
    }
    let bodies = released.iter().map(|(id, _)| {
        let (by, reason) = (context.actor.clone(), reason.to_owned());
        EventBody::Ledger(LedgerEvent::Released { id: *id, by, reason })
    });
    let append = Append { stream: Stream::Ledger, expected: None, bodies: bodies.collect() };
    context.store.append(context.clock.now(), vec![append]).await?;
    Ok(released)
}
