//! What is told when a machine, or its package manager, does not answer: why, and what to do.

use patchyard_assess::deb::apt::words::{Trouble, trouble, without_credentials};
use patchyard_contract::{ProviderError, TransportError};
use patchyard_guest::GuestError;

/// A machine is told by its name in the configuration; the way to it may be called otherwise.
pub(crate) fn no_way(name: &str, error: TransportError) -> ProviderError {
    match error {
        TransportError::Unreachable { reason, .. } => {
            ProviderError::Unreachable { host: name.to_owned(), reason }
        }
        TransportError::TimedOut { program, after, .. } => ProviderError::Unreachable {
            host: name.to_owned(),
            reason: format!("{program} did not end within {} s", after.as_secs()),
        },
        other => ProviderError::NoWayIn(other),
    }
}

/// What an error in the machine means for the question that was asked.
pub(crate) fn no_answer(name: &str, error: GuestError) -> ProviderError {
    match error {
        GuestError::Transport(TransportError::TimedOut { program, after, .. }) => ProviderError::NoAnswer {
            reason: format!("{program} did not end within {} s", after.as_secs()),
            hint: "look at the machine: is it overloaded, does a repository hang?".to_owned(),
        },
        GuestError::Transport(error) => no_way(name, error),
        GuestError::Failed { words, program, code, .. } => {
            let words = without_credentials(&words);
            let hint = hint(&words);
            let reason = match words.is_empty() {
                true => format!("{program} ended with exit code {code}"),
                false => words,
            };
            ProviderError::NoAnswer { reason, hint }
        }
        GuestError::NoPackageManager { seen, .. } => ProviderError::NoAnswer {
            reason: format!("no package manager that is known here: {seen}"),
            hint: "apt, dnf, zypper and apk are known".to_owned(),
        },
        other @ (GuestError::Locked { .. }
        | GuestError::Refused { .. }
        | GuestError::NoSense { .. }
        | GuestError::BadJobId { .. }) => {
            ProviderError::NoAnswer { reason: other.to_string(), hint: String::new() }
        }
    }
}

/// What the operator can do about an error of apt's on a machine; empty where its words say it all.
fn hint(words: &str) -> String {
    let hint = match trouble(words) {
        Some(Trouble::Key) if words.contains("EXPKEYSIG") => {
            "the repository's key has expired: put its new one in place of the old one (Signed-By, /etc/apt/keyrings)"
        }
        Some(Trouble::Key) => {
            "the repository's key is missing or wrong: put it under /etc/apt/keyrings (Signed-By)"
        }
        Some(Trouble::Mirror) => {
            "the mirror is being updated or serves wrong files: try again later, or use another mirror"
        }
        Some(Trouble::Dates) => "the mirror is out of date or the machine's clock is wrong: check both",
        Some(Trouble::Certificate) => {
            "the repository's certificate is not trusted: is ca-certificates up to date?"
        }
        Some(Trouble::Credentials) => {
            "the repository or the proxy wants credentials: put them into /etc/apt/auth.conf.d"
        }
        Some(Trouble::Gone) => {
            "the repository is no longer there: is the release past its end of life? Change the machine's sources"
        }
        Some(Trouble::Network) => "check that the machine reaches the repository (proxy, DNS, firewall)",
        Some(Trouble::NoSpace) => "free disk space on the machine",
        None if words.contains("dpkg was interrupted") || words.contains("--configure -a") => {
            "finish it on the machine: dpkg --configure -a"
        }
        None => "",
    };
    hint.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_trouble_has_its_advice() {
        for (words, part) in [
            (
                "GPG error: http://x InRelease: The following signatures were invalid: EXPKEYSIG 0123 Lab",
                "has expired",
            ),
            ("The repository 'http://x y InRelease' is not signed.", "Signed-By"),
            ("Release file for http://x/InRelease is not valid yet (invalid for another 2d).", "clock"),
            ("dpkg was interrupted, you must manually run 'dpkg --configure -a'", "--configure -a"),
            ("Temporary failure resolving 'deb.example'", "DNS"),
        ] {
            assert!(hint(words).contains(part), "{words}: {}", hint(words));
        }
        assert_eq!(hint("something else"), "");
    }

    #[test]
    fn a_lost_connection_is_of_the_machine_and_not_of_its_packages() {
        let lost =
            TransportError::Unreachable { host: "ops@10.0.0.7".to_owned(), reason: "it broke".to_owned() };
        let error = no_answer("web", lost.into());
        assert_eq!(error.to_string(), "cannot reach web: it broke");
        let asks = TransportError::SudoPassword { host: "web".to_owned() };
        assert!(matches!(no_answer("web", asks.into()), ProviderError::NoWayIn(_)));
    }
}
