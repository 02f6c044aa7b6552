//! apt in a builder: installs files that were uploaded, exactly those, and leaves its own books as
//! they would be.
//!
//! The packages are named as files: apt takes them as they are, needs no lists and no sources, and
//! orders the work itself. Its caches and logs are turned aside, so that the layer holds what the
//! packages brought and little else.

use std::time::Duration;

use patchyard_types::{FailureKind, PackageChange, printable};
use tokio::io::AsyncReadExt;

use super::builder::{Builder, PATH};
use crate::client::{ApiError, ExecOutput, TarWriter, reader_body};
use crate::swap::{Run, Trouble, failed};

/// Our own folder in the builder; gone before the layer is taken.
const FOLDER: &str = "/var/lib/apt/patchyard";
/// Where Debian's scripts ask whether a service may be started.
const POLICY: &str = "/usr/sbin/policy-rc.d";
/// What apt knows of why a package is there.
const MARKS: &str = "/var/lib/apt/extended_states";
/// The most that file may take; it has four lines a package.
const MARKS_LIMIT: u64 = 16 * 1024 * 1024;

/// Puts the package files into a builder that has not been started.
pub(super) async fn upload(
    run: &Run<'_>,
    builder: &Builder<'_>,
    changes: &[PackageChange],
) -> Result<(), Trouble> {
    let mut folders = TarWriter::new();
    let inner = FOLDER.trim_start_matches('/');
    for folder in [
        "",
        "/debs",
        "/lists",
        "/lists/partial",
        "/cache",
        "/cache/archives",
        "/cache/archives/partial",
        "/log",
        "/none",
    ] {
        folders.directory(&format!("{inner}{folder}"), 0o755)?;
    }
    builder.client().write(builder.id(), "/", folders).await?;
    let all: u64 = changes.iter().map(|change| change.size).sum();
    let mut done = 0;
    for change in changes.iter().filter(|change| change.to.is_some()) {
        run.note("uploading packages", Some((done, all)));
        upload_one(run, builder, change).await?;
        done += change.size;
    }
    Ok(())
}

async fn upload_one(run: &Run<'_>, builder: &Builder<'_>, change: &PackageChange) -> Result<(), Trouble> {
    let lost = |why: &str| {
        failed(FailureKind::Host, format!("{} is not in the package cache {why}: plan again", change.name))
    };
    let digest = change.sha256.ok_or_else(|| lost("(it has no hash)"))?;
    let path = run.docker.options.cache.find(&digest).ok_or_else(|| lost("any more"))?;
    let file = tokio::fs::File::open(&path).await.map_err(|error| lost(&format!("({error})")))?;
    let size = file.metadata().await.map_err(|error| lost(&format!("({error})")))?.len();
    let name = file_name(change)?;
    let head = TarWriter::file_head(&name, 0o644, size)?;
    // Padding to a block, and the two empty blocks that end an archive.
    let padding = usize::try_from(size.next_multiple_of(512) - size).unwrap_or(0) + 1024;
    let body =
        std::io::Cursor::new(head).chain(file.take(size)).chain(std::io::Cursor::new(vec![0; padding]));
    let folder = format!("{FOLDER}/debs");
    builder.client().unpack(builder.id(), &folder, reader_body(Box::pin(body))).await?;
    Ok(())
}

/// The file a package is uploaded as. Names come from a plan, and a plan from strangers' indices: only
/// what is a name becomes one.
fn file_name(change: &PackageChange) -> Result<String, Trouble> {
    let good = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b))
    };
    if good(&change.name) && good(&change.arch.0) {
        return Ok(format!("{}_{}.deb", change.name, change.arch));
    }
    Err(failed(FailureKind::Refused, format!("'{}' is no package name", printable(&change.name, 100))))
}

