//! Jobs on real machines, with and without systemd: they outlive who started them and are found again.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod yard;
#[path = "yard/ssh.rs"]
mod yard_ssh;

use std::time::Duration;

use patchyard_contract::Transport;
use patchyard_contract::suite::run;
use patchyard_guest::GuestError;
use patchyard_guest::job::{self, Job, JobId, JobState, JobStep, Look};
use yard::Machine;

fn script(text: &str) -> JobStep {
    JobStep::new(["sh", "-c", text].map(str::to_owned).to_vec(), &[])
}

fn job(steps: &[&str]) -> Job {
    Job { steps: steps.iter().map(|text| script(text)).collect() }
}

/// Waits until it has ended, and returns all of its output.
async fn ended(transport: &dyn Transport, id: &JobId) -> (JobState, String) {
    let (mut output, mut offset) = (Vec::new(), 0);
    loop {
        let look = job::look(transport, id, offset).await.unwrap();
        offset += look.output.len() as u64;
        output.extend_from_slice(&look.output);
        if look.is_last() {
            return (look.state, String::from_utf8(output).unwrap());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[test]
fn a_job_runs_its_steps_until_one_fails() {
    let machine = Machine::new("apt");
    run(async {
        let transport = machine.transport();
        let id = JobId::new("good").unwrap();
        assert_eq!(job::look(&*transport, &id, 0).await.unwrap().state, JobState::Missing);
        let mut environment = script("echo \"$LAB_WORDS\"");
        environment.env.push(("LAB_WORDS".to_owned(), "it's $HOME".to_owned()));
        let mut may_fail = script("exit 3");
        may_fail.must = false;
        let good = Job { steps: vec![script("echo one"), environment, may_fail, script("echo two >&2")] };
        job::start(&*transport, &id, &good).await.unwrap();
        let all = ended(&*transport, &id).await;
        assert_eq!(all, (JobState::Ended { code: 0 }, "one\nit's $HOME\ntwo\n".to_owned()));
        let from = job::look(&*transport, &id, 4).await.unwrap();
        assert_eq!(from.output, b"it's $HOME\ntwo\n");

        let id = JobId::new("bad").unwrap();
        job::start(&*transport, &id, &job(&["echo one", "exit 42", "echo never"])).await.unwrap();
        assert_eq!(ended(&*transport, &id).await, (JobState::Ended { code: 42 }, "one\n".to_owned()));
        job::forget(&*transport, &id).await.unwrap();
        assert_eq!(job::look(&*transport, &id, 0).await.unwrap().state, JobState::Missing);
        job::forget(&*transport, &id).await.unwrap();
    });
}

#[test]
fn output_of_any_size_comes_in_pieces() {
    let machine = Machine::new("apt");
    run(async {
        let transport = machine.transport();
        let id = JobId::new("loud").unwrap();
        job::start(&*transport, &id, &job(&["seq 200000"])).await.unwrap();
        let (state, output) = ended(&*transport, &id).await;
        assert_eq!(state, JobState::Ended { code: 0 });
        let expected: String = (1..=200_000).map(|n| format!("{n}\n")).collect();
        assert!(output == expected, "{} bytes of {}", output.len(), expected.len());
    });
}

#[test]
fn starting_it_again_does_nothing() {
    let machine = Machine::new("apt");
    run(async {
        let transport = machine.transport();
        let id = JobId::new("once").unwrap();
        let work = job(&["echo once >>/tmp/times; while [ ! -e /tmp/go ]; do sleep 0.1; done"]);
        let start = || job::start(&*transport, &id, &work);
        let all = tokio::join!(start(), start(), start(), start());
        assert_eq!(all, (Ok(()), Ok(()), Ok(()), Ok(())));
        start().await.unwrap();
        assert_eq!(job::look(&*transport, &id, 0).await.unwrap().state, JobState::Running);
        let refused = job::forget(&*transport, &id).await.unwrap_err();
        assert!(matches!(refused, GuestError::Refused { .. }), "{refused}");
        machine.sh("touch /tmp/go");
        assert_eq!(ended(&*transport, &id).await.0, JobState::Ended { code: 0 });
        start().await.unwrap();
        assert_eq!(machine.sh("cat /tmp/times"), "once");
    });
}

#[test]
fn a_step_is_tried_again_while_it_says_so() {
    let machine = Machine::new("apt");
    run(async {
        let transport = machine.transport();
        let id = JobId::new("again").unwrap();
        let mut step = script("echo try >>/tmp/tries; [ $(wc -l </tmp/tries) -ge 3 ] || exit 7");
        step.again = Some((7, 600));
        job::start(&*transport, &id, &Job { steps: vec![step] }).await.unwrap();
        assert_eq!(ended(&*transport, &id).await.0, JobState::Ended { code: 0 });
        assert_eq!(machine.sh("wc -l </tmp/tries"), "3");

        let id = JobId::new("never").unwrap();
        let mut step = script("exit 7");
        step.again = Some((7, 1));
        job::start(&*transport, &id, &Job { steps: vec![step] }).await.unwrap();
        assert_eq!(ended(&*transport, &id).await.0, JobState::Ended { code: 7 });
    });
}

#[test]
fn a_job_that_was_killed_is_lost_and_not_ended() {
    let machine = Machine::new("apt");
    run(async {
        let transport = machine.transport();
        let id = JobId::new("killed").unwrap();
        job::start(&*transport, &id, &job(&["echo begun; exec sleep 1000"])).await.unwrap();
        machine.sh("kill -9 $(cut -d' ' -f1 /var/lib/patchyard/run-killed/started)");
        let look = job::look(&*transport, &id, 0).await.unwrap();
        assert_eq!(look.state, JobState::Running, "what it started is still at work");
        machine.sh("pkill -9 -f '[s]leep 1000'");
        let (state, output) = ended(&*transport, &id).await;
        assert_eq!((state, &*output), (JobState::Lost, "begun\n"));
        job::start(&*transport, &id, &job(&["echo again"])).await.unwrap();
        assert_eq!(ended(&*transport, &id).await.0, JobState::Lost, "what was begun is never begun again");

        let id = JobId::new("stopped").unwrap();
        job::start(&*transport, &id, &job(&["sleep 1001"])).await.unwrap();
        job::stop(&*transport, &id).await.unwrap();
        assert_eq!(ended(&*transport, &id).await.0, JobState::Lost);
        machine.wait_for("! pgrep -f '[s]leep 1001'");
        job::stop(&*transport, &id).await.unwrap();
    });
}

#[test]
fn a_machine_that_was_restarted_has_lost_its_jobs() {
    let machine = Machine::new("apt");
    run(async {
        let transport = machine.transport();
        let id = JobId::new("down").unwrap();
        job::start(&*transport, &id, &job(&["echo begun; sleep 1000"])).await.unwrap();
        assert!(yard::docker(&["restart", "-t", "0", &machine.name]).status.success());
        assert_eq!(ended(&*transport, &id).await, (JobState::Lost, "begun\n".to_owned()));
    });
}

/// The process that starts a job over ssh is killed, and the server with all of its sessions: the job goes on.
#[test]
fn a_job_outlives_its_starter_and_the_ssh_server() {
    let host = yard_ssh::SshHost::new();
    run(async {
        let ssh = host.ssh("ops", patchyard_guest::transport::Privilege::Sudo);
        let id = JobId::new("outlives").unwrap();
        let work = job(&["echo begun; while [ ! -e /tmp/go ]; do sleep 0.1; done; echo done"]);
        job::start(&ssh, &id, &work).await.unwrap();
        ssh.close().await.unwrap();
        host.machine.sh("pkill -9 -f '^sshd: ops' || true");
        host.machine.wait_for("! pgrep -f '^sshd: ops'");
        drop(ssh);
        let Look { state, output } = job::look(&*host.machine.transport(), &id, 0).await.unwrap();
        assert_eq!((state, output), (JobState::Running, b"begun\n".to_vec()));
        host.machine.sh("touch /tmp/go");
        let again = host.ssh("root", patchyard_guest::transport::Privilege::Root);
        assert_eq!(ended(&again, &id).await, (JobState::Ended { code: 0 }, "begun\ndone\n".to_owned()));
    });
}

/// A unit of its own: neither the end of the session nor a restart of what started it ends it.
#[test]
fn where_systemd_is_a_job_is_a_transient_unit() {
    let host = yard_ssh::SshHost::of(Machine::with_systemd());
    run(async {
        let ssh = host.ssh("ops", patchyard_guest::transport::Privilege::Sudo);
        let id = JobId::new("a1b2.R12.3").unwrap();
        let work = job(&["echo begun; while [ ! -e /tmp/go ]; do sleep 0.1; done; echo done"]);
        let start = || job::start(&ssh, &id, &work);
        let all = tokio::join!(start(), start());
        assert_eq!(all, (Ok(()), Ok(())));
        let unit = "patchyard-run-a1b2.R12.3.service";
        assert_eq!(host.machine.sh(&format!("systemctl is-active {unit}")), "active");
        host.machine.sh("systemctl restart ssh.service; pkill -9 -f '^sshd: ops' || true");
        host.machine.wait_for("! pgrep -f '^sshd: ops'");
        let look = job::look(&ssh, &id, 0).await.unwrap();
        assert_eq!((look.state, look.output), (JobState::Running, b"begun\n".to_vec()));
        host.machine.sh("touch /tmp/go");
        assert_eq!(ended(&ssh, &id).await, (JobState::Ended { code: 0 }, "begun\ndone\n".to_owned()));
        host.machine.wait_for(&format!("! systemctl is-active {unit}"));
        start().await.unwrap();
        assert_eq!(ended(&ssh, &id).await.1, "begun\ndone\n", "it is not run again when the unit is gone");

        let id = JobId::new("stopped").unwrap();
        job::start(&ssh, &id, &job(&["sleep 1001"])).await.unwrap();
        job::stop(&ssh, &id).await.unwrap();
        assert_eq!(ended(&ssh, &id).await.0, JobState::Lost);
        host.machine.wait_for("! pgrep -f '[s]leep 1001'");
    });
}
