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
    programs: &'a str,
    /// Digests and paths.
    pub sources: &'a str,
}

impl<'a> Who<'a> {
    /// Whatever is missing is empty. The machine writes its os-release: the last of these lines counts.
    pub fn read(answer: &'a [u8]) -> Self {
        const PROGRAMS: &[u8] = b"\n# programs\n";
        let at = answer.windows(PROGRAMS.len()).rposition(|window| window == PROGRAMS);
        let (release, rest) = match at {
            Some(at) => (&answer[..at], &answer[at + PROGRAMS.len()..]),
            None => (answer, &[][..]),
        };
        let rest = std::str::from_utf8(rest).unwrap_or_default();
        let (programs, sources) = rest.split_once("# sources\n").unwrap_or((rest, ""));
        Self { release, programs, sources }
    }

    /// Where a program is.
    pub fn program(&self, name: &str) -> Option<&'a str> {
        self.programs.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
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
        assert_eq!(who.sources, "0a1b  /etc/yum.repos.d/x\n");
    }

    #[test]
    fn what_a_release_says_makes_no_programs() {
        let who = Who::read(b"ID=x\n# programs\ndnf /tmp/dnf\n\n# programs\n# sources\n");
        assert_eq!(who.program("dnf"), None);
        assert_eq!(Who::read(b"nothing"), Who { release: b"nothing", programs: "", sources: "" });
    }
}
