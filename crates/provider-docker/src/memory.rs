//! What is known of images beyond this process: what an image has never changes under its id, on no engine.

use patchyard_contract::Memory;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::DockerProvider;

/// The place of one fact about an image.
pub(crate) struct ImageMemory<'a> {
    memory: &'a dyn Memory,
    key: String,
}

impl DockerProvider {
    /// The place of a fact; a change of what is kept there takes another word for it.
    pub(crate) fn memory_of(&self, fact: &str, image: &str) -> ImageMemory<'_> {
        ImageMemory { memory: &*self.options.memory, key: format!("image-{fact}/1/{image}") }
    }
}

impl ImageMemory<'_> {
    /// What is known; nothing, too, where another version has written what cannot be read.
    pub async fn recall<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_str(&self.memory.recall(&self.key).await?).ok()
    }

    /// Keeps it.
    pub async fn remember<T: Serialize>(&self, fact: &T) {
        if let Ok(fact) = serde_json::to_string(fact) {
            self.memory.remember(&self.key, &fact).await;
        }
    }
}
