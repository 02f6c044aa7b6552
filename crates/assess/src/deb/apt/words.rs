//! What apt says when it cannot answer, in its own words, and what stands in the way.

use patchyard_types::printable;

/// How many lines of apt's are passed on.
const LINES: usize = 3;
/// The longest reason, in characters.
const REASON: usize = 600;

/// The errors in the output of `apt-get update`; `None` when every index came.
///
/// Before `APT::Update::Error-Mode` existed, a repository that could not be reached was a warning and
/// the exit code 0: its absence would count as "nothing pending", so here it is an error as well.
#[must_use]
pub fn update_errors(exit: i64, output: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(output);
    let mut errors = lines(&text, &["E: "]);
    if errors.is_empty() {
        let telling = ["Failed to fetch", "GPG error", "is not signed", "Some index files failed"];
        errors = lines(&text, &["W: "]);
        errors.retain(|line| telling.iter().any(|words| line.contains(words)));
    }
    // Sums up what the other lines say.
    if errors.len() > 1 {
        errors.retain(|line| !line.starts_with("Some index files failed"));
    }
    if errors.is_empty() {
        return (exit != 0).then(|| format!("apt-get update ended with exit code {exit}"));
    }
    errors.dedup();
    let more = errors.len().saturating_sub(LINES);
    errors.truncate(LINES);
    let mut reason = errors.join("; ");
    if more > 0 {
        reason.push_str(&format!("; and {more} more"));
    }
    Some(printable(&reason, REASON))
}

fn lines(text: &str, prefixes: &[&str]) -> Vec<String> {
    let found = text.lines().filter_map(|line| prefixes.iter().find_map(|prefix| line.strip_prefix(prefix)));
    found.map(|line| without_credentials(line.trim())).collect()
}

/// A message without passwords: apt takes them out of most, but not out of all.
#[must_use]
pub fn without_credentials(line: &str) -> String {
    String::from_utf8_lossy(&hide_credentials(line.as_bytes())).into_owned()
}

/// Takes `user:password@` out of addresses: `http://user:password@host/` becomes `http://host/`.
#[must_use]
pub fn hide_credentials(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.windows(3).position(|window| window == b"://") {
        let (before, behind) = rest.split_at(at + 3);
        out.extend_from_slice(before);
        let end = behind.iter().position(|b| b" \t\r\n/\"';,]".contains(b)).unwrap_or(behind.len());
        let skip = behind[..end].iter().rposition(|b| *b == b'@').map_or(0, |at| at + 1);
        rest = &behind[skip..];
    }
    out.extend_from_slice(rest);
    out
}

/// What stands in the way of an answer; what to do about it depends on where apt runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The repository's key is missing or has expired.
    Key,
    /// The mirror serves wrong files, or is in the middle of an update.
    Mirror,
    /// The lists are too old or from the future: the mirror is out of date, or a clock is wrong.
    Dates,
    /// The repository's certificate is not trusted.
    Certificate,
    /// The repository or the proxy wants credentials.
    Credentials,
    /// The repository is no longer there.
    Gone,
    /// The repository cannot be reached.
    Network,
    /// A disk is full.
    NoSpace,
}

/// Finds out what stands in the way from apt's own words; `None` where they say it all.
#[must_use]
pub fn trouble(reason: &str) -> Option<Trouble> {
    let known: [(Trouble, &[&str]); 8] = [
        (
            Trouble::Key,
            &[
                "NO_PUBKEY",
                "EXPKEYSIG",
                "not signed",
                "signatures were invalid",
                "signatures couldn't be verified",
                "GPG error",
            ],
        ),
        (Trouble::Mirror, &["Hash Sum mismatch", "File has unexpected size", "Mirror sync in progress"]),
        (Trouble::Dates, &["is expired", "is not valid yet", "Valid-Until"]),
        (Trouble::Certificate, &["ertificate"]),
        (Trouble::Credentials, &["Unauthorized", "401 ", "403 ", "407 "]),
        (Trouble::Gone, &["does not have a Release file", "no longer has a Release file", "404 "]),
        (Trouble::Network, &["resolv", "connect", "timed out", "unreachable", "Connection"]),
        (Trouble::NoSpace, &["No space left"]),
    ];
    known
        .into_iter()
        .find(|(_, words)| words.iter().any(|word| reason.contains(word)))
        .map(|(trouble, _)| trouble)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_that_was_not_reached_is_an_error_in_every_apt() {
        let old = b"W: Failed to fetch http://u:secret@host/x  Could not resolve 'host'\nW: Some index files failed to download. They have been ignored, or old ones used instead.\n";
        let words = update_errors(0, old).unwrap();
        assert_eq!(words, "Failed to fetch http://host/x  Could not resolve 'host'");
        assert_eq!(trouble(&words), Some(Trouble::Network));
        let new = b"E: Failed to fetch http://host/x  Could not connect\nE: Some index files failed to download. They have been ignored, or old ones used instead.\n";
        assert_eq!(
            update_errors(100, new).as_deref(),
            Some("Failed to fetch http://host/x  Could not connect")
        );
    }

    #[test]
    fn a_good_update_is_none_and_a_silent_failure_is_one() {
        let good = b"Get:1 http://host x InRelease\nReading package lists...\nW: Download is performed unsandboxed\n";
        assert_eq!(update_errors(0, good), None);
        assert_eq!(update_errors(137, good).as_deref(), Some("apt-get update ended with exit code 137"));
    }

    #[test]
    fn many_errors_are_cut_and_made_printable() {
        let many: String = (0..50).map(|n| format!("E: repository {n} \x1b[31m\n")).collect();
        let words = update_errors(100, many.as_bytes()).unwrap();
        assert!(words.ends_with("and 47 more") && !words.contains('\x1b'), "{words}");
    }

    #[test]
    fn addresses_lose_their_passwords_and_nothing_else() {
        for (with, without) in [
            ("deb http://u:p@host/debian x main", "deb http://host/debian x main"),
            ("URIs: https://u:p%40@host", "URIs: https://host"),
            ("Proxy \"http://a:b@proxy:3128/\";\nx@y", "Proxy \"http://proxy:3128/\";\nx@y"),
            ("deb http://host/a@b x", "deb http://host/a@b x"),
            ("deb mirror+file:///etc/x", "deb mirror+file:///etc/x"),
            ("://", "://"),
        ] {
            assert_eq!(without_credentials(with), without);
        }
    }
}
