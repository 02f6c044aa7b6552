//! apt and dpkg: what all do, and what only they do.

use patchyard_contract::suite::run;

use super::*;

const APT: Kind = Kind {
    image: "apt",
    manager: PackageManager::Apt,
    release: "",
    arch: "all",
    install_slow: "DEBIAN_FRONTEND=noninteractive apt-get -y -o Dpkg::Use-Pty=0 install lab-slow",
};

shared!(APT);

#[test]
fn sizes_and_hashes_are_those_of_the_index() {
    let machine = Machine::new("apt");
    run(async {
        let guest = APT.open(&machine).await;
        let patches = pending(&guest).await;
        let tool = find(&patches, "lab-tool");
        let file = "/repo/lab-tool_1.2_all.deb";
        let expected = machine.sh(&format!("stat -c %s {file}; sha256sum {file} | cut -d' ' -f1"));
        assert_eq!(format!("{}\n{}", tool.size, tool.sha256.unwrap()), expected);
    });
}

#[test]
fn a_source_that_does_not_answer_is_no_news() {
    let machine = Machine::new("apt");
    run(async {
        let guest = Guest::open(machine.transport()).await.unwrap();
        machine.sh("echo 'deb [trusted=yes] http://127.0.0.1:9/repo ./' >>/etc/apt/sources.list");
        let error = guest.refresh(LONG).await.unwrap_err();
        assert!(matches!(error, GuestError::Failed { .. }), "{error:?}");
        assert!(error.to_string().contains("127.0.0.1:9"), "{error}");
    });
}

/// dpkg is killed while it works: the next one has to finish its work first.
#[test]
fn an_interrupted_dpkg_is_told_and_repaired() {
    let machine = Machine::new("apt");
    run(async {
        let guest = APT.open(&machine).await;
        let changes = [APT.change("lab-slow", "1.0", "1.1")];
        let job = guest.transaction(&changes, LONG).await.unwrap();
        let id = JobId::new("killed").unwrap();
        job::start(guest.transport(), &id, &job).await.unwrap();
        machine.wait_for("pgrep -f '[l]ab-slow.postinst'");
        machine.sh("set +e; pkill -9 -f '[r]un-killed/commands'; pkill -9 apt-get; pkill -9 dpkg; \
             pkill -9 -f '[l]ab-slow.postinst'; true");
        let (state, _) = watch(&guest, &id).await;
        assert_eq!(state, JobState::Lost);

        assert_eq!(guest.ready(LONG).await.unwrap(), Readiness::Interrupted);
        assert_eq!(guest.installed().await.unwrap().unfinished, ["lab-slow"]);
        let next = [APT.change("lab-tool", "1.0", "1.1")];
        assert!(
            refused(&guest, &next)
                .await
                .contains("lab-slow was left in the middle of an installation: repair first")
        );

        machine.sh("touch /run/lab-go");
        done(&guest, "repair", &guest.repair(LONG)).await;
        assert_eq!(guest.ready(LONG).await.unwrap(), Readiness::Ready);
        guest.settled(&changes).await.unwrap();
        change(&guest, "next", &next).await;
        let (state, _) = run_job(&guest, "nothing", &guest.repair(LONG)).await;
        assert_eq!(state, JobState::Ended { code: 0 }, "nothing to repair is fine");
    });
}

#[test]
fn a_package_whose_script_fails_fails_the_job_in_its_own_words() {
    let machine = Machine::new("apt");
    run(async {
        let guest = APT.open(&machine).await;
        let changes = [APT.change("lab-broken", "1.0", "1.1")];
        let job = guest.transaction(&changes, LONG).await.unwrap();
        let (state, output) = run_job(&guest, "broken", &job).await;
        assert_eq!(state, JobState::Ended { code: 100 }, "{output}");
        assert!(output.contains("lab-broken: cannot migrate its data"), "{output}");
        let error = guest.settled(&changes).await.unwrap_err();
        assert!(error.to_string().contains("lab-broken was left in the middle"), "{error}");
        assert_eq!(guest.ready(LONG).await.unwrap(), Readiness::Interrupted);
        machine.sh("touch /run/lab-mended");
        done(&guest, "repair", &guest.repair(LONG)).await;
        guest.settled(&changes).await.unwrap();
    });
}

/// Who named a package on a command line is not remembered as having wanted it.
#[test]
fn marks_stay_as_they_were() {
    let machine = Machine::new("apt");
    run(async {
        let guest = APT.open(&machine).await;
        machine.sh("apt-mark auto lab-lib");
        let changes = [APT.change("lab-lib", "1.0", "1.1"), APT.change("lab-tool", "1.0", "1.1")];
        change(&guest, "up", &changes).await;
        assert_eq!(machine.sh("apt-mark showauto | grep lab-"), "lab-lib");
    });
}

/// A transaction that fails does not come to its last step.
#[test]
fn marks_that_a_failed_transaction_has_lost_come_back_with_the_way_back() {
    let machine = Machine::new("apt");
    run(async {
        let guest = APT.open(&machine).await;
        machine.sh("apt-mark auto lab-broken");
        let changes = [APT.change("lab-broken", "1.0", "1.1")];
        let automatic = guest.automatic(&changes).await.unwrap();
        assert_eq!(automatic, ["lab-broken:all"]);
        let job = guest.transaction(&changes, LONG).await.unwrap();
        let (state, output) = run_job(&guest, "up", &job).await;
        assert_eq!(state, JobState::Ended { code: 100 }, "{output}");
        assert_eq!(machine.sh("apt-mark showauto | grep lab- || true"), "");
        let back = [APT.change("lab-broken", "1.1", "1.0")];
        let guest = guest.with_automatic(automatic);
        let job = guest.back(&back, LONG).await.unwrap();
        done(&guest, "down", &job).await;
        assert_eq!(machine.sh("apt-mark showauto | grep lab-"), "lab-broken");
    });
}

/// Versions that no repository has any more do not hide the others.
#[test]
fn what_repositories_have_is_told_package_by_package() {
    let machine = Machine::new("apt");
    run(async {
        let guest = APT.open(&machine).await;
        machine.sh(
            "rm /repo/lab-lib_1.0_all.deb; cd /repo; apt-ftparchive packages . >Packages; apt-get -q update",
        );
        let all = Arch("all".to_owned());
        let asked = [
            ("lab-lib", &all, "1.0"),
            ("lab-tool", &all, "1.0"),
            ("lab-none", &all, "1"),
            ("lab-lib", &all, "1.1"),
        ];
        let offered = guest.offered(&asked).await.unwrap();
        assert_eq!(offered.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true, false, true]);
        let sum = machine.sh("sha256sum /repo/lab-tool_1.0_all.deb | cut -d' ' -f1");
        assert_eq!(offered[1].unwrap().1.to_string(), sum);
        assert_eq!(guest.offered(&asked[2..3]).await.unwrap(), [None]);
    });
}

#[test]
fn what_a_transaction_needs_and_was_planned_comes_in_new() {
    let machine = Machine::new("apt");
    run(async {
        let guest = APT.open(&machine).await;
        machine.sh("dpkg --remove lab-needs lab-lib");
        let new = |name: &str| PackageChange { from: None, ..APT.change(name, "1.0", "1.1") };
        assert!(
            refused(&guest, &[new("lab-needs")]).await.contains("lab-lib:all 1.1 would be installed too")
        );
        change(&guest, "new", &[new("lab-needs"), new("lab-lib")]).await;
    });
}
