//! The fleet: every host in reach and every target on them, found afresh.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::{join, join_all};
use patchyard_contract::{Provider, ProviderError};
use patchyard_types::{HostId, HostManager, Target, TargetKind, printable};

use crate::select::Selection;
use crate::settings::rename_services;
use crate::{Context, Error};

/// A host that answered.
#[derive(Clone)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// What it is: `Docker 20.10 on web01`.
    pub description: String,
    /// It is a target itself, once it was searched.
    pub is_machine: bool,
    /// Who else updates it, once it was searched.
    pub managers: Vec<HostManager>,
    /// How its targets are handled.
    pub provider: Arc<dyn Provider>,
}

impl Host {
    /// Finds every target on it, and meanwhile who else updates it.
    ///
    /// # Errors
    /// When it fails while it is searched.
    pub(crate) async fn search(&mut self) -> Result<Vec<Target>, ProviderError> {
        let (targets, managers) = join(self.provider.discover(), self.provider.managers()).await;
        self.managers = managers;
        let kinds = targets.iter().flatten().map(|target| target.kind);
        self.is_machine = kinds.into_iter().any(|kind| kind == TargetKind::Host);
        targets
    }

    /// What is to be said of those who update it besides us, a sentence each.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let what = match self.is_machine {
            true => "change packages",
            false => "restart the engine",
        };
        let warning = |manager: &HostManager| match manager {
            HostManager::UnattendedUpgrades => format!(
                "unattended-upgrades is on at {}: it may {what} in the middle of a rollout",
                printable(&self.name, 100)
            ),
        };
        self.managers.iter().map(warning).collect()
    }
}

/// A host that did not answer.
#[derive(Debug, Clone)]
pub struct Unreachable {
    /// Its name.
    pub name: String,
    /// Why, with what to do.
    pub error: ProviderError,
}

/// Hosts and targets.
pub struct Fleet {
    /// The hosts that answered.
    pub hosts: Vec<Host>,
    /// The hosts that did not: what is on them is unknown, not nothing.
    pub unreachable: Vec<Unreachable>,
    /// Machines that do not answer, and whose keepers do: only a run that is under way has something to do with them.
    pub asleep: Vec<Arc<dyn Provider>>,
    /// Every target found, sorted by host and name.
    pub targets: Vec<Target>,
}

impl Fleet {
    /// The provider of a host.
    #[must_use]
    pub fn provider(&self, host: &HostId) -> Option<&Arc<dyn Provider>> {
        self.hosts.iter().map(|h| &h.provider).find(|provider| provider.host() == host)
    }

    /// All providers, for an engine.
    #[must_use]
    pub fn providers(&self) -> Vec<Arc<dyn Provider>> {
        let asleep = self.asleep.iter().filter(|asleep| self.provider(asleep.host()).is_none());
        self.hosts.iter().map(|host| &host.provider).chain(asleep).map(Arc::clone).collect()
    }

    /// Narrows the targets down.
    ///
    /// # Errors
    /// When a name matches nothing, and no host is out of reach that might have it.
    pub fn select(&mut self, selection: &Selection) -> Result<(), Error> {
        let targets = std::mem::take(&mut self.targets);
        self.targets = selection.select(targets).map_err(|error| match self.unreachable.first() {
            Some(silent) => Error::Host(silent.error.clone()),
            None => error.into(),
        })?;
        Ok(())
    }
}

/// Reaches the hosts, without looking for targets.
///
/// # Errors
/// When an address makes no sense, or no host at all answers.
pub async fn reach(context: &Context) -> Result<Fleet, Error> {
    let mut fleet =
        Fleet { hosts: Vec::new(), unreachable: Vec::new(), asleep: Vec::new(), targets: Vec::new() };
    let mut by_id: Vec<Vec<Host>> = Vec::new();
    for reached in context.reach.reach().await? {
        fleet.asleep.extend(reached.asleep);
        match reached.provider {
            Ok(provider) => {
                let (name, description) = (reached.name, provider.describe());
                let host = Host { name, description, is_machine: false, managers: Vec::new(), provider };
                let same = |routes: &&mut Vec<Host>| routes[0].provider.host() == host.provider.host();
                match by_id.iter_mut().find(same) {
                    Some(routes) => routes.push(host),
                    None => by_id.push(vec![host]),
                }
            }
            Err(error) => fleet.unreachable.push(Unreachable { name: reached.name, error }),
        }
    }
    for routes in by_id {
        match one_machine(routes).await {
            Ok(host) => fleet.hosts.push(host),
            Err(twins) => fleet.unreachable.extend(twins),
        }
    }
    match fleet.unreachable.first() {
        Some(first) if fleet.hosts.is_empty() && fleet.asleep.is_empty() => Err(first.error.clone().into()),
        _ => Ok(fleet),
    }
}

