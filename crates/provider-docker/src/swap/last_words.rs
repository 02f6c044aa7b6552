//! Last words: what a replacement has printed before it is taken back. It goes with its container, and
//! it is the first thing that anybody wants to read afterwards.
//!
//! Kept in a file that only the owner of the state can read, never in an event: it may hold secrets.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use patchyard_types::RunId;

use super::{Container, Run};

/// Lines that are kept of each run.
const LINES: u32 = 40;

/// Bytes that are kept of each run.
const LIMIT: usize = 32 * 1024;

/// Files that are kept; the oldest goes when there are more.
const FILES: usize = 200;

/// Keeps what a replacement printed. The way back never fails by it.
pub(super) async fn keep(run: &Run<'_>, new: &Container) {
    let tty = new.0["Config"]["Tty"].as_bool() == Some(true);
    let Ok(words) = run.client().last_lines(new.id(), tty, LINES, LIMIT).await else { return };
    if !words.is_empty() {
        let _ = write(&folder(&run.docker.options.state_dir), run.call.run, &words);
    }
}

/// Where they are kept, by the names of the runs.
fn folder(state_dir: &Path) -> PathBuf {
    state_dir.join("last-words")
}

fn write(folder: &Path, run: RunId, words: &[u8]) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let path = folder.join(format!("{run}.txt"));
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(words)?;
    let mut files: Vec<_> = fs::read_dir(folder)?
        .flatten()
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    files.sort();
    for (_, old) in files.iter().rev().skip(FILES) {
        fs::remove_file(old)?;
    }
    Ok(())
}

/// What the replacement of a run printed last, if it was taken back and had printed anything.
#[must_use]
pub fn last_words(state_dir: &Path, run: RunId) -> Option<String> {
    let words = fs::read(folder(state_dir).join(format!("{run}.txt"))).ok()?;
    Some(String::from_utf8_lossy(&words).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_kept_by_run_and_not_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let run = |action| RunId { rollout: patchyard_types::RolloutId(1), action };
        for action in 0..FILES + 3 {
            write(&folder(dir.path()), run(action), b"bind: address already in use\n").unwrap();
        }
        assert_eq!(fs::read_dir(folder(dir.path())).unwrap().count(), FILES);
        let last = last_words(dir.path(), run(FILES + 2)).unwrap();
        assert_eq!(last, "bind: address already in use\n");
        assert_eq!(last_words(dir.path(), run(1_000)), None);
    }
}
