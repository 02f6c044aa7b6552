//! Fresh lists of packages: helpers that have read their package sources, kept for further questions.
//!
//! To read the lists of a distribution takes longer than all questions about them. So a helper stays for whoever has the same package
//! manager and the same sources, until its lists are old or the work is over (`Provider::settle`). Each state of packages
//! has a folder in it, which the package manager is told to take for the system's.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use patchyard_assess::deb::apt::ask as questions;
use patchyard_assess::deb::apt::words::update_errors;
use patchyard_contract::ProviderError;
use patchyard_types::{Digest, Inventory, Target};
use serde_json::Value;
use tokio::sync::OnceCell;

use super::helper::{self, Helper, Reach};
use super::{asked, copy, words};
use crate::DockerProvider;
use crate::client::{ApiError, DEFAULT_TIMEOUT, ExecOutput};

/// How long lists are fresh: a plan is made of several questions, and a scan of many.
const FRESH: Duration = Duration::from_secs(300);

/// The most of the output of `apt-get update` that is kept.
const UPDATE_WORDS: usize = 256 * 1024;

/// How many helpers are kept, each with the lists of a distribution on the engine's disk.
const KEPT: usize = 4;

/// Things by key, each made by whoever asks for it first.
type Cells<T> = Mutex<BTreeMap<Digest, Arc<OnceCell<T>>>>;

/// Where a helper is kept.
type Place = Arc<OnceCell<Arc<Lists>>>;

/// Helpers that are kept, by what they can be asked about.
#[derive(Default)]
pub(crate) struct Shelf(Cells<Arc<Lists>>);

impl Shelf {
    /// The place of a key, and what has made room for it: what is old or of no use, and where there are too many, the oldest.
    fn place(&self, key: Digest) -> (Place, Vec<Place>) {
        let mut kept = lock(&self.0);
        let is_over = |place: &Place| place.get().is_some_and(|lists| !lists.are_good());
        let mut over: Vec<Place> = kept.extract_if(.., |_, place| is_over(place)).map(|(_, p)| p).collect();
        if kept.len() >= KEPT && !kept.contains_key(&key) {
            let made = kept.iter().filter_map(|(key, place)| Some((place.get()?.made_at, *key)));
            if let Some((_, oldest)) = made.min() {
                over.extend(kept.remove(&oldest));
            }
        }
        (Arc::clone(kept.entry(key).or_default()), over)
    }

    /// The helper of a key; whoever comes first makes it.
    pub(super) async fn take(
        &self,
        key: Digest,
        made: impl Future<Output = Result<Helper, ProviderError>> + Unpin,
    ) -> Result<Arc<Lists>, ProviderError> {
        let (place, over) = self.place(key);
        // Waited for, so that no more come and go at a time than may work at a time.
        for lists in over.into_iter().filter_map(Arc::into_inner).filter_map(OnceCell::into_inner) {
            end(lists).await;
        }
        // Who keeps its place keeps the helper.
        let make = || async { Ok::<_, ProviderError>(Arc::new(Lists::of(made.await?))) };
        place.get_or_try_init(make).await.map(Arc::clone)
    }

    /// Ends a helper that is of no use to others.
    pub(super) async fn end(&self, key: &Digest, lists: Arc<Lists>) {
        lock(&self.0).remove(key);
        end(lists).await;
    }

    /// Keeps none any more: each goes when its last question is answered.
    pub fn clear(&self) {
        drop(std::mem::take(&mut *lock(&self.0)));
    }
}

/// A helper with lists.
pub(super) struct Lists {
    pub helper: Helper,
    made_at: Instant,
    /// Its package sources have been read, or cannot be, for all who wait for it.
    pub read: OnceCell<Result<(), ProviderError>>,
    /// States of packages that it can be asked about.
    states: Cells<()>,
    downloads: AtomicU32,
}

impl Lists {
    fn of(helper: Helper) -> Self {
        let (read, states, downloads) = (OnceCell::new(), Cells::default(), AtomicU32::new(0));
        Self { helper, made_at: Instant::now(), read, states, downloads }
    }

    fn are_good(&self) -> bool {
        self.made_at.elapsed() < FRESH && self.read.get().is_none_or(Result::is_ok)
    }

    /// A new folder in the helper for downloads.
    pub async fn download_folder(&self) -> Result<String, ApiError> {
        let number = self.downloads.fetch_add(1, Ordering::Relaxed);
        let folder = format!("{}/download-{number}", self.helper.folder());
        self.helper.make_folder(&folder).await?;
        Ok(folder)
    }
}

/// Ends a helper that is kept no longer, unless somebody else still asks it, who drops it then.
async fn end(lists: Arc<Lists>) {
    if let Some(lists) = Arc::into_inner(lists) {
        lists.helper.finish().await;
    }
}

fn lock<T>(cells: &Cells<T>) -> MutexGuard<'_, BTreeMap<Digest, Arc<OnceCell<T>>>> {
    cells.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where one target's package manager is asked: a helper with fresh lists, and in it the folder with the target's packages.
