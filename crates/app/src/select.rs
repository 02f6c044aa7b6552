//! Selecting targets: names and globs, label selectors, exclusions; the same for every verb.

use std::fmt;

use patchyard_types::{Target, printable};

use patchyard_plan::glob;

/// A label selector: `service=shop,env!=prod,critical,!experimental`. Every term must hold.
///
/// The keys `name`, `service`, `project`, `env`, `host`, `provider` and `image` ask about the
/// target itself; every other key is a label. Values may be globs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    terms: Vec<Term>,
    text: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Term {
    Is { key: String, value: String },
    IsNot { key: String, value: String },
    Has { key: String },
    HasNot { key: String },
}

/// A text that is not a selector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{term}' is not a selector term: write key=value, key!=value, key or !key, separated by commas")]
pub struct SelectorError {
    term: String,
}

impl std::str::FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let terms = text.split(',').map(|term| parse_term(term.trim())).collect::<Result<_, _>>()?;
        Ok(Self { terms, text: text.to_owned() })
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn parse_term(term: &str) -> Result<Term, SelectorError> {
    let error = || SelectorError { term: printable(term, 80) };
    let key = |text: &str| {
        let text = text.trim();
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/');
        if !text.is_empty() && text.chars().all(plain) { Ok(text.to_owned()) } else { Err(error()) }
    };
    if let Some((left, right)) = term.split_once("!=") {
        return Ok(Term::IsNot { key: key(left)?, value: right.trim().to_owned() });
    }
    if let Some((left, right)) = term.split_once('=') {
        let right = right.strip_prefix('=').unwrap_or(right);
        return Ok(Term::Is { key: key(left)?, value: right.trim().to_owned() });
    }
    match term.strip_prefix('!') {
        Some(rest) => Ok(Term::HasNot { key: key(rest)? }),
        None => Ok(Term::Has { key: key(term)? }),
    }
}

impl Selector {
    /// Whether every term holds for the target. As in Kubernetes, `key!=value` also holds where
    /// the key is missing.
    #[must_use]
    pub fn matches(&self, target: &Target) -> bool {
        self.terms.iter().all(|term| match term {
            Term::Is { key, value } => look_up(target, key).is_some_and(|found| glob::matches(value, found)),
            Term::IsNot { key, value } => {
                look_up(target, key).is_none_or(|found| !glob::matches(value, found))
            }
            Term::Has { key } => look_up(target, key).is_some(),
            Term::HasNot { key } => look_up(target, key).is_none(),
        })
    }
}

fn look_up<'a>(target: &'a Target, key: &str) -> Option<&'a str> {
    match key {
        "name" => Some(&target.name),
        "service" => Some(&target.service),
        "project" => target.project.as_deref(),
        "env" => target.environment.as_deref(),
        "host" => Some(&target.host_name),
        "provider" => Some(&target.provider),
        "image" => Some(&target.image.reference),
        label => target.labels.get(label).map(String::as_str),
    }
}

/// Which targets a verb is about. Everything empty means all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Names, globs, `host/name` or whole ids; a target must match one of them.
    pub names: Vec<String>,
    /// Selectors; all must hold.
    pub selectors: Vec<Selector>,
    /// Names or globs to leave out.
    pub exclude: Vec<String>,
}

/// A name on the command line that no target answers to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no target is called '{name}'{}", hint.as_ref().map(|h| format!("; did you mean '{h}'?")).unwrap_or_default())]
pub struct NoSuchTarget {
    /// What was asked for.
    pub name: String,
    /// The nearest name there is.
    pub hint: Option<String>,
}

impl Selection {
    /// Whether everything is selected.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.names.is_empty() && self.selectors.is_empty() && self.exclude.is_empty()
    }

    /// Whether a target is selected.
    #[must_use]
    pub fn matches(&self, target: &Target) -> bool {
        (self.names.is_empty() || self.names.iter().any(|name| answers_to(target, name)))
            && self.selectors.iter().all(|selector| selector.matches(target))
            && !self.exclude.iter().any(|name| answers_to(target, name))
    }

    /// The selected targets, in their order.
    ///
    /// # Errors
    /// When a name or glob matches no target at all, or a name that is to be left out: a slip must not look like
    /// "nothing to do".
    pub fn select(&self, targets: Vec<Target>) -> Result<Vec<Target>, NoSuchTarget> {
        // Globs may leave out nothing; a name that does is a slip that would patch what was to be spared.
        let spared = self.exclude.iter().filter(|name| !name.contains(['*', '?', '[']));
        for name in self.names.iter().chain(spared) {
            if !targets.iter().any(|target| answers_to(target, name)) {
                let names = targets.iter().map(|target| target.name.as_str());
                let hint = crate::nearest::nearest(name, names).map(|n| printable(n, 120));
                return Err(NoSuchTarget { name: printable(name, 120), hint });
            }
        }
        Ok(targets.into_iter().filter(|target| self.matches(target)).collect())
    }
}

/// Whether a target answers to a name, a glob, `host/name` or its whole id.
#[must_use]
pub fn answers_to(target: &Target, name: &str) -> bool {
    let qualified = || format!("{}/{}", target.host_name, target.name);
    glob::matches(name, &target.name)
        || target.id.as_str() == name
        || (name.contains('/') && glob::matches(name, &qualified()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::target;

    #[test]
    fn a_selector_asks_about_the_target_and_its_labels() {
        let mut shop = target("shop-1", "shop");
        shop.labels.insert("tier".into(), "front".into());
        for (selector, expected) in [
            ("service=shop", true),
            ("service==shop", true),
            ("service=sh*,tier=front", true),
            ("service=shop,tier!=front", false),
            ("env!=prod", true),
            ("tier", true),
            ("!tier", false),
            ("!env", true),
            ("name=db-*", false),
        ] {
            assert_eq!(selector.parse::<Selector>().unwrap().matches(&shop), expected, "{selector}");
        }
    }

    #[test]
    fn what_is_no_selector_is_refused() {
        for bad in ["", "a=b,", "=x", "a b=c", "!", "a,,b"] {
            assert!(bad.parse::<Selector>().is_err(), "{bad}");
        }
    }

    #[test]
    fn names_globs_hosts_and_exclusions_select() {
        let targets = || vec![target("shop-1", "shop"), target("shop-2", "shop"), target("db", "db")];
        let pick = |names: &[&str], exclude: &[&str]| {
            let selection = Selection {
                names: names.iter().map(ToString::to_string).collect(),
                selectors: Vec::new(),
                exclude: exclude.iter().map(ToString::to_string).collect(),
            };
            selection.select(targets()).map(|t| t.into_iter().map(|t| t.name).collect::<Vec<_>>())
        };
        assert_eq!(pick(&[], &["shop-2"]).unwrap(), ["shop-1", "db"]);
        assert_eq!(pick(&["shop-*"], &[]).unwrap(), ["shop-1", "shop-2"]);
        assert_eq!(pick(&["host1/db"], &[]).unwrap(), ["db"]);
        assert!(pick(&[], &["shop-3"]).is_err(), "a slip would patch what was to be spared");
        assert_eq!(pick(&[], &["mail-*"]).unwrap().len(), 3);
        let error = pick(&["shop1"], &[]).unwrap_err();
        assert_eq!(error.to_string(), "no target is called 'shop1'; did you mean 'shop-1'?");
    }
}
