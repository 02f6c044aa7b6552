//! dnf 5.

use patchyard_types::printable;

use super::{AnswerError, Deed, Row, bad, command, row};

/// Its table is as wide as a terminal, and 80 columns wide without one: what does not fit is cut off.
pub const ENVIRONMENT: &[(&str, &str)] = &[("COLUMNS", "2000")];

/// Options of everything: from the lists it has, nothing for people. The packages themselves may be fetched, which `-C` forbids.
/// Kernels stay beside each other, however many there are.
const FIXED: [&str; 5] = [
    "dnf",
    "--setopt=cacheonly=metadata",
    "--setopt=installonly_limit=0",
    "--setopt=install_weak_deps=False",
    "--setopt=clean_requirements_on_remove=False",
];

/// Reads the lists of all repositories anew.
pub fn refresh() -> Vec<String> {
    ["dnf", "-q", "--refresh", "--setopt=*.skip_if_unavailable=False", "makecache"].map(str::to_owned).into()
}

/// What the solver would do now.
pub fn simulate() -> Vec<String> {
    command(&FIXED, &["--assumeno", "upgrade"])
}

/// Every package with a newer version; what is locked to a version is among them.
pub fn upgradable() -> Vec<String> {
    let format = "--queryformat=%{name}\t%{arch}\t%{evr}\t%{repoid}\n";
    command(
        &FIXED,
        &["-q", "--setopt=disable_excludes=*", "repoquery", "--upgrades", "--latest-limit=1", format],
    )
}

/// Installs what is named behind it, or says what it would do.
pub fn install(simulate: bool) -> Vec<String> {
    command(&FIXED, &[if simulate { "--assumeno" } else { "-y" }, "install", "--best", "--allow-downgrade"])
}

/// Downloads packages into a folder.
pub fn download(folder: &str) -> Vec<String> {
    command(&FIXED, &["-q", "-y", "download", "--destdir", folder])
}

/// Below it each repository has a folder with its lists.
pub const LISTS: &str = "/var/cache/libdnf5";

/// Where the versions are that packages are locked to.
pub const LOCKS: &str = "/etc/dnf/versionlock.toml";

/// Reads the table of what a transaction would do.
pub fn simulation(output: &[u8]) -> Result<Vec<Row>, AnswerError> {
    let text = String::from_utf8_lossy(output);
    let mut rows: Vec<Row> = Vec::new();
    let (mut deed, mut in_table, mut answered) = (None, false, false);
    for line in text.lines() {
        if line.starts_with("Nothing to do.") {
            answered = true;
        } else if is_heading(line) {
            in_table = true;
        } else if line.starts_with("Transaction Summary:") {
            answered |= in_table;
            break;
        } else if !in_table || line.trim().is_empty() {
            continue;
        } else if !line.starts_with(' ') {
            deed = section(line.trim_end());
        } else if deed == Some(None) {
            continue;
        } else if let Some(old) = line.trim_start().strip_prefix("replacing ") {
            // Under a package stands what it replaces; its own older version is no other package.
            let old = row(Deed::Remove, &cells(old)).ok_or_else(|| bad(line))?;
            if !rows
                .iter()
                .any(|new| new.deed == Deed::Install && new.name == old.name && new.arch == old.arch)
            {
                rows.push(old);
            }
        } else {
            let row = deed.flatten().and_then(|deed| row(deed, &cells(line)));
            rows.push(row.ok_or_else(|| bad(line))?);
        }
    }
    if answered { Ok(rows) } else { Err(AnswerError::Empty) }
}

fn is_heading(line: &str) -> bool {
    let mut words = line.split_ascii_whitespace();
    words.next() == Some("Package") && words.next() == Some("Arch") && words.next() == Some("Version")
}

