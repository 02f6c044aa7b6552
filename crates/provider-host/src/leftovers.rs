//! What is left of runs on a machine: the folders of their jobs and of their packages, and, with its keeper, snapshots.

use patchyard_contract::{Command, Leftover, ProviderError};
use patchyard_types::{RunId, Snapshot};

use crate::{HostProvider, kept, words};

/// Where everything of ours is on a machine; the guest layer's jobs are there too.
pub(crate) const ROOT: &str = "/var/lib/patchyard";

/// A leftover that is with the machine's keeper.
const SNAPSHOT: &str = "snapshot";

/// Names and sizes in KiB.
const LIST: &str = "cd \"$1\" 2>/dev/null || exit 0; for d in run-* packages-* fetch-*; do [ ! -d \"$d\" ] || du -sk -- \"$d\"; done";
const REMOVE: &str = "cd \"$1\" && rm -rf -- \"./$2\"";

pub(crate) async fn leftovers(
    host: &HostProvider,
    unfinished: &[RunId],
    kept: &[Snapshot],
) -> Result<Vec<Leftover>, ProviderError> {
    let mut left = snapshots(host, unfinished, kept).await?;
    let output = run(host, LIST, None).await?;
    let ours = host.controller8().to_owned();
    let found = output.lines().filter_map(|line| {
        let (size, name) = line.split_once('\t')?;
        let run = of_ours(name, &ours)?;
        let is_needed = run.is_some_and(|run| unfinished.contains(&run));
        let size = size.parse::<u64>().ok()?.saturating_mul(1024);
        (!is_needed).then(|| Leftover { kind: "file".to_owned(), name: name.to_owned(), run, size })
    });
    left.extend(found);
    Ok(left)
}

/// Snapshots of disks that no run goes back to any more.
async fn snapshots(
    host: &HostProvider,
    unfinished: &[RunId],
    kept: &[Snapshot],
) -> Result<Vec<Leftover>, ProviderError> {
    let Some(keeping) = &host.options.kept else { return Ok(Vec::new()) };
    let prefix = kept::prefix(&host.options.controller);
    let saved = keeping.keeper.all_saved(&prefix).await.map_err(|error| kept::no_answer(host, error))?;
    let left = saved.into_iter().filter_map(|name| {
        let run: RunId = name.strip_prefix(&prefix)?.to_uppercase().parse().ok()?;
        let is_kept = kept.iter().any(|snapshot| snapshot.disks.as_ref().is_some_and(|d| d.name == name));
        let is_needed = is_kept || unfinished.contains(&run);
        (!is_needed).then_some(Leftover { kind: SNAPSHOT.to_owned(), name, run: Some(run), size: 0 })
    });
    Ok(left.collect())
}

pub(crate) async fn collect(host: &HostProvider, leftover: &Leftover) -> Result<(), ProviderError> {
    if leftover.kind == SNAPSHOT {
        return kept::forget(host, &leftover.name).await;
    }
    // What comes from the machine must not lead out of the folder.
    if of_ours(&leftover.name, host.controller8()).is_none() {
        return Ok(());
    }
    run(host, REMOVE, Some(&leftover.name)).await.map(|_| ())
}

/// The run that a folder of this controller's is of; a folder of somebody else's is none.
fn of_ours(name: &str, controller: &str) -> Option<Option<RunId>> {
    let rest = name.strip_prefix("run-").or_else(|| name.strip_prefix("packages-"));
    let Some(rest) = rest else {
        // fetch-CONTROLLER.PROCESS
        let process = name.strip_prefix("fetch-")?.strip_prefix(controller)?.strip_prefix('.')?;
        return process.bytes().all(|b| b.is_ascii_digit()).then_some(None);
    };
    let run = rest.strip_prefix(controller)?.strip_prefix('.')?;
    // R12.3, and what follows in a job's name.
    let mut parts = run.splitn(3, '.');
    let run: RunId = format!("{}.{}", parts.next()?, parts.next()?).parse().ok()?;
    let fits = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    fits.then_some(Some(run))
}

async fn run(host: &HostProvider, script: &str, argument: Option<&str>) -> Result<String, ProviderError> {
    let argv = ["sh", "-c", script, "sh", ROOT].into_iter().chain(argument);
    let output = host.transport.run(Command::new(argv)).await;
    let output = output.map_err(|error| words::no_way(&host.options.name, error))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::of_ours;

    #[test]
    fn folders_of_ours_are_told_from_others() {
        let run = |name| of_ours(name, "a1b2c3d4").flatten().map(|run| run.to_string());
        assert_eq!(run("run-a1b2c3d4.R12.3.install.1").as_deref(), Some("R12.3"));
        assert_eq!(run("packages-a1b2c3d4.R1.1").as_deref(), Some("R1.1"));
        assert_eq!(of_ours("fetch-a1b2c3d4.4711", "a1b2c3d4"), Some(None));
        for other in [
            "run-ffffffff.R1.1.install.1",
            "run-a1b2c3d4.x",
            "packages-a1b2c3d4.R1.1/../..",
            "fetch-a1b2c3d4.1/..",
            "etc",
        ] {
            assert_eq!(of_ours(other, "a1b2c3d4"), None, "{other}");
        }
    }
}
