//! Real machines of the lab, each with a plan for some of its packages.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::yard::Machine;
use async_trait::async_trait;
use jiff::Timestamp;
use patchyard_cache::FileCache;
use patchyard_contract::{Ask, Call, Provider};
use patchyard_plan::{Candidate, PatchFilter, PlanRequest, TagPolicy};
use patchyard_provider_host::{HostProvider, Options};
use patchyard_types::{
    Assessment, Change, Direction, FailureKind, MachineStep, Method, PackageChange, Plan, Record, RolloutId,
    RunId, Settings, Step, StepError, Unsaved, WayBack,
};

const ID: &str = "00000000000000000000000000000abc";

/// A kind of machine, by the lab's name for its image: what its packages are called.
#[derive(Clone, Copy)]
pub struct Kind {
    pub image: &'static str,
    /// Prints the lab's packages, their versions, and what was left in the middle.
    versions: &'static str,
    /// Changes `lab-tool` to 1.1.
    meddle: &'static str,
    /// Reads the lists of its repositories anew.
    pub refresh: &'static str,
}

pub const APT: Kind = Kind {
    image: "apt",
    versions: "dpkg-query -W -f '${Package} ${Version} ${db:Status-Status}\\n' 'lab-*'",
    meddle: "DEBIAN_FRONTEND=noninteractive apt-get -q -y install lab-tool=1.1",
    refresh: "apt-get -q update",
};

pub const DNF: Kind = Kind {
    image: "dnf",
    versions: "rpm -qa --qf '%{NAME} %{VERSION}\\n' 'lab-*' | sort",
    meddle: "dnf -q -y install lab-tool-1.1",
    refresh: "dnf -q --refresh makecache",
};

/// Of another release: `lab/guests dnf5` makes it.
pub const DNF5: Kind = Kind { image: "dnf5", ..DNF };

pub const ZYPPER: Kind = Kind {
    image: "zypper",
    versions: DNF.versions,
    meddle: "zypper -n install lab-tool=1.1",
    refresh: "zypper -n refresh --force",
};

/// A machine, and a plan for the named ones of its packages.
pub struct Place {
    pub kind: Kind,
    pub machine: Machine,
    pub provider: Arc<HostProvider>,
    pub cache: Arc<FileCache>,
    plan: Arc<Plan>,
    _folder: tempfile::TempDir,
}

impl Place {
    pub async fn new(packages: &[&str]) -> Self {
        Self::with(packages, WayBack::Required).await
    }

    pub async fn with(packages: &[&str], way_back: WayBack) -> Self {
        Self::of(APT, "true", packages, way_back).await
    }

    /// One of that kind, after a script has run in it.
    pub async fn of(kind: Kind, script: &str, packages: &[&str], way_back: WayBack) -> Self {
        let machine = Machine::new(kind.image);
        machine.sh(script);
        machine.sh(&format!("echo {ID} >/etc/machine-id"));
        let folder = tempfile::tempdir().unwrap();
        let cache = Arc::new(FileCache::open(folder.path()).unwrap());
        let options = Options {
            controller: "a1b2c3d4e5f6".to_owned(),
            cache: cache.clone(),
            kind: "ssh",
            name: "db01".to_owned(),
            service: None,
            labels: BTreeMap::new(),
            kept: None,
        };
        let provider = Arc::new(HostProvider::connect(machine.transport(), options).await.unwrap());
        let plan = Arc::new(plan(&provider, packages, way_back).await);
        Self { kind, machine, provider, cache, plan, _folder: folder }
    }

    pub fn call(&self, step: MachineStep, direction: Direction, records: &BTreeMap<Step, Record>) -> Call {
        Call {
            run: RunId { rollout: RolloutId(1), action: 0 },
            step: Step::Machine(step),
            direction,
            plan: Arc::clone(&self.plan),
            records: records.clone(),
            given_up: std::collections::BTreeSet::new(),
            source: None,
            progress: None,
            dependent: None,
        }
    }

