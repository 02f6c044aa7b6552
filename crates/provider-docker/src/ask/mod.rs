//! Questions to a target's package manager, asked in a throw-away container of the same image.
//!
//! The container gets the target's package database and the configuration of its package manager; the
//! target itself notices nothing. Every kind of source works as in the target: what the sources lean on
//! (keyrings, certificates, credentials, local repositories, proxies) comes along.

mod copy;
mod double;
mod fetch;
mod helper;
mod lists;
mod sources;
mod words;

use patchyard_assess::deb::apt::words::without_credentials;
use patchyard_assess::deb::apt::{
    answer, ask as questions, explain, passes_over, pending as put_together, price, tell_phased,
};
use patchyard_contract::{Ask, ProviderError};
use patchyard_types::{Image, Inventory, PackageManager, PendingPatch, PendingStatus, Target, printable};

use crate::DockerProvider;
use crate::client::{ApiError, ExecOutput};
use crate::read::reference::Reference;

pub(crate) use double::{Double, Known};
pub(crate) use fetch::fetch;
pub(crate) use helper::{Helper, LIFETIME};
pub(crate) use lists::Shelf;
pub(crate) use sources::Named;

use lists::Desk;

/// The most of an answer that is kept, in bytes; `assess` refuses what is longer than this.
const ANSWER: usize = 16 * 1024 * 1024 + 1;

pub(crate) async fn pending(
    docker: &DockerProvider,
    target: &Target,
    inventory: &Inventory,
    ask: &Ask,
) -> Result<Vec<PendingPatch>, ProviderError> {
    let Some(manager) = inventory.package_manager else {
        let (reason, hint) = ("no package manager".to_owned(), other_method(target));
        return Err(ProviderError::NoAnswer { reason, hint });
    };
    let _slot = docker.helper_slot().await;
    if manager == PackageManager::Apt {
        let desk = Desk::of(docker, target, inventory).await?;
        let answer = questions(docker, &desk, inventory, ask).await;
        return desk.leave(answer).await;
    }
    let double = Double::of(docker, target).await?;
    let answer = double.pending(inventory, ask).await;
    let answer = answer.map_err(|error| with_other_method(error, target));
    double.leave(answer).await
}

/// Where there is nothing else to be done about a package manager that does not answer.
fn with_other_method(error: ProviderError, target: &Target) -> ProviderError {
    match error {
        ProviderError::NoAnswer { reason, hint } if hint.is_empty() => {
            ProviderError::NoAnswer { reason, hint: other_method(target) }
        }
        error => error,
    }
}

/// The other way to patch, for those that it can help: nothing newer can be known of an image that was
/// not pulled by a tag.
fn other_method(target: &Target) -> String {
    let Image { reference, digest, .. } = &target.image;
    let by_tag = Reference::parse(reference).is_some_and(|reference| reference.digest.is_none());
    if by_tag && digest.is_some() { "try --method image".to_owned() } else { String::new() }
}

async fn questions(
    docker: &DockerProvider,
    desk: &Desk<'_>,
    inventory: &Inventory,
    how: &Ask,
) -> Result<Vec<PendingPatch>, ProviderError> {
    let question = match &how.only[..] {
        [] => questions::simulate(how.allow_remove),
        only => questions::simulate_only(
            only.iter().map(|w| (&*w.package, &w.arch, &*w.version)),
            how.allow_remove,
        ),
    };
    let simulated = put(docker, desk, &question).await?;
    let simulation = answer::simulation(&good(simulated)?.stdout).map_err(no_sense)?;
    let upgradable = match how.only.is_empty() {
        true => {
            let listed = put(docker, desk, &questions::upgradable()).await?;
            answer::upgradable(&good(listed)?.stdout).map_err(no_sense)?
        }
        // What else there is was not asked for.
        false => Vec::new(),
    };
    let mut patches = put_together(&simulation, &upgradable, &inventory.packages);
    if patches.iter().any(|patch| patch.status == PendingStatus::KeptBack) {
        let simulated = put(docker, desk, &questions::with_phased(question)).await?;
        tell_phased(&mut patches, &answer::simulation(&good(simulated)?.stdout).map_err(no_sense)?);
    }
    if let Some(argv) = questions::versions(&patches) {
        let listed = put(docker, desk, &argv).await?;
        passes_over(&mut patches, &answer::security_versions(&good(listed)?.stdout).map_err(no_sense)?);
    }
    if let Some(argv) = questions::offers(&patches) {
        let offered = put(docker, desk, &argv).await?;
        price(&mut patches, &answer::offers(&good(offered)?.stdout).map_err(no_sense)?);
    }
    if let Some(argv) = questions::why_kept_back(&patches) {
        // It may well fail: the reason is what is asked for.
        let output = put(docker, desk, &argv).await?;
        explain(&mut patches, &[output.stdout.as_slice(), b"\n", &output.stderr].concat());
    }
    Ok(patches)
}

async fn put(docker: &DockerProvider, desk: &Desk<'_>, argv: &[String]) -> Result<ExecOutput, ProviderError> {
    let output = desk.run(argv, docker.patience, ANSWER).await;
    output.map_err(|error| asked(docker, argv.first().map_or("", String::as_str), error))
}

/// An answer that is one: apt was content.
fn good(output: ExecOutput) -> Result<ExecOutput, ProviderError> {
    if output.exit == 0 {
        return Ok(output);
    }
    let said = [output.stdout.as_slice(), b"\n", &output.stderr].concat();
    let reason = match without_credentials(&answer::words(&said)) {
        none if none.is_empty() => format!("apt ended with exit code {}", output.exit),
        words => words,
    };
    let hint = words::hint(&reason);
    Err(ProviderError::NoAnswer { reason, hint })
}

#[allow(clippy::needless_pass_by_value)] // for map_err
fn no_sense(error: answer::AnswerError) -> ProviderError {
    ProviderError::NoAnswer { reason: printable(&error.to_string(), 300), hint: String::new() }
}

/// What an engine's error means when a question was put: one that takes too long has no answer.
fn asked(docker: &DockerProvider, what: &str, error: ApiError) -> ProviderError {
    match error {
        ApiError::Timeout { after, .. } => ProviderError::NoAnswer {
            reason: format!("{what} did not end within {} s", after.as_secs()),
            hint: "check that a container on the same network reaches the package repositories".to_owned(),
        },
        ApiError::TooLarge { limit, .. } => ProviderError::NoAnswer {
            reason: format!("{what} printed more than {} MiB", limit / (1024 * 1024)),
            hint: "look at the package manager in the image: a real one is not so loud".to_owned(),
        },
        error => docker.error(error),
    }
}
