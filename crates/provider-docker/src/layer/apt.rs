//! apt in a builder: installs files that were uploaded, exactly those, and leaves its own books as
//! they would be.
//!
//! The packages are named as files: apt takes them as they are, needs neither lists nor sources, and
//! orders the work itself. The image's own apt configuration is otherwise obeyed.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use patchyard_assess::deb::{Layout, StatusReader, is_arch, is_package};
use patchyard_types::{FailureKind, PackageChange, printable};
use serde_json::Value;

use super::builder::Builder;
use super::outcome::Installed;
use super::system::PackageSystem;
use super::words::lines;
use crate::client::{ApiError, TarWriter};
use crate::swap::{Trouble, failed};

/// apt's cache: a volume in the builder.
const CACHE: &str = "/var/cache/apt";
/// Our own folder in it.
const FOLDER: &str = "/var/cache/apt/patchyard";
/// The dpkg database.
const STATUS: &str = "/var/lib/dpkg/status";
/// What apt knows of why a package is there.
const MARKS: &str = "/var/lib/apt/extended_states";
/// The most that file may take; it has four lines a package.
const MARKS_LIMIT: u64 = 16 * 1024 * 1024;
/// Where Debian's scripts ask whether a service may be started.
const POLICY: &str = "/usr/sbin/policy-rc.d";
/// The most that file may take.
const POLICY_LIMIT: u64 = 64 * 1024;
/// Its answer during the build: no.
const NO_SERVICES: &[u8] = b"#!/bin/sh\nexit 101\n";

/// dpkg with apt.
pub(super) struct Apt;

/// What apt's way of working changes and nobody planned.
pub(super) struct Kept {
    /// [`MARKS`]; empty when there is no such file.
    marks: String,
    policy: Policy,
}

/// What is at [`POLICY`].
#[derive(Debug, PartialEq, Eq)]
enum Policy {
    /// Nothing: ours comes, and goes with dpkg's last invocation.
    None,
    /// A file that lets no service start, or a link that an administrator has put there: it stays.
    Stays,
    /// Another file: ours takes its place during the build.
    Other { mode: u32, content: Vec<u8> },
}

impl PackageSystem for Apt {
    type Kept = Kept;

