//! Install: one transaction, a job on the machine. Whether it has taken place says the job, then the machine's package
//! database; what was left in the middle is finished before anything else.

use std::time::Duration;

use patchyard_assess::needs::Measures;
use patchyard_guest::job::{self, Job, JobId, JobState};
use patchyard_guest::{GuestError, needs};
use patchyard_types::{Direction, FailureKind, PackageChange, Probe, Record, StepError, printable};

use super::{LOCK, Run, failed, prepare, reboot, restart, trouble};

/// Between two looks at a job.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often a transaction is begun whose job was killed, or took nothing in.
const ATTEMPTS: u32 = 3;
/// How much of the end of a job's output is looked at, in bytes.
const TAIL: usize = 8 * 1024;

pub(super) async fn perform(run: &Run<'_>) -> Result<Record, StepError> {
    change(run, run.changes, Direction::Do, false).await?;
    Ok(Record::Nothing)
}

/// Back to the versions that were there before. What runs on files that this replaces is restarted, where the patch
/// restarts anything, and the machine itself where the patch did.
pub(super) async fn undo(run: &Run<'_>) -> Result<Record, StepError> {
    // A transaction that is at work is waited for: stopping a package manager breaks what it works on.
    let (mut begun, mut killed) = (false, false);
    for direction in [Direction::Do, Direction::Undo] {
        for attempt in 1..=ATTEMPTS {
            let id = name(run, direction, attempt)?;
            let (state, _) = follow(run, &id).await?;
            begun |= state != JobState::Missing;
            killed |= state == JobState::Lost;
            // What an earlier try has come to is in the package database. It must not stand in the way of the next one: a
            // person may have put right what it failed for.
            if direction == Direction::Undo && state != JobState::Missing {
                job::forget(run.guest.transport(), &id).await.map_err(trouble)?;
            }
        }
    }
    // Refused before anything was changed: another version than the one that was planned for is somebody else's.
    if !begun {
        return Ok(Record::NotBegun);
    }
    // What was not kept stays as it is, as the plan says: what is left in the middle of it is finished, and whether it serves
    // as before is confirmed afterwards.
    if !run.missing().is_empty() {
        run.note(format!("not kept, and not put back: {}", printable(&run.missing().join(", "), 200)));
    }
    change(run, run.back(), Direction::Undo, killed).await?;
    let Measures { restart: services, reexecute_init, .. } = restart::on_the_way_back(run).await?;
    needs::restart(run.guest.transport(), &services, reexecute_init).await.map_err(trouble)?;
    reboot::on_the_way_back(run).await?;
    Ok(Record::Nothing)
}

pub(super) async fn probe(run: &Run<'_>) -> Result<Probe, StepError> {
    let is_done = is_over(run, Direction::Do).await? && settled(run, run.changes).await?;
    Ok(if is_done { Probe::Done { record: Record::Nothing } } else { Probe::NotDone })
}

pub(super) async fn probe_undo(run: &Run<'_>) -> Result<Probe, StepError> {
    let first = job::look(run.guest.transport(), &name(run, Direction::Do, 1)?, 0).await.map_err(trouble)?;
    if first.state == JobState::Missing {
        return Ok(Probe::Done { record: Record::NotBegun });
    }
    let nothing_works = is_over(run, Direction::Do).await? && is_over(run, Direction::Undo).await?;
    let is_done = nothing_works
        && settled(run, run.back()).await?
        && marked(run).await?
        && nothing_runs_on_replaced_files(run).await?
        && !reboot::is_needed_again(run).await?;
    Ok(if is_done { Probe::Done { record: Record::Nothing } } else { Probe::NotDone })
}

/// Whether what taking back restarts has been restarted.
async fn nothing_runs_on_replaced_files(run: &Run<'_>) -> Result<bool, StepError> {
    let Measures { restart: services, reexecute_init, .. } = restart::on_the_way_back(run).await?;
    Ok(services.is_empty() && !reexecute_init)
}

/// Whether no transaction in this direction is at work, and the last one was not killed: all packages may have their
/// versions before what is done for them at the end (their triggers: boot images, caches) is done.
async fn is_over(run: &Run<'_>, direction: Direction) -> Result<bool, StepError> {
    let mut last = JobState::Missing;
    for attempt in 1..=ATTEMPTS {
        let look = job::look(run.guest.transport(), &name(run, direction, attempt)?, 0).await;
        match look.map_err(trouble)?.state {
            JobState::Missing => break,
            state => last = state,
        }
    }
    Ok(matches!(last, JobState::Missing | JobState::Ended { .. }))
}

