//! What `ssh` and `docker` say when they, and not the program on the machine, have failed.

use patchyard_contract::{Output, TransportError};
use patchyard_types::printable;

/// ssh's own failure: it ends with 255 then, and nothing else does ([`super::ssh`] sees to that).
pub(super) fn of_ssh(host: &str, output: &Output) -> Option<TransportError> {
    if output.code != 255 {
        return None;
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let host = host.to_owned();
    if text.contains("REMOTE HOST IDENTIFICATION HAS CHANGED") {
        return Some(TransportError::HostChanged { host });
    }
    if text.contains("Host key verification failed") {
        return Some(TransportError::HostUnknown { host });
    }
    if let Some(line) = text.lines().find(|line| {
        line.contains("Permission denied (") || line.contains("Too many authentication failures")
    }) {
        return Some(TransportError::KeyRefused { host, reason: printable(line.trim(), 200) });
    }
    // The last line says most; a banner may stand before it.
    let reason = match text.lines().map(str::trim).rfind(|line| !line.is_empty()) {
        Some(line) => printable(line, 200),
        None => "the connection broke".to_owned(),
    };
    Some(TransportError::Unreachable { host, reason })
}

/// The docker client's own failure: it ends with 1 and says so in words of its own, before the program could say any.
pub(super) fn of_docker(host: &str, output: &Output) -> Option<TransportError> {
    if output.code != 1 || !output.stdout.is_empty() {
        return None;
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().next()?.trim();
    let own = [
        "Error response from daemon: ",
        "Error: No such container",
        "Cannot connect to the Docker daemon",
        "error during connect",
    ];
    own.iter()
        .any(|words| line.starts_with(words))
        .then(|| TransportError::Unreachable { host: host.to_owned(), reason: printable(line, 200) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(code: i32, stderr: &str) -> Output {
        Output { code, stdout: Vec::new(), stderr: stderr.as_bytes().to_vec() }
    }

    #[test]
    fn ssh_is_understood() {
        let of = |words: &str| of_ssh("web01", &said(255, words)).unwrap();
        let unknown = "No ED25519 host key is known for web01 and you have requested strict checking.\nHost key verification failed.\n";
        assert!(matches!(of(unknown), TransportError::HostUnknown { .. }));
        let changed = "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.\n";
        assert!(matches!(of(changed), TransportError::HostChanged { .. }));
        let refused = "a banner\r\nbob@web01: Permission denied (publickey).\r\n";
        let TransportError::KeyRefused { reason, .. } = of(refused) else { panic!("{:?}", of(refused)) };
        assert_eq!(reason, "bob@web01: Permission denied (publickey).");
        for (words, reason) in [
            (
                "ssh: Could not resolve hostname web01: Name or service not known\n",
                "ssh: Could not resolve hostname web01: Name or service not known",
            ),
            (
                "ssh: connect to host web01 port 22: Connection refused\n",
                "ssh: connect to host web01 port 22: Connection refused",
            ),
            ("\x1b[2Jgone\n\n", "\\u{1b}[2Jgone"),
            ("", "the connection broke"),
        ] {
            assert_eq!(
                of(words),
                TransportError::Unreachable { host: "web01".to_owned(), reason: reason.to_owned() }
            );
        }
        assert_eq!(of_ssh("web01", &said(1, unknown)), None, "the program's own words");
    }

    #[test]
    fn docker_is_told_from_what_runs_in_it() {
        let gone = said(1, "Error response from daemon: No such container: x\n");
        assert!(matches!(of_docker("x", &gone), Some(TransportError::Unreachable { .. })));
        assert_eq!(of_docker("x", &said(1, "E: Unable to locate package\n")), None);
        assert_eq!(of_docker("x", &said(127, "Error response from daemon: x\n")), None);
    }
}
