//! Who else updates the machine that the engine runs on.

use std::time::Duration;

use patchyard_types::HostManager;
use tokio::process::Command;

use crate::DockerProvider;
use crate::room::is_local;

/// How often apt's own timer lets unattended-upgrades work, in days; 0 and nothing are never
/// (apt.systemd.daily(8)).
const UNATTENDED: &str = "APT::Periodic::Unattended-Upgrade";
/// How long apt may take to tell its own configuration.
const PATIENCE: Duration = Duration::from_secs(5);

/// As far as can be seen: nobody, when the engine runs on another machine.
pub(crate) async fn host_managers(docker: &DockerProvider) -> Vec<HostManager> {
    match is_local(docker) && is_installed("unattended-upgrade") && unattended_upgrades().await {
        true => vec![HostManager::UnattendedUpgrades],
        false => Vec::new(),
    }
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

async fn unattended_upgrades() -> bool {
    let mut asked = Command::new("apt-config");
    asked.args(["dump", "--format", "%v%n", UNATTENDED]).kill_on_drop(true);
    let Ok(Ok(answer)) = tokio::time::timeout(PATIENCE, asked.output()).await else { return false };
    is_on(&String::from_utf8_lossy(&answer.stdout))
}

fn is_on(value: &str) -> bool {
    !matches!(value.trim(), "" | "0")
}

#[cfg(test)]
mod tests {
    use super::is_on;

    #[test]
    fn it_works_when_apts_timer_lets_it() {
        assert!(is_on("1\n") && is_on("7") && is_on("always\n"));
        assert!(!is_on("0\n") && !is_on("\n") && !is_on(""));
    }
}