fn name(run: &Run<'_>, direction: Direction, attempt: u32) -> Result<JobId, StepError> {
    let what = match direction {
        Direction::Do => "install",
        Direction::Undo => "back",
    };
    JobId::new(&run.name(&format!("{what}.{attempt}"))).map_err(trouble)
}

async fn settled(run: &Run<'_>, changes: &[PackageChange]) -> Result<bool, StepError> {
    match run.guest.settled(changes).await {
        Ok(()) => Ok(true),
        Err(GuestError::Refused { .. }) => Ok(false),
        Err(error) => Err(trouble(error)),
    }
}

/// Whether what nobody had asked for by name still counts so.
async fn marked(run: &Run<'_>) -> Result<bool, StepError> {
    let now = run.guest.automatic(run.changes).await.map_err(trouble)?;
    Ok(run.automatic().iter().all(|name| now.contains(name)))
}

/// Makes these changes, unless they are in place; takes up a job that is at work. Where one was `killed` before, what it left
/// is finished in any case.
async fn change(
    run: &Run<'_>,
    changes: &[PackageChange],
    direction: Direction,
    mut killed: bool,
) -> Result<(), StepError> {
    for attempt in 1..=ATTEMPTS {
        let id = name(run, direction, attempt)?;
        let look = job::look(run.guest.transport(), &id, 0).await.map_err(trouble)?;
        if look.state == JobState::Missing {
            let is_marked = direction == Direction::Do || marked(run).await?;
            if !killed && is_marked && settled(run, changes).await? {
                return Ok(());
            }
            run.note("changing packages");
            if direction == Direction::Undo {
                prepare::bring_from_the_cache(run, changes).await?;
            }
            let guest = run.for_changing(changes).await?;
            let job = match direction {
                Direction::Do if attempt == 1 => guest.transaction(changes, LOCK).await,
                // One before it was killed in the middle.
                _ => guest.back(changes, LOCK).await,
            };
            job::start(guest.transport(), &id, &job.map_err(trouble)?).await.map_err(trouble)?;
        }
        let (state, said) = follow(run, &id).await?;
        killed = state == JobState::Lost;
        match state {
            // Its files are in place, whatever became of it afterwards. With what a killed one left the next one begins.
            _ if !killed && settled(run, changes).await? => return Ok(()),
            JobState::Ended { code: 0 } => {
                return Err(failed(
                    FailureKind::PackageManager,
                    format!("its package manager said that it was done, and was not: {}", last_words(&said)),
                ));
            }
            JobState::Ended { .. } if direction == Direction::Do => {
                return Err(failed(
                    kind(&said),
                    format!("its package manager failed: {}", last_words(&said)),
                ));
            }
            // The way back is tried again: what failed may have been a lock.
            JobState::Ended { .. } | JobState::Lost | JobState::Missing | JobState::Running => {}
        }
    }
    Err(failed(
        FailureKind::PackageManager,
        format!("its packages were changed {ATTEMPTS} times, and are not as they should be"),
    ))
}

/// A full disk, a lock that somebody else holds and a repository that does not answer say nothing about the packages.
fn kind(said: &str) -> FailureKind {
    const NO_SPACE: [&str; 4] = [
        "No space left",
        "E: You don't have enough free space",
        "more space needed on the",
        "more space on the",
    ];
    const NOT_ITS_OWN: [&str; 8] = [
        "E: Failed to fetch",
        "E: Unable to fetch some archives",
        "E: Could not get lock",
        "E: Unable to acquire the dpkg frontend lock",
        "lock was locked by another process",
        "Failed to download packages",
        "Error downloading packages",
        "Failed to provide Package",
    ];
    let says = |texts: &[&str]| texts.iter().any(|text| said.contains(text));
    if says(&NO_SPACE) {
        FailureKind::NoSpace
    } else if says(&NOT_ITS_OWN) {
        FailureKind::Host
    } else {
        FailureKind::PackageManager
    }
}

