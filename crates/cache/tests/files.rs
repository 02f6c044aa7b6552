//! What lies on the disk: modes, sizes, what pruning takes and leaves, a full disk.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use patchyard_cache::{FileCache, Usage};
use patchyard_contract::{CacheError, PackageCache as _};
use patchyard_types::Digest;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn keep(cache: &FileCache, bytes: &[u8]) -> (Digest, PathBuf) {
    let scratch = cache.scratch().unwrap();
    fs::write(&scratch, bytes).unwrap();
    let digest = Digest::of_bytes(bytes);
    (digest, cache.keep(&scratch, &digest).unwrap())
}

fn make_older(path: &Path, age: Duration) {
    File::open(path).unwrap().set_modified(SystemTime::now() - age).unwrap();
}

fn all_below(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir)
        .unwrap()
        .flat_map(|entry| {
            let path = entry.unwrap().path();
            if path.is_dir() { all_below(&path).into_iter().chain([path]).collect() } else { vec![path] }
        })
        .collect()
}

#[test]
fn a_package_lies_under_its_digest_and_all_is_private() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("state/cache");
    let cache = FileCache::open(&root).unwrap();
    let scratch = cache.scratch().unwrap();
    fs::write(&scratch, "a package").unwrap();
    // Whoever wrote it may have been careless.
    fs::set_permissions(&scratch, fs::Permissions::from_mode(0o666)).unwrap();
    let digest = Digest::of_bytes(b"a package");
    let path = cache.keep(&scratch, &digest).unwrap();
    let hex = digest.to_string();
    assert_eq!(path, root.join("sha256").join(&hex[..2]).join(&hex));
    let _unfinished = cache.scratch().unwrap();
    let found = all_below(dir.path());
    assert!(found.len() > 6, "{found:?}");
    for path in found {
        let expected = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, expected, "{}", path.display());
    }
}

#[test]
fn an_ended_process_leaves_no_scratch_behind() {
    let dir = tempfile::tempdir().unwrap();
    let cache = FileCache::open(dir.path()).unwrap();
    let scratch = cache.scratch().unwrap();
    assert!(scratch.to_str().unwrap().contains(&std::process::id().to_string()), "{}", scratch.display());
    drop(cache);
    assert!(!scratch.exists() && !scratch.parent().unwrap().exists());
}

#[test]
fn collecting_leaves_what_somebody_is_working_on() {
    let dir = tempfile::tempdir().unwrap();
    let (cache, other) = (FileCache::open(dir.path()).unwrap(), FileCache::open(dir.path()).unwrap());
    let (mine, theirs) = (cache.scratch().unwrap(), other.scratch().unwrap());
    assert_eq!(cache.collect().unwrap(), Usage::default());
    assert!(mine.exists() && theirs.exists());
}

#[test]
fn pruning_takes_what_is_old_and_not_wanted() {
    let dir = tempfile::tempdir().unwrap();
    let cache = FileCache::open(dir.path()).unwrap();
    let [(wanted, wanted_path), (_, old), (fresh, _), (used, used_path)] =
        [&b"wanted"[..], b"old", b"fresh", b"used"].map(|bytes| keep(&cache, bytes));
    for path in [&wanted_path, &old, &used_path] {
        make_older(path, 10 * DAY);
    }
    assert_eq!(cache.size().unwrap(), Usage { files: 4, bytes: 6 + 3 + 5 + 4 });
    assert!(cache.find(&used).is_some(), "and so it is in use again");

    let would_go = cache.prunable(&BTreeSet::from([wanted]), 7 * DAY).unwrap();
    assert!(old.exists(), "it was only looked for");
    let removed = cache.prune(&BTreeSet::from([wanted]), 7 * DAY).unwrap();
    assert_eq!(would_go, removed);
    assert_eq!(removed, Usage { files: 1, bytes: 3 });
    assert!(!old.exists());
    for digest in [wanted, fresh, used] {
        assert!(cache.find(&digest).is_some());
    }
    assert_eq!(cache.prune(&BTreeSet::from([wanted]), Duration::ZERO).unwrap(), Usage { files: 2, bytes: 9 });
    assert_eq!(cache.size().unwrap(), Usage { files: 1, bytes: 6 });
}

#[test]
fn what_is_not_ours_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let cache = FileCache::open(dir.path()).unwrap();
    let (_, path) = keep(&cache, b"a package");
    let foreign = path.with_file_name("README");
    fs::write(&foreign, "notes").unwrap();
    cache.prune(&BTreeSet::new(), Duration::ZERO).unwrap();
    assert!(!path.exists() && foreign.exists());
}

#[test]
fn a_place_where_no_cache_can_be_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("cache");
    fs::write(&file, "").unwrap();
    let error = FileCache::open(&file).unwrap_err();
    assert!(matches!(error, CacheError::Io { .. }), "{error}");
    assert!(error.to_string().contains(file.to_str().unwrap()), "{error}");
}

#[test]
fn a_full_disk_is_called_that() {
    let dir = tempfile::tempdir().unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m,nr_inodes=12", "patchyard-test"])
        .arg(dir.path())
        .output()
        .unwrap();
    if !mounted.status.success() {
        eprintln!("SKIPPED: no small disk to test on: {}", String::from_utf8_lossy(&mounted.stderr).trim());
        return;
    }
    let result = std::panic::catch_unwind(|| {
        let cache = FileCache::open(&dir.path().join("cache")).unwrap();
        let mut scratch = File::options().write(true).open(cache.scratch().unwrap()).unwrap();
        while scratch.write_all(&[0; 4096]).is_ok() {}
        let error = loop {
            if let Err(error) = cache.scratch() {
                break error;
            }
        };
        assert!(matches!(error, CacheError::NoSpace { .. }), "{error}");
        assert!(error.to_string().contains("patchyard gc"), "{error}");
    });
    assert!(Command::new("umount").arg("-l").arg(dir.path()).status().unwrap().success());
    result.unwrap();
}
