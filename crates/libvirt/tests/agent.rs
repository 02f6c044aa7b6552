//! Programs by a guest agent. The guest is this machine: libvirt and the agent are played, what they start is
//! real.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod peer;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use patchyard_contract::suite::transport::Fixture;
use patchyard_contract::{Command, Transport, TransportError};
use patchyard_libvirt::{Agent, AgentTransport, Domain, LibvirtError, Uuid};
use peer::agent::{Seen, answer, command, refuse, serve};
use peer::{Daemon, Peer};
use serde_json::json;

/// What libvirt says when a domain has had another job for half a minute.
const TAKEN: &str = "Timed out during operation: cannot acquire state change lock (held by agent=remoteDispatchDomainAgentCommand)";

fn web() -> Domain {
    Domain { name: "web".to_owned(), uuid: Uuid([7; 16]), id: 3 }
}

struct Machine {
    peer: Peer,
    seen: Seen,
}

impl Machine {
    fn new() -> Self {
        let seen = Seen::default();
        let theirs = seen.clone();
        Self { peer: Peer::new(move |daemon| serve(daemon, &theirs)), seen }
    }

    async fn agent(&self) -> Agent {
        agent(&self.peer).await
    }

    async fn transport(&self) -> AgentTransport {
        AgentTransport::new(self.agent().await, "shop")
    }

    /// The folders that were used in the guest, and are there still.
    fn left(&self) -> Vec<String> {
        let folders = self.seen.files().into_iter().map(|file| file.rsplit_once('/').unwrap().0.to_owned());
        folders.filter(|folder| Path::new(folder).exists()).collect()
    }
}

async fn agent(peer: &Peer) -> Agent {
    Agent::new(Arc::new(peer.open().await.unwrap()), web())
}

impl Fixture for Machine {
    fn open(&self) -> Arc<dyn Transport> {
        let transport = async { self.transport().await };
        Arc::new(tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(transport)))
    }
}

mod suite {
    patchyard_contract::transport_suite!(super::Machine::new());
}

#[tokio::test]
async fn large_input_goes_by_a_file_that_is_removed() {
    let machine = Machine::new();
    let transport = machine.transport().await;
    let bytes: Vec<u8> = (0..3_000_001_u32).map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[2]).collect();
    let output = transport.run(Command::new(["sha256sum"]).stdin(bytes.clone())).await.unwrap();
    assert!(output.success());
    let output = transport.run(Command::new(["cat"]).stdin(bytes.clone())).await.unwrap();
    assert!(output.stdout == bytes, "{} bytes came back", output.stdout.len());
    assert!(machine.seen.files().iter().any(|file| file.ends_with("/in")));
    assert!(machine.left().is_empty(), "{:?}", machine.left());
}

#[tokio::test]
async fn large_output_comes_in_small_answers() {
    let machine = Machine::new();
    let transport = machine.transport().await;
    let script = "head -c 6000000 /dev/zero | tr '\\0' '\\001'; echo done >&2; exit 3";
    let output = transport.run(Command::new(["sh", "-c", script])).await.unwrap();
    assert_eq!((output.code, output.stdout.len(), output.stderr.as_slice()), (3, 6_000_000, &b"done\n"[..]));
    assert!(output.stdout.iter().all(|byte| *byte == 1));
    assert!(machine.seen.largest() < 2 * 1024 * 1024, "{}", machine.seen.largest());
    assert!(machine.left().is_empty(), "{:?}", machine.left());
}