/// Runs a job of this run's to its end; returns its last words.
pub(super) async fn finish(run: &Run<'_>, what: &str, job: &Job) -> Result<String, StepError> {
    let id = JobId::new(&run.name(what)).map_err(trouble)?;
    job::start(run.guest.transport(), &id, job).await.map_err(trouble)?;
    let (_, said) = follow(run, &id).await?;
    // It may be needed again, should the step be done again.
    job::forget(run.guest.transport(), &id).await.map_err(trouble)?;
    Ok(last_words(&said))
}

/// Watches a job to its end: how it ended, and the end of what it said.
async fn follow(run: &Run<'_>, id: &JobId) -> Result<(JobState, String), StepError> {
    let (mut tail, mut offset) = (Vec::new(), 0);
    loop {
        let look = job::look(run.guest.transport(), id, offset).await.map_err(trouble)?;
        offset += look.output.len() as u64;
        tail.extend_from_slice(&look.output);
        tail.drain(..tail.len().saturating_sub(TAIL));
        if look.is_last() {
            return Ok((look.state, String::from_utf8_lossy(&tail).into_owned()));
        }
        if look.state == JobState::Running {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// How zypper says that something failed: it answers in XML.
const ZYPPER: &str = "<message type=\"error\">";

/// What is worth telling of a transaction's output: the packages that failed, in dpkg's words, what others call an error, else its
/// last lines.
fn last_words(output: &str) -> String {
    let lines: Vec<&str> = output.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let telling = |line: &&&str| line.starts_with("E: ") || line.starts_with("dpkg: dependency problems");
    let first = |start: &str| lines.iter().position(|line| line.starts_with(start));
    let told: Vec<&str> = match (first("dpkg: error"), first("Error: ").or_else(|| first(ZYPPER))) {
        // The script's own words stand before dpkg's.
        (Some(at), _) => lines[at.saturating_sub(1)..].iter().take(3).copied().collect(),
        // dnf's and zypper's explanations stand behind it.
        (None, Some(at)) => lines[at..].iter().take(3).map(|line| line.trim_start_matches(ZYPPER)).collect(),
        (None, None) => lines.iter().filter(telling).copied().collect(),
    };
    let told = if told.is_empty() { lines.iter().rev().take(2).rev().copied().collect() } else { told };
    printable(&told.join("; "), 500)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_the_script_that_failed_are_told() {
        let output = "Reading package lists...\nSetting up lab-broken (1.1) ...\nlab-broken: cannot migrate its data\n\
            dpkg: error processing package lab-broken (--configure):\n installed lab-broken package post-installation \
            script subprocess returned error exit status 1\nErrors were encountered while processing:\n lab-broken\n\
            E: Sub-process /usr/bin/dpkg returned an error code (1)\n";
        let words = last_words(output);
        assert!(words.starts_with("lab-broken: cannot migrate its data; dpkg: error processing"), "{words}");
        assert_eq!(
            last_words("a\nE: You don't have enough free space\nb\n"),
            "E: You don't have enough free space"
        );
        let dnf = "a\nError: Transaction test error:\n  installing package x needs 12MB more space on the / filesystem\n\nError Summary\n";
        assert_eq!(
            last_words(dnf),
            "Error: Transaction test error:; installing package x needs 12MB more space on the / filesystem; Error Summary"
        );
        assert_eq!(
            last_words("<message type=\"error\">Installation failed.\nx\n"),
            "Installation failed.; x"
        );
        assert_eq!(last_words("one\ntwo\nthree\n"), "two; three");
    }

    #[test]
    fn what_the_packages_cannot_help_is_told_from_what_they_do() {
        for (words, expected) in [
            ("write error: No space left on device", FailureKind::NoSpace),
            ("E: You don't have enough free space in /var/cache/apt/archives/.", FailureKind::NoSpace),
            ("E: Failed to fetch http://deb.example/x.deb  404  Not Found", FailureKind::Host),
            ("E: Could not get lock /var/lib/dpkg/lock-frontend.", FailureKind::Host),
            ("dpkg: error: dpkg frontend lock was locked by another process with pid 42", FailureKind::Host),
            ("   At least 12MB more space needed on the / filesystem.", FailureKind::NoSpace),
            ("Error: Error downloading packages:", FailureKind::Host),
            ("dpkg: error processing package lab-broken (--configure):", FailureKind::PackageManager),
        ] {
            assert_eq!(kind(words), expected, "{words}");
        }
    }
}
