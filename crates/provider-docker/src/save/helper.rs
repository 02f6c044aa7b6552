//! The throw-away container that copies volumes, on the engine's own machine: volumes may be far away from
//! the controller, and nothing of them goes over the network.
//!
//! It is of the image that the data belongs to, whose `cp` has to be GNU's: no other keeps extended
//! attributes, gaps and shared blocks alike. What it runs is its only process, never an exec, without
//! network; what is read is mounted read-only. It has a name of the run, so that it is found again. The
//! archive API would do without any program in the image, but loses extended attributes and fills gaps.

use std::time::Duration;

use patchyard_types::{FailureKind, printable};
use serde_json::{Value, json};

use crate::client::ApiError;
use crate::helpers::{Guard, remove};
use crate::names::{ROLE_VOLUME, labels_of_running, of_run};
use crate::read::json::text;
use crate::swap::{Run, Trouble, failed};

/// Lines and bytes of what it printed, for a message.
const WORDS: (u32, usize) = (200, 16 * 1024);
/// How often it is looked how far a copy has got.
const LOOKS: Duration = Duration::from_millis(500);

/// What the programs of an image are asked before anything is stopped: `du` for each volume, what is free,
/// and whether the file system lets two files share their blocks. The volumes are in use by then: a file that
/// goes while it is counted is no failure.
const MEASURE: &str = r#"
set -e
case "$(cp --version 2>/dev/null) $(find --version 2>/dev/null)" in
    *'GNU coreutils'*'GNU findutils'*) ;;
    *) exit 3 ;;
esac
file="$(find /patchyard-from -mindepth 2 -type f -size +0 -print -quit 2>/dev/null || :)"
if [ -n "$file" ] && cp --reflink=always "$file" /patchyard-to/0/probe 2>/dev/null; then echo shared; fi
rm -f /patchyard-to/0/probe
df --block-size=1 --output=avail /patchyard-to/0
for n in "$@"; do du -s --block-size=1 "/patchyard-from/$n" 2>/dev/null || :; done
"#;

