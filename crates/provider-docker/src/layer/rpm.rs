//! rpm in a builder, for images of dnf's and zypper's: installs files that were uploaded, exactly those.
//!
//! Neither solver is asked again: the plan has what it said, and rpm refuses what does not fit together. Configuration files that somebody
//! has changed stay as their packages want it (`%config(noreplace)`). Of what a plan removes, rpm removes by itself what one of the others
//! takes the place of (`Obsoletes`); it refuses to go on beside anything else. A script of a package that fails makes the build fail, also
//! those of which rpm itself would only warn: nobody is there to read it.

use patchyard_assess::rpm::{self, QUERY, is_arch, is_package};
use patchyard_types::{FailureKind, PackageChange, printable};
use serde_json::Value;

use super::builder::Builder;
use super::outcome::Installed;
use super::system::PackageSystem;
use super::words::lines;
use crate::ask::Helper;
use crate::client::{ApiError, TarWriter};
use crate::read::DATABASE_LIMIT;
use crate::swap::{Trouble, failed};

/// sh … FOLDER QUERY…
const INSTALL: &str = include_str!("rpm.sh");
/// How long rpm may take to list its database.
const LIST: std::time::Duration = std::time::Duration::from_secs(300);

/// rpm, beside one of its package managers.
pub(super) struct Rpm {
    /// Where that keeps what it downloads: a volume in the builder.
    cache: &'static str,
}

impl Rpm {
    pub const DNF: Self = Self { cache: "/var/cache/dnf" };
    pub const ZYPPER: Self = Self { cache: "/var/cache/zypp" };

    /// Our own folder in the cache.
    fn folder(&self) -> String {
        format!("{}/patchyard", self.cache)
    }
}

impl PackageSystem for Rpm {
    type Kept = ();

    fn cache(&self) -> &'static str {
        self.cache
    }

    fn environment(&self) -> Vec<String> {
        Vec::new()
    }

    fn command(&self, changes: &[PackageChange]) -> Result<Vec<String>, Trouble> {
        for change in changes {
            named(change)?;
        }
        let folder = self.folder();
        let fixed = ["sh", "-c", INSTALL, "sh", &folder];
        Ok(fixed.into_iter().chain(QUERY).map(str::to_owned).collect())
    }

    fn files_of(&self, changes: &[PackageChange]) -> String {
        let staying = changes.iter().filter(|change| change.to.is_some());
        let names = staying.filter_map(|change| named(change).ok());
        format!("rpm -ql {}", names.collect::<Vec<_>>().join(" "))
    }

    fn file(&self, change: &PackageChange) -> Result<String, Trouble> {
        Ok(format!("{}/rpms/{}.rpm", &self.folder()[1..], named(change)?))
    }

    async fn look(&self, builder: &Builder, base: &Value) -> Result<(Installed, ()), Trouble> {
        let helper = Helper::of_image(builder.docker(), base).await?;
        let listed = helper.run(&QUERY, LIST, usize::try_from(DATABASE_LIMIT).unwrap_or(usize::MAX)).await;
        helper.finish().await;
        let listed = listed?;
        if listed.exit != 0 {
            let said = printable(String::from_utf8_lossy(&listed.stderr).trim(), 300);
            let message = format!("changed since planning: rpm does not list its database any more: {said}");
            return Err(failed(FailureKind::Precondition, message));
        }
        Ok((read(&listed.stdout)?, ()))
    }

    fn besides(&self, (): &()) -> Result<TarWriter, Trouble> {
        let mut archive = TarWriter::new();
        let folder = self.folder();
        for folder in [folder.clone(), format!("{folder}/rpms")] {
            archive.directory(&folder[1..], 0o755)?;
        }
        Ok(archive)
    }

    fn telling<'a>(&self, text: &'a str) -> Vec<&'a str> {
        telling(text)
    }

    async fn tidy(
        &self,
        builder: &Builder,
        _: &Installed,
        (): &(),
        _: &[PackageChange],
    ) -> Result<Installed, Trouble> {
        let path = format!("{}/installed", self.folder());
        let listed = builder.client().read_file(builder.name(), &path, DATABASE_LIMIT).await?;
        read(&listed.unwrap_or_default())
    }
}

