//! What a machine needs after a patch, asked of its kernel and its files; and doing it.

use std::collections::BTreeMap;

use patchyard_assess::needs::{self, Needs, Owner};
use patchyard_contract::{Command, Transport};
use patchyard_types::printable;

use crate::GuestError;

/// The most of the answer about mapped files, in bytes: only those that are gone are in it.
const MAPS: usize = 64 * 1024 * 1024;
/// How many processes are asked about at once.
const AT_ONCE: usize = 500;

/// Lines of everybody's maps that are of deleted files. Processes may end meanwhile.
const DELETED: &str = "grep -sH -F ' (deleted)' /proc/[0-9]*/maps; [ $? -le 2 ]";
/// sh … PID…: of each that lives in the same process namespace, `process PID` and its control groups. Others are in
/// containers, which are targets of their own.
const GROUPS: &str = "own=$(readlink /proc/$$/ns/pid); for pid; do \
    [ \"$(readlink \"/proc/$pid/ns/pid\" 2>/dev/null)\" = \"$own\" ] || continue; \
    echo \"process $pid\"; cat \"/proc/$pid/cgroup\" 2>/dev/null; done; true";
/// What says that a reboot is wanted, a section each.
const REBOOT: &str = "uname -r; echo '--'; ls /boot 2>/dev/null; echo '--'; \
    if [ -e /run/reboot-required ]; then echo wanted; head -c 65536 /run/reboot-required.pkgs 2>/dev/null; fi; true";

/// Asks what the machine needs.
///
/// # Errors
/// When the machine cannot be reached or does not answer.
pub async fn ask(transport: &dyn Transport) -> Result<Needs, GuestError> {
    let maps = run(transport, Command::new(["sh", "-c", DELETED]).most(MAPS)).await?;
    let replaced = needs::replaced(&maps);
    let pids: Vec<String> = replaced.keys().map(u32::to_string).collect();
    let mut owners = BTreeMap::new();
    for some in pids.chunks(AT_ONCE) {
        let argv = ["sh", "-c", GROUPS, "sh"].into_iter().chain(some.iter().map(String::as_str));
        owners.extend(owners_in(&String::from_utf8_lossy(&run(transport, Command::new(argv)).await?)));
    }
    let reboot = run(transport, Command::new(["sh", "-c", REBOOT])).await?;
    Ok(needs::needs(&replaced, &owners, reasons(&String::from_utf8_lossy(&reboot))))
}

/// Restarts services, as systemd does it: in their order, each with those that depend on it.
///
/// # Errors
/// When one of them does not start; its name is in the words.
pub async fn restart(transport: &dyn Transport, services: &[String], init: bool) -> Result<(), GuestError> {
    if init {
        run(transport, Command::new(["systemctl", "daemon-reexec"])).await?;
    }
    for service in services {
        run(
            transport,
            Command::new(["systemctl", "restart", "--", service]).limit(std::time::Duration::from_secs(300)),
        )
        .await?;
    }
    Ok(())
}

async fn run(transport: &dyn Transport, command: Command) -> Result<Vec<u8>, GuestError> {
    let program = command.argv.join(" ");
    let output = transport.run(command).await?;
    if output.success() {
        return Ok(output.stdout);
    }
    Err(GuestError::Failed {
        host: transport.host().to_owned(),
        program: printable(&program, 100),
        code: output.code,
        words: printable(String::from_utf8_lossy(&output.stderr).trim(), 400),
    })
}

fn owners_in(text: &str) -> BTreeMap<u32, Owner> {
    let processes = text.split("process ").filter_map(|part| {
        let (pid, cgroup) = part.split_once('\n')?;
        Some((pid.parse().ok()?, needs::owner(cgroup)))
    });
    processes.collect()
}

fn reasons(text: &str) -> Vec<String> {
    let mut parts = text.split("--\n");
    let mut next = || parts.next().unwrap_or_default();
    let running = next().trim();
    let boot: Vec<&str> = next().lines().collect();
    let wanted: Vec<&str> = next().lines().collect();
    let mut reasons = Vec::new();
    if let Some(newest) = needs::newer_kernel(running, &boot) {
        reasons.push(format!(
            "kernel {} is installed, {} runs",
            printable(newest, 80),
            printable(running, 80)
        ));
    }
    if let [_, packages @ ..] = &wanted[..] {
        let packages = packages.join(", ");
        let words = if packages.is_empty() {
            "/run/reboot-required is there".to_owned()
        } else {
            format!("packages want it: {packages}")
        };
        reasons.push(printable(&words, 400));
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_to_reboot_are_told() {
        assert!(reasons("6.1.0-9-amd64\n--\n--\n").is_empty());
        let all = "6.1.0-9-amd64\n--\nvmlinuz-6.1.0-9-amd64\nvmlinuz-6.1.0-10-amd64\n--\nwanted\nlinux-image\ndbus\n";
        assert_eq!(
            reasons(all),
            ["kernel 6.1.0-10-amd64 is installed, 6.1.0-9-amd64 runs", "packages want it: linux-image, dbus"]
        );
        assert_eq!(reasons("6\n--\n--\nwanted\n"), ["/run/reboot-required is there"]);
    }
}
