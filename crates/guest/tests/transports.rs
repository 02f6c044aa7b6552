//! Every transport passes the suite of transports, on real machines.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod yard;

use std::sync::Arc;

use patchyard_contract::suite::transport::Fixture;
use patchyard_contract::{Command, Transport, TransportError};
use patchyard_guest::transport::{DockerExec, Local, Privilege};

struct Here;

impl Fixture for Here {
    fn open(&self) -> Arc<dyn Transport> {
        Arc::new(Local::new(Privilege::Root))
    }
}

mod local {
    patchyard_contract::transport_suite!(super::Here);
}

impl Fixture for yard::Machine {
    fn open(&self) -> Arc<dyn Transport> {
        self.transport()
    }
}

mod docker_exec {
    patchyard_contract::transport_suite!(super::yard::Machine::new("apt"));
}

#[test]
fn a_container_that_does_not_exist_is_out_of_reach() {
    patchyard_contract::suite::run(async {
        let gone = DockerExec::new("pyguest-no-such-container").unwrap();
        let answer = gone.run(Command::new(["true"])).await;
        let Err(TransportError::Unreachable { reason, .. }) = answer else { panic!("{answer:?}") };
        assert!(reason.contains("No such container"), "{reason}");
    });
    for bad in ["", "-x", "a b", "a;b", "../x"] {
        assert!(matches!(DockerExec::new(bad), Err(TransportError::Invalid { .. })), "{bad:?}");
    }
}
