//! What a machine is, in one answer: a question costs whoever asks a process, and over a network a way there and back.

/// Its parts stand behind lines of their own.
pub(super) const WHO: &str = include_str!("who.sh");
/// The most of the answer that is read, in bytes: a file is a line in it, and a few thousand are many.
pub(super) const WHO_LIMIT: usize = 1024 * 1024;

/// The answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Who<'a> {
    /// os-release(5).
    pub release: &'a [u8],
    /// `dnf /usr/bin/dnf5`, a line each.
    programs: String,
    /// Digests and paths; empty where the machine has no programs to say them.
    pub sources: &'a [u8],
}

impl<'a> Who<'a> {
    /// Whatever is missing is empty. The machine writes its os-release: the last of these lines counts.
    pub fn read(answer: &'a [u8]) -> Self {
        let (release, rest) = apart(answer, b"\n# programs\n");
        let (programs, sources) = apart(rest, b"# sources\n");
        Self { release, programs: String::from_utf8_lossy(programs).into_owned(), sources }
    }

    /// Where a program is.
    pub fn program(&self, name: &str) -> Option<&str> {
        self.programs.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
    }
}

/// What is before and behind the last of these lines.
fn apart<'a>(text: &'a [u8], line: &[u8]) -> (&'a [u8], &'a [u8]) {
    match text.windows(line.len()).rposition(|window| window == line) {
        Some(at) => (&text[..at], &text[at + line.len()..]),
        None => (text, &[]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_apart() {
        let who =
            Who::read(b"ID=fedora\n\n# programs\ndnf /usr/bin/dnf5\n# sources\n0a1b  /etc/yum.repos.d/x\n");
        assert_eq!(who.release, b"ID=fedora\n");
        assert_eq!((who.program("dnf"), who.program("apt-get")), (Some("/usr/bin/dnf5"), None));
        assert_eq!(who.sources, b"0a1b  /etc/yum.repos.d/x\n");
        let latin =
            Who::read(b"ID=x\n\n# programs\napt-get /usr/bin/apt-get\n# sources\n0a  /etc/apt/m\xfcll\n");
        assert_eq!(latin.program("apt-get"), Some("/usr/bin/apt-get"), "whatever files are called");
    }

    #[test]
    fn what_a_release_says_makes_no_programs() {
        let who = Who::read(b"ID=x\n# programs\ndnf /tmp/dnf\n\n# programs\n# sources\n");
        assert_eq!(who.program("dnf"), None);
        assert_eq!(Who::read(b"nothing"), Who { release: b"nothing", programs: String::new(), sources: b"" });
    }
}
