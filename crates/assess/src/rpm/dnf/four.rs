//! dnf 4.

use patchyard_types::printable;

use super::{AnswerError, Deed, Row, bad, command, is_package, row};

/// Options of everything: no waiting without a limit, nothing for people. Weak dependencies are what others call recommended.
/// The lists are those it has, however old they are; with `-C` it would not fetch packages either.
/// Kernels stay beside each other, however many there are: none is removed for a newer one.
const FIXED: [&str; 8] = [
    "dnf",
    "--setopt=metadata_expire=-1",
    "--setopt=*.metadata_expire=-1",
    "--setopt=installonly_limit=0",
    "--color=never",
    "--setopt=exit_on_lock=True",
    "--setopt=install_weak_deps=False",
    "--setopt=clean_requirements_on_remove=False",
];

/// Reads the lists of all repositories anew; one that does not answer must not count as one without news.
pub fn refresh() -> Vec<String> {
    [
        "dnf",
        "-q",
        "--refresh",
        "--setopt=exit_on_lock=True",
        "--setopt=*.skip_if_unavailable=False",
        "makecache",
    ]
    .map(str::to_owned)
    .into()
}

/// What the solver would do now.
pub fn simulate() -> Vec<String> {
    command(&FIXED, &["--assumeno", "upgrade"])
}

/// Every package with a newer version, whatever the solver does about it, what is excluded among them.
pub fn upgradable() -> Vec<String> {
    let ask = ["-q", "--disableexcludes=all", "--disableplugin=versionlock", "list", "--upgrades"];
    command(&FIXED, &ask)
}

/// Installs what is named behind it, or says what it would do.
pub fn install(simulate: bool) -> Vec<String> {
    let answer = if simulate { "--assumeno" } else { "-y" };
    command(&FIXED, &["--best", answer, "install"])
}

/// Downloads packages into a folder.
pub fn download(folder: &str) -> Vec<String> {
    command(&FIXED, &["-q", "download", "--destdir", folder])
}

/// Below it each repository has a folder with its lists.
pub const LISTS: &str = "/var/cache/dnf";

/// Where the versions are that packages are locked to.
pub const LOCKS: &str = "/etc/dnf/plugins/versionlock.list";

/// Reads the table of what a transaction would do. No table is an answer too, where dnf says that there is nothing to do.
///
/// # Errors
/// [`AnswerError`]: the answer is no answer.
pub fn simulation(output: &[u8]) -> Result<Vec<Row>, AnswerError> {
    let text = String::from_utf8_lossy(output);
    let mut rows = Vec::new();
    let (mut deed, mut in_table, mut answered) = (None, false, false);
    // A name that is too long for its column stands on a line of its own.
    let mut name: Option<&str> = None;
    for line in text.lines() {
        if line.starts_with("Nothing to do.") || line.starts_with("Dependencies resolved.") {
            answered = true;
        }
        if line.starts_with(" Package ") {
            in_table = true;
        } else if line.starts_with("Transaction Summary") {
            break;
        } else if !in_table || line.is_empty() || line.starts_with("===") {
            continue;
        } else if !line.starts_with(' ') {
            if line.ends_with(':') {
                deed = section(line).or(deed);
            }
        } else if line.trim_start().starts_with("replacing ") {
            // `     replacing  old.noarch 1-1`: it goes.
            rows.push(replaced(line).ok_or_else(|| bad(line))?);
        } else {
            let mut words: Vec<&str> = name.take().into_iter().chain(line.split_ascii_whitespace()).collect();
            if let [only] = words[..] {
                name = Some(only);
                continue;
            }
            words.truncate(4);
            let row = deed.and_then(|deed| row(deed, &words)).ok_or_else(|| bad(line))?;
            rows.push(row);
        }
    }
    if answered && name.is_none() { Ok(rows) } else { Err(AnswerError::Empty) }
}

fn section(line: &str) -> Option<Deed> {
    if line.starts_with("Skipping ") {
        return Some(Deed::Skip);
    }
    let words = line.trim_end_matches(':');
    match words {
        "Installing" | "Upgrading" | "Downgrading" | "Reinstalling" => Some(Deed::Install),
        _ if words.starts_with("Installing ") => Some(Deed::Install),
        _ if words.starts_with("Removing") => Some(Deed::Remove),
        // The second line of a heading: "(add '--best …' to command line to force their upgrade):".
        _ => None,
    }
}

fn replaced(line: &str) -> Option<Row> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let (name, arch) = words.next()?.rsplit_once('.')?;
    row(Deed::Remove, &[name, arch, words.next()?, ""])
}

/// Reads what [`upgradable`] answers: `name.arch version repository`, after a heading.
///
/// # Errors
/// [`AnswerError`]: the answer is no answer.
pub fn updates(output: &[u8]) -> Result<Vec<Row>, AnswerError> {
    let text = String::from_utf8_lossy(output);
    let mut rows = Vec::new();
    let mut left: Vec<&str> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.ends_with("Upgrades")) {
        // Long lines are broken between columns.
        left.extend(line.split_ascii_whitespace());
        let [full, version, repository] = left[..] else {
            if left.len() > 3 { return Err(bad(line)) } else { continue }
        };
        let (name, arch) = full.rsplit_once('.').ok_or_else(|| bad(line))?;
        rows.push(row(Deed::Skip, &[name, arch, version, repository]).ok_or_else(|| bad(line))?);
        left.clear();
    }
    if left.is_empty() { Ok(rows) } else { Err(AnswerError::Empty) }
}

