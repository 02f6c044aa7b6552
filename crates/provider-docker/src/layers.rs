//! A container's files where its engine keeps them: folders on this machine, read without asking the engine.
//!
//! What cannot be seen is told as not seen, never as not there: an engine elsewhere, another way of keeping layers than overlay2, a folder
//! that is closed to us. The rules are those of the kernel's overlay file system (Documentation/filesystems/overlayfs.rst).

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::DockerProvider;
use crate::read::json::text;
use crate::room::is_local;

/// Extended attributes of a folder in a writable layer that hides or replaces the image's.
const HIDES: [&str; 4] =
    ["trusted.overlay.opaque", "trusted.overlay.redirect", "user.overlay.opaque", "user.overlay.redirect"];
/// The most symbolic links on the way to a place, as in the kernel.
const LINKS: usize = 40;
/// The most entries of a writable layer that are looked at: beyond, the engine may as well be asked.
const ENTRIES: usize = 2000;

/// Where an engine keeps a container's files.
pub(crate) struct Layers {
    /// Its writable layer.
    upper: PathBuf,
    /// Its image's, from the top.
    lowers: Vec<PathBuf>,
}

impl Layers {
    /// Of a container, by its inspect document; `None` when they are not to be seen from here.
    pub fn seen(docker: &DockerProvider, container: &Value) -> Option<Self> {
        is_local(docker).then(|| Self::of(container)).flatten()
    }

    /// Of a container that is made of these folders.
    #[cfg(test)]
    pub fn at(upper: PathBuf, image: PathBuf) -> Self {
        Self { upper, lowers: vec![image] }
    }

    fn of(container: &Value) -> Option<Self> {
        let driver = &container["GraphDriver"];
        if driver["Name"].as_str() != Some("overlay2") {
            return None;
        }
        let upper = PathBuf::from(driver["Data"]["UpperDir"].as_str()?);
        let lowers: Vec<PathBuf> = text(&driver["Data"]["LowerDir"]).split(':').map(PathBuf::from).collect();
        // A socket may be another machine's, forwarded: its folders are not here.
        let are_here = lowers.iter().chain([&upper]).all(|layer| layer.is_absolute() && layer.is_dir());
        are_here.then_some(Self { upper, lowers })
    }

    /// Whether the container may have anything of its own at a place or above it, links followed. In doubt, it may.
    pub fn may_have_own(&self, place: &str) -> bool {
        let mut at = PathBuf::new();
        let mut ahead: VecDeque<String> = parts(place);
        let mut links = 0;
        while let Some(part) = ahead.pop_front() {
            if part == ".." {
                at.pop();
                continue;
            }
            let next = at.join(&part);
            match kind(&self.upper.join(&next)) {
                Ok(None) => {}
                // Something in it has changed, maybe something else.
                Ok(Some(Kind::Folder)) if !ahead.is_empty() && !hides(&self.upper.join(&next)) => {}
                _ => return true,
            }
            match self.in_image(&next) {
                Ok(Some(Kind::Link(target))) => {
                    links += 1;
                    if links > LINKS {
                        return true;
                    }
                    if target.starts_with('/') {
                        at = PathBuf::new();
                    }
                    for part in parts(&target).into_iter().rev() {
                        ahead.push_front(part);
                    }
                }
                Ok(_) => at = next,
                Err(_) => return true,
            }
        }
        false
    }

    /// Whether the writable layer has nothing that counts: `judge` is told of everything in it, from the top. In doubt, it has.
    pub fn holds_nothing(&self, mut judge: impl FnMut(&str, &Entry<'_>) -> Verdict) -> bool {
        let mut folders = vec![PathBuf::new()];
        let mut looked_at = 0;
        while let Some(folder) = folders.pop() {
            let Ok(entries) = self.upper.join(&folder).read_dir() else { return false };
            for entry in entries {
                looked_at += 1;
                let Ok(entry) = entry else { return false };
                let path = folder.join(entry.file_name());
                let Some(text) = path.to_str() else { return false };
                if looked_at > ENTRIES {
                    return false;
                }
                match judge(&format!("/{text}"), &Entry { layers: self, path: &path }) {
                    Verdict::Counts => return false,
                    Verdict::Nothing => {}
                    Verdict::LookInside => folders.push(path),
                }
            }
        }
        true
    }

    /// What the image has there, by the first of its layers that has anything.
    fn in_image(&self, path: &Path) -> std::io::Result<Option<Kind>> {
        for lower in &self.lowers {
            if let Some(kind) = kind(&lower.join(path))? {
                return Ok(Some(kind));
            }
        }
        Ok(None)
    }
}

/// What becomes of an entry of a writable layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The layer holds something.
    Counts,
    /// Neither this nor what is in it counts.
    Nothing,
    /// What is in this folder is to be judged.
    LookInside,
}

