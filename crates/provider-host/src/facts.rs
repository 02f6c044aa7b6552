//! Who a machine is: asked once, when it is reached.

use jiff::{SignedDuration, Timestamp};
use patchyard_assess::parse_os_release;
use patchyard_contract::{Command, Output, ProviderError, Transport};
use patchyard_types::{HostManager, OsRelease, printable};

use crate::words;

/// What tells a machine from others, a line each; then its os-release. In a container the kernel's boot id is that of the
/// machine it runs on: the name of the process namespace tells two of them apart. apt's own timer lets unattended-upgrades work as often as its
/// configuration says, where that is installed (apt.systemd.daily(8)).
const ASK: &str = "\
uname -s
uname -m
uname -n
date +%s
echo \"$(cat /etc/machine-id 2>/dev/null || cat /var/lib/dbus/machine-id 2>/dev/null)\"
cat /proc/sys/kernel/random/boot_id 2>/dev/null || echo
echo \"$(command -v unattended-upgrade >/dev/null && apt-config dump --format '%v%n' APT::Periodic::Unattended-Upgrade | head -n 1)\"
readlink /proc/1/ns/pid || echo
cat /etc/os-release 2>/dev/null || cat /usr/lib/os-release 2>/dev/null || true";

/// What is known of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    /// machine-id(5): 32 hexadecimal digits.
    pub machine_id: String,
    /// `linux/amd64`.
    pub platform: String,
    /// Its own name.
    pub node: String,
    /// Equal for two ways to one machine, different for a machine and its copy, until it is started again.
    pub instance: String,
    /// How far its clock is ahead of this machine's.
    pub ahead: SignedDuration,
    /// Its distribution, where it says so.
    pub os: Option<OsRelease>,
    /// Who else updates it, as far as can be seen.
    pub managers: Vec<HostManager>,
}

impl Facts {
    /// What stays true of it while it does not answer: a line each.
    pub fn known(&self) -> String {
        let Self { machine_id, platform, node, os, instance: _, ahead: _, managers: _ } = self;
        let release = os.as_ref().map_or(["", "", ""], |os| [&os.id, &os.version_id, &os.pretty_name]);
        [machine_id.as_str(), platform, node].into_iter().chain(release).collect::<Vec<_>>().join("\n")
    }

    /// The same, read.
    pub fn recall(known: &str) -> Option<Self> {
        let lines: Vec<&str> = known.split('\n').collect();
        let [machine_id, platform, node, id, version_id, pretty_name] = lines[..] else { return None };
        let owned = str::to_owned;
        Some(Self {
            machine_id: owned(machine_id),
            platform: owned(platform),
            node: owned(node),
            instance: String::new(),
            ahead: SignedDuration::ZERO,
            os: (!id.is_empty()).then(|| OsRelease {
                id: owned(id),
                version_id: owned(version_id),
                pretty_name: owned(pretty_name),
            }),
            managers: Vec::new(),
        })
    }
}

/// Whether programs on a machine run as root without sudo.
///
/// # Errors
/// When it cannot be reached, does not let us in, or is no Linux.
pub async fn is_root(transport: &dyn Transport, name: &str) -> Result<bool, ProviderError> {
    let output = run(transport, name, Command::new(["id", "-u"])).await?;
    Ok(output.stdout.trim_ascii() == b"0")
}

pub(crate) async fn ask(transport: &dyn Transport, name: &str) -> Result<Facts, ProviderError> {
    let before = Timestamp::now();
    let output = run(transport, name, Command::new(["sh", "-c", ASK]).most(64 * 1024)).await?;
    let after = Timestamp::now();
    // It looked at its clock some time in between.
    read(&String::from_utf8_lossy(&output.stdout), name, before, after)
}

async fn run(transport: &dyn Transport, name: &str, command: Command) -> Result<Output, ProviderError> {
    let output = transport.run(command).await.map_err(|error| words::no_way(name, error))?;
    if output.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.said()).into_owned();
    // Neither cmd.exe nor PowerShell knows `sh`.
    let reason = match said.contains("is not recognized as") {
        true => WINDOWS.to_owned(),
        false => format!("it does not answer as a Linux machine does: {}", printable(said.trim(), 200)),
    };
    Err(ProviderError::Denied { host: name.to_owned(), reason })
}

const WINDOWS: &str = "it runs Windows, which this release does not patch";

