//! Reads the rpm database, as rpm itself prints it.

use patchyard_types::{Arch, InstalledPackage, printable};
use thiserror::Error;

use super::name::{is_arch, is_package, is_version};

/// What is asked of rpm.
pub const QUERY: [&str; 4] =
    ["rpm", "-qa", "--qf", "%{NAME}\\t%{EPOCHNUM}\\t%{VERSION}-%{RELEASE}\\t%{ARCH}\\t%{SOURCERPM}\\n"];

/// The most packages a database may list.
const MAX_PACKAGES: usize = 100_000;

/// Why the answer cannot be used. Part of an answer would be a wrong answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ListError {
    /// More packages than any real system has.
    #[error("the package database lists more than {MAX_PACKAGES} packages")]
    TooManyPackages,
    /// A line that is no package.
    #[error("not a package: '{line}'")]
    Line {
        /// The line, made printable.
        line: String,
    },
}

/// Reads what [`QUERY`] answers: sorted by name, architecture and version. Keys, which rpm keeps as packages, are none. Of some
/// packages, such as kernels, several versions are installed.
///
/// # Errors
/// [`ListError`]: the answer is no answer.
pub fn installed(output: &[u8]) -> Result<Vec<InstalledPackage>, ListError> {
    let text = String::from_utf8_lossy(output);
    let mut packages = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with("gpg-pubkey\t")) {
        if packages.len() == MAX_PACKAGES {
            return Err(ListError::TooManyPackages);
        }
        packages.push(package(line).ok_or_else(|| ListError::Line { line: printable(line, 120) })?);
    }
    packages.sort_unstable();
    packages.dedup();
    Ok(packages)
}

fn package(line: &str) -> Option<InstalledPackage> {
    let fields: Vec<&str> = line.split('\t').collect();
    let [name, epoch, version, arch, source] = fields[..] else { return None };
    let version = if epoch == "0" { version.to_owned() } else { format!("{epoch}:{version}") };
    if !is_package(name) || !is_version(&version) || !is_arch(arch) {
        return None;
    }
    // `openssl-3.0.7-24.el9.src.rpm`: the name is what stands before the last two dashes.
    let source = source.rsplitn(3, '-').nth(2).filter(|source| *source != name && is_package(source));
    Some(InstalledPackage {
        name: name.to_owned(),
        arch: Arch(arch.to_owned()),
        version,
        source: source.map(str::to_owned),
        held: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_come_sorted_with_epoch_and_source() {
        let packages = installed(
            b"openssl-libs\t1\t3.0.7-24.el9\tx86_64\topenssl-3.0.7-24.el9.src.rpm\n\
              gpg-pubkey\t0\td651ff2e-5dadbbc1\t(none)\t(none)\n\
              kernel-core\t0\t5.14.0-2.el9\tx86_64\tkernel-5.14.0-2.el9.src.rpm\n\
              kernel-core\t0\t5.14.0-1.el9\tx86_64\tkernel-5.14.0-1.el9.src.rpm\n\
              bash\t0\t5.1.8-6.el9\tx86_64\tbash-5.1.8-6.el9.src.rpm\n",
        )
        .unwrap();
        let words: Vec<String> = packages
            .iter()
            .map(|p| format!("{} {} {}", p.name, p.version, p.source.as_deref().unwrap_or("-")))
            .collect();
        assert_eq!(
            words,
            [
                "bash 5.1.8-6.el9 -",
                "kernel-core 5.14.0-1.el9 kernel",
                "kernel-core 5.14.0-2.el9 kernel",
                "openssl-libs 1:3.0.7-24.el9 openssl"
            ]
        );
    }

    #[test]
    fn a_line_that_is_no_package_spoils_the_answer() {
        for bad in [
            "x",
            "a b\t0\t1-1\tnoarch\tx",
            "a\t0\t1\tnoarch\tx",
            "a\t0\t1-1\t(none)\tx",
            "\x1b\t0\t1-1\tnoarch\tx",
        ] {
            let error = installed(bad.as_bytes()).unwrap_err();
            assert!(matches!(&error, ListError::Line { line } if !line.contains('\x1b')), "{error}");
        }
    }
}
