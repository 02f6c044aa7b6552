//! Which machines a server has, and the way into each.

use std::path::Path;
use std::sync::Arc;

use patchyard_contract::KeptMachine;

use crate::{Client, IncusError, Instance, InstanceKeeper, InstanceTransport};

/// All instances of all projects, those that do not run among them, by name. `socket` is the server's.
///
/// # Errors
/// When the server does not answer, or does not let us in.
pub async fn machines(socket: &Path) -> Result<Vec<KeptMachine>, IncusError> {
    let client = Client::connect(Some(socket)).await?;
    let instances = client.instances().await?;
    Ok(instances.into_iter().map(|instance| machine(&client, instance)).collect())
}

fn machine(client: &Client, instance: Instance) -> KeptMachine {
    let name = instance.name.to_string();
    let barred = (!instance.is_running()).then(|| barred(&instance.status));
    let way = Arc::new(InstanceTransport::new(client.clone(), instance.name.clone(), &name));
    let keeper = Arc::new(InstanceKeeper::new(client.clone(), instance.name));
    // Older servers give none; a name is as good until it is changed.
    let id = instance.uuid.unwrap_or_else(|| name.clone());
    KeptMachine { name, id, labels: instance.labels, way, barred, keeper, no_snapshot: None }
}

/// Why there is no way into an instance, by how its server says it is.
fn barred(status: &str) -> String {
    match status {
        "Stopped" => "it is stopped: incus start (LXD: lxc start) starts it".to_owned(),
        "Frozen" => "it is frozen: incus start (LXD: lxc start) lets it go on".to_owned(),
        other => format!("its server says that it is {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::barred;

    #[test]
    fn who_does_not_run_is_told_with_what_to_do() {
        for (status, words) in [
            ("Stopped", "it is stopped: incus start"),
            ("Frozen", "it is frozen: incus start"),
            ("Error", "its server says that it is Error"),
        ] {
            let told = barred(status);
            assert!(told.starts_with(words), "{told}");
        }
    }
}
