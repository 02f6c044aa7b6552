//! Connections and calls, against a daemon whose every byte is written down here.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod peer;

use std::io::ErrorKind;
use std::sync::mpsc;
use std::time::Duration;

use patchyard_libvirt::calls::{
    AbortFlags, BlockInfo, BlockJob, BlockJobKind, Commit, CommitBase, CommitFlags, DefineFlags, ListFlags,
    ShutdownFlags, SnapshotFlags, StartFlags, StateKind, TimeFlags, UndefineFlags, XmlFlags,
};
use patchyard_libvirt::{Connection, Domain, Environment, LibvirtError, Uri, Uuid};
use peer::{Daemon, ERROR, KEEP_ALIVE, MESSAGE, OK, Peer, QEMU, REMOTE, REPLY, domain, frame, text, words};

fn web() -> Domain {
    Domain { name: "web".to_owned(), uuid: Uuid([7; 16]), id: 3 }
}

#[tokio::test]
async fn a_client_is_let_in_and_asks_for_its_hypervisor() {
    let peer = Peer::new(|mut daemon| {
        daemon.welcome();
        let close = daemon.next().unwrap();
        assert_eq!((close.procedure, close.serial), (2, 3), "serials count up");
        daemon.say(&close.reply(&[]));
        assert_eq!(daemon.next(), None);
    });
    peer.open().await.unwrap().close().await.unwrap();
    peer.end();
}

#[tokio::test]
async fn polkit_is_asked_once_and_its_refusal_says_what_to_do() {
    let peer = Peer::new(|mut daemon| {
        let list = daemon.next().unwrap();
        daemon.say(&list.reply(&words(&[1, 2])));
        let polkit = daemon.next().unwrap();
        assert_eq!(polkit.procedure, 70);
        daemon.say(&polkit.reply(&words(&[1])));
        daemon.opened();
    });
    peer.open().await.unwrap();
    peer.end();

    let peer = Peer::new(|mut daemon| {
        let list = daemon.next().unwrap();
        daemon.say(&list.reply(&words(&[1, 2])));
        let polkit = daemon.next().unwrap();
        daemon.say(&polkit.refuse(94, "no polkit agent available"));
    });
    let Err(LibvirtError::NotPermitted { reason }) = peer.open().await else { panic!("let in") };
    assert!(reason.contains("usermod -aG libvirt") && reason.contains("no polkit agent"), "{reason}");
    peer.end();
}

#[tokio::test]
async fn a_daemon_that_wants_a_password_is_refused() {
    let peer = Peer::new(|mut daemon| {
        let list = daemon.next().unwrap();
        daemon.say(&list.reply(&words(&[1, 1])));
    });
    let Err(LibvirtError::NotPermitted { reason }) = peer.open().await else { panic!("let in") };
    assert!(reason.contains("SASL"), "{reason}");
    peer.end();
}

#[tokio::test]
async fn a_socket_that_is_not_there_or_silent_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| {
        Uri::parse(&format!("qemu:///system?socket={}/{name}", folder.path().display())).unwrap()
    };
    let env = Environment::default();
    let Err(LibvirtError::Unreachable { reason }) = Connection::open(&at("missing"), &env).await else {
        panic!("nobody is there")
    };
    assert!(reason.contains("there is no ") && reason.contains("does the daemon listen"), "{reason}");
    // A socket that somebody left behind.
    drop(std::os::unix::net::UnixListener::bind(folder.path().join("left")).unwrap());
    let Err(LibvirtError::Unreachable { reason }) = Connection::open(&at("left"), &env).await else {
        panic!("nobody is there")
    };
    assert!(reason.contains("nobody listens"), "{reason}");
    // One that hangs up at once.
    let peer = Peer::new(drop);
    assert!(matches!(peer.open().await, Err(LibvirtError::Unreachable { .. })));
    peer.end();
}

/// Lets a client in and answers one call.
fn once(
    procedure: u32,
    arguments: Vec<u8>,
    answer: impl FnOnce(&peer::Call) -> Vec<u8> + Send + 'static,
) -> Peer {
    Peer::new(move |mut daemon| {
        daemon.welcome();
        let call = daemon.next().unwrap();
        assert_eq!((call.program, call.procedure), (REMOTE, procedure));
        assert_eq!(call.payload, arguments);
        let answer = answer(&call);
        daemon.say(&answer);
        daemon.next();
    })
}

