//! Files on a machine: read whole, written whole, known by their SHA-256.

use std::time::Duration;

use patchyard_contract::{Command, Transport};
use patchyard_types::{Digest, printable};

use crate::GuestError;

/// How long one file may take: the largest packages over a slow line.
const ONE_FILE: Duration = Duration::from_secs(1200);

/// sh … PATH SHA256: what is read becomes the file, whole or not at all.
const WRITE: &str = "umask 022; set -e; mkdir -p \"$(dirname \"$1\")\"; cat >\"$1.new\"; \
    echo \"$2  $1.new\" | sha256sum -c --quiet; mv \"$1.new\" \"$1\"";
/// sh … PATH SHA256
const IS_THERE: &str = "echo \"$2  $1\" | sha256sum -c --quiet 2>/dev/null";

/// Reads a file of at most so many bytes.
///
/// # Errors
/// When the machine cannot be reached, or the file is not there or is larger.
pub async fn read(transport: &dyn Transport, path: &str, most: usize) -> Result<Vec<u8>, GuestError> {
    let command = Command::new(["cat", "--", path]).limit(ONE_FILE).most(most);
    let output = transport.run(command).await?;
    if output.success() {
        return Ok(output.stdout);
    }
    Err(failed(transport, &format!("reading {path}"), output.code, &output.stderr))
}

/// Whether a file with these bytes is there.
///
/// # Errors
/// When the machine cannot be reached.
pub async fn is_there(transport: &dyn Transport, path: &str, sha256: &Digest) -> Result<bool, GuestError> {
    let argv = ["sh", "-c", IS_THERE, "sh", path, &hex(sha256)];
    Ok(transport.run(Command::new(argv).limit(ONE_FILE)).await?.success())
}

/// Writes a file, and its folder where that is missing. Bytes that arrive otherwise are refused on the machine.
///
/// # Errors
/// When the machine cannot be reached, has no room, or got other bytes.
pub async fn write(
    transport: &dyn Transport,
    path: &str,
    bytes: Vec<u8>,
    sha256: &Digest,
) -> Result<(), GuestError> {
    let argv = ["sh", "-c", WRITE, "sh", path, &hex(sha256)];
    let output = transport.run(Command::new(argv).stdin(bytes).limit(ONE_FILE)).await?;
    if output.success() {
        return Ok(());
    }
    Err(failed(transport, &format!("writing {path}"), output.code, &output.stderr))
}

fn hex(digest: &Digest) -> String {
    digest.short(64)
}

fn failed(transport: &dyn Transport, what: &str, code: i32, stderr: &[u8]) -> GuestError {
    GuestError::Failed {
        host: transport.host().to_owned(),
        program: printable(what, 200),
        code,
        words: printable(String::from_utf8_lossy(stderr).trim(), 400),
    }
}