/// Of the hosts that bear one id: two routes to one machine are one host. Of a machine and its copy
/// neither is touched, because what is known of the one would be taken for the other's.
async fn one_machine(mut routes: Vec<Host>) -> Result<Host, Vec<Unreachable>> {
    let instances = match routes.len() {
        1 => Vec::new(),
        _ => join_all(routes.iter().map(|route| route.provider.instance())).await,
    };
    if instances.windows(2).all(|pair| pair[0].is_ok() && pair[0] == pair[1]) {
        let kept = routes.iter().position(|route| route.provider.is_kept());
        return Ok(routes.swap_remove(kept.unwrap_or(0)));
    }
    let names: Vec<String> = routes.iter().map(|route| route.name.clone()).collect();
    let twins = names.iter().enumerate().zip(instances).map(|((index, name), instance)| {
        let other = names[usize::from(index == 0)].clone();
        let error = instance.err().unwrap_or(ProviderError::Twin { host: name.clone(), other });
        Unreachable { name: name.clone(), error }
    });
    Err(twins.collect())
}

/// Every manager of a swarm tells of the same services: the first that answers is the one to be asked.
fn once_a_swarm(targets: &mut Vec<Target>) {
    let mut seen = BTreeSet::new();
    targets.retain(|target| target.kind.is_container() || seen.insert(target.id.clone()));
}

/// Reaches the hosts and finds every target on them.
///
/// # Errors
/// As [`reach`]; a host that fails while it is searched counts as unreachable.
pub async fn discover(context: &Context) -> Result<Fleet, Error> {
    let mut fleet = reach(context).await?;
    let mut hosts = std::mem::take(&mut fleet.hosts);
    let found = join_all(hosts.iter_mut().map(Host::search)).await;
    for (host, targets) in hosts.into_iter().zip(found) {
        match targets {
            Ok(targets) => {
                fleet.targets.extend(targets);
                fleet.hosts.push(host);
            }
            Err(error) => fleet.unreachable.push(Unreachable { name: host.name, error }),
        }
    }
    match fleet.unreachable.first() {
        Some(first) if fleet.hosts.is_empty() => return Err(first.error.clone().into()),
        _ => {}
    }
    once_a_swarm(&mut fleet.targets);
    rename_services(&context.config, &mut fleet.targets);
    fleet.targets.sort_by(|a, b| (&a.host_name, &a.name, &a.id).cmp(&(&b.host_name, &b.name, &b.id)));
    Ok(fleet)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use patchyard_provider_sim::{SimProvider, World};

    use super::*;
    use crate::SystemClock;

    #[tokio::test]
    async fn of_two_ways_to_one_machine_the_one_by_its_keeper_is_taken() {
        let world = Arc::new(Mutex::new(World::new(1, HostId::new("h1"))));
        let way = |name: &str, kept: bool| {
            let provider = SimProvider::new(Arc::clone(&world), Arc::new(SystemClock));
            let provider: Arc<dyn Provider> = Arc::new(if kept { provider.kept() } else { provider });
            let (name, description) = (name.to_owned(), provider.describe());
            Host { name, description, is_machine: true, managers: Vec::new(), provider }
        };
        for (ways, taken) in [([("ssh", false), ("hv1", true)], "hv1"), ([("a", false), ("b", false)], "a")] {
            let found = one_machine(ways.map(|(name, kept)| way(name, kept)).into()).await;
            assert_eq!(found.map(|host| host.name).ok().as_deref(), Some(taken));
        }
    }
}
