//! Reads the dpkg database: `/var/lib/dpkg/status`, and `status.d/*` of distroless images.
//!
//! The reader takes the file in pieces, as they arrive, and keeps only what it needs of the
//! paragraph at hand: a database of a million lines costs no more memory than its packages.

use std::collections::BTreeSet;

use patchyard_types::{Arch, Digest, InstalledPackage, printable};
use serde::Serialize;
use thiserror::Error;

use super::name;

/// The most packages a database may list; a full desktop has 5,000, all of Debian 65,000.
const MAX_PACKAGES: usize = 100_000;
/// The longest line looked at, in bytes; of longer ones the rest is passed over. The fields that
/// matter here are far shorter.
const MAX_LINE: usize = 4096;
/// How many paragraphs that make no sense are quoted.
const MAX_EXAMPLES: usize = 5;

/// Which of dpkg's two layouts is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// One file for all packages, each with its `Status`.
    Status,
    /// A file for each package, without `Status`: what is there is installed.
    StatusD,
}

/// Whether a file of `status.d` is a package's paragraph; the lists of checksums beside it are not.
#[must_use]
pub fn is_status_d_member(file_name: &str) -> bool {
    !file_name.is_empty() && !file_name.starts_with('.') && !file_name.ends_with(".md5sums")
}

/// What a dpkg database says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// Installed packages, sorted by name and architecture.
    pub packages: Vec<InstalledPackage>,
    /// Packages that dpkg left in the middle (`half-configured` and the like): not counted as
    /// installed, and a reason to expect trouble.
    pub unfinished: Vec<String>,
    /// Paragraphs that make no sense or come twice.
    pub invalid: usize,
    /// The first few of them, fit to be shown.
    pub examples: Vec<String>,
}

/// Why a database cannot be read. Part of an answer would be a wrong answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StatusError {
    /// More packages than any real system has.
    #[error("the package database lists more than {MAX_PACKAGES} packages")]
    TooManyPackages,
}

/// Reads a dpkg database piece by piece.
#[derive(Debug)]
pub struct StatusReader {
    layout: Layout,
    line: Vec<u8>,
    paragraph: Paragraph,
    status: Status,
}

#[derive(Debug, Default)]
struct Paragraph {
    any: bool,
    package: Option<String>,
    arch: Option<String>,
    version: Option<String>,
    status: Option<String>,
    source: Option<String>,
}

impl StatusReader {
    /// A reader that has seen nothing yet.
    #[must_use]
    pub fn new(layout: Layout) -> Self {
        Self { layout, line: Vec::new(), paragraph: Paragraph::default(), status: Status::default() }
    }

    /// Reads all of a database that is in memory already.
    ///
    /// # Errors
    /// [`StatusError::TooManyPackages`].
    pub fn read(layout: Layout, bytes: &[u8]) -> Result<Status, StatusError> {
        let mut reader = Self::new(layout);
        reader.push(bytes)?;
        reader.finish()
    }

    /// Takes the next piece, of any size.
    ///
    /// # Errors
    /// [`StatusError::TooManyPackages`]: there is no point in going on.
    pub fn push(&mut self, mut piece: &[u8]) -> Result<(), StatusError> {
        while let Some(end) = piece.iter().position(|b| *b == b'\n') {
            self.extend_line(&piece[..end]);
            self.end_line()?;
            piece = &piece[end + 1..];
        }
        self.extend_line(piece);
        Ok(())
    }

    /// The end of a file of [`Layout::StatusD`]: what follows is another package.
    ///
    /// # Errors
    /// [`StatusError::TooManyPackages`].
    pub fn end_of_file(&mut self) -> Result<(), StatusError> {
        self.end_line()?;
        self.end_paragraph()
    }

