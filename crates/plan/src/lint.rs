//! The linter: whether a plan keeps its own rules, wherever it came from.
//!
//! The engine refuses a plan with errors. What is checked here is checked without trust in the
//! planner: budgets, order of first attempts, completeness of pins, text that becomes arguments.

use std::collections::{BTreeMap, BTreeSet};

use patchyard_types::{
    Action, Change, Data, Method, Order, PackageChange, PatchSetId, Plan, TargetKind, WritableLayer,
    printable,
};

use crate::{host, planner, tags};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The plan is carried out all the same.
    Warning,
    /// The plan must not be carried out.
    Error,
}

/// Something that is wrong with a plan.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Which part of the plan, in words.
    pub part: String,
    /// What is wrong with it.
    pub problem: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.part, self.problem)
    }
}

/// Everything that is wrong with a plan; nothing for what the planner makes.
#[must_use]
pub fn lint(plan: &Plan) -> Vec<Finding> {
    let mut lint = Lint { plan, findings: Vec::new() };
    lint.version();
    lint.patch_sets();
    lint.actions();
    lint.waves();
    lint.tags();
    lint.findings
}

struct Lint<'a> {
    plan: &'a Plan,
    findings: Vec<Finding>,
}

impl Lint<'_> {
    fn error(&mut self, part: impl Into<String>, problem: impl Into<String>) {
        self.findings.push(Finding { severity: Severity::Error, part: part.into(), problem: problem.into() });
    }

    fn version(&mut self) {
        let found = self.plan.decisions.version;
        if found != planner::VERSION {
            self.error("plan", format!("format {found} is not known here, only {}", planner::VERSION));
        }
    }

    fn patch_sets(&mut self) {
        let used = planner::used_sets(&self.plan.decisions.actions);
        for (id, set) in &self.plan.decisions.patch_sets {
            let part = format!("patch set {}", id.short(12));
            if set.id() != *id {
                self.error(&part, "is not what its digest says");
            }
            if !used.contains(id) {
                self.findings.push(Finding {
                    severity: Severity::Warning,
                    part: part.clone(),
                    problem: "no action uses it".to_owned(),
                });
            }
            for problem in change_problems(&set.change) {
                self.error(&part, problem);
            }
        }
    }

    fn machine(&mut self, part: &str, action: &Action, change: &Change) {
        let (Change::Packages(packages) | Change::Snapshot { packages, .. }) = change else {
            return self.error(part, "is a machine, which has no image");
        };
        if packages.is_empty() || packages.iter().any(|package| package.to.is_none()) {
            self.error(part, "is a machine, and nothing is installed on it, or something is removed");
        }
        let recreated = action.data == Data::Restore
            || action.writable_layer != WritableLayer::LeaveOut
            || action.order != Order::StopFirst
            || !action.drain.is_nothing()
            || !action.dependents.is_empty();
        if recreated {
            self.error(part, "is a machine, and asks for what only containers have");
        }
    }

    fn actions(&mut self) {
        let mut targets = BTreeSet::new();
        for action in &self.plan.decisions.actions {
            let part = part_of(action);
            for target in action.disturbed() {
                if !targets.insert(target) {
                    let problem = if *target == action.target {
                        "its target is in the plan already".to_owned()
                    } else {
                        format!("its dependent {} is in the plan already", printable(target.name(), 80))
                    };
                    self.error(&part, problem);
                }
            }
            let Some(set) = self.plan.patch_set(action) else {
                self.error(&part, "its patch set is not in the plan");
                continue;
            };
            let method = match &set.change {
                Change::Packages(packages) => {
                    let size = packages.iter().fold(0_u64, |sum, p| sum.saturating_add(p.size));
                    if size > action.max_layer && action.kind != TargetKind::Host {
                        self.error(&part, "its packages are larger than its max_layer");
                    }
                    host::package_method(action.kind)
                }
                Change::Image { .. } => Method::Image,
                Change::Snapshot { .. } => Method::Restore,
            };
            if method != action.method {
                self.error(&part, format!("method {} with a patch set for {method}", action.method));
            }
            if action.kind == TargetKind::Host {
                self.machine(&part, action, &set.change);
            }
            if action.kind == TargetKind::Service {
                let needs_image = matches!(&set.change, Change::Snapshot { image: None, .. });
                if action.method == Method::Layer || needs_image || action.data == Data::Restore {
                    self.error(&part, "is a Swarm service, and asks for what Swarm cannot do");
                }
            }
            let own = (&action.expected, &action.checks);
            let theirs = action.dependents.iter().map(|other| (&other.expected, &other.checks));
            for (expected, checks) in std::iter::once(own).chain(theirs) {
                if expected.object.is_empty() || expected.image.is_empty() || expected.reference.is_empty() {
                    self.error(&part, "does not say how its target must be");
                }
                let names: BTreeSet<_> = checks.iter().map(|check| &check.name).collect();
                if names.len() < checks.len() {
                    self.error(&part, "has two checks of one name");
                }
            }
            let timeouts = action.timeouts;
            if [timeouts.step, timeouts.healthy, timeouts.check].iter().any(|limit| limit.0 == 0) {
                self.error(&part, "has a timeout of nothing");
            }
            let copies = action.data == Data::Restore || action.writable_layer == WritableLayer::Carry;
            if action.order == Order::StartFirst && copies {
                self.error(
                    &part,
                    "is to be started first, and to be given what only a stopped container can give",
                );
            }
            if action.order == Order::StartFirst && !action.dependents.is_empty() {
                self.error(&part, "is to be started first, and others live in its namespaces");
            }
            if !action.drain.command.is_empty() && !action.dependents.is_empty() {
                self.error(&part, "is to be drained by a command, and others live in its namespaces");
            }
            let mut drain = action.drain.command.iter();
            if drain.clone().next().is_some_and(String::is_empty) || drain.any(|word| word.contains('\0')) {
                self.error(&part, "has a drain command that nobody can run");
            }
            if action.services().any(|(_, budget)| budget == 0) {
                self.error(&part, "has a budget of nothing");
            }
        }
    }

    fn waves(&mut self) {
        let actions = &self.plan.decisions.actions;
        let mut seen = vec![0_usize; actions.len()];
        let mut started: BTreeSet<PatchSetId> = BTreeSet::new();
        for (number, wave) in self.plan.decisions.waves.iter().enumerate() {
            let part = format!("wave {}", number + 1);
            if wave.0.is_empty() {
                self.error(&part, "is empty");
            }
            let mut services: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
            let mut sets: BTreeMap<PatchSetId, usize> = BTreeMap::new();
            for index in &wave.0 {
                let Some(action) = actions.get(*index) else {
                    self.error(&part, format!("has action {}, which does not exist", index + 1));
                    continue;
                };
                seen[*index] += 1;
                for (service, budget) in action.services() {
                    let place = services.entry(service).or_insert((0, usize::MAX));
                    *place = (place.0 + 1, place.1.min(budget));
                }
                *sets.entry(action.patch_set).or_insert(0) += 1;
            }
            for (service, (count, cap)) in services {
                if count > cap {
                    let service = printable(service, 80);
                    self.error(&part, format!("{count} targets of {service} at once, {cap} may be"));
                }
            }
            for (set, count) in sets {
                if started.insert(set) && count > 1 {
                    self.error(
                        &part,
                        format!("patch set {} is tried first on {count} targets", set.short(12)),
                    );
                }
            }
        }
        for (action, times) in actions.iter().zip(seen) {
            if times != 1 {
                self.error(part_of(action), format!("is in {times} waves instead of one"));
            }
        }
    }

    fn tags(&mut self) {
        let decisions = &self.plan.decisions;
        let mut seen = BTreeSet::new();
        for tag in &decisions.tags {
            let part = format!("tag {}", printable(&tag.reference, 120));
            if !tags::is_tag(&tag.reference) || tag.from.is_empty() {
                self.error(&part, "is none");
            }
            if !seen.insert((&tag.host, &tag.reference)) {
                self.error(&part, "moves twice on one host");
            }
            let runs: Vec<_> = tag.after.iter().map(|index| decisions.actions.get(*index)).collect();
            let wanted = |action: &Action| {
                action.host == tag.host
                    && match action.method {
                        Method::Layer | Method::Image | Method::Packages => {
                            action.patch_set == tag.patch_set && tag.image.is_none()
                        }
                        Method::Restore => tag.image.is_some(),
                    }
            };
            if runs.is_empty() || !runs.iter().all(|action| action.is_some_and(wanted)) {
                self.error(&part, "waits for runs that have nothing to do with it");
            }
            if !decisions.patch_sets.contains_key(&tag.patch_set) {
                self.error(&part, "its patch set is not in the plan");
            }
        }
    }
}

