//! Which containers are Patchyard's own: its helpers, what a run has set aside, and the one it runs in.

use crate::names::PREFIX;

/// The parts a run or a helper gives its containers; nothing else behind the prefix is ours.
const PARTS: [&str; 9] = ["new", "old", "base", "patched", "volume", "build", "ask", "show", "probe"];

/// Whether a container's name is one that Patchyard gives: `patchyard-1a2b3c4d-r12.3-old`,
/// `patchyard-1a2b3c4d-99aabbcc-build`. Labels would not do, images hand theirs down; and what a run
/// has set aside bears none of ours.
#[must_use]
pub(crate) fn is_own_name(name: &str) -> bool {
    parse(name).is_some()
}

/// Controller (its first eight characters), what it was made for, and which part of it.
#[must_use]
pub(crate) fn parse(name: &str) -> Option<(&str, &str, &str)> {
    let mut parts = name.trim_start_matches('/').strip_prefix(PREFIX)?.splitn(3, '-');
    let (controller, subject, part) = (parts.next()?, parts.next()?, parts.next()?);
    let is_run = || {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        subject
            .strip_prefix('r')
            .and_then(|run| run.split_once('.'))
            .is_some_and(|(a, b)| digits(a) && digits(b))
    };
    let is_digest = || subject.len() == 8 && subject.bytes().all(|b| b.is_ascii_hexdigit());
    let word = part.split('-').next().unwrap_or_default();
    let controller_fits =
        (1..=8).contains(&controller.len()) && controller.bytes().all(|b| b.is_ascii_alphanumeric());
    (controller_fits && (is_run() || is_digest()) && PARTS.contains(&word))
        .then_some((controller, subject, part))
}

/// The engine's `v` for the removal of one of ours: whether its anonymous volumes go with it. An original's are
/// the service's data, and what copies volumes has none of its own.
#[must_use]
pub(crate) fn with_volumes(name: &str) -> &'static str {
    match parse(name).and_then(|(_, _, part)| part.split('-').next()) {
        None | Some("old" | "volume") => "0",
        _ => "1",
    }
}

/// The id of the container this process runs in, from `/proc/self/mountinfo`, `/proc/self/cgroup` and
/// the host's name: the engine mounts `/etc/hosts` from a folder named by the id, control groups are
/// named by it, and a host name that was not chosen is its beginning. At least twelve digits of it.
#[must_use]
pub(crate) fn own_container(mountinfo: &str, cgroup: &str, hostname: &str) -> Option<String> {
    let is_id = |text: &&str| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let mounted = mountinfo
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ');
            let root = fields.nth(3)?;
            let place = fields.next()?;
            ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf"].contains(&place).then_some(root)
        })
        .flat_map(|root| root.split('/'))
        .find(is_id);
    let grouped = || {
        cgroup.lines().flat_map(|line| line.split(['/', ':'])).find_map(|part| {
            let part = part.strip_suffix(".scope").unwrap_or(part);
            let part = part.rsplit('-').next().unwrap_or(part);
            Some(part).filter(is_id)
        })
    };
    let hostname = hostname.trim();
    let named =
        || (hostname.len() == 12 && hostname.bytes().all(|b| b.is_ascii_hexdigit())).then_some(hostname);
    mounted.or_else(grouped).or_else(named).map(str::to_owned)
}

/// The same for this process.
#[must_use]
pub(crate) fn own_container_of_process() -> Option<String> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    own_container(
        &read("/proc/self/mountinfo"),
        &read("/proc/self/cgroup"),
        &read("/proc/sys/kernel/hostname"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_we_give_are_ours() {
        for name in [
            "/patchyard-1a2b3c4d-r12.3-old",
            "/patchyard-1a2b3c4d-99aabbcc-build",
            "patchyard-test-99aabbcc-ask-1",
        ] {
            assert!(is_own_name(name), "{name}");
        }
        for name in [
            "/patchyard-web",
            "/patchyard-1a2b3c4d-r12-old",
            "/patchyard-1a2b3c4d-web-old",
            "/patchyard-1a2b3c4d-r12.3-web",
            "/web",
            "/patchyard--r1.1-old",
        ] {
            assert!(!is_own_name(name), "{name}");
        }
    }

    #[test]
    fn what_is_not_a_containers_own_stays_when_it_goes() {
        for name in ["patchyard-1a2b3c4d-r12.3-old", "patchyard-1a2b3c4d-r12.3-volume", "shop"] {
            assert_eq!(with_volumes(name), "0", "{name}");
        }
        for name in ["patchyard-1a2b3c4d-99aabbcc-build", "patchyard-1a2b3c4d-99aabbcc-show-7-1"] {
            assert_eq!(with_volumes(name), "1", "{name}");
        }
    }

    #[test]
    fn a_process_in_a_container_knows_which() {
        let id = "9aa4c193d86890b7f6dbcdd678321ceb69703465863b052e7d72163a922e5541";
        let mounts = format!(
            "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 8:1 /var/lib/docker/containers/{id}/hosts /etc/hosts rw - ext4 /dev/sda1 rw\n"
        );
        assert_eq!(own_container(&mounts, "", "").as_deref(), Some(id));
        for cgroup in [
            format!("12:cpu:/docker/{id}\n"),
            format!("0::/system.slice/docker-{id}.scope\n"),
            format!("0::/machine.slice/libpod-{id}.scope\n"),
        ] {
            assert_eq!(own_container("", &cgroup, "").as_deref(), Some(id), "{cgroup}");
        }
        assert_eq!(own_container("", "0::/\n", "9aa4c193d868\n").as_deref(), Some("9aa4c193d868"));
        assert_eq!(own_container("1 0 8:1 / / rw - ext4 x rw", "0::/init.scope", "web01"), None);
        // A volume that holds an engine's folders says nothing about us.
        let foreign = format!("2 1 8:1 /var/lib/docker/containers/{id}/x /mnt rw - ext4 /dev/sda1 rw\n");
        assert_eq!(own_container(&foreign, "", ""), None);
    }
}
