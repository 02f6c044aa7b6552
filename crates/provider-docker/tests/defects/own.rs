//! The container that the tool itself runs in.

use std::path::Path;
use std::process::{Command, Output};

use patchyard_contract::Provider;

use crate::naive;
use crate::yard::{IMAGE, RealYard, provider};

/// What the container that runs this very program is told to do.
const WAY: &str = "PATCHYARD_TEST_WAY";

fn docker(args: &[&str]) -> Output {
    Command::new("docker").args(args).output().unwrap()
}

/// Runs this program in a container, and returns what it printed.
fn in_a_container(name: &str, way: &str) -> String {
    let program = std::env::current_exe().unwrap();
    let host = std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned());
    let socket = host.strip_prefix("unix://").expect("the engine is on this machine");
    let [program, socket] = [(program.to_str().unwrap(), "/program"), (socket, "/var/run/docker.sock")]
        .map(|(from, to)| format!("{from}:{to}"));
    let way = format!("{WAY}={way}");
    let ran = docker(&[
        "run",
        "--name",
        name,
        "-v",
        &program,
        "-v",
        &socket,
        "-e",
        &way,
        IMAGE,
        "/program",
        "--ignored",
        "--exact",
        "own::from_within",
        "--nocapture",
    ]);
    format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr))
}

#[tokio::test]
async fn patchyard_does_not_replace_the_container_it_runs_in() {
    let yard = RealYard::with(|_, _| {}).await;
    // Names that go with the yard.
    let [naive, ours] = ["naive", "ours"].map(|way| format!("{}-{way}", yard.name));
    let printed = in_a_container(&naive, "naive");
    // The engine may still be at it when the program ends with its container.
    for _ in 0..100 {
        if yard.inspect(&naive).await.is_null() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert!(yard.inspect(&naive).await.is_null(), "it ended itself half way: {printed}");

    let printed = in_a_container(&ours, "ours");
    assert!(printed.contains("refused: own_container"), "{printed}");
    let kept = yard.inspect(&ours).await;
    assert_eq!(kept["State"]["ExitCode"], 0, "{printed}");
}

#[tokio::test]
#[ignore = "run by the test above, in a container"]
async fn from_within() {
    assert!(Path::new("/.dockerenv").exists());
    let hostname = std::fs::read_to_string("/etc/hostname").unwrap();
    let state = tempfile::tempdir().unwrap();
    let provider = provider("within00", state.path()).await;
    match std::env::var(WAY).unwrap().as_str() {
        "naive" => {
            naive::recreate(provider.client(), hostname.trim(), IMAGE, naive::From::Differing).await.unwrap()
        }
        _ => {
            let found = provider.discover().await.unwrap();
            let own = found.iter().find(|target| target.object.starts_with(hostname.trim())).unwrap();
            for refusal in &own.refusals {
                println!("refused: {}", refusal.code);
            }
        }
    }
}