    fn cache(&self) -> &'static str {
        CACHE
    }

    fn environment(&self) -> Vec<String> {
        [
            "DEBIAN_FRONTEND=noninteractive",
            "DEBCONF_NONINTERACTIVE_SEEN=true",
            "APT_LISTCHANGES_FRONTEND=none",
            "NEEDRESTART_SUSPEND=1",
            "UCF_FORCE_CONFFOLD=1",
        ]
        .map(str::to_owned)
        .into_iter()
        .chain([format!("APT_CONFIG={FOLDER}/apt.conf")])
        .collect()
    }

    fn command(&self, changes: &[PackageChange]) -> Result<Vec<String>, Trouble> {
        let mut argv: Vec<String> =
            ["apt-get", "-y", "-q", "--no-install-recommends", "--no-install-suggests"]
                .map(str::to_owned)
                .to_vec();
        for option in [
            // No archive is asked, and what the configuration says of archives means nothing here.
            "Dir::Etc::SourceList=/dev/null",
            &format!("Dir::Etc::SourceParts={FOLDER}/none"),
            "Dir::Etc::Preferences=/dev/null",
            &format!("Dir::Etc::PreferencesParts={FOLDER}/none"),
            "APT::Default-Release=",
            &format!("Dir::State::Lists={FOLDER}/lists"),
            &format!("Dir::Cache={CACHE}"),
            &format!("Dir::Log={FOLDER}/log"),
            "APT::Sandbox::User=root",
            "APT::Get::AutomaticRemove=false",
            "Dpkg::Use-Pty=0",
            // A changed configuration file stays as it is in the image.
            "Dpkg::Options::=--force-confdef",
            "Dpkg::Options::=--force-confold",
            // A builder that crashes is thrown away: nothing needs to be on the disk before the commit.
            "Dpkg::Options::=--force-unsafe-io",
            &format!("Dpkg::Options::=--log={FOLDER}/log/dpkg.log"),
        ] {
            argv.extend(["-o".to_owned(), option.to_owned()]);
        }
        if changes.iter().all(|change| change.to.is_some()) {
            argv.push("--no-remove".to_owned());
        }
        argv.push("install".to_owned());
        for change in changes {
            let file = self.file(change)?;
            argv.push(match &change.to {
                Some(_) => format!("/{file}"),
                None => format!("{}-", package(change)),
            });
        }
        Ok(argv)
    }

    fn files_of(&self, changes: &[PackageChange]) -> String {
        let staying: Vec<String> = changes.iter().filter(|change| change.to.is_some()).map(package).collect();
        format!("dpkg-query -L {}", staying.join(" "))
    }

    fn file(&self, change: &PackageChange) -> Result<String, Trouble> {
        // Names come from a plan, and a plan from strangers' indices: only what is a name becomes one.
        if is_package(&change.name) && is_arch(&change.arch.0) {
            return Ok(format!("{}/debs/{}_{}.deb", &FOLDER[1..], change.name, change.arch));
        }
        Err(failed(FailureKind::Refused, format!("'{}' is no package name", printable(&change.name, 100))))
    }

    async fn look(&self, builder: &Builder, _: &Value) -> Result<(Installed, Kept), Trouble> {
        let before = installed(builder).await?.ok_or_else(|| {
            failed(FailureKind::Precondition, "changed since planning: the image has no dpkg database")
        })?;
        let kept = Kept { marks: marks(builder).await?, policy: policy(builder).await? };
        Ok((before, kept))
    }

    fn besides(&self, kept: &Kept) -> Result<TarWriter, Trouble> {
        let mut archive = TarWriter::new();
        for folder in ["archives", "archives/partial", "patchyard"] {
            archive.directory(&format!("{}/{folder}", &CACHE[1..]), 0o755)?;
        }
        for folder in ["debs", "lists", "lists/partial", "log", "none"] {
            archive.directory(&format!("{}/{folder}", &FOLDER[1..]), 0o755)?;
        }
        let hook = match kept.policy {
            Policy::None => format!("DPkg::Post-Invoke {{ \"rm -f {POLICY}\"; }};\n"),
            Policy::Stays | Policy::Other { .. } => String::new(),
        };
        archive.file(&format!("{}/apt.conf", &FOLDER[1..]), 0o644, hook.as_bytes())?;
        if kept.policy != Policy::Stays {
            archive.file(&POLICY[1..], 0o755, NO_SERVICES)?;
        }
        Ok(archive)
    }

    fn telling<'a>(&self, text: &'a str) -> Vec<&'a str> {
        telling(text)
    }

    async fn tidy(
        &self,
        builder: &Builder,
        before: &Installed,
        kept: &Kept,
        changes: &[PackageChange],
    ) -> Result<Installed, Trouble> {
        let after = installed(builder).await?.unwrap_or_default();
        let mut archive = TarWriter::new();
        let mut anything = false;
        let native = before.packages.iter().find(|package| package.name == "dpkg");
        let native = native.map_or("all", |package| package.arch.0.as_str());
        if let Some(marks) = corrected(&kept.marks, &marks(builder).await?, changes, native) {
            archive.file(&MARKS[1..], 0o644, marks.as_bytes())?;
            anything = true;
        }
        match &kept.policy {
            Policy::Stays => {}
            Policy::None => {
                if builder.client().stat(builder.name(), POLICY).await?.is_some() {
                    let message = format!("{POLICY} of the builder is still there after the installation");
                    return Err(failed(FailureKind::PackageManager, message));
                }
            }
            Policy::Other { mode, content } => {
                archive.file(&POLICY[1..], *mode, content)?;
                anything = true;
            }
        }
        if anything {
            builder.client().write(builder.name(), "/", archive).await?;
        }
        Ok(after)
    }
}

/// What dpkg's database says; `None` where there is none.
async fn installed(builder: &Builder) -> Result<Option<Installed>, ApiError> {
    let mut archive = match builder.client().archive(builder.name(), STATUS).await {
        Err(error) if error.is_not_found() => return Ok(None),
        archive => archive?,
    };
    if archive.next().await?.is_none() {
        return Ok(None);
    }
    let mut reader = StatusReader::new(Layout::Status);
    let unreadable = |error: patchyard_assess::deb::StatusError| ApiError::protocol(error.to_string());
    while let Some(piece) = archive.chunk().await? {
        reader.push(&piece).map_err(unreadable)?;
    }
    // The connection can be used again when all of it is read.
    while archive.next().await?.is_some() {}
    let status = reader.finish().map_err(unreadable)?;
    Ok(Some(Installed { packages: status.packages, unfinished: status.unfinished }))
}

