//! A look at XML before it is read: how deep it goes, and how many attributes an element has.
//!
//! The reader compares each attribute of an element with all before it, which takes a time that grows with the
//! square of their number. Depth is bounded as well: readers before `roxmltree` 0.21.2 descended by calling
//! themselves, and libvirt's own refuses what is deeper than 256 levels, so that no domain is.

use super::XmlError;
use crate::message::LONGEST_STRING;

/// The deepest that elements may be in one another.
const DEEPEST: usize = 256;
/// The most attributes, namespaces among them, of an element.
const MOST_ATTRIBUTES: usize = 256;

/// Makes sure that the XML can be read. What is no XML passes, and is the reader's to refuse.
pub(super) fn check(xml: &str) -> Result<(), XmlError> {
    if xml.len() > LONGEST_STRING {
        return Err(XmlError::Excess { what: "more than 4 MiB" });
    }
    let mut depth = 0_usize;
    let mut rest = xml;
    while let Some(at) = rest.find('<') {
        rest = &rest[at..];
        // Neither a comment, nor raw text, nor an instruction has elements, whatever it looks like.
        let skipped = [("<!--", "-->"), ("<![CDATA[", "]]>"), ("<?", "?>")]
            .iter()
            .find_map(|(begin, end)| rest.strip_prefix(begin).map(|inside| past(inside, end)));
        if let Some(behind) = skipped {
            rest = behind;
            continue;
        }
        if rest.starts_with("</") {
            depth = depth.saturating_sub(1);
            rest = &rest[2..];
            continue;
        }
        let tag = tag(&rest[1..])?;
        depth += 1;
        if depth > DEEPEST {
            return Err(XmlError::Excess { what: "elements more than 256 deep in one another" });
        }
        if tag.closes {
            depth -= 1;
        }
        rest = tag.behind;
    }
    Ok(())
}

/// What stands behind the first `end`.
fn past<'a>(text: &'a str, end: &str) -> &'a str {
    text.split_once(end).map_or("", |(_, behind)| behind)
}

struct Tag<'a> {
    /// Whether it is an element without content.
    closes: bool,
    behind: &'a str,
}

/// An opening tag from behind its `<` on.
fn tag(text: &str) -> Result<Tag<'_>, XmlError> {
    let mut quote = None;
    let mut attributes = 0;
    let mut before = b'<';
    for (at, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            (Some(open), byte) if byte == open => quote = None,
            (Some(_), _) => {}
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, b'=') => {
                attributes += 1;
                if attributes > MOST_ATTRIBUTES {
                    return Err(XmlError::Excess { what: "an element with more than 256 attributes" });
                }
            }
            (None, b'>') => return Ok(Tag { closes: before == b'/', behind: &text[at + 1..] }),
            (None, _) => {}
        }
        before = byte;
    }
    Ok(Tag { closes: false, behind: "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(depth: usize) -> String {
        format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth))
    }

    #[test]
    fn depth_has_a_bound_however_it_is_hidden() {
        assert_eq!(check(&nested(DEEPEST)), Ok(()));
        assert!(check(&nested(DEEPEST + 1)).is_err());
        for hidden in [
            "<a><!-- </a> -->",
            "<a><![CDATA[</a>]]>",
            "<a><?x </a> ?>",
            "<a b='/>'>",
            "<a b=\"'/>\">",
            "<a b='>' c='</a>'>",
            "<a\n>",
            "<b/><a>",
        ] {
            assert!(check(&hidden.repeat(DEEPEST + 1)).is_err(), "{hidden}");
        }
        assert_eq!(check(&"<a/>".repeat(100_000)), Ok(()), "breadth is no depth");
        assert_eq!(check(&"<a><!-- <a> --></a>".repeat(1000)), Ok(()));
    }

    #[test]
    fn attributes_and_bytes_have_a_bound() {
        let attributes = |number: usize| {
            let attributes: String = (0..number).map(|n| format!(" a{n}='='")).collect();
            format!("<a{attributes}/>")
        };
        assert_eq!(check(&attributes(MOST_ATTRIBUTES)), Ok(()));
        assert!(check(&attributes(MOST_ATTRIBUTES + 1)).is_err());
        assert!(check(&" ".repeat(LONGEST_STRING + 1)).is_err());
    }

    #[test]
    fn what_is_no_xml_comes_to_an_end() {
        for text in ["", "<", "<a", "<a b='", "<!--", "<![CDATA[", "<?", "</", "a > b", "<é", "<!DOCTYPE a>"]
        {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }
}
