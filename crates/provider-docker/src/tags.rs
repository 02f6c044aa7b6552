//! Tags move, images travel: what happens to images when a rollout is over or reaches another host.

use std::path::Path;

use patchyard_contract::ProviderError;
use patchyard_types::{TagMove, printable};
use tokio::io::AsyncWriteExt;

use crate::DockerProvider;
use crate::client::ApiError;
use crate::layer::image;
use crate::names::short_image;

/// How long an export may be silent: the engine reads gigabytes from a disk.
const SILENCE: std::time::Duration = std::time::Duration::from_secs(600);

/// Moves a tag to an image if it still points where it did, or says why not.
pub(crate) async fn move_tag(
    docker: &DockerProvider,
    tag: &TagMove,
    image: &str,
) -> Result<Option<String>, ProviderError> {
    let shown = printable(&tag.reference, 300);
    if tag.reference.contains('@') || tag.reference.starts_with("sha256:") {
        return Ok(Some(format!("{shown} is a reference by digest: it cannot move")));
    }
    let moved = async {
        let Some(now) = docker.client.image(&tag.reference).await? else {
            return Ok(Some(format!("the tag {shown} does not exist any more")));
        };
        let now = now["Id"].as_str().unwrap_or_default();
        if now == image {
            return Ok(None);
        }
        if now != tag.from {
            let now = short_image(now);
            return Ok(Some(format!("{shown} does not point at the image that was patched but at {now}")));
        }
        if docker.client.image(image).await?.is_none() {
            return Ok(Some(format!("the image {} is not on the host", short_image(image))));
        }
        image::tag(&docker.client, image, &with_tag(&tag.reference)).await?;
        Ok(None)
    };
    moved.await.map_err(|error: ApiError| docker.error(error))
}

/// A reference with the tag that it means when it names none.
fn with_tag(reference: &str) -> String {
    let behind_slash = reference.rsplit('/').next().unwrap_or_default();
    if behind_slash.contains(':') { reference.to_owned() } else { format!("{reference}:latest") }
}

/// Writes an image to a file.
pub(crate) async fn export_image(docker: &DockerProvider, id: &str, to: &Path) -> Result<(), ProviderError> {
    let local = |error: std::io::Error| ProviderError::Local {
        reason: format!("cannot write the image to {}: {error}", to.display()),
    };
    let mut body = docker
        .client
        .get(&["images", id, "get"])
        .timeout(SILENCE)
        .stream()
        .await
        .map_err(|error| docker.error(error))?;
    let mut options = tokio::fs::OpenOptions::new();
    let mut file =
        options.write(true).create(true).truncate(true).mode(0o600).open(to).await.map_err(local)?;
    while let Some(piece) = body.chunk().await.map_err(|error| docker.error(error))? {
        file.write_all(&piece).await.map_err(local)?;
    }
    file.flush().await.map_err(local)
}

#[cfg(test)]
mod tests {
    use super::with_tag;

    #[test]
    fn a_reference_without_tag_means_latest() {
        assert_eq!(with_tag("nginx"), "nginx:latest");
        assert_eq!(with_tag("reg:5000/nginx"), "reg:5000/nginx:latest");
        assert_eq!(with_tag("reg:5000/nginx:1"), "reg:5000/nginx:1");
    }
}
