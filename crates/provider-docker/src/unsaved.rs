//! What a container's writable layer holds that recreation would lose: the engine's list of changes,
//! less what the ignore list covers.

use std::collections::BTreeSet;

use patchyard_types::printable;
use serde_json::Value;

use crate::client::{ApiError, Client};

/// Folders whose contents are nobody's data: temporary, rebuilt at need, or the package manager's
/// own books. The user guide lists them too.
const IGNORED_FOLDERS: [&str; 15] = [
    "/tmp",
    "/var/tmp",
    "/run",
    "/var/run",
    "/var/cache",
    "/var/log",
    "/dev",
    "/proc",
    "/sys",
    "/var/lib/apt",
    "/var/lib/dpkg",
    "/var/lib/rpm",
    "/usr/lib/sysimage/rpm",
    "/var/lib/dnf",
    "/lib/apk/db",
];

/// Files that the engine writes itself.
const IGNORED_FILES: [&str; 4] = ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/.dockerenv"];

/// Folders of this name anywhere: compiled byte code.
const IGNORED_FOLDER_NAME: &str = "__pycache__";

/// Files of these names anywhere: what interactive shells and tools remember.
const IGNORED_FILE_NAMES: [&str; 9] = [
    ".bash_history",
    ".ash_history",
    ".sh_history",
    ".zsh_history",
    ".python_history",
    ".mysql_history",
    ".psql_history",
    ".lesshst",
    ".viminfo",
];

/// The most paths that are listed.
const LISTED: usize = 100;

/// Paths in a container's writable layer that recreation would lose, sorted, at most a hundred.
///
/// # Errors
/// When the engine cannot be asked.
pub async fn paths(client: &Client, container: &Value) -> Result<Vec<String>, ApiError> {
    let id = container["Id"].as_str().ok_or_else(|| ApiError::protocol("a container without Id"))?;
    let changes = client.get(&["containers", id, "changes"]).json().await?;
    Ok(lost(&changes, &container["Mounts"]))
}

/// The pure part of [`paths`]: the engine's answer and the container's mounts in, paths out.
///
/// A folder is listed as changed when anything under it is; it counts only if nothing else does.
fn lost(changes: &Value, mounts: &Value) -> Vec<String> {
    let changed: BTreeSet<&str> =
        changes.as_array().into_iter().flatten().filter_map(|change| change["Path"].as_str()).collect();
    let mounted: Vec<&str> = mounts
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|mount| mount["Destination"].as_str())
        .map(|path| path.trim_end_matches('/'))
        .collect();
    changed
        .iter()
        .filter(|path| !has_children(&changed, path))
        .filter(|path| !is_ignored(path))
        // A mount point, and the folders that were made to hold it.
        .filter(|path| !mounted.iter().any(|mount| is_within(path, mount) || is_within(mount, path)))
        .take(LISTED)
        .map(|path| printable(path, 300))
        .collect()
}

/// In a sorted set of paths those under one path follow it, if only behind names that continue it
/// (`/a`, `/a-b`, `/a/b`).
fn has_children(paths: &BTreeSet<&str>, path: &str) -> bool {
    let first = format!("{path}/");
    paths.range(first.as_str()..).next().is_some_and(|next| next.starts_with(&first))
}

/// Whether `path` is `folder` or under it.
fn is_within(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether the ignore list covers a path.
#[must_use]
pub fn is_ignored(path: &str) -> bool {
    let file_name = path.rsplit('/').next().unwrap_or_default();
    IGNORED_FOLDERS.iter().any(|folder| is_within(path, folder))
        || IGNORED_FILES.contains(&path)
        || path.split('/').any(|part| part == IGNORED_FOLDER_NAME)
        || IGNORED_FILE_NAMES.contains(&file_name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lost_of(paths: &[&str], mounts: &[&str]) -> Vec<String> {
        let changes = paths.iter().map(|path| json!({"Path": path, "Kind": 1})).collect::<Vec<_>>();
        let mounts = mounts.iter().map(|path| json!({"Destination": path})).collect::<Vec<_>>();
        lost(&json!(changes), &json!(mounts))
    }

    /// Every row: what the engine lists, the mounts, what counts.
    #[test]
    fn only_what_somebody_may_miss_counts() {
        let table: [(&[&str], &[&str], &[&str]); 11] = [
            (&[], &[], &[]),
            (&["/srv", "/srv/data", "/srv/data/a"], &[], &["/srv/data/a"]),
            (&["/tmp", "/tmp/x", "/run", "/run/nginx.pid"], &[], &[]),
            (&["/tmpfile", "/running"], &[], &["/running", "/tmpfile"]),
            (&["/var", "/var/log", "/var/log/a", "/var/cache/b", "/var/lib/dpkg/status"], &[], &[]),
            (&["/etc", "/etc/hosts", "/etc/app.conf"], &[], &["/etc/app.conf"]),
            (&["/etc", "/etc/hosts"], &[], &[]),
            (&["/app", "/app/x/__pycache__/y.pyc", "/root/.bash_history"], &[], &[]),
            (&["/data", "/mnt", "/mnt/a", "/mnt/a/b"], &["/data", "/mnt/a/b/"], &[]),
            (&["/mnt", "/mnt/a", "/mnt/c"], &["/mnt/a"], &["/mnt/c"]),
            (&["/a", "/a-b", "/a/b"], &[], &["/a-b", "/a/b"]),
        ];
        for (changes, mounts, expected) in table {
            assert_eq!(lost_of(changes, mounts), expected, "{changes:?}");
        }
    }

    #[test]
    fn a_folder_that_changed_itself_counts() {
        assert_eq!(lost_of(&["/srv"], &[]), ["/srv"]);
        assert_eq!(lost_of(&["/var", "/var/log", "/var/log/x"], &[]), [""; 0]);
    }

    #[test]
    fn names_are_made_printable_and_their_number_is_limited() {
        assert_eq!(lost_of(&["/a\u{1b}[31m"], &[]), ["/a\\u{1b}[31m"]);
        let many: Vec<String> = (0..1000).map(|n| format!("/srv/{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(lost_of(&many, &[]).len(), LISTED);
    }
}
