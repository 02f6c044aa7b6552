//! The table of bad versions in the user guide, as the tests read it.

use crate::lab::root;

/// How a bad version ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// It was started, and taken back.
    RolledBack,
    /// It could not be built; nothing was stopped.
    Failed,
    /// It was not planned at all.
    Refused,
}

impl Ends {
    /// The state of its run in JSON; nothing that was refused has one.
    #[must_use]
    pub const fn state(self) -> Option<&'static str> {
        match self {
            Self::RolledBack => Some("rolled_back"),
            Self::Failed => Some("failed"),
            Self::Refused => None,
        }
    }
}

/// A row: one way to be bad.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The lab's case.
    pub case: String,
    /// How it ends as a layer.
    pub layer: Ends,
    /// How it ends as an image, where there is such an image.
    pub image: Option<Ends>,
    /// Whether it is kept out of later plans.
    pub quarantined: bool,
    /// The exit code of `apply`.
    pub exit: i32,
}

/// The table in docs/bad-versions.md.
///
/// # Panics
/// When it is not there, or says something that nobody understands.
#[must_use]
pub fn bad_versions() -> Vec<Row> {
    let text = std::fs::read_to_string(root().join("docs/bad-versions.md")).expect("the user guide");
    let lines = text.lines().filter(|line| line.starts_with('|'));
    let rows: Vec<Row> = lines.skip(2).map(row).collect();
    assert!(!rows.is_empty(), "the table is empty");
    rows
}

fn row(line: &str) -> Row {
    let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
    let [_, case, layer, image, quarantined, exit] = cells[..] else { panic!("six cells: {line}") };
    let quarantined = match quarantined {
        "yes" => true,
        "no" => false,
        _ => panic!("quarantined is yes or no: {line}"),
    };
    let layer = ends(layer, line).unwrap_or_else(|| panic!("every case exists as a layer: {line}"));
    Row {
        case: case.to_owned(),
        layer,
        image: ends(image, line),
        quarantined,
        exit: exit.parse().expect(line),
    }
}

fn ends(cell: &str, line: &str) -> Option<Ends> {
    match cell {
        "rolled back" => Some(Ends::RolledBack),
        "failed" => Some(Ends::Failed),
        "refused" => Some(Ends::Refused),
        "–" => None,
        _ => panic!("nobody understands '{cell}': {line}"),
    }
}