/// Carries the changes out in a started builder, and cleans up behind them.
pub(super) async fn install(
    run: &Run<'_>,
    builder: &Builder<'_>,
    changes: &[PackageChange],
    timeout: Duration,
) -> Result<(), Trouble> {
    let marks = builder.client().read_file(builder.id(), MARKS, MARKS_LIMIT).await?.unwrap_or_default();
    let marks = String::from_utf8_lossy(&marks);
    let was_automatic = automatic(&marks);
    let own_policy = builder.client().stat(builder.id(), POLICY).await?.is_none();
    if own_policy {
        let mut archive = TarWriter::new();
        archive.file(POLICY.trim_start_matches('/'), 0o755, b"#!/bin/sh\nexit 101\n")?;
        builder.client().write(builder.id(), "/", archive).await?;
    }
    run.note(format!("installing {} packages", changes.len()), None);
    let installed = command(builder, &install_arguments(changes)?, timeout).await?;
    if installed.exit != 0 {
        return Err(blame(&installed));
    }
    // Named packages count as wanted by a person from now on: those that did not before, and those
    // that come in as dependencies, shall not.
    let automatic = changes.iter().filter(|change| change.to.is_some()).filter(|change| {
        change.from.is_none() || was_automatic.contains(&(change.name.as_str(), change.arch.0.as_str()))
    });
    let automatic: Vec<String> = automatic.map(package).collect();
    if !automatic.is_empty() {
        let mut argv = vec!["apt-mark".to_owned(), "-q".to_owned()];
        argv.extend(aside());
        argv.push("auto".to_owned());
        argv.extend(automatic);
        let marked = command(builder, &argv, timeout).await?;
        if marked.exit != 0 {
            return Err(blame(&marked));
        }
    }
    let mut rubbish = vec!["rm", "-rf", "--", FOLDER];
    if own_policy {
        rubbish.push(POLICY);
    }
    let cleaned = builder.run(&rubbish, &environment(), timeout).await?;
    if cleaned.exit == 0 { Ok(()) } else { Err(blame(&cleaned)) }
}

/// A package manager that floods or hangs has failed: asking the world would only begin it anew.
async fn command(builder: &Builder<'_>, argv: &[String], timeout: Duration) -> Result<ExecOutput, Trouble> {
    let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
    builder.run(&argv, &environment(), timeout).await.map_err(|error| match error {
        ApiError::TooLarge { limit, .. } => {
            let message = format!("the package manager prints without end: more than {limit} bytes");
            failed(FailureKind::PackageManager, message)
        }
        ApiError::Timeout { after, .. } => {
            let message = format!("the package manager did not end within {} s", after.as_secs());
            failed(FailureKind::Timeout, message)
        }
        error => error.into(),
    })
}

