//! What the names of packages have in common, whoever manages them.

/// The longest name accepted.
const MAX_NAME: usize = 256;

/// Letters, digits, `. _ + -`, the first a letter, a digit or what else `may_begin` one.
pub(crate) fn is_name(text: &str, may_begin: impl Fn(u8) -> bool) -> bool {
    (1..=MAX_NAME).contains(&text.len())
        && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric() || may_begin(b))
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._+-".contains(&b))
}

/// `noarch`, `x86_64`, `armv7hl` and the like.
#[must_use]
pub fn is_arch(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