fn read(answer: &str, name: &str, before: Timestamp, after: Timestamp) -> Result<Facts, ProviderError> {
    let denied = |reason: String| ProviderError::Denied { host: name.to_owned(), reason };
    let mut lines = answer.lines();
    let mut next = || lines.next().unwrap_or_default().trim();
    match next() {
        "Linux" => {}
        windows if ["MINGW", "MSYS", "CYGWIN", "Windows"].iter().any(|word| windows.starts_with(word)) => {
            return Err(denied(WINDOWS.to_owned()));
        }
        other => {
            let system = printable(other, 60);
            return Err(denied(format!("it runs {system}, and this release patches Linux only")));
        }
    }
    let (machine, node, date) = (next(), next(), next());
    let machine_id = next();
    if machine_id.len() != 32 || !machine_id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    {
        return Err(denied(
            "it bears no machine-id, by which it is known again: run systemd-machine-id-setup on it"
                .to_owned(),
        ));
    }
    let (boot_id, unattended, namespace) = (next(), next(), next());
    let clock = date.parse().ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    let clock = clock.ok_or_else(|| {
        let reason = format!("its clock says {}, which makes no sense", printable(date, 60));
        ProviderError::Denied { host: name.to_owned(), reason }
    })?;
    let ahead = if clock > after {
        clock.duration_since(after)
    } else if clock < before {
        clock.duration_since(before)
    } else {
        SignedDuration::ZERO
    };
    let os = lines.collect::<Vec<_>>().join("\n");
    Ok(Facts {
        machine_id: machine_id.to_owned(),
        platform: format!("linux/{}", architecture(machine)),
        node: printable(node, 100),
        instance: printable(&format!("{node} {boot_id} {namespace}"), 300),
        ahead,
        os: parse_os_release(os.as_bytes()),
        managers: match unattended {
            "" | "0" => Vec::new(),
            _ => vec![HostManager::UnattendedUpgrades],
        },
    })
}

/// The kernel's word for an architecture in the words of images.
fn architecture(machine: &str) -> String {
    match machine {
        "x86_64" => "amd64".to_owned(),
        "aarch64" => "arm64".to_owned(),
        "i386" | "i586" | "i686" => "386".to_owned(),
        "armv7l" => "arm/v7".to_owned(),
        "armv6l" => "arm/v6".to_owned(),
        other => printable(other, 40),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn told(system: &str, id: &str, date: &str) -> Result<Facts, String> {
        told_with("", system, id, date)
    }

    fn told_with(unattended: &str, system: &str, id: &str, date: &str) -> Result<Facts, String> {
        let answer = format!(
            "{system}\nx86_64\nweb01\n{date}\n{id}\nboot\n{unattended}\npid:[4026531836]\nID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian 12\"\n"
        );
        read(&answer, "web", at(100), at(102)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_machine_says_who_it_is() {
        let facts = told("Linux", ID, "101").unwrap();
        assert_eq!((&*facts.machine_id, &*facts.platform, &*facts.node), (ID, "linux/amd64", "web01"));
        assert_eq!(facts.instance, "web01 boot pid:[4026531836]");
        assert_eq!(facts.os.unwrap().pretty_name, "Debian 12");
        assert_eq!(facts.ahead, SignedDuration::ZERO);
        assert_eq!(told("Linux", ID, "40").unwrap().ahead, SignedDuration::from_secs(-60));
        assert_eq!(told("Linux", ID, "162").unwrap().ahead, SignedDuration::from_secs(60));
    }

    #[test]
    fn what_else_updates_it_is_told_where_it_is_on() {
        let managers = |unattended| told_with(unattended, "Linux", ID, "101").unwrap().managers;
        assert_eq!(managers("1"), [HostManager::UnattendedUpgrades]);
        assert_eq!((managers(""), managers("0")), (Vec::new(), Vec::new()));
    }

    #[test]
    fn what_stays_true_is_read_as_it_was_written() {
        let facts = told("Linux", ID, "101").unwrap();
        let recalled = Facts::recall(&facts.known()).unwrap();
        assert_eq!(recalled, Facts { instance: String::new(), ..facts.clone() });
        let nameless = Facts { os: None, ..facts };
        assert_eq!(Facts::recall(&nameless.known()).unwrap().os, None);
        assert_eq!(Facts::recall("something else"), None);
    }

    #[test]
    fn what_cannot_be_patched_is_told_by_name() {
        for (system, id, date, words) in [
            ("MINGW64_NT-10.0", ID, "1", "web refused: it runs Windows"),
            ("FreeBSD", ID, "1", "web refused: it runs FreeBSD, and this release patches Linux only"),
            ("Linux", "", "1", "web refused: it bears no machine-id"),
            ("Linux", "uninitialized", "1", "web refused: it bears no machine-id"),
            ("Linux", &ID.to_uppercase(), "1", "web refused: it bears no machine-id"),
            ("Linux", ID, "noon", "web refused: its clock says noon"),
        ] {
            let told = told(system, id, date).unwrap_err();
            assert!(told.starts_with(words), "{told}");
        }
    }
}
