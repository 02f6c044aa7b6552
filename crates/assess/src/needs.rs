//! What a machine needs after a patch: services that run on files that were replaced, and reasons to reboot.
//!
//! A process keeps the files it has mapped, also when a package has put others in their place: the kernel calls
//! them deleted. Which service it belongs to says its control group.

use std::collections::{BTreeMap, BTreeSet};

use patchyard_types::{Reboot, printable};

use crate::version::dpkg;

/// The longest path kept, in characters.
const MAX_PATH: usize = 300;
/// How many replaced files are named for one service.
const MAX_NAMED: usize = 20;

/// The processes that run on replaced files.
pub type Replaced = BTreeMap<u32, BTreeSet<String>>;

/// Reads lines of `/proc/PID/maps` with the file's name before them (`/proc/12/maps:7f… r-xp … /usr/lib/x (deleted)`): which
/// processes execute code of files that are no longer there. What is no file of a package's is passed over: memory that
/// was given a name, devices, what programs write for themselves.
#[must_use]
pub fn replaced(output: &[u8]) -> Replaced {
    let mut found = Replaced::new();
    for line in String::from_utf8_lossy(output).lines() {
        let Some((pid, path)) = mapping(line) else { continue };
        if is_of_packages(path) {
            found.entry(pid).or_default().insert(printable(path, MAX_PATH));
        }
    }
    found
}

fn mapping(line: &str) -> Option<(u32, &str)> {
    let (pid, rest) = line.strip_prefix("/proc/")?.split_once("/maps:")?;
    let pid = pid.parse().ok()?;
    // address permissions offset device inode path
    let mut fields = rest.splitn(6, ' ');
    let permissions = fields.nth(1)?;
    let path = fields.nth(3)?.trim_start().strip_suffix(" (deleted)")?;
    permissions.contains('x').then_some((pid, path))
}

fn is_of_packages(path: &str) -> bool {
    const OTHERS: [&str; 10] =
        ["/dev/", "/memfd:", "/SYSV", "/run/", "/tmp/", "/var/tmp/", "/var/run/", "/proc/", "/drm", "/i915"];
    path.starts_with('/') && !path.starts_with("/[") && !OTHERS.iter().any(|other| path.starts_with(other))
}

/// Whose a process is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// A service of the system's: `nginx.service`.
    Service(String),
    /// The init process itself.
    Init,
    /// Somebody's session, or a service of a user's.
    Session,
    /// Nobody knows: no systemd, or a process that it does not know.
    Unknown,
}

/// Reads the contents of `/proc/PID/cgroup`: whose the process is.
#[must_use]
pub fn owner(cgroup: &str) -> Owner {
    // systemd's own hierarchy: `0::…` or, in the older layout, `1:name=systemd:…`. Where both are, one of them is empty.
    let paths = cgroup.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (number, name, path) = (fields.next()?, fields.next()?, fields.next()?);
        (number == "0" && name.is_empty() || name == "name=systemd").then_some(path)
    });
    let mut owner = Owner::Unknown;
    for path in paths {
        let mut parts = path.split('/').filter(|part| !part.is_empty());
        match parts.next() {
            Some("system.slice") => {
                // Slices may lie in slices; a service may have groups of its own below it.
                let unit = parts.find(|part| part.ends_with(".service") && is_unit(part));
                owner = unit.map_or(owner, |unit| Owner::Service(unit.to_owned()));
            }
            Some("user.slice") => owner = Owner::Session,
            Some("init.scope") => owner = Owner::Init,
            _ => {}
        }
    }
    owner
}

/// What may be an argument of `systemctl`.
fn is_unit(text: &str) -> bool {
    text.len() <= 255
        && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b":-_.\\@".contains(&b))
}

/// The newest kernel of the running one's kind that is installed, where it is another: `installed` are the names of kernel
/// images, as in `/boot` (`vmlinuz-6.1.0-56-amd64`). `None` when the newest runs, and when the running one is no
/// package's (containers, kernels from outside).
#[must_use]
pub fn newer_kernel<'a>(running: &str, installed: &[&'a str]) -> Option<&'a str> {
    let releases: Vec<&str> = installed.iter().filter_map(|name| name.strip_prefix("vmlinuz-")).collect();
    let flavour = flavour(running);
    if !releases.contains(&running) {
        return None;
    }
    let newest = releases
        .into_iter()
        .filter(|release| self::flavour(release) == flavour)
        .max_by(|a, b| order(a, b))?;
    (order(newest, running) == std::cmp::Ordering::Greater).then_some(newest)
}

/// `6.1.0-56-cloud-amd64` → `cloud-amd64`; `5.14.0-2.el9.x86_64` → nothing: there the name has no flavour.
fn flavour(release: &str) -> &str {
    release.splitn(3, '-').nth(2).unwrap_or_default()
}

