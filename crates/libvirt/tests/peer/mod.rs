//! The other end of a connection: what a daemon says, byte by byte, written down from the protocol's
//! description and not by the code under test.

#![allow(dead_code, reason = "each test uses its part of it")]

pub mod agent;

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread::JoinHandle;

use patchyard_libvirt::{Connection, Environment, LibvirtError, Uri};

pub const REMOTE: u32 = 0x2000_8086;
pub const QEMU: u32 = 0x2000_8087;
pub const KEEP_ALIVE: u32 = 0x6b65_6570;
/// Types of messages.
pub const CALL: u32 = 0;
pub const REPLY: u32 = 1;
pub const MESSAGE: u32 = 2;
/// Statuses of messages.
pub const OK: u32 = 0;
pub const ERROR: u32 = 1;

pub fn words(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

/// A string: its length, its bytes, zeros up to a multiple of four.
pub fn text(text: &str) -> Vec<u8> {
    let mut bytes = words(&[u32::try_from(text.len()).unwrap()]);
    bytes.extend_from_slice(text.as_bytes());
    bytes.resize(bytes.len().div_ceil(4) * 4, 0);
    bytes
}

pub fn frame(program: u32, procedure: u32, kind: u32, serial: u32, status: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(28 + payload.len()).unwrap();
    [words(&[length, program, 1, procedure, kind, serial, status]).as_slice(), payload].concat()
}

/// The payload of an error: code, part, a message that is there, level, no domain, no further words, two
/// numbers, no network.
pub fn error(code: u32, message: &str) -> Vec<u8> {
    [words(&[code, 10, 1]), text(message), words(&[2, 0, 0, 0, 0, u32::MAX, u32::MAX, 0])].concat()
}

pub fn domain(name: &str, uuid: u8, id: i32) -> Vec<u8> {
    [text(name), vec![uuid; 16], id.to_be_bytes().to_vec()].concat()
}

/// A call as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub program: u32,
    pub procedure: u32,
    pub kind: u32,
    pub serial: u32,
    pub payload: Vec<u8>,
}

impl Call {
    pub fn reply(&self, payload: &[u8]) -> Vec<u8> {
        frame(self.program, self.procedure, REPLY, self.serial, OK, payload)
    }

    pub fn refuse(&self, code: u32, message: &str) -> Vec<u8> {
        frame(self.program, self.procedure, REPLY, self.serial, ERROR, &error(code, message))
    }
}

/// A daemon with one client.
pub struct Daemon {
    stream: UnixStream,
}

impl Daemon {
    /// The next call; `None` when the client has hung up.
    pub fn next(&mut self) -> Option<Call> {
        let mut head = [0; 28];
        self.stream.read_exact(&mut head).ok()?;
        let word = |at: usize| u32::from_be_bytes(head[at * 4..at * 4 + 4].try_into().unwrap());
        assert_eq!((word(2), word(6)), (1, OK), "version and status of a call");
        let mut payload = vec![0; word(0) as usize - 28];
        self.stream.read_exact(&mut payload).ok()?;
        Some(Call { program: word(1), procedure: word(3), kind: word(4), serial: word(5), payload })
    }

    pub fn say(&mut self, bytes: &[u8]) {
        // Who hung up hears nothing more.
        let _ = self.stream.write_all(bytes);
    }

    /// Lets the client in, as a daemon without authentication does.
    pub fn welcome(&mut self) {
        let list = self.next().unwrap();
        assert_eq!((list.program, list.procedure, list.kind), (REMOTE, 66, CALL));
        assert!(list.payload.is_empty());
        self.say(&list.reply(&words(&[1, 0])));
        self.opened();
    }

    /// The client asks for its hypervisor and gets it.
    pub fn opened(&mut self) {
        let open = self.next().unwrap();
        assert_eq!((open.program, open.procedure), (REMOTE, 1));
        assert_eq!(open.payload, [words(&[1]), text("qemu:///system"), words(&[0])].concat());
        self.say(&open.reply(&[]));
    }
}

/// A socket with a daemon behind it, that does as it is told.
pub struct Peer {
    pub uri: Uri,
    folder: tempfile::TempDir,
    thread: JoinHandle<()>,
}

impl Peer {
    pub fn new(serve: impl FnOnce(Daemon) + Send + 'static) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let uri = Uri::parse(&format!("qemu+unix:///system?socket={}", socket.display())).unwrap();
        let thread = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            serve(Daemon { stream });
        });
        Self { uri, folder, thread }
    }

    pub async fn open(&self) -> Result<Connection, LibvirtError> {
        Connection::open(&self.uri, &Environment::default()).await
    }

    /// What the daemon found wrong is the test's failure.
    pub fn end(self) {
        self.thread.join().unwrap();
        self.folder.close().unwrap();
    }
}
