//! Which texts may be package names, architectures and versions at all: Debian Policy §5.6.
//!
//! Only what passes here ever becomes an argument of a command or a line on a terminal.

use crate::version::dpkg::Version;

/// The longest package name accepted; the longest in Debian's archive has under 80 characters.
const MAX_NAME: usize = 128;
/// The longest architecture accepted (`kfreebsd-amd64`, `musl-linux-mips64r6el`).
const MAX_ARCH: usize = 32;

/// Policy §5.6.1: lower-case letters, digits, `+ - .`, at least two, the first alphanumeric.
pub fn is_package(text: &str) -> bool {
    (2..=MAX_NAME).contains(&text.len())
        && text.as_bytes()[0].is_ascii_alphanumeric()
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b))
}

/// Lower-case letters, digits and hyphens, the first alphanumeric.
pub fn is_arch(text: &str) -> bool {
    (1..=MAX_ARCH).contains(&text.len())
        && text.as_bytes()[0].is_ascii_alphanumeric()
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// Policy §5.6.12, and the first character alphanumeric, so that it is never taken for an option.
pub fn is_version(text: &str) -> bool {
    text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric()) && Version::parse(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_policy_allows_is_a_name() {
        for good in ["g++", "libc6", "libstdc++6", "0ad", "linux-image-6.1.0-56-cloud-amd64"] {
            assert!(is_package(good), "{good}");
        }
        for bad in
            ["", "a", "-x", "+x", "a b", "a;b", "$(id)", "A1", "a/b", "a\x1b[0m", "ä1", "a\nb", "a=1", "a:b"]
        {
            assert!(!is_package(bad), "{bad:?}");
        }
        assert!(!is_package(&"a".repeat(129)));
        assert!(is_arch("amd64") && is_arch("all") && is_arch("kfreebsd-amd64"));
        assert!(!is_arch("") && !is_arch("-amd64") && !is_arch("amd 64") && !is_arch("AMD64"));
        assert!(is_version("1:2.0~rc1-1") && !is_version("~1") && !is_version("-o") && !is_version("1 2"));
    }
}
