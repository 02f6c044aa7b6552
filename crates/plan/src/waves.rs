//! Waves: who goes at the same time as whom, and what everybody else waits for.
//!
//! Each action takes the first wave that its bounds allow. It costs about the same for every action,
//! so that a hundred thousand targets are put in order within the second a plan may take.

use std::collections::BTreeMap;

use patchyard_types::PatchSetId;

/// What decides about one action's wave.
pub struct Slot<'a> {
    /// The services it disturbs, each once.
    pub services: Vec<Part<'a>>,
    /// Its patch set.
    pub set: PatchSetId,
    /// Its group's number; groups are numbered so that each comes after what it waits for.
    pub group: usize,
}

/// What an action takes of a service's budget.
pub struct Part<'a> {
    /// The service.
    pub service: &'a str,
    /// How many targets of it are unavailable while the action goes; never more than may be.
    pub takes: usize,
    /// How many of the service may be at once.
    pub cap: usize,
}

/// Why an action is not in the first wave: the bound that put it where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wait {
    /// Its patch set has to prove itself on one target first.
    FirstAttempt,
    /// Other targets of its service go first.
    Service,
    /// What it depends on goes first.
    Dependency,
    /// Enough targets go at once already.
    Parallel,
}

/// Gives each slot its wave. Slots come in the order in which they should be served, every group
/// after the groups it waits for; `waits_for` lists those by number.
pub fn assign(slots: &[Slot<'_>], waits_for: &[Vec<usize>], parallel: usize) -> Vec<(usize, Option<Wait>)> {
    let mut waves = Room::new(parallel.max(1));
    let mut first_attempt: BTreeMap<PatchSetId, usize> = BTreeMap::new();
    // The wave each service has got to, and how many of it are in there.
    let mut services: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let mut group_ends: Vec<Option<usize>> = vec![None; waits_for.len()];
    slots
        .iter()
        .map(|slot| {
            let mut bound: (usize, Option<Wait>) = (0, None);
            let mut not_before = |wave: usize, wait: Wait| {
                if wave > bound.0 {
                    bound = (wave, Some(wait));
                }
            };
            for other in &waits_for[slot.group] {
                if let Some(end) = group_ends[*other] {
                    not_before(end + 1, Wait::Dependency);
                }
            }
            for Part { service, takes, cap } in &slot.services {
                if let Some(&(wave, count)) = services.get(service) {
                    not_before(if count + takes <= *cap { wave } else { wave + 1 }, Wait::Service);
                }
            }
            if let Some(first) = first_attempt.get(&slot.set) {
                not_before(first + 1, Wait::FirstAttempt);
            }
            let wave = waves.take(bound.0);
            let wait = if wave > bound.0 { Some(Wait::Parallel) } else { bound.1 };

            first_attempt.entry(slot.set).or_insert(wave);
            for Part { service, takes, cap: _ } in &slot.services {
                let place = services.entry(*service).or_insert((wave, 0));
                *place = if place.0 == wave { (wave, place.1 + takes) } else { (wave, *takes) };
            }
            let end = &mut group_ends[slot.group];
            *end = (*end).max(Some(wave));
            (wave, wait)
        })
        .collect()
}

/// How much room each wave has left, and the next one with any.
struct Room {
    size: usize,
    taken: Vec<usize>,
    /// For a full wave, a later one to look at; shortened whenever it is followed.
    next: Vec<usize>,
}

impl Room {
    fn new(size: usize) -> Self {
        Self { size, taken: Vec::new(), next: Vec::new() }
    }

    /// Takes a place in the first wave from `from` on that has one.
    fn take(&mut self, from: usize) -> usize {
        let wave = self.find(from);
        self.taken[wave] += 1;
        if self.taken[wave] == self.size {
            self.next[wave] = wave + 1;
        }
        wave
    }

    fn find(&mut self, from: usize) -> usize {
        let mut wave = from;
        self.grow(wave);
        while self.next[wave] != wave {
            wave = self.next[wave];
            self.grow(wave);
        }
        let mut at = from;
        while at != wave {
            at = std::mem::replace(&mut self.next[at], wave);
        }
        wave
    }

    fn grow(&mut self, wave: usize) {
        while self.next.len() <= wave {
            self.next.push(self.next.len());
            self.taken.push(0);
        }
    }
}
