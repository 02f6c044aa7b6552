//! Gathering: what is installed and pending on targets, asked once per distinct state of their packages.
//!
//! Answers are remembered. One is reused while it is young enough and everything it depended on is
//! unchanged: the key is the digest of those inputs. What could not be asked is never remembered and
//! never counts as nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::stream::{self, StreamExt};
use jiff::Timestamp;
use patchyard_contract::{Ask, Note, Part, Progress, Provider, ProviderError, Wish};
use patchyard_types::{
    Assessment, Digest, HostId, ImageUpdate, Inventory, Millis, NotAssessed, PendingPatch, PendingStatus,
    StartingState, Target, printable,
};
use serde::{Deserialize, Serialize};

use crate::dependents::in_hand;
use crate::{Context, Error, Fleet, PatchFilter, rollouts};

/// How many package managers are asked at the same time: each is a process that downloads indices.
const ASK_AT_ONCE: usize = 4;

/// How many inventories are read at the same time: no process is started for these.
const READ_AT_ONCE: usize = 8;

/// How answers are wanted.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// The oldest answer that is good enough.
    pub max_age: Millis,
    /// Let the solver remove packages.
    pub allow_remove: bool,
    /// Ask registries for newer images, too.
    pub images: bool,
}

/// What is known about one target.
#[derive(Debug, Clone)]
pub struct Known {
    /// The target.
    pub target: Target,
    /// What it has, or why that could not be read.
    pub inventory: Result<Inventory, NotAssessed>,
    /// What is pending on it.
    pub assessment: Assessment,
    /// The solver was asked for just what a filter wants; see [`narrow`].
    pub narrowed: bool,
    /// A newer image behind its tag, or why that is not known; nothing when nobody asked.
    pub image_update: Result<Option<ImageUpdate>, NotAssessed>,
}

/// Finds out what is installed and pending on every target of the fleet, in its order. Targets that
/// were removed in the meantime are no targets any more.
///
/// # Errors
/// When the store fails. A host or target that does not answer is an answer: not assessed.
pub async fn gather(
    context: &Context,
    fleet: &Fleet,
    wanted: Wanted,
    progress: &dyn Progress,
) -> Result<Vec<Known>, Error> {
    let inventories = read_inventories(context, fleet, progress).await;
    let pending = ask_pending(context, fleet, &inventories, wanted, progress).await?;
    let images = match wanted.images {
        true => ask_images(context, fleet, wanted, progress).await?,
        false => BTreeMap::new(),
    };
    let mut known = Vec::with_capacity(fleet.targets.len());
    for (target, inventory) in fleet.targets.iter().zip(inventories) {
        let Some(inventory) = inventory else { continue };
        let assessment = match &inventory {
            Ok(inventory) => pending
                .get(&group_of(target, inventory))
                .cloned()
                .unwrap_or_else(|| not_assessed(context.clock.now(), "its host did not answer")),
            Err(reason) => Assessment::NotAssessed(reason.clone()),
        };
        let image_update = images.get(&image_group_of(target)).cloned().unwrap_or(Ok(None));
        known.push(Known { target: target.clone(), inventory, assessment, narrowed: false, image_update });
    }
    tell_what_is_in_hand(context, &mut known).await?;
    Ok(known)
}

/// A target that a rollout of this controller is not over with is refused, as one of another controller's is.
async fn tell_what_is_in_hand(context: &Context, known: &mut [Known]) -> Result<(), Error> {
    let held = rollouts::in_hand(&*context.store, context.clock.now()).await?;
    for target in known.iter_mut().map(|known| &mut known.target) {
        target.refusals.extend(held.get(&target.id).map(in_hand));
    }
    Ok(())
}

/// Asks the solvers again where a filter wants some of what is pending: what else that takes, and whether it can be
/// had alone, only they know. What waits for other reasons stays in the assessment.
///
/// # Errors
/// When the store fails.
pub async fn narrow(
    context: &Context,
    fleet: &Fleet,
    known: &mut [Known],
    filter: &PatchFilter,
    wanted: Wanted,
    progress: &dyn Progress,
) -> Result<(), Error> {
    let mut questions = Questions::new();
    let mut narrowed = Vec::new();
    for (index, known) in known.iter().enumerate() {
        let Ok(inventory) = &known.inventory else { continue };
        let Some(only) = wishes(&known.assessment, filter) else { continue };
        let question = (group_of(&known.target, inventory), only);
        questions.entry(question.clone()).or_insert((&known.target, inventory));
        narrowed.push((index, question));
    }
    let answers = ask(context, fleet, questions, wanted, "asking for just these", progress).await?;
    for (index, question) in narrowed {
        if let Some(answer) = answers.get(&question) {
            known[index].narrow_to(answer.clone());
        }
    }
    Ok(())
}

