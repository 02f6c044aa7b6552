//! How documents become text: one line, harmless on a terminal, and never endless.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CharEscape, CompactFormatter, Formatter, Serializer};

/// Longer texts are cut, with an ellipsis at their end. What Patchyard says itself is far shorter;
/// what a target says may be of any length.
const MAX_TEXT: usize = 4096;

/// A document as one line of JSON, without a line end.
///
/// Texts keep their meaning, control characters of a target included, but everything outside of
/// printable ASCII is written as an escape: a terminal, a log and every locale can take the line.
#[must_use]
pub fn line(document: &impl Serialize) -> String {
    let mut out = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut out, Ascii::default());
    match document.serialize(&mut serializer) {
        Ok(()) => String::from_utf8_lossy(&out).into_owned(),
        Err(error) => unreachable!("a document has string keys and no failing serializer: {error}"),
    }
}

/// Writes printable ASCII only, and no text longer than [`MAX_TEXT`].
#[derive(Default)]
struct Ascii {
    /// Characters of the present text so far.
    length: usize,
}

impl Ascii {
    /// Counts one more character and tells whether there is room for it.
    fn has_room(&mut self) -> bool {
        self.length += 1;
        self.length <= MAX_TEXT
    }
}

impl Formatter for Ascii {
    fn begin_string<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.length = 0;
        writer.write_all(b"\"")
    }

    fn end_string<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        if self.length > MAX_TEXT {
            escape(writer, '…')?;
        }
        writer.write_all(b"\"")
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, text: &str) -> io::Result<()> {
        for c in text.chars() {
            if !self.has_room() {
                break;
            }
            match c {
                ' '..='~' => writer.write_all(&[c as u8])?,
                _ => escape(writer, c)?,
            }
        }
        Ok(())
    }

    fn write_char_escape<W: ?Sized + Write>(&mut self, writer: &mut W, c: CharEscape) -> io::Result<()> {
        if self.has_room() { CompactFormatter.write_char_escape(writer, c) } else { Ok(()) }
    }
}

/// JSON escapes are UTF-16: what does not fit into one unit takes two.
fn escape<W: ?Sized + Write>(writer: &mut W, c: char) -> io::Result<()> {
    c.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(writer, "\\u{unit:04x}"))
}

#[cfg(test)]
mod tests {
    use super::{MAX_TEXT, line};

    #[test]
    fn whatever_a_target_says_arrives_unchanged_and_touches_no_terminal() {
        let text = "a\u{1b}[31mb\n\u{7f}\u{9b}\u{202e}\u{2028}\"\\ünï🦀\0";
        let json = line(&text);
        assert!(json.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{json}");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }

    #[test]
    fn a_text_without_an_end_gets_one() {
        for filler in ["x", "é", "\n", "🦀"] {
            let exact = filler.repeat(MAX_TEXT);
            assert_eq!(serde_json::from_str::<String>(&line(&exact)).unwrap(), exact);
            let endless = filler.repeat(MAX_TEXT * 3);
            assert_eq!(serde_json::from_str::<String>(&line(&endless)).unwrap(), format!("{exact}…"));
        }
        // Every text has the whole room, keys included.
        let map = std::collections::BTreeMap::from([("k".repeat(9000), "v".repeat(4000))]);
        let read: serde_json::Value = serde_json::from_str(&line(&map)).unwrap();
        let (key, value) = read.as_object().unwrap().iter().next().unwrap();
        assert_eq!((key.chars().count(), value.as_str().unwrap().len()), (MAX_TEXT + 1, 4000));
    }
}
