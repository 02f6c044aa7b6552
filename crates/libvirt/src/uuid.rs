//! A domain's UUID: what it is known by whatever it is called.

use std::fmt;
use std::str::FromStr;

/// 16 bytes; `Display` and `FromStr` have the form `c7a5fdbd-edaf-9455-926a-d65c16db1809`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid(pub [u8; 16]);

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// A text that is no UUID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is no UUID: 32 hexadecimal digits, with or without dashes")]
pub struct NoUuid;

impl FromStr for Uuid {
    type Err = NoUuid;

    fn from_str(text: &str) -> Result<Self, NoUuid> {
        let mut digits = text.trim().chars().filter(|c| *c != '-');
        let mut digit = || digits.next().and_then(|c| c.to_digit(16)).and_then(|d| u8::try_from(d).ok());
        let mut bytes = [0; 16];
        for byte in &mut bytes {
            *byte = digit().ok_or(NoUuid)? << 4 | digit().ok_or(NoUuid)?;
        }
        if digits.next().is_some() { Err(NoUuid) } else { Ok(Self(bytes)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_read_and_shown_alike() {
        let text = "c7a5fdbd-edaf-9455-926a-d65c16db1809";
        let uuid: Result<Uuid, _> = text.parse();
        assert_eq!(uuid.as_ref().map(ToString::to_string), Ok(text.to_owned()));
        assert_eq!("C7A5FDBDEDAF9455926AD65C16DB1809".parse(), uuid);
        for bad in
            ["", "c7a5fdbd", "c7a5fdbd-edaf-9455-926a-d65c16db18090", "g7a5fdbd-edaf-9455-926a-d65c16db1809"]
        {
            assert_eq!(bad.parse::<Uuid>(), Err(NoUuid), "{bad}");
        }
    }
}
