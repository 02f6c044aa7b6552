//! Debian's version order: Debian Policy §5.6.12, `[epoch:]upstream[-revision]`.
//!
//! Comparing allocates nothing and never overflows: runs of digits are compared as text without
//! their leading zeros.

use std::cmp::Ordering;

use thiserror::Error;

use super::compare_numbers;

/// The longest version accepted, in bytes; the longest in Debian's archive has under 100.
const MAX_LENGTH: usize = 256;

/// Why a text is no Debian version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum VersionError {
    /// Nothing there, or nothing before the revision or after the epoch.
    #[error("a part of the version is empty")]
    Empty,
    /// Longer than 256 bytes.
    #[error("the version is longer than {MAX_LENGTH} bytes")]
    TooLong,
    /// The epoch is no number that dpkg takes.
    #[error("the epoch is not a number")]
    Epoch,
    /// A character that Policy does not allow.
    #[error("the version has a character that is not allowed")]
    Character,
}

/// A Debian version, borrowed from its text.
///
/// Equality is dpkg's: `1.0` and `1.0-0`, `1.01` and `1.1` are equal.
#[derive(Debug, Clone, Copy)]
pub struct Version<'a> {
    epoch: u32,
    upstream: &'a str,
    revision: &'a str,
}

impl<'a> Version<'a> {
    /// Reads a version.
    ///
    /// # Errors
    /// [`VersionError`] when the text breaks Policy §5.6.12. As dpkg does for what is installed
    /// already, an upstream version that starts with a letter is let through.
    pub fn parse(text: &'a str) -> Result<Self, VersionError> {
        if text.len() > MAX_LENGTH {
            return Err(VersionError::TooLong);
        }
        let (epoch, rest) = match text.split_once(':') {
            None => (0, text),
            Some((epoch, rest)) => (parse_epoch(epoch)?, rest),
        };
        // The revision is what follows the last hyphen; an upstream version may contain some.
        let (upstream, revision) = match rest.rsplit_once('-') {
            None => (rest, None),
            Some((upstream, revision)) => (upstream, Some(revision)),
        };
        if upstream.is_empty() || revision == Some("") {
            return Err(VersionError::Empty);
        }
        // Only the first colon ends an epoch; later ones belong to the upstream version.
        let in_upstream = |b: u8| b.is_ascii_alphanumeric() || b".+-~:".contains(&b);
        let in_revision = |b: u8| b.is_ascii_alphanumeric() || b".+~".contains(&b);
        let revision = revision.unwrap_or("");
        if !upstream.bytes().all(in_upstream) || !revision.bytes().all(in_revision) {
            return Err(VersionError::Character);
        }
        Ok(Self { epoch, upstream, revision })
    }
}

fn parse_epoch(text: &str) -> Result<u32, VersionError> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(VersionError::Epoch);
    }
    // dpkg keeps epochs in a C int.
    text.parse().ok().filter(|epoch| *epoch <= i32::MAX as u32).ok_or(VersionError::Epoch)
}

impl Ord for Version<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.epoch
            .cmp(&other.epoch)
            .then_with(|| compare_part(self.upstream.as_bytes(), other.upstream.as_bytes()))
            .then_with(|| compare_part(self.revision.as_bytes(), other.revision.as_bytes()))
    }
}

impl PartialOrd for Version<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version<'_> {}

/// Compares two versions given as text.
///
/// # Errors
/// [`VersionError`] when either is no version.
pub fn compare(a: &str, b: &str) -> Result<Ordering, VersionError> {
    Ok(Version::parse(a)?.cmp(&Version::parse(b)?))
}

