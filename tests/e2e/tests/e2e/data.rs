//! What becomes of a real PostgreSQL's data when a patch is taken back: with `data: restore` it is what was
//! committed before the stop, to the last row; without, what was written since stays, and a version that
//! cannot read it ends with a person.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use patchyard_e2e_tests::{Controller, Engine, PrivateEngine, Service, ServiceOptions, lab};

/// Writers at a time.
const WRITERS: usize = 3;

fn service(engine: &Engine) -> Service {
    let image = lab("postgres", [] as [&str; 0]);
    let service = Service::start_with(engine, &image, &ServiceOptions::default());
    let began = std::time::Instant::now();
    while sql(&service, "create table if not exists rows (place text, writer int, n bigint)").is_none() {
        assert!(began.elapsed() < Duration::from_secs(60), "PostgreSQL does not answer");
        std::thread::sleep(Duration::from_millis(100));
    }
    service
}

const PSQL: [&str; 6] = ["psql", "-h", "/run/postgresql", "-qAt", "-v", "ON_ERROR_STOP=1"];

/// What PostgreSQL answers, if it does.
fn sql(service: &Service, query: &str) -> Option<String> {
    let args = ["exec", "-u", "postgres", service.name()].into_iter().chain(PSQL).chain(["-c", query]);
    let output = service.engine().command(args).output().unwrap();
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

/// A row: the container that took it, the writer, its number.
type Row = (String, usize, u64);

/// Clients that write row after row, each in a transaction of its own, and remember what was committed;
/// whoever bears the service's name gets it.
struct Load {
    stop: Arc<AtomicBool>,
    writers: Vec<JoinHandle<Vec<Row>>>,
}

impl Load {
    fn start(service: &Service) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let start = |writer| {
            let (engine, name, stop) =
                (service.engine().clone(), service.name().to_owned(), Arc::clone(&stop));
            std::thread::spawn(move || {
                let (mut committed, mut number) = (Vec::new(), 0);
                while !stop.load(Ordering::Relaxed) {
                    session(&engine, &name, writer, &stop, &mut number, &mut committed);
                    std::thread::sleep(Duration::from_millis(100));
                }
                committed
            })
        };
        let writers = (0..WRITERS).map(start).collect();
        Self { stop, writers }
    }

    /// Every row that was seen committed.
    fn finish(self) -> BTreeSet<Row> {
        self.stop.store(true, Ordering::Relaxed);
        self.writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
    }
}

/// One connection, until it ends. A row counts when PostgreSQL has said that it is committed.
fn session(
    engine: &Engine,
    name: &str,
    writer: usize,
    stop: &AtomicBool,
    number: &mut u64,
    committed: &mut Vec<Row>,
) {
    let inspect = engine.try_docker(["inspect", "-f", "{{.Id}}", name]);
    let place: String = String::from_utf8_lossy(&inspect.stdout).trim().chars().take(12).collect();
    if place.is_empty() {
        return;
    }
    // By its id: what bears the name may be another one a moment later.
    let args = ["exec", "-i", "-u", "postgres", &place].into_iter().chain(PSQL);
    let mut psql = engine.command(args);
    psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut psql = psql.spawn().unwrap();
    let (mut said, answers) = (psql.stdin.take().unwrap(), psql.stdout.take().unwrap());
    let mut answers = BufReader::new(answers).lines();
    while !stop.load(Ordering::Relaxed) {
        *number += 1;
        let insert = format!("insert into rows values ('{place}', {writer}, {number});\nselect {number};\n");
        let answer = said.write_all(insert.as_bytes()).ok().and_then(|()| answers.next());
        match answer {
            Some(Ok(answer)) if answer == number.to_string() => {
                committed.push((place.clone(), writer, *number));
            }
            _ => break,
        }
        std::thread::sleep(Duration::from_millis(3));
    }
    drop(said);
    let _ = psql.wait();
}

/// The rows that there are.
fn rows(service: &Service) -> BTreeSet<Row> {
    let answer = sql(service, "select place || ' ' || writer || ' ' || n from rows").expect("an answer");
    let row = |line: &str| {
        let mut words = line.split(' ');
        let mut next = || words.next().unwrap();
        (next().to_owned(), next().parse().unwrap(), next().parse().unwrap())
    };
    answer.lines().map(row).collect()
}

fn place(service: &Service) -> String {
    service.id().chars().take(12).collect()
}

#[test]
fn after_a_patch_that_is_taken_back_a_database_has_exactly_what_was_committed_before_the_stop() {
    let engine = Engine::machine();
    let service = service(&engine);
    let original = place(&service);
    let controller =
        Controller::new(&engine).with_defaults("verify_for: 1s, data: restore, timeouts: { healthy: 15s }");
    let plan = controller.run(["plan", service.name()]).expect(0);
    plan.says(&[&service.volume(), "put back by a rollback", "LOST"]);
    controller.run(["config", "explain"]).expect(0).says(&["defaults.data", "restore"]);

    let load = Load::start(&service);
    std::thread::sleep(Duration::from_secs(3));
    let apply = controller.run(["apply", "--yes", "--json", service.name()]).expect(5);
    assert_eq!(apply.run_of(&service)["state"], "rolled_back", "{apply}");
    service.wait_until_it_answers();
    // It serves again: what is committed now stays, too.
    std::thread::sleep(Duration::from_secs(2));
    let committed = load.finish();
    let found = rows(&service);

    assert_eq!(place(&service), original, "the same container");
    let since: Vec<&Row> = committed.iter().filter(|(place, ..)| *place != original).collect();
    assert!(since.len() > 20, "the new version was written to: {} rows", since.len());
    assert!(found.iter().all(|(place, ..)| *place == original), "rows of the version that was taken back");
    let kept: BTreeSet<Row> = committed.iter().filter(|(place, ..)| *place == original).cloned().collect();
    assert!(kept.len() > 100, "{} rows were written to the old version", kept.len());
    assert!(kept.is_subset(&found), "lost: {:?}", kept.difference(&found).take(5).collect::<Vec<_>>());
    // Each writer may have lost one answer when its connection broke.
    let unheard = found.difference(&kept).count();
    assert!(unheard <= WRITERS, "{unheard} rows that nobody was told of");
    assert_eq!(sql(&service, "select count(*) from rows").unwrap(), found.len().to_string());
    assert_eq!(service.copies(), [""; 0], "no copy is left");
}