/// `save`: volumes into fresh ones, each into the folder `data`, and then, when everything is on the disk, a
/// file that says so. `restore`: from there over what the volumes hold. Prints how many bytes were written
/// and how many there are, and in the end how many each volume has.
const COPY: &str = r#"
set -e
mode=$1
shift
place() {
    from=/patchyard-from/$1 to=/patchyard-to/$1/data
    if [ "$mode" = restore ]; then from=/patchyard-from/$1/data to=/patchyard-to/$1; fi
}
if [ "$mode" = restore ]; then
    for n in "$@"; do [ -e "/patchyard-from/$n/whole" ] || exit 4; done
    find /patchyard-to -mindepth 2 -delete
    # What is made in a folder with a set-gid bit would take it over. All five digits: fewer keep it.
    chmod 00700 /patchyard-to/*
fi
sizes= total=0
for n in "$@"; do
    place "$n"
    size="$(du -s --block-size=1 "$from")"
    size="${size%%[!0-9]*}"
    sizes="$sizes $size" total=$((total + size))
done
before=0
for n in "$@"; do
    place "$n"
    bytes=0
    cp -dR --preserve=mode,ownership,timestamps,links,xattr --reflink=auto --sparse=auto -T "$from" "$to" &
    copying=$!
    while kill -0 "$copying" 2>/dev/null; do
        while read -r name value; do
            if [ "$name" = wchar: ]; then bytes=$value; echo "$((before + bytes)) $total"; fi
        done 2>/dev/null < "/proc/$copying/io" || :
        sleep 0.1
    done
    wait "$copying"
    before=$((before + bytes))
done
sync -f /patchyard-to/*
if [ "$mode" = save ]; then
    for n in "$@"; do : > "/patchyard-to/$n/whole"; done
    sync -f /patchyard-to/*
fi
echo "sizes$sizes"
"#;

/// What is known before anything is copied.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Measured {
    /// The bytes that each volume takes on its disk.
    pub sizes: Vec<u64>,
    /// The bytes that are free there.
    pub free: u64,
    /// A copy shares its blocks with the original.
    pub shares: bool,
}

/// What is copied where: names of volumes.
pub(super) struct Pair<'a> {
    pub from: &'a str,
    pub to: &'a str,
}

/// Measures volumes; `scratch` is an empty volume beside them.
pub(super) async fn measure(
    run: &Run<'_>,
    image: &Value,
    volumes: &[String],
    scratch: &str,
) -> Result<Measured, Trouble> {
    let mounts = volumes.iter().enumerate().map(|(n, volume)| mount(volume, "from", n));
    let mounts = mounts.chain([mount(scratch, "to", 0)]).collect();
    let printed = ended(run, image, MEASURE, &[], volumes.len(), mounts, None).await?;
    measured(&printed, volumes.len()).ok_or_else(|| ApiError::protocol("a size that is no number").into())
}

/// Copies volumes into fresh ones, and returns the bytes that each takes.
pub(super) async fn save(run: &Run<'_>, image: &Value, pairs: &[Pair<'_>]) -> Result<Vec<u64>, Trouble> {
    let printed = copy(run, image, "save", pairs).await?;
    sizes(&printed, pairs.len()).ok_or_else(|| ApiError::protocol("a size that is no number").into())
}

/// Empties volumes and gives them what their copies hold.
pub(super) async fn restore(run: &Run<'_>, image: &Value, pairs: &[Pair<'_>]) -> Result<(), Trouble> {
    copy(run, image, "restore", pairs).await.map(|_| ())
}

async fn copy(run: &Run<'_>, image: &Value, mode: &str, pairs: &[Pair<'_>]) -> Result<String, Trouble> {
    let mounts = pairs
        .iter()
        .enumerate()
        .flat_map(|(n, pair)| [mount(pair.from, "from", n), mount(pair.to, "to", n)])
        .collect();
    let note = if mode == "save" { "saving volumes" } else { "restoring volumes" };
    run.note(note, None);
    ended(run, image, COPY, &[mode], pairs.len(), mounts, Some(note)).await
}

/// Removes what a crash has left of it. Whatever it was writing, it does not go on.
pub(super) async fn clear(run: &Run<'_>) {
    remove(run.docker, &name(run)).await;
}

fn name(run: &Run<'_>) -> String {
    of_run(&run.docker.options.controller, run.call.run, "volume").to_string()
}

/// Runs a script to its end, tells how far it has got, and returns what it printed.
async fn ended(
    run: &Run<'_>,
    image: &Value,
    script: &str,
    words: &[&str],
    volumes: usize,
    mounts: Vec<Value>,
    note: Option<&str>,
) -> Result<String, Trouble> {
    clear(run).await;
    let guard = Guard::new(run.docker, name(run));
    let (client, name) = (run.client(), guard.name());
    let mut argv = vec!["sh".to_owned(), "-c".to_owned(), script.to_owned(), "sh".to_owned()];
    argv.extend(words.iter().map(|&word| word.to_owned()));
    argv.extend((0..volumes).map(|n| n.to_string()));
    guard.create(request(&run.docker.options.controller, image, &argv, mounts)).await?;
    let started = client.post(&["containers", name, "start"]).timeout(Duration::from_secs(120)).done().await;
    match started {
        Err(ApiError::Status { message, .. }) if message.contains("executable file not found") => {
            return Err(no_programs());
        }
        started => started?,
    }
    let limit = run.action.timeouts.step.as_duration();
    let waiting = client.post(&["containers", name, "wait"]).timeout(limit).json();
    let telling = async {
        loop {
            tokio::time::sleep(LOOKS).await;
            let Some(note) = note else { continue };
            let Ok(last) = client.last_lines(name, false, 1, 64).await else { continue };
            run.note(note, part(&String::from_utf8_lossy(&last)));
        }
    };
    let waited = tokio::select! {
        waited = waiting => waited?,
        () = telling => return Err(ApiError::protocol("a copy without an end").into()),
    };
    let printed = client.last_lines(name, false, WORDS.0, WORDS.1).await?;
    let printed = String::from_utf8_lossy(&printed).into_owned();
    guard.finish().await;
    match waited["StatusCode"].as_i64() {
        Some(0) => Ok(printed),
        Some(3) if script == MEASURE => Err(no_programs()),
        Some(4) if script == COPY => Err(failed(FailureKind::Host, "a copy of its volumes is not whole")),
        _ => Err(said(&printed)),
    }
}

fn no_programs() -> Trouble {
    failed(
        FailureKind::Refused,
        "its data cannot be restored: its image has no GNU coreutils and findutils to copy volumes with; say data: keep",
    )
}

fn said(printed: &str) -> Trouble {
    let kind = match printed.contains("No space left on device") {
        true => FailureKind::NoSpace,
        false => FailureKind::Host,
    };
    // How far it had got is printed, too.
    let words: Vec<&str> = printed.lines().filter(|line| part(line).is_none()).collect();
    let last = words.get(words.len().saturating_sub(3)..).unwrap_or_default().join("; ");
    failed(kind, format!("volumes could not be copied: {}", printable(&last, 400)))
}

/// How many bytes of how many are written, by what was printed last.
fn part(line: &str) -> Option<(u64, u64)> {
    let (written, all) = line.trim().split_once(' ')?;
    let (written, all): (u64, u64) = (written.parse().ok()?, all.parse().ok()?);
    Some((written.min(all), all))
}

fn sizes(printed: &str, volumes: usize) -> Option<Vec<u64>> {
    let sizes = printed.lines().rev().find_map(|line| line.strip_prefix("sizes "))?;
    let sizes: Vec<u64> = sizes.split(' ').map(|size| size.parse().ok()).collect::<Option<_>>()?;
    (sizes.len() == volumes).then_some(sizes)
}

fn measured(printed: &str, volumes: usize) -> Option<Measured> {
    let mut numbers = printed.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        Some((words.next()?.parse::<u64>().ok()?, words.next().is_some()))
    });
    let (free, false) = numbers.next()? else { return None };
    let sizes: Vec<u64> = numbers.map(|(size, _)| size).collect();
    let shares = printed.lines().any(|line| line == "shared");
    (sizes.len() == volumes).then_some(Measured { sizes, free, shares })
}

/// A volume at its place; what is read is read-only. Nothing of the image is copied into it.
fn mount(volume: &str, end: &str, n: usize) -> Value {
    json!({"Type": "volume", "Source": volume, "Target": format!("/patchyard-{end}/{n}"),
        "ReadOnly": end == "from", "VolumeOptions": {"NoCopy": true}})
}

/// The create request. Pure: everything it is made of comes in.
fn request(controller: &str, image: &Value, argv: &[String], mut mounts: Vec<Value>) -> Value {
    // The engine would make volumes for these.
    for (place, _) in image["Config"]["Volumes"].as_object().into_iter().flatten() {
        mounts.push(json!({"Type": "tmpfs", "Target": place}));
    }
    json!({
        "Image": text(&image["Id"]),
        "Entrypoint": argv.get(..1),
        "Cmd": argv.get(1..),
        // The image's own programs, and not what it has put before them.
        "Env": ["LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"],
        "User": "0:0",
        "WorkingDir": "/",
        "Labels": labels_of_running(image, controller, ROLE_VOLUME),
        "Healthcheck": {"Test": ["NONE"]},
        "StopSignal": "SIGKILL",
        "HostConfig": {
            "NetworkMode": "none",
            "ReadonlyRootfs": true,
            "RestartPolicy": {"Name": "no"},
            // Read back, whatever the engine's default driver is.
            "LogConfig": {"Type": "json-file", "Config": {}},
            "Mounts": mounts,
            "CapDrop": ["ALL"],
            // Everybody's files, their owners, set-id bits, devices, capabilities.
            "CapAdd": ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "MKNOD", "SETFCAP"],
            "SecurityOpt": ["no-new-privileges"],
            "PidsLimit": 64,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_measured_is_read_and_nothing_is_made_up() {
        let printed = "shared\n    Avail\n 1000\n4096\t/patchyard-from/0\n8192\t/patchyard-from/1\n";
        let whole = Measured { sizes: vec![4096, 8192], free: 1000, shares: true };
        assert_eq!(measured(printed, 2), Some(whole));
        assert_eq!(measured(printed, 3), None);
        assert_eq!(measured("4096\t/patchyard-from/0\n", 1), None);
        assert_eq!(sizes("1 12288\nsizes 4096 8192\n", 2), Some(vec![4096, 8192]));
        assert_eq!(
            (sizes("sizes 4096\n", 2), part("12 10\n"), part("sizes 4096")),
            (None, Some((10, 10)), None)
        );
    }

    #[test]
    fn what_is_read_cannot_be_written_and_nothing_of_the_image_goes_into_a_volume() {
        let image = json!({"Id": "sha256:b", "Config": {"Volumes": {"/data": {}}, "Labels": {"x": "y"}}});
        let argv = ["sh".to_owned(), "-c".to_owned()];
        let request = request("1a2b", &image, &argv, vec![mount("v", "from", 0), mount("w", "to", 0)]);
        let mounts = &request["HostConfig"]["Mounts"];
        assert_eq!((&mounts[0]["ReadOnly"], &mounts[1]["ReadOnly"]), (&json!(true), &json!(false)));
        assert_eq!(mounts[1]["VolumeOptions"]["NoCopy"], true);
        assert_eq!(mounts[2], json!({"Type": "tmpfs", "Target": "/data"}));
        assert_eq!(request["Labels"]["x"], "");
    }

    #[test]
    fn a_full_disk_is_told_from_other_failures_and_progress_from_words() {
        let kind = |printed| match said(printed) {
            Trouble::Step(patchyard_types::StepError::Failed(failure)) => failure,
            other => panic!("{other:?}"),
        };
        let full =
            kind("12 99\ncp: error writing '/patchyard-to/0/data/x': No space left on device\n34 99\n");
        assert_eq!(full.kind, FailureKind::NoSpace);
        assert!(!full.message.contains("99"), "{full}");
        assert_eq!(kind("cp: cannot stat 'x'").kind, FailureKind::Host);
    }
}