/// Upstream against upstream, or revision against revision: runs of non-digits and runs of digits
/// in turns, the first difference decides.
fn compare_part(mut a: &[u8], mut b: &[u8]) -> Ordering {
    while !a.is_empty() || !b.is_empty() {
        let (words_a, words_b) = (non_digits(a), non_digits(b));
        let words = compare_words(&a[..words_a], &b[..words_b]);
        if words != Ordering::Equal {
            return words;
        }
        (a, b) = (&a[words_a..], &b[words_b..]);

        let (digits_a, digits_b) = (digits(a), digits(b));
        let numbers = compare_numbers(&a[..digits_a], &b[..digits_b]);
        if numbers != Ordering::Equal {
            return numbers;
        }
        (a, b) = (&a[digits_a..], &b[digits_b..]);
    }
    Ordering::Equal
}

fn non_digits(text: &[u8]) -> usize {
    text.iter().position(u8::is_ascii_digit).unwrap_or(text.len())
}

fn digits(text: &[u8]) -> usize {
    text.iter().position(|b| !b.is_ascii_digit()).unwrap_or(text.len())
}

/// Letters sort before everything else, and a tilde sorts before the end of the text.
fn compare_words(a: &[u8], b: &[u8]) -> Ordering {
    let weight = |c: Option<&u8>| match c {
        Some(b'~') => -1,
        None => 0,
        Some(c) if c.is_ascii_alphabetic() => i32::from(*c),
        Some(c) => i32::from(*c) + 256,
    };
    (0..a.len().max(b.len()))
        .map(|i| weight(a.get(i)).cmp(&weight(b.get(i))))
        .find(|order| *order != Ordering::Equal)
        .unwrap_or(Ordering::Equal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policy_and_practice() {
        use Ordering::{Equal, Greater, Less};
        for (a, order, b) in [
            // Policy's own chain: ~~, ~~a, ~, the empty part, a.
            ("1~~", Less, "1~~a"),
            ("1~~a", Less, "1~"),
            ("1~", Less, "1"),
            ("1", Less, "1a"),
            // Letters before other characters, epochs before everything.
            ("1a", Less, "1+"),
            ("1.a", Less, "1.+"),
            ("1:1", Greater, "9.9"),
            ("0:1", Equal, "1"),
            // No revision is revision 0.
            ("1.0", Equal, "1.0-0"),
            ("1.0", Less, "1.0-1"),
            ("1.0-0~", Less, "1.0"),
            // Numbers, not text; leading zeros mean nothing; any length.
            ("1.9", Less, "1.10"),
            ("1.01", Equal, "1.1"),
            ("1.99999999999999999999999", Less, "1.100000000000000000000000"),
            // Several hyphens: the last one separates.
            ("1-2-3", Less, "1-2-4"),
            ("1-2-3", Greater, "1-2"),
            // As the archive writes them.
            ("3.0.20-1~deb12u2", Less, "3.0.22-1~deb12u2"),
            ("5.4.1-1+deb12u1", Less, "5.4.1-1+deb12u2"),
            ("1.22.1-9+deb12u10", Greater, "1.22.1-9+deb12u9"),
            ("2:1.0~rc1-1", Less, "2:1.0-1~bpo12+1"),
            ("1.2.3-1+b1", Greater, "1.2.3-1"),
            ("1:2:3-1", Greater, "1:2-1"),
        ] {
            assert_eq!(compare(a, b), Ok(order), "{a} and {b}");
            assert_eq!(compare(b, a), Ok(order.reverse()), "{b} and {a}");
        }
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for (text, error) in [
            ("", VersionError::Empty),
            ("1-", VersionError::Empty),
            ("-1", VersionError::Empty),
            (":1", VersionError::Epoch),
            ("a:1", VersionError::Epoch),
            ("2147483648:1", VersionError::Epoch),
            ("-1:1", VersionError::Epoch),
            ("1 2", VersionError::Character),
            ("1;rm", VersionError::Character),
            ("1\x1b[0m", VersionError::Character),
            ("1-2:3", VersionError::Epoch),
            ("ä", VersionError::Character),
        ] {
            assert_eq!(Version::parse(text).map(|_| ()), Err(error), "{text:?}");
        }
        assert_eq!(Version::parse(&"1".repeat(257)).map(|_| ()), Err(VersionError::TooLong));
    }
}
