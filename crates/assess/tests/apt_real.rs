//! The real apt of this machine, asked exactly what a provider asks, about a system made up in a
//! directory: one package for each thing that can happen to a patch.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the thing under test is how a real program answers"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use patchyard_assess::deb::apt::{answer, ask, explain, pending, price, tell_phased};
use patchyard_assess::deb::{Layout, StatusReader};
use patchyard_types::{Digest, InstalledPackage, PendingPatch, PendingStatus};

struct System {
    root: PathBuf,
    installed: Vec<InstalledPackage>,
}

impl Drop for System {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

/// name, architecture, installed version and want, candidate, extra field of the candidate.
type Row = (&'static str, &'static str, Option<(&'static str, &'static str)>, &'static str, &'static str);

const ROWS: [Row; 9] = [
    ("dpkg", "amd64", Some(("1.0", "install")), "1.0", "Section: admin"),
    ("plain", "amd64", Some(("1.0-1", "install")), "1:1.0-1+b1", "Depends: newcomer"),
    ("newcomer", "all", None, "3~rc1", "Section: misc"),
    ("foreign", "i386", Some(("1.0", "install")), "2.0", "Multi-Arch: same"),
    ("held", "all", Some(("1.0", "hold")), "2.0", "Section: misc"),
    ("rival", "amd64", Some(("1.0", "install")), "1.0", "Section: misc"),
    ("conflict", "amd64", Some(("1.0", "install")), "2.0", "Conflicts: rival"),
    ("broken", "amd64", Some(("1.0", "install")), "2.0", "Depends: no-such-package"),
    ("phased", "amd64", Some(("1.0", "install")), "2.0", "Phased-Update-Percentage: 0"),
];

impl System {
    /// `by_policy`: as an apt that decides about phased updates by priorities, and does not speak of them.
    fn new(name: &str, by_policy: bool) -> Self {
        let root = std::env::temp_dir().join(format!("patchyard-apt-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        for dir in ["repo", "lists/partial", "cache/archives/partial", "etc/apt.conf.d", "etc/preferences.d"]
        {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        let (mut status, mut packages) = (String::new(), String::new());
        for (name, arch, installed, candidate, extra) in ROWS {
            let common = format!(
                "Package: {name}\nArchitecture: {arch}\nMaintainer: x <x@example.org>\nDescription: x\n"
            );
            if let Some((version, want)) = installed {
                let multi = if extra.starts_with("Multi-Arch") { "Multi-Arch: same\n" } else { "" };
                status += &format!("{common}Status: {want} ok installed\nVersion: {version}\n{multi}\n");
            }
            if installed.is_none_or(|(version, _)| version != candidate) {
                let hash = Digest::of_bytes(name.as_bytes());
                packages += &format!(
                    "{common}Version: {candidate}\n{extra}\nFilename: ./{name}.deb\nSize: {}\nSHA256: {hash}\nSHA512: {hash}{hash}\n\n",
                    1000 + name.len()
                );
            }
        }
        fs::write(root.join("status"), &status).unwrap();
        fs::write(root.join("repo/Packages"), packages).unwrap();
        let at = root.display();
        fs::write(root.join("sources.list"), format!("deb [trusted=yes] file:{at}/repo ./\n")).unwrap();
        // apt takes every phased update in a chroot, where tests may run too: told never to, it behaves
        // as on a machine whose turn has not come.
        fs::write(
            root.join("apt.conf"),
            format!(
                "APT::Architecture \"amd64\";\nAPT::Architectures {{\"amd64\";\"i386\";}};\n\
                 Dir \"{at}\";\nDir::State \"{at}\";\nDir::State::lists \"lists\";\n\
                 Dir::State::status \"{at}/status\";\nDir::Cache \"cache\";\nDir::Etc \"{at}/etc\";\n\
                 Dir::Etc::sourcelist \"{at}/sources.list\";\nAPT::Sandbox::User \"root\";\n\
                 Debug::NoLocking \"1\";\nAPT::Get::Phase-Policy \"{by_policy}\";\n\
                 APT::Get::Never-Include-Phased-Updates \"1\";\n\
                 APT::Machine-ID \"0123456789abcdef0123456789abcdef\";\n"
            ),
        )
        .unwrap();
        let installed = StatusReader::read(Layout::Status, status.as_bytes()).unwrap().packages;
        let system = Self { root, installed };
        assert!(system.ask(&["apt-get", "update"].map(str::to_owned)).status.success());
        system
    }

    fn ask(&self, argv: &[String]) -> Output {
        Command::new(&argv[0])
            .args(&argv[1..])
            .envs(ask::ENVIRONMENT)
            .env("APT_CONFIG", Path::new(&self.root).join("apt.conf"))
            .output()
            .unwrap()
    }

    /// The whole conversation, as a provider leads it.
    fn pending(&self, allow_remove: bool) -> Vec<PendingPatch> {
        let simulation = self.ask(&ask::simulate(allow_remove));
        assert!(simulation.status.success(), "{}", String::from_utf8_lossy(&simulation.stderr));
        let simulation = answer::simulation(&simulation.stdout).unwrap();
        let upgradable = answer::upgradable(&self.ask(&ask::upgradable()).stdout).unwrap();
        let mut patches = pending(&simulation, &upgradable, &self.installed);
        if patches.iter().any(|patch| patch.status == PendingStatus::KeptBack) {
            let simulation = self.ask(&ask::with_phased(ask::simulate(allow_remove)));
            tell_phased(&mut patches, &answer::simulation(&simulation.stdout).unwrap());
        }
        let offers = self.ask(&ask::offers(&patches).unwrap());
        assert!(offers.status.success(), "{}", String::from_utf8_lossy(&offers.stderr));
        price(&mut patches, &answer::offers(&offers.stdout).unwrap());
        if let Some(argv) = ask::why_kept_back(&patches) {
            let mut why = self.ask(&argv);
            why.stdout.append(&mut why.stderr);
            explain(&mut patches, &why.stdout);
        }
        patches
    }
}

fn find<'a>(patches: &'a [PendingPatch], name: &str) -> &'a PendingPatch {
    patches.iter().find(|p| p.package == name).unwrap_or_else(|| panic!("{name} in {patches:#?}"))
}

#[test]
fn everything_that_can_happen_to_a_patch() {
    everything(&System::new("keep", false));
}

#[test]
fn everything_that_can_happen_to_a_patch_where_phasing_is_a_matter_of_priorities() {
    everything(&System::new("policy", true));
}

fn everything(system: &System) {
    let patches = system.pending(false);
    assert!(patches.is_sorted());
    let statuses: Vec<_> = patches.iter().map(|p| (p.package.as_str(), p.status)).collect();
    assert_eq!(
        statuses,
        [
            ("broken", PendingStatus::KeptBack),
            ("conflict", PendingStatus::KeptBack),
            ("foreign", PendingStatus::Available),
            ("held", PendingStatus::Held),
            ("newcomer", PendingStatus::Available),
            ("phased", PendingStatus::Phased),
            ("plain", PendingStatus::Available),
        ]
    );
    let plain = find(&patches, "plain");
    assert_eq!((plain.installed.as_deref(), plain.candidate.as_str()), (Some("1.0-1"), "1:1.0-1+b1"));
    // Pinned bytes for everything, an epoch in the version and the held one among them.
    for patch in &patches {
        assert_eq!(patch.sha256, Some(Digest::of_bytes(patch.package.as_bytes())), "{}", patch.package);
        assert_eq!(patch.size, 1000 + patch.package.len() as u64);
    }
    assert_eq!(find(&patches, "foreign").arch.0, "i386");
    assert_eq!(find(&patches, "newcomer").installed, None);
    let why = &find(&patches, "broken").why;
    assert!(why.contains("no-such-package"), "the solver's own words: {why}");
}

#[test]
fn a_removal_is_only_planned_when_it_is_allowed() {
    let system = System::new("remove", false);
    let patches = system.pending(true);
    assert_eq!(find(&patches, "conflict").status, PendingStatus::Available);
    let rival = find(&patches, "rival");
    assert_eq!((rival.status, rival.arch.0.as_str()), (PendingStatus::Removal, "amd64"));
    assert_eq!((rival.installed.as_deref(), rival.candidate.as_str()), (Some("1.0"), ""));
    assert_eq!(find(&patches, "broken").status, PendingStatus::KeptBack);
}
