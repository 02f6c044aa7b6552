//! The answers: apt's output in the C locale, read with limits.
//!
//! A line of a kind that matters and makes no sense spoils the whole answer: a pending patch that
//! was overlooked would count as not there.

use std::collections::BTreeSet;

use patchyard_types::{Arch, Digest, printable};
use thiserror::Error;

use crate::deb::name;

/// The longest answer read, in bytes: a full upgrade of a desktop's 5,000 packages has 2 MiB.
const MAX_LENGTH: usize = 16 * 1024 * 1024;
/// The most packages in an answer.
const MAX_PACKAGES: usize = 20_000;
/// The longest origin kept, in characters.
const MAX_ORIGIN: usize = 300;

/// Why an answer of apt's cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AnswerError {
    /// More output than any real question gives.
    #[error("apt's answer is too long to be true")]
    TooLong,
    /// A line that should tell of a package and does not.
    #[error("apt's answer has a line that makes no sense: {line}")]
    Line {
        /// The line, made printable.
        line: String,
    },
}

impl AnswerError {
    fn line(line: &str) -> Self {
        Self::Line { line: printable(line, 160) }
    }
}

/// What the solver would do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Simulation {
    /// Packages it would install or upgrade, in its order.
    pub install: Vec<Install>,
    /// Packages it would remove: name, architecture where it is not the native one, version.
    pub remove: Vec<(String, Option<Arch>, String)>,
    /// Names (`name` or `name:arch`) it keeps back.
    pub kept_back: BTreeSet<String>,
}

/// A package the solver would install.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Install {
    /// Package name.
    pub name: String,
    /// Architecture of the new version.
    pub arch: Arch,
    /// Installed version; `None` for a new package.
    pub from: Option<String>,
    /// The new version.
    pub to: String,
    /// Where it comes from, in apt's words: `Debian-Security:12/stable-security`, several separated
    /// by commas.
    pub origin: String,
}

/// A package with a newer version, whatever the solver does about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgradable {
    /// Package name.
    pub name: String,
    /// Architecture of the candidate.
    pub arch: Arch,
    /// Installed version.
    pub from: String,
    /// The candidate.
    pub to: String,
    /// Suites it comes from, separated by commas.
    pub suites: String,
}

/// A package file that a repository offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Package name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its architecture.
    pub arch: Arch,
    /// Size in bytes.
    pub size: u64,
    /// SHA-256 from the signed index; `None` where the index has none.
    pub sha256: Option<Digest>,
}

/// Whether a candidate comes from a security suite: Debian's by its label, others by the suite's
/// name (`jammy-security`, `stable-security`, `jammy-infra-security`).
#[must_use]
pub fn is_security(origin: &str) -> bool {
    origin.split(',').map(str::trim).any(|one| {
        let (label, release) = one.rsplit_once(':').unwrap_or(("", one));
        let suite = release.rsplit('/').next().unwrap_or_default();
        label == "Debian-Security" || suite.ends_with("-security")
    })
}

/// Reads what [`super::ask::simulate`] answers.
///
/// # Errors
/// [`AnswerError`]: the answer is no answer.
pub fn simulation(output: &[u8]) -> Result<Simulation, AnswerError> {
    let mut simulation = Simulation::default();
    let mut in_kept_back = false;
    let text = text(output)?;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("Inst ") {
            simulation.install.push(install(rest).ok_or_else(|| AnswerError::line(line))?);
        } else if let Some(rest) = line.strip_prefix("Remv ").or_else(|| line.strip_prefix("Purg ")) {
            simulation.remove.push(remove(rest).ok_or_else(|| AnswerError::line(line))?);
        } else if line.starts_with(' ') {
            if !in_kept_back {
                continue;
            }
            for word in line.split_ascii_whitespace() {
                let (package, arch) = split_arch(word);
                if !name::is_package(package) || !arch.is_none_or(name::is_arch) {
                    return Err(AnswerError::line(line));
                }
                simulation.kept_back.insert(word.to_owned());
            }
            if simulation.kept_back.len() > MAX_PACKAGES {
                return Err(AnswerError::TooLong);
            }
            continue;
        }
        if simulation.install.len().max(simulation.remove.len()) > MAX_PACKAGES {
            return Err(AnswerError::TooLong);
        }
        in_kept_back = line == "The following packages have been kept back:";
    }
    Ok(simulation)
}