fn order(a: &str, b: &str) -> std::cmp::Ordering {
    // Kernel releases consist of numbers and words between dots and dashes, which Debian's order puts right as well.
    // But for the underscore of `x86_64`, which has no place in it.
    let [plain_a, plain_b] = [a, b].map(|release| release.replace('_', "."));
    match (dpkg::Version::parse(&plain_a), dpkg::Version::parse(&plain_b)) {
        (Ok(a), Ok(b)) => a.cmp(&b),
        _ => a.cmp(b),
    }
}

/// What a machine needs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Needs {
    /// Services that run on replaced files, and on which.
    pub services: BTreeMap<String, BTreeSet<String>>,
    /// The init process runs on replaced files: it can be executed anew without a reboot.
    pub init: bool,
    /// How many other processes do: sessions, what belongs to no service. Only whoever started them can start them anew.
    pub others: usize,
    /// Why the machine should be rebooted.
    pub reboot: Vec<String>,
}

/// Puts together whose processes run on what.
#[must_use]
pub fn needs(replaced: &Replaced, owners: &BTreeMap<u32, Owner>, reboot: Vec<String>) -> Needs {
    let mut needs = Needs { reboot, ..Needs::default() };
    // A process that has no owner any more has ended meanwhile.
    for (pid, files) in replaced {
        match owners.get(pid) {
            Some(Owner::Service(unit)) => {
                let named = needs.services.entry(unit.clone()).or_default();
                let room = MAX_NAMED.saturating_sub(named.len());
                named.extend(files.iter().take(room).cloned());
            }
            Some(Owner::Init) => needs.init = true,
            Some(Owner::Session | Owner::Unknown) => needs.others += 1,
            None => {}
        }
    }
    needs
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Measures {
    /// Services to restart, in order of their names.
    pub restart: Vec<String>,
    /// Whether the init process is to be executed anew.
    pub reexecute_init: bool,
    /// Why the machine is to be rebooted; empty when it is not.
    pub reboot: Vec<String>,
    /// What stays as it is though it needs something, in words for the report.
    pub left: Vec<String>,
}

/// Services whose restart would cut off the machine, whoever works on it, or what runs on it: sessions, networks, containers. Only a
/// reboot renews them.
const NOT_RESTARTED: &[&str] = &[
    "dbus.service",
    "dbus-broker.service",
    "systemd-logind.service",
    "getty@",
    "serial-getty@",
    "console-getty.service",
    "user@",
    "gdm.service",
    "gdm3.service",
    "lightdm.service",
    "sddm.service",
    "NetworkManager.service",
    "networking.service",
    "ifup@",
    "wpa_supplicant.service",
    "openvpn@",
    "wg-quick@",
    "docker.service",
    "containerd.service",
    "lxc.service",
    "lxcfs.service",
];

fn is_restarted(unit: &str) -> bool {
    !NOT_RESTARTED.iter().any(|other| unit == *other || other.ends_with('@') && unit.starts_with(other))
}

/// What is to be done about what a machine needs.
#[must_use]
pub fn measures(needs: &Needs, policy: Reboot) -> Measures {
    let (restart, kept): (Vec<String>, Vec<String>) =
        needs.services.keys().cloned().partition(|unit| is_restarted(unit));
    let mut reasons = needs.reboot.clone();
    reasons.extend(
        kept.iter().map(|unit| format!("{unit} runs on replaced files and is not restarted by itself")),
    );
    let mut left = Vec::new();
    if needs.others > 0 {
        left.push(format!("{} processes of no service run on replaced files", needs.others));
    }
    match policy {
        Reboot::Always => {
            if reasons.is_empty() {
                reasons.push("the policy says always".to_owned());
            }
            // Everything is renewed by it.
            Measures { reboot: reasons, ..Measures::default() }
        }
        Reboot::AsNeeded if !reasons.is_empty() => Measures { reboot: reasons, ..Measures::default() },
        Reboot::AsNeeded | Reboot::ServicesOnly => {
            left.extend(reasons);
            Measures { restart, reexecute_init: needs.init, reboot: Vec::new(), left }
        }
        Reboot::Never => {
            left.extend(reasons);
            left.extend(restart.iter().map(|unit| format!("{unit} runs on replaced files")));
            if needs.init {
                left.push("the init process runs on replaced files".to_owned());
            }
            Measures { left, ..Measures::default() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_on_replaced_files_are_found_by_their_maps() {
        let found = replaced(
            b"/proc/12/maps:7f00-7f01 r-xp 00001000 08:01 12345      /usr/lib/x86_64-linux-gnu/libssl.so.3 (deleted)\n\
              /proc/12/maps:7f00-7f01 r--p 00001000 08:01 12345      /usr/lib/other.so (deleted)\n\
              /proc/12/maps:7f00-7f01 r-xp 00001000 08:01 12345      /usr/sbin/nginx (deleted)\n\
              /proc/13/maps:7f00-7f01 r-xp 00001000 08:01 12345      /usr/sbin/cron\n\
              /proc/14/maps:7f00-7f01 r-xp 00000000 00:01 1          /memfd:jit (deleted)\n\
              /proc/14/maps:7f00-7f01 rwxs 00000000 00:01 1          /SYSV00000000 (deleted)\n\
              /proc/14/maps:7f00-7f01 r-xp 00000000 00:01 1          /tmp/ffiAbCd (deleted)\n\
              /proc/15/maps:7f00-7f01 r-xp 00000000 00:01 1          /opt/a b\x1b (deleted)\n\
              nonsense\n/proc/x/maps:1 2 3\n/proc/16/maps:\n",
        );
        assert_eq!(found.keys().copied().collect::<Vec<_>>(), [12, 15]);
        let of_12: Vec<_> = found[&12].iter().map(String::as_str).collect();
        assert_eq!(of_12, ["/usr/lib/x86_64-linux-gnu/libssl.so.3", "/usr/sbin/nginx"]);
        assert!(found[&15].contains("/opt/a b\\u{1b}"));
    }

    #[test]
    fn control_groups_name_the_owner() {
        let service = |unit: &str| Owner::Service(unit.to_owned());
        assert_eq!(owner("0::/system.slice/nginx.service\n"), service("nginx.service"));
        assert_eq!(
            owner("0::/system.slice/system-getty.slice/getty@tty1.service"),
            service("getty@tty1.service")
        );
        assert_eq!(owner("0::/system.slice/docker.service/own/group"), service("docker.service"));
        assert_eq!(
            owner("9:name=systemd:/system.slice/ssh.service\n8:pids:/\n0::/\n"),
            service("ssh.service")
        );
        assert_eq!(owner("9:name=systemd:/\n0::/system.slice/ssh.service\n"), service("ssh.service"));
        assert_eq!(owner("0::/user.slice/user-1000.slice/session-3.scope"), Owner::Session);
        assert_eq!(owner("0::/init.scope"), Owner::Init);
        assert_eq!(owner("0::/"), Owner::Unknown);
        assert_eq!(owner("4:memory:/system.slice/ssh.service\n"), Owner::Unknown, "not systemd's hierarchy");
        assert_eq!(owner("0::/system.slice/-x;id.service"), Owner::Unknown);
    }

    #[test]
    fn a_newer_kernel_of_the_same_kind_is_a_reason() {
        let boot = [
            "vmlinuz-6.1.0-9-amd64",
            "vmlinuz-6.1.0-50-amd64",
            "vmlinuz-6.1.0-60-cloud-amd64",
            "config-6.1.0-70-amd64",
        ];
        assert_eq!(newer_kernel("6.1.0-9-amd64", &boot), Some("6.1.0-50-amd64"));
        assert_eq!(newer_kernel("6.1.0-50-amd64", &boot), None);
        assert_eq!(newer_kernel("6.18.5", &boot), None, "a kernel from outside");
        assert_eq!(newer_kernel("6.1.0-9-amd64", &[]), None);
        let rpm =
            ["vmlinuz-5.14.0-70.el9.x86_64", "vmlinuz-5.14.0-162.6.1.el9.x86_64", "vmlinuz-0-rescue-aaaa"];
        assert_eq!(newer_kernel("5.14.0-70.el9.x86_64", &rpm), Some("5.14.0-162.6.1.el9.x86_64"));
    }

    fn all() -> Needs {
        let replaced: Replaced = [(1, "/a"), (2, "/b"), (3, "/c"), (4, "/d"), (5, "/e"), (6, "/f")]
            .map(|(pid, file)| (pid, BTreeSet::from([file.to_owned()])))
            .into();
        let service = |unit: &str| Owner::Service(unit.to_owned());
        let owners = BTreeMap::from([
            (1, Owner::Init),
            (2, service("nginx.service")),
            (3, service("dbus.service")),
            (4, Owner::Session),
            (5, service("nginx.service")),
        ]);
        needs(&replaced, &owners, vec!["a newer kernel".to_owned()])
    }

    #[test]
    fn needs_are_put_together_by_service() {
        let needs = all();
        assert_eq!(needs.services["nginx.service"].iter().collect::<Vec<_>>(), ["/b", "/e"]);
        assert_eq!((needs.services.len(), needs.init, needs.others), (2, true, 1));
    }

    #[test]
    fn every_policy_does_what_it_says() {
        let kernel = "a newer kernel";
        let dbus = "dbus.service runs on replaced files and is not restarted by itself";
        let always = measures(&Needs::default(), Reboot::Always);
        assert_eq!(always.reboot, ["the policy says always"]);
        let needed = measures(&all(), Reboot::AsNeeded);
        assert_eq!((needed.reboot, needed.restart.len()), (vec![kernel.to_owned(), dbus.to_owned()], 0));
        assert_eq!(
            measures(&Needs::default(), Reboot::AsNeeded),
            Measures::default(),
            "no reason, no reboot"
        );
        let services = measures(&all(), Reboot::ServicesOnly);
        assert_eq!(services.restart, ["nginx.service"]);
        assert!(services.reexecute_init && services.reboot.is_empty());
        assert_eq!(services.left, ["1 processes of no service run on replaced files", kernel, dbus]);
        let never = measures(&all(), Reboot::Never);
        assert!(never.restart.is_empty() && never.reboot.is_empty() && !never.reexecute_init);
        assert_eq!(never.left.len(), 5);
    }
}
