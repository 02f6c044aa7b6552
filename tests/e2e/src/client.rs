//! A client of the services: asks over TCP like anybody else, and remembers every answer it missed.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::Timestamp;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Requests a second, where nothing else is asked for.
const RATE: u32 = 50;

/// No client asks more often than this: a test that hangs must not ask for ever.
const AT_MOST: usize = 200_000;

/// Asks a port of this machine for a path over HTTP: the status and the body.
///
/// # Errors
/// What went wrong, in words.
pub fn get(port: u16, path: &str) -> Result<(u16, String), String> {
    get_from(SocketAddr::from(([127, 0, 0, 1], port)), path)
}

/// The same of any address.
///
/// # Errors
/// What went wrong, in words.
pub fn get_from(address: SocketAddr, path: &str) -> Result<(u16, String), String> {
    let ask = || -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes(),
        )?;
        let mut answer = Vec::new();
        stream.take(1 << 20).read_to_end(&mut answer)?;
        Ok(answer)
    };
    let answer = ask().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&answer);
    let (head, body) = text.split_once("\r\n\r\n").ok_or("the answer broke off")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or("not HTTP")?;
    Ok((status, body.to_owned()))
}

/// A request without a good answer.
#[derive(Debug, Clone)]
pub struct Failed {
    /// When it was sent.
    pub at: Timestamp,
    /// When it was given up or answered badly.
    pub until: Timestamp,
    /// What came instead.
    pub why: String,
}

/// What a client saw.
#[derive(Debug, Clone, Default)]
pub struct PollLog {
    /// How many requests it sent.
    pub requests: usize,
    /// Those without a good answer, in the order in which they were sent.
    pub failed: Vec<Failed>,
}

impl PollLog {
    /// Makes sure that the service answered, and that it did not only between two moments.
    ///
    /// # Panics
    /// When an answer was missing at another time.
    pub fn failed_only_between(&self, from: Timestamp, to: Timestamp) {
        assert!(self.requests > self.failed.len(), "it never answered: {self:?}");
        for failed in &self.failed {
            // One that was under way when the service stopped was sent before.
            assert!(failed.until >= from && failed.at <= to, "not between {from} and {to}: {failed:?}");
        }
    }
}

/// A client that asks so many times a second until it is stopped, each time on a connection of its own.
pub struct Poller {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<PollLog>,
}

impl Poller {
    /// Starts asking for `/`, 50 times a second.
    #[must_use]
    pub fn start(port: u16) -> Self {
        Self::at_rate(port, RATE)
    }

    /// The same at another rate.
    #[must_use]
    pub fn at_rate(port: u16, per_second: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let every = Duration::from_secs(1) / per_second;
        Self { stop, thread: std::thread::spawn(move || poll(port, every, &stopped)) }
    }

    /// Stops asking and tells what it saw.
    ///
    /// # Panics
    /// When the client itself broke.
    #[must_use]
    pub fn finish(self) -> PollLog {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the client does not break")
    }
}

/// A slow answer must not delay the next question: each has a thread.
fn poll(port: u16, every: Duration, stop: &AtomicBool) -> PollLog {
    let log = Mutex::new(PollLog::default());
    std::thread::scope(|scope| {
        let mut next = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            let mut so_far = log.lock().unwrap();
            so_far.requests += 1;
            assert!(so_far.requests < AT_MOST, "nobody stops this client");
            drop(so_far);
            scope.spawn(|| {
                let at = Timestamp::now();
                let why = match get(port, "/") {
                    Ok((200, _)) => return,
                    Ok((status, body)) => format!("{status}: {}", body.trim_end()),
                    Err(error) => error,
                };
                log.lock().unwrap().failed.push(Failed { at, until: Timestamp::now(), why });
            });
            next += every;
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    });
    let mut log = log.into_inner().unwrap();
    log.failed.sort_by_key(|failed| failed.at);
    log
}
