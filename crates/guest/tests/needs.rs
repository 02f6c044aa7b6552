//! What a machine needs after a patch, on a machine with systemd and real services.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod yard;

use std::time::Duration;

use patchyard_assess::needs::measures;
use patchyard_contract::suite::run;
use patchyard_guest::{Guest, job, needs};
use patchyard_types::{Arch, PackageChange};
use yard::Machine;

#[test]
fn what_runs_on_a_replaced_library_is_restarted_by_its_unit() {
    let machine = Machine::with_systemd();
    run(async {
        let transport = machine.transport();
        assert!(needs::ask(&*transport).await.unwrap().services.is_empty());
        machine.sh(
            "printf '[Service]\\nEnvironment=LD_PRELOAD=/usr/lib/lab/liblab.so\\nExecStart=/bin/sleep infinity\\n' \
             >/etc/systemd/system/lab.service; systemctl daemon-reload; systemctl start lab.service",
        );
        machine.background("LD_PRELOAD=/usr/lib/lab/liblab.so exec sleep 1234567");
        let guest = Guest::open(machine.transport()).await.unwrap();
        guest.refresh(Duration::from_secs(60)).await.unwrap();
        let change = PackageChange {
            name: "lab-lib".to_owned(),
            arch: Arch("all".to_owned()),
            from: Some("1.0".to_owned()),
            to: Some("1.1".to_owned()),
            sha256: None,
            security: false,
            size: 0,
        };
        let work = guest.transaction(&[change], Duration::from_secs(60)).await.unwrap();
        let id = job::JobId::new("lib").unwrap();
        job::start(&*transport, &id, &work).await.unwrap();
        while job::look(&*transport, &id, 0).await.unwrap().state == job::JobState::Running {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }

        let found = needs::ask(&*transport).await.unwrap();
        let services: Vec<_> = found.services.iter().collect();
        let [(unit, files)] = services[..] else { panic!("{found:?}") };
        assert_eq!(
            (&**unit, files.iter().map(String::as_str).collect::<Vec<_>>()),
            ("lab.service", vec!["/usr/lib/lab/liblab.so"])
        );
        assert_eq!(found.others, 1, "the process that belongs to no unit: {found:?}");
        let before = machine.sh("systemctl show -p MainPID --value lab.service");
        let todo = measures(&found, patchyard_types::Reboot::AsNeeded);
        assert_eq!((&todo.restart[..], &todo.reboot[..]), (&["lab.service".to_owned()][..], &[][..]));
        needs::restart(&*transport, &todo.restart, todo.reexecute_init).await.unwrap();
        assert_ne!(machine.sh("systemctl show -p MainPID --value lab.service"), before);
        let found = needs::ask(&*transport).await.unwrap();
        assert!(found.services.is_empty() && found.others == 1, "{found:?}");
    });
}

#[test]
fn what_says_that_a_reboot_is_wanted_is_a_reason() {
    let machine = Machine::new("apt");
    run(async {
        let transport = machine.transport();
        assert!(needs::ask(&*transport).await.unwrap().reboot.is_empty());
        machine.sh("touch /run/reboot-required; printf 'linux-image\\ndbus\\n' >/run/reboot-required.pkgs");
        assert_eq!(needs::ask(&*transport).await.unwrap().reboot, ["packages want it: linux-image, dbus"]);
        machine.sh("rm /run/reboot-required*; mkdir -p /boot; touch /boot/vmlinuz-$(uname -r)");
        assert!(needs::ask(&*transport).await.unwrap().reboot.is_empty(), "the newest runs");
        machine.sh("touch /boot/vmlinuz-9$(uname -r)");
        let reboot = needs::ask(&*transport).await.unwrap().reboot;
        assert!(matches!(&reboot[..], [words] if words.starts_with("kernel 9")), "{reboot:?}");
    });
}

#[test]
fn a_service_that_does_not_start_again_is_named() {
    let machine = Machine::with_systemd();
    run(async {
        let error =
            needs::restart(&*machine.transport(), &["no-such.service".to_owned()], true).await.unwrap_err();
        assert!(error.to_string().contains("no-such.service"), "{error}");
    });
}
