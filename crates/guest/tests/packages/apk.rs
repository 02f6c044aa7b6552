//! apk, of Alpine.

use super::*;

const APK: Kind = Kind {
    image: "apk",
    manager: PackageManager::Apk,
    release: "-r0",
    arch: "noarch",
    install_slow: "apk add --upgrade lab-slow",
};

shared!(APK, ignore = "wants Alpine, of which `lab/guests apk` makes a machine");

fn world(machine: &Machine) -> String {
    machine.sh("cat /etc/apk/world")
}

#[test]
#[ignore = "wants Alpine, of which `lab/guests apk` makes a machine"]
fn the_world_is_as_it_was_whatever_became_of_a_transaction() {
    let machine = Machine::new(APK.image);
    patchyard_contract::suite::run(async {
        let guest = APK.open(&machine).await;
        // Somebody wants a range of versions of one, and changed a file of it.
        machine.sh("apk add 'lab-tool<1.2'; echo mine >/etc/lab-tool.conf");
        let before = world(&machine);
        assert!(before.contains("lab-tool<1.2"), "{before}");

        let up = [APK.change("lab-tool", "1.0", "1.1"), APK.change("lab-lib", "1.0", "1.1")];
        let output = change(&guest, "up", &up).await;
        assert_eq!(world(&machine), before);
        assert!(
            output.contains("/etc/lab-tool.conf was changed by somebody and stays; the package's own is /etc/lab-tool.conf.apk-new"),
            "{output}"
        );
        // What the world does not want is refused, in the solver's words.
        let words = refused(&guest, &[APK.change("lab-tool", "1.1", "1.2")]).await;
        assert!(words.contains("world[lab-tool<1.2-r0]") || words.contains("world[lab-tool<1.2]"), "{words}");

        let broken = guest.transaction(&[APK.change("lab-broken", "1.0", "1.1")], LONG).await.unwrap();
        let (state, output) = run_job(&guest, "broken", &broken).await;
        assert!(matches!(state, JobState::Ended { code: 1.. }), "{state:?} {output}");
        assert_eq!(world(&machine), before);
    });
}

#[test]
#[ignore = "wants Alpine, of which `lab/guests apk` makes a machine"]
fn a_package_whose_script_failed_is_told_and_mended() {
    let machine = Machine::new(APK.image);
    patchyard_contract::suite::run(async {
        let guest = APK.open(&machine).await;
        let changes = [APK.change("lab-broken", "1.0", "1.1"), APK.change("lab-tool", "1.0", "1.1")];
        let job = guest.transaction(&changes, LONG).await.unwrap();
        let (state, output) = run_job(&guest, "broken", &job).await;
        assert!(matches!(state, JobState::Ended { code: 1.. }), "{state:?} {output}");
        assert!(output.contains("lab-broken: cannot migrate its data"), "{output}");
        assert_eq!(guest.installed().await.unwrap().unfinished, ["lab-broken"]);
        assert_eq!(guest.ready(LONG).await.unwrap(), Readiness::Interrupted);
        let words = guest.settled(&changes).await.unwrap_err().to_string();
        assert!(words.contains("lab-broken was left in the middle"), "{words}");
        assert!(refused(&guest, &[APK.change("lab-lib", "1.0", "1.1")]).await.contains("repair first"));

        machine.sh("touch /run/lab-mended");
        done(&guest, "repair", &guest.repair(LONG)).await;
        assert_eq!(guest.ready(LONG).await.unwrap(), Readiness::Ready);
        guest.settled(&changes).await.unwrap();
    });
}

/// The way back goes from there without a person.
#[test]
#[ignore = "wants Alpine, of which `lab/guests apk` makes a machine"]
fn the_way_back_from_a_failed_script_is_a_transaction() {
    let machine = Machine::new(APK.image);
    patchyard_contract::suite::run(async {
        let guest = APK.open(&machine).await;
        let before = (guest.installed().await.unwrap(), world(&machine));
        let changes = [APK.change("lab-broken", "1.0", "1.1"), APK.change("lab-tool", "1.0", "1.1")];
        let job = guest.transaction(&changes, LONG).await.unwrap();
        run_job(&guest, "broken", &job).await;
        let back = [APK.change("lab-broken", "1.1", "1.0"), APK.change("lab-tool", "1.1", "1.0")];
        let job = guest.back(&back, LONG).await.unwrap();
        done(&guest, "back", &job).await;
        assert_eq!((guest.installed().await.unwrap(), world(&machine)), before);
    });
}

