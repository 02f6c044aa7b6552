//! What the operator can do about an error of apt's in a container.

use patchyard_assess::deb::apt::words::{Trouble, trouble};

/// What the operator can do about it; empty where apt's words say it all.
pub(super) fn hint(reason: &str) -> String {
    let hint = match trouble(reason) {
        Some(Trouble::Key) => {
            "put the repository's key into the image (Signed-By) or take the repository out of its sources"
        }
        Some(Trouble::Mirror) => {
            "the mirror is being updated or serves wrong files: try again later, or use another mirror"
        }
        Some(Trouble::Dates) => "the mirror is out of date or a clock is wrong: check both",
        Some(Trouble::Certificate) => {
            "the repository's certificate is not trusted in the container: a private CA has to be in its image"
        }
        Some(Trouble::Credentials) => {
            "the repository or the proxy wants credentials: put them into /etc/apt/auth.conf.d of the image"
        }
        Some(Trouble::Gone) => {
            "the repository is no longer there: is the release past its end of life? Change the image's sources"
        }
        Some(Trouble::Network) => {
            "check that a container on the same network reaches the repository (proxy, DNS, firewall)"
        }
        Some(Trouble::NoSpace) => "free disk space on the engine's host",
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
            ("The repository 'http://x y InRelease' is not signed.", "key"),
            ("Failed to fetch http://x  Hash Sum mismatch", "mirror"),
            ("Release file for http://x/InRelease is expired (invalid since 2d).", "clock"),
            ("Certificate verification failed: The certificate is NOT trusted.", "CA"),
            ("Failed to fetch http://x  401  Unauthorized", "credentials"),
            ("The repository 'http://x' does not have a Release file.", "end of life"),
            ("Temporary failure resolving 'deb.example'", "DNS"),
        ] {
            assert!(hint(words).contains(part), "{words}: {}", hint(words));
        }
        assert_eq!(hint("something else"), "");
    }
}
