//! Breaking text so that it fits a terminal. Names are never broken: a word that is too long has a line
//! of its own.

use anstream::adapter::strip_str;
use unicode_width::UnicodeWidthStr;

/// What a broken line's rest is indented by, beyond the line itself.
const INDENT: usize = 2;

/// How many columns a text takes on a terminal; colours take none.
fn columns(text: &str) -> usize {
    strip_str(text).to_string().width()
}

/// Breaks a text at spaces so that each line fits.
pub fn wrap(text: &str, width: Option<usize>) -> Vec<String> {
    let Some(width) = width else { return vec![text.to_owned()] };
    let mut lines: Vec<String> = Vec::new();
    let (mut used, mut gap) = (0, 0);
    for word in text.split(' ') {
        if word.is_empty() {
            gap += 1;
            continue;
        }
        let long = columns(word);
        match lines.last_mut() {
            Some(line) if used + gap + long <= width => {
                line.push_str(&" ".repeat(gap));
                line.push_str(word);
                used += gap + long;
            }
            _ => {
                lines.push(word.to_owned());
                used = long;
            }
        }
        gap = 1;
    }
    lines
}

/// Breaks those lines of a text that are wider than a terminal; the rest of each goes below it, a little
/// further in.
pub fn fit(text: &str, width: usize) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let whole = line.trim_end_matches('\n');
        if columns(whole) <= width {
            out.push_str(line);
            continue;
        }
        let indent = whole.len() - whole.trim_start_matches(' ').len();
        let room = width.saturating_sub(indent + INDENT);
        for (index, part) in wrap(whole, Some(room)).into_iter().enumerate() {
            out.push_str(&" ".repeat(if index == 0 { indent } else { indent + INDENT }));
            out.push_str(&part);
            out.push('\n');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_spaces_and_keep_those_between() {
        assert_eq!(wrap("one  two three", Some(8)), ["one  two", "three"]);
        assert_eq!(wrap("  a-word-that-is-too-long b", Some(8)), ["a-word-that-is-too-long", "b"]);
        assert_eq!(wrap("as  it is", None), ["as  it is"]);
    }

    #[test]
    fn colours_take_no_columns() {
        assert_eq!(wrap("\u{1b}[31mred\u{1b}[0m ink", Some(7)), ["\u{1b}[31mred\u{1b}[0m ink"]);
    }

    #[test]
    fn only_what_is_too_wide_is_broken_and_its_rest_is_indented() {
        assert_eq!(fit("short\n  this is too wide\nend\n", 12), "short\n  this is\n    too wide\nend\n");
        assert_eq!(fit("fits", 4), "fits");
    }
}