#[tokio::test]
async fn domains_are_listed() {
    let answer = [words(&[2]), domain("web", 7, 3), domain("größe", 8, -1), words(&[2])].concat();
    let peer = once(273, words(&[1, 2 + 4]), move |call| call.reply(&answer));
    let domains =
        peer.open().await.unwrap().domains(ListFlags::INACTIVE | ListFlags::PERSISTENT).await.unwrap();
    assert_eq!(domains, [web(), Domain { name: "größe".to_owned(), uuid: Uuid([8; 16]), id: -1 }]);
    peer.end();
}

#[tokio::test]
async fn errors_are_told_apart_by_their_numbers() {
    for (code, expected) in [
        (42, LibvirtError::NoDomain { message: "words".to_owned() }),
        (55, LibvirtError::NotNow { message: "words".to_owned() }),
        (84, LibvirtError::Unsupported { message: "words".to_owned() }),
        (1, LibvirtError::Other { code: 1, part: 10, message: "words".to_owned() }),
    ] {
        let peer = once(23, text("web"), move |call| call.refuse(code, "words"));
        let connection = peer.open().await.unwrap();
        assert_eq!(connection.domain_by_name("web").await, Err(expected));
        drop(connection);
        peer.end();
    }
}

/// Every call has its number, its arguments and its answer as the protocol's description has them.
#[tokio::test]
async fn calls_are_laid_out_as_libvirt_has_them() {
    let script: Vec<(u32, u32, Vec<u8>, Vec<u8>)> = vec![
        (REMOTE, 4, vec![], words(&[0, 7_002_011])),
        (REMOTE, 157, vec![], words(&[0, 9_000_000])),
        (REMOTE, 24, vec![7; 16], domain("web", 7, 3)),
        (REMOTE, 14, [domain("web", 7, 3), words(&[2])].concat(), text("<domain/>")),
        (REMOTE, 212, [domain("web", 7, 3), words(&[0])].concat(), words(&[3, 5])),
        (REMOTE, 196, [domain("web", 7, 3), words(&[1])].concat(), domain("web", 7, 4)),
        (REMOTE, 10, [text("<x/>"), words(&[1 + 2])].concat(), domain("x", 9, 5)),
        (REMOTE, 12, domain("web", 7, 3), vec![]),
        (REMOTE, 258, [domain("web", 7, 3), words(&[2])].concat(), vec![]),
        (REMOTE, 245, [domain("web", 7, 3), words(&[0])].concat(), vec![]),
        (REMOTE, 34, domain("web", 7, 3), vec![]),
        (REMOTE, 28, domain("web", 7, 3), vec![]),
        (REMOTE, 350, [text("<x/>"), words(&[1])].concat(), domain("x", 9, -1)),
        (REMOTE, 231, [domain("web", 7, 3), words(&[8])].concat(), vec![]),
        (
            REMOTE,
            185,
            [domain("web", 7, 3), text("<s/>"), words(&[4 + 16 + 64 + 128])].concat(),
            [text("snap"), domain("web", 7, 3)].concat(),
        ),
        (REMOTE, 290, [domain("web", 7, 3), text("vda"), words(&[0, 0, 0, 0, 1 + 4])].concat(), vec![]),
        (
            REMOTE,
            290,
            [
                domain("web", 7, 3),
                text("vda"),
                words(&[1]),
                text("/base"),
                words(&[1]),
                text("/top"),
                words(&[0, 9, 2]),
            ]
            .concat(),
            vec![],
        ),
        (
            REMOTE,
            238,
            [domain("web", 7, 3), text("vda"), words(&[0])].concat(),
            words(&[1, 4, 0, 0, 0, 64, 1, 0]),
        ),
        (
            REMOTE,
            238,
            [domain("web", 7, 3), text("vda"), words(&[0])].concat(),
            words(&[0, 0, 0, 0, 0, 0, 0, 0]),
        ),
        (REMOTE, 237, [domain("web", 7, 3), text("vda"), words(&[2])].concat(), vec![]),
        (REMOTE, 194, [domain("web", 7, 3), text("vda"), words(&[0])].concat(), words(&[0, 1, 0, 2, 0, 3])),
        (
            QEMU,
            3,
            [domain("web", 7, 3), text("{}"), words(&[7, 0])].concat(),
            [words(&[1]), text("{\"return\":{}}")].concat(),
        ),
        (REMOTE, 335, [domain("web", 7, 3), words(&[1]), text("/srv"), words(&[0])].concat(), words(&[1])),
        (REMOTE, 336, [domain("web", 7, 3), words(&[0, 0])].concat(), words(&[4])),
        (REMOTE, 337, [domain("web", 7, 3), words(&[0])].concat(), words(&[0, 1000, 5])),
        (REMOTE, 338, [domain("web", 7, 3), words(&[0, 1000, 5, 1])].concat(), vec![]),
    ];
    let peer = Peer::new(move |mut daemon| {
        daemon.welcome();
        for (program, procedure, arguments, answer) in script {
            let call = daemon.next().unwrap();
            assert_eq!((call.program, call.procedure), (program, procedure));
            assert_eq!(call.payload, arguments, "arguments of {procedure}");
            daemon.say(&call.reply(&answer));
        }
    });
    let libvirt = peer.open().await.unwrap();
    let web = web();
    assert_eq!(libvirt.hypervisor_version().await.unwrap().to_string(), "7.2.11");
    assert_eq!(libvirt.libvirt_version().await.unwrap().to_string(), "9.0.0");
    assert_eq!(libvirt.domain_by_uuid(Uuid([7; 16])).await.unwrap(), web);
    assert_eq!(libvirt.xml(&web, XmlFlags::INACTIVE).await.unwrap(), "<domain/>");
    let state = libvirt.state(&web).await.unwrap();
    assert_eq!((state.kind, state.is_paused_by_disk_error()), (StateKind::Paused, true));
    assert_eq!(libvirt.start(&web, StartFlags::PAUSED).await.unwrap().id, 4);
    let transient = StartFlags::PAUSED | StartFlags::AUTODESTROY;
    assert_eq!(libvirt.start_transient("<x/>", transient).await.unwrap().id, 5);
    libvirt.destroy(&web).await.unwrap();
    libvirt.shut_down(&web, ShutdownFlags::AGENT).await.unwrap();
    libvirt.reset(&web).await.unwrap();
    libvirt.suspend(&web).await.unwrap();
    libvirt.resume(&web).await.unwrap();
    assert_eq!(libvirt.define("<x/>", DefineFlags::VALIDATE).await.unwrap().id, -1);
    libvirt.undefine(&web, UndefineFlags::KEEP_NVRAM).await.unwrap();
    let quiesced = SnapshotFlags::DISK_ONLY | SnapshotFlags::QUIESCE;
    let quiesced = quiesced | SnapshotFlags::NO_METADATA | SnapshotFlags::ATOMIC;
    assert_eq!(libvirt.snapshot(&web, "<s/>", quiesced).await.unwrap(), "snap");
    let below = Commit { base: CommitBase::Below, top: None, bandwidth: 0, flags: CommitFlags::ACTIVE };
    libvirt.commit(&web, "vda", &below).await.unwrap();
    let between = Commit {
        base: CommitBase::Image("/base"),
        top: Some("/top"),
        bandwidth: 9,
        flags: CommitFlags::DELETE,
    };
    libvirt.commit(&web, "vda", &between).await.unwrap();
    let job = libvirt.block_job(&web, "vda").await.unwrap().unwrap();
    let kind = BlockJobKind::ActiveCommit;
    assert_eq!(job, BlockJob { kind, bandwidth: 0, done: 64, end: 1 << 32 });
    assert!(!job.is_complete());
    assert_eq!(libvirt.block_job(&web, "vda").await.unwrap(), None);
    libvirt.end_block_job(&web, "vda", AbortFlags::PIVOT).await.unwrap();
    let info = libvirt.block_info(&web, "vda").await.unwrap();
    assert_eq!(info, BlockInfo { allocation: 1, capacity: 2, physical: 3 });
    let answer = libvirt.agent_command(&web, "{}", Duration::from_secs(7)).await.unwrap();
    assert_eq!(answer, "{\"return\":{}}");
    assert_eq!(libvirt.freeze(&web, &["/srv"]).await.unwrap(), 1);
    assert_eq!(libvirt.thaw(&web).await.unwrap(), 4);
    assert_eq!(libvirt.time(&web).await.unwrap(), (1000, 5));
    libvirt.set_time(&web, (1000, 5), TimeFlags::SYNC).await.unwrap();
    drop(libvirt);
    peer.end();
}

