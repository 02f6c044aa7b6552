//! Values to bytes.

use super::{XdrError, padding};

/// Writes values one behind the other.
///
/// What is too long is remembered and told at the [end](Writer::finish), so that values can be written in a
/// row.
#[derive(Debug, Clone, Default)]
pub struct Writer {
    bytes: Vec<u8>,
    wrong: Option<XdrError>,
}

impl Writer {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// `unsigned int`, and enumerations.
    #[must_use]
    pub fn u32(mut self, value: u32) -> Self {
        self.bytes.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// `int`.
    #[must_use]
    pub fn i32(mut self, value: i32) -> Self {
        self.bytes.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// `unsigned hyper`.
    #[must_use]
    pub fn u64(mut self, value: u64) -> Self {
        self.bytes.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// `hyper`.
    #[must_use]
    pub fn i64(mut self, value: i64) -> Self {
        self.bytes.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// `bool`.
    #[must_use]
    pub fn bool(self, value: bool) -> Self {
        self.u32(u32::from(value))
    }

    /// `opaque x[n]`: bytes whose number both sides know.
    #[must_use]
    pub fn fixed(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self.bytes.extend_from_slice(&[0; 3][..padding(bytes.len())]);
        self
    }

    /// `opaque x<most>`: bytes behind their number.
    #[must_use]
    pub fn opaque(mut self, bytes: &[u8], most: usize) -> Self {
        match u32::try_from(bytes.len()) {
            Ok(length) if bytes.len() <= most => self.u32(length).fixed(bytes),
            _ => {
                self.wrong.get_or_insert(XdrError::TooLong { length: bytes.len(), most });
                self
            }
        }
    }

    /// `string x<most>`, `most` in bytes.
    #[must_use]
    pub fn string(self, text: &str, most: usize) -> Self {
        self.opaque(text.as_bytes(), most)
    }

    /// `string *x`: one that may be missing.
    #[must_use]
    pub fn optional_string(self, text: Option<&str>, most: usize) -> Self {
        match text {
            Some(text) => self.bool(true).string(text, most),
            None => self.bool(false),
        }
    }

    /// `string x<most>[]`: a list of at most `most` strings of at most `longest` bytes each.
    #[must_use]
    pub fn strings(mut self, texts: &[&str], most: usize, longest: usize) -> Self {
        match u32::try_from(texts.len()) {
            Ok(length) if texts.len() <= most => {
                texts.iter().fold(self.u32(length), |writer, text| writer.string(text, longest))
            }
            _ => {
                self.wrong.get_or_insert(XdrError::TooLong { length: texts.len(), most });
                self
            }
        }
    }

    /// The bytes.
    ///
    /// # Errors
    /// [`XdrError::TooLong`] when a value was.
    pub fn finish(self) -> Result<Vec<u8>, XdrError> {
        self.wrong.map_or(Ok(self.bytes), Err)
    }
}