    /// What was read.
    ///
    /// # Errors
    /// [`StatusError::TooManyPackages`].
    pub fn finish(mut self) -> Result<Status, StatusError> {
        self.end_of_file()?;
        let mut status = self.status;
        // dpkg itself never lists a package twice; of a file that does, the first one is taken.
        status.packages.sort_by(|a, b| (&a.name, &a.arch).cmp(&(&b.name, &b.arch)));
        let before = status.packages.len();
        status.packages.dedup_by(|later, first| later.name == first.name && later.arch == first.arch);
        status.invalid += before - status.packages.len();
        status.unfinished.sort_unstable();
        Ok(status)
    }

    fn extend_line(&mut self, bytes: &[u8]) {
        let room = MAX_LINE.saturating_sub(self.line.len());
        self.line.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn end_line(&mut self) -> Result<(), StatusError> {
        let line = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
        if line.trim_ascii().is_empty() {
            self.line.clear();
            return self.end_paragraph();
        }
        self.paragraph.field(line);
        self.line.clear();
        Ok(())
    }

    fn end_paragraph(&mut self) -> Result<(), StatusError> {
        let paragraph = std::mem::take(&mut self.paragraph);
        if !paragraph.any {
            return Ok(());
        }
        match paragraph.judge(self.layout) {
            Judged::Installed(package) => {
                if self.status.packages.len() == MAX_PACKAGES {
                    return Err(StatusError::TooManyPackages);
                }
                self.status.packages.push(package);
            }
            Judged::Unfinished(name) => {
                if self.status.unfinished.len() == MAX_PACKAGES {
                    return Err(StatusError::TooManyPackages);
                }
                self.status.unfinished.push(name);
            }
            Judged::Absent => {}
            Judged::Invalid(example) => {
                self.status.invalid += 1;
                if self.status.examples.len() < MAX_EXAMPLES {
                    self.status.examples.push(example);
                }
            }
        }
        Ok(())
    }
}

enum Judged {
    Installed(InstalledPackage),
    Unfinished(String),
    Absent,
    Invalid(String),
}

impl Paragraph {
    fn field(&mut self, line: &[u8]) {
        self.any = true;
        // Continuation lines belong to fields that do not matter here.
        if line.starts_with(b" ") || line.starts_with(b"\t") {
            return;
        }
        let Some(colon) = line.iter().position(|b| *b == b':') else { return };
        let slot = match &line[..colon] {
            name if name.eq_ignore_ascii_case(b"package") => &mut self.package,
            name if name.eq_ignore_ascii_case(b"architecture") => &mut self.arch,
            name if name.eq_ignore_ascii_case(b"version") => &mut self.version,
            name if name.eq_ignore_ascii_case(b"status") => &mut self.status,
            name if name.eq_ignore_ascii_case(b"source") => &mut self.source,
            _ => return,
        };
        *slot = Some(String::from_utf8_lossy(line[colon + 1..].trim_ascii()).into_owned());
    }

