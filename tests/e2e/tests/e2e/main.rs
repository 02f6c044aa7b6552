//! The patchyard command on real engines. One program, because linking ten takes longer than running
//! some of them; a module is what a file would be.

mod bad_disks;
mod bad_hosts;
mod bad_input;
mod bad_neighbours;
mod bad_repositories;
mod bad_versions;
mod compose;
mod crashes;
mod data;
mod dependents;
mod face;
mod good_versions;
mod harness;
mod hostile;
mod kept;
mod machines;
mod podman;
mod rpm_containers;
mod start_first;
mod swarm;
mod system_containers;
mod ubuntu;
mod virtual_machines;
mod who_left;
mod words;
mod writable_layer;
