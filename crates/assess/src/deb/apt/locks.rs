//! Whether apt and dpkg could not work because somebody else does, or because they were interrupted.

use patchyard_types::printable;

/// The most of the output that is looked at, in bytes.
const MAX_LENGTH: usize = 1024 * 1024;

/// Who holds the lock that apt or dpkg could not get, in their words, in the output (both streams) of a command that
/// failed. `None` when it failed for another reason.
#[must_use]
pub fn locked(output: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(&output[..output.len().min(MAX_LENGTH)]);
    let line = text.lines().map(str::trim).find(|line| {
        line.starts_with("E: Could not get lock ")
            || line.starts_with("E: Unable to acquire the dpkg frontend lock")
            || line.contains("frontend lock was locked by another process")
            || line.contains("dpkg database is locked by another process")
    })?;
    let words = line.trim_start_matches("E: ").trim_start_matches("dpkg: error: ");
    Some(printable(words.trim_end_matches(" - open (11: Resource temporarily unavailable)"), 200))
}

/// Whether apt refuses because dpkg was interrupted.
#[must_use]
pub fn interrupted(output: &[u8]) -> bool {
    let text = String::from_utf8_lossy(&output[..output.len().min(MAX_LENGTH)]);
    text.lines().any(|line| line.starts_with("E: dpkg was interrupted"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_told_with_its_holder() {
        let apt = b"E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 42 (unattended-upgr)\n\
            N: Be aware that removing the lock file is not a solution and may break your system.\n\
            E: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), is another process using it?\n";
        assert_eq!(
            locked(apt).unwrap(),
            "Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 42 (unattended-upgr)"
        );
        let dpkg = b"dpkg: error: dpkg frontend lock was locked by another process with pid 42\n";
        assert_eq!(locked(dpkg).unwrap(), "dpkg frontend lock was locked by another process with pid 42");
        assert_eq!(locked(b"E: Unable to locate package x\n"), None);
        assert!(!locked(b"E: Could not get lock \x1b[2J\n").unwrap().contains('\x1b'));
    }

    #[test]
    fn an_interruption_is_told() {
        let said = b"E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem. \n";
        assert!(interrupted(said) && !interrupted(b"E: Unmet dependencies\n"));
    }
}
