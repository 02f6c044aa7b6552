//! Machines as targets: one provider a machine, whatever the way to it.
//!
//! `facts` says who a machine is, `read` what it has and what is pending, `patch` has the steps of a run, `observe` looks,
//! `kept` tells a machine that is broken from one out of reach, `words` says what is told when it does not answer. [`HostProvider`] joins them behind the provider's contract. What is done inside a machine is the guest
//! layer's.

mod facts;
mod kept;
mod leftovers;
mod observe;
mod patch;
mod provider;
mod read;
mod words;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use patchyard_contract::{Keeper, PackageCache, ProviderError, Transport};
use patchyard_types::HostId;

use facts::Facts;

/// How long a package manager may take to read its lists anew, where nobody says otherwise.
const PATIENCE: Duration = Duration::from_secs(300);

/// What is known of a machine before it is reached.
#[derive(Clone)]
pub struct Options {
    /// Id of this controller; the first eight characters are part of the name of everything of ours on a machine.
    pub controller: String,
    /// Where the bytes of packages are kept.
    pub cache: Arc<dyn PackageCache>,
    /// `ssh`, `local`: the kind of way.
    pub kind: &'static str,
    /// Its name in the configuration.
    pub name: String,
    /// The service it belongs to; its own name without one.
    pub service: Option<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Who keeps it, where somebody does.
    pub kept: Option<Kept>,
}

/// The outside of a machine that somebody keeps.
#[derive(Clone)]
pub struct Kept {
    /// Who keeps it, by its name in the configuration.
    pub by: String,
    /// The way to it.
    pub keeper: Arc<dyn Keeper>,
    /// Why no snapshot of its disks can be taken, with what to do; nothing where it can.
    pub no_snapshot: Option<String>,
}

/// One machine.
#[derive(Clone)]
pub struct HostProvider {
    transport: Arc<dyn Transport>,
    options: Options,
    facts: Arc<Facts>,
    host: HostId,
    patience: Duration,
}

impl HostProvider {
    /// Reaches a machine and finds out who it is.
    ///
    /// # Errors
    /// When it cannot be reached, does not let us in, is no Linux, or bears no machine-id.
    pub async fn connect(transport: Arc<dyn Transport>, options: Options) -> Result<Self, ProviderError> {
        let facts = facts::ask(&*transport, &options.name).await?;
        let host = HostId::new(facts.machine_id.clone());
        Ok(Self { transport, options, facts: Arc::new(facts), host, patience: PATIENCE })
    }

    /// A machine that does not answer now, by what was [known](Self::known) of it when it did. Whatever is asked of the machine
    /// itself finds nobody there; its keeper may bring it back. Nothing where that makes no sense.
    #[must_use]
    pub fn asleep(transport: Arc<dyn Transport>, options: Options, known: &str) -> Option<Self> {
        let facts = Facts::recall(known)?;
        let host = HostId::new(facts.machine_id.clone());
        Some(Self { transport, options, facts: Arc::new(facts), host, patience: PATIENCE })
    }

    /// What stays true of it while it does not answer, as text.
    #[must_use]
    pub fn known(&self) -> String {
        self.facts.known()
    }

    /// How long its package manager may take to read its lists anew (five minutes by default).
    #[must_use]
    pub const fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The first characters of the controller's id: enough to tell two of them apart on a machine.
    fn controller8(&self) -> &str {
        let controller = &self.options.controller;
        controller.get(..8).unwrap_or(controller)
    }
}

pub use facts::is_root;