pub(super) struct Desk<'a> {
    docker: &'a DockerProvider,
    lists: Arc<Lists>,
    key: Digest,
    folder: String,
}

impl<'a> Desk<'a> {
    /// Finds the helper, or makes it.
    pub async fn of(
        docker: &'a DockerProvider,
        target: &Target,
        inventory: &Inventory,
    ) -> Result<Self, ProviderError> {
        let inspect = inspect(docker, target).await?;
        let reach = helper::reach(&docker.client, &inspect).await.map_err(|error| docker.error(error))?;
        let key = key(target, inventory, &reach);
        let state = Digest::of(&inventory.starting.packages);
        let source = copy::Source::new(docker, target, &inspect, inventory);
        let found = async {
            let lists = docker.shelf.take(key, Box::pin(source.helper(&reach))).await?;
            let folder = format!("{}/{}", lists.helper.folder(), state.short(16));
            let known = Arc::clone(lock(&lists.states).entry(state).or_default());
            let (read, copied) = tokio::join!(
                lists.read.get_or_init(|| update(docker, &lists.helper)),
                known.get_or_try_init(|| source.packages(&lists.helper, &folder)),
            );
            let ready = read.clone().and(copied.copied());
            let desk = Self { docker, lists, key, folder };
            match ready {
                Ok(()) => Ok(desk),
                Err(error) => desk.leave(Err(error)).await,
            }
        };
        let found = found.await;
        source.finish().await;
        found
    }

    /// Runs a command of the package manager's about the target's packages.
    pub async fn run(
        &self,
        argv: &[String],
        timeout: Duration,
        limit: usize,
    ) -> Result<ExecOutput, ApiError> {
        self.run_in(self.lists.helper.folder(), argv, timeout, limit).await
    }

    /// The same in another folder.
    pub async fn run_in(
        &self,
        folder: &str,
        argv: &[String],
        timeout: Duration,
        limit: usize,
    ) -> Result<ExecOutput, ApiError> {
        let Some((program, arguments)) = argv.split_first() else {
            return Err(ApiError::protocol("a command without a program"));
        };
        let own = [
            format!("Dir::State::status={}/status", self.folder),
            format!("Dir::State::extended_states={}/extended_states", self.folder),
            format!("Dir::Cache::pkgcache={}/pkgcache.bin", self.folder),
            lists_cache(&self.lists.helper),
        ];
        let own = own.iter().flat_map(|option| ["-o", option]);
        let argv: Vec<&str> =
            [program.as_str()].into_iter().chain(own).chain(arguments.iter().map(String::as_str)).collect();
        self.lists.helper.run_in(folder, &argv, timeout, limit).await
    }

    /// A new folder for downloads, and the helper's name: it is read from there.
    pub async fn download_folder(&self) -> Result<(&str, String), ApiError> {
        let folder = self.lists.download_folder().await?;
        Ok((self.lists.helper.name(), folder))
    }

    /// Leaves the helper to whoever asks next. Where there was no answer it goes: something may still run in it.
    pub async fn leave<T>(self, answer: Result<T, ProviderError>) -> Result<T, ProviderError> {
        if answer.is_err() {
            self.docker.shelf.end(&self.key, self.lists).await;
        }
        answer
    }
}

/// A target's container as the engine tells of it.
pub(super) async fn inspect(docker: &DockerProvider, target: &Target) -> Result<Value, ProviderError> {
    match docker.client.inspect(&target.object, DEFAULT_TIMEOUT).await {
        Err(error) if error.is_not_found() => Err(ProviderError::Gone { object: target.name.clone() }),
        inspect => inspect.map_err(|error| docker.error(error)),
    }
}

/// What a helper has to be like: one for all that reach the same network and whose package managers read the same sources. Where the
/// sources lean on files of the target it is alone.
fn key(target: &Target, inventory: &Inventory, reach: &Reach) -> Digest {
    match inventory.sources {
        Some(sources) => Digest::of(&(reach, sources)),
        None => Digest::of(&(reach, &target.object, &inventory.starting)),
    }
}

/// What apt knows of the lists alone is the same for all states of packages. Images of containers tell it to keep none of that, which would
/// have every question read the lists anew.
fn lists_cache(helper: &Helper) -> String {
    format!("Dir::Cache::srcpkgcache={}/srcpkgcache.bin", helper.folder())
}

async fn update(docker: &DockerProvider, helper: &Helper) -> Result<(), ProviderError> {
    let argv = questions::update();
    let cache = lists_cache(helper);
    let own = ["-o", "Dir::Cache::pkgcache=", "-o", &cache];
    let argv: Vec<&str> = argv.iter().map(String::as_str).chain(own).collect();
    let output = helper
        .run_in(helper.folder(), &argv, docker.patience, UPDATE_WORDS)
        .await
        .map_err(|error| asked(docker, "apt-get update", error))?;
    match update_errors(output.exit, &[output.stderr.as_slice(), b"\n", &output.stdout].concat()) {
        None => Ok(()),
        Some(reason) => {
            let hint = words::hint(&reason);
            Err(ProviderError::NoAnswer { reason, hint })
        }
    }
}
