//! Errors of the configuration: file, line, column, what is wrong, and the nearest right key.

use std::fmt;
use std::path::{Path, PathBuf};

use patchyard_types::printable;
use serde_saphyr::{Error as Yaml, Location};

use super::raw::SECTIONS;
use crate::nearest::nearest;

/// Something in the configuration file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file.
    pub path: PathBuf,
    /// Line and column, from 1, where known.
    pub at: Option<(u64, u64)>,
    /// What is wrong, and what to do where there is something.
    pub message: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            Some((line, column)) => {
                write!(f, "{}:{line}:{column}: {}", self.path.display(), self.message)
            }
            None => write!(f, "{}: {}", self.path.display(), self.message),
        }
    }
}

impl std::error::Error for ConfigError {}

impl ConfigError {
    /// An error about the file as a whole.
    pub fn whole(path: &Path, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), at: None, message: message.into() }
    }

    /// An error at a place in it.
    pub fn at(path: &Path, location: Location, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), at: place(location), message: message.into() }
    }

    /// Translates what the YAML reader says into an operator's words.
    pub fn from_yaml(path: &Path, source: &str, error: &Yaml) -> Self {
        let error = error.without_snippet();
        let location = error.location();
        let key = location.and_then(|location| key_at(source, location));
        let about = |text: &str| match &key {
            Some(key) => format!("'{key}' must be {text}"),
            None => format!("expected {text}"),
        };
        let message = match error {
            Yaml::SerdeUnknownField { field, expected, .. } => unknown_key(field, expected),
            Yaml::SerdeMissingField { field: "version", .. } => {
                "the key 'version' is missing: write 'version: 1' first".into()
            }
            Yaml::SerdeMissingField { field, .. } => format!("the key '{field}' is missing here"),
            Yaml::InvalidBooleanStrict { .. } => about("true or false"),
            Yaml::InvalidScalar { ty: "boolean", .. } => about("true or false"),
            Yaml::InvalidScalar { ty: "u16" | "u32", .. } => about("a whole number"),
            Yaml::Unexpected { expected: "mapping start", .. } => about("a section of keys and values"),
            Yaml::Unexpected { expected: "sequence start", .. } => about("a list"),
            Yaml::Unexpected { expected: "string scalar", .. } => about("a single value"),
            Yaml::MultipleDocuments { .. } => "a second document ('---') is not allowed".into(),
            Yaml::Eof { .. } => "the file is empty: write 'version: 1' at least".into(),
            other => plain(&other.to_string()),
        };
        Self { path: path.to_owned(), at: location.and_then(place), message }
    }
}

fn place(location: Location) -> Option<(u64, u64)> {
    (location.line() > 0).then(|| (location.line(), location.column()))
}

/// The reader's own words without the place, which stands in front already, and without advice
/// meant for programmers.
fn plain(text: &str) -> String {
    let text = text.split(" at line ").next().unwrap_or(text);
    let text = text.split(", set DuplicateKeyPolicy").next().unwrap_or(text);
    printable(text.lines().next().unwrap_or(text), 300)
}

/// The key on the line of a location, to name what has the wrong type.
fn key_at(source: &str, location: Location) -> Option<String> {
    let line = source.lines().nth(usize::try_from(location.line()).ok()?.checked_sub(1)?)?;
    let before: String = line.chars().take(usize::try_from(location.column()).ok()?).collect();
    let (head, _) = before.rsplit_once(':')?;
    let key: String = head.chars().rev().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!key.is_empty()).then(|| key.chars().rev().collect())
}

fn unknown_key(key: &str, expected: &[&'static str]) -> String {
    let shown = printable(key, 60);
    if let Some((section, _)) = SECTIONS.iter().find(|(_, keys)| keys.contains(&key)) {
        return format!("unknown key '{shown}' here; it belongs to {section}");
    }
    if let Some(right) = nearest(key, expected.iter().copied()) {
        return format!("unknown key '{shown}'; did you mean '{right}'?");
    }
    format!("unknown key '{shown}'; known here: {}", expected.join(", "))
}