#[tokio::test]
async fn the_limit_of_output_is_exact_however_it_comes() {
    let machine = Machine::new();
    let transport = machine.transport().await;
    // Below, at and above what the script hands on at once.
    for most in [1000_usize, 1024 * 1024 - 1, 1024 * 1024, 1024 * 1024 + 1, 2_000_000] {
        let print = |bytes: usize| Command::new(["head", "-c", &bytes.to_string(), "/dev/zero"]).most(most);
        assert_eq!(transport.run(print(most)).await.unwrap().stdout.len(), most);
        let answer = transport.run(print(most + 1)).await;
        assert!(matches!(answer, Err(TransportError::TooMuch { limit, .. }) if limit == most), "{most}");
    }
    let endless = transport.run(Command::new(["yes"]).most(3_000_000)).await;
    assert!(matches!(endless, Err(TransportError::TooMuch { .. })), "{endless:?}");
    assert!(machine.left().is_empty(), "{:?}", machine.left());
    let left: Vec<_> = std::fs::read_dir("/var/tmp")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
        .filter(|name| name.starts_with(&format!("patchyard-{}-", std::process::id())))
        .collect();
    // Other tests are at work: theirs are gone in the end as well.
    for folder in left {
        for _ in 0..300 {
            if !Path::new("/var/tmp").join(&folder).exists() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        assert!(!Path::new("/var/tmp").join(&folder).exists(), "{folder}");
    }
}

#[tokio::test]
async fn complaints_are_the_programs_own_and_only_these() {
    let machine = Machine::new();
    let transport = machine.transport().await;
    let forged = "printf '\\npatchyard-ended code 0\\n' >&2; exit 5";
    let output = transport.run(Command::new(["sh", "-c", forged])).await.unwrap();
    assert_eq!((output.code, output.stderr.as_slice()), (5, &b"\npatchyard-ended code 0\n"[..]));
    let killed = transport.run(Command::new(["sh", "-c", "kill -9 $$"])).await.unwrap();
    assert_eq!(killed.code, 128 + 9);
}

#[tokio::test]
async fn files_are_written_and_read_in_pieces() {
    let machine = Machine::new();
    let agent = machine.agent().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f");
    let path = path.to_str().unwrap();
    for length in [0, 1, 1024 * 1024, 2 * 1024 * 1024 + 5] {
        let bytes: Vec<u8> = (0..length).map(|n: usize| n.to_le_bytes()[1]).collect();
        agent.write_file(path, &bytes).await.unwrap();
        assert!(std::fs::read(path).unwrap() == bytes);
        assert!(agent.read_file(path, length).await.unwrap() == bytes);
        if length > 0 {
            assert!(matches!(agent.read_file(path, length - 1).await, Err(LibvirtError::Protocol { .. })));
        }
    }
    let missing = agent.read_file("/patchyard/no/such/file", 10).await;
    assert!(matches!(missing, Err(LibvirtError::AgentRefused { .. })), "{missing:?}");
    agent.ping().await.unwrap();
}

#[tokio::test]
async fn what_an_agent_is_and_may_is_told() {
    let peer = Peer::new(|mut daemon| {
        daemon.welcome();
        let call = daemon.next().unwrap();
        assert_eq!(command(&call), json!({"execute": "guest-info"}));
        let commands = json!([
            {"name": "guest-exec", "enabled": false, "success-response": true},
            {"name": "guest-ping", "enabled": true, "success-response": true},
            {"name": 7},
        ]);
        daemon.say(&answer(&call, &json!({"version": "7.2.11", "supported_commands": commands})));
    });
    let info = agent(&peer).await.info().await.unwrap();
    assert_eq!(info.version, "7.2.11");
    let commands = [("guest-exec".to_owned(), false), ("guest-ping".to_owned(), true)];
    assert_eq!(info.commands, commands.into());
    peer.end();
}

/// What libvirt says when there is no way in, and what is told of it.
#[tokio::test]
async fn an_agent_that_does_not_answer_says_what_to_do() {
    type Answer = fn(&peer::Call) -> Vec<u8>;
    let answers: [(Answer, &str); 8] = [
        (|call| call.refuse(86, "QEMU guest agent is not connected"), "systemctl status qemu-guest-agent"),
        (|call| call.refuse(112, "guest agent command timed out"), "systemctl status qemu-guest-agent"),
        (|call| call.refuse(74, "QEMU guest agent is not configured"), "org.qemu.guest_agent.0"),
        (|call| refuse(call, "Command guest-exec has been disabled"), "block-rpcs"),
        (|call| refuse(call, "The command guest-exec has not been found"), "block-rpcs"),
        (
            |call| refuse(call, "Command guest-exec has been disabled: the agent is in frozen state"),
            "domfsthaw",
        ),
        (|call| call.refuse(55, "domain is not running"), "domain is not running"),
        (|call| call.refuse(42, "Domain not found"), "Domain not found"),
    ];
    for (answer, words) in answers {
        let peer = Peer::new(move |mut daemon: Daemon| {
            daemon.welcome();
            let call = daemon.next().unwrap();
            daemon.say(&answer(&call));
        });
        let transport = AgentTransport::new(agent(&peer).await, "shop");
        let answer = transport.run(Command::new(["true"])).await;
        let Err(TransportError::Unreachable { host, reason }) = answer else { panic!("{answer:?}") };
        assert_eq!(host, "shop");
        assert!(reason.contains(words), "{reason}");
        peer.end();
    }
}

#[tokio::test]
async fn an_agent_that_was_started_anew_has_lost_the_program() {
    let peer = Peer::new(|mut daemon| {
        daemon.welcome();
        let exec = daemon.next().unwrap();
        daemon.say(&answer(&exec, &json!({"pid": 7})));
        let status = daemon.next().unwrap();
        assert_eq!(command(&status)["arguments"], json!({"pid": 7}));
        daemon.say(&refuse(&status, "Invalid parameter 'pid'"));
        while daemon.next().is_some() {}
    });
    let transport = AgentTransport::new(agent(&peer).await, "shop");
    let answer = transport.run(Command::new(["true"])).await;
    let Err(TransportError::Unreachable { reason, .. }) = answer else { panic!("{answer:?}") };
    assert!(reason.contains("Invalid parameter 'pid'"), "{reason}");
    drop(transport);
    peer.end();
}

#[tokio::test]
async fn an_agent_that_is_silent_for_a_moment_is_asked_again() {
    let peer = Peer::new(|mut daemon| {
        daemon.welcome();
        let exec = daemon.next().unwrap();
        daemon.say(&exec.refuse(86, "Guest agent not available for now"));
        let again = daemon.next().unwrap();
        assert_eq!(command(&again), command(&exec));
        let exec = again;
        daemon.say(&answer(&exec, &json!({"pid": 7})));
        let status = daemon.next().unwrap();
        daemon.say(&status.refuse(86, "Guest agent not available for now"));
        let status = daemon.next().unwrap();
        let ended = "G3BhdGNoeWFyZA=="; // bytes that are no ending of the script's
        daemon.say(&answer(&status, &json!({"exited": true, "exitcode": 0, "err-data": ended})));
        // The folder, which there may be, is removed.
        let clear = daemon.next().unwrap();
        assert_eq!(command(&clear)["arguments"]["path"], json!("rm"));
        daemon.say(&refuse(&clear, "no"));
    });
    let transport = AgentTransport::new(agent(&peer).await, "shop");
    let answer = transport.run(Command::new(["true"])).await;
    let Err(TransportError::Unreachable { reason, .. }) = answer else { panic!("{answer:?}") };
    assert!(reason.contains("ended there from outside"), "{reason}");
    drop(transport);
    peer.end();
}

#[tokio::test]
async fn an_agent_that_is_taken_by_others_is_asked_again() {
    let peer = Peer::new(|mut daemon| {
        daemon.welcome();
        let first = daemon.next().unwrap();
        daemon.say(&first.refuse(68, TAKEN));
        // Whoever was first stays first.
        let again = daemon.next().unwrap();
        assert_eq!(command(&again), command(&first));
        daemon.say(&answer(&again, &json!({})));
        let second = daemon.next().unwrap();
        assert_eq!(command(&second), json!({"execute": "guest-info"}));
        daemon.say(&answer(&second, &json!({"version": "7.2.11", "supported_commands": []})));
    });
    let agent = agent(&peer).await;
    let other = agent.clone();
    let (pinged, told) = tokio::join!(agent.ping(), other.info());
    pinged.unwrap();
    assert_eq!(told.unwrap().version, "7.2.11");
    peer.end();
}

#[tokio::test]
async fn whoever_gives_up_on_an_agent_is_told_who_has_it() {
    let peer = Peer::new(|mut daemon| {
        daemon.welcome();
        while let Some(call) = daemon.next() {
            daemon.say(&call.refuse(68, TAKEN));
        }
    });
    let transport = AgentTransport::new(agent(&peer).await, "shop");
    let answer = transport.run(Command::new(["true"]).limit(Duration::from_secs(1))).await;
    let Err(TransportError::Unreachable { reason, .. }) = answer else { panic!("{answer:?}") };
    assert!(reason.contains("somebody else is at work on its domain"), "{reason}");
    drop(transport);
    peer.end();
}

#[tokio::test]
async fn output_that_the_agent_has_cut_is_too_much() {
    let peer = Peer::new(|mut daemon| {
        daemon.welcome();
        let exec = daemon.next().unwrap();
        let fields = &command(&exec)["arguments"];
        assert_eq!((&fields["path"], &fields["capture-output"]), (&json!("/bin/sh"), &json!(true)));
        assert!(fields["input-data"].is_string() && fields["env"].is_null(), "{fields}");
        daemon.say(&answer(&exec, &json!({"pid": 7})));
        let status = daemon.next().unwrap();
        let cut = json!({"exited": true, "exitcode": 0, "out-data": "eHh4", "out-truncated": true});
        daemon.say(&answer(&status, &cut));
    });
    let transport = AgentTransport::new(agent(&peer).await, "shop");
    let answer = transport.run(Command::new(["cat"]).stdin("x")).await;
    assert!(matches!(answer, Err(TransportError::TooMuch { .. })), "{answer:?}");
    peer.end();
}

#[tokio::test]
async fn arguments_that_libvirt_does_not_pass_on_are_no_command() {
    let machine = Machine::new();
    let transport = machine.transport().await;
    for length in [128 * 1024, 5 * 1024 * 1024] {
        let answer = transport.run(Command::new(["echo".to_owned(), "x".repeat(length)])).await;
        assert!(matches!(answer, Err(TransportError::Invalid { .. })), "{answer:?}");
    }
    let long = Command::new(["echo".to_owned(), "x".repeat(64 * 1024)]).stdin("y".repeat(32 * 1024));
    assert_eq!(transport.run(long).await.unwrap().stdout.len(), 64 * 1024 + 1);
}
