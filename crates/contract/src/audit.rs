//! The hash chain over the event log: how entries are chained, and what a walk along it finds.
//!
//! Pure, so that every store chains alike and a head printed by one is understood by another.

use patchyard_types::{Digest, canonical_json};

/// The head of the hash chain: printed in reports, so that a truncated log is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditHead {
    /// How many entries there are.
    pub entries: u64,
    /// The chained hash of the last one.
    pub hash: Digest,
}

/// An entry of the log with every column that the chain covers, as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditEntry<'a> {
    /// Its place among all entries, from 1 without gaps.
    pub position: u64,
    /// The stream's name.
    pub stream: &'a str,
    /// Its place in the stream, from 1.
    pub seq: u64,
    /// The version of its body.
    pub schema_version: u32,
    /// When, as stored.
    pub at: &'a str,
    /// What happened, as stored.
    pub body: &'a str,
}

impl AuditHead {
    /// The head of an empty log.
    pub const START: Self = Self { entries: 0, hash: Digest::from_bytes([0; 32]) };

    /// The head after one more entry.
    ///
    /// What is hashed is a JSON array of the previous hash and the columns. JSON quotes its strings,
    /// so no two different entries give the same text.
    #[must_use]
    pub fn then(self, entry: &AuditEntry<'_>) -> Self {
        let AuditEntry { position, stream, seq, schema_version, at, body } = *entry;
        let text = canonical_json(&(self.hash, position, stream, seq, schema_version, at, body));
        Self { entries: position, hash: Digest::of_bytes(text.as_bytes()) }
    }
}

impl std::fmt::Display for AuditHead {
    /// As reports print it: `42:9f86d0…`, entries and hash.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.entries, self.hash)
    }
}

impl std::str::FromStr for AuditHead {
    type Err = patchyard_types::IdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split_once(':')
            .and_then(|(entries, hash)| {
                Some(Self { entries: entries.parse().ok()?, hash: hash.parse().ok()? })
            })
            .ok_or_else(|| patchyard_types::IdError {
                expected: "a head of the audit log such as 42:9f86d081…, as a report printed it",
                found: patchyard_types::printable(text, 90),
            })
    }
}

/// What checking the hash chain found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditReport {
    /// The head as far as the chain holds.
    pub head: AuditHead,
    /// The first thing that is wrong, in words; `None` when the chain holds.
    pub broken: Option<String>,
}

/// A walk along the chain, entry by entry.
#[derive(Debug)]
pub struct Auditor {
    head: AuditHead,
    expected: Option<AuditHead>,
    broken: Option<String>,
}

impl Auditor {
    /// Starts a walk. `expected` is a head that was printed earlier.
    #[must_use]
    pub fn new(expected: Option<AuditHead>) -> Self {
        let mut auditor = Self { head: AuditHead::START, expected, broken: None };
        auditor.compare_with_expected();
        auditor
    }

    /// Takes the next entry and the hash stored with it. Returns whether the chain holds so far.
    pub fn visit(&mut self, entry: &AuditEntry<'_>, stored: &str) -> bool {
        if self.broken.is_some() {
            return false;
        }
        let next = self.head.entries + 1;
        if entry.position != next {
            self.broken = Some(if entry.position > next {
                format!("entry {next} is missing: the log goes on with entry {}", entry.position)
            } else {
                format!("entry {} was put in before entry {next}", entry.position)
            });
            return false;
        }
        let head = self.head.then(entry);
        if stored != head.hash.to_string() {
            let AuditEntry { stream, seq, .. } = entry;
            let stream = patchyard_types::printable(stream, 60);
            self.broken = Some(format!(
                "entry {next} (event {seq} of {stream}) is not what was written then: its hash does not match"
            ));
            return false;
        }
        self.head = head;
        self.compare_with_expected();
        self.broken.is_none()
    }

    /// Ends the walk.
    #[must_use]
    pub fn finish(self) -> AuditReport {
        let missing = self.expected.filter(|expected| expected.entries > self.head.entries).map(|expected| {
            format!(
                "the log ends with entry {}, but there were {} when the head was printed: it was truncated",
                self.head.entries, expected.entries
            )
        });
        AuditReport { head: self.head, broken: self.broken.or(missing) }
    }

    fn compare_with_expected(&mut self) {
        if let Some(expected) = self.expected
            && expected.entries == self.head.entries
            && expected.hash != self.head.hash
        {
            self.broken = Some(format!(
                "entry {} is not the one whose head was printed: the log was rewritten",
                self.head.entries
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry<'a>(position: u64, stream: &'a str, body: &'a str) -> AuditEntry<'a> {
        AuditEntry { position, stream, seq: 1, schema_version: 1, at: "2026-11-01T00:00:00Z", body }
    }

    #[test]
    fn a_border_between_columns_cannot_be_moved() {
        let head = AuditHead::START;
        assert_ne!(head.then(&entry(1, "a\"", "b")), head.then(&entry(1, "a", "\"b")));
        assert_ne!(head.then(&entry(1, "a,", "b")), head.then(&entry(1, "a", ",b")));
    }

    #[test]
    fn a_head_survives_its_text() {
        let head = AuditHead::START.then(&entry(1, "ledger", "{}"));
        assert_eq!(head.to_string().parse(), Ok(head));
        assert!("1:xyz".parse::<AuditHead>().is_err());
        assert!("abc".parse::<AuditHead>().is_err());
    }

    #[test]
    fn a_rewritten_chain_holds_in_itself_but_not_against_a_printed_head() {
        let (then, now) = (entry(1, "ledger", "then"), entry(1, "ledger", "now"));
        let printed = AuditHead::START.then(&then);
        let rewritten = AuditHead::START.then(&now);
        let walk = |expected| {
            let mut auditor = Auditor::new(expected);
            auditor.visit(&now, &rewritten.hash.to_string());
            auditor.finish().broken
        };
        assert_eq!(walk(None), None);
        let words = walk(Some(printed)).unwrap();
        assert!(words.contains("entry 1") && words.contains("rewritten"), "{words}");
    }
}
