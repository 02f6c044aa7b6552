//! Puts apt's answers together: what is pending, and whether it can be installed now.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use patchyard_types::{Arch, InstalledPackage, PendingPatch, PendingStatus};

use crate::version::dpkg;

use super::answer::{self, Offer, SecurityVersion, Simulation, Upgradable};
use crate::exact::Move;

/// Why a phased update is left alone.
const PHASED: &str = "phased update, not yet for this machine";

/// What is pending, sorted by package and architecture, still without sizes and hashes.
///
/// What the solver would do is available (or a removal, which is in a simulation only when it was
/// allowed). What has a newer version and is left alone is held, where dpkg says so; kept back,
/// where apt lists it so; else it is a phased update that has not reached this machine.
#[must_use]
pub fn pending(
    simulation: &Simulation,
    upgradable: &[Upgradable],
    installed: &[InstalledPackage],
) -> Vec<PendingPatch> {
    let native = native(installed);
    let mut patches = Vec::with_capacity(simulation.install.len() + simulation.remove.len());
    let mut planned = BTreeSet::new();
    for install in &simulation.install {
        planned.insert((install.name.as_str(), &install.arch));
        patches.push(PendingPatch {
            package: install.name.clone(),
            arch: install.arch.clone(),
            installed: install.from.clone(),
            candidate: install.to.clone(),
            security: answer::is_security(&install.origin),
            origin: install.origin.clone(),
            status: PendingStatus::Available,
            size: 0,
            sha256: None,
            why: String::new(),
        });
    }
    for (name, arch, version) in &simulation.remove {
        let arch = arch.clone().or_else(|| installed_arch(installed, name, version, native.as_ref()));
        patches.push(PendingPatch {
            package: name.clone(),
            arch: arch.unwrap_or_else(|| Arch("all".to_owned())),
            installed: Some(version.clone()),
            candidate: String::new(),
            security: false,
            origin: String::new(),
            status: PendingStatus::Removal,
            size: 0,
            sha256: None,
            why: String::new(),
        });
    }
    for other in upgradable.iter().filter(|u| !planned.contains(&(u.name.as_str(), &u.arch))) {
        let status = status(other, simulation, installed);
        patches.push(PendingPatch {
            package: other.name.clone(),
            arch: other.arch.clone(),
            installed: Some(other.from.clone()),
            candidate: other.to.clone(),
            security: answer::is_security(&other.suites),
            origin: other.suites.clone(),
            status,
            size: 0,
            sha256: None,
            why: match status {
                PendingStatus::Held => "on hold".to_owned(),
                PendingStatus::Phased => PHASED.to_owned(),
                _ => "kept back by the solver".to_owned(),
            },
        });
    }
    patches.sort_unstable();
    patches
}

fn status(other: &Upgradable, simulation: &Simulation, installed: &[InstalledPackage]) -> PendingStatus {
    let held = installed.iter().any(|p| p.held && p.name == other.name && p.version == other.from);
    let qualified = format!("{}:{}", other.name, other.arch);
    let listed = |names: &BTreeSet<String>| names.contains(&other.name) || names.contains(&qualified);
    if held {
        PendingStatus::Held
    } else if listed(&simulation.kept_back) {
        PendingStatus::KeptBack
    } else {
        PendingStatus::Phased
    }
}

/// apt names the native architecture by naming none. dpkg itself is always of that architecture.
fn native(installed: &[InstalledPackage]) -> Option<Arch> {
    installed.iter().find(|p| p.name == "dpkg").map(|p| p.arch.clone())
}

fn installed_arch(
    installed: &[InstalledPackage],
    name: &str,
    version: &str,
    native: Option<&Arch>,
) -> Option<Arch> {
    let same = || installed.iter().filter(|p| p.name == name && p.version == version);
    same().find(|p| Some(&p.arch) == native).or_else(|| same().next()).map(|p| p.arch.clone())
}

