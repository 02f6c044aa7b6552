//! Containers of images with dnf and zypper: read, assessed, patched by a layer, put back.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use patchyard_e2e_tests::{Controller, Engine, Outcome, OwnImage, lab, slow};
use serde_json::{Value, json};

/// The lab's images, with that of dnf 5 where there is time to make it.
fn images() -> Vec<&'static str> {
    let mut images = vec!["guest-dnf", "guest-zypper"];
    if slow() {
        lab("guests", ["dnf5"]);
        images.push("guest-dnf5");
    }
    images
}

/// What its repository has more than its image, of the packages that make no trouble.
const NEW: [(&str, &str); 3] = [("lab-lib", "1.1"), ("lab-needs", "1.1"), ("lab-tool", "1.2")];

/// A container that runs next to nothing; it and everything made from its image goes with that.
struct Container {
    engine: Engine,
    name: String,
    image: OwnImage,
}

impl Container {
    /// Of an image whose repository has nothing newer of these packages, and in which a shell script has run.
    fn start(case: &str, without: &[&str], script: &str) -> Self {
        let engine = Engine::machine();
        let gone: Vec<String> =
            without.iter().map(|name| format!("noarch/{name}-1.[1-9]-1.noarch.rpm")).collect();
        let repository = "rm -r repodata; createrepo_c --quiet .";
        let script = format!("cd /repo; rm -f {}; {repository}; {script}", gone.join(" "));
        let image = OwnImage::changed_by(&engine, case, &script);
        let name = image.start("one", &[]);
        Self { engine, name, image }
    }

    /// The same with what makes no trouble.
    fn good(case: &str) -> Self {
        Self::start(case, &["lab-slow", "lab-broken", "lab-rival"], "true")
    }

    fn controller(&self) -> Controller {
        Controller::new(&self.engine).with_defaults("verify_for: 2s")
    }

    fn sh(&self, script: &str) -> String {
        self.engine.docker(["exec", &self.name, "sh", "-ec", script])
    }

    /// A package's version by rpm, and by its own file.
    fn version(&self, package: &str) -> String {
        let script = format!("rpm -q --qf '%{{VERSION}} ' {package}; cat /usr/share/{package}/version");
        self.sh(&script).trim().to_owned()
    }

    fn image_id(&self) -> Value {
        self.engine.inspect("container", &self.name)["Image"].clone()
    }

    fn id(&self) -> Value {
        self.engine.inspect("container", &self.name)["Id"].clone()
    }
}

fn the_run(outcome: &Outcome) -> Value {
    outcome.rollout()["runs"][0].clone()
}

#[test]
fn a_container_of_rpm_is_assessed_patched_by_a_layer_and_put_back() {
    for case in images() {
        let container = Container::good(case);
        let (before, image) = (container.id(), container.image_id());
        let controller = container.controller();
        let scan = controller.run(["scan", "--json", &container.name]).expect(0).json("patchyard.scan/v1");
        let pending = scan["targets"][0]["pending"].as_array().unwrap_or_else(|| panic!("{case}: {scan:#}"));
        let found: Vec<_> = pending
            .iter()
            .map(|patch| (patch["package"].as_str().unwrap(), patch["candidate"].as_str().unwrap()))
            .collect();
        let expected = NEW.map(|(name, version)| (name, format!("{version}-1")));
        let expected: Vec<_> = expected.iter().map(|(name, version)| (*name, &**version)).collect();
        assert_eq!(found, expected, "{case}: {scan:#}");

        let applied = controller.run(["apply", "--yes", "--json", &container.name]).expect(0);
        assert_eq!(the_run(&applied)["state"], "succeeded", "{case}: {applied}");
        for (package, version) in NEW {
            assert_eq!(container.version(package), format!("{version} {version}"), "{case}");
        }
        assert_eq!(container.sh("cat /etc/lab-tool.conf").trim(), "default of 1.2", "{case}");
        assert_ne!(container.id(), before, "{case}");
        let layers = |image: &Value| {
            container.engine.inspect("image", image.as_str().unwrap())["RootFS"]["Layers"]
                .as_array()
                .unwrap()
                .len()
        };
        assert_eq!(layers(&container.image_id()), layers(&image) + 1, "{case}: one layer on its image");
        assert_eq!(
            container.sh("find / -xdev -name '*patchyard*' 2>/dev/null"),
            "",
            "{case}: nothing of ours is left"
        );
        let again = controller.run(["plan", "--json", "--refresh", &container.name]).expect(0);
        assert_eq!(again.json("patchyard.plan/v1")["actions"], json!([]), "{case}: {again}");

        let back = controller.run(["rollback", "--yes", "--json", &container.name]).expect(0);
        assert_eq!(the_run(&back)["state"], "succeeded", "{case}: {back}");
        assert_eq!(container.image_id(), image, "{case}");
        assert_eq!(container.version("lab-tool"), "1.0 1.0", "{case}");
    }
}

