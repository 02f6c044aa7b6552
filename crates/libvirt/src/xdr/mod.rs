//! XDR (RFC 4506), as much of it as libvirt's protocol needs: numbers, opaque bytes, strings, optional
//! values, arrays.
//!
//! Everything is a multiple of four bytes, big endian; shorter data is padded. Bytes that are read come from
//! a daemon that may be anybody's: a length is compared with its limit and with what is there before anything
//! is allocated, and what is wrong is an error.

mod read;
mod write;

pub use read::Reader;
pub use write::Writer;

use thiserror::Error;

/// Why bytes are not what they should be, or a value cannot be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum XdrError {
    /// The bytes end in the middle of a value.
    #[error("it ends {missing} bytes early")]
    Short {
        /// How many bytes are missing at least.
        missing: usize,
    },
    /// There are bytes behind the last value.
    #[error("{left} bytes follow it")]
    Rest {
        /// How many.
        left: usize,
    },
    /// A length is beyond its limit.
    #[error("a length of {length} where at most {most} are allowed")]
    TooLong {
        /// The length, in bytes or elements.
        length: usize,
        /// The limit.
        most: usize,
    },
    /// A truth value is neither 0 nor 1, or a number stands for nothing that is known.
    #[error("{value} stands for nothing there")]
    Unknown {
        /// What was found.
        value: i64,
    },
    /// A string is not UTF-8.
    #[error("a string is not UTF-8")]
    NotText,
}

/// How many bytes of padding follow so many bytes of data.
const fn padding(length: usize) -> usize {
    (4 - length % 4) % 4
}
