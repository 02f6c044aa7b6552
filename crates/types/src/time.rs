//! Durations as people write them (`90s`, `20m`) and as plans keep them (whole milliseconds).

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A duration in whole milliseconds: exact in JSON, equal in digests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// A duration of whole seconds.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs * 1000)
    }

    /// The same as a standard duration.
    #[must_use]
    pub const fn as_duration(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

impl From<Duration> for Millis {
    fn from(duration: Duration) -> Self {
        Self(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }
}

/// A text that is not a duration such as `90s`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseDurationError(String);

impl fmt::Display for ParseDurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "'{}' is not a duration: write a whole number and a unit, as in 500ms, 90s, 20m, 2h or 7d",
            self.0
        )
    }
}

impl std::error::Error for ParseDurationError {}

impl std::str::FromStr for Millis {
    type Err = ParseDurationError;

    fn from_str(text: &str) -> Result<Self, ParseDurationError> {
        let error = || ParseDurationError(crate::printable(text, 40));
        let unit_at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(error)?;
        let (number, unit) = text.split_at(unit_at);
        let factor: u64 = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60 * 1000,
            "h" => 60 * 60 * 1000,
            "d" => 24 * 60 * 60 * 1000,
            _ => return Err(error()),
        };
        number.parse::<u64>().ok().and_then(|n| n.checked_mul(factor)).map(Self).ok_or_else(error)
    }
}

impl fmt::Display for Millis {
    /// The way it would be said: `0.9 s`, `30 s`, `3 min`, `2 h`, `7 days`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ms if ms < 10_000 && ms % 1000 != 0 => write!(f, "{}.{} s", ms / 1000, ms % 1000 / 100),
            ms if ms < 120_000 => write!(f, "{} s", ms / 1000),
            ms if ms < 7_200_000 => write!(f, "{} min", ms / 60_000),
            ms if ms < 172_800_000 => write!(f, "{} h", ms / 3_600_000),
            ms => write!(f, "{} days", ms / 86_400_000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Millis;

    #[test]
    fn durations_are_read_with_their_unit_and_refused_without() {
        assert_eq!("90s".parse(), Ok(Millis::from_secs(90)));
        assert_eq!("7d".parse(), Ok(Millis::from_secs(7 * 86_400)));
        for bad in ["", "90", "s", "-1s", "1.5h", "1w", "99999999999999999999s"] {
            assert!(bad.parse::<Millis>().is_err(), "{bad}");
        }
    }

    #[test]
    fn durations_are_shown_as_they_would_be_said() {
        for (ms, text) in [(900, "0.9 s"), (30_000, "30 s"), (180_000, "3 min"), (604_800_000, "7 days")] {
            assert_eq!(Millis(ms).to_string(), text);
        }
    }
}