    fn judge(self, layout: Layout) -> Judged {
        let name = self.package.unwrap_or_default();
        let invalid = |what: &str| Judged::Invalid(printable(&format!("{what} '{name}'"), 120));
        if !name::is_package(&name) {
            return invalid("no package name:");
        }
        let words = match (&self.status, layout) {
            (Some(status), _) => status.as_str(),
            (None, Layout::StatusD) => "install ok installed",
            (None, Layout::Status) => return invalid("no status of package"),
        };
        let mut words = words.split_ascii_whitespace();
        let (Some(want), Some(_error), Some(state), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return invalid("no valid status of package");
        };
        match state {
            "installed" | "triggers-awaited" | "triggers-pending" => {}
            "unpacked" | "half-configured" | "half-installed" => return Judged::Unfinished(name),
            "not-installed" | "config-files" => return Judged::Absent,
            _ => return invalid("no valid status of package"),
        }
        let (Some(version), Some(arch)) = (
            self.version.filter(|version| name::is_version(version)),
            self.arch.filter(|arch| name::is_arch(arch)),
        ) else {
            return invalid("no valid version or architecture of package");
        };
        // `Source: dpkg (1.21.22)`: the version in parentheses is the source's, where it differs.
        let source = self
            .source
            .and_then(|source| source.split_ascii_whitespace().next().map(str::to_owned))
            .filter(|source| *source != name && name::is_package(source));
        Judged::Installed(InstalledPackage { name, arch: Arch(arch), version, source, held: want == "hold" })
    }
}

/// The digest of everything that decides what a solver answers: the installed packages with their
/// versions and holds, and the digests of other inputs (package sources, preferences, keyrings,
/// automatic marks) by their paths. The order of arguments plays no role.
#[must_use]
pub fn state_digest(packages: &[InstalledPackage], inputs: &[(String, Digest)]) -> Digest {
    #[derive(Serialize, PartialEq, Eq, PartialOrd, Ord)]
    struct Package<'a>(&'a str, &'a Arch, &'a str, bool);
    #[derive(Serialize)]
    struct State<'a> {
        version: u32,
        packages: Vec<Package<'a>>,
        inputs: Vec<&'a (String, Digest)>,
    }
    let mut packages: Vec<_> =
        packages.iter().map(|p| Package(&p.name, &p.arch, &p.version, p.held)).collect();
    packages.sort_unstable();
    let mut inputs: Vec<_> = inputs.iter().collect();
    inputs.sort_unstable();
    Digest::of(&State { version: 1, packages, inputs })
}

/// Packages whose versions decide how sources are read and questions answered: apt and what it verifies signatures and certificates by.
const READERS: [&str; 9] = [
    "apt",
    "apt-transport-https",
    "ca-certificates",
    "debian-archive-keyring",
    "dpkg",
    "gpgv",
    "sqv",
    "ubuntu-keyring",
    "ubuntu-pro-client",
];