/// Something in a writable layer.
pub(crate) struct Entry<'a> {
    layers: &'a Layers,
    path: &'a Path,
}

impl Entry<'_> {
    /// Whether it is a folder that adds to the image's, if that has one, and hides nothing of it.
    pub fn is_folder(&self) -> bool {
        let path = self.layers.upper.join(self.path);
        matches!(kind(&path), Ok(Some(Kind::Folder))) && !hides(&path)
    }

    /// Whether the image has a folder there with the same owner and mode.
    pub fn is_as_in_image(&self) -> bool {
        let of = |layer: &PathBuf| layer.join(self.path).symlink_metadata().ok();
        let Some(image) = self.layers.lowers.iter().find_map(of) else { return false };
        of(&self.layers.upper)
            .is_some_and(|own| (own.mode(), own.uid(), own.gid()) == (image.mode(), image.uid(), image.gid()))
    }
}

#[derive(Debug)]
enum Kind {
    Folder,
    Link(String),
    Other,
}

fn kind(path: &Path) -> std::io::Result<Option<Kind>> {
    let found = match path.symlink_metadata() {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        found => found?.file_type(),
    };
    Ok(Some(match (found.is_dir(), found.is_symlink()) {
        (true, _) => Kind::Folder,
        (_, true) => Kind::Link(path.read_link()?.to_string_lossy().into_owned()),
        _ => Kind::Other,
    }))
}

fn hides(folder: &Path) -> bool {
    let lacks = |name: &str| {
        matches!(rustix::fs::lgetxattr(folder, name, &mut [0_u8; 256]), Err(rustix::io::Errno::NODATA))
    };
    !HIDES.into_iter().all(lacks)
}

fn parts(path: &str) -> VecDeque<String> {
    path.split('/').filter(|part| !matches!(*part, "" | ".")).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn layers() -> (tempfile::TempDir, Layers) {
        let folder = tempfile::tempdir().unwrap();
        let layers = Layers {
            upper: folder.path().join("upper"),
            lowers: vec![folder.path().join("over"), folder.path().join("base")],
        };
        for place in ["upper", "over", "base/var/lib/dpkg", "base/usr/lib"] {
            std::fs::create_dir_all(folder.path().join(place)).unwrap();
        }
        (folder, layers)
    }

    #[test]
    fn only_what_is_written_at_a_place_or_stands_in_its_way_counts() {
        let (folder, layers) = layers();
        let own = |place| layers.may_have_own(place);
        assert!(!own("/var/lib/dpkg") && !own("/etc/apt"));
        std::fs::create_dir_all(folder.path().join("upper/var/lib/other")).unwrap();
        assert!(!own("/var/lib/dpkg"));
        std::fs::create_dir(folder.path().join("upper/var/lib/dpkg")).unwrap();
        assert!(own("/var/lib/dpkg") && !own("/var/lib/apt/extended_states"));
        // Also what hides a deleted folder: the kernel has a device there, and we anything that is no folder.
        std::fs::write(folder.path().join("upper/etc"), "").unwrap();
        assert!(own("/etc/apt") && own("/etc/machine-id"));
    }

    #[test]
    fn a_place_is_followed_to_where_the_image_has_it() {
        let (folder, layers) = layers();
        let own = |place| layers.may_have_own(place);
        symlink("usr/lib", folder.path().join("base/lib")).unwrap();
        symlink("/srv/packages", folder.path().join("over/db")).unwrap();
        symlink("../db/dpkg", folder.path().join("base/usr/dpkg")).unwrap();
        symlink("loop", folder.path().join("base/loop")).unwrap();
        assert!(!own("/lib/apk") && !own("/usr/dpkg"));
        std::fs::create_dir_all(folder.path().join("upper/srv/packages/dpkg")).unwrap();
        assert!(own("/usr/dpkg") && own("/db/dpkg") && !own("/db/other"));
        std::fs::create_dir_all(folder.path().join("upper/usr/lib/apk")).unwrap();
        assert!(own("/lib/apk"));
        assert!(own("/loop"), "in doubt");
    }

    #[test]
    fn what_is_not_to_be_seen_is_not_taken_for_untouched() {
        let (folder, _layers) = layers();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let container = |driver: &str, upper: &str| {
            serde_json::json!({"GraphDriver": {"Name": driver, "Data": {
                "UpperDir": path(upper), "LowerDir": format!("{}:{}", path("over"), path("base"))}}})
        };
        assert!(Layers::of(&container("overlay2", "upper")).is_some());
        assert!(Layers::of(&container("overlay2", "elsewhere")).is_none());
        assert!(Layers::of(&container("btrfs", "upper")).is_none());
        assert!(Layers::of(&serde_json::json!({})).is_none());
    }
}