#[test]
fn by_default_what_was_written_since_stays_and_a_version_that_cannot_read_it_ends_with_a_person() {
    let engine = Engine::machine();
    let service = service(&engine);
    sql(&service, "insert into rows values ('before', 0, 0)").unwrap();
    let controller = Controller::new(&engine).with_defaults("verify_for: 1s, timeouts: { healthy: 10s }");
    controller.run(["plan", service.name()]).expect(0).says(&[&service.volume(), "not rolled back"]);
    let apply = controller.run(["apply", "--yes", "--json", service.name()]);
    let run = apply.run_of(&service);
    assert_eq!(run["state"], "needs_attention", "{apply}");
    let reason = run["reason"].as_str().unwrap();
    assert!(reason.contains("resolve --done") && reason.contains("the way back stopped"), "{reason}");
    // The old one says itself what is wrong, and the data is as the new one has left it.
    let logs = engine.try_docker(["logs", "--tail", "3", service.name()]);
    let logs = String::from_utf8_lossy(&logs.stderr).into_owned();
    assert!(logs.contains("written by version 1.1, which this one cannot read"), "{logs}");
}

#[test]
fn a_rollback_by_hand_gives_volumes_back_as_the_snapshot_keeps_them() {
    let engine = Engine::machine();
    let service = Service::start(&engine, "web-good");
    let words = || {
        let printed =
            service.engine().docker(["exec", service.name(), "sh", "-c", "cat /data/precious; ls /data"]);
        printed.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ")
    };
    let before = words();
    let controller = Controller::new(&engine).with_defaults("verify_for: 1s, data: restore");
    controller.run(["apply", "--yes", service.name()]).expect(0);
    assert_eq!((words(), service.copies().len()), (before.clone(), 2));
    service.put("/data", "precious", "since");
    service.put("/data", "came-since", "since");

    // Whatever is said by then: the snapshot keeps the data.
    let controller = controller.with_defaults("verify_for: 1s");
    let rollback = controller.run(["rollback", "--yes", service.name()]).expect(0);
    rollback.says(&[&service.volume(), "LOST"]);
    service.wait_until_it_answers();
    assert_eq!((service.answer().unwrap().as_str(), words()), ("lab-web 1.0\n", before));

    let snapshots = controller.run(["snapshots", "--json", service.name()]).expect(0);
    let snapshots = snapshots.json("patchyard.snapshots/v1")["snapshots"].clone();
    assert!(snapshots[0]["volumes"].as_array().unwrap().contains(&service.volume().into()), "{snapshots:#}");
    for snapshot in snapshots.as_array().unwrap() {
        controller.run(["snapshots", "prune", snapshot["id"].as_str().unwrap()]).expect(0);
    }
    assert_eq!(service.copies(), [""; 0]);
}

/// A volume that fills more than half of the disk: a copy finds room only where it shares the blocks of what it is a
/// copy of.
#[test]
fn copies_share_their_blocks_where_the_file_system_can_and_are_refused_while_it_serves_where_they_have_no_room()
 {
    for (disk, has_room) in [("xfs:2G:reflink=1", true), ("xfs:2G:reflink=0", false)] {
        let engine = PrivateEngine::on_disk(disk);
        engine.load(&["patchyard-lab/web-good:1"]);
        let service = Service::start(&engine, "web-good");
        let fill = "head -c 1100M /dev/urandom > /data/big && sync";
        engine.docker(["exec", "-u", "0", service.name(), "sh", "-ec", fill]);
        let free = || {
            let place = engine.docker(["volume", "inspect", "-f", "{{.Mountpoint}}", &service.volume()]);
            rustix::fs::statvfs(place.trim()).map(|disk| (disk.f_bavail * disk.f_frsize) >> 20).unwrap()
        };
        let before = free();
        let controller = Controller::new(&engine).with_defaults("verify_for: 1s, data: restore");
        let apply = controller.run(["apply", "--yes", "--json", service.name()]);
        let run = apply.run_of(&service);
        if has_room {
            assert_eq!(run["state"], "succeeded", "{apply}");
            assert!(before - free() < 550, "{before} MiB were free before, {} after", free());
            controller.run(["rollback", "--yes", service.name()]).expect(0);
        } else {
            assert_eq!(run["state"], "failed", "{apply}");
            assert!(run["reason"].as_str().unwrap().contains("are needed"), "{run:#}");
        }
        assert_eq!(service.answer().unwrap(), "lab-web 1.0\n");
        let size = engine.docker(["exec", service.name(), "stat", "-c", "%s", "/data/big"]);
        assert_eq!(size.trim(), (1100u64 << 20).to_string());
    }
}