/// What is wrong with a change, each in one line.
pub(crate) fn change_problems(change: &Change) -> Vec<String> {
    match change {
        Change::Packages(packages) => package_problems(packages),
        Change::Image { reference, from: _, to } if !is_argument(reference) || !is_image_digest(to) => {
            vec!["names no image".to_owned()]
        }
        Change::Snapshot { snapshot, .. } if !is_argument(&snapshot.0) => {
            vec!["names no snapshot".to_owned()]
        }
        Change::Snapshot { image: Some(image), .. } if !is_image_digest(image) => {
            vec!["names no image to go back to".to_owned()]
        }
        Change::Image { .. } | Change::Snapshot { .. } => Vec::new(),
    }
}

fn package_problems(packages: &[PackageChange]) -> Vec<String> {
    let mut problems = Vec::new();
    if packages.is_empty() {
        problems.push("changes nothing".to_owned());
    }
    if !packages.is_sorted_by(|a, b| (&a.name, &a.arch) < (&b.name, &b.arch)) {
        problems.push("its packages are not sorted, or come twice".to_owned());
    }
    for package in packages {
        let PackageChange { name, arch, from, to, sha256, security: _, size: _ } = package;
        let shown = printable(name, 80);
        let mut texts = [name, &arch.0].into_iter().chain(from).chain(to);
        if !texts.all(|text| is_argument(text)) {
            problems.push(format!("{shown} has a name or version that is none"));
        }
        if from == to {
            problems.push(format!("{shown} does not change"));
        }
        if to.is_some() != sha256.is_some() {
            problems.push(format!("{shown} is not pinned by a SHA-256"));
        }
    }
    problems
}

fn part_of(action: &Action) -> String {
    printable(&action.name, 80)
}

/// Text that may become an argument of a command: visible ASCII that is never taken for an option.
pub(crate) fn is_argument(text: &str) -> bool {
    text.len() <= 512
        && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_')
        && text.bytes().all(|b| b.is_ascii_graphic() && !b"'\"`$\\;&|<>(){}*?[]!#".contains(&b))
}

fn is_image_digest(text: &str) -> bool {
    text.parse::<patchyard_types::Digest>().is_ok() && text.starts_with("sha256:")
}
