//! Which texts may be package names, architectures and versions at all: apk-package(5).
//!
//! Only what passes here ever becomes an argument of a command or a line on a terminal. apk takes patterns and operators, so that
//! nothing with a meaning in one may pass.

pub use crate::names::is_arch;
use crate::names::is_name;
use crate::version::apk::Version;

/// Letters, digits, `. _ + -`, the first a letter or digit. Names of virtual packages begin with a dot: they are none of these.
#[must_use]
pub fn is_package(text: &str) -> bool {
    // An argument with that in it is the path of a file to apk.
    is_name(text, |_| false) && !text.contains(".apk")
}

/// A version by apk's rules.
#[must_use]
pub fn is_version(text: &str) -> bool {
    Version::parse(text).is_ok()
}

/// Takes `name-version` apart: at the last dash that a digit follows.
pub(super) fn split(full: &str) -> Option<(&str, &str)> {
    let dash = full.as_bytes().windows(2).rposition(|pair| pair[0] == b'-' && pair[1].is_ascii_digit())?;
    let (name, version) = (&full[..dash], &full[dash + 1..]);
    (is_package(name) && is_version(version)).then_some((name, version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_a_package_is_one() {
        for good in ["musl", "libstdc++", "py3-pip", "7zip", "gtk+3.0", "font_x", "a"] {
            assert!(is_package(good), "{good}");
        }
        for bad in [
            "",
            "-x",
            ".build-deps",
            "a b",
            "a*",
            "a;b",
            "$(id)",
            "a/b",
            "a\n",
            "ä",
            "a=1",
            "a<b",
            "a@edge",
            "x.apk",
            "!a",
        ] {
            assert!(!is_package(bad), "{bad:?}");
        }
        assert!(is_arch("x86_64") && is_arch("noarch") && !is_arch("") && !is_arch("-x") && !is_arch("a b"));
        assert!(is_version("1.2.4_git20230717-r4") && !is_version("1.0-1") && !is_version(""));
    }

    #[test]
    fn a_name_ends_at_the_last_dash_before_a_digit() {
        assert_eq!(split("musl-1.2.4-r1"), Some(("musl", "1.2.4-r1")));
        assert_eq!(split("py3-7zip-2-1.0_p1-r0"), Some(("py3-7zip-2", "1.0_p1-r0")));
        for bad in ["musl", "-1.0", "musl-x", "a b-1", "musl-1.0-1\x1b"] {
            assert_eq!(split(bad), None, "{bad:?}");
        }
    }
}
