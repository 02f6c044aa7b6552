//! Exit codes: one number that tells a script what to do next.

/// How a verb ended, in the order in which one outweighs another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Done, or nothing to do.
    Done,
    /// Patches are pending (`--detailed-exitcode` only).
    Pending,
    /// Usage or bad input.
    Usage,
    /// Paused or aborted.
    Paused,
    /// Refused: lock, quarantine, approval.
    Refused,
    /// Something was rolled back or failed.
    Failed,
    /// Cannot reach.
    Unreachable,
    /// Internal error.
    Internal,
    /// Needs attention.
    Attention,
}

impl Exit {
    /// The number. Documented in the help text and the user guide; never changes.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Internal => 1,
            Self::Usage => 2,
            Self::Unreachable => 3,
            Self::Refused => 4,
            Self::Failed => 5,
            Self::Attention => 6,
            Self::Paused => 7,
            Self::Pending => 10,
        }
    }

    /// Both happened: the weightier one is told.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        self.max(other)
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::Exit;

    #[test]
    fn the_weightier_one_is_told() {
        // The order the command line's contract gives; pending weighs least of all that happened.
        let order = [
            Exit::Attention,
            Exit::Internal,
            Exit::Unreachable,
            Exit::Failed,
            Exit::Refused,
            Exit::Paused,
            Exit::Usage,
            Exit::Pending,
            Exit::Done,
        ];
        assert_eq!(order.map(Exit::code), [6, 1, 3, 5, 4, 7, 2, 10, 0]);
        for pair in order.windows(2) {
            assert_eq!(pair[1].and(pair[0]), pair[0]);
            assert_eq!(pair[0].and(pair[1]), pair[0]);
        }
    }
}
