//! The last words of a process that may print without end.

use patchyard_types::{FailureKind, printable};

use super::system::PackageSystem;
use crate::swap::{Trouble, failed};

/// How much of the end is kept, in bytes.
const KEPT: usize = 64 * 1024;
/// How many lines of it are passed on.
const LINES: usize = 5;
/// The longest line passed on, in characters.
const LINE: usize = 300;

/// The end of an output, and a limit on the whole of it.
#[derive(Debug)]
pub(super) struct Tail {
    end: Vec<u8>,
    left: u64,
    limit: u64,
}

/// What a process left.
#[derive(Debug)]
pub(super) struct Output {
    /// Its exit code.
    pub exit: i64,
    /// The end of its outputs, in the order in which it was printed.
    pub tail: Tail,
}

impl Tail {
    /// Nothing yet, of at most `limit` bytes.
    pub const fn new(limit: u64) -> Self {
        Self { end: Vec::new(), left: limit, limit }
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// When it is too much: whoever prints that much will not stop.
    pub fn push(&mut self, piece: &[u8]) -> Result<(), Trouble> {
        let length = piece.len() as u64;
        self.end.extend_from_slice(&piece[piece.len().saturating_sub(KEPT)..]);
        if self.end.len() > 2 * KEPT {
            self.end.drain(..self.end.len() - KEPT);
        }
        if length > self.left {
            let most = self.limit / (1024 * 1024);
            let last = quote(&lines(&self.text()));
            let message = format!("the package manager printed more than {most} MiB and was stopped: {last}");
            return Err(failed(FailureKind::PackageManager, message));
        }
        self.left -= length;
        Ok(())
    }

    /// The end as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.end[self.end.len().saturating_sub(KEPT)..]).into_owned()
    }
}

/// The failure that a package manager's last words tell of.
pub(super) fn blamed(system: &impl PackageSystem, output: &Output) -> Trouble {
    let text = output.tail.text();
    let kind = if text.contains("No space left on device") || text.contains("more space on the") {
        FailureKind::NoSpace
    } else {
        FailureKind::PackageManager
    };
    let words = quote(&system.telling(&text));
    failed(kind, format!("the package manager failed (exit code {}): {words}", output.exit))
}

/// The lines that say something. A line that was drawn over itself counts as it was last seen.
pub(super) fn lines(text: &str) -> Vec<&str> {
    let seen = text.lines().map(|line| line.trim_end().rsplit('\r').next().unwrap_or_default());
    seen.filter(|line| !line.trim().is_empty()).collect()
}

/// The last few of these lines in one, fit to be shown: they come from strangers.
pub(super) fn quote(lines: &[&str]) -> String {
    let last = &lines[lines.len().saturating_sub(LINES)..];
    last.iter().map(|line| printable(line.trim(), LINE)).collect::<Vec<_>>().join(" | ")
}

#[cfg(test)]
mod tests {
    use patchyard_types::{Failure, StepError};

    use super::*;

    #[test]
    fn the_end_is_kept_and_the_whole_is_limited() {
        let mut tail = Tail::new(1024 * 1024);
        for _ in 0..15 {
            tail.push(&[b'x'; KEPT]).unwrap();
            assert!(tail.end.len() <= 2 * KEPT);
        }
        tail.push(b"\nlast \x1b[31mwords\n").unwrap();
        assert_eq!(lines(&tail.text()).last(), Some(&"last \u{1b}[31mwords"));
        let Err(Trouble::Step(StepError::Failed(Failure { kind, message }))) = tail.push(&[b'y'; KEPT])
        else {
            panic!("more than the limit was taken")
        };
        assert_eq!(kind, FailureKind::PackageManager);
        assert!(message.contains("1 MiB") && message.len() < 3000, "{message}");
    }

    #[test]
    fn a_few_lines_are_quoted_and_obeyed_by_no_terminal() {
        let text = "1\n2\n\n3\n(Reading 5%\r(Reading 100%\r(Reading done.\r\n4\n\x1b]0;owned\x07\n6\n";
        let quoted = quote(&lines(text));
        assert_eq!(quoted, "3 | (Reading done. | 4 | \\u{1b}]0;owned\\u{7} | 6");
    }
}