#[tokio::test]
async fn the_reply_to_a_call_that_was_given_up_is_nobodys() {
    let (gave_up, told) = mpsc::channel();
    let peer = Peer::new(move |mut daemon| {
        daemon.welcome();
        let first = daemon.next().unwrap();
        told.recv().unwrap();
        let second = daemon.next().unwrap();
        assert!(second.serial > first.serial);
        daemon.say(&first.reply(&domain("old", 1, 1)));
        daemon.say(&second.reply(&domain("new", 2, 2)));
        daemon.next();
    });
    let libvirt = peer.open().await.unwrap();
    let given_up = tokio::time::timeout(Duration::from_millis(200), libvirt.domain_by_name("old")).await;
    assert!(given_up.is_err());
    gave_up.send(()).unwrap();
    assert_eq!(libvirt.domain_by_name("new").await.unwrap().name, "new");
    drop(libvirt);
    peer.end();
}

#[tokio::test]
async fn a_call_that_was_half_sent_when_it_was_given_up_is_sent_to_its_end() {
    let (gave_up, told) = mpsc::channel();
    // More than a socket holds, so that it is given up in the middle.
    let name = "x".repeat(3 * 1024 * 1024);
    let long = name.clone();
    let peer = Peer::new(move |mut daemon| {
        daemon.welcome();
        told.recv().unwrap();
        let first = daemon.next().unwrap();
        assert_eq!(first.payload, text(&long));
        let second = daemon.next().unwrap();
        assert_eq!(second.payload, text("web"));
        daemon.say(&first.refuse(42, "no such domain"));
        daemon.say(&second.reply(&domain("web", 7, 3)));
        daemon.next();
    });
    let libvirt = peer.open().await.unwrap();
    let given_up = tokio::time::timeout(Duration::from_millis(200), libvirt.domain_by_name(&name)).await;
    assert!(given_up.is_err());
    gave_up.send(()).unwrap();
    assert_eq!(libvirt.domain_by_name("web").await.unwrap(), web());
    drop(libvirt);
    peer.end();
}

