//! Version orders, one file for each package manager.

use std::cmp::Ordering;

pub mod apk;
pub mod dpkg;

/// Numbers of any length, as digits; no digits at all count as zero.
fn compare_numbers(a: &[u8], b: &[u8]) -> Ordering {
    let (a, b) = (trim_zeros(a), trim_zeros(b));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

fn trim_zeros(digits: &[u8]) -> &[u8] {
    &digits[digits.iter().position(|b| *b != b'0').unwrap_or(digits.len())..]
}
