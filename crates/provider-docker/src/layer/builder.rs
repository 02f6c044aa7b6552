//! A builder: a throw-away container of the base image in which the package manager works, without
//! network, gone afterwards whatever happens.

use std::time::Duration;

use patchyard_assess::deb::{Layout, Status, StatusReader};
use serde_json::json;

use crate::client::{ApiError, Client, Exec, ExecOutput};
use crate::names::{LABEL_CONTROLLER, LABEL_ROLE, ROLE_BUILD};

/// Where programs are, whatever the image's environment says: package scripts need all of them.
pub(super) const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The dpkg database.
const STATUS: &str = "/var/lib/dpkg/status";

/// The most output of a command that is kept.
const OUTPUT: usize = 1024 * 1024;

/// A builder. Dropping it removes the container, in the background.
pub(super) struct Builder<'a> {
    client: &'a Client,
    id: String,
    gone: bool,
}

impl<'a> Builder<'a> {
    /// Makes a builder of an image; one of the same name that a crash has left is removed first.
    pub async fn create(
        client: &'a Client,
        name: &str,
        image: &str,
        controller: &str,
    ) -> Result<Builder<'a>, ApiError> {
        remove(client, name).await?;
        let body = json!({
            "Image": image,
            // Waits to be told what to do. Debian's images have it: coreutils is essential.
            "Entrypoint": ["sleep"],
            "Cmd": ["infinity"],
            "User": "0:0",
            "WorkingDir": "/",
            "Env": [PATH],
            "Healthcheck": {"Test": ["NONE"]},
            "Labels": {LABEL_CONTROLLER: controller, LABEL_ROLE: ROLE_BUILD},
            "HostConfig": {
                "NetworkMode": "none",
                "RestartPolicy": {"Name": "no"},
                "LogConfig": {"Type": "none"},
                // Package scripts are strangers: enough for them to work, too little to harm the host.
                "PidsLimit": 2048,
            },
        });
        let created =
            client.post(&["containers", "create"]).query("name", name).json_body(&body).json().await?;
        let id = created["Id"].as_str().ok_or_else(|| ApiError::protocol("a container without Id"))?;
        Ok(Builder { client, id: id.to_owned(), gone: false })
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    pub fn client(&self) -> &'a Client {
        self.client
    }

    pub async fn start(&self) -> Result<(), ApiError> {
        self.client.post(&["containers", &self.id, "start"]).done().await
    }

    /// Ends everything in it at once; its file system stays.
    pub async fn kill(&self) -> Result<(), ApiError> {
        self.client.post(&["containers", &self.id, "kill"]).done().await?;
        // The engine answers when the signal is sent: the file system is still when it has ended.
        let wait = self.client.post(&["containers", &self.id, "wait"]).timeout(Duration::from_secs(60));
        wait.json().await.map(|_| ())
    }

    /// Runs a command as root.
    pub async fn run(
        &self,
        argv: &[&str],
        env: &[String],
        timeout: Duration,
    ) -> Result<ExecOutput, ApiError> {
        let exec =
            Exec { user: Some("0:0"), env, workdir: Some("/"), timeout, limit: OUTPUT, ..Exec::new(argv) };
        self.client.exec(&self.id, &exec).await
    }

    /// What its package database says.
    pub async fn status(&self) -> Result<Option<Status>, ApiError> {
        read_status(self.client, &self.id).await
    }

    /// The bytes in its writable layer.
    pub async fn size(&self) -> Result<u64, ApiError> {
        let sized = self.client.get(&["containers", &self.id, "json"]).query("size", "1").json().await?;
        sized["SizeRw"].as_u64().ok_or_else(|| ApiError::protocol("a container without SizeRw"))
    }

    /// Removes it, and waits for that.
    pub async fn remove(mut self) -> Result<(), ApiError> {
        self.gone = true;
        remove(self.client, &self.id).await
    }
}

impl Drop for Builder<'_> {
    fn drop(&mut self) {
        if self.gone {
            return;
        }
        // Given up in the middle: a package script may hang in there. What this misses, because the
        // process ends too, the next build of the same set or `gc` removes.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (client, id) = (self.client.clone(), self.id.clone());
            runtime.spawn(async move { remove(&client, &id).await });
        }
    }
}

/// Removes a builder with the volumes its image made it have: they are nobody else's.
async fn remove(client: &Client, name: &str) -> Result<(), ApiError> {
    match client.delete(&["containers", name]).query("v", "1").query("force", "1").done().await {
        Err(error) if error.is_not_found() => Ok(()),
        removed => removed,
    }
}

/// The package database of a container, running or not; `None` where there is none.
pub(super) async fn read_status(client: &Client, container: &str) -> Result<Option<Status>, ApiError> {
    let mut archive = match client.archive(container, STATUS).await {
        Err(error) if error.is_not_found() => return Ok(None),
        archive => archive?,
    };
    if archive.next().await?.is_none() {
        return Ok(None);
    }
    let mut reader = StatusReader::new(Layout::Status);
    let unreadable = |error: patchyard_assess::deb::StatusError| ApiError::protocol(error.to_string());
    while let Some(piece) = archive.chunk().await? {
        reader.push(&piece).map_err(unreadable)?;
    }
    reader.finish().map(Some).map_err(unreadable)
}
