//! Reads the database of installed packages, `lib/apk/db/installed`: apk-package(5) names its fields.

use patchyard_types::{Arch, InstalledPackage, printable};
use thiserror::Error;

use super::name::{is_arch, is_package, is_version};

/// The most packages a database may list; all of Alpine's repositories have some 30,000.
const MAX_PACKAGES: usize = 100_000;

/// Why the database cannot be used. Part of it would be a wrong answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DatabaseError {
    /// More packages than any real system has.
    #[error("the package database lists more than {MAX_PACKAGES} packages")]
    TooManyPackages,
    /// A paragraph that is no package.
    #[error("not a package: '{what}'")]
    Package {
        /// Its name and version, made printable.
        what: String,
    },
}

/// What the database says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Database {
    /// Packages, sorted by name; none is on hold: the world tells. Those that are broken are among them.
    pub packages: Vec<InstalledPackage>,
    /// Names of packages of which files are missing or a script failed; sorted.
    pub broken: Vec<String>,
    /// Names of virtual packages, which have nothing but needs; sorted.
    pub virtuals: Vec<String>,
}

/// Reads the database.
///
/// # Errors
/// [`DatabaseError`]: it is none.
pub fn installed(database: &[u8]) -> Result<Database, DatabaseError> {
    let text = String::from_utf8_lossy(database);
    let mut found = Database::default();
    for paragraph in text.split("\n\n").filter(|paragraph| !paragraph.trim().is_empty()) {
        if found.packages.len() + found.virtuals.len() == MAX_PACKAGES {
            return Err(DatabaseError::TooManyPackages);
        }
        // The fields of a package come first; what follows is about its files, where letters mean other things.
        let field = |wanted: &str| {
            let about_itself = paragraph.lines().take_while(|line| !line.starts_with("F:"));
            about_itself
                .filter_map(|line| line.split_once(':'))
                .find(|(name, _)| *name == wanted)
                .map(|(_, value)| value)
        };
        let name = field("P").unwrap_or_default();
        if name.len() > 1 && name.strip_prefix('.').is_some_and(is_package) {
            found.virtuals.push(name.to_owned());
            continue;
        }
        let package = package(name, field("V"), field("A"), field("o"));
        let bad = || DatabaseError::Package {
            what: printable(&format!("{name} {}", field("V").unwrap_or_default()), 120),
        };
        let package = package.ok_or_else(bad)?;
        // f: files are broken, s: a script failed; x, attributes of files that could not be set, keeps nothing from working.
        if field("f").is_some_and(|flags| flags.contains(['f', 's'])) {
            found.broken.push(package.name.clone());
        }
        found.packages.push(package);
    }
    found.packages.sort_unstable();
    found.broken.sort_unstable();
    found.virtuals.sort_unstable();
    Ok(found)
}

fn package(
    name: &str,
    version: Option<&str>,
    arch: Option<&str>,
    origin: Option<&str>,
) -> Option<InstalledPackage> {
    let (version, arch) = (version?, arch?);
    (is_package(name) && is_version(version) && is_arch(arch)).then(|| InstalledPackage {
        name: name.to_owned(),
        arch: Arch(arch.to_owned()),
        version: version.to_owned(),
        source: origin.filter(|origin| *origin != name && is_package(origin)).map(str::to_owned),
        held: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATABASE: &str = "\
C:Q1qKcZ+j23xssAXmgQhkOO8dHnbWw=
P:musl
V:1.2.4_git20230717-r4
A:x86_64
S:407278
I:667648
T:the musl c library (libc) implementation
U:https://musl.libc.org/
L:MIT
o:musl
m:Timo
t:1708964520
c:ca7f2ab5e88794e4e654b40776f8a92256f50639
p:so:libc.musl-x86_64.so.1=1
F:lib
R:ld-musl-x86_64.so.1
a:0:0:755
Z:Q1D+hXnB3qJ9pSNaK3FG3VKVBFBPU=

C:Q1x
P:ssl_client
V:1.36.1-r15
A:x86_64
o:busybox
f:s
F:usr/bin
R:ssl_client

C:Q1y
P:.build-deps
V:20260101.120000
A:noarch

";

    #[test]
    fn packages_with_their_sources_and_those_that_are_broken() {
        let found = installed(DATABASE.as_bytes()).unwrap();
        let words: Vec<_> = found
            .packages
            .iter()
            .map(|p| (&*p.name, &*p.version, &*p.arch.0, p.source.as_deref().unwrap_or("-")))
            .collect();
        assert_eq!(
            words,
            [
                ("musl", "1.2.4_git20230717-r4", "x86_64", "-"),
                ("ssl_client", "1.36.1-r15", "x86_64", "busybox")
            ]
        );
        assert_eq!(
            (&found.broken[..], &found.virtuals[..]),
            (&["ssl_client".to_owned()][..], &[".build-deps".to_owned()][..])
        );
        assert_eq!(installed(b"").unwrap(), Database::default());
    }

    #[test]
    fn what_is_no_package_spoils_the_answer() {
        for bad in [
            "P:a b\nV:1\nA:noarch\n",
            "P:a\nV:1-1\nA:noarch\n",
            "P:a\nV:1\n",
            "P:a\nF:etc\nV:1\nA:noarch\n",
            "P:\x1b\nV:1\nA:noarch\n",
            "P:..\nV:1\nA:noarch\n",
            "what is this",
        ] {
            let error = installed(bad.as_bytes()).unwrap_err();
            assert!(matches!(&error, DatabaseError::Package { what } if !what.contains('\x1b')), "{bad:?}");
        }
    }
}