/// Tells phased updates from what is really kept back: apt before 2.7 calls both kept back. `simulation`
/// is the answer to [`super::ask::with_phased`]: what it installs, phasing alone keeps back.
pub fn tell_phased(patches: &mut [PendingPatch], simulation: &Simulation) {
    let installs: BTreeSet<_> =
        simulation.install.iter().map(|i| (i.name.as_str(), &i.arch, i.to.as_str())).collect();
    for patch in patches.iter_mut().filter(|patch| patch.status == PendingStatus::KeptBack) {
        if installs.contains(&(patch.package.as_str(), &patch.arch, patch.candidate.as_str())) {
            patch.status = PendingStatus::Phased;
            PHASED.clone_into(&mut patch.why);
        }
    }
}

/// A patch is a security patch as well when a version that it passes over comes from a security suite:
/// point releases take such versions in under a later number.
pub fn passes_over(patches: &mut [PendingPatch], security: &[SecurityVersion]) {
    for patch in patches.iter_mut().filter(|patch| !patch.security && !patch.candidate.is_empty()) {
        let Some(installed) = &patch.installed else { continue };
        let order = |a: &str, b: &str| dpkg::compare(a, b).ok();
        patch.security = security.iter().filter(|other| other.name == patch.package).any(|other| {
            order(&other.version, installed).is_some_and(Ordering::is_gt)
                && order(&other.version, &patch.candidate).is_some_and(Ordering::is_le)
        });
    }
}

/// Fills in sizes and hashes. A patch that no repository offers any more keeps none.
pub fn price(patches: &mut [PendingPatch], offers: &[Offer]) {
    let offers: BTreeMap<_, _> =
        offers.iter().map(|o| ((o.name.as_str(), &o.arch, o.version.as_str()), o)).collect();
    for patch in patches {
        if let Some(offer) = offers.get(&(patch.package.as_str(), &patch.arch, patch.candidate.as_str())) {
            patch.size = offer.size;
            patch.sha256 = offer.sha256;
        }
    }
}

/// Adds the solver's words to what it keeps back, from the output (both streams) of
/// [`super::ask::why_kept_back`].
pub fn explain(patches: &mut [PendingPatch], output: &[u8]) {
    let words = match answer::words(output) {
        words if !words.is_empty() => words,
        // It can be solved when asked for by name: then something else would have to go.
        _ => match answer::simulation(output) {
            Ok(simulation) if !simulation.remove.is_empty() => {
                let names: Vec<_> =
                    simulation.remove.iter().map(|(name, ..)| name.as_str()).take(10).collect();
                format!("it would remove {}: allow it with --allow-remove", names.join(", "))
            }
            _ => return,
        },
    };
    for patch in patches.iter_mut().filter(|patch| patch.status == PendingStatus::KeptBack) {
        patch.why.clone_from(&words);
    }
}

/// What [`super::ask::simulate_exactly`] would change.
#[must_use]
pub fn moves(simulation: &Simulation) -> Vec<Move> {
    let come = simulation.install.iter().map(|install| Move {
        name: install.name.clone(),
        arch: Some(install.arch.clone()),
        to: Some(install.to.clone()),
    });
    let go = simulation.remove.iter().map(|(name, arch, _)| Move {
        name: name.clone(),
        arch: arch.clone(),
        to: None,
    });
    come.chain(go).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_security_version_between_the_installed_and_the_candidate_counts() {
        let answer =
            b"Inst lib [1.0] (1.3 Debian:12.9/stable [amd64])\nInst new (1.3 Debian:12.9/stable [amd64])\n";
        let simulation = answer::simulation(answer).unwrap();
        let is_security = |name: &str, version: &str| {
            let mut patches = pending(&simulation, &[], &[]);
            passes_over(&mut patches, &[SecurityVersion { name: name.into(), version: version.into() }]);
            patches.iter().map(|patch| patch.security).collect::<Vec<_>>()
        };
        assert_eq!(is_security("lib", "1.2"), [true, false]);
        assert_eq!(is_security("lib", "1.3"), [true, false]);
        // Installed already; newer than what would be installed; of another package; of one that is new.
        for (name, version) in [("lib", "1.0"), ("lib", "1.4"), ("other", "1.2"), ("new", "1.2")] {
            assert_eq!(is_security(name, version), [false, false], "{name} {version}");
        }
    }
}