/// Nobody is there to answer questions.
fn environment() -> Vec<String> {
    [
        PATH,
        "DEBIAN_FRONTEND=noninteractive",
        "DEBCONF_NONINTERACTIVE_SEEN=true",
        "DEBIAN_PRIORITY=critical",
        "APT_LISTCHANGES_FRONTEND=none",
        "NEEDRESTART_SUSPEND=1",
        "UCF_FORCE_CONFFOLD=1",
        "HOME=/root",
        "LC_ALL=C",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// apt's own files turned aside; the image's configuration is otherwise obeyed.
fn aside() -> Vec<String> {
    [
        "Dir::Etc::SourceList=/dev/null".to_owned(),
        format!("Dir::Etc::SourceParts={FOLDER}/none"),
        // Pins speak of archives; here are files.
        "Dir::Etc::Preferences=/dev/null".to_owned(),
        format!("Dir::Etc::PreferencesParts={FOLDER}/none"),
        format!("Dir::State::Lists={FOLDER}/lists"),
        format!("Dir::Cache={FOLDER}/cache"),
        format!("Dir::Log={FOLDER}/log"),
    ]
    .into_iter()
    .flat_map(|option| ["-o".to_owned(), option])
    .collect()
}

fn install_arguments(changes: &[PackageChange]) -> Result<Vec<String>, Trouble> {
    let mut argv =
        vec!["apt-get".to_owned(), "-y".to_owned(), "-q".to_owned(), "--no-install-recommends".to_owned()];
    argv.extend(aside());
    for option in [
        "Dpkg::Use-Pty=0".to_owned(),
        // A changed configuration file stays as it is in the image.
        "Dpkg::Options::=--force-confdef".to_owned(),
        "Dpkg::Options::=--force-confold".to_owned(),
        format!("Dpkg::Options::=--log={FOLDER}/log/dpkg.log"),
        "APT::Sandbox::User=root".to_owned(),
    ] {
        argv.extend(["-o".to_owned(), option]);
    }
    if changes.iter().all(|change| change.to.is_some()) {
        argv.push("--no-remove".to_owned());
    }
    argv.push("install".to_owned());
    for change in changes {
        let name = file_name(change)?;
        argv.push(match &change.to {
            Some(_) => format!("{FOLDER}/debs/{name}"),
            None => format!("{}-", package(change)),
        });
    }
    Ok(argv)
}

/// A package as apt names it on its command line.
fn package(change: &PackageChange) -> String {
    if change.arch.0 == "all" { change.name.clone() } else { format!("{}:{}", change.name, change.arch) }
}

/// The packages that are there only because others need them, by name and architecture.
fn automatic(marks: &str) -> std::collections::BTreeSet<(&str, &str)> {
    marks
        .split("\n\n")
        .filter_map(|paragraph| {
            let field = |name: &str| {
                paragraph.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
            };
            (field("Auto-Installed") == Some("1")).then_some((field("Package")?, field("Architecture")?))
        })
        .collect()
}

/// apt's and dpkg's last words. They come from strangers.
fn blame(output: &ExecOutput) -> Trouble {
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let last = |text: &str, lines: usize| -> Vec<String> {
        let mut last: Vec<String> = text
            .lines()
            .rev()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .take(lines)
            .map(|line| printable(line, 300))
            .collect();
        last.reverse();
        last
    };
    let mut words = Vec::new();
    if let Some(at) = said.find("unmet dependencies:") {
        words.extend(last(&said[at..], 4));
    }
    words.extend(last(&errors, 6));
    if words.is_empty() {
        words = last(&said, 4);
    }
    let kind = if [&said, &errors].iter().any(|text| text.contains("No space left on device")) {
        FailureKind::NoSpace
    } else {
        FailureKind::PackageManager
    };
    failed(
        kind,
        format!("the package manager failed (exit {}): {}", output.exit, printable(&words.join(" | "), 1200)),
    )
}

#[cfg(test)]
mod tests {
    use patchyard_types::{Arch, StepError};

    use super::*;

    fn change(name: &str, arch: &str, to: Option<&str>) -> PackageChange {
        PackageChange {
            name: name.to_owned(),
            arch: Arch(arch.to_owned()),
            from: None,
            to: to.map(str::to_owned),
            sha256: None,
            security: false,
            size: 0,
        }
    }

    fn words(trouble: Trouble) -> (FailureKind, String) {
        match trouble {
            Trouble::Step(StepError::Failed(failure)) => (failure.kind, failure.message),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn files_are_named_and_removals_only_where_planned() {
        let argv = install_arguments(&[change("libssl3", "amd64", Some("3"))]).unwrap();
        assert_eq!(argv.last().unwrap(), "/var/lib/apt/patchyard/debs/libssl3_amd64.deb");
        assert!(argv.contains(&"--no-remove".to_owned()));
        let argv =
            install_arguments(&[change("a1", "all", Some("3")), change("old", "amd64", None)]).unwrap();
        assert_eq!(argv.last().unwrap(), "old:amd64-");
        assert!(!argv.contains(&"--no-remove".to_owned()));
    }

    #[test]
    fn what_is_no_name_becomes_no_argument() {
        for bad in ["-o", "a/../b", "a b", "$(id)", "A", "", "a\u{1b}[0m"] {
            assert!(install_arguments(&[change(bad, "amd64", Some("1"))]).is_err(), "{bad:?}");
            assert!(install_arguments(&[change(bad, "amd64", None)]).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn automatic_marks_are_read() {
        let marks = "Package: zlib1g\nArchitecture: amd64\nAuto-Installed: 1\n\nPackage: apt\nArchitecture: amd64\nAuto-Installed: 0\n";
        assert_eq!(automatic(marks).into_iter().collect::<Vec<_>>(), [("zlib1g", "amd64")]);
    }

    #[test]
    fn the_last_words_are_passed_on_harmless() {
        let output = |stdout: &str, stderr: &str| ExecOutput {
            exit: 100,
            stdout: stdout.into(),
            stderr: stderr.into(),
            truncated: false,
        };
        let (kind, text) = words(blame(&output(
            "Unpacking",
            "dpkg: error \x1b[31mprocessing\nE: Sub-process returned (1)\n",
        )));
        assert_eq!(kind, FailureKind::PackageManager);
        assert!(
            text.ends_with("(exit 100): dpkg: error \\u{1b}[31mprocessing | E: Sub-process returned (1)"),
            "{text}"
        );
        let (_, text) = words(blame(&output(
            "x\nThe following packages have unmet dependencies:\n a : Depends: b\n",
            "E: Broken",
        )));
        assert!(text.contains("a : Depends: b | E: Broken"), "{text}");
        let (kind, _) = words(blame(&output("", "write error: No space left on device")));
        assert_eq!(kind, FailureKind::NoSpace);
    }
}
