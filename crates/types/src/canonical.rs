//! Canonical JSON: one text for one value, so that equal values have equal digests.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use serde::Serialize;
use serde_json::ser::Formatter;

/// JSON with object keys sorted (by their bytes as written) and no white space, so that equal values
/// give equal bytes. Values here hold no floats, whose text would depend on the formatter.
///
/// It is written in one pass: the plan of a large fleet has some hundred megabytes of tree in
/// `serde_json::Value`, and sorting that cost more than planning.
///
/// # Panics
/// Never for the types of this crate: they have string keys and no failing serializers.
#[must_use]
pub fn canonical_json<T: Serialize>(value: &T) -> String {
    let text = Text::default();
    let sorted = Sorted { text: text.clone(), open: Vec::new() };
    let written = value.serialize(&mut serde_json::Serializer::with_formatter(text.clone(), sorted));
    match (written, String::from_utf8(text.0.take())) {
        (Ok(()), Ok(text)) => text,
        (Err(error), _) => unreachable!("a value of this crate always serializes: {error}"),
        (_, Err(error)) => unreachable!("JSON is UTF-8: {error}"),
    }
}

/// What has been written. The serializer appends to it, and the formatter puts objects in order in it.
#[derive(Clone, Default)]
struct Text(Rc<RefCell<Vec<u8>>>);

impl Text {
    fn len(&self) -> usize {
        self.0.borrow().len()
    }
}

impl io::Write for Text {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where the parts of an object's member are in the text.
struct Member {
    key: std::ops::Range<usize>,
    end: usize,
}

/// Compact JSON whose members are put in order when their object ends.
struct Sorted {
    text: Text,
    /// Members of the objects that have not ended yet, the innermost last.
    open: Vec<Vec<Member>>,
}

impl Formatter for Sorted {
    fn begin_object<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open.push(Vec::new());
        writer.write_all(b"{")
    }

    /// No comma here: which member comes first is not known yet.
    fn begin_object_key<W: io::Write + ?Sized>(&mut self, _: &mut W, _first: bool) -> io::Result<()> {
        let start = self.text.len();
        if let Some(members) = self.open.last_mut() {
            members.push(Member { key: start..start, end: start });
        }
        Ok(())
    }

    fn end_object_key<W: io::Write + ?Sized>(&mut self, _: &mut W) -> io::Result<()> {
        if let Some(member) = self.open.last_mut().and_then(|members| members.last_mut()) {
            // Without its quotes: `a` comes before `a b`.
            member.key = member.key.start + 1..self.text.len() - 1;
        }
        Ok(())
    }

    fn end_object_value<W: io::Write + ?Sized>(&mut self, _: &mut W) -> io::Result<()> {
        if let Some(member) = self.open.last_mut().and_then(|members| members.last_mut()) {
            member.end = self.text.len();
        }
        Ok(())
    }

    fn end_object<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        let mut members = self.open.pop().unwrap_or_default();
        if let Some(first) = members.first() {
            let mut text = self.text.0.borrow_mut();
            let unsorted = text.split_off(first.key.start - 1);
            let start = text.len();
            let of = |range: std::ops::Range<usize>| &unsorted[range.start - start..range.end - start];
            members.sort_by(|a, b| of(a.key.clone()).cmp(of(b.key.clone())));
            for (index, member) in members.iter().enumerate() {
                if index > 0 {
                    text.push(b',');
                }
                text.extend_from_slice(of(member.key.start - 1..member.end));
            }
        }
        writer.write_all(b"}")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use super::canonical_json;

    #[test]
    fn keys_are_sorted_at_every_depth_and_there_is_no_white_space() {
        #[derive(serde::Serialize)]
        struct Outer<'a> {
            b: Vec<Option<Inner<'a>>>,
            a: Inner<'a>,
            empty: BTreeMap<u8, u8>,
        }
        #[derive(serde::Serialize, Clone, Copy)]
        struct Inner<'a> {
            #[serde(rename = "z \"q\"")]
            quoted: &'a str,
            c: u64,
        }
        let inner = Inner { quoted: "tab\t, quote\", é", c: u64::MAX };
        let text = canonical_json(&Outer { b: vec![Some(inner), None], a: inner, empty: BTreeMap::new() });
        let one = r#"{"c":18446744073709551615,"z \"q\"":"tab\t, quote\", é"}"#;
        assert_eq!(text, format!(r#"{{"a":{one},"b":[{one},null],"empty":{{}}}}"#));
    }

    #[test]
    fn a_key_comes_before_those_that_it_begins() {
        let keys = HashMap::from([("a b", 1), ("a", 2), ("ab", 3), ("", 4), ("a!", 5)]);
        assert_eq!(canonical_json(&keys), r#"{"":4,"a":2,"a b":1,"a!":5,"ab":3}"#);
    }

    #[test]
    fn it_is_the_text_of_a_sorted_tree() {
        let text = r#"{"b":[{"y":{"k":[]},"x":-1},{}],"a":{"d":false,"c":{"b":null,"a":"ü"}}}"#;
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        // `Value` keeps its members in a sorted map.
        assert_eq!(canonical_json(&value), value.to_string());
    }
}