async fn marks(builder: &Builder) -> Result<String, ApiError> {
    let bytes = builder.client().read_file(builder.name(), MARKS, MARKS_LIMIT).await?;
    Ok(String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned())
}

async fn policy(builder: &Builder) -> Result<Policy, ApiError> {
    let Some(stat) = builder.client().stat(builder.name(), POLICY).await? else { return Ok(Policy::None) };
    if stat.is_symlink() || stat.is_dir() {
        return Ok(Policy::Stays);
    }
    let content = builder.client().read_file(builder.name(), POLICY, POLICY_LIMIT).await?.unwrap_or_default();
    let text = String::from_utf8_lossy(&content);
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    match (lines.next(), lines.next()) {
        (Some("exit 101"), None) => Ok(Policy::Stays),
        _ => Ok(Policy::Other { mode: stat.mode & 0o7777, content }),
    }
}

/// A package as apt names it on its command line.
fn package(change: &PackageChange) -> String {
    if change.arch.0 == "all" { change.name.clone() } else { format!("{}:{}", change.name, change.arch) }
}

/// Names and architectures of the packages that are there only because others need them.
fn automatic(marks: &str) -> BTreeSet<(&str, &str)> {
    paragraphs(marks)
        .filter(|paragraph| field(paragraph, "Auto-Installed") == Some("1"))
        .filter_map(|paragraph| Some((field(paragraph, "Package")?, field(paragraph, "Architecture")?)))
        .collect()
}

fn paragraphs(marks: &str) -> impl Iterator<Item = &str> {
    marks.split("\n\n").map(|paragraph| paragraph.trim_matches('\n')).filter(|text| !text.is_empty())
}

fn field<'a>(paragraph: &'a str, name: &str) -> Option<&'a str> {
    paragraph.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// The marks as they should be, if what apt wrote says something else. Packages that are named on its
/// command line count as wanted by a person from then on: those that did not before, and those that
/// come in as dependencies, shall not.
fn corrected(before: &str, after: &str, changes: &[PackageChange], native: &str) -> Option<String> {
    // apt keeps a package for all architectures under the machine's own.
    let arch = |change: &PackageChange| match change.arch.0.as_str() {
        "all" => native.to_owned(),
        arch => arch.to_owned(),
    };
    let gone = |paragraph: &str| {
        changes.iter().filter(|change| change.to.is_none()).any(|change| {
            field(paragraph, "Package") == Some(&change.name)
                && field(paragraph, "Architecture") == Some(&arch(change))
        })
    };
    let mut meant = String::new();
    for paragraph in paragraphs(before).filter(|paragraph| !gone(paragraph)) {
        let _ = write!(meant, "{paragraph}\n\n");
    }
    for change in changes.iter().filter(|change| change.from.is_none() && change.to.is_some()) {
        let (name, arch) = (&change.name, arch(change));
        if !automatic(before).contains(&(name.as_str(), arch.as_str())) {
            let _ = write!(meant, "Package: {name}\nArchitecture: {arch}\nAuto-Installed: 1\n\n");
        }
    }
    (automatic(&meant) != automatic(after)).then_some(meant)
}

/// The lines of apt's and dpkg's output that say why it failed.
fn telling(text: &str) -> Vec<&str> {
    let lines = lines(text);
    // What the solver cannot do: a list, and an error below it.
    if let Some(at) = lines.iter().rposition(|line| line.contains("unmet dependencies:")) {
        return lines[at + 1..].to_vec();
    }
    // What a package script or dpkg said, just before dpkg reports it; the rest repeats names.
    if let Some(at) = lines.iter().position(|line| line.starts_with("dpkg: error")) {
        return lines[at.saturating_sub(2)..lines.len().min(at + 2)].to_vec();
    }
    let errors: Vec<&str> = lines.iter().copied().filter(|line| line.starts_with("E: ")).collect();
    if errors.is_empty() { lines } else { errors }
}

#[cfg(test)]
mod tests {
    use patchyard_types::{Arch, Failure, StepError};

