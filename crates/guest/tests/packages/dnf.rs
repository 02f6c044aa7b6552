//! dnf and rpm.

use super::*;

const DNF: Kind = Kind {
    image: "dnf",
    manager: PackageManager::Dnf,
    release: "-1",
    arch: "noarch",
    install_slow: "dnf -y upgrade lab-slow",
};

shared!(DNF);
