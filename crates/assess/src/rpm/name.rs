//! Which texts may be package names, architectures and versions at all.
//!
//! Only what passes here ever becomes an argument of a command or a line on a terminal. dnf and zypper take
//! patterns, so that nothing with a meaning in one may pass.

pub use crate::names::is_arch;
use crate::names::is_name;

/// The longest version accepted.
const MAX_VERSION: usize = 256;

/// Letters, digits, `. _ + -`, the first a letter, a digit or `_`.
#[must_use]
pub fn is_package(text: &str) -> bool {
    is_name(text, |b| b == b'_')
}

/// `[epoch:]version-release`.
#[must_use]
pub fn is_version(text: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._+~^".contains(&b))
    };
    let (epoch, rest) = text.split_once(':').unwrap_or(("0", text));
    let Some((version, release)) = rest.split_once('-') else { return false };
    text.len() <= MAX_VERSION
        && !epoch.is_empty()
        && epoch.bytes().all(|b| b.is_ascii_digit())
        && part(version)
        && part(release)
        && version.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_a_package_is_one() {
        for good in ["bash", "libstdc++", "kernel-core", "389-ds-base", "_x", "python3.11"] {
            assert!(is_package(good), "{good}");
        }
        for bad in
            ["", "-x", ".x", "a b", "a*", "a[b]", "a;b", "$(id)", "a/b", "a\n", "ä", "a=1", "a<b", "@core"]
        {
            assert!(!is_package(bad), "{bad:?}");
        }
        assert!(
            is_arch("x86_64") && is_arch("noarch") && !is_arch("(none)") && !is_arch("-x") && !is_arch("")
        );
        for good in ["1.0-1", "2:1.0~rc1^git5-3.fc37", "1-1.module_el9+1+2", "20240101-0"] {
            assert!(is_version(good), "{good}");
        }
        for bad in ["", "1.0", "-1", "1-", "a:1-1", ":1-1", "1-1-1", "1.0-1*", "~1-1", "1 0-1", "1-1;"] {
            assert!(!is_version(bad), "{bad}");
        }
    }
}
