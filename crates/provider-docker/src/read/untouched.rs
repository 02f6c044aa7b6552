//! Whether a container still has what its image has, where package managers keep what they know.
//!
//! Reading a file through the engine costs it some hundredths of a second, and forty containers of one image
//! have the same files, all but those in their writable layers. Where these can be seen they are looked at; what cannot be seen is
//! never taken for untouched.

use serde_json::Value;

use crate::DockerProvider;
use crate::layers::Layers;
use crate::unsaved::places;
use crate::view::{PLACES, is_at_places};

/// Whether a container, by its inspect document, has its image's files at all places of package managers.
pub(crate) fn is_untouched(docker: &DockerProvider, container: &Value) -> bool {
    !places(container).into_iter().any(is_at_places)
        && Layers::seen(docker, container)
            .is_some_and(|layers| !PLACES.iter().any(|place| layers.may_have_own(place)))
}