#[tokio::test]
async fn pings_are_answered_and_events_passed_over() {
    let peer = once(23, text("web"), |call| {
        let event = frame(REMOTE, 107, MESSAGE, 0, OK, &[domain("web", 7, 3), words(&[2, 0])].concat());
        let ping = frame(KEEP_ALIVE, 1, MESSAGE, 0, OK, &[]);
        [event, ping, call.reply(&domain("web", 7, 3))].concat()
    });
    let libvirt = peer.open().await.unwrap();
    assert_eq!(libvirt.domain_by_name("web").await.unwrap(), web());
    drop(libvirt);
    peer.end();

    let peer = Peer::new(|mut daemon| {
        daemon.welcome();
        let call = daemon.next().unwrap();
        daemon.say(&frame(KEEP_ALIVE, 1, MESSAGE, 0, OK, &[]));
        let pong = daemon.next().unwrap();
        assert_eq!((pong.program, pong.procedure, pong.kind, pong.serial), (KEEP_ALIVE, 2, MESSAGE, 0));
        assert!(pong.payload.is_empty());
        daemon.say(&call.reply(&domain("web", 7, 3)));
        daemon.next();
    });
    let libvirt = peer.open().await.unwrap();
    libvirt.domain_by_name("web").await.unwrap();
    drop(libvirt);
    peer.end();
}

#[tokio::test]
async fn a_message_may_come_in_any_pieces() {
    let peer = Peer::new(|mut daemon: Daemon| {
        daemon.welcome();
        let call = daemon.next().unwrap();
        for byte in call.reply(&domain("web", 7, 3)) {
            daemon.say(&[byte]);
        }
        // Two at once, the second of them before it is asked for.
        let call = daemon.next().unwrap();
        let event = frame(REMOTE, 107, MESSAGE, 0, OK, &[]);
        daemon.say(&[call.reply(&domain("web", 7, 3)), event].concat());
        let call = daemon.next().unwrap();
        daemon.say(&call.reply(&domain("web", 7, 3)));
        daemon.next();
    });
    let libvirt = peer.open().await.unwrap();
    for _ in 0..3 {
        assert_eq!(libvirt.domain_by_name("web").await.unwrap(), web());
    }
    drop(libvirt);
    peer.end();
}

/// What a daemon may say that ends the connection, and whether it is known then that nothing has happened.
#[tokio::test]
async fn what_is_not_the_protocol_ends_the_connection() {
    type Answer = fn(&peer::Call) -> Vec<u8>;
    let answers: [(&str, Answer); 7] = [
        ("a frame that is too large", |_| words(&[32 * 1024 * 1024 + 5, REMOTE, 1, 23, REPLY, 3, OK])),
        ("a frame that is too small", |_| words(&[27, REMOTE, 1, 23, REPLY, 3, OK])),
        ("an unknown type", |_| frame(REMOTE, 23, 9, 3, OK, &[])),
        ("an unknown status", |_| frame(REMOTE, 23, REPLY, 3, 9, &[])),
        ("another procedure", |_| frame(REMOTE, 24, REPLY, 3, OK, &domain("web", 7, 3))),
        ("a serial of the future", |_| frame(REMOTE, 23, REPLY, 4, OK, &domain("web", 7, 3))),
        ("a call to us", |call| frame(REMOTE, 23, peer::CALL, call.serial, OK, &[])),
    ];
    for (what, answer) in answers {
        let peer = once(23, text("web"), answer);
        let libvirt = peer.open().await.unwrap();
        let first = libvirt.domain_by_name("web").await;
        assert!(matches!(first, Err(LibvirtError::Protocol { .. })), "{what}: {first:?}");
        let second = libvirt.domain_by_name("web").await;
        assert!(matches!(second, Err(LibvirtError::Unreachable { .. })), "{what}: {second:?}");
        drop(libvirt);
        peer.end();
    }
}

