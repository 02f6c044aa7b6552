//! Bytes to values.

use super::{XdrError, padding};

/// Reads values one behind the other.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads these bytes from their beginning.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], XdrError> {
        match self.bytes.split_at_checked(length) {
            Some((taken, rest)) => {
                self.bytes = rest;
                Ok(taken)
            }
            None => Err(XdrError::Short { missing: length - self.bytes.len() }),
        }
    }

    /// `opaque x[N]`.
    ///
    /// # Errors
    /// When the bytes end before.
    pub fn fixed<const N: usize>(&mut self) -> Result<[u8; N], XdrError> {
        let mut value = [0; N];
        value.copy_from_slice(self.take(N)?);
        self.take(padding(N))?;
        Ok(value)
    }

    /// `unsigned int`.
    ///
    /// # Errors
    /// When the bytes end before.
    pub fn u32(&mut self) -> Result<u32, XdrError> {
        self.fixed().map(u32::from_be_bytes)
    }

    /// `int`.
    ///
    /// # Errors
    /// When the bytes end before.
    pub fn i32(&mut self) -> Result<i32, XdrError> {
        self.fixed().map(i32::from_be_bytes)
    }

    /// `unsigned hyper`.
    ///
    /// # Errors
    /// When the bytes end before.
    pub fn u64(&mut self) -> Result<u64, XdrError> {
        self.fixed().map(u64::from_be_bytes)
    }

    /// `hyper`.
    ///
    /// # Errors
    /// When the bytes end before.
    pub fn i64(&mut self) -> Result<i64, XdrError> {
        self.fixed().map(i64::from_be_bytes)
    }

    /// `bool`.
    ///
    /// # Errors
    /// When it is neither 0 nor 1.
    pub fn bool(&mut self) -> Result<bool, XdrError> {
        match self.u32()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(XdrError::Unknown { value: i64::from(other) }),
        }
    }

    /// A number of bytes or elements that is said before them.
    fn length(&mut self, most: usize) -> Result<usize, XdrError> {
        let length = usize::try_from(self.u32()?).unwrap_or(usize::MAX);
        if length > most { Err(XdrError::TooLong { length, most }) } else { Ok(length) }
    }

    /// `opaque x<most>`.
    ///
    /// # Errors
    /// When there are more than `most`, or the bytes end before.
    pub fn opaque(&mut self, most: usize) -> Result<&'a [u8], XdrError> {
        let length = self.length(most)?;
        let value = self.take(length)?;
        self.take(padding(length))?;
        Ok(value)
    }

    /// `string x<most>`, `most` in bytes.
    ///
    /// # Errors
    /// As [`Reader::opaque`], and when it is not UTF-8.
    pub fn string(&mut self, most: usize) -> Result<String, XdrError> {
        let bytes = self.opaque(most)?;
        std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| XdrError::NotText)
    }

    /// `T *x`: a value that may be missing.
    ///
    /// # Errors
    /// As the value's own.
    pub fn optional<T>(
        &mut self,
        value: impl FnOnce(&mut Self) -> Result<T, XdrError>,
    ) -> Result<Option<T>, XdrError> {
        if self.bool()? { value(self).map(Some) } else { Ok(None) }
    }

    /// `T x<most>`: an array.
    ///
    /// # Errors
    /// When there are more than `most`, or more than there can be in the bytes that are left; and those of
    /// its elements.
    pub fn array<T>(
        &mut self,
        most: usize,
        element: impl Fn(&mut Self) -> Result<T, XdrError>,
    ) -> Result<Vec<T>, XdrError> {
        let length = self.length(most)?;
        // No element has fewer than four bytes.
        if let Some(missing) =
            length.saturating_mul(4).checked_sub(self.bytes.len()).filter(|missing| *missing > 0)
        {
            return Err(XdrError::Short { missing });
        }
        (0..length).map(|_| element(self)).collect()
    }

    /// Makes sure that nothing is left.
    ///
    /// # Errors
    /// [`XdrError::Rest`] when something is: then what was read is not what was sent.
    pub fn finish(self) -> Result<(), XdrError> {
        match self.bytes.len() {
            0 => Ok(()),
            left => Err(XdrError::Rest { left }),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::super::Writer;
    use super::*;

    /// The bytes are those of the standard's own figures, written down by hand.
    #[test]
    fn values_have_the_bytes_of_the_standard() {
        let table: [(Writer, &[u8]); 12] = [
            (Writer::new().u32(0x0102_0304), &[1, 2, 3, 4]),
            (Writer::new().i32(-2), &[0xff, 0xff, 0xff, 0xfe]),
            (Writer::new().u64(0x0102_0304_0506_0708), &[1, 2, 3, 4, 5, 6, 7, 8]),
            (Writer::new().i64(-1), &[0xff; 8]),
            (Writer::new().bool(true), &[0, 0, 0, 1]),
            (Writer::new().bool(false), &[0, 0, 0, 0]),
            (Writer::new().fixed(b"abcde"), b"abcde\0\0\0"),
            (Writer::new().opaque(b"abcd", 4), b"\0\0\0\x04abcd"),
            (Writer::new().string("", 4), b"\0\0\0\0"),
            (Writer::new().string("hi", 4), b"\0\0\0\x02hi\0\0"),
            (Writer::new().optional_string(None, 4), b"\0\0\0\0"),
            (Writer::new().optional_string(Some("a"), 4), b"\0\0\0\x01\0\0\0\x01a\0\0\0"),
        ];
        for (writer, bytes) in table {
            assert_eq!(writer.finish().unwrap(), bytes);
        }
        let list = Writer::new().strings(&["a", "bcde"], 2, 4).finish().unwrap();
        assert_eq!(list, b"\0\0\0\x02\0\0\0\x01a\0\0\0\0\0\0\x04bcde");
    }

    #[test]
    fn what_was_written_is_read_again() {
        let bytes = Writer::new()
            .u32(7)
            .i32(i32::MIN)
            .u64(u64::MAX)
            .i64(i64::MIN)
            .bool(true)
            .fixed(&[9; 16])
            .opaque(&[1, 2, 3], 3)
            .string("größe", 16)
            .optional_string(Some("x"), 1)
            .optional_string(None, 1)
            .strings(&["a", ""], 2, 1)
            .finish()
            .unwrap();
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.u32(), Ok(7));
        assert_eq!(reader.i32(), Ok(i32::MIN));
        assert_eq!(reader.u64(), Ok(u64::MAX));
        assert_eq!(reader.i64(), Ok(i64::MIN));
        assert_eq!(reader.bool(), Ok(true));
        assert_eq!(reader.fixed(), Ok([9; 16]));
        assert_eq!(reader.opaque(3), Ok(&[1, 2, 3][..]));
        assert_eq!(reader.string(16).as_deref(), Ok("größe"));
        assert_eq!(reader.optional(|r| r.string(1)), Ok(Some("x".to_owned())));
        assert_eq!(reader.optional(|r| r.string(1)), Ok(None));
        assert_eq!(reader.array(2, |r| r.string(1)), Ok(vec!["a".to_owned(), String::new()]));
        assert_eq!(reader.finish(), Ok(()));
    }

    #[test]
    fn hostile_bytes_are_errors_and_allocate_nothing() {
        let huge = [0xff; 4];
        assert!(matches!(Reader::new(&huge).opaque(100), Err(XdrError::TooLong { most: 100, .. })));
        assert!(matches!(Reader::new(&huge).opaque(usize::MAX), Err(XdrError::Short { .. })));
        assert!(matches!(Reader::new(&huge).array(100, Reader::u32), Err(XdrError::TooLong { .. })));
        assert!(matches!(Reader::new(&huge).array(usize::MAX, Reader::u32), Err(XdrError::Short { .. })));
        assert_eq!(Reader::new(&[0, 0, 0, 2]).bool(), Err(XdrError::Unknown { value: 2 }));
        assert_eq!(Reader::new(b"\0\0\0\x02\xff\xfe\0\0").string(8), Err(XdrError::NotText));
        // The padding is missing.
        assert_eq!(Reader::new(b"\0\0\0\x01a").string(8), Err(XdrError::Short { missing: 3 }));
        let mut reader = Reader::new(&[0; 6]);
        assert_eq!(reader.u32(), Ok(0));
        assert_eq!(reader.u32(), Err(XdrError::Short { missing: 2 }));
        assert_eq!(reader.finish(), Err(XdrError::Rest { left: 2 }));
    }

    #[test]
    fn a_message_that_is_cut_anywhere_is_an_error() {
        let bytes = Writer::new().string("abc", 8).u64(1).strings(&["x", "yz"], 4, 8).finish().unwrap();
        for end in 0..bytes.len() {
            let mut reader = Reader::new(&bytes[..end]);
            let all =
                reader.string(8).and_then(|_| reader.u64()).and_then(|_| reader.array(4, |r| r.string(8)));
            assert!(all.is_err(), "{end}");
        }
    }

    #[test]
    fn what_is_too_long_is_told_at_the_end() {
        let wrong = Writer::new().string("abc", 2).u32(1).finish();
        assert_eq!(wrong, Err(XdrError::TooLong { length: 3, most: 2 }));
        let wrong = Writer::new().strings(&["a", "b"], 1, 1).finish();
        assert_eq!(wrong, Err(XdrError::TooLong { length: 2, most: 1 }));
    }
}
