//! Text that came from a target is untrusted: this is where it becomes safe to show.

/// Makes `text` safe for a terminal and a log line: control characters (C0, C1, DEL, line
/// separators, bidirectional overrides) become `\u{..}` escapes, and it is cut at `limit` characters.
#[must_use]
pub fn printable(text: &str, limit: usize) -> String {
    let mut out = String::with_capacity(text.len().min(limit));
    for (count, c) in text.chars().enumerate() {
        if count == limit {
            out.push('…');
            break;
        }
        if is_unsafe(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn terminal_controls_are_shown_not_obeyed() {
        assert_eq!(printable("a\x1b[31mb\nc", 100), "a\\u{1b}[31mb\\u{a}c");
        assert_eq!(printable("x\u{202e}y\u{9b}", 100), "x\\u{202e}y\\u{9b}");
    }

    #[test]
    fn long_text_is_cut_by_characters_not_bytes() {
        assert_eq!(printable("äöüß", 2), "äö…");
        assert_eq!(printable("äö", 2), "äö");
    }
}
