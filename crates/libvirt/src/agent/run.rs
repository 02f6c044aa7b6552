//! A program in a guest, run to its end, however much it reads and prints.
//!
//! The agent keeps what a program prints until it is asked, and libvirt hands on no more than 4 MiB of it;
//! what is larger is lost, and what is much larger costs the domain its agent. So a script of ours stands
//! around the program (`run.sh`): it hands on the first MiB of the output and keeps the rest in a file, which
//! is read in pieces.

use std::time::{Duration, Instant};

use super::{Agent, Exec, Exit};
use crate::LibvirtError;
use crate::calls::MOST_ASKED;

const RUN: &str = include_str!("run.sh");
/// What the last line of complaints begins with: it is the script's.
const ENDED: &[u8] = b"\npatchyard-ended ";
/// How much of the output the script hands on at once, in bytes: `bs` times `count` there.
const AT_ONCE: usize = 16 * 65536;
/// The longest input that goes along with the command, in bytes. In base64 it is a third of what may be asked:
/// the rest is for arguments.
pub(super) const DIRECT: usize = MOST_ASKED / 4;
/// How long after its start it is first asked whether a program has ended; then less and less often.
const FIRST_LOOK: Duration = Duration::from_millis(10);
/// The longest between two such looks.
const LAST_LOOK: Duration = Duration::from_millis(500);

/// What became of a program.
pub(super) enum Ran {
    /// It ended.
    Ended {
        /// Its exit code.
        code: i32,
        /// All of its output.
        stdout: Vec<u8>,
        /// The end of its complaints.
        stderr: Vec<u8>,
        /// How long it ran, by this side's clock.
        took: Duration,
    },
    /// It printed more than it may, and was ended or its output thrown away.
    TooMuch,
    /// It printed more than the agent hands on, and the machine could not keep it.
    NoRoom,
    /// Something ended the script around it. What it did is not known.
    Lost,
}

impl Agent {
    /// Runs a program through the script.
    ///
    /// `folder` is a path that nobody else uses; `leaves` is set when something may have been left there.
    pub(super) async fn run(
        &self,
        argv: &[String],
        input: Input<'_>,
        most: usize,
        folder: &str,
        leaves: &mut bool,
    ) -> Result<Ran, LibvirtError> {
        // One byte more shows that there is more.
        let rest = most.saturating_add(1).saturating_sub(AT_ONCE).max(1);
        let (mode, input) = match input {
            Input::Direct(bytes) => ("none", bytes),
            Input::InFolder => ("in", &[][..]),
        };
        let script = ["-c", RUN, "sh", folder, &rest.to_string(), mode].map(str::to_owned);
        let arguments: Vec<String> = script.into_iter().chain(argv.iter().cloned()).collect();
        let exec = Exec { path: "/bin/sh", arguments: &arguments, environment: &[], input, capture: true };
        let began = Instant::now();
        let exit = self.wait(self.exec(&exec).await?).await?;
        let took = began.elapsed();
        if exit.truncated {
            return Ok(Ran::TooMuch);
        }
        // Whatever became of the script, it may have made the folder.
        let Some(Ending { code, stderr, kept }) = ending(&exit) else {
            *leaves = true;
            return Ok(Ran::Lost);
        };
        *leaves |= kept != Kept::Nothing;
        let mut stdout = exit.stdout;
        match kept {
            Kept::Nothing => {}
            Kept::Lost => return Ok(Ran::NoRoom),
            Kept::Bytes(more) => {
                if stdout.len().saturating_add(more) > most {
                    return Ok(Ran::TooMuch);
                }
                stdout.extend(self.read_file(&format!("{folder}/out"), more).await?);
            }
        }
        if stdout.len() > most {
            return Ok(Ran::TooMuch);
        }
        Ok(Ran::Ended { code, stdout, stderr, took })
    }

    /// Waits until a program has ended.
    pub(super) async fn wait(&self, pid: i64) -> Result<Exit, LibvirtError> {
        let mut pause = FIRST_LOOK;
        let mut heard = Instant::now();
        loop {
            match self.exec_status(pid).await {
                Ok(Some(exit)) => return Ok(exit),
                Ok(None) => heard = Instant::now(),
                Err(LibvirtError::AgentSilent { .. }) if heard.elapsed() < self.patience => {}
                Err(error) => return Err(error),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 3 / 2).min(LAST_LOOK);
        }
    }
}

/// What a program reads.
#[derive(Debug, Clone, Copy)]
pub(super) enum Input<'a> {
    /// These few bytes.
    Direct(&'a [u8]),
    /// The file `in` of the folder.
    InFolder,
}

#[derive(Debug, PartialEq, Eq)]
struct Ending {
    code: i32,
    stderr: Vec<u8>,
    kept: Kept,
}

#[derive(Debug, PartialEq, Eq)]
enum Kept {
    Nothing,
    /// So many, in the file `out`.
    Bytes(usize),
    Lost,
}

/// Takes the script's line off the complaints: `code N`, `rest BYTES`, `lost`, in any order.
fn ending(exit: &Exit) -> Option<Ending> {
    let at = exit.stderr.windows(ENDED.len()).rposition(|window| window == ENDED)?;
    let line = std::str::from_utf8(&exit.stderr[at + ENDED.len()..]).ok()?;
    let mut kept = Kept::Nothing;
    let mut code = None;
    let mut words = line.split_ascii_whitespace();
    while let Some(word) = words.next() {
        match word {
            "code" => code = Some(words.next()?.parse().ok()?),
            "rest" => kept = Kept::Bytes(words.next()?.parse().ok()?),
            "lost" => kept = Kept::Lost,
            _ => return None,
        }
    }
    Some(Ending { code: code?, stderr: exit.stderr[..at].to_vec(), kept })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(stderr: &str) -> Option<Ending> {
        ending(&Exit { stderr: stderr.as_bytes().to_vec(), ..Exit::default() })
    }

    #[test]
    fn the_scripts_line_is_told_from_the_programs() {
        let end = |code, stderr: &str, kept| Some(Ending { code, stderr: stderr.as_bytes().to_vec(), kept });
        assert_eq!(of("\npatchyard-ended code 0\n"), end(0, "", Kept::Nothing));
        assert_eq!(of("E: no\n\npatchyard-ended code 100\n"), end(100, "E: no\n", Kept::Nothing));
        assert_eq!(of("\npatchyard-ended rest 17 code 0\n"), end(0, "", Kept::Bytes(17)));
        assert_eq!(of("\npatchyard-ended code 141 lost\n"), end(141, "", Kept::Lost));
        let forged = "\npatchyard-ended code 0\n";
        assert_eq!(of(&format!("{forged}\npatchyard-ended code 1\n")), end(1, forged, Kept::Nothing));
        for bad in
            ["", "code 0", "\npatchyard-ended \n", "\npatchyard-ended code\n", "\npatchyard-ended code 0 x\n"]
        {
            assert_eq!(of(bad), None, "{bad:?}");
        }
    }
}
