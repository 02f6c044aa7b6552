//! Becoming root on the machine: not needed, by sudo without a password, by sudo with one.

use std::fmt;

use patchyard_contract::{Output, TransportError};
use patchyard_types::printable;

/// How programs come to run as root.
#[derive(Clone, PartialEq, Eq)]
pub enum Privilege {
    /// The user is root already.
    Root,
    /// `sudo`, which must not ask.
    Sudo,
    /// `sudo`, which may ask for this password. It travels on standard input and is never an argument.
    SudoWith(String),
}

/// Without the password.
impl fmt::Debug for Privilege {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Root => "Root",
            Self::Sudo => "Sudo",
            Self::SudoWith(_) => "SudoWith(…)",
        })
    }
}

/// Stands before the program's own input.
const MARK: &str = "patchyard-input";
/// sudo takes the password off the input only when it asks for one, and nobody can know beforehand whether it will. So the
/// program's input begins after a line that is known, and what stands before that was for sudo.
const AFTER_MARK: &str =
    "IFS= read -r line; [ \"$line\" = patchyard-input ] || IFS= read -r line; exec \"$@\"";

impl Privilege {
    /// The command and its input as root's.
    pub(super) fn wrap(&self, argv: Vec<String>, stdin: Vec<u8>) -> (Vec<String>, Vec<u8>) {
        let before: &[&str] = match self {
            Self::Root => return (argv, stdin),
            Self::Sudo => &["sudo", "-n", "--"],
            // -k: what sudo remembers of an earlier answer does not count, so that it is the same each time.
            Self::SudoWith(_) => &["sudo", "-S", "-k", "-p", "", "--", "sh", "-c", AFTER_MARK, "sh"],
        };
        let argv = before.iter().map(|argument| (*argument).to_owned()).chain(argv).collect();
        match self {
            Self::SudoWith(password) => {
                let first = format!("{}\n{MARK}\n", password.replace(['\n', '\0'], ""));
                (argv, [first.into_bytes(), stdin].concat())
            }
            Self::Root | Self::Sudo => (argv, stdin),
        }
    }

    /// What sudo itself says against it, in the output of a command that [`Self::wrap`] made.
    pub(super) fn objection(&self, host: &str, output: &Output) -> Option<TransportError> {
        if *self == Self::Root || output.code != 1 || !output.stdout.is_empty() {
            return None;
        }
        let words = String::from_utf8_lossy(&output.stderr);
        let host = host.to_owned();
        for line in words.lines().map(str::trim) {
            let refused = line.contains(" is not in the sudoers file")
                || line.contains(" is not allowed to execute ")
                || line.contains(" may not run sudo");
            if refused {
                return Some(TransportError::SudoDenied { host, reason: printable(line, 200) });
            }
            let Some(says) = line.strip_prefix("sudo: ") else { continue };
            if says.contains("incorrect password attempt") || says == "no password was provided" {
                return Some(match self {
                    Self::SudoWith(_) => TransportError::SudoWrongPassword { host },
                    Self::Root | Self::Sudo => TransportError::SudoPassword { host },
                });
            }
            if says == "a password is required" || says.starts_with("a terminal is required") {
                return Some(match self {
                    // It has read ours, wants another, and there is none.
                    Self::SudoWith(_) => TransportError::SudoWrongPassword { host },
                    Self::Root | Self::Sudo => TransportError::SudoPassword { host },
                });
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(stderr: &str) -> Output {
        Output { code: 1, stdout: Vec::new(), stderr: stderr.as_bytes().to_vec() }
    }

    #[test]
    fn the_password_is_no_argument_and_in_no_debug_output() {
        let privilege = Privilege::SudoWith("s3cret".to_owned());
        let (argv, stdin) = privilege.wrap(vec!["id".to_owned()], b"input".to_vec());
        assert!(argv.iter().all(|argument| !argument.contains("s3cret")));
        assert_eq!(stdin, b"s3cret\npatchyard-input\ninput");
        assert!(!format!("{privilege:?}").contains("s3cret"));
        assert!(AFTER_MARK.contains(MARK));
    }

    #[test]
    fn what_sudo_says_is_told_from_what_programs_say() {
        let host = "web01";
        let asks = Privilege::Sudo.objection(host, &said("sudo: a password is required\n"));
        assert_eq!(asks, Some(TransportError::SudoPassword { host: host.to_owned() }));
        let wrong = "Sorry, try again.\nsudo: no password was provided\nsudo: 1 incorrect password attempt\n";
        let wrong = Privilege::SudoWith(String::new()).objection(host, &said(wrong));
        assert_eq!(wrong, Some(TransportError::SudoWrongPassword { host: host.to_owned() }));
        let denied = Privilege::Sudo.objection(host, &said("bob is not in the sudoers file.\n"));
        assert!(matches!(denied, Some(TransportError::SudoDenied { .. })));
        assert_eq!(Privilege::Sudo.objection(host, &said("E: no\n")), None);
        assert_eq!(Privilege::Root.objection(host, &said("sudo: a password is required\n")), None);
        let printed = Output { stdout: b"x".to_vec(), ..said("sudo: a password is required\n") };
        assert_eq!(Privilege::Sudo.objection(host, &printed), None, "the program ran");
    }
}
