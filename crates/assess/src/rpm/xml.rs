//! As much of XML as zypper prints: elements with attributes, in order.
//!
//! Text between elements is passed over, but for messages. The answers come from a machine: what is not closed or
//! not quoted ends the reading.

/// An element's start: its name and attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Element<'a> {
    pub name: &'a str,
    attributes: &'a str,
    /// What follows it, up to the next element: text, still escaped.
    pub text: &'a str,
}

impl Element<'_> {
    pub(super) fn attribute(&self, wanted: &str) -> Option<String> {
        let mut rest = self.attributes;
        while let Some((name, after)) = rest.split_once('=') {
            let after = after.trim_start();
            let quote = after.chars().next().filter(|c| *c == '"' || *c == '\'')?;
            let (value, next) = after[1..].split_once(quote)?;
            if name.trim() == wanted {
                return Some(unescape(value));
            }
            rest = next;
        }
        None
    }
}

/// Every element's start and end (`/name`), in order.
pub(super) fn elements(text: &str) -> impl Iterator<Item = Element<'_>> {
    text.split('<').skip(1).filter_map(|piece| {
        let (inside, text) = piece.split_once('>')?;
        let inside = inside.trim_end_matches('/');
        let (name, attributes) = inside.split_once(char::is_whitespace).unwrap_or((inside, ""));
        Some(Element { name, attributes, text })
    })
}

/// The five entities that zypper writes.
pub(super) fn unescape(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&apos;", "'")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_found_and_unescaped() {
        let text = "<?xml version='1.0'?>\n<stream>\n<a b=\"1 &lt; 2\" c='it\"s' d=\"&amp;lt;\"/>words &amp; more</stream>";
        let all: Vec<_> = elements(text).collect();
        let names: Vec<&str> = all.iter().map(|element| element.name).collect();
        assert_eq!(names, ["?xml", "stream", "a", "/stream"]);
        let a = &all[2];
        assert_eq!(a.attribute("b").as_deref(), Some("1 < 2"));
        assert_eq!(a.attribute("c").as_deref(), Some("it\"s"));
        assert_eq!(a.attribute("d").as_deref(), Some("&lt;"));
        assert_eq!(a.attribute("e"), None);
        assert_eq!(unescape(a.text), "words & more");
        for broken in ["<a b=1>", "<a b=\"1>", "<a b", "<", "<>", "<a =>"] {
            assert!(elements(broken).all(|element| element.attribute("b").is_none()), "{broken}");
        }
    }
}
