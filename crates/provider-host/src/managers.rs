//! Who else updates a machine.

use std::time::Duration;

use patchyard_contract::{Command, Transport};
use patchyard_types::HostManager;

/// Prints how often apt's own timer lets unattended-upgrades work, where that is installed (apt.systemd.daily(8)).
const ASK: &str = "command -v unattended-upgrade >/dev/null && \
    apt-config dump --format '%v%n' APT::Periodic::Unattended-Upgrade; true";

/// As far as can be seen; a machine that does not say is told elsewhere.
pub(crate) async fn managers(transport: &dyn Transport) -> Vec<HostManager> {
    let asked = transport.run(Command::new(["sh", "-c", ASK]).limit(Duration::from_secs(20))).await;
    let is_on = asked.is_ok_and(|answer| !matches!(answer.stdout.trim_ascii(), b"" | b"0"));
    if is_on { vec![HostManager::UnattendedUpgrades] } else { Vec::new() }
}