/// What of an assessment a filter wants, where that is some of it but not all.
fn wishes(assessment: &Assessment, filter: &PatchFilter) -> Option<Vec<Wish>> {
    let Assessment::Assessed { pending, .. } = assessment else { return None };
    let upgrades = pending.iter().filter(|p| p.status == PendingStatus::Available && p.installed.is_some());
    let (wanted, others): (Vec<_>, Vec<_>) = upgrades.partition(|patch| filter.wants(patch));
    let wish = |patch: &PendingPatch| Wish {
        package: patch.package.clone(),
        arch: patch.arch.clone(),
        version: patch.candidate.clone(),
    };
    (!wanted.is_empty() && !others.is_empty()).then(|| wanted.into_iter().map(wish).collect())
}

impl Known {
    fn narrow_to(&mut self, answer: Answered<Vec<PendingPatch>>) {
        self.narrowed = true;
        self.assessment = match answer {
            Ok((at, mut found)) => {
                if let Assessment::Assessed { pending, .. } = &self.assessment {
                    let waits = |p: &&PendingPatch| {
                        !matches!(p.status, PendingStatus::Available | PendingStatus::Removal)
                    };
                    found.extend(pending.iter().filter(waits).cloned());
                }
                Assessment::Assessed { at, pending: found }
            }
            Err(reason) => Assessment::NotAssessed(reason),
        };
    }
}

fn not_assessed(at: Timestamp, reason: &str) -> Assessment {
    Assessment::NotAssessed(NotAssessed { at, reason: reason.to_owned(), hint: String::new() })
}

/// Translates a provider's refusal into what is shown: what came from a target is made printable.
fn unknown(at: Timestamp, error: &ProviderError) -> NotAssessed {
    let hint = match error {
        ProviderError::NoAnswer { hint, .. } => printable(hint, 400),
        _ => String::new(),
    };
    NotAssessed { at, reason: printable(&error.to_string(), 600), hint }
}

/// Counts what is done and tells the progress bar.
struct Counter<'a> {
    text: &'static str,
    done: AtomicU64,
    whole: u64,
    progress: &'a dyn Progress,
}

impl<'a> Counter<'a> {
    fn new(text: &'static str, whole: usize, progress: &'a dyn Progress) -> Self {
        let counter = Self { text, done: AtomicU64::new(0), whole: whole as u64, progress };
        counter.tell(0);
        counter
    }

    fn one_more(&self) {
        self.tell(self.done.fetch_add(1, Ordering::Relaxed) + 1);
    }

    fn tell(&self, done: u64) {
        if self.whole > 0 {
            self.progress
                .note(Note { text: self.text.to_owned(), part: Some(Part::Count(done, self.whole)) });
        }
    }
}

/// What was read of a target; nothing when it is gone.
type Read = Option<Result<Inventory, NotAssessed>>;

async fn read_inventories(context: &Context, fleet: &Fleet, progress: &dyn Progress) -> Vec<Read> {
    let counter = Counter::new("reading packages", fleet.targets.len(), progress);
    let reads = fleet.targets.iter().map(|target| {
        let counter = &counter;
        async move {
            let read = match fleet.provider(&target.host) {
                Some(provider) => provider.inventory(target).await,
                None => Err(silent(target)),
            };
            counter.one_more();
            match read {
                Err(ProviderError::Gone { .. }) => None,
                read => Some(read.map_err(|error| unknown(context.clock.now(), &error))),
            }
        }
    });
    stream::iter(reads.collect::<Vec<_>>()).buffered(READ_AT_ONCE).collect().await
}

fn silent(target: &Target) -> ProviderError {
    ProviderError::Unreachable { host: target.host_name.clone(), reason: "it did not answer".into() }
}

/// Targets that share one answer about pending patches: what their package managers know and lean on is the same,
/// whatever image it is in.
type Group = (HostId, StartingState);

fn group_of(target: &Target, inventory: &Inventory) -> Group {
    let StartingState { platform, image, packages } = inventory.starting.clone();
    // Where no package manager is known there is nothing but the image to go by.
    let image = if packages.is_some() { String::new() } else { image };
    (target.host.clone(), StartingState { platform, image, packages })
}

async fn ask_pending(
    context: &Context,
    fleet: &Fleet,
    inventories: &[Read],
    wanted: Wanted,
    progress: &dyn Progress,
) -> Result<BTreeMap<Group, Assessment>, Error> {
    let mut questions = Questions::new();
    for (target, inventory) in fleet.targets.iter().zip(inventories) {
        if let Some(Ok(inventory)) = inventory {
            questions.entry((group_of(target, inventory), Vec::new())).or_insert((target, inventory));
        }
    }
    let answers = ask(context, fleet, questions, wanted, "asking package managers", progress).await?;
    let assessed = |answer| match answer {
        Ok((at, pending)) => Assessment::Assessed { at, pending },
        Err(reason) => Assessment::NotAssessed(reason),
    };
    Ok(answers.into_iter().map(|((group, _), answer)| (group, assessed(answer))).collect())
}

/// What is asked of solvers: about a group, for just these packages or for everything.
type Question = (Group, Vec<Wish>);

