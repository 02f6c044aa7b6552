//! What apt says when it cannot answer, in its own words, and what the operator can do about it.

use patchyard_types::printable;

/// How many lines of apt's are passed on.
const LINES: usize = 3;
/// The longest reason, in characters.
const REASON: usize = 600;

/// The errors in the output of `apt-get update`; `None` when every index came.
///
/// Before `APT::Update::Error-Mode` existed, a repository that could not be reached was a warning and
/// the exit code 0: its absence would count as "nothing pending", so here it is an error as well.
pub(super) fn update_errors(exit: i64, output: &[u8]) -> Option<String> {
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

/// apt takes passwords out of most of its messages, but not out of all.
pub(super) fn without_credentials(line: &str) -> String {
    let clean = crate::read::without_credentials(line.as_bytes());
    String::from_utf8_lossy(&clean).into_owned()
}

/// What the operator can do about an error of apt's; empty where its words say it all.
pub(super) fn hint(reason: &str) -> String {
    let has = |words: &[&str]| words.iter().any(|word| reason.contains(word));
    let hint = if has(&[
        "NO_PUBKEY",
        "not signed",
        "signatures were invalid",
        "signatures couldn't be verified",
        "GPG error",
    ]) {
        "put the repository's key into the image (Signed-By) or take the repository out of its sources"
    } else if has(&["Hash Sum mismatch", "File has unexpected size", "Mirror sync in progress"]) {
        "the mirror is being updated or serves wrong files: try again later, or use another mirror"
    } else if has(&["is expired", "is not valid yet", "Valid-Until"]) {
        "the mirror is out of date or a clock is wrong: check both"
    } else if has(&["ertificate"]) {
        "the repository's certificate is not trusted in the container: a private CA has to be in its image"
    } else if has(&["Unauthorized", "401 ", "403 ", "407 "]) {
        "the repository or the proxy wants credentials: put them into /etc/apt/auth.conf.d of the image"
    } else if has(&["does not have a Release file", "no longer has a Release file", "404 "]) {
        "the repository is no longer there: is the release past its end of life? Change the image's sources"
    } else if has(&["resolv", "connect", "timed out", "unreachable", "Connection"]) {
        "check that a container on the same network reaches the repository (proxy, DNS, firewall)"
    } else if has(&["No space left"]) {
        "free disk space on the engine's host"
    } else {
        ""
    };
    hint.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_that_was_not_reached_is_an_error_in_every_apt() {
        let old = b"W: Failed to fetch http://u:secret@host/x  Could not resolve 'host'\nW: Some index files failed to download. They have been ignored, or old ones used instead.\n";
        let words = update_errors(0, old).unwrap();
        assert_eq!(words, "Failed to fetch http://host/x  Could not resolve 'host'");
        assert!(hint(&words).contains("reaches the repository"));
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
    fn each_trouble_has_its_advice() {
        for (words, part) in [
            ("The repository 'http://x y InRelease' is not signed.", "key"),
            ("Failed to fetch http://x  Hash Sum mismatch", "mirror"),
            ("Release file for http://x/InRelease is expired (invalid since 2d).", "clock"),
            ("Certificate verification failed: The certificate is NOT trusted.", "CA"),
            ("Failed to fetch http://x  401  Unauthorized", "credentials"),
            ("The repository 'http://x' does not have a Release file.", "end of life"),
            ("Temporary failure resolving 'deb.example'", "DNS"),
        ] {
            assert!(hint(words).contains(part), "{words}: {}", hint(words));
        }
        assert_eq!(hint("something else"), "");
    }

    #[test]
    fn many_errors_are_cut_and_made_printable() {
        let many: String = (0..50).map(|n| format!("E: repository {n} \x1b[31m\n")).collect();
        let words = update_errors(100, many.as_bytes()).unwrap();
        assert!(words.ends_with("and 47 more") && !words.contains('\x1b'), "{words}");
    }
}