/// Reads [`LOCKS`]: the names of packages that are locked to a version (`name-epoch:version-release.*`).
pub fn locked_names(output: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(output);
    // What is excluded rather than locked begins with `!`.
    let name = |line: &str| line.trim().rsplitn(3, '-').nth(2).map(str::to_owned);
    text.lines().filter_map(name).filter(|name| is_package(name)).collect()
}

/// dnf's own words in the output of a question that failed (both streams): errors and problems, in one line.
pub fn words(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    // An explanation for beginners, and all settings of the repository.
    if lines.iter().any(|line| line.starts_with("You have enabled checking of packages via GPG keys")) {
        return "its repositories want packages to be signed (gpgcheck), and name no key (gpgkey)".to_owned();
    }
    let Some(at) = lines.iter().position(|line| line.starts_with("Error:") || line.starts_with("Problem"))
    else {
        return String::new();
    };
    let said = lines[at..]
        .iter()
        .filter(|line| !line.is_empty() && **line != "Error:" && !line.starts_with("(try to add "));
    printable(&said.take(6).copied().collect::<Vec<_>>().join("; "), 1000)
}

#[cfg(test)]
mod tests {
    use super::super::moves;
    use super::*;

    const TABLE: &str = "\
Last metadata expiration check: 0:00:05 ago on Thu Nov 26 13:14:49 2026.
Dependencies resolved.

 Problem: package lab-rival-1.1-1.noarch conflicts with lab-victim provided by lab-victim-1.0-1.noarch
  - cannot install the best update candidate for package lab-victim-1.0-1.noarch
================================================================================
 Package               Architecture      Version           Repository      Size
================================================================================
Installing:
 kernel-core           x86_64            1:5.14.0-2        lab              30 M
Upgrading:
 lab-a-name-that-is-longer-than-its-column
                       noarch            0:1.1-1           lab            6.1 k
 lab-lib               noarch            1.1-1             lab            7.8 k
     replacing  lab-older.noarch 1.0-1
Installing dependencies:
 lab-new               x86_64            2.0-1             lab            7.8 k
Removing dependent packages:
 lab-victim            noarch            1.0-1             @System        7.8 k
Skipping packages with conflicts:
(add '--best --allowerasing' to command line to force their upgrade):
 lab-rival             noarch            1.1-1             lab            6.0 k

Transaction Summary
================================================================================
Install  2 Packages
Operation aborted.
";

    #[test]
    fn a_table_with_everything_in_it() {
        let rows = simulation(TABLE.as_bytes()).unwrap();
        let words: Vec<_> = rows.iter().map(|r| (r.deed, &*r.name, &*r.version)).collect();
        assert_eq!(
            words,
            [
                (Deed::Install, "kernel-core", "1:5.14.0-2"),
                (Deed::Install, "lab-a-name-that-is-longer-than-its-column", "1.1-1"),
                (Deed::Install, "lab-lib", "1.1-1"),
                (Deed::Remove, "lab-older", "1.0-1"),
                (Deed::Install, "lab-new", "2.0-1"),
                (Deed::Remove, "lab-victim", "1.0-1"),
                (Deed::Skip, "lab-rival", "1.1-1"),
            ]
        );
        assert_eq!(moves(&rows).len(), 6, "what is skipped does not move");
    }

    #[test]
    fn nothing_to_do_is_an_answer_and_nothing_at_all_is_none() {
        assert_eq!(simulation(b"Dependencies resolved.\nNothing to do.\nComplete!\n"), Ok(vec![]));
        assert_eq!(simulation(b""), Err(AnswerError::Empty));
        assert_eq!(simulation(b"Error: \n Problem: x\n"), Err(AnswerError::Empty));
        for bad in [
            " lab lib noarch 1.1-1 lab 1 k",
            " a*      noarch     1-1    lab   1 k",
            " ok noarch \x1b lab 1 k",
        ] {
            let table = TABLE.replace(
                " lab-new               x86_64            2.0-1             lab            7.8 k",
                bad,
            );
            let error = simulation(table.as_bytes()).unwrap_err();
            assert!(matches!(&error, AnswerError::Line { line } if !line.contains('\x1b')), "{error:?}");
        }
    }

    #[test]
    fn newer_versions_are_listed_over_broken_lines() {
        let rows = updates(
            b"Available Upgrades\nlab-lib.noarch   1.1-1   lab\nlab-a-long-name.x86_64\n   1:2-1   lab\n",
        )
        .unwrap();
        let words: Vec<_> = rows.iter().map(|r| (&*r.name, &*r.arch.0, &*r.version)).collect();
        assert_eq!(words, [("lab-lib", "noarch", "1.1-1"), ("lab-a-long-name", "x86_64", "1:2-1")]);
        assert_eq!(updates(b"").unwrap(), []);
        assert!(updates(b"lab-lib.noarch 1.1-1\n").is_err() && updates(b"what is this\n").is_err());
    }

    #[test]
    fn its_words_are_passed_on_harmless() {
        let said = b"Error: \n Problem: problem with installed package a\n  - package b conflicts with a\x1b\n(try to add '--x')\n";
        assert_eq!(
            words(said),
            "Problem: problem with installed package a; - package b conflicts with a\\u{1b}"
        );
        assert_eq!(words(b"Error: Unable to find a match: x\n"), "Error: Unable to find a match: x");
        let gpg = b"\nYou have enabled checking of packages via GPG keys. This is a good thing.\n\nProblem repository: [lab]\nbandwidth: 0\n";
        assert!(words(gpg).contains("want packages to be signed"), "{}", words(gpg));
        assert_eq!(locked_names(b"\n# Added lock on Thu\nlab-tool-0:1.0-1.*\n!x-0:1-1.*\n"), ["lab-tool"]);
    }
}
