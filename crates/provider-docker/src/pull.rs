//! Method `image`: the planned digest from its registry, before anything stops. The tag stays where
//! it is.

use std::collections::BTreeMap;
use std::time::Duration;

use patchyard_types::{Change, Failure, FailureKind, Record, StepError, printable};
use serde_json::Value;

use crate::client::ApiError;
use crate::layer::image;
use crate::read::reference::Reference;
use crate::swap::{Run, Trouble, failed, image_size};
use crate::{names, registry};

/// How long a pull may take between two signs of life.
const SILENCE: Duration = Duration::from_secs(600);

pub(crate) async fn prepare(run: &Run<'_>) -> Result<Record, Trouble> {
    let by_digest = by_digest(run)?;
    if run.client().image(&by_digest.whole()).await?.is_none() {
        pull(run, &by_digest).await?;
    }
    let found = run.client().image(&by_digest.whole()).await?;
    let found = found
        .ok_or_else(|| failed(FailureKind::Host, "the image is not on the host although it was pulled"))?;
    let id = found["Id"].as_str().unwrap_or_default();
    // Unlike a layer, a pulled image bears no label of ours: a tag has to say whose it is.
    image::tag(run.client(), id, &names::base_tag(&run.docker.options.controller, id)).await?;
    let tag = names::patched_tag(&run.action.expected.reference, &run.action.patch_set);
    image::tag(run.client(), id, &tag).await?;
    Ok(prepared(&found))
}

/// The image, if it is there and bears its tag.
pub(crate) async fn find(run: &Run<'_>) -> Result<Option<Record>, ApiError> {
    let Ok(by_digest) = by_digest(run) else { return Ok(None) };
    let tag = names::patched_tag(&run.action.expected.reference, &run.action.patch_set);
    let (found, tagged) = (run.client().image(&by_digest.whole()).await?, run.client().image(&tag).await?);
    Ok(match (found, tagged) {
        (Some(found), Some(tagged)) if found["Id"] == tagged["Id"] => Some(prepared(&found)),
        _ => None,
    })
}

fn prepared(image: &Value) -> Record {
    Record::Prepared { image: image["Id"].as_str().unwrap_or_default().to_owned(), size: image_size(image) }
}

/// A repository and the digest to pull from it.
struct ByDigest<'a> {
    repository: &'a str,
    digest: &'a str,
}

impl ByDigest<'_> {
    fn whole(&self) -> String {
        format!("{}@{}", self.repository, self.digest)
    }
}

fn by_digest<'a>(run: &'a Run<'_>) -> Result<ByDigest<'a>, Trouble> {
    let Change::Image { reference, to, .. } = &run.set.change else {
        return Err(failed(FailureKind::Refused, "the plan's patch set names no image"));
    };
    let good = to.parse::<patchyard_types::Digest>().is_ok() && to.starts_with("sha256:");
    let repository = repository(reference);
    if !good || repository.is_empty() {
        let shown = printable(&format!("{reference}@{to}"), 300);
        return Err(failed(FailureKind::Refused, format!("'{shown}' cannot be pulled by digest")));
    }
    Ok(ByDigest { repository, digest: to })
}

/// A reference without its tag and digest: a colon behind the last slash is a tag's.
fn repository(reference: &str) -> &str {
    let name = reference.split('@').next().unwrap_or_default();
    match name.rfind(':') {
        Some(colon) if !name[colon..].contains('/') => &name[..colon],
        _ => name,
    }
}

async fn pull(run: &Run<'_>, what: &ByDigest<'_>) -> Result<(), Trouble> {
    run.note(format!("pulling {}", printable(what.repository, 100)), None);
    let mut request = run
        .client()
        .post(&["images", "create"])
        .query("fromImage", what.repository)
        .query("tag", what.digest)
        .timeout(SILENCE);
    if let Some(reference) = Reference::parse(&what.whole()) {
        let auth = registry::auth_header(run.docker, &reference).await;
        let auth =
            auth.map_err(|error| failed(FailureKind::Host, format!("the image cannot be pulled: {error}")))?;
        if let Some(auth) = auth {
            request = request.header("x-registry-auth", &auth);
        }
    }
    let mut lines = request.lines().await.map_err(refused)?;
    let mut layers = Layers::default();
    while let Some(line) = lines.next().await.map_err(refused)? {
        if let Some(part) = layers.take(&line) {
            run.note(format!("pulling {}", printable(what.repository, 100)), Some(part));
        }
    }
    Ok(())
}

/// A registry that says no speaks of itself and of the network, never of the image.
fn refused(error: ApiError) -> Trouble {
    if error.outcome_unknown() || matches!(error, ApiError::Unreachable { .. }) {
        return Trouble::Api(error);
    }
    let kind = if error.is_no_space() { FailureKind::NoSpace } else { FailureKind::Host };
    Trouble::Step(StepError::Failed(Failure::new(kind, format!("the image cannot be pulled: {error}"))))
}

/// How far the layers of a pull have come.
#[derive(Default)]
struct Layers(BTreeMap<String, (u64, u64)>);

impl Layers {
    /// The most layers that are counted; images have at most 127.
    const MOST: usize = 256;

    fn take(&mut self, line: &Value) -> Option<(u64, u64)> {
        if line["status"].as_str() != Some("Downloading") {
            return None;
        }
        let (id, progress) = (line["id"].as_str()?, &line["progressDetail"]);
        let part = (progress["current"].as_u64()?, progress["total"].as_u64()?);
        if self.0.len() < Self::MOST || self.0.contains_key(id) {
            self.0.insert(id.to_owned(), part);
        }
        Some(self.0.values().fold((0, 0), |(a, b), (c, d)| (a.saturating_add(*c), b.saturating_add(*d))))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_repository_is_what_is_left_without_tag_and_digest() {
        for (reference, expected) in [
            ("nginx", "nginx"),
            ("nginx:1.27", "nginx"),
            ("reg:5000/a/b", "reg:5000/a/b"),
            ("reg:5000/a/b:c@sha256:00", "reg:5000/a/b"),
        ] {
            assert_eq!(repository(reference), expected);
        }
    }

    #[test]
    fn progress_is_the_sum_over_layers() {
        let mut layers = Layers::default();
        let line = |id: &str, current: u64| json!({"status": "Downloading", "id": id, "progressDetail": {"current": current, "total": 10}});
        assert_eq!(layers.take(&line("a", 1)), Some((1, 10)));
        assert_eq!(layers.take(&line("b", 5)), Some((6, 20)));
        assert_eq!(layers.take(&line("a", 10)), Some((15, 20)));
        assert_eq!(layers.take(&json!({"status": "Extracting", "id": "a"})), None);
    }
}