    use super::super::words::{self, Output, Tail};
    use super::*;

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
    fn files_are_named_and_removals_only_where_planned() {
        let argv = Apt.command(&[change("libssl3", "amd64", Some("2"), Some("3"))]).unwrap();
        assert_eq!(argv.last().unwrap(), "/var/cache/apt/patchyard/debs/libssl3_amd64.deb");
        assert!(argv.contains(&"--no-remove".to_owned()));
        let changes = [change("a1", "all", Some("2"), Some("3")), change("old", "amd64", Some("1"), None)];
        let argv = Apt.command(&changes).unwrap();
        assert_eq!(argv.last().unwrap(), "old:amd64-");
        assert!(!argv.contains(&"--no-remove".to_owned()));
    }

    #[test]
    fn what_is_no_name_becomes_no_argument() {
        for bad in ["-o", "a/../b", "a b", "$(id)", "A1", "", "a\u{1b}[0m"] {
            for to in [Some("1"), None] {
                assert!(Apt.command(&[change(bad, "amd64", Some("0"), to)]).is_err(), "{bad:?}");
                assert!(Apt.command(&[change("good", bad, Some("0"), to)]).is_err(), "{bad:?}");
            }
        }
    }

    #[test]
    fn marks_are_as_if_nobody_had_named_the_packages() {
        let auto = |name: &str| format!("Package: {name}\nArchitecture: amd64\nAuto-Installed: 1\n\n");
        let manual = "Package: apt\nArchitecture: amd64\nAuto-Installed: 0\n\n";
        let before = format!("{}{manual}{}", auto("zlib1g"), auto("old"));
        let changes = [
            change("zlib1g", "amd64", Some("1"), Some("2")),
            change("apt", "amd64", Some("1"), Some("2")),
            change("new", "all", None, Some("1")),
            change("old", "amd64", Some("1"), None),
        ];
        let meant = format!("{}{manual}{}", auto("zlib1g"), auto("new"));
        assert_eq!(corrected(&before, manual, &changes, "amd64"), Some(meant.clone()));
        assert_eq!(corrected(&before, &meant, &changes, "amd64"), None, "nothing to do");
        assert_eq!(corrected("", "", &changes[..2], "amd64"), None, "a file there is no need for");
    }

    fn blamed(text: &str) -> Failure {
        let mut tail = Tail::new(1 << 20);
        tail.push(text.as_bytes()).unwrap();
        match words::blamed(&Apt, &Output { exit: 100, tail }) {
            Trouble::Step(StepError::Failed(failure)) => failure,
            trouble => panic!("{trouble:?}"),
        }
    }

    #[test]
    fn the_words_that_say_why_are_passed_on_harmless() {
        let script = "Unpacking web (2) ...\nSetting up web (2) ...\nweb: cannot \x1b[31mmigrate\n\
            dpkg: error processing package web (--configure):\n installed web package post-installation script \
            subprocess returned error exit status 1\nErrors were encountered while processing:\n web\n\
            E: Sub-process /usr/bin/dpkg returned an error code (1)\n";
        let failure = blamed(script);
        assert_eq!(failure.kind, FailureKind::PackageManager);
        assert_eq!(
            failure.message,
            "the package manager failed (exit code 100): Setting up web (2) ... | web: cannot \\u{1b}[31mmigrate | \
             dpkg: error processing package web (--configure): | installed web package post-installation script \
             subprocess returned error exit status 1"
        );
        let solver = "Some packages could not be installed.\nThe following packages have unmet dependencies:\n \
            web : Depends: gone (>= 2) but it is not installable\nE: Unable to correct problems\n";
        assert!(blamed(solver).message.ends_with(
            ": web : Depends: gone (>= 2) but it is not installable | E: Unable to correct problems"
        ));
        let held = "1 upgraded\nE: Held packages were changed and -y was used.\n";
        assert!(blamed(held).message.ends_with(": E: Held packages were changed and -y was used."));
    }

    #[test]
    fn a_full_disk_is_told_from_a_bad_package() {
        let full = "dpkg: error processing archive /x.deb (--unpack):\n cannot copy extracted data: \
            failed to write (No space left on device)\n";
        assert_eq!(blamed(full).kind, FailureKind::NoSpace);
    }
}