    pub async fn perform(
        &self,
        step: MachineStep,
        direction: Direction,
        records: &mut BTreeMap<Step, Record>,
    ) -> Result<(), StepError> {
        let record = self.provider.perform(&self.call(step, direction, records)).await?;
        if direction == Direction::Do {
            records.insert(Step::Machine(step), record);
        }
        Ok(())
    }

    /// Up to where packages are changed.
    pub async fn prepared(&self) -> BTreeMap<Step, Record> {
        let mut records = BTreeMap::new();
        for step in [MachineStep::Prepare, MachineStep::Preflight] {
            self.perform(step, Direction::Do, &mut records).await.unwrap();
        }
        records
    }

    /// Begins the transaction of `lab-slow`, and goes away in the middle of it.
    pub fn left_in_the_middle(&self, records: &BTreeMap<Step, Record>) {
        let call = self.call(MachineStep::Install, Direction::Do, records);
        let provider = self.provider.clone();
        let starter = tokio::spawn(async move { provider.perform(&call).await });
        self.machine.wait_for("pgrep -f '[l]ab-slow.postinst|[r]pm-tmp'");
        starter.abort();
    }

    /// Preparing is refused for want of a way back from this package, and changes nothing.
    pub async fn is_refused_without_a_way_back(&self, package: &str) {
        let before = self.versions();
        match self.perform(MachineStep::Prepare, Direction::Do, &mut BTreeMap::new()).await {
            Err(StepError::Failed(failure)) => {
                assert_eq!(failure.kind, FailureKind::Refused);
                assert!(failure.message.contains(package), "{failure}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(self.versions(), before);
    }

    pub fn versions(&self) -> Vec<String> {
        self.machine.sh(self.kind.versions).lines().map(str::to_owned).collect()
    }
}

/// What *prepare* has kept: the way back, and what is missing of it.
pub fn kept(records: &BTreeMap<Step, Record>) -> (&[PackageChange], &[String]) {
    match records.get(&Step::Machine(MachineStep::Prepare)) {
        Some(Record::Kept { back, missing, .. }) => (back, missing),
        other => panic!("{other:?}"),
    }
}

async fn plan(provider: &HostProvider, packages: &[&str], way_back: WayBack) -> Plan {
    let target = provider.discover().await.unwrap().remove(0);
    let inventory = provider.inventory(&target).await.unwrap();
    let mut pending = provider.pending(&target, &inventory, &Ask::default()).await.unwrap();
    let wanted: BTreeSet<&str> = packages.iter().copied().collect();
    pending.retain(|patch| wanted.contains(&*patch.package));
    let settings = Settings { method: Method::Packages, way_back, ..Settings::default() };
    let request = PlanRequest {
        candidates: vec![Candidate {
            narrowed: false,
            unsaved: Unsaved::default(),
            starting: Some(inventory.starting),
            assessment: Assessment::Assessed { at: Timestamp::UNIX_EPOCH, pending },
            carried: None,
            image_update: Ok(None),
            settings,
            excluded: false,
            dependents: Vec::new(),
            target: target.clone(),
        }],
        others: Vec::new(),
        filter: PatchFilter::default(),
        quarantine: Vec::new(),
        tags: TagPolicy::Move,
        timings: BTreeMap::new(),
        author: "a test".into(),
        at: Timestamp::UNIX_EPOCH,
    };
    let plan = patchyard_plan::plan(&request).plan;
    assert_eq!(plan.decisions.actions.len(), 1, "{:#?}", plan.about.left_out);
    assert!(patchyard_plan::lint(&plan).is_empty(), "{:#?}", patchyard_plan::lint(&plan));
    let Change::Packages(changes) = &plan.decisions.patch_sets.values().next().unwrap().change else {
        panic!()
    };
    provider.fetch(&target, changes).await.unwrap();
    plan
}

#[async_trait]
impl patchyard_contract::suite::machine::Yard for Place {
    fn provider(&self) -> Arc<dyn Provider> {
        self.provider.clone()
    }

    fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.plan)
    }

    async fn packages(&self) -> Vec<String> {
        self.versions()
    }

    async fn meddle(&self) {
        self.machine.sh(self.kind.meddle);
    }
}