/// What is done in a section; `Some(None)` where no package is changed. Groups and modules are unknown here: what is in their
/// sections is refused.
#[allow(clippy::option_option, reason = "nothing done and not known are two things")]
fn section(line: &str) -> Option<Option<Deed>> {
    match line.strip_suffix(':')? {
        "Installing" | "Upgrading" | "Downgrading" | "Reinstalling" => Some(Some(Deed::Install)),
        "Installing dependencies" | "Installing weak dependencies" | "Installing group/module packages" => {
            Some(Some(Deed::Install))
        }
        "Removing" | "Removing dependent packages" | "Removing unused dependencies" => {
            Some(Some(Deed::Remove))
        }
        "Changing reason" => Some(None),
        words if words.starts_with("Skipping packages") => Some(Some(Deed::Skip)),
        _ => None,
    }
}

/// Name, architecture, version and repository. A cell may say what was there before: `1.1-1 <- 1.0-1`.
fn cells(line: &str) -> Vec<&str> {
    let mut words = line.split_ascii_whitespace();
    let mut cells = Vec::new();
    while let Some(word) = words.next() {
        if word == "<-" {
            words.next();
        } else if cells.len() < 4 {
            cells.push(word);
        }
    }
    cells
}

/// Reads what [`upgradable`] answers.
pub fn updates(output: &[u8]) -> Result<Vec<Row>, AnswerError> {
    let text = String::from_utf8_lossy(output);
    let read = |line: &str| {
        let words: Vec<&str> = line.split('\t').collect();
        row(Deed::Skip, &words).ok_or_else(|| bad(line))
    };
    text.lines().filter(|line| !line.trim().is_empty()).map(read).collect()
}

/// Reads [`LOCKS`]: what is locked to one version, not to a range of them. It is TOML, of which dnf 5 writes one key a line.
pub fn locked_names(file: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(file);
    let value = |line: &str, wanted: &str| {
        let (key, value) = line.split_once('=')?;
        let value = value.trim();
        let quote = value.chars().next().filter(|c| "\"'".contains(*c))?;
        (key.trim() == wanted).then(|| value[1..].split(quote).next().unwrap_or_default().to_owned())
    };
    let mut locked = Vec::new();
    for entry in text.split("[[packages]]").skip(1) {
        let mut parts = entry.split("[[packages.conditions]]");
        let name = parts.next().and_then(|front| front.lines().find_map(|line| value(line, "name")));
        let is_one = |condition: &str| {
            let find = |key| condition.lines().find_map(|line| value(line, key));
            find("key").as_deref() == Some("evr") && find("comparator").as_deref() == Some("=")
        };
        if let (Some(name), true) = (name, parts.any(is_one)) {
            locked.push(name);
        }
    }
    locked
}

