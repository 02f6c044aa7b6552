//! The audit log: one hash chain over everything that was ever done.

use patchyard_contract::{AuditHead, AuditReport};
use patchyard_types::printable;

use crate::{Context, Error};

/// Reads a head as reports print it: `ENTRIES:HASH`.
///
/// # Errors
/// When it is not one.
pub fn parse_head(text: &str) -> Result<AuditHead, Error> {
    let parse = || {
        let (entries, hash) = text.trim().split_once(':')?;
        Some(AuditHead { entries: entries.parse().ok()?, hash: hash.parse().ok()? })
    };
    let shown = printable(text, 100);
    let hint = "copy it from the last line of a report: a number, a colon and 64 hex digits";
    parse().ok_or_else(|| Error::input(format!("'{shown}' is not a head"), hint))
}

/// Walks the whole chain.
///
/// # Errors
/// When the store cannot be read at all; a broken chain is told in the report.
pub async fn verify(context: &Context, expected: Option<AuditHead>) -> Result<AuditReport, Error> {
    Ok(context.store.audit_verify(expected).await?)
}

/// The head as it is now, for reports.
///
/// # Errors
/// When the store cannot be read.
pub async fn head(context: &Context) -> Result<AuditHead, Error> {
    Ok(context.store.audit_head().await?)
}

#[cfg(test)]
mod tests {
    use super::parse_head;

    #[test]
    fn a_head_is_a_number_and_a_hash() {
        let head = parse_head(&format!("17:{}", "ab".repeat(32))).unwrap();
        assert_eq!((head.entries, head.hash.short(4)), (17, "abab".to_owned()));
        for bad in ["", "17", "17:", "x:y", ":abab"] {
            assert!(parse_head(bad).is_err(), "{bad}");
        }
    }
}
