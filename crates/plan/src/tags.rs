//! Tags: which of them follow their image, and once whose runs have succeeded.

use std::collections::{BTreeMap, BTreeSet};

use patchyard_types::{Action, HostId, Method, TagMove, Target, TargetState, printable};

use crate::lint::is_argument;
use crate::planner::some_of;

/// Whether a reference is a tag at all: a digest or a bare image id names one image for ever, and what no
/// command would take for a name is none.
pub fn is_tag(reference: &str) -> bool {
    is_argument(reference) && !reference.contains('@') && !reference.starts_with("sha256:")
}

/// Whether its owner wants it left alone.
type Excluded = bool;

/// Whether a target keeps a tag at the image it has. Who does not run has no use for an image before it is made
/// again, or started again, which goes by the image's id.
pub fn holds(target: &Target) -> bool {
    !matches!(target.state, TargetState::Created | TargetState::Exited | TargetState::Dead)
}

/// The tags that follow when everything succeeds, sorted, and remarks on those that do not.
///
/// A tag follows when every target that runs its image on that host is in the plan, with the same
/// patch set: whoever is left out must not get the patched image by the back door when somebody
/// recreates it. Who has ended gets it there, as a project's migration does with the services it is for; not who was excluded.
pub fn follow<'a>(
    actions: &[Action],
    everyone: impl Iterator<Item = (&'a Target, Excluded)>,
) -> (Vec<TagMove>, Vec<String>) {
    let mut running: BTreeMap<(&HostId, &str, &str), usize> = BTreeMap::new();
    let mut ended: BTreeMap<(&HostId, &str, &str), Vec<&str>> = BTreeMap::new();
    for (target, excluded) in everyone {
        let key = (&target.host, &*target.image.reference, &*target.image.id);
        if excluded || holds(target) {
            *running.entry(key).or_insert(0) += 1;
        } else {
            ended.entry(key).or_default().push(&target.name);
        }
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
        let all = running.get(&(host, reference, image)).copied().unwrap_or(0);
        if all > after.len() {
            notes.insert(format!(
                "the tag {shown} stays: {} of {all} of its containers are not in this plan",
                all - after.len()
            ));
            continue;
        }
        if let Some(names) = ended.get(&(host, reference, image)) {
            notes.insert(format!(
                "the tag {shown} moves once its containers that run are patched: made again, {} gets the patched image too",
                some_of(names)
            ));
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