/// A digest of what decides apt's answers besides the packages it is asked about: its own version, which architectures it knows of,
/// `inputs` as in [`state_digest`]. Where it is equal, one may be asked about the packages of the other.
#[must_use]
pub fn sources_digest(packages: &[InstalledPackage], inputs: &[(String, Digest)]) -> Digest {
    let is_reader = |p: &&InstalledPackage| READERS.contains(&&*p.name) || p.name.starts_with("libapt-pkg");
    let readers: Vec<_> = packages.iter().filter(is_reader).cloned().collect();
    let architectures: BTreeSet<&Arch> = packages.iter().map(|p| &p.arch).collect();
    Digest::of(&(1, state_digest(&readers, inputs), architectures))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "Package: libssl3\nStatus: install ok installed\nArchitecture: amd64\n\
        Source: openssl\nVersion: 3.0.20-1~deb12u2\nDescription: x\n long text\n .\n\n\
        Package: apt\nStatus: hold ok installed\nArchitecture: amd64\nVersion: 2.6.1\n";

    fn read(text: &str) -> Status {
        StatusReader::read(Layout::Status, text.as_bytes()).unwrap()
    }

    #[test]
    fn packages_come_sorted_with_source_and_hold() {
        let status = read(TWO);
        assert_eq!(status.packages.len(), 2);
        assert_eq!((&*status.packages[0].name, status.packages[0].held), ("apt", true));
        assert_eq!(status.packages[1].source.as_deref(), Some("openssl"));
        assert_eq!(status.invalid, 0);
    }

    #[test]
    fn the_size_of_the_pieces_plays_no_role() {
        let whole = read(TWO);
        for size in [1, 2, 3, 7, 64] {
            let mut reader = StatusReader::new(Layout::Status);
            TWO.as_bytes().chunks(size).for_each(|piece| reader.push(piece).unwrap());
            assert_eq!(reader.finish().unwrap(), whole, "pieces of {size}");
        }
        assert_eq!(read(&TWO.replace('\n', "\r\n")), whole);
    }

    #[test]
    fn only_what_is_installed_counts() {
        for (state, installed, unfinished) in [
            ("install ok installed", 1, 0),
            ("hold ok installed", 1, 0),
            ("deinstall ok installed", 1, 0),
            ("install ok triggers-pending", 1, 0),
            ("deinstall ok config-files", 0, 0),
            ("purge ok not-installed", 0, 0),
            ("install ok half-configured", 0, 1),
            ("install reinstreq half-installed", 0, 1),
            ("install ok unpacked", 0, 1),
        ] {
            let status = read(&format!("Package: xy\nStatus: {state}\nArchitecture: all\nVersion: 1\n"));
            assert_eq!((status.packages.len(), status.unfinished.len()), (installed, unfinished), "{state}");
            assert_eq!(status.invalid, 0, "{state}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_counted_not_believed() {
        let status = read(
            "Package: evil;rm -rf\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n\n\
             Package: esc\x1b[2J\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n\n\
             Package: noversion\nStatus: install ok installed\nArchitecture: all\n\n\
             Package: badversion\nStatus: install ok installed\nArchitecture: all\nVersion: $(id)\n\n\
             Package: nostatus\nArchitecture: all\nVersion: 1\n\n\
             Package: odd\nStatus: whatever\nArchitecture: all\nVersion: 1\n\n\
             junk without a colon\n\n\
             Package: fine\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n\n\
             Package: fine\nStatus: install ok installed\nArchitecture: all\nVersion: 2\n",
        );
        assert_eq!(status.packages.len(), 1);
        assert_eq!(status.packages[0].version, "1");
        assert_eq!(status.invalid, 8);
        assert_eq!(status.examples.len(), 5);
        assert!(status.examples.iter().all(|e| !e.contains('\x1b')), "{:?}", status.examples);
    }

    #[test]
    fn distroless_files_need_no_status() {
        let mut reader = StatusReader::new(Layout::StatusD);
        reader.push(b"Package: base-files\nVersion: 12.4\nArchitecture: amd64").unwrap();
        reader.end_of_file().unwrap();
        reader.push(b"Package: tzdata\nVersion: 2026b-0\nArchitecture: all\n").unwrap();
        reader.end_of_file().unwrap();
        assert_eq!(reader.finish().unwrap().packages.len(), 2);
        assert!(is_status_d_member("base") && !is_status_d_member("base.md5sums"));
    }

    #[test]
    fn endless_lines_and_files_are_bounded() {
        let mut reader = StatusReader::new(Layout::Status);
        for _ in 0..1000 {
            reader.push(&[b'x'; 10_000]).unwrap();
        }
        assert!(reader.line.len() <= MAX_LINE && reader.line.capacity() <= 2 * MAX_LINE);

        let mut reader = StatusReader::new(Layout::Status);
        let mut outcome = Ok(());
        for n in 0..=MAX_PACKAGES {
            let stanza =
                format!("Package: p{n}\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n\n");
            outcome = reader.push(stanza.as_bytes());
        }
        assert_eq!(outcome, Err(StatusError::TooManyPackages));
    }

    #[test]
    fn the_digest_sees_versions_holds_and_inputs_and_no_order() {
        let packages = read(TWO).packages;
        let inputs = vec![("b".to_owned(), Digest::of_bytes(b"1")), ("a".to_owned(), Digest::of_bytes(b"2"))];
        let digest = state_digest(&packages, &inputs);
        let mut turned = packages.clone();
        turned.reverse();
        let turned_inputs: Vec<_> = inputs.iter().rev().cloned().collect();
        assert_eq!(state_digest(&turned, &turned_inputs), digest);
        let mut other = packages.clone();
        other[0].held = false;
        assert_ne!(state_digest(&other, &inputs), digest);
        other = packages.clone();
        other[1].version.push('1');
        assert_ne!(state_digest(&other, &inputs), digest);
        assert_ne!(state_digest(&packages, &inputs[..1]), digest);
    }
}