/// Its layer is built on the original image again, and holds both.
#[test]
fn a_second_patch_keeps_the_first() {
    for case in ["guest-dnf", "guest-zypper"] {
        let container = Container::good(case);
        let controller = container.controller();
        let first = ["apply", "--yes", "--json", "--package", "lab-lib", &container.name];
        let applied = controller.run(first).expect(0);
        assert_eq!(the_run(&applied)["state"], "succeeded", "{case}: {applied}");
        assert_eq!(container.version("lab-lib"), "1.1 1.1", "{case}");
        assert_eq!(container.version("lab-tool"), "1.0 1.0", "{case}");
        let applied = controller.run(["apply", "--yes", "--json", &container.name]).expect(0);
        assert_eq!(the_run(&applied)["state"], "succeeded", "{case}: {applied}");
        for (package, version) in NEW {
            assert_eq!(container.version(package), format!("{version} {version}"), "{case}");
        }
    }
}

/// rpm itself only warns of a script that fails behind the files.
#[test]
fn a_package_whose_script_fails_is_told_of_and_kept_out() {
    for case in images() {
        let container =
            Container::start(case, &["lab-slow", "lab-rival", "lab-tool", "lab-lib", "lab-needs"], "true");
        let before = container.id();
        let controller = container.controller();
        let applied = controller.run(["apply", "--yes", "--json", &container.name]).expect(5);
        let reason = the_run(&applied)["reason"].as_str().unwrap_or_default().to_owned();
        assert!(reason.contains("lab-broken: cannot migrate its data"), "{case}: {applied}");
        assert_eq!(container.id(), before, "{case}: it has not been touched");
        assert_eq!(controller.quarantine().len(), 1, "{case}");
    }
}

/// A key of its repository's, and signatures where its package manager looks for them: dnf at the packages, zypper at the lists.
const SIGNED: &str = "export GNUPGHOME=/root/keys; mkdir -p -m 700 $GNUPGHOME /etc/pki/rpm-gpg; \
    gpg -q --batch --passphrase '' --quick-gen-key lab@example.test rsa2048 sign never 2>/dev/null; \
    gpg -q --armor --export >/etc/pki/rpm-gpg/lab; \
    sed -i '/gpgcheck/d' /etc/yum.repos.d/lab.repo /etc/zypp/repos.d/lab.repo 2>/dev/null || true; \
    for repo in /etc/yum.repos.d/lab.repo /etc/zypp/repos.d/lab.repo; do \
      [ ! -e $repo ] || printf 'gpgcheck=1\\ngpgkey=file:///etc/pki/rpm-gpg/lab\\n' >>$repo; \
    done; \
    rpmsign --addsign --define '__gpg /usr/bin/gpg' --define '_gpg_name lab@example.test' noarch/$packages >/dev/null 2>&1; \
    rm -r repodata; createrepo_c --quiet .; \
    if [ -d /etc/zypp ]; then rpmkeys --import /etc/pki/rpm-gpg/lab; gpg -q --armor --detach-sign repodata/repomd.xml; fi; \
    rm -r $GNUPGHOME";

