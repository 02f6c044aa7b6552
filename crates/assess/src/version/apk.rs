//! Alpine's version order: apk-package(5) of apk-tools 3, `number{.number}…{letter}{_suffix{number}}…{~hash}{-r#}`.
//!
//! apk-tools 2 has the same order, but for two numbers behind a dot that both begin with a zero (`1.010` and `1.02`).

use std::cmp::Ordering;

use thiserror::Error;

use super::compare_numbers;

/// The longest version accepted, in bytes.
const MAX_LENGTH: usize = 256;
/// Suffixes in their order. Those before [`RELEASE`] are of versions before the one that has no suffix.
const SUFFIXES: [&str; 9] = ["alpha", "beta", "pre", "rc", "cvs", "svn", "git", "hg", "p"];
/// Where in [`SUFFIXES`] no suffix would stand.
const RELEASE: usize = 4;

/// Why a text is no version of apk's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum VersionError {
    /// Longer than 256 bytes.
    #[error("the version is longer than {MAX_LENGTH} bytes")]
    TooLong,
    /// It does not begin with a digit, or there is none after a dot or `-r`.
    #[error("a number is missing in the version")]
    Number,
    /// After `_` stands none of the words that it may be.
    #[error("the version has a suffix that is none of {}", SUFFIXES.join(", "))]
    Suffix,
    /// After `~` stands no hexadecimal number.
    #[error("the version has a commit hash that is none")]
    Hash,
    /// Something that has no meaning where it stands.
    #[error("the version has a part that is not allowed there")]
    Part,
}

/// A part of a version. The order of the kinds is the one in which they may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part<'a> {
    First(&'a [u8]),
    Number(&'a [u8]),
    Letter(u8),
    /// Its place in [`SUFFIXES`].
    Suffix(usize),
    SuffixNumber(&'a [u8]),
    Hash(&'a [u8]),
    Revision(&'a [u8]),
}

impl Part<'_> {
    fn kind(self) -> u8 {
        match self {
            Part::First(_) => 0,
            Part::Number(_) => 1,
            Part::Letter(_) => 2,
            Part::Suffix(_) => 3,
            Part::SuffixNumber(_) => 4,
            Part::Hash(_) => 5,
            Part::Revision(_) => 6,
        }
    }

    /// Against another part of the same kind.
    fn compare(self, other: Self) -> Ordering {
        match (self, other) {
            // Behind a dot, a zero in front makes a number a fraction: 1.05 is less than 1.1.
            (Part::Number(a), Part::Number(b)) if a[0] == b'0' || b[0] == b'0' => a.cmp(b),
            (Part::First(a), Part::First(b))
            | (Part::Number(a), Part::Number(b))
            | (Part::SuffixNumber(a), Part::SuffixNumber(b))
            | (Part::Revision(a), Part::Revision(b)) => compare_numbers(a, b),
            (Part::Letter(a), Part::Letter(b)) => a.cmp(&b),
            (Part::Suffix(a), Part::Suffix(b)) => a.cmp(&b),
            (Part::Hash(a), Part::Hash(b)) => a.cmp(b),
            _ => Ordering::Equal,
        }
    }
}

/// A version of apk's, borrowed from its text. Equality is apk's: `1.0-r01` and `1.0-r1` are equal.
#[derive(Debug, Clone, Copy)]
pub struct Version<'a>(&'a [u8]);

impl<'a> Version<'a> {
    /// Reads a version.
    ///
    /// # Errors
    /// [`VersionError`] when the text breaks the rules of apk-package(5).
    pub fn parse(text: &'a str) -> Result<Self, VersionError> {
        if text.len() > MAX_LENGTH {
            return Err(VersionError::TooLong);
        }
        let version = Self(text.as_bytes());
        version.parts().try_for_each(|part| part.map(|_| ()))?;
        Ok(version)
    }

    fn parts(self) -> Parts<'a> {
        Parts { rest: self.0, last: None }
    }
}

/// Takes a version apart; ends after the first error.
struct Parts<'a> {
    rest: &'a [u8],
    last: Option<u8>,
}

impl<'a> Parts<'a> {
    fn part(&mut self) -> Result<Part<'a>, VersionError> {
        let part = match (self.last, self.rest) {
            (None, _) => Part::First(self.take(u8::is_ascii_digit, VersionError::Number)?),
            (Some(3), [b'0'..=b'9', ..]) => {
                Part::SuffixNumber(self.take(u8::is_ascii_digit, VersionError::Number)?)
            }
            (Some(0 | 1), [b'.', rest @ ..]) => {
                self.rest = rest;
                Part::Number(self.take(u8::is_ascii_digit, VersionError::Number)?)
            }
            (Some(0 | 1), [letter @ b'a'..=b'z', rest @ ..]) => {
                self.rest = rest;
                Part::Letter(*letter)
            }
            (Some(0..=4), [b'_', rest @ ..]) => {
                self.rest = rest;
                let word = self.take(u8::is_ascii_lowercase, VersionError::Suffix)?;
                let place = SUFFIXES.iter().position(|suffix| suffix.as_bytes() == word);
                Part::Suffix(place.ok_or(VersionError::Suffix)?)
            }
            (Some(0..=4), [b'~', rest @ ..]) => {
                self.rest = rest;
                let is_hexadecimal = |b: &u8| b.is_ascii_digit() || (b'a'..=b'f').contains(b);
                Part::Hash(self.take(is_hexadecimal, VersionError::Hash)?)
            }
            (Some(0..=5), [b'-', b'r', rest @ ..]) => {
                self.rest = rest;
                Part::Revision(self.take(u8::is_ascii_digit, VersionError::Number)?)
            }
            _ => return Err(VersionError::Part),
        };
        self.last = Some(part.kind());
        Ok(part)
    }

    /// What fits at the front of the rest: at least one byte.
    fn take(&mut self, fits: impl Fn(&u8) -> bool, error: VersionError) -> Result<&'a [u8], VersionError> {
        let length = self.rest.iter().position(|b| !fits(b)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        if taken.is_empty() { Err(error) } else { Ok(taken) }
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = Result<Part<'a>, VersionError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() && self.last.is_some() {
            return None;
        }
        let part = self.part();
        if part.is_err() {
            (self.rest, self.last) = (&[], Some(u8::MAX));
        }
        Some(part)
    }
}

