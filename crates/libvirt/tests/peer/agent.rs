//! A guest agent whose guest is this machine: its commands and their fields are those of
//! `qga/qapi-schema.json`, its limits are those of libvirt, which hands its answers on.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Call, Daemon, QEMU, text, words};

/// What libvirt hands on at most, in bytes.
const MOST: usize = 4 * 1024 * 1024;
/// What a socket takes at once, in bytes: libvirt garbles a command that is longer.
const SOCKET: usize = 208 * 1024;

/// What was seen of an agent's work.
#[derive(Debug, Clone, Default)]
pub struct Seen(Arc<Mutex<Work>>);

#[derive(Debug, Default)]
struct Work {
    files: Vec<String>,
    largest: usize,
}

impl Seen {
    /// The files that were opened.
    pub fn files(&self) -> Vec<String> {
        self.0.lock().unwrap().files.clone()
    }

    /// The largest answer, in bytes.
    pub fn largest(&self) -> usize {
        self.0.lock().unwrap().largest
    }
}

/// An agent's command, out of libvirt's call.
pub fn command(call: &Call) -> Value {
    assert_eq!((call.program, call.procedure), (QEMU, 3));
    let length = |at: usize| u32::from_be_bytes(call.payload[at..at + 4].try_into().unwrap()) as usize;
    // Behind the domain: its name, 16 bytes, a number.
    let at = 4 + length(0).div_ceil(4) * 4 + 16 + 4;
    serde_json::from_slice(&call.payload[at + 4..at + 4 + length(at)]).unwrap()
}

/// The answer to an agent's command, as libvirt hands it on.
pub fn answer(call: &Call, value: &Value) -> Vec<u8> {
    let answer = json!({"return": value}).to_string();
    match answer.len() > MOST {
        true => call.refuse(39, "Unable to encode message payload"),
        false => call.reply(&[words(&[1]), text(&answer)].concat()),
    }
}

/// An agent's error, as libvirt tells it.
pub fn refuse(call: &Call, why: &str) -> Vec<u8> {
    call.refuse(1, &format!("internal error: unable to execute QEMU agent command: {why}"))
}

#[derive(Default)]
struct Agent {
    programs: HashMap<i64, Receiver<Output>>,
    files: HashMap<i64, File>,
    number: i64,
}

/// Serves an agent until the client hangs up.
pub fn serve(mut daemon: Daemon, seen: &Seen) {
    daemon.welcome();
    let mut agent = Agent::default();
    while let Some(call) = daemon.next() {
        assert!(call.payload.len() < SOCKET, "{} bytes", call.payload.len());
        let reply = match agent.does(&command(&call), seen) {
            Ok(value) => answer(&call, &value),
            Err(why) => refuse(&call, &why),
        };
        let mut work = seen.0.lock().unwrap();
        work.largest = work.largest.max(reply.len());
        drop(work);
        daemon.say(&reply);
    }
}

impl Agent {
    fn does(&mut self, command: &Value, seen: &Seen) -> Result<Value, String> {
        let fields = &command["arguments"];
        let handle = || fields["handle"].as_i64().unwrap();
        match command["execute"].as_str().unwrap() {
            "guest-ping" => Ok(json!({})),
            "guest-exec" => self.exec(fields),
            "guest-exec-status" => self.status(fields["pid"].as_i64().unwrap()),
            "guest-file-open" => {
                let path = fields["path"].as_str().unwrap();
                seen.0.lock().unwrap().files.push(path.to_owned());
                let file = match fields["mode"].as_str().unwrap() {
                    "r" => File::open(path),
                    _ => File::create(path),
                };
                self.number += 1;
                self.files.insert(self.number, file.map_err(|error| error.to_string())?);
                Ok(json!(self.number))
            }
            "guest-file-read" => {
                let mut bytes = Vec::new();
                let count = fields["count"].as_u64().unwrap();
                let file = self.files.get_mut(&handle()).ok_or("no such handle")?;
                file.take(count).read_to_end(&mut bytes).unwrap();
                // As the agent does: the end shows when less comes than was asked for.
                let eof = (bytes.len() as u64) < count;
                Ok(json!({"count": bytes.len(), "buf-b64": STANDARD.encode(&bytes), "eof": eof}))
            }
            "guest-file-write" => {
                let bytes = STANDARD.decode(fields["buf-b64"].as_str().unwrap()).unwrap();
                let file = self.files.get_mut(&handle()).ok_or("no such handle")?;
                // An agent may write less than it was given.
                let written = bytes.len().min(50_001);
                file.write_all(&bytes[..written]).unwrap();
                Ok(json!({"count": written, "eof": false}))
            }
            "guest-file-close" => {
                self.files.remove(&handle()).ok_or("no such handle")?;
                Ok(json!({}))
            }
            other => Err(format!("The command {other} has not been found")),
        }
    }

    fn exec(&mut self, fields: &Value) -> Result<Value, String> {
        let arguments = fields["arg"].as_array().unwrap().iter().map(|argument| argument.as_str().unwrap());
        let input = fields["input-data"].as_str().map(|input| STANDARD.decode(input).unwrap());
        let piped = |wanted: bool| if wanted { Stdio::piped() } else { Stdio::null() };
        let captured = fields["capture-output"].as_bool().unwrap();
        let mut child = Command::new(fields["path"].as_str().unwrap())
            .args(arguments)
            // That of a service.
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .stdin(piped(input.is_some()))
            .stdout(piped(captured))
            .stderr(piped(captured))
            .spawn()
            .map_err(|error| format!("Failed to execute child process: {error}"))?;
        let stdin = child.stdin.take();
        if let (Some(mut stdin), Some(input)) = (stdin, input) {
            std::thread::spawn(move || stdin.write_all(&input));
        }
        let (tell, told) = channel();
        std::thread::spawn(move || tell.send(child.wait_with_output().unwrap()));
        self.number += 1;
        self.programs.insert(self.number, told);
        Ok(json!({"pid": self.number}))
    }

    fn status(&mut self, pid: i64) -> Result<Value, String> {
        let told = self.programs.get(&pid).ok_or("Invalid parameter 'pid'")?;
        let ended = match told.try_recv() {
            Err(TryRecvError::Empty) => return Ok(json!({"exited": false})),
            ended => ended.map_err(|error| error.to_string())?,
        };
        self.programs.remove(&pid);
        let mut status = json!({"exited": true});
        if let Some(code) = ended.status.code() {
            status["exitcode"] = json!(code);
        }
        if let Some(signal) = ended.status.signal() {
            status["signal"] = json!(signal);
        }
        for (name, bytes) in [("out-data", ended.stdout), ("err-data", ended.stderr)] {
            if !bytes.is_empty() {
                status[name] = json!(STANDARD.encode(bytes));
            }
        }
        Ok(status)
    }
}
