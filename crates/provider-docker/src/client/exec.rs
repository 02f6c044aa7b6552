//! Commands inside a container, with limits on their time and output.

use std::time::Duration;

use serde_json::json;

use super::{ApiError, BodyReader, Client};

/// A command that prints more than this is not waited for, in bytes.
const FLOOD: u64 = 256 * 1024 * 1024;

/// A command to run in a container: an argument vector, never a shell line.
#[derive(Debug, Clone)]
pub struct Exec<'a> {
    /// Program and arguments.
    pub argv: &'a [&'a str],
    /// As whom; `None` is the container's own user.
    pub user: Option<&'a str>,
    /// Environment on top of the container's, `NAME=value`.
    pub env: &'a [String],
    /// Where; `None` is the container's own working directory. A folder that is not there is an error,
    /// and nothing is run.
    pub workdir: Option<&'a str>,
    /// The longest it may take. The engine cannot end it then: the container has to.
    pub timeout: Duration,
    /// How much of each output is kept, in bytes. The rest is read and thrown away, up to a
    /// quarter of a gibibyte.
    pub limit: usize,
}

impl<'a> Exec<'a> {
    /// A command as the container's own user, within 30 s, with 64 KiB of output.
    #[must_use]
    pub const fn new(argv: &'a [&'a str]) -> Self {
        Self { argv, user: None, env: &[], workdir: None, timeout: Duration::from_secs(30), limit: 64 * 1024 }
    }
}

/// What a command left.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExecOutput {
    /// Its exit code; 126 and 127 when it could not be started.
    pub exit: i64,
    /// The beginning of its output.
    pub stdout: Vec<u8>,
    /// The beginning of its error output.
    pub stderr: Vec<u8>,
    /// Whether there was more than is kept.
    pub truncated: bool,
}

impl ExecOutput {
    /// Whether it tells, in place of the command's words, that there is no such folder to run it in. Docker
    /// with runc: `… chdir to cwd ("/x") set in config.json failed: …`; crun: ``chdir to `/x`: …``.
    fn lacks(&self, folder: &str) -> bool {
        let tells = |said: &[u8]| {
            let said = String::from_utf8_lossy(said);
            said.contains("chdir to") && said.contains(folder)
        };
        matches!(self.exit, 126 | 127) && (tells(&self.stdout) || tells(&self.stderr))
    }
}

impl Client {
    /// Runs a command in a running container.
    ///
    /// # Errors
    /// [`ApiError::NoFolder`] when its folder is not there, [`ApiError::Timeout`] when it does not end in time, [`ApiError::TooLarge`] when it prints without
    /// end; it may go on in the container.
    pub async fn exec(&self, container: &str, exec: &Exec<'_>) -> Result<ExecOutput, ApiError> {
        let run = async {
            let mut create = json!({
                "Cmd": exec.argv, "AttachStdout": true, "AttachStderr": true, "Env": exec.env,
            });
            if let Some(user) = exec.user {
                create["User"] = json!(user);
            }
            if let Some(workdir) = exec.workdir {
                create["WorkingDir"] = json!(workdir);
            }
            let created = self.post(&["containers", container, "exec"]).json_body(&create).json().await?;
            let id = created["Id"].as_str().ok_or_else(|| ApiError::protocol("an exec without Id"))?;
            let body = self
                .post(&["exec", id, "start"])
                .json_body(&json!({"Detach": false, "Tty": false}))
                .timeout(exec.timeout)
                .stream()
                .await?;
            let mut output = demultiplex(body, exec.limit).await?;
            output.exit = self.exit_code(id).await?;
            match exec.workdir {
                Some(folder) if output.lacks(folder) => {
                    Err(ApiError::NoFolder { folder: patchyard_types::printable(folder, 200) })
                }
                _ => Ok(output),
            }
        };
        let program = exec.argv.first().copied().unwrap_or_default();
        tokio::time::timeout(exec.timeout, run).await.unwrap_or_else(|_| {
            Err(ApiError::Timeout { what: patchyard_types::printable(program, 200), after: exec.timeout })
        })
    }

    /// The streams end a moment before the engine has seen the exit code.
    async fn exit_code(&self, id: &str) -> Result<i64, ApiError> {
        loop {
            let state = self.get(&["exec", id, "json"]).json().await?;
            if state["Running"].as_bool() != Some(true) {
                return state["ExitCode"]
                    .as_i64()
                    .ok_or_else(|| ApiError::protocol("an exec without ExitCode"));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Takes the two outputs apart: each frame is `[stream, 0, 0, 0, length (4 bytes, big endian)]` and data.
pub(super) async fn demultiplex(mut body: BodyReader, limit: usize) -> Result<ExecOutput, ApiError> {
    let mut output = ExecOutput::default();
    frames(&mut body, |stream, chunk| {
        let kept = if stream == 2 { &mut output.stderr } else { &mut output.stdout };
        let room = limit.saturating_sub(kept.len());
        kept.extend_from_slice(&chunk[..chunk.len().min(room)]);
        output.truncated |= chunk.len() > room;
    })
    .await?;
    Ok(output)
}

/// Hands on the pieces of both outputs in the order in which they come.
pub(super) async fn frames(body: &mut BodyReader, mut take: impl FnMut(u8, &[u8])) -> Result<(), ApiError> {
    let mut header = [0; 8];
    let mut read = 0;
    while body.fill(&mut header).await? {
        let [stream @ 0..=3, 0, 0, 0, length @ ..] = header else {
            return Err(ApiError::protocol("an output frame without its header"));
        };
        let mut left = u32::from_be_bytes(length) as usize;
        while left > 0 {
            let Some(chunk) = body.chunk_up_to(left).await? else {
                return Err(ApiError::Lost { reason: "the output ends in the middle of a frame".to_owned() });
            };
            left -= chunk.len();
            read += chunk.len() as u64;
            if read > FLOOD {
                return Err(ApiError::too_large("the output", FLOOD));
            }
            take(stream, &chunk);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::body::tests::pieces;

    #[tokio::test]
    async fn outputs_are_told_apart_however_they_are_cut() {
        let frames = b"\x01\0\0\0\0\0\0\x02ab\x02\0\0\0\0\0\0\x03err\x01\0\0\0\0\0\0\x01c";
        for size in 1..frames.len() {
            let output = demultiplex(pieces(frames, size), 100).await.unwrap();
            assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (&b"abc"[..], &b"err"[..]));
            assert!(!output.truncated);
        }
    }

    #[tokio::test]
    async fn too_much_output_is_thrown_away_not_kept() {
        let mut frames = Vec::new();
        for _ in 0..100 {
            frames.extend_from_slice(b"\x01\0\0\0\0\0\x04\0");
            frames.extend_from_slice(&[b'x'; 1024]);
        }
        let output = demultiplex(pieces(&frames, 700), 1500).await.unwrap();
        assert_eq!((output.stdout.len(), output.truncated), (1500, true));
    }

    #[tokio::test]
    async fn what_is_no_frame_is_refused() {
        for bad in [&b"\x09\0\0\0\0\0\0\x01a"[..], b"hello world", b"\x01\0\0\0\0\0\0\x05ab", b"\x01\0\0"] {
            assert!(demultiplex(pieces(bad, 3), 100).await.is_err());
        }
    }
}