impl Ord for Version<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        // Both were taken apart before: there is no error among the parts.
        let (mut a, mut b) = (self.parts().flatten(), other.parts().flatten());
        let is_before = |part: Option<Part>| matches!(part, Some(Part::Suffix(place)) if place < RELEASE);
        loop {
            let (x, y) = (a.next(), b.next());
            let order = match (x, y) {
                (None, None) => return Ordering::Equal,
                (Some(x), Some(y)) if x.kind() == y.kind() => x.compare(y),
                _ if is_before(x) => Ordering::Less,
                _ if is_before(y) => Ordering::Greater,
                // More of it is newer, and the earlier a kind of part may stand the more it weighs: 1.2.1 is newer
                // than 1.2a, than 1.2_p1, than 1.2-r1.
                (Some(x), Some(y)) => y.kind().cmp(&x.kind()),
                (Some(_), None) => Ordering::Greater,
                (None, Some(_)) => Ordering::Less,
            };
            if order != Ordering::Equal {
                return order;
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_in_a_table() {
        use Ordering::{Equal, Greater, Less};
        for (a, order, b) in [
            // Numbers, not text, of any length; more of them is newer.
            ("1.9", Less, "1.10"),
            ("1.2", Less, "1.2.1"),
            ("9", Less, "10-r0"),
            ("1.99999999999999999999999", Less, "1.100000000000000000000000"),
            ("1.0.0_pre20191002222144-r0", Less, "1.0.0_pre20210530193627-r0"),
            // A zero in front: nothing in the first number, a fraction in the others.
            ("006", Greater, "1.06-r6"),
            ("087-r1", Less, "103"),
            ("1.07", Less, "1.19"),
            ("1.06", Less, "1.1"),
            ("1.0.1", Less, "1.06-r1"),
            ("1.02.07", Less, "1.02.10-r1"),
            // Letters.
            ("1.1", Less, "1.1a"),
            ("1.1a", Less, "1.1b"),
            ("1.1b-r1", Less, "1.2"),
            ("1.1a", Less, "1.1.1"),
            // The suffixes in their order, with what has none in the middle.
            ("1_alpha", Less, "1_beta"),
            ("1_beta", Less, "1_pre"),
            ("1_pre", Less, "1_rc"),
            ("1_rc", Less, "1"),
            ("1", Less, "1_cvs"),
            ("1_cvs", Less, "1_svn"),
            ("1_svn", Less, "1_git"),
            ("1_git", Less, "1_hg"),
            ("1_hg", Less, "1_p"),
            ("1_p", Less, "1_p1"),
            ("1_p9-r0", Less, "1_p10-r0"),
            ("1_p", Less, "1a"),
            ("1_rc9", Less, "1-r0"),
            ("1_alpha_pre2", Less, "1_alpha"),
            ("1_alpha", Less, "1_alpha_p1"),
            ("0.12", Less, "0.13_beta1"),
            ("0.13_beta1", Less, "0.13_beta2"),
            ("1.1_alpha1", Less, "1.1"),
            // Hashes and revisions.
            ("1.2", Less, "1.2~abc"),
            ("1.2~abc", Less, "1.2~abd"),
            ("1.2~abc-r0", Less, "1.2~abc-r1"),
            ("1.2-r1", Less, "1.2~abc"),
            ("1.2.4-r1", Less, "1.2.4-r2"),
            ("1.2.4-r9", Less, "1.2.4-r10"),
            ("1.2.4", Less, "1.2.4-r0"),
            ("1.2.4-r1", Equal, "1.2.4-r01"),
            ("1.3-r0", Less, "1.3.1-r0"),
            ("20050718-r1", Less, "20050718-r2"),
        ] {
            assert_eq!(compare(a, b), Ok(order), "{a} and {b}");
            assert_eq!(compare(b, a), Ok(order.reverse()), "{b} and {a}");
            assert_eq!(compare(a, a), Ok(Equal), "{a}");
        }
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for (text, error) in [
            ("", VersionError::Number),
            ("a1", VersionError::Number),
            ("-r1", VersionError::Number),
            ("1.", VersionError::Number),
            ("1..2", VersionError::Number),
            ("1-r", VersionError::Number),
            ("1.0bc", VersionError::Part),
            ("1a.2", VersionError::Part),
            ("1-1", VersionError::Part),
            ("1-r1-r2", VersionError::Part),
            ("1-r1_p1", VersionError::Part),
            ("1:2", VersionError::Part),
            ("1 2", VersionError::Part),
            ("1;rm", VersionError::Part),
            ("1\x1b", VersionError::Part),
            ("1ä", VersionError::Part),
            ("23_foo", VersionError::Suffix),
            ("1_", VersionError::Suffix),
            ("1_pp", VersionError::Suffix),
            ("1~", VersionError::Hash),
            ("1~xyz", VersionError::Hash),
            ("1~abc~def", VersionError::Part),
        ] {
            assert_eq!(Version::parse(text).map(|_| ()), Err(error), "{text:?}");
        }
        assert_eq!(Version::parse(&"1".repeat(257)).map(|_| ()), Err(VersionError::TooLong));
    }
}
