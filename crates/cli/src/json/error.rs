//! `patchyard.error/v1`: why a verb could not do what it was asked, and what to do next.

use std::error::Error as _;

use patchyard_app::Error;
use serde::Serialize;

use super::words;

/// A failure of a verb.
#[derive(Debug, Serialize)]
pub struct ErrorDocument {
    schema: &'static str,
    /// `input`, `unreachable`, `refused` or `internal`.
    code: &'static str,
    message: String,
    /// What lay behind it, the nearest first.
    causes: Vec<String>,
    next: Option<String>,
    /// Where, for a configuration that cannot be used.
    file: Option<String>,
    line: Option<u64>,
    column: Option<u64>,
}

impl ErrorDocument {
    /// Arguments that make no sense.
    pub fn usage(message: impl Into<String>, next: Option<String>) -> Self {
        let (code, message) = (words::kind(patchyard_app::Kind::Input), message.into());
        let (causes, file, line, column) = (Vec::new(), None, None, None);
        Self { schema: "patchyard.error/v1", code, message, causes, next, file, line, column }
    }
}

impl From<&Error> for ErrorDocument {
    fn from(error: &Error) -> Self {
        let (file, place) = match error {
            Error::Config(config) => (Some(config.path.display().to_string()), config.at),
            _ => (None, None),
        };
        let mut causes = Vec::new();
        let mut source = error.source();
        while let Some(cause) = source {
            causes.push(cause.to_string());
            source = cause.source();
        }
        Self {
            code: words::kind(error.kind()),
            causes,
            file,
            line: place.map(|(line, _)| line),
            column: place.map(|(_, column)| column),
            ..Self::usage(error.to_string(), error.hint())
        }
    }
}
