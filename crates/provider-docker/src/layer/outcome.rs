//! What a package manager did, compared with the plan: exactly that, and nothing else.

use std::collections::BTreeMap;

use patchyard_assess::deb::Status;
use patchyard_types::{InstalledPackage, PackageChange};

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

/// Whether the plan fits what it is carried out on: the base, and, where the target runs a patched
/// image already, what that has: nothing patched earlier may be taken back by leaving it out.
pub(super) fn fits(base: &Status, running: Option<&Status>, changes: &[PackageChange]) -> Result<(), String> {
    let base = versions(&base.packages);
    let running = running.map(|status| versions(&status.packages));
    for change in changes {
        let installed = |versions: &Versions| {
            key(versions, &change.name, &change.arch.0).and_then(|key| versions.get(&key).cloned())
        };
        let in_base = installed(&base);
        let fits = in_base == change.from
            || running.as_ref().is_some_and(|running| installed(running) == change.from);
        if !fits {
            return Err(format!(
                "{} is {} there, not {}",
                change.name,
                in_base.as_deref().unwrap_or("not installed"),
                change.from.as_deref().unwrap_or("missing")
            ));
        }
    }
    let Some(running) = running else { return Ok(()) };
    for ((name, arch), version) in &running {
        let planned = changes.iter().any(|change| change.name == *name);
        if !planned && base.get(&(name.clone(), arch.clone())) != Some(version) {
            return Err(format!("{name} {version}, patched earlier, is not among what is planned"));
        }
    }
    Ok(())
}

/// Compares the package database after the work with the one before and the plan.
pub(super) fn compare(before: &Status, after: &Status, changes: &[PackageChange]) -> Result<(), String> {
    let unfinished: Vec<&str> = after
        .unfinished
        .iter()
        .filter(|name| !before.unfinished.contains(name))
        .map(String::as_str)
        .collect();
    if !unfinished.is_empty() {
        return Err(format!("left unfinished: {}", unfinished.join(", ")));
    }
    let mut meant = versions(&before.packages);
    for change in changes {
        if let Some(key) = key(&meant, &change.name, &change.arch.0) {
            meant.remove(&key);
        }
        if let Some(to) = &change.to {
            meant.insert((change.name.clone(), change.arch.0.clone()), to.clone());
        }
    }
    let after = versions(&after.packages);
    let mut wrong = Vec::new();
    for (key, version) in &meant {
        match after.get(key) {
            Some(found) if found == version => {}
            Some(found) => wrong.push(format!("{} is {found}, not {version}", key.0)),
            None => wrong.push(format!("{} {version} is missing", key.0)),
        }
    }
    let extra = after.iter().filter(|(key, _)| !meant.contains_key(*key));
    wrong.extend(extra.map(|(key, version)| format!("{} {version} was not planned", key.0)));
    if wrong.is_empty() {
        return Ok(());
    }
    let more = wrong.len().saturating_sub(5);
    wrong.truncate(5);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    Err(format!("{}{rest}", wrong.join("; ")))
}

#[cfg(test)]
mod tests {
    use patchyard_types::Arch;

    use super::*;

    /// Name, architecture, version.
    type Row<'a> = (&'a str, &'a str, &'a str);

    fn status(packages: &[Row]) -> Status {
        let packages = packages.iter().map(|(name, arch, version)| InstalledPackage {
            name: (*name).to_owned(),
            arch: Arch((*arch).to_owned()),
            version: (*version).to_owned(),
            source: None,
            held: false,
        });
        Status { packages: packages.collect(), ..Status::default() }
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
        let before = status(&[("a", "amd64", "1"), ("b", "all", "1"), ("c", "amd64", "1")]);
        let plan = [
            change("a", "amd64", Some("1"), Some("2")),
            change("b", "amd64", Some("1"), Some("2")),
            change("c", "amd64", Some("1"), None),
            change("n", "all", None, Some("5")),
        ];
        let good = [("a", "amd64", "2"), ("b", "amd64", "2"), ("n", "all", "5")];
        assert_eq!(compare(&before, &status(&good), &plan), Ok(()));
        let table: [(&[Row], &str); 4] = [
            (&[("a", "amd64", "1"), good[1], good[2]], "a is 1, not 2"),
            (&[good[0], good[1]], "n 5 is missing"),
            (&[good[0], good[1], good[2], ("c", "amd64", "1")], "c 1 was not planned"),
            (&[good[0], good[1], good[2], ("x", "amd64", "9")], "x 9 was not planned"),
        ];
        for (after, words) in table {
            assert_eq!(compare(&before, &status(after), &plan), Err(words.to_owned()));
        }
        let mut half = status(&good);
        half.unfinished.push("a".to_owned());
        assert_eq!(compare(&before, &half, &plan), Err("left unfinished: a".to_owned()));
    }

    #[test]
    fn a_plan_for_another_state_does_not_fit() {
        let base = status(&[("a", "amd64", "1"), ("b", "amd64", "1")]);
        let to_2 = |from| [change("a", "amd64", from, Some("2"))];
        assert_eq!(fits(&base, None, &to_2(Some("1"))), Ok(()));
        assert_eq!(fits(&base, None, &to_2(Some("0"))), Err("a is 1 there, not 0".to_owned()));
        assert_eq!(fits(&base, None, &to_2(None)), Err("a is 1 there, not missing".to_owned()));
        assert_eq!(fits(&base, None, &[change("n", "all", None, Some("1"))]), Ok(()));
    }

    #[test]
    fn patching_again_takes_nothing_back() {
        let base = status(&[("a", "amd64", "1"), ("b", "amd64", "1")]);
        let running = status(&[("a", "amd64", "2"), ("b", "amd64", "1")]);
        let only_b = [change("b", "amd64", Some("1"), Some("2"))];
        assert!(fits(&base, Some(&running), &only_b).is_err());
        for from in ["1", "2"] {
            let both = [change("a", "amd64", Some(from), Some("3")), only_b[0].clone()];
            assert_eq!(fits(&base, Some(&running), &both), Ok(()), "planned from {from}");
        }
    }
}