#[test]
#[ignore = "wants Alpine, of which `lab/guests apk` makes a machine"]
fn what_comes_in_new_is_told_and_goes_on_the_way_back() {
    let machine = Machine::new(APK.image);
    patchyard_contract::suite::run(async {
        let guest = APK.open(&machine).await;
        let before = (guest.installed().await.unwrap(), world(&machine));
        let patches = pending(&guest).await;
        let new = find(&patches, "sprout");
        assert_eq!((new.installed.as_deref(), &*new.candidate, &*new.arch.0), (None, "1.0-r0", "noarch"));
        assert_eq!(new.origin, "/repo");
        let sprout = |from: Option<&str>, to: Option<&str>| PackageChange {
            from: from.map(|v| APK.version(v)),
            to: to.map(|v| APK.version(v)),
            ..APK.change("sprout", "1.0", "1.0")
        };
        change(&guest, "up", &[APK.change("grown", "1.0", "1.1"), sprout(None, Some("1.0"))]).await;
        let back = [APK.change("grown", "1.1", "1.0"), sprout(Some("1.0"), None)];
        let job = guest.back(&back, LONG).await.unwrap();
        done(&guest, "back", &job).await;
        assert_eq!((guest.installed().await.unwrap(), world(&machine)), before);
    });
}

#[test]
#[ignore = "wants Alpine, of which `lab/guests apk` makes a machine"]
fn what_a_killed_transaction_has_left_is_taken_out() {
    let machine = Machine::new(APK.image);
    patchyard_contract::suite::run(async {
        let guest = APK.open(&machine).await;
        let (before, changes) = (world(&machine), [APK.change("lab-slow", "1.0", "1.1")]);
        let job = guest.transaction(&changes, LONG).await.unwrap();
        let id = JobId::new("killed").unwrap();
        job::start(guest.transport(), &id, &job).await.unwrap();
        machine.wait_for("pgrep -f '[l]ab-go'");
        job::stop(guest.transport(), &id).await.unwrap();
        assert_eq!(watch(&guest, &id).await.0, JobState::Lost);
        machine.sh("touch /run/lab-go");
        // Whatever it has come to: repaired, and once more.
        done(&guest, "repair", &guest.repair(LONG)).await;
        assert_eq!((guest.ready(LONG).await.unwrap(), world(&machine)), (Readiness::Ready, before.clone()));
        change(&guest, "again", &changes).await;

        // Killed between its two halves, it has left its virtual package.
        machine.sh("apk add --virtual .patchyard lab-tool=1.1-r0");
        assert_eq!(guest.installed().await.unwrap().unfinished, [".patchyard"]);
        assert_eq!(guest.ready(LONG).await.unwrap(), Readiness::Interrupted);
        done(&guest, "repair-2", &guest.repair(LONG)).await;
        assert_eq!((guest.ready(LONG).await.unwrap(), world(&machine)), (Readiness::Ready, before));
        assert_eq!(versions(&guest, &["lab-tool"]).await, [APK.version("1.1")]);
    });
}

#[test]
#[ignore = "wants Alpine, of which `lab/guests apk` makes a machine"]
fn a_source_that_does_not_answer_is_told() {
    let machine = Machine::new(APK.image);
    patchyard_contract::suite::run(async {
        let guest = APK.open(&machine).await;
        machine.sh("echo http://127.0.0.1:9/gone >>/etc/apk/repositories");
        let words = guest.refresh(LONG).await.unwrap_err().to_string();
        assert!(words.contains("http://127.0.0.1:9/gone"), "{words}");
    });
}
