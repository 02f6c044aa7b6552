//! Whether what a solver would do is what was planned: nothing more, nothing less, nothing else.

use std::collections::BTreeMap;

use patchyard_types::{Arch, PackageChange, printable};

/// One package that a solver would change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Move {
    /// Package name.
    pub name: String,
    /// Its architecture; `None` where the solver does not say.
    pub arch: Option<Arch>,
    /// The version it would have; `None` when it would be removed.
    pub to: Option<String>,
}

/// How many differences are named.
const NAMED: usize = 5;

/// The differences between what is planned and what the solver would do, in words; `None` when there are
/// none. Planned changes that `is_there` says are in place already need no move.
#[must_use]
pub fn difference(
    planned: &[PackageChange],
    would: &[Move],
    is_there: impl Fn(&PackageChange) -> bool,
) -> Option<String> {
    let mut left: BTreeMap<(&str, &Arch), &PackageChange> =
        planned.iter().map(|change| ((change.name.as_str(), &change.arch), change)).collect();
    let mut words = Vec::new();
    for step in would {
        let key = left
            .keys()
            .find(|(name, arch)| *name == step.name && step.arch.as_ref().is_none_or(|a| a == *arch))
            .copied();
        let name = match &step.arch {
            Some(arch) => format!("{}:{arch}", step.name),
            None => step.name.clone(),
        };
        match (key.and_then(|key| left.remove(&key)), &step.to) {
            (Some(change), to) if change.to == *to => {}
            (Some(change), Some(to)) => {
                let planned = change.to.as_deref().unwrap_or("nothing");
                words.push(format!("{name} would become {to}, not {planned}"));
            }
            (None, Some(to)) => words.push(format!("{name} {to} would be installed too")),
            (_, None) => words.push(format!("{name} would be removed")),
        }
    }
    for change in left.into_values().filter(|change| !is_there(change)) {
        let to = change.to.as_deref().map_or_else(|| "be removed".to_owned(), |to| format!("become {to}"));
        words.push(format!("{}:{} would not {to}", change.name, change.arch));
    }
    let more = words.len().saturating_sub(NAMED);
    words.truncate(NAMED);
    if more > 0 {
        words.push(format!("and {more} more"));
    }
    (!words.is_empty()).then(|| printable(&words.join("; "), 1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(name: &str, to: &str) -> PackageChange {
        PackageChange {
            name: name.to_owned(),
            arch: Arch("all".to_owned()),
            from: Some("1".to_owned()),
            to: Some(to.to_owned()),
            sha256: None,
            security: false,
            size: 0,
        }
    }

    fn would(name: &str, to: Option<&str>) -> Move {
        Move { name: name.to_owned(), arch: Some(Arch("all".to_owned())), to: to.map(str::to_owned) }
    }

    #[test]
    fn the_same_is_no_difference_in_any_order() {
        let planned = [change("a", "2"), change("b", "2")];
        let moves = [would("b", Some("2")), would("a", Some("2"))];
        assert_eq!(difference(&planned, &moves, |_| false), None);
        let unsaid = [Move { arch: None, ..would("b", Some("2")) }, would("a", Some("2"))];
        assert_eq!(difference(&planned, &unsaid, |_| false), None);
    }

    #[test]
    fn every_difference_has_words() {
        let planned = [change("a", "2"), change("b", "2"), change("c", "2")];
        let moves = [would("a", Some("3")), would("d", Some("1")), would("e", None), would("c", None)];
        assert_eq!(
            difference(&planned, &moves, |_| false).unwrap(),
            "a:all would become 3, not 2; d:all 1 would be installed too; e:all would be removed; c:all would be \
             removed; b:all would not become 2"
        );
    }

    #[test]
    fn what_is_there_already_needs_no_move() {
        let planned = [change("a", "2"), change("b", "2")];
        assert_eq!(difference(&planned, &[would("a", Some("2"))], |change| change.name == "b"), None);
        assert!(difference(&planned, &[would("a", Some("2"))], |_| false).is_some());
    }

    #[test]
    fn another_architecture_is_another_package() {
        let foreign = Move { arch: Some(Arch("i386".to_owned())), ..would("a", Some("2")) };
        let words = difference(&[change("a", "2")], &[foreign], |_| false).unwrap();
        assert_eq!(words, "a:i386 2 would be installed too; a:all would not become 2");
    }
}
