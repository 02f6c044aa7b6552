//! What a package manager did, compared with the plan: exactly that, and nothing else.

use std::collections::BTreeMap;

use patchyard_types::{InstalledPackage, PackageChange, printable};

/// How many differences are told.
const TOLD: usize = 5;

/// What a package database says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Installed {
    /// Installed packages.
    pub packages: Vec<InstalledPackage>,
    /// Packages that were left in the middle.
    pub unfinished: Vec<String>,
}

/// Versions by name and architecture.
type Versions = BTreeMap<(String, String), String>;

fn versions(packages: &[InstalledPackage]) -> Versions {
    packages.iter().map(|p| ((p.name.clone(), p.arch.0.clone()), p.version.clone())).collect()
}

/// Where a package is listed: under its own architecture, else, because a package may change between
/// `all` and a real one, under the only other one.
fn key(versions: &Versions, name: &str, arch: &str) -> Option<(String, String)> {
    let own = (name.to_owned(), arch.to_owned());
    if versions.contains_key(&own) {
        return Some(own);
    }
    let mut others = versions.keys().filter(|(other, _)| other == name);
    match (others.next(), others.next()) {
        (Some(only), None) if arch == "all" || only.1 == "all" => Some(only.clone()),
        _ => None,
    }
}

/// Whether the plan starts from what the base has.
pub(super) fn fits(base: &Installed, changes: &[PackageChange]) -> Result<(), String> {
    let base = versions(&base.packages);
    for PackageChange { name, arch, from, .. } in changes {
        let installed = key(&base, name, &arch.0).and_then(|key| base.get(&key));
        if installed != from.as_ref() {
            let found = installed.map_or("not installed", String::as_str);
            let planned = from.as_deref().unwrap_or("missing");
            return Err(printable(&format!("{name} is {found} in the image, not {planned}"), 300));
        }
    }
    Ok(())
}

/// Compares the package database after the work with the one before and the plan.
pub(super) fn compare(
    before: &Installed,
    after: &Installed,
    changes: &[PackageChange],
) -> Result<(), String> {
    let unfinished = after.unfinished.iter().filter(|name| !before.unfinished.contains(name));
    let mut wrong: Vec<String> = unfinished.map(|name| format!("{name} is left unfinished")).collect();
    let mut meant = versions(&before.packages);
    for PackageChange { name, arch, to, .. } in changes {
        if let Some(key) = key(&meant, name, &arch.0) {
            meant.remove(&key);
        }
        if let Some(to) = to {
            meant.insert((name.clone(), arch.0.clone()), to.clone());
        }
    }
    let after = versions(&after.packages);
    for (key, version) in &meant {
        match after.get(key) {
            Some(found) if found == version => {}
            Some(found) => wrong.push(format!("{} is {found}, not {version}", key.0)),
            None => wrong.push(format!("{} {version} is missing", key.0)),
        }
    }
    let extra = after.iter().filter(|(key, _)| !meant.contains_key(*key));
    wrong.extend(extra.map(|((name, _), version)| format!("{name} {version} was not planned")));
    if wrong.is_empty() {
        return Ok(());
    }
    let more = wrong.len().saturating_sub(TOLD);
    wrong.truncate(TOLD);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    Err(printable(&format!("{}{rest}", wrong.join("; ")), 1000))
}

#[cfg(test)]
mod tests {
    use patchyard_types::Arch;

    use super::*;

    type Listed<'a> = &'a [(&'a str, &'a str, &'a str)];

    fn installed(packages: Listed<'_>) -> Installed {
        let packages = packages.iter().map(|(name, arch, version)| InstalledPackage {
            name: (*name).to_owned(),
            arch: Arch((*arch).to_owned()),
            version: (*version).to_owned(),
            source: None,
            held: false,
        });
        Installed { packages: packages.collect(), unfinished: Vec::new() }
    }

    fn change(name: &str, arch: &str, from: Option<&str>, to: Option<&str>) -> PackageChange {
        PackageChange {
            name: name.to_owned(),
            arch: Arch(arch.to_owned()),
            from: from.map(str::to_owned),
            to: to.map(str::to_owned),
            sha256: None,
            security: false,
            size: 0,
        }
    }

    #[test]
    fn exactly_the_plan_is_right_and_anything_else_is_wrong() {
        let before = installed(&[("a", "amd64", "1"), ("b", "all", "1"), ("c", "amd64", "1")]);
        let plan = [
            change("a", "amd64", Some("1"), Some("2")),
            change("b", "amd64", Some("1"), Some("2")),
            change("c", "amd64", Some("1"), None),
            change("n", "all", None, Some("5")),
        ];
        let good = [("a", "amd64", "2"), ("b", "amd64", "2"), ("n", "all", "5")];
        assert_eq!(compare(&before, &installed(&good), &plan), Ok(()));
        let table: [(Listed<'_>, &str); 4] = [
            (&[("a", "amd64", "1"), good[1], good[2]], "a is 1, not 2"),
            (&[good[0], good[1]], "n 5 is missing"),
            (&[good[0], good[1], good[2], ("c", "amd64", "1")], "c 1 was not planned"),
            (&[good[0], good[1], good[2], ("x", "amd64", "9")], "x 9 was not planned"),
        ];
        for (after, words) in table {
            assert_eq!(compare(&before, &installed(after), &plan), Err(words.to_owned()));
        }
        let mut half = installed(&good);
        half.unfinished.push("a".to_owned());
        assert_eq!(compare(&before, &half, &plan), Err("a is left unfinished".to_owned()));
    }

    #[test]
    fn a_package_of_two_architectures_is_two_packages() {
        let before = installed(&[("a", "amd64", "1"), ("a", "i386", "1")]);
        let plan = [change("a", "i386", Some("1"), Some("2"))];
        assert_eq!(fits(&before, &plan), Ok(()));
        assert_eq!(compare(&before, &installed(&[("a", "amd64", "1"), ("a", "i386", "2")]), &plan), Ok(()));
        assert!(compare(&before, &installed(&[("a", "amd64", "2"), ("a", "i386", "2")]), &plan).is_err());
    }

    #[test]
    fn a_plan_for_another_state_does_not_fit() {
        let base = installed(&[("a", "amd64", "1"), ("b", "amd64", "1")]);
        let to_2 = |from| [change("a", "amd64", from, Some("2"))];
        assert_eq!(fits(&base, &to_2(Some("1"))), Ok(()));
        assert_eq!(fits(&base, &to_2(Some("0"))), Err("a is 1 in the image, not 0".to_owned()));
        assert_eq!(fits(&base, &to_2(None)), Err("a is 1 in the image, not missing".to_owned()));
        assert_eq!(fits(&base, &[change("n", "all", None, Some("1"))]), Ok(()));
    }
}
