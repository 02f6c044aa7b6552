//! What was acknowledged survives `kill -9`; the locks do not.
//!
//! Without the usual harness: the processes that are killed are this very program with arguments
//! of its own.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use patchyard_contract::suite::sample::{at, request};
use patchyard_contract::{Append, Store, StoreError};
use patchyard_store_sqlite::SqliteStore;
use patchyard_types::{RolloutId, RunId, Stream};

const LOCK: &str = "rollout/R1";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["write", dir, writer] => write(Path::new(dir), writer.parse().unwrap()),
        _ => {
            what_was_acknowledged_survives();
            println!("test what_was_acknowledged_survives ... ok");
        }
    }
}

fn stream(writer: usize) -> Stream {
    Stream::Run(RunId { rollout: RolloutId(1), action: writer })
}

/// Appends until it is killed, and says so after each.
fn write(dir: &Path, writer: usize) {
    patchyard_contract::suite::run(async {
        let store = SqliteStore::open(dir).unwrap();
        let _lock = (writer == 0).then(|| store.lock(LOCK, "the one that dies").unwrap());
        let known = store.read(stream(writer), 0).await.unwrap().len() as u64;
        for seq in known.. {
            let bodies = vec![request(&seq.to_string()), request("and another")];
            let append = Append { stream: stream(writer), expected: None, bodies };
            let stored = store.append(at(0), vec![append]).await.unwrap();
            println!("{}", stored[1].seq);
        }
    });
}

fn start(dir: &Path, writer: usize) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["write", dir.to_str().unwrap(), &writer.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Kills a writer after it has acknowledged so many batches; returns the last event it acknowledged.
fn kill_after(mut child: Child, batches: usize) -> u64 {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut last = None;
    for _ in 0..batches {
        last = lines.next();
        assert!(last.is_some(), "the writer ended by itself");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // What it said before it was hit counts; a last line may be cut.
    lines.filter(|line| !line.is_empty()).last().or(last).unwrap().parse().unwrap()
}

fn what_was_acknowledged_survives() {
    let dir = tempfile::tempdir().unwrap();
    for round in 1..8 {
        let children = [start(dir.path(), 0), start(dir.path(), 1)];
        let acknowledged = children.map(|child| kill_after(child, round * 3));
        patchyard_contract::suite::run(async {
            let store = SqliteStore::open(dir.path()).unwrap();
            for (writer, acknowledged) in acknowledged.into_iter().enumerate() {
                let events = store.read(stream(writer), 0).await.unwrap();
                let last = events.last().unwrap().seq;
                assert!(last >= acknowledged, "round {round}: {last} of {acknowledged} events left");
                assert_eq!(last % 2, 0, "round {round}: half a batch");
            }
            assert_eq!(store.audit_verify(None).await.unwrap().broken, None, "round {round}");
            let free = store.lock(LOCK, "the survivor");
            assert!(free.is_ok(), "round {round}: {:?}", free.err());
        });
    }

    let child = start(dir.path(), 0);
    let store = SqliteStore::open(dir.path()).unwrap();
    let holder = loop {
        match store.lock(LOCK, "another") {
            Err(StoreError::Locked { holder, .. }) if holder == "the one that dies" => break holder,
            taken => drop(taken),
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    };
    assert_eq!(holder, "the one that dies", "a process that lives keeps its lock");
    kill_after(child, 1);
}