/// dnf's own words in the output of a question that failed.
pub fn words(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let starts = ["Failed to ", "Problem", "No match for argument", "Error", "Cannot ", "No matching "];
    let Some(at) = lines.iter().position(|line| starts.iter().any(|start| line.starts_with(start))) else {
        return String::new();
    };
    // What to add on a command line is of no use here.
    let is_advice = |line: &str| line.starts_with("You can try to add") || line.starts_with("--");
    let said = lines[at..].iter().filter(|line| !line.is_empty() && !is_advice(line));
    printable(&said.take(6).copied().collect::<Vec<_>>().join("; "), 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
Problem: problem with installed package
  - installed package lab-victim-1.0-1.noarch conflicts with lab-rival provided by lab-rival-1.1-1.noarch from lab

Package                 Arch              Version                          Repository       Size
Upgrading:
 lab-lib                noarch            0:1.1-1 <- 1.0-1                 lab <- @System   7.8 KiB <- 7.7 KiB
 lab-tool               noarch <- x86_64  1.2-1                            lab              30.0   B
   replacing lab-tool   noarch            1.0-1                            @System          30.0   B
   replacing lab-older  noarch            1.0-1                            @System          30.0   B
Installing dependencies:
 lab-new                x86_64            2:2.0-1                          lab              7.8 KiB
Removing dependent packages:
 lab-victim             noarch            1.0-1                            @System          7.8 KiB
Changing reason:
 lab-dep                noarch            1.0-1                            @System          6.0 KiB
   Dependency -> User
Skipping packages with conflicts:
 lab-rival              noarch            1.1-1                            lab              6.0 KiB

Transaction Summary:
 Installing:        1 package
 Upgrading:         2 packages

Operation aborted by the user.
";

    #[test]
    fn a_table_with_everything_in_it() {
        let rows = simulation(TABLE.as_bytes()).unwrap();
        let words: Vec<_> = rows.iter().map(|r| (r.deed, &*r.name, &*r.version, &*r.repository)).collect();
        assert_eq!(
            words,
            [
                (Deed::Install, "lab-lib", "1.1-1", "lab"),
                (Deed::Install, "lab-tool", "1.2-1", "lab"),
                (Deed::Remove, "lab-older", "1.0-1", "@System"),
                (Deed::Install, "lab-new", "2:2.0-1", "lab"),
                (Deed::Remove, "lab-victim", "1.0-1", "@System"),
                (Deed::Skip, "lab-rival", "1.1-1", "lab"),
            ]
        );
    }

    #[test]
    fn nothing_to_do_is_an_answer_and_nothing_at_all_is_none() {
        assert_eq!(simulation(b"Repositories loaded.\nNothing to do.\n"), Ok(vec![]));
        assert_eq!(simulation(b""), Err(AnswerError::Empty));
        assert_eq!(simulation(b"Failed to resolve the transaction:\n"), Err(AnswerError::Empty));
        let cut = TABLE.split("Transaction Summary").next().unwrap();
        assert_eq!(simulation(cut.as_bytes()), Err(AnswerError::Empty), "half a table is none");
        for (from, to) in [
            (" lab-new ", " lab*new "),
            ("2:2.0-1 ", "\x1b "),
            ("Installing dependencies:", "Enabling module streams:"),
        ] {
            let error = simulation(TABLE.replace(from, to).as_bytes()).unwrap_err();
            assert!(matches!(&error, AnswerError::Line { line } if !line.contains('\x1b')), "{error:?}");
        }
    }

    #[test]
    fn newer_versions_are_listed_a_line_each() {
        let rows = updates(b"lab-lib\tnoarch\t1.1-1\tlab\n\nlab-x\tx86_64\t1:2-1\tupdates\n").unwrap();
        let words: Vec<_> = rows.iter().map(|r| (&*r.name, &*r.version, &*r.repository)).collect();
        assert_eq!(words, [("lab-lib", "1.1-1", "lab"), ("lab-x", "1:2-1", "updates")]);
        assert_eq!(updates(b"").unwrap(), []);
        assert!(updates(b"what is this\n").is_err());
    }

    #[test]
    fn what_is_locked_to_one_version_is_locked() {
        let file = r#"version = "1.0"

[[packages]]
name = "lab-tool" # a comment
comment = "name = \"x\""
[[packages.conditions]]
key = "evr"
comparator = "="
value = "0:1.0-1"

[[packages]]
name = 'iftop'
[[packages.conditions]]
key = "evr"
comparator = "!="
value = "0:1.0-0.31"

[[packages]]
name = "acpi"
[[packages.conditions]]
key = "evr"
comparator = "<"
value = "4"
"#;
        assert_eq!(locked_names(file.as_bytes()), ["lab-tool"]);
        assert!(locked_names(b"").is_empty() && locked_names(b"name = \"x\"").is_empty());
    }

    #[test]
    fn its_words_are_passed_on_harmless() {
        let said = b"Updating and loading repositories:\nFailed to resolve the transaction:\nNo match for argument: x\x1b\nYou can try to add to command line:\n  --skip-unavailable to skip unavailable packages\n";
        assert_eq!(words(said), "Failed to resolve the transaction:; No match for argument: x\\u{1b}");
    }
}