#[tokio::test]
async fn a_payload_that_is_none_is_an_error_and_the_connection_goes_on() {
    let peer = Peer::new(|mut daemon| {
        daemon.welcome();
        for payload in
            [vec![], domain("web", 7, 3)[..20].to_vec(), [domain("web", 7, 3), words(&[0])].concat()]
        {
            let call = daemon.next().unwrap();
            daemon.say(&call.reply(&payload));
        }
        let call = daemon.next().unwrap();
        daemon.say(&frame(REMOTE, 23, REPLY, call.serial, ERROR, &[1, 2, 3, 4]));
        let call = daemon.next().unwrap();
        daemon.say(&call.reply(&domain("web", 7, 3)));
        daemon.next();
    });
    let libvirt = peer.open().await.unwrap();
    for _ in 0..4 {
        let answer = libvirt.domain_by_name("web").await;
        assert!(matches!(answer, Err(LibvirtError::Protocol { .. })), "{answer:?}");
    }
    assert_eq!(libvirt.domain_by_name("web").await.unwrap(), web());
    drop(libvirt);
    peer.end();
}

#[tokio::test]
async fn a_daemon_that_hangs_up_leaves_the_effect_unknown() {
    for half in [0, 3, 28, 40] {
        let peer = Peer::new(move |mut daemon| {
            daemon.welcome();
            let call = daemon.next().unwrap();
            daemon.say(&call.reply(&domain("web", 7, 3))[..half]);
        });
        let libvirt = peer.open().await.unwrap();
        let answer = libvirt.destroy(&web()).await;
        assert!(matches!(answer, Err(LibvirtError::Lost { .. })), "{half}: {answer:?}");
        peer.end();
        let later = libvirt.destroy(&web()).await;
        assert!(matches!(later, Err(LibvirtError::Unreachable { .. })), "{half}: {later:?}");
    }
}

#[tokio::test]
async fn what_is_larger_than_libvirt_takes_is_not_sent() {
    let peer = once(23, text("web"), |call| call.reply(&domain("web", 7, 3)));
    let libvirt = peer.open().await.unwrap();
    let answer = libvirt.define(&"x".repeat(4 * 1024 * 1024 + 1), DefineFlags::NONE).await;
    assert!(matches!(answer, Err(LibvirtError::TooLarge { .. })), "{answer:?}");
    assert_eq!(libvirt.domain_by_name("web").await.unwrap(), web());
    drop(libvirt);
    peer.end();
}

#[tokio::test]
async fn many_callers_share_a_connection() {
    let peer = Peer::new(|mut daemon| {
        daemon.welcome();
        while let Some(call) = daemon.next() {
            let name = String::from_utf8(call.payload[4..8].to_vec()).unwrap();
            daemon.say(&call.reply(&domain(&name, 7, 3)));
        }
    });
    let libvirt = peer.open().await.unwrap();
    let one = |name: &'static str| {
        let libvirt = &libvirt;
        async move { libvirt.domain_by_name(name).await.unwrap().name }
    };
    let (a, b, c) = tokio::join!(one("aaaa"), one("bbbb"), one("cccc"));
    assert_eq!([a, b, c], ["aaaa", "bbbb", "cccc"]);
    drop(libvirt);
    peer.end();
}

/// `ssh` is not there, or is something else, on a machine of somebody's: the error says what was seen.
#[tokio::test]
async fn a_host_that_ssh_does_not_know_is_out_of_reach() {
    let has_ssh = match std::process::Command::new("ssh").arg("-V").output() {
        Ok(_) => true,
        Err(error) => error.kind() != ErrorKind::NotFound,
    };
    let uri = Uri::parse("qemu+ssh://patchyard-no-such-host.invalid/system").unwrap();
    let answer = Connection::open(&uri, &Environment::default()).await;
    let Err(LibvirtError::Unreachable { reason }) = answer else { panic!("{answer:?}") };
    let words = if has_ssh { "patchyard-no-such-host.invalid" } else { "openssh-client" };
    assert!(reason.contains(words), "{reason}");
}
