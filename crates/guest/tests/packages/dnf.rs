//! dnf and rpm, both generations of dnf.

use super::*;

const DNF: Kind = Kind {
    image: "dnf",
    manager: PackageManager::Dnf,
    release: "-1",
    arch: "noarch",
    install_slow: "dnf -y upgrade lab-slow",
};

shared!(DNF);

mod five {
    use super::*;

    const DNF5: Kind = Kind { image: "dnf5", ..DNF };

    shared!(DNF5, ignore = "wants Debian sid, of which `lab/guests dnf5` makes a machine");
}
