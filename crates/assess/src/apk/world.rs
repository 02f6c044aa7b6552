//! Reads `/etc/apk/world`, apk-world(5): what somebody has asked for by name.

/// What a name may be followed by.
const OPERATORS: [char; 4] = ['<', '>', '=', '~'];

/// A package that somebody has asked for by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// The repositories it is to come from, by the tag they have been given.
    pub tag: Option<String>,
    /// Which versions will do, operator and version (`=1.0-r0`, `<2`); `None` where any does.
    pub versions: Option<String>,
}

impl Wanted {
    /// Whether just one version, or just one build of it (`><`), will do: no update can be meant for it.
    #[must_use]
    pub fn is_one(&self) -> bool {
        let Some(versions) = &self.versions else { return false };
        let end = versions.find(|c| !OPERATORS.contains(&c)).unwrap_or(versions.len());
        matches!(&versions[..end], "=" | "><")
    }
}

/// Reads the world. What must not be there (`!name`) is left to the solver.
#[must_use]
pub fn world(file: &[u8]) -> Vec<Wanted> {
    let text = String::from_utf8_lossy(file);
    let wanted = text.split_ascii_whitespace().filter(|entry| !entry.starts_with('!')).map(|entry| {
        let (front, versions) = entry.split_at(entry.find(OPERATORS).unwrap_or(entry.len()));
        // The tag may stand before the version, or after it.
        let (versions, late) = versions.split_once('@').map_or((versions, None), |(v, tag)| (v, Some(tag)));
        let (name, tag) = front.split_once('@').map_or((front, late), |(name, tag)| (name, Some(tag)));
        Wanted {
            name: name.to_owned(),
            tag: tag.map(str::to_owned),
            versions: (!versions.is_empty()).then(|| versions.to_owned()),
        }
    });
    wanted.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tags_and_versions() {
        let all = world(b"alpine-base\nnginx@edge\nlab-tool=1.0-r0\nlab@edge=2\nlab-lib<2\nlab-x~=1.6\n!lab-no\nlocal><Q1abc=\n.build-deps=20260101.120000\n");
        let words: Vec<_> =
            all.iter().map(|w| (&*w.name, w.tag.as_deref(), w.versions.as_deref(), w.is_one())).collect();
        assert_eq!(
            words,
            [
                ("alpine-base", None, None, false),
                ("nginx", Some("edge"), None, false),
                ("lab-tool", None, Some("=1.0-r0"), true),
                ("lab", Some("edge"), Some("=2"), true),
                ("lab-lib", None, Some("<2"), false),
                ("lab-x", None, Some("~=1.6"), false),
                ("local", None, Some("><Q1abc="), true),
                (".build-deps", None, Some("=20260101.120000"), true),
            ]
        );
        assert!(world(b"").is_empty());
    }
}