/// Questions, each with one of its group's targets, whom it is put to.
type Questions<'a> = BTreeMap<Question, (&'a Target, &'a Inventory)>;

/// Puts the questions, some at a time.
async fn ask(
    context: &Context,
    fleet: &Fleet,
    questions: Questions<'_>,
    wanted: Wanted,
    text: &'static str,
    progress: &dyn Progress,
) -> Result<BTreeMap<Question, Answered<Vec<PendingPatch>>>, Error> {
    let counter = Counter::new(text, questions.len(), progress);
    let asked = questions.into_iter().map(|((group, only), (target, inventory))| {
        let counter = &counter;
        async move {
            let key = Key::new("pending", &(&group.0, &group.1, wanted.allow_remove, &only));
            let ask = &Ask { allow_remove: wanted.allow_remove, only };
            let question =
                |provider: Arc<dyn Provider>| async move { provider.pending(target, inventory, ask).await };
            let answer = remembered(context, fleet, target, wanted.max_age, key, question).await;
            counter.one_more();
            answer.map(|answer| ((group, ask.only.clone()), answer))
        }
    });
    let answers: Vec<_> = stream::iter(asked.collect::<Vec<_>>()).buffered(ASK_AT_ONCE).collect().await;
    answers.into_iter().collect()
}

/// Targets that share one answer about a newer image.
type ImageGroup = (HostId, String, Option<String>);

fn image_group_of(target: &Target) -> ImageGroup {
    (target.host.clone(), target.image.reference.clone(), target.image.digest.clone())
}

async fn ask_images(
    context: &Context,
    fleet: &Fleet,
    wanted: Wanted,
    progress: &dyn Progress,
) -> Result<BTreeMap<ImageGroup, Result<Option<ImageUpdate>, NotAssessed>>, Error> {
    let mut groups: BTreeMap<ImageGroup, &Target> = BTreeMap::new();
    for target in &fleet.targets {
        groups.entry(image_group_of(target)).or_insert(target);
    }
    let counter = Counter::new("asking registries", groups.len(), progress);
    let asked = groups.into_iter().map(|(group, target)| {
        let counter = &counter;
        async move {
            let key = Key::new("image", &group);
            let question = |provider: Arc<dyn Provider>| async move { provider.newer_image(target).await };
            let answer = remembered(context, fleet, target, wanted.max_age, key, question).await;
            counter.one_more();
            answer.map(|answer| (group, answer.map(|(_, update)| update)))
        }
    });
    let answers: Vec<_> = stream::iter(asked.collect::<Vec<_>>()).buffered(ASK_AT_ONCE).collect().await;
    answers.into_iter().collect()
}

/// The key of a remembered answer: what was asked, and the digest of everything it depends on.
struct Key(String);

impl Key {
    fn new<T: Serialize>(question: &str, inputs: &T) -> Self {
        Self(format!("{question}/1/{}", Digest::of(inputs)))
    }
}

type Answered<T> = Result<(Timestamp, T), NotAssessed>;

/// A remembered answer that is young enough, else a new one, which is then remembered.
async fn remembered<T, F>(
    context: &Context,
    fleet: &Fleet,
    target: &Target,
    max_age: Millis,
    key: Key,
    question: impl FnOnce(Arc<dyn Provider>) -> F,
) -> Result<Answered<T>, Error>
where
    T: Serialize + for<'de> Deserialize<'de>,
    F: Future<Output = Result<T, ProviderError>>,
{
    let now = context.clock.now();
    if max_age > Millis(0)
        && let Some((at, text)) = context.store.recall(&key.0).await?
        && now.duration_since(at).unsigned_abs() < max_age.as_duration()
        // One that cannot be read was written by another version: ask again.
        && let Ok(answer) = serde_json::from_str(&text)
    {
        return Ok(Ok((at, answer)));
    }
    let Some(provider) = fleet.provider(&target.host) else { return Ok(Err(unknown(now, &silent(target)))) };
    match question(Arc::clone(provider)).await {
        Ok(answer) => {
            let text = serde_json::to_string(&answer).map_err(|error| Error::Broken(error.to_string()))?;
            context.store.remember(&key.0, now, &text).await?;
            Ok(Ok((now, answer)))
        }
        Err(error) => Ok(Err(unknown(now, &error))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::target;

    #[test]
    fn images_with_the_same_packages_are_asked_about_once() {
        let group = |image: &str, packages: Option<&[u8]>| {
            let packages = packages.map(Digest::of_bytes);
            let starting = StartingState { platform: "linux/amd64".into(), image: image.into(), packages };
            let inventory = Inventory {
                os: None,
                package_manager: None,
                packages: Arc::default(),
                sources: None,
                starting,
            };
            group_of(&target("app-1", "app"), &inventory)
        };
        assert_eq!(group("sha256:1", Some(b"same")), group("sha256:2", Some(b"same")));
        assert_ne!(group("sha256:1", Some(b"same")), group("sha256:1", Some(b"others")));
        assert_ne!(group("sha256:1", None), group("sha256:2", None), "who knows what is in them");
    }
}