/// What rpm has listed.
fn read(listed: &[u8]) -> Result<Installed, Trouble> {
    let packages = rpm::installed(listed).map_err(|error| ApiError::protocol(error.to_string()))?;
    Ok(Installed { packages, unfinished: Vec::new() })
}

/// A package as rpm knows it. Names come from a plan, and a plan from strangers' indices: only what is a name becomes one.
fn named(change: &PackageChange) -> Result<String, Trouble> {
    if is_package(&change.name) && is_arch(&change.arch.0) {
        return Ok(format!("{}.{}", change.name, change.arch));
    }
    Err(failed(FailureKind::Refused, format!("'{}' is no package name", printable(&change.name, 100))))
}

/// The lines of rpm's output that say why it failed.
fn telling(text: &str) -> Vec<&str> {
    let lines = lines(text);
    // What a script said, just before rpm tells of it.
    if let Some(at) = lines.iter().position(|line| line.contains(" scriptlet failed, ")) {
        return lines[at.saturating_sub(2)..=at].to_vec();
    }
    match lines.iter().position(|line| line.starts_with("error: ")) {
        Some(at) => lines[at..].to_vec(),
        None => lines,
    }
}

#[cfg(test)]
mod tests {
    use patchyard_types::{Arch, Failure, StepError};

    use super::super::words::{self, Output, Tail};
    use super::*;

    fn change(name: &str, to: Option<&str>) -> PackageChange {
        PackageChange {
            name: name.to_owned(),
            arch: Arch("noarch".to_owned()),
            from: Some("1-1".to_owned()),
            to: to.map(str::to_owned),
            sha256: None,
            security: false,
            size: 0,
        }
    }

    #[test]
    fn nothing_that_is_no_name_becomes_a_file_or_an_argument() {
        assert_eq!(
            Rpm::DNF.file(&change("lab-tool", Some("2-1"))).unwrap(),
            "var/cache/dnf/patchyard/rpms/lab-tool.noarch.rpm"
        );
        let changes = [change("lab-tool", Some("2-1")), change("lab-gone", None)];
        assert_eq!(Rpm::ZYPPER.files_of(&changes), "rpm -ql lab-tool.noarch");
        for bad in ["-e", "a/../b", "a b", "$(id)", "", "a\u{1b}[0m"] {
            assert!(Rpm::DNF.file(&change(bad, Some("1"))).is_err(), "{bad:?}");
            assert!(Rpm::DNF.command(&[change(bad, None)]).is_err(), "{bad:?}");
            assert_eq!(Rpm::DNF.files_of(&[change(bad, Some("1"))]), "rpm -ql ", "{bad:?}");
        }
    }

    #[test]
    fn the_words_that_say_why_are_passed_on() {
        for (said, kind, words) in [
            (
                "Verifying...\nPreparing...\nweb-2-1\nweb: cannot migrate\nwarning: %post(web-2-1.noarch) scriptlet failed, exit \
                 status 1\n",
                FailureKind::PackageManager,
                "web-2-1 | web: cannot migrate | warning: %post(web-2-1.noarch) scriptlet failed, exit status 1",
            ),
            (
                "Preparing...\nerror: Failed dependencies:\n\tlib >= 2 is needed by web-2-1.noarch\n",
                FailureKind::PackageManager,
                "error: Failed dependencies: | lib >= 2 is needed by web-2-1.noarch",
            ),
            (
                "\tinstalling package web-2-1.noarch needs 5MB more space on the / filesystem\n",
                FailureKind::NoSpace,
                "installing package web-2-1.noarch needs 5MB more space on the / filesystem",
            ),
        ] {
            let mut tail = Tail::new(1 << 20);
            tail.push(said.as_bytes()).unwrap();
            let Trouble::Step(StepError::Failed(Failure { kind: is, message })) =
                words::blamed(&Rpm::DNF, &Output { exit: 1, tail })
            else {
                panic!("no failure")
            };
            assert_eq!(
                (is, &*message),
                (kind, &*format!("the package manager failed (exit code 1): {words}"))
            );
        }
    }
}
