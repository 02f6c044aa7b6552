//! Tags: which of them follow their image, and once whose runs have succeeded.

use std::collections::{BTreeMap, BTreeSet};

use patchyard_types::{Action, HostId, Method, TagMove, Target, printable};

use crate::lint::is_argument;

/// Whether a reference is a tag at all: a digest or a bare image id names one image for ever, and what no
/// command would take for a name is none.
pub fn is_tag(reference: &str) -> bool {
    is_argument(reference) && !reference.contains('@') && !reference.starts_with("sha256:")
}

/// The tags that follow when everything succeeds, sorted, and remarks on those that do not.
///
/// A tag follows when every target that runs its image on that host is in the plan, with the same
/// patch set: whoever is left out must not get the patched image by the back door when somebody
/// recreates it.
pub fn follow<'a>(
    actions: &[Action],
    everyone: impl Iterator<Item = &'a Target>,
) -> (Vec<TagMove>, Vec<String>) {
    let mut running: BTreeMap<(&HostId, &str, &str), Vec<&Target>> = BTreeMap::new();
    for target in everyone {
        let image = &target.image;
        running.entry((&target.host, &image.reference, &image.id)).or_default().push(target);
    }
    let mut planned: BTreeMap<(&HostId, &str, &str), Vec<usize>> = BTreeMap::new();
    // Swarm's nodes take images by their digests: no tag on a host leads them.
    for (index, action) in actions.iter().enumerate().filter(|(_, action)| action.kind.is_container()) {
        let expected = &action.expected;
        planned.entry((&action.host, &expected.reference, &expected.image)).or_default().push(index);
    }
    let (mut tags, mut notes) = (Vec::new(), BTreeSet::new());
    for ((host, reference, image), after) in planned {
        let shown = printable(reference, 200);
        if !is_tag(reference) {
            if actions[after[0]].method == Method::Layer {
                notes.insert(format!(
                    "{shown} is no tag and cannot move: whoever recreates its containers gets the unpatched image"
                ));
            }
            continue;
        }
        let set = actions[after[0]].patch_set;
        if after.iter().any(|index| actions[*index].patch_set != set) {
            notes.insert(format!("the tag {shown} stays: its containers differ and get different patches"));
            continue;
        }
        let all = running.get(&(host, reference, image)).map_or(0, Vec::len);
        if all > after.len() {
            notes.insert(format!(
                "the tag {shown} stays: {} of {all} of its containers are not in this plan",
                all - after.len()
            ));
            continue;
        }
        tags.push(TagMove {
            host: host.clone(),
            reference: reference.to_owned(),
            from: image.to_owned(),
            patch_set: set,
            image: None,
            after,
        });
    }
    tags.sort_unstable();
    (tags, notes.into_iter().collect())
}
