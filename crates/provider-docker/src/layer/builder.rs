//! A builder: a throw-away container of the base image whose only process is the package manager,
//! without network, gone afterwards whatever happens.
//!
//! The package manager's cache is a volume of the builder's own. What is uploaded, and what the package
//! manager puts beside it, lies there: it is never part of the layer, and goes with the builder.

use std::time::Duration;

use patchyard_types::FailureKind;
use serde_json::{Value, json};

use super::words::{Output, Tail};
use crate::DockerProvider;
use crate::client::{ApiError, Client};
use crate::helpers::{Guard, remove_with_commits};
use crate::names::{ROLE_BUILD, labels_of_running};
use crate::read::json::text;
use crate::swap::{Trouble, failed};

/// The most that a package manager may print, in bytes; a whole release upgrade prints less than 4 MiB.
const OUTPUT: u64 = 16 * 1024 * 1024;

/// What a builder is for.
pub(super) struct Job<'a> {
    /// The package manager and its arguments.
    pub command: &'a [String],
    /// Its environment, on top of the image's.
    pub environment: &'a [String],
    /// The folder of its cache.
    pub cache: &'a str,
}

/// A builder.
pub(super) struct Builder {
    guard: Guard,
}

impl Builder {
    /// Makes a builder of an image; what a crash has left of one of the same name is removed first.
    pub async fn create(
        docker: &DockerProvider,
        name: &str,
        base: &Value,
        job: &Job<'_>,
    ) -> Result<Self, ApiError> {
        remove_with_commits(docker, name).await;
        let guard = Guard::with_commits(docker, name.to_owned());
        guard.create(request(&docker.options.controller, base, job)).await?;
        Ok(Self { guard })
    }

    /// Its name, which the engine takes for its id.
    pub fn name(&self) -> &str {
        self.guard.name()
    }

    /// Who has made it.
    pub fn docker(&self) -> &DockerProvider {
        self.guard.docker()
    }

    /// The engine it is on.
    pub fn client(&self) -> &Client {
        &self.guard.docker().client
    }

    /// Lets the package manager work until it ends. `quiet` is the longest it may
    /// print nothing.
    ///
    /// # Errors
    /// When it prints without end, or nothing for too long.
    pub async fn run(&self, quiet: Duration) -> Result<Output, Trouble> {
        let attach = self.client().post(&["containers", self.name(), "attach"]);
        let attach = attach.query("stream", "1").query("stdout", "1").query("stderr", "1").timeout(quiet);
        let mut said = attach.stream().await?;
        self.client().post(&["containers", self.name(), "start"]).done().await?;
        let mut tail = Tail::new(OUTPUT);
        let mut header = [0; 8];
        while said.fill(&mut header).await.map_err(|error| silent(error, quiet))? {
            let [0..=3, 0, 0, 0, length @ ..] = header else {
                return Err(ApiError::protocol("an output frame without its header").into());
            };
            let mut left = u32::from_be_bytes(length) as usize;
            while left > 0 {
                let piece = said.chunk_up_to(left).await.map_err(|error| silent(error, quiet))?;
                let Some(piece) = piece else { break };
                left -= piece.len();
                tail.push(&piece)?;
            }
        }
        // The output ends a moment before the engine has seen the process end.
        let wait = self.client().post(&["containers", self.name(), "wait"]).timeout(quiet).json().await?;
        let exit =
            wait["StatusCode"].as_i64().ok_or_else(|| ApiError::protocol("a wait without StatusCode"))?;
        Ok(Output { exit, tail })
    }

    /// The bytes in its writable layer.
    pub async fn size(&self) -> Result<u64, ApiError> {
        let sized = self.client().get(&["containers", self.name(), "json"]).query("size", "1");
        let sized = sized.timeout(Duration::from_secs(300)).json().await?;
        sized["SizeRw"].as_u64().ok_or_else(|| ApiError::protocol("a container without SizeRw"))
    }

    /// Removes the container and waits until it is gone; what was committed of it stays for now.
    pub async fn remove_container(&self) {
        self.guard.remove_container().await;
    }

    /// Its container has been removed, and nothing was committed that nobody knows of.
    pub fn release(self) {
        self.guard.release();
    }

    /// Removes the container and what was committed of it, as far as they are still there. Dropping does
    /// the same without waiting: a package script may hang in there.
    pub async fn finish(self) {
        self.guard.finish().await;
    }
}

fn silent(error: ApiError, quiet: Duration) -> Trouble {
    match error {
        ApiError::Timeout { .. } => {
            let message = format!("the package manager did nothing for {} s", quiet.as_secs());
            failed(FailureKind::Timeout, message)
        }
        error => error.into(),
    }
}

/// The create request. Pure: everything it is made of comes in.
fn request(controller: &str, base: &Value, job: &Job<'_>) -> Value {
    json!({
        "Image": text(&base["Id"]),
        "Entrypoint": job.command.get(..1),
        "Cmd": job.command.get(1..),
        "User": "0:0",
        "WorkingDir": "/",
        "Env": job.environment,
        "Healthcheck": {"Test": ["NONE"]},
        "StopSignal": "SIGKILL",
        "Labels": labels_of_running(base, controller, ROLE_BUILD),
        "HostConfig": {
            "NetworkMode": "none",
            "RestartPolicy": {"Name": "no"},
            "LogConfig": {"Type": "none", "Config": {}},
            // The volume starts empty: nothing is copied that nobody needs.
            "Mounts": [{"Type": "volume", "Target": job.cache, "VolumeOptions": {"NoCopy": true}}],
            // Package scripts are strangers: enough for them to work, too little to fork without end.
            "PidsLimit": 2048,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_image_but_its_files_and_environment_is_left_in_a_builder() {
        let base = json!({"Id": "sha256:b", "Config": {
            "Labels": {"traefik.enable": "true"}, "User": "nobody", "Entrypoint": ["app"], "Cmd": ["serve"],
        }});
        let command = ["apt-get".to_owned(), "install".to_owned()];
        let job = Job { command: &command, environment: &["A=1".to_owned()], cache: "/var/cache/apt" };
        let request = request("1a2b", &base, &job);
        assert_eq!(request["Entrypoint"], json!(["apt-get"]));
        assert_eq!(request["Cmd"], json!(["install"]));
        assert_eq!((&request["User"], &request["Image"]), (&json!("0:0"), &json!("sha256:b")));
        assert_eq!(request["Labels"]["traefik.enable"], "");
        assert_eq!(request["HostConfig"]["NetworkMode"], "none");
    }
}