#[test]
fn packages_are_planned_only_with_the_signatures_that_an_image_wants() {
    let without = &["lab-slow", "lab-broken", "lab-rival"];
    for case in images() {
        let container = Container::start(case, without, &format!("packages=*.rpm; {SIGNED}"));
        let applied = container.controller().run(["apply", "--yes", "--json", &container.name]).expect(0);
        assert_eq!(the_run(&applied)["state"], "succeeded", "{case}: {applied}");
        assert_eq!(container.version("lab-tool"), "1.2 1.2", "{case}");
    }
    for (case, script) in [
        // One of three is not signed.
        ("guest-dnf", format!("packages='lab-[ln]*.rpm'; {SIGNED}")),
        ("guest-dnf", "sed -i s/gpgcheck=0/gpgcheck=1/ /etc/yum.repos.d/lab.repo".to_owned()),
        ("guest-zypper", format!("packages=*.rpm; {SIGNED}; rm repodata/repomd.xml.asc")),
        ("guest-zypper", format!("packages=*.rpm; {SIGNED}; echo >>repodata/repomd.xml")),
    ] {
        let container = Container::start(case, without, &script);
        let controller = container.controller();
        let plan = controller.run(["plan", "--json", &container.name]);
        let said = plan.to_string().to_lowercase();
        assert!(said.contains("sign") || said.contains("gpg"), "{case}: {script}: {plan}");
        let applied = controller.run(["apply", "--yes", "--json", &container.name]);
        assert_ne!(applied.code(), Some(0), "{case}: {script}: {applied}");
        assert_eq!(container.version("lab-tool"), "1.0 1.0", "{case}: {script}");
    }
}

/// What has been installed into a running container is in no image: its own layer tells.
#[test]
fn what_somebody_has_installed_in_a_container_is_seen() {
    for case in images() {
        let container = Container::good(case);
        let _ = container.sh("rpm -U /repo/noarch/lab-tool-1.1-1.noarch.rpm");
        let controller = container.controller();
        let scan = controller.run(["scan", "--json", &container.name]).expect(0).json("patchyard.scan/v1");
        let pending = scan["targets"][0]["pending"].as_array().unwrap_or_else(|| panic!("{case}: {scan:#}"));
        let tool = pending.iter().find(|patch| patch["package"] == "lab-tool").unwrap();
        assert_eq!(
            (&tool["installed"], &tool["candidate"]),
            (&json!("1.1-1"), &json!("1.2-1")),
            "{case}: {scan:#}"
        );
    }
}

/// What one has mounted there is nothing to another of the same image.
#[test]
fn containers_of_one_image_are_asked_by_what_each_has_mounted() {
    let container = Container::good("guest-dnf");
    let none = tempfile::tempdir().unwrap();
    let mount = format!("{}:/etc/yum.repos.d:ro", none.path().display());
    let without = container.image.start("two", &["-v", &mount]);
    let names = [&*container.name, &*without];
    for names in [names, [names[1], names[0]]] {
        let scan = container.controller().run(["scan", "--json"].iter().chain(&names)).expect(0);
        let scan = scan.json("patchyard.scan/v1");
        let targets = scan["targets"].as_array().unwrap();
        let pending = |name: &str| {
            let target = targets.iter().find(|target| target["name"] == name).unwrap();
            target["pending"].as_array().map(Vec::len)
        };
        assert_eq!(pending(&container.name), Some(3), "{scan:#}");
        assert_ne!(pending(&without), Some(3), "{scan:#}");
    }
}

/// Replicas that have written something are copied to be asked, and share what is built all the same.
#[test]
fn replicas_that_have_written_the_same_share_a_patch_set() {
    for case in ["guest-dnf", "guest-zypper"] {
        let container = Container::good(case);
        let other = container.image.start("two", &[]);
        for name in [&container.name, &other] {
            container.engine.docker(["exec", name, "touch", "/var/lib/rpm/looked-at"]);
        }
        let controller = container.controller();
        let plan = controller.run(["plan", "--json", &container.name, &other]).expect(0);
        let plan = plan.json("patchyard.plan/v1");
        assert_eq!(plan["actions"].as_array().unwrap().len(), 2, "{case}: {plan:#}");
        assert_eq!(plan["estimate"]["builds"], 1, "{case}: {plan:#}");
    }
}

#[test]
fn a_container_of_apk_is_assessed_and_left_out() {
    if !slow() {
        return;
    }
    lab("guests", ["apk"]);
    let engine = Engine::machine();
    let image = OwnImage::changed_by(&engine, "guest-apk", "true");
    let name = image.start("one", &[]);
    let controller = Controller::new(&engine);
    controller.run(["why", &name]).expect(0).says(&["lab-tool", "1.2"]);
    let plan = controller.run(["plan", "--json", &name]).expect(0).json("patchyard.plan/v1");
    assert_eq!(plan["actions"], json!([]), "{plan:#}");
    assert!(plan["left_out"].to_string().contains("SHA-256"), "{plan:#}");
}