/// `name [old] (new Label:1/suite, Label2:… [arch]) [marks]`; `[old]` only for an upgrade.
fn install(rest: &str) -> Option<Install> {
    let (name, rest) = rest.split_once(' ')?;
    let (name, _) = split_arch(name);
    let (from, rest) = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once("] ").map(|(from, rest)| (Some(from), rest))?,
        None => (None, rest),
    };
    let inside = rest.strip_prefix('(')?;
    let (inside, _marks) = inside.split_once("])")?;
    let (to, rest) = inside.split_once(' ')?;
    // Without any release file the origin is empty, and there is nothing before the bracket.
    let (origin, arch) = rest.rsplit_once('[')?;
    (name::is_package(name)
        && name::is_arch(arch)
        && name::is_version(to)
        && from.is_none_or(name::is_version))
    .then(|| Install {
        name: name.to_owned(),
        arch: Arch(arch.to_owned()),
        from: from.map(str::to_owned),
        to: to.to_owned(),
        origin: printable(origin.trim(), MAX_ORIGIN),
    })
}

/// `name [version]`, then perhaps marks.
fn remove(rest: &str) -> Option<(String, Option<Arch>, String)> {
    let (name, rest) = rest.split_once(' ')?;
    let (name, arch) = split_arch(name);
    let (version, _) = rest.strip_prefix('[')?.split_once(']')?;
    (name::is_package(name) && arch.is_none_or(name::is_arch) && name::is_version(version))
        .then(|| (name.to_owned(), arch.map(|a| Arch(a.to_owned())), version.to_owned()))
}

/// Reads what [`super::ask::upgradable`] answers: `name/suite,suite version arch [upgradable from: old]`.
///
/// # Errors
/// [`AnswerError`]: the answer is no answer.
pub fn upgradable(output: &[u8]) -> Result<Vec<Upgradable>, AnswerError> {
    let mut found = Vec::new();
    for line in text(output)?.lines() {
        let line = line.trim_end();
        // `Listing...`, and remarks on further versions that `apt` prints for people.
        if !line.contains("[upgradable from: ") {
            continue;
        }
        found.push(upgradable_line(line).ok_or_else(|| AnswerError::line(line))?);
        if found.len() > MAX_PACKAGES {
            return Err(AnswerError::TooLong);
        }
    }
    Ok(found)
}

fn upgradable_line(line: &str) -> Option<Upgradable> {
    let (name, rest) = line.split_once('/')?;
    let (rest, from) = rest.split_once(" [upgradable from: ")?;
    let from = from.strip_suffix(']')?;
    let (rest, arch) = rest.rsplit_once(' ')?;
    let (suites, to) = rest.rsplit_once(' ')?;
    (name::is_package(name) && name::is_arch(arch) && name::is_version(to) && name::is_version(from)).then(
        || Upgradable {
            name: name.to_owned(),
            arch: Arch(arch.to_owned()),
            from: from.to_owned(),
            to: to.to_owned(),
            suites: printable(suites, MAX_ORIGIN),
        },
    )
}

/// A version of a package that comes from a security suite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityVersion {
    /// Package name.
    pub name: String,
    /// The version.
    pub version: String,
}

/// Reads what [`super::ask::versions`] answers, as far as it comes from security suites:
/// `name | version | URI suite/component arch Packages`.
///
/// # Errors
/// [`AnswerError`]: the answer is no answer.
pub fn security_versions(output: &[u8]) -> Result<Vec<SecurityVersion>, AnswerError> {
    let mut found = Vec::new();
    for line in text(output)?.lines() {
        let mut columns = line.split(" | ").map(str::trim);
        let (Some(name), Some(version), Some(source)) = (columns.next(), columns.next(), columns.next())
        else {
            continue;
        };
        let (name, _) = split_arch(name);
        // The URI may hold credentials and is not repeated in an error.
        if !name::is_package(name) || !name::is_version(version) {
            return Err(AnswerError::line(name));
        }
        let archive = source.split(' ').nth(1).unwrap_or_default();
        let suite = archive.split_once('/').map_or(archive, |(suite, _)| suite);
        if suite.ends_with("-security") {
            found.push(SecurityVersion { name: name.to_owned(), version: version.to_owned() });
        }
        if found.len() > MAX_PACKAGES {
            return Err(AnswerError::TooLong);
        }
    }
    Ok(found)
}

