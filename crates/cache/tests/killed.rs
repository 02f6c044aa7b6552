//! What a killed process was fetching is collected by the next one, not before, and never kept.
//!
//! Without the usual harness: the process that is killed is this very program with an argument.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use patchyard_cache::{FileCache, Usage};
use patchyard_contract::PackageCache as _;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["fetch", dir] => fetch(Path::new(dir)),
        _ => {
            what_a_killed_process_was_fetching_is_collected();
            println!("test what_a_killed_process_was_fetching_is_collected ... ok");
        }
    }
}

/// Writes half a package, says where, and waits to be killed.
fn fetch(dir: &Path) {
    let cache = FileCache::open(dir).unwrap();
    let scratch = cache.scratch().unwrap();
    fs::write(&scratch, "half a pack").unwrap();
    println!("{}", scratch.display());
    std::io::stdin().lines().for_each(drop);
}

fn what_a_killed_process_was_fetching_is_collected() {
    let dir = tempfile::tempdir().unwrap();
    let cache = FileCache::open(dir.path()).unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .arg("fetch")
        .arg(dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let scratch = PathBuf::from(line.trim_end());
    assert!(scratch.is_file(), "{line}");

    assert_eq!(cache.collect().unwrap(), Usage::default(), "it lives");
    assert!(scratch.is_file());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(scratch.is_file());
    assert_eq!(cache.collect().unwrap(), Usage { files: 1, bytes: 11 });
    assert!(!scratch.exists() && !scratch.parent().unwrap().exists());
    assert_eq!(cache.size().unwrap(), Usage::default(), "nothing of it is kept");
}