/// Reads what [`super::ask::offers`] answers: `'URI' name_version_arch.deb size SHA256:hash`.
///
/// The URI may hold credentials and is passed over.
///
/// # Errors
/// [`AnswerError`]: the answer is no answer.
pub fn offers(output: &[u8]) -> Result<Vec<Offer>, AnswerError> {
    let mut found = Vec::new();
    for line in text(output)?.lines() {
        if !line.starts_with('\'') {
            continue;
        }
        // The URI is not repeated in an error either.
        let Some((_, rest)) = line[1..].split_once("' ") else { return Err(AnswerError::line("'…")) };
        found.push(offer(rest).ok_or_else(|| AnswerError::line(rest))?);
        if found.len() > MAX_PACKAGES {
            return Err(AnswerError::TooLong);
        }
    }
    Ok(found)
}

fn offer(rest: &str) -> Option<Offer> {
    let mut words = rest.split(' ');
    let (file, size, hash) = (words.next()?, words.next()?, words.next().unwrap_or_default());
    let mut parts = file.strip_suffix(".deb")?.splitn(3, '_');
    let (name, version, arch) = (parts.next()?, parts.next()?, parts.next()?);
    // apt quotes an epoch's colon in file names.
    let version = version.replace("%3a", ":");
    (name::is_package(name) && name::is_arch(arch) && name::is_version(&version)).then_some(())?;
    let sha256 = match hash.strip_prefix("SHA256:") {
        Some(hex) => Some(hex.parse().ok()?),
        None => None,
    };
    Some(Offer {
        name: name.to_owned(),
        version,
        arch: Arch(arch.to_owned()),
        size: size.parse().ok()?,
        sha256,
    })
}

/// Reads what [`super::ask::records`] answers: a paragraph a version. What is installed and in no repository has no file.
///
/// # Errors
/// [`AnswerError`]: the answer is no answer.
pub fn records(output: &[u8]) -> Result<Vec<Offer>, AnswerError> {
    let mut found = Vec::new();
    for paragraph in text(output)?.split("\n\n").filter(|paragraph| !paragraph.trim().is_empty()) {
        let field = |wanted: &str| {
            let mut fields = paragraph.lines().filter_map(|line| line.split_once(": "));
            fields.find(|(name, _)| *name == wanted).map(|(_, value)| value.trim())
        };
        if field("Filename").is_none() {
            continue;
        }
        let record = || {
            let (name, version, arch) = (field("Package")?, field("Version")?, field("Architecture")?);
            (name::is_package(name) && name::is_arch(arch) && name::is_version(version)).then_some(())?;
            Some(Offer {
                name: name.to_owned(),
                version: version.to_owned(),
                arch: Arch(arch.to_owned()),
                size: field("Size")?.parse().ok()?,
                sha256: field("SHA256").map(str::parse).transpose().ok()?,
            })
        };
        found.push(record().ok_or_else(|| AnswerError::line(paragraph.lines().next().unwrap_or_default()))?);
        if found.len() > MAX_PACKAGES {
            return Err(AnswerError::TooLong);
        }
    }
    Ok(found)
}

/// Reads a list of package names, one a line (`apt-mark showauto`): `name` or `name:arch`.
///
/// # Errors
/// [`AnswerError`]: the answer is no answer.
pub fn names(output: &[u8]) -> Result<Vec<String>, AnswerError> {
    let mut names = Vec::new();
    for line in text(output)?.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (package, arch) = split_arch(line);
        if !name::is_package(package) || !arch.is_none_or(name::is_arch) {
            return Err(AnswerError::line(line));
        }
        if names.len() == MAX_PACKAGES {
            return Err(AnswerError::TooLong);
        }
        names.push(line.to_owned());
    }
    Ok(names)
}

/// The solver's own words in the output of a question that failed (both streams, in either order):
/// unmet dependencies and errors, in one line. Empty when there are none.
#[must_use]
pub fn words(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(&output[..output.len().min(MAX_LENGTH)]);
    let mut found: Vec<&str> = Vec::new();
    let mut in_list = false;
    for line in text.lines() {
        if line == "The following packages have unmet dependencies:" {
            in_list = true;
        } else if in_list && line.starts_with(' ') {
            found.push(line.trim());
        } else {
            in_list = false;
            if let Some(error) = line.strip_prefix("E: ") {
                found.push(error.trim());
            }
        }
        if found.len() == 20 {
            break;
        }
    }
    printable(&found.join("; "), 1000)
}

fn text(output: &[u8]) -> Result<std::borrow::Cow<'_, str>, AnswerError> {
    if output.len() > MAX_LENGTH {
        return Err(AnswerError::TooLong);
    }
    Ok(String::from_utf8_lossy(output))
}

fn split_arch(name: &str) -> (&str, Option<&str>) {
    match name.split_once(':') {
        Some((name, arch)) => (name, Some(arch)),
        None => (name, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simulation_with_everything_in_it() {
        let simulation = simulation(
            b"Reading package lists...\nBuilding dependency tree...\nCalculating upgrade...\n\
            The following NEW packages will be installed:\n  newcomer\n\
            The following packages have been kept back:\n  kept kept-too:i386\n  third\n\
            The following upgrades have been deferred due to phasing:\n  phased\n\
            The following packages will be upgraded:\n  libc6 libc6:i386\n\
            2 upgraded, 1 newly installed, 1 to remove and 4 not upgraded.\n\
            Remv gone [1.0-1] [other:amd64 ]\n\
            Inst libc6 [2.36-9] (2.36-9+deb12u1 Debian:12.5/stable, Debian-Security:12/stable-security [amd64]) [libc6:i386 on libc6:amd64]\n\
            Inst libc6:i386 [2.36-9] (2.36-9+deb12u1 Docker CE:bookworm [i386])\n\
            Inst newcomer (1:3 localhost [all]) []\n\
            Conf libc6 (2.36-9+deb12u1 Debian:12.5/stable [amd64])\n",
        )
        .unwrap();
        assert_eq!(
            simulation.kept_back.iter().map(String::as_str).collect::<Vec<_>>(),
            ["kept", "kept-too:i386", "third"]
        );
        assert_eq!(simulation.remove, [("gone".to_owned(), None, "1.0-1".to_owned())]);
        let [libc, libc_i386, newcomer] = &simulation.install[..] else { panic!("{simulation:?}") };
        assert!(is_security(&libc.origin) && !is_security(&libc_i386.origin));
        assert_eq!((libc_i386.name.as_str(), libc_i386.arch.0.as_str()), ("libc6", "i386"));
        assert_eq!((newcomer.from.as_ref(), newcomer.to.as_str()), (None, "1:3"));
    }

    #[test]
    fn versions_from_security_suites_are_told_from_the_others() {
        let answer = b"   openssl | 3.0.15-1~deb12u1 | http://me:secret@deb.example.org/debian bookworm/main amd64 Packages\n\
               openssl | 3.0.14-1~deb12u2 | http://deb.example.org/debian-security bookworm-security/main amd64 Packages\n\
               lab-web |        1.1 | file:/repo lab-security/main amd64 Packages\n\
             N: Unable to locate package nothing\n";
        let found = security_versions(answer).unwrap();
        let found: Vec<_> = found.iter().map(|v| (v.name.as_str(), v.version.as_str())).collect();
        assert_eq!(found, [("openssl", "3.0.14-1~deb12u2"), ("lab-web", "1.1")]);
        let error = security_versions(b"bad name! | 1 | http://me:secret@x y/main").unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }

    #[test]
    fn security_is_told_by_label_or_suite() {
        for origin in [
            "Debian-Security:12/oldstable-security",
            "Debian-Security:12",
            "Ubuntu:22.04/jammy-updates, Ubuntu:22.04/jammy-security",
            "oldstable-security",
            "jammy-updates,jammy-security",
            "UbuntuESM:22.04/jammy-infra-security",
            "UbuntuESMApps:24.04/noble-apps-security",
            "noble-apps-security",
        ] {
            assert!(is_security(origin), "{origin}");
        }
        for origin in [
            "",
            "Debian:12.15/oldstable",
            "Ubuntu:24.04/noble-updates",
            "UbuntuESM:24.04/noble-infra-updates",
            "localhost",
            "unknown",
            "security.example.org:stable",
            "Not-Debian-Security:12/x",
        ] {
            assert!(!is_security(origin), "{origin}");
        }
    }

    #[test]
    fn a_line_that_makes_no_sense_spoils_the_answer() {
        for line in [
            "Inst",
            "Inst ",
            "Inst x",
            "Inst a;b [1] (2 x [amd64])",
            "Inst aa [1] (2 x [amd64]",
            "Inst aa [1] (-o=x x [amd64])",
            "Inst aa [1] (2 x [am d])",
            "Inst aa [\x1b[2J] (2 x [amd64])",
            "Remv aa",
            "Remv $(id) [1]",
        ] {
            let outcome = simulation(format!("{line}\n").as_bytes());
            // A bare keyword is some other word; everything else is refused, printably.
            match outcome {
                Err(AnswerError::Line { line }) => assert!(!line.contains('\x1b')),
                other => assert_eq!((line, other), ("Inst", Ok(Simulation::default()))),
            }
        }
        assert!(simulation(b"The following packages have been kept back:\n  $(id)\n").is_err());
        assert!(upgradable(b"aa/x 1 am/d [upgradable from: 2]\n").is_err());
        assert!(upgradable(b"aa/x 1 amd64 [upgradable from: -o]\n").is_err());
        assert!(offers(b"'http://user:secret@host/x\n").is_err_and(|e| !e.to_string().contains("secret")));
        assert!(
            offers(b"'http://user:secret@host/x' junk\n").is_err_and(|e| !e.to_string().contains("secret"))
        );
        assert!(offers(b"'u' aa_1_amd64.deb 12 SHA256:beef\n").is_err());
        assert!(names(b"good\n-x\n").is_err());
        assert_eq!(simulation(&vec![b'x'; MAX_LENGTH + 1]), Err(AnswerError::TooLong));
    }

    #[test]
    fn offers_without_sha256_have_none() {
        let found =
            offers(b"'u' g++_4%3a12.2.0-3_amd64.deb 1234 SHA512:00\n'u' aa_1_all.deb 5\nE: noise\n").unwrap();
        assert_eq!(
            (found[0].name.as_str(), found[0].version.as_str(), found[0].size),
            ("g++", "4:12.2.0-3", 1234)
        );
        assert!(found.iter().all(|offer| offer.sha256.is_none()));
    }

    #[test]
    fn records_of_what_no_repository_has_are_passed_over() {
        let sum = "5e0744f1c5cb61232aa341b79376b0008eeae256be42f7b05bb47f84c2252a97";
        let answer = format!(
            "Package: gone\nStatus: install ok installed\nArchitecture: all\nVersion: 1.2\nConffiles:\n /etc/gone 12\n\n\
             Package: g++\nArchitecture: amd64\nVersion: 4:12.2.0-3\nFilename: pool/g.deb\nSize: 1234\nSHA256: {sum}\n\n"
        );
        let found = records(answer.as_bytes()).unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((&*found[0].name, &*found[0].version, found[0].size), ("g++", "4:12.2.0-3", 1234));
        assert_eq!(found[0].sha256, Some(sum.parse().unwrap()));
        assert!(records(b"Package: a\nVersion: 1\nArchitecture: all\nFilename: f\nSize: much\n").is_err());
        assert_eq!(records(b"").unwrap(), []);
    }

    #[test]
    fn the_solvers_words_are_found_in_its_chatter() {
        let words = words(
            b"Reading package lists...\nThe following packages have unmet dependencies:\n alpha : Depends: missing but it is not installable\n         Depends: other\nE: Unable to correct problems, you have held broken packages.\n",
        );
        assert_eq!(
            words,
            "alpha : Depends: missing but it is not installable; Depends: other; \
             Unable to correct problems, you have held broken packages."
        );
    }
}
